package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

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
func Problem(w http.ResponseWriter, r *http.Request, e *op.Error) {
	s := stateOf(r)
	h := w.Header()
	h.Set("Content-Type", ProblemType)
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", seconds(e.RetryAfter))
	}
	if e.Kind == op.Unauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(DetailsOf(e, s.config.BaseURL, s.id), json.Deterministic(true))
	if err != nil {
		body = []byte(`{"title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	w.WriteHeader(e.Kind.Status())
	_, _ = w.Write(append(body, '\n'))
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
