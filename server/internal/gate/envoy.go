package gate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/guildhall/guildhall/internal/peer"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// headersToRemove are taken off a request that passes: they are of answers no, and on a request nobody's but the client's.
var headersToRemove = []string{"x-guildhall-reason", "x-guildhall-needs", "x-guildhall-fix-url"}

// envoyRemoveHeader tells Envoy the same over HTTP.
const envoyRemoveHeader = "X-Envoy-Auth-Headers-To-Remove"

var envoyRemoves = []string{strings.Join(headersToRemove, ",")}

// extAuthz answers Envoy's ext_authz over HTTP. The request that asks is the one that is asked about, without its body and
// below ExtAuthzPath.
func (g *Gate) extAuthz(x *web.Exchange) {
	f := forwarded{face: ExtAuthz, id: x.RequestID(), began: x.Began(), header: x.Request.Header, caller: x.HeldCaller()}
	g.answerHeld(x, &f, describedByItself)
}

// describedByItself takes a request that was sent on under another path.
func describedByItself(x *web.Exchange, f *forwarded) (uri string, err error) {
	if !f.named() {
		return "", malformed("a gateway sends %s at most once", regionHeader)
	}
	f.method, f.host = x.Request.Method, x.Request.Host
	return x.Request.RequestURI[len(ExtAuthzPath)-1:], nil
}

// Envoy answers Envoy's ext_authz over gRPC (envoy.service.auth.v3.Authorization). Whatever goes wrong is an answer no and
// never an error of the call: an Envoy that is told to let requests through while nobody answers would let them through.
type Envoy struct {
	authv3.UnimplementedAuthorizationServer
	gate *Gate
}

// Envoy is what answers over gRPC.
func (g *Gate) Envoy() *Envoy { return &Envoy{gate: g} }

