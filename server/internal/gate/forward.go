package gate

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

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
	// regionHeader is where the request would run. It may be left out, and only ever makes a no of a yes.
	regionHeader = "X-Forwarded-Region"
)

// identityHeaders are those of an answer yes. All of them are always there, empty where there is nothing to say, so that a
// gateway that copies them overwrites whatever the client has sent under their names.
var identityHeaders = [...]string{"X-Guildhall-User", "X-Guildhall-Member", "X-Guildhall-Organization", "X-Guildhall-Role",
	"X-Guildhall-Credential", "X-Guildhall-Kind", "X-Guildhall-Region", "X-Guildhall-Plan", "X-Guildhall-Permission", "X-Guildhall-Resource",
	"X-Guildhall-Features"}

// identityNames are the same in lower case, as HTTP/2 spells them.
var identityNames = func() (names [len(identityHeaders)]string) {
	for i, name := range identityHeaders {
		names[i] = strings.ToLower(name)
	}
	return names
}()

// The headers of an answer no, for gateways that do not pass its body on.
const (
	reasonHeader = "X-Guildhall-Reason"
	needsHeader  = "X-Guildhall-Needs"
	fixHeader    = "X-Guildhall-Fix-Url"
)

// forwarded is a request that a gateway holds.
type forwarded struct {
	face, id     string // how and under which id Guildhall was asked
	began        time.Time
	method, host string
	region       string // where it would run; empty: nobody says
	match        charter.Match
	caller       op.Caller
	sender       access.Sender  // of the credential
	verdict      access.Verdict // once it was decided
	header       http.Header    // as the client sent them, which nothing but the credential and the browser's own is read of
}

// forwardAuth says whether a request may pass that a gateway holds, and for whom it is. It reads no body.
func (g *Gate) forwardAuth(x *web.Exchange) {
	f := forwarded{face: ForwardAuth, id: x.RequestID(), began: x.Began(), header: x.Request.Header, caller: x.Caller()}
	g.answerHeld(x, &f, describedByHeaders)
}

// answerHeld answers over HTTP. Describe takes the request from what the gateway says of it, and gives its address.
func (g *Gate) answerHeld(x *web.Exchange, f *forwarded, describe func(x *web.Exchange, f *forwarded) (uri string, err error)) {
	client, trusted := x.Behind(g.config.Gateways)
	if !trusted {
		g.refuse(x, g.untrusted(x.Request.Context(), f, client))
		return
	}
	f.caller.Address = client
	uri, err := describe(x, f)
	if err == nil {
		err = g.decide(x.Request.Context(), f, uri)
	}
	g.tellForwarded(f, err)
	if err != nil {
		g.refuse(x, err)
		return
	}
	g.grant(x.Header(), f)
	x.Empty()
}

// untrusted notes that somebody asked who is not among the gateways, and is the error that they get.
func (g *Gate) untrusted(ctx context.Context, f *forwarded, address string) error {
	g.config.Log.LogAttrs(ctx, slog.LevelWarn, f.face+" asked by an address that is not among the gateways",
		slog.String("address", address), slog.String("request_id", f.id))
	return op.Errorf(op.Denied, "gateway_not_trusted", "requests from your address are not believed: it is not among the configured gateways")
}

// describedByHeaders takes a request from the headers of forward-auth.
func describedByHeaders(_ *web.Exchange, f *forwarded) (uri string, err error) {
	method, sent, host := f.header[methodHeader], f.header[uriHeader], f.header[hostHeader]
	if len(method) != 1 || len(sent) != 1 || len(host) > 1 || !f.named() {
		return "", malformed("a gateway sends %s and %s exactly once each, and %s and %s at most once", methodHeader, uriHeader, hostHeader, regionHeader)
	}
	if len(host) == 1 {
		f.host = host[0]
	}
	f.method = method[0]
	return sent[0], nil
}

// named takes over the region, where a gateway names one. False: it is there more than once.
func (f *forwarded) named() bool {
	region := f.header[regionHeader]
	if len(region) == 1 {
		f.region = region[0]
	}
	return len(region) <= 1
}

// decide says whether a request may pass that was described. What the route is comes from the request line alone; the
// query is no part of it. What is no error is a yes.
func (g *Gate) decide(ctx context.Context, f *forwarded, uri string) error {
	path, _, _ := strings.Cut(uri, "?")
	var known bool
	if f.match, known = g.config.Service.Charter().Match(f.method, path); !known {
		return denial(&check.Decision{Reason: decide.UnknownRoute})
	}
	return g.admit(ctx, f)
}

