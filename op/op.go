// Package op declares operations and runs them.
//
// An operation is a value: one literal names its route, who may, what it touches, its input, output and function. REST,
// OpenAPI, the command line, the permission table, the audit action, the console's buttons and the isolation tests are
// loops over the list of those values. Service runs every one of them through one pipeline, so permission, audit row
// and change cannot come apart.
package op

import (
	"context"
	"io"
	"reflect"
	"strings"
	"time"
)

// Kind says what an operation does to the data.
type Kind uint8

// The kinds.
const (
	Read   Kind = iota // changes nothing
	Write              // changes something, nobody's rights
	Access             // changes who may do what: it names the principals whose cached decisions die
	Count              // records usage; has no audit row
)

// String gives the kind's name as the operation table prints it.
func (k Kind) String() string { return [...]string{"read", "write", "access", "count"}[k] }

// Scope says what an operation is about, and so which audit stream it is written to and what a stranger is told.
type Scope uint8

// The scopes.
const (
	Organization Scope = iota // one organization, named in the route: a stranger is told "not found"
	Self                      // the signed-in person's own things
	Instance                  // the whole installation
	Public                    // no sign-in needed: the input itself (a link's token) is the proof
)

// String gives the scope's name as the operation table prints it.
func (s Scope) String() string { return [...]string{"organization", "self", "instance", "public"}[s] }

// Level says how the console asks before it acts.
type Level uint8

// The confirm levels.
const (
	L0 Level = iota // reversible: acts at once
	L1              // wide or easy to misread: names the effect
	L2              // ends access, costs money or loses data: lists what is affected, asks for a fresh sign-in
	L3              // cannot be undone: as L2, and the name has to be typed
)

// RateLimit bounds how often one address may call an operation, beside the limits of all. The zero value adds none.
type RateLimit struct {
	Times int
	Per   time.Duration
}

// Op declares one operation. In and Out are structs with JSON names; a name in Route's braces is a field of In.
// A declared Op is never changed, and is safe for concurrent use.
type Op[In, Out any] struct {
	Name    string // operation id, audit action and CLI command: "keys.revoke"
	Route   string // "POST /v1/organizations/{organization}/keys/{key}/revoke"
	Summary string // one sentence for the reference and the command line
	Kind    Kind
	Scope   Scope
	Allow   Rule      // who may; never empty
	Feature string    // what the organization's plan has to have; empty: any plan will do
	Confirm Level     // what the console asks
	Fresh   bool      // a cookie session must have signed in within FreshFor
	Account bool      // it is about more than one organization: not for sessions that an organization's own provider began
	Limit   RateLimit // calls by one address
	// Recorded writes an audit row for a Read: looking at the audit log is itself recorded.
	Recorded bool

	// Target loads what the operation touches, before anybody is authorized and again inside the transaction. It
	// returns ErrNotFound for what is missing or belongs to another organization. Nil: the organization, the
	// person or the instance itself.
	Target func(ctx context.Context, r *Reader, in In) (Target, error)
	// Fences names the principals whose cached decisions die. Required for Access, and only there.
	Fences func(in In, t Target) []Fence
	// Prepare does what needs the network, outside any transaction and after a first authorization.
	Prepare func(ctx context.Context, in In) (In, error)
	// Preview says what the operation would do; with it the operation answers dry_run.
	Preview func(ctx context.Context, r *Reader, in In) (Impact, error)
	// Do does it. It returns the output, or an *Error. Time, ids and actor come from tx.
	Do func(ctx context.Context, tx *Tx, in In) (Out, error)

	Example In // used by the reference, and by tests that try every operation
}

// Any is an operation of any input and output.
type Any interface {
	Info() Info
	bind(fields []byte) (*bound, error)
}

// Info describes an operation without its types.
type Info struct {
	Name, Method, Path, Summary string
	Kind                        Kind
	Scope                       Scope
	Allow                       Rule
	Feature                     string
	Confirm                     Level
	Fresh, Recorded, Account    bool
	Limit                       RateLimit
	DryRun                      bool // answers dry_run
	In, Out                     reflect.Type
	Example                     any
	MediaType, FileName         string   // of a Stream: its answer is not JSON
	BodyTypes                   []string // content types of a body beside application/json
	Upload                      bool     // its body is a stream of bytes, and its fields are in path and query
	File                        bool     // a Download: its answer is a stored file
	targeted, fenced, prepared  bool
}

// Noun is the first part of the name: "keys" of "keys.revoke".
func (i Info) Noun() string { n, _, _ := strings.Cut(i.Name, "."); return n }

// Verb is the second part of the name: "revoke" of "keys.revoke".
func (i Info) Verb() string { _, v, _ := strings.Cut(i.Name, "."); return v }

// Foreign reports whether the operation is one of a directory's protocol: only the adapter of that protocol calls it.
func (i Info) Foreign() bool { return i.Allow.kind == ruleDirectory }