// Check says whether a request may pass. The error is always nil.
func (e *Envoy) Check(ctx context.Context, asked *authv3.CheckRequest) (answer *authv3.CheckResponse, _ error) {
	g := e.gate
	f := forwarded{face: ExtAuthz, id: g.held.NewID(), began: time.Now()}
	defer func() {
		if cause := recover(); cause != nil {
			g.config.Log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("request_id", f.id), slog.String("route", "ext_authz"),
				slog.String("cause", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
			answer = g.denied(&f, &op.Error{Kind: op.Internal, Text: "internal error"})
		}
	}()
	if remote := remoteOf(ctx); !peer.Within(remote, g.config.Gateways) {
		return g.denied(&f, g.untrusted(ctx, &f, peer.Text(remote))), nil
	}
	uri, err := g.describe(asked.GetAttributes(), &f)
	if err == nil {
		err = g.decide(ctx, &f, uri)
	}
	g.tellForwarded(&f, err)
	if err != nil {
		return g.denied(&f, err), nil
	}
	return g.passed(&f), nil
}

// remoteOf is the address that asks; not valid where it has none.
func remoteOf(ctx context.Context) netip.Addr {
	if from, ok := grpcpeer.FromContext(ctx); ok {
		if at, ok := from.Addr.(*net.TCPAddr); ok {
			return at.AddrPort().Addr().Unmap()
		}
	}
	return netip.Addr{}
}

// describe takes a request from what Envoy says of it. A region that Envoy's own configuration names goes before the header.
func (g *Gate) describe(a *authv3.AttributeContext, f *forwarded) (uri string, err error) {
	held, from := a.GetRequest().GetHttp(), a.GetSource().GetAddress().GetSocketAddress().GetAddress()
	if held.GetMethod() == "" || held.GetPath() == "" || from == "" {
		return "", malformed("Envoy names the request's method and path and the address that it came from: attributes.request.http and attributes.source")
	}
	f.method, f.host, f.header = held.GetMethod(), held.GetHost(), headersOf(held)
	f.caller = g.held.Caller(&http.Request{Header: f.header, RemoteAddr: from, URL: &url.URL{}}, f.id, g.config.Gateways)
	if !f.named() {
		return "", malformed("a request has %s at most once", regionHeader)
	}
	if region := a.GetContextExtensions()["region"]; region != "" {
		f.region = region
	}
	return held.GetPath(), nil
}

// readHeaders are those that are read of a request that Envoy describes, by Envoy's spelling and by ours.
var readHeaders = map[string]string{"authorization": "Authorization", "cookie": "Cookie", "origin": "Origin",
	"sec-fetch-site": "Sec-Fetch-Site", "x-forwarded-for": "X-Forwarded-For", "x-forwarded-region": regionHeader}

// headersOf are the headers of a request that are read, in either of the forms that Envoy gives them.
func headersOf(r *authv3.AttributeContext_HttpRequest) http.Header {
	h := make(http.Header, len(readHeaders))
	for _, each := range r.GetHeaderMap().GetHeaders() {
		if name := readHeaders[each.GetKey()]; name != "" {
			value := each.GetValue()
			if raw := each.GetRawValue(); len(raw) > 0 {
				value = string(raw)
			}
			h[name] = append(h[name], value)
		}
	}
	for key, name := range readHeaders {
		if value, ok := r.GetHeaders()[key]; ok { // with commas between them, should there be several
			h[name] = append(h[name], value)
		}
	}
	return h
}

// yes is an answer that lets a request pass, in one piece.
type yes struct {
	response authv3.CheckResponse
	ok       authv3.CheckResponse_OkResponse
	http     authv3.OkHttpResponse
	status   status.Status
	options  [len(identityHeaders)]corev3.HeaderValueOption
	values   [len(identityHeaders)]corev3.HeaderValue
	list     [len(identityHeaders)]*corev3.HeaderValueOption
}

// passed lets a request pass, for whom the headers say. Each overwrites what the client has sent under its name, empty too.
func (g *Gate) passed(f *forwarded) *authv3.CheckResponse {
	y := &yes{}
	for i, value := range g.identity(f) {
		y.values[i].Key, y.values[i].Value = identityNames[i], value
		y.options[i].Header, y.options[i].KeepEmptyValue = &y.values[i], true
		y.options[i].AppendAction = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		y.list[i] = &y.options[i]
	}
	y.http.Headers, y.http.HeadersToRemove = y.list[:], headersToRemove
	y.ok.OkResponse = &y.http
	y.response.Status, y.response.HttpResponse = &y.status, &y.ok
	return &y.response
}

// denied refuses a request, with the answer that its client gets.
func (g *Gate) denied(f *forwarded, err error) *authv3.CheckResponse {
	w := &captured{header: http.Header{}}
	e := g.refusal(w.header, err)
	g.held.Problem(w, f.id, e)
	if w.status >= http.StatusInternalServerError {
		g.config.Log.LogAttrs(context.Background(), slog.LevelInfo, "request", slog.String("route", "ext_authz"), slog.Int("status", w.status),
			slog.Duration("took", time.Since(f.began)), slog.String("address", f.caller.Address), slog.String("request_id", f.id))
	}
	code := codes.PermissionDenied
	if e.Kind == op.Unauthenticated {
		code = codes.Unauthenticated
	}
	return &authv3.CheckResponse{Status: &status.Status{Code: int32(code), Message: e.FullCode()}, //nolint:gosec // codes are small
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(w.status)}, //nolint:gosec // a status of HTTP
			Headers: w.options(), Body: w.body.String()}}}
}

// captured is an answer over HTTP that is sent by other means.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *captured) Header() http.Header         { return w.header }
func (w *captured) WriteHeader(status int)      { w.status = status }
func (w *captured) Write(b []byte) (int, error) { return w.body.Write(b) }

func (w *captured) options() []*corev3.HeaderValueOption {
	all := make([]*corev3.HeaderValueOption, 0, len(w.header))
	for name, values := range w.header {
		for _, value := range values {
			all = append(all, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: strings.ToLower(name), Value: value},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD})
		}
	}
	return all
}
