package gate

import (
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// The faces of checks over HTTP, as a Record says them.
const (
	AuthZEN     = "authzen"
	ForwardAuth = "forward-auth"
	ExtAuthz    = "ext-authz" // over HTTP and over gRPC
)

// Record is one check that was answered: what was asked, by whom, and how it went. It holds no secret. A copy of it may be
// kept: its texts are of the charter, or its own.
type Record struct {
	Face  string    // AuthZEN, ForwardAuth or ExtAuthz
	At    time.Time // when the question came, by the clock of the service
	Took  time.Duration
	Allow bool
	Read  bool // the database was asked, since memory had no answer or might not give it
	// Code is why: a decide.Reason, "public" for a route that everybody may take, or where there was no decision the code of
	// the error, such as "unauthenticated" or "limited".
	Code       string
	Permission charter.Permission
	Resource   string // "workflow:wf_1"; empty: the organization as a whole
	// Who is the subject, also of a no, as far as it is known: the organization of one that is in none is empty.
	Who check.Who
	// Method and Route are of a request that a gateway holds: the pattern of the charter, never the address itself.
	Method, Route string
	Address       string // where the subject's own request came from; empty where a back end does not say it
	RequestID     string // of Guildhall's answer
}

// public is the Code of a route that everybody may take.
const public = "public"

// tell records an evaluation.
func (g *Gate) tell(x *web.Exchange, q *check.Request, v *access.Verdict) {
	if g.config.Record == nil {
		return
	}
	rec := Record{Face: AuthZEN, At: g.config.Service.Now(), Took: time.Since(x.Began()), Allow: v.Allow, Read: !v.FromMemory(), Code: string(v.Reason),
		Permission: q.Permission, Address: q.Address, RequestID: x.RequestID()}
	if q.Resource.Type != check.Organization {
		rec.Resource = q.Resource.Type + ":" + q.Resource.ID
	}
	g.config.Access.Name(v, &rec.Who)
	g.config.Record(&rec)
}

// tellForwarded records a request that a gateway asked about, with the error that it was refused with, if it was.
func (g *Gate) tellForwarded(f *forwarded, err error) {
	if g.config.Record == nil {
		return
	}
	rec := Record{Face: f.face, At: g.config.Service.Now(), Took: time.Since(f.began), Allow: err == nil, Read: !f.verdict.FromMemory() || !f.sender.FromMemory(), Code: f.code(err),
		Resource: f.match.Resource, Method: f.method, Address: f.caller.Address, RequestID: f.id}
	if route := f.match.Route; route != nil {
		rec.Permission, rec.Route = route.Needs, route.Pattern
	}
	g.config.Access.Name(&f.verdict, &rec.Who)
	if f.verdict.Reason == "" { // it did not come to a decision
		g.config.Access.NameSender(&f.sender, &rec.Who)
	}
	g.config.Record(&rec)
}

// code says why a request was answered so.
func (f *forwarded) code(err error) string {
	switch {
	case f.verdict.Reason != "":
		return string(f.verdict.Reason)
	case err != nil:
		return op.AsError(err).FullCode()
	}
	return public
}