// PathFields are the names in the route's braces, in order.
func (i Info) PathFields() []string {
	var names []string
	for _, part := range strings.Split(i.Path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// Changes reports whether the operation writes an audit row of its own.
func (i Info) Changes() bool { return i.Kind == Write || i.Kind == Access || i.Recorded }

// Info describes the operation.
func (o *Op[In, Out]) Info() Info {
	method, path, _ := strings.Cut(o.Route, " ")
	return Info{
		Name: o.Name, Method: method, Path: path, Summary: o.Summary, Kind: o.Kind, Scope: o.Scope, Allow: o.Allow,
		Feature: o.Feature, Confirm: o.Confirm, Fresh: o.Fresh, Account: o.Account, Recorded: o.Recorded, Limit: o.Limit, DryRun: o.Preview != nil,
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](), Example: o.Example, BodyTypes: bodyTypes(reflect.TypeFor[In]()),
		targeted: o.Target != nil, fenced: o.Fences != nil, prepared: o.Prepare != nil,
	}
}

// Call runs the operation on a backend as the caller that ctx carries (see As) and gives its types back.
func (o *Op[In, Out]) Call(ctx context.Context, b Backend, in In, options ...Option) (Out, error) {
	var zero Out
	r := Request{Caller: CallerOf(ctx), Input: in}
	for _, set := range options {
		set(&r)
	}
	answer, err := b.Invoke(ctx, o, r)
	if err != nil {
		return zero, err
	}
	return outputAs[Out](answer.Output)
}

// Backend runs operations: the Service of this process, or a client of one elsewhere.
type Backend interface {
	// Invoke runs one operation. Errors are *Error.
	Invoke(ctx context.Context, o Any, r Request) (Response, error)
}

// Option changes a request of Call.
type Option func(*Request)

// IdempotencyKey makes a repeat of the same call answer what the first one answered, for 24 hours.
func IdempotencyKey(key string) Option { return func(r *Request) { r.IdempotencyKey = key } }

// IfMatch refuses the call with Stale unless the target still has this version.
func IfMatch(etag string) Option { return func(r *Request) { r.IfMatch = etag } }

// bound is one call's operation with its decoded input.
type bound struct {
	in           any
	organization *string // the field of the input, if it has one
	page         *Page
	validate     func() []FieldError
	target       func(ctx context.Context, r *Reader) (Target, error)
	fences       func(t Target) []Fence
	prepare      func(ctx context.Context) error
	preview      func(ctx context.Context, r *Reader) (Impact, error)
	do           func(ctx context.Context, tx *Tx) (any, error)
	stream       func(ctx context.Context, r *Reader, w io.Writer) error
	read         func(body []byte) ([]FieldError, error) // of an input that reads its body itself, and
	give         func(input any) bool                    // takes it as a value of its own type
	take         func(ctx context.Context, c Taking) error
	discard      func(ctx context.Context, c Taking)
}

// InOrganization is embedded by the input of every operation on one organization.
type InOrganization struct {
	Organization string `json:"organization" doc:"The organization: its id or its slug" example:"acme" maxLength:"64" required:"false"`
}

func (in *InOrganization) organizationField() *string { return &in.Organization }

// Validator is an input with rules that need no data. It returns every broken one.
type Validator interface{ Validate() []FieldError }

func (o *Op[In, Out]) bind(fields []byte) (*bound, error) {
	in := new(In)
	err := decodeInto(fields, in)
	b := &bound{in: in, validate: func() []FieldError { return validateInput(in) }}
	if f, ok := any(in).(interface{ organizationField() *string }); ok {
		b.organization = f.organizationField()
	}
	if p, ok := any(in).(interface{ page() *Page }); ok {
		b.page = p.page()
	}
	if own, ok := any(in).(BodyReader); ok {
		b.read = own.ReadBody
		b.give = func(input any) bool { return giveTo(in, input, b.organization) }
	}
	if o.Target != nil {
		b.target = func(ctx context.Context, r *Reader) (Target, error) { return o.Target(ctx, r, *in) }
	}
	if o.Fences != nil {
		b.fences = func(t Target) []Fence { return o.Fences(*in, t) }
	}
	if o.Prepare != nil {
		b.prepare = func(ctx context.Context) (err error) { *in, err = o.Prepare(ctx, *in); return err }
	}
	if o.Preview != nil {
		b.preview = func(ctx context.Context, r *Reader) (Impact, error) { return o.Preview(ctx, r, *in) }
	}
	b.do = func(ctx context.Context, tx *Tx) (any, error) { return o.Do(ctx, tx, *in) }
	return b, err
}

// giveTo sets an input to one that the caller has as a value. What the request's path said of the organization stays.
func giveTo[In any](in *In, input any, organization *string) bool {
	given, ok := input.(In)
	if !ok {
		return false
	}
	named := ""
	if organization != nil {
		named = *organization
	}
	if *in = given; named != "" {
		*organization = named
	}
	return true
}

func validateInput(in any) []FieldError {
	if v, ok := in.(Validator); ok {
		return v.Validate()
	}
	return nil
}
