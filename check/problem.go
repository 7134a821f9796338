package check

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

// problem is how Require tells a refusal (RFC 9457).
type problem struct {
	Type    string             `json:"type"`
	Title   string             `json:"title"`
	Status  int                `json:"status"`
	Detail  string             `json:"detail"`
	Code    string             `json:"code"`
	Needs   charter.Permission `json:"needs,omitzero"`
	Reason  decide.Reason      `json:"reason,omitzero"`
	FixURL  string             `json:"fix_url,omitzero"`
	Holders []Holder           `json:"holders,omitzero"`

	challenge string // of WWW-Authenticate
}

// tell answers a refused request. What kept a Checker from answering is not the client's to know.
func (g *guard) tell(w http.ResponseWriter, _ *http.Request, err error) {
	p := g.problemOf(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"status":403,"code":"denied"}`) // a name that is no UTF-8
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

func (g *guard) problemOf(err error) problem {
	var denied *Denied
	switch {
	case errors.Is(err, ErrNoCredential):
		return problem{Status: http.StatusUnauthorized, Code: "unauthenticated", challenge: "Bearer",
			Detail: "send one credential as Authorization: Bearer"}
	case errors.Is(err, ErrCrossOrigin):
		return problem{Status: http.StatusForbidden, Code: "cross_origin", Detail: "another site sent this request"}
	case errors.As(err, &denied) && denied.Decision.Reason == decide.UnknownSubject:
		return problem{Status: http.StatusUnauthorized, Code: "unauthenticated", challenge: `Bearer error="invalid_token"`,
			Detail: "the credential is unknown, revoked or expired"}
	case denied != nil:
		return g.denial(denied)
	}
	return problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "access cannot be checked now"}
}

func (g *guard) denial(denied *Denied) problem {
	d := denied.Decision
	p := problem{Status: http.StatusForbidden, Code: "denied", Detail: "this needs " + string(denied.Request.Permission),
		Needs: d.Needs, Reason: d.Reason, FixURL: d.FixURL, Holders: d.Holders}
	if d.Reason == decide.RegionNotAllowed {
		p.Detail = "the organization's data may not be in region " + strconv.Quote(denied.Request.Region)
	}
	if strings.HasPrefix(p.FixURL, "/") {
		p.FixURL = g.server + p.FixURL
	}
	if strings.HasPrefix(p.FixURL, "/") {
		p.FixURL = "" // on the product's own host it would lead nowhere
	}
	return p
}
