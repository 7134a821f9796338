package op

import (
	"errors"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

// ErrorKind says what kind of thing went wrong: the status code of HTTP and the exit code of the command line follow
// from it alone.
type ErrorKind uint8

// The kinds of error.
const (
	Internal        ErrorKind = iota // 500
	Malformed                        // 400
	Unauthenticated                  // 401
	PlanRequired                     // 402
	Denied                           // 403
	NotFound                         // 404, and what a stranger may not see
	WrongMethod                      // 405
	Conflict                         // 409
	Gone                             // 410: used, cancelled, expired links
	Stale                            // 412: If-Match
	TooLarge                         // 413
	WrongMediaType                   // 415
	Invalid                          // 422, with field errors
	Limited                          // 429, with RetryAfter
	Unavailable                      // 503, with RetryAfter
)

var errorKinds = [...]struct {
	code         string
	status, exit int
}{
	Internal: {"internal", 500, 1}, Malformed: {"malformed", 400, 2}, Unauthenticated: {"unauthenticated", 401, 4},
	PlanRequired: {"plan_required", 402, 5}, Denied: {"denied", 403, 5}, NotFound: {"not_found", 404, 6},
	WrongMethod: {"method_not_allowed", 405, 2}, Conflict: {"conflict", 409, 7}, Gone: {"gone", 410, 7},
	Stale: {"stale", 412, 7}, TooLarge: {"too_large", 413, 2}, WrongMediaType: {"unsupported_media_type", 415, 2},
	Invalid: {"invalid", 422, 2}, Limited: {"limited", 429, 8}, Unavailable: {"unavailable", 503, 1},
}

// String is the kind's name, which is also the code of an error that has no finer one.
func (k ErrorKind) String() string { return errorKinds[k].code }

// Status is the HTTP status of the kind.
func (k ErrorKind) Status() int { return errorKinds[k].status }

// Exit is the exit code of the command line for the kind.
func (k ErrorKind) Exit() int { return errorKinds[k].exit }

// Error is what a caller is told. Anything that is not an *Error is "internal error" outside and whole in the log.
type Error struct {
	Kind       ErrorKind
	Code       string // finer than the kind: "last_owner"; empty means the kind's own
	Text       string // what is wrong and with what; lower case, no full stop, no secret
	Fields     []FieldError
	Needs      charter.Permission // on a denial: what was needed
	Reason     decide.Reason      // on a denial: why
	Holders    []Holder           // on a denial, for those who may see members: who has it
	FixURL     string             // where the caller can mend it; relative to the server's address
	RetryAfter time.Duration      // on Limited and Unavailable
	Refers     map[string]string  // ids that the text is about: {"invitation": "inv_..."}
	Current    any                // on Stale: the target as it is now, for those who may read it
	RequestID  string             // of a call of a server elsewhere: what its log and audit call it
	Docs       string             // of a call of a server elsewhere: where the code is explained
	Cause      error              // what the log says of it beside, and nobody is told
	keep       bool
}

// FieldError is one thing wrong with one field of the input.
type FieldError struct {
	Pointer string `json:"pointer" doc:"JSON pointer to the field (RFC 6901)" example:"/email"`
	Code    string `json:"code" doc:"What kind of mistake" example:"invalid"`
	Detail  string `json:"detail" doc:"What is wrong, and what would be right"`
}

// Holder is somebody who may do what the caller may not.
type Holder struct {
	Member string `json:"member"`
	Name   string `json:"name"`
	Role   string `json:"role"`
}

// Error gives the text.
func (e *Error) Error() string { return e.Text }

// FullCode is the code that callers match on: Code, or the kind's name.
func (e *Error) FullCode() string {
	if e.Code != "" {
		return e.Code
	}
	return e.Kind.String()
}

// ErrNotFound answers for what is missing and for what the caller may not know of, with the same bytes.
var ErrNotFound = &Error{Kind: NotFound, Text: "not found"}

// ErrUnauthenticated answers a request without a valid credential. It says nothing of why the credential is not valid.
var ErrUnauthenticated = &Error{Kind: Unauthenticated, Text: "sign in, or send a valid credential as Authorization: Bearer"}

// Errorf makes an error of a kind with a code and a text.
func Errorf(kind ErrorKind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Text: fmt.Sprintf(format, args...)}
}

// InvalidField makes the error for one wrong field.
func InvalidField(field, code, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	return &Error{Kind: Invalid, Text: detail, Fields: []FieldError{{Pointer: "/" + field, Code: code, Detail: detail}}}
}

// Keep marks an error after which the transaction is committed all the same: a wrong code has to be counted.
func Keep(e *Error) *Error { kept := *e; kept.keep = true; return &kept }

// AsError gives the *Error within err, or Internal for anything else.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Text: "internal error"}
}
