package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// ProblemType is the media type of an error (RFC 9457).
const ProblemType = "application/problem+json"

// Details is an error as HTTP tells it (RFC 9457, with members of ours).
type Details struct {
	Type      string             `json:"type" doc:"Where the code is explained" format:"uri"`
	Title     string             `json:"title" doc:"The status in words"`
	Status    int                `json:"status" doc:"The status code"`
	Detail    string             `json:"detail" doc:"What is wrong, and with what"`
	Code      string             `json:"code" doc:"What to match on: it never changes" example:"denied"`
	Instance  string             `json:"instance,omitzero" doc:"This very request, as a URN; not on 404"`
	RequestID string             `json:"request_id,omitzero" doc:"As in the header Request-Id; not on 404"`
	Errors    []op.FieldError    `json:"errors,omitzero" doc:"Everything that is wrong with the input"`
	Needs     charter.Permission `json:"needs,omitzero" doc:"The permission that is missing"`
	Reason    decide.Reason      `json:"reason,omitzero" doc:"Why it is denied"`
	Holders   []op.Holder        `json:"holders,omitzero" doc:"Who has what is missing, for those who may see members"`
	FixURL    string             `json:"fix_url,omitzero" doc:"Where the caller can mend it"`
	Refers    map[string]string  `json:"refers,omitzero" doc:"The ids that the detail is about"`
	Current   any                `json:"current,omitzero" doc:"On 412: what it is now"`
}

// Problem answers with an error. A 404 says nothing of the request, so that all of them are the same bytes: what is
// missing and what a stranger may not see cannot be told apart.
func Problem(w http.ResponseWriter, r *http.Request, e *op.Error) { problem(w, stateOf(r), e) }

// The media types and notes of errors.
var (
	problemJSON = []string{ProblemType}
	challenge   = []string{"Bearer"}
)

func problem(w http.ResponseWriter, s *state, e *op.Error) (bytes int) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = problemJSON, noStore
	if e.RetryAfter > 0 {
		h.Set("Retry-After", seconds(e.RetryAfter))
	}
	if e.Kind == op.Unauthenticated {
		h["Www-Authenticate"] = challenge
	}
	body := appendDetails(nil, DetailsOf(e, s.config.BaseURL, s.id))
	w.WriteHeader(e.Kind.Status())
	bytes, _ = w.Write(append(body, '\n'))
	return bytes
}

// appendDetails writes problem details as JSON. Most have none of what has no fixed form, and are written field by field:
// a no is an answer of every day.
func appendDetails(b []byte, d Details) []byte {
	if d.Errors != nil || d.Holders != nil || d.Refers != nil || d.Current != nil {
		return marshalDetails(b, &d)
	}
	b = append(make([]byte, 0, 512), `{"type":`...)
	b = appendText(b, d.Type)
	b = appendText(append(b, `,"title":`...), d.Title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(d.Status), 10)
	b = appendText(append(b, `,"detail":`...), d.Detail)
	b = appendText(append(b, `,"code":`...), d.Code)
	for _, field := range [...]struct{ name, text string }{{`,"instance":`, d.Instance}, {`,"request_id":`, d.RequestID},
		{`,"needs":`, string(d.Needs)}, {`,"reason":`, string(d.Reason)}, {`,"fix_url":`, d.FixURL}} {
		if field.text != "" {
			b = appendText(append(b, field.name...), field.text)
		}
	}
	return append(b, '}')
}

// appendText writes a text as JSON. What is no UTF-8 is replaced.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

func marshalDetails(b []byte, d *Details) []byte {
	body, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return append(b, `{"title":"Internal Server Error","status":500,"code":"internal"}`...)
	}
	return append(b, body...)
}

// seconds rounds up, so that nobody comes back too early.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// DetailsOf writes an error as problem details.
func DetailsOf(e *op.Error, baseURL, requestID string) Details {
	status := e.Kind.Status()
	d := Details{Type: baseURL + "/docs/errors#" + e.FullCode(), Title: http.StatusText(status), Status: status,
		Detail: e.Text, Code: e.FullCode(), Errors: e.Fields, Needs: e.Needs, Reason: e.Reason, Holders: e.Holders,
		Refers: e.Refers, Current: e.Current}
	if e.FixURL != "" {
		d.FixURL = baseURL + e.FixURL
	}
	if e.Kind != op.NotFound && requestID != "" {
		d.Instance, d.RequestID = "urn:guildhall:request:"+requestID, requestID
	}
	return d
}