// admit decides. Everybody may take a public route, and it is for nobody in particular. What is no error is a yes.
func (g *Gate) admit(ctx context.Context, f *forwarded) error {
	route := f.match.Route
	if route.Public {
		return nil
	}
	if err := g.sameOrigin(f); err != nil {
		return err
	}
	if err := g.identify(ctx, f); err != nil {
		return err
	}
	if _, err := g.config.Service.LimitCredential(f.caller, f.sender.ID()); err != nil {
		return err
	}
	organization, err := g.organization(ctx, f)
	if err != nil {
		return err
	}
	err = g.config.Access.JudgeSender(ctx, &f.sender, &check.Request{Permission: route.Needs, Resource: about(f.match.Resource, organization), Region: f.region}, &f.verdict)
	switch {
	case err != nil || f.verdict.Allow:
		return err
	case f.verdict.Reason == decide.UnknownSubject:
		return op.ErrUnauthenticated // it ended since it was found
	}
	return denial(&f.verdict.Decision)
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
func (g *Gate) sameOrigin(f *forwarded) error {
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
func (g *Gate) identify(ctx context.Context, f *forwarded) error {
	if f.caller.Credential == "" {
		return op.ErrUnauthenticated
	}
	f.sender = access.SentBy(f.caller.Credential, f.caller.Address)
	if !g.good.has(&f.sender) {
		if err := g.config.Service.LimitFailures(f.caller); err != nil {
			return err
		}
	}
	err := g.config.Access.Find(ctx, &f.sender)
	switch {
	case errors.Is(err, op.ErrUnauthenticated):
		g.config.Service.CountFailure(f.caller)
	case err == nil && f.sender.Kind() == op.ServiceActor:
		err = op.Errorf(op.Unauthenticated, "", "a service key asks checks; it makes no requests of its own")
	case err == nil:
		g.good.add(&f.sender)
	}
	return err
}

// denial is the error of an answer no.
func denial(d *check.Decision) error {
	e := &op.Error{Kind: op.Denied, Code: string(d.Reason), Reason: d.Reason, Needs: d.Needs, FixURL: d.FixURL, Text: textOf(d)}
	if d.Reason == decide.NoPermission {
		e.Code = "denied"
	}
	for _, h := range d.Holders {
		e.Holders = append(e.Holders, op.Holder(h))
	}
	return e
}

func textOf(d *check.Decision) string {
	switch d.Reason {
	case decide.UnknownRoute:
		return "this product has no such request: the charter's routes do not name it"
	case decide.RegionNotAllowed:
		return "the organization's data may not be in this region"
	case decide.OrganizationGone:
		return "the organization is scheduled for deletion: an owner can restore it"
	}
	return "this needs " + string(d.Needs) + " (" + string(d.Reason) + ")"
}

// refuse answers an error.
func (g *Gate) refuse(x *web.Exchange, err error) { x.Problem(g.refusal(x.Header(), err)) }

// refusal is an error as it is answered. What a gateway needs of it to tell the client is in headers too.
func (g *Gate) refusal(h http.Header, err error) *op.Error {
	e := op.AsError(err)
	fix := e.FixURL
	if fix != "" {
		fix = g.config.BaseURL + fix
	}
	values := &[3]string{e.FullCode(), string(e.Needs), fix}
	h[reasonHeader], h[needsHeader], h[fixHeader] = values[0:1:1], values[1:2:2], values[2:3:3]
	return e
}

// grant says in the header of a yes for whom it is.
func (g *Gate) grant(h http.Header, f *forwarded) {
	values := g.identity(f)
	for i, name := range identityHeaders {
		h[name] = values[i : i+1 : i+1]
	}
	if f.face == ExtAuthz {
		h[envoyRemoveHeader] = envoyRemoves
	}
}

// identity are the values of identityHeaders.
func (g *Gate) identity(f *forwarded) *[len(identityHeaders)]string {
	var who check.Who
	g.config.Access.Name(&f.verdict, &who)
	values := &[len(identityHeaders)]string{5: who.Kind, 6: who.Region, 7: who.Plan, 8: string(f.match.Route.Needs), 9: f.match.Resource, 10: g.features[who.Plan]}
	var room [5 * 40]byte
	text, ends := room[:0], [5]int{}
	for i, id := range [...]*check.ID{&who.User, &who.Member, &who.Organization, &who.Role, &who.Credential} {
		text, _ = id.AppendText(text)
		ends[i] = len(text)
	}
	ids, begin := string(text), 0 // one text of all, and not one of each
	for i, end := range ends {
		values[i], begin = ids[begin:end], end
	}
	return values
}
