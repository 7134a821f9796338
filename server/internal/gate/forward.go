package gate

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// The headers in which a gateway describes the request that it holds. Each is there exactly once, or the request is not
// decided: of two, one came from the client.
const (
	methodHeader = "X-Forwarded-Method"
	uriHeader    = "X-Forwarded-Uri"
	hostHeader   = "X-Forwarded-Host" // only looked at for requests of browsers; it may be left out
)

// identityHeaders are those of an answer yes. All of them are always there, empty where there is nothing to say, so that a
// gateway that copies them overwrites whatever the client has sent under their names.
var identityHeaders = [...]string{"X-Guildhall-User", "X-Guildhall-Member", "X-Guildhall-Organization", "X-Guildhall-Role",
	"X-Guildhall-Credential", "X-Guildhall-Kind", "X-Guildhall-Region", "X-Guildhall-Plan", "X-Guildhall-Permission", "X-Guildhall-Resource"}

// The headers of an answer no, for gateways that do not pass its body on.
const (
	reasonHeader = "X-Guildhall-Reason"
	needsHeader  = "X-Guildhall-Needs"
	fixHeader    = "X-Guildhall-Fix-Url"
)

// forwarded is a request that a gateway holds.
type forwarded struct {
	method, host string
	match        charter.Match
	caller       op.Caller
	header       http.Header // as the client sent them, which nothing but the credential and the browser's own is read of
}

// forwardAuth says whether a request may pass that a gateway holds, and for whom it is. It reads no body.
func (g *gate) forwardAuth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	client, trusted := web.Behind(r, g.config.Gateways)
	if !trusted {
		g.config.Log.LogAttrs(r.Context(), slog.LevelWarn, "forward-auth asked by an address that is not among the gateways",
			slog.String("address", client), slog.String("request_id", web.RequestID(r)))
		g.refuse(w, r, op.Errorf(op.Denied, "gateway_not_trusted", "requests from your address are not believed: it is not among the configured gateways"))
		return
	}
	f, err := g.read(r, client)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	d, err := g.admit(r.Context(), &f)
	if err == nil && !d.Allow {
		err = denial(d)
	}
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	grant(w.Header(), &f, &d)
}

// read takes the request from what the gateway says of it. What the route is comes from the request line alone.
func (g *gate) read(r *http.Request, client string) (forwarded, error) {
	method, uri := r.Header[methodHeader], r.Header[uriHeader]
	if len(method) != 1 || len(uri) != 1 || len(r.Header[hostHeader]) > 1 {
		return forwarded{}, malformed("a gateway sends %s and %s exactly once each, and %s at most once", methodHeader, uriHeader, hostHeader)
	}
	path, _, _ := strings.Cut(uri[0], "?")
	match, ok := g.config.Service.Charter().Match(method[0], path)
	if !ok {
		return forwarded{}, denial(check.Decision{Reason: decide.UnknownRoute})
	}
	f := forwarded{method: method[0], host: r.Header.Get(hostHeader), match: match, caller: web.Caller(r), header: r.Header}
	f.caller.Address = client
	return f, nil
}

// admit decides. Everybody may take a public route, and it is for nobody in particular.
func (g *gate) admit(ctx context.Context, f *forwarded) (check.Decision, error) {
	route := f.match.Route
	if route.Public {
		return check.Decision{Allow: true}, nil
	}
	if err := g.sameOrigin(f); err != nil {
		return check.Decision{}, err
	}
	who, err := g.identify(ctx, f.caller)
	if err != nil {
		return check.Decision{}, err
	}
	if _, err := g.config.Service.LimitCredential(f.caller, who.ID); err != nil {
		return check.Decision{}, err
	}
	organization, err := g.organization(ctx, f, who)
	if err != nil {
		return check.Decision{}, err
	}
	d, err := g.config.Access.Check(ctx, check.Request{Subject: check.ByCredential(f.caller.Credential), Permission: route.Needs,
		Resource: about(f.match.Resource, organization), Address: f.caller.Address})
	if err == nil && d.Reason == decide.UnknownSubject {
		err = op.ErrUnauthenticated // it ended since it was identified
	}
	return d, err
}

// about is what is asked about: a single resource, or the organization as a whole.
func about(resource, organization string) check.Resource {
	kind, id, single := strings.Cut(resource, ":")
	if !single {
		return check.Whole(organization)
	}
	return check.On(kind, id).In(organization)
}

// sameOrigin refuses what another site makes a browser send with its cookie, as web does for Guildhall's own pages. The
// site's own host is the one that the gateway names. T-054
func (g *gate) sameOrigin(f *forwarded) error {
	if !f.caller.Cookie {
		return nil
	}
	if len(f.header["Sec-Fetch-Site"]) > 1 || len(f.header["Origin"]) > 1 ||
		g.origins.Check(&http.Request{Method: f.method, Host: f.host, Header: f.header}) != nil {
		return op.Errorf(op.Denied, "cross_origin", "another site sent this request: open it here")
	}
	return nil
}

// identify finds who sent a credential. Addresses that send many that are not good have to wait, but for credentials that
// were good before: whoever shares the address is not shut out. T-048
func (g *gate) identify(ctx context.Context, c op.Caller) (access.Identity, error) {
	if c.Credential == "" {
		return access.Identity{}, op.ErrUnauthenticated
	}
	if !g.good.has(c.Credential) {
		if err := g.config.Service.LimitFailures(c); err != nil {
			return access.Identity{}, err
		}
	}
	who, err := g.config.Access.Authenticate(ctx, c.Credential)
	switch {
	case errors.Is(err, op.ErrUnauthenticated):
		g.config.Service.CountFailure(c)
	case err == nil && who.Kind == op.ServiceActor:
		err = op.Errorf(op.Unauthenticated, "", "a service key asks checks; it makes no requests of its own")
	case err == nil:
		g.good.add(c.Credential)
	}
	return who, err
}

// denial is the error of an answer no.
func denial(d check.Decision) error {
	e := &op.Error{Kind: op.Denied, Code: string(d.Reason), Reason: d.Reason, Needs: d.Needs, FixURL: d.FixURL, Text: textOf(d)}
	if d.Reason == decide.NoPermission {
		e.Code = "denied"
	}
	for _, h := range d.Holders {
		e.Holders = append(e.Holders, op.Holder(h))
	}
	return e
}

func textOf(d check.Decision) string {
	if d.Reason == decide.UnknownRoute {
		return "this product has no such request: the charter's routes do not name it"
	}
	return "this needs " + string(d.Needs) + " (" + string(d.Reason) + ")"
}

// refuse answers an error. What a gateway needs of it to tell the client is in headers too.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := op.AsError(err)
	h := w.Header()
	h.Set(reasonHeader, e.FullCode())
	h.Set(needsHeader, string(e.Needs))
	h.Set(fixHeader, web.DetailsOf(e, g.config.BaseURL, "").FixURL)
	web.Problem(w, r, e)
}

// grant answers yes, and says for whom.
func grant(h http.Header, f *forwarded, d *check.Decision) {
	who := &d.Who
	values := &[len(identityHeaders)]string{who.User.String(), who.Member.String(), who.Organization.String(), who.Role.String(),
		who.Credential.String(), who.Kind, who.Region, who.Plan, string(f.match.Route.Needs), f.match.Resource}
	for i, name := range identityHeaders {
		h[name] = values[i : i+1 : i+1]
	}
}
