package gate_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/server"
)

// envoy is a hall as an Envoy on this machine sees it over gRPC.
type envoy struct {
	authv3.AuthorizationClient
	conn *grpc.ClientConn
}

// asEnvoy serves a hall over gRPC, for gateways in the network.
func asEnvoy(t *testing.T, h *guildhalltest.Hall, gateways string) *envoy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	served := server.Envoy(h.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Gateways: []netip.Prefix{netip.MustParsePrefix(gateways)}})
	go func() { ended <- server.ServeEnvoy(ctx, l, served) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving ended: %v", err)
		}
	})
	return &envoy{authv3.NewAuthorizationClient(conn), conn}
}

// held is a request that a gateway holds, as its client sent it.
type held struct {
	line    string // "GET /api/workflows"
	host    string
	headers http.Header
}

// asked is the request that Envoy asks about it over gRPC: Envoy puts several values of a header into one, and the
// client's address behind those that the client claims. Raw asks in the form of a list of headers.
func (r held) asked(raw bool) *authv3.CheckRequest {
	method, path, _ := strings.Cut(r.line, " ")
	http := &authv3.AttributeContext_HttpRequest{Method: method, Path: path, Host: r.host, Headers: map[string]string{}, HeaderMap: &corev3.HeaderMap{}}
	for name, values := range r.headers {
		if !raw {
			http.Headers[strings.ToLower(name)] = strings.Join(values, ",")
			continue
		}
		for _, value := range values {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
		}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: http},
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "198.51.100.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711}}}}}}}
}

// said is an answer of any face.
type said struct {
	Status int
	Code   string
	Header map[string]string // what starts with X-Guildhall-, but the id of this very answer
	Body   string            // without the request's id
}

func (s said) from(header http.Header, body string) said {
	s.Header = map[string]string{}
	for name, values := range header {
		if strings.HasPrefix(name, "X-Guildhall-") || name == "Www-Authenticate" || name == "Content-Type" || name == "Retry-After" {
			s.Header[name] = strings.Join(values, "|")
		}
	}
	s.Code = s.Header["X-Guildhall-Reason"]
	if id := header.Get("Request-Id"); id != "" {
		body = strings.ReplaceAll(body, id, "REQ")
	}
	s.Body = body
	return s
}

// byForwardAuth, byHTTP and byGRPC ask about the same request in the three ways.
func (f *front) byForwardAuth(r held) said {
	w := f.asks(r.line, func(q *http.Request) {
		maps.Copy(q.Header, r.headers)
		if r.host != "" {
			q.Header.Set("X-Forwarded-Host", r.host)
		}
	})
	return said{Status: w.Code}.from(w.Header(), w.Body.String())
}

func (f *front) byHTTP(r held) said {
	method, path, _ := strings.Cut(r.line, " ")
	q := httptest.NewRequest(http.MethodGet, "/", nil)
	q.Method, q.RequestURI, q.Host, q.RemoteAddr = method, "/ext-authz"+path, r.host, gatewayAddress+":4711"
	q.URL, _ = q.URL.Parse(strings.ReplaceAll(q.RequestURI, "%zz", "")) // net/http would have refused it
	q.Header.Set("X-Forwarded-For", "198.51.100.7")
	maps.Copy(q.Header, r.headers)
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, q)
	return said{Status: w.Code}.from(w.Header(), w.Body.String())
}

func (e *envoy) asks(t *testing.T, in *authv3.CheckRequest) said {
	t.Helper()
	out, err := e.Check(t.Context(), in)
	if err != nil {
		t.Fatalf("an error, which an Envoy may be told to pass over: %v", err)
	}
	header := http.Header{}
	if ok := out.GetOkResponse(); ok != nil && codes.Code(out.GetStatus().GetCode()) == codes.OK {
		for _, o := range ok.GetHeaders() {
			if o.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || !o.GetKeepEmptyValue() {
				t.Errorf("%s would not overwrite what the client sent", o.GetHeader().GetKey())
			}
			header.Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
		}
		if diff := cmp.Diff([]string{"x-guildhall-reason", "x-guildhall-needs", "x-guildhall-fix-url"}, ok.GetHeadersToRemove()); diff != "" {
			t.Errorf("headers to remove (-want +got)\n%s", diff)
		}
		return said{Status: http.StatusOK}.from(header, "")
	}
	no := out.GetDeniedResponse()
	if no == nil || codes.Code(out.GetStatus().GetCode()) == codes.OK {
		t.Fatalf("neither yes nor no: %v", out)
	}
	for _, o := range no.GetHeaders() {
		header.Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
	}
	return said{Status: int(no.GetStatus().GetCode())}.from(header, no.GetBody())
}

// TestEveryGatewayGetsTheSameAnswer asks about the same requests by forward-auth, by ext_authz over HTTP and over gRPC, in
// both of its forms. T-098, T-054
func TestEveryGatewayGetsTheSameAnswer(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	e := asEnvoy(t, f.hall, "127.0.0.0/8")
	editor, viewer := f.acme.People["editor"], f.acme.People["viewer"]
	key := keyOf(t, f.hall, f.acme, editor, credential.Scoping{})
	bearer := func(token string, more ...string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + token}}
		for i := 0; i < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		return h
	}
	browser := func(site string) http.Header {
		return http.Header{"Cookie": {"a=b; __Host-guildhall=" + editor.Token}, "Sec-Fetch-Site": {site}}
	}
	for says, r := range map[string]held{
		"yes, to a person":               {line: "POST /api/workflows/wf_1/run?dry=1", headers: bearer(editor.Token)},
		"yes, to a key":                  {line: "GET /api/workflows", headers: bearer(key.Secret)},
		"no credential":                  {line: "GET /api/workflows"},
		"the role lacks it":              {line: "POST /api/workflows", headers: bearer(viewer.Token)},
		"no credential's form":           {line: "GET /api/workflows", headers: bearer("gld_live_x")},
		"Basic":                          {line: "GET /api/workflows", headers: http.Header{"Authorization": {"Basic YTpi"}}},
		"two credentials":                {line: "GET /api/workflows", headers: bearer(editor.Token, "Authorization", "Bearer "+editor.Token)},
		"a service key":                  {line: "GET /api/workflows", headers: bearer(f.hall.ServiceKey("back end"))},
		"no such request":                {line: "GET /api/nothing", headers: bearer(editor.Token)},
		"no such method":                 {line: "PUT /api/workflows", headers: bearer(editor.Token)},
		"a double slash":                 {line: "GET //api/workflows", headers: bearer(editor.Token)},
		"a dot segment":                  {line: "GET /api/x/../workflows", headers: bearer(editor.Token)},
		"an encoded letter":              {line: "GET /api/work%66lows", headers: bearer(editor.Token)},
		"an encoded slash":               {line: "GET /api%2Fworkflows", headers: bearer(editor.Token)},
		"no encoding at all":             {line: "GET /api/%zz", headers: bearer(editor.Token)},
		"a credential in the query":      {line: "GET /api/workflows?access_token=" + editor.Token},
		"one in the query and another":   {line: "GET /api/workflows?access_token=" + viewer.Token, headers: bearer(editor.Token)},
		"another method by header":       {line: "GET /api/workflows/wf_1/run", headers: bearer(editor.Token, "X-Http-Method-Override", "POST")},
		"identity that the client sends": {line: "GET /api/workflows", headers: bearer(viewer.Token, "X-Guildhall-Role", "owner", "X-Guildhall-User", "usr_1")},
		"the product's own page":         {line: "POST /api/workflows", host: "product.test", headers: browser("same-origin")},
		"another site":                   {line: "POST /api/workflows", host: "product.test", headers: browser("cross-site")},
		"an old browser, the own page": {line: "POST /api/workflows", host: "product.test",
			headers: http.Header{"Cookie": {"__Host-guildhall=" + editor.Token}, "Origin": {"https://product.test"}}},
		"an old browser, another site": {line: "POST /api/workflows", host: "product.test",
			headers: http.Header{"Cookie": {"__Host-guildhall=" + editor.Token}, "Origin": {"https://evil.test"}}},
		"two sessions":        {line: "GET /api/workflows", headers: http.Header{"Cookie": {"__Host-guildhall=" + editor.Token + "; __Host-guildhall=" + viewer.Token}}},
		"another region":      {line: "GET /api/workflows", headers: bearer(editor.Token, "X-Forwarded-Region", "eu-central-1")},
		"the path of a face":  {line: "GET /forward-auth", headers: bearer(editor.Token)},
		"the path of another": {line: "GET /ext-authz/api/workflows", headers: bearer(editor.Token)},
	} {
		want := f.byForwardAuth(r)
		for face, got := range map[string]said{"HTTP": f.byHTTP(r), "gRPC": e.asks(t, r.asked(false)), "gRPC, raw": e.asks(t, r.asked(true))} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s answers another way than forward-auth (-forward-auth +ext_authz)\n%s", says, face, diff)
			}
		}
	}
	if got := e.asks(t, held{line: "GET /api/workflows", headers: bearer(editor.Token)}.asked(false)); got.Status != 200 || len(got.Header) != len(all) {
		t.Errorf("a yes: %+v", got)
	}
}

// TestWhatEnvoyLeavesOutIsANo, and so is what comes from elsewhere. None of it is an error of the call.
func TestWhatEnvoyLeavesOutIsANo(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	e, stranger := asEnvoy(t, f.hall, "127.0.0.0/8"), asEnvoy(t, f.hall, "10.0.0.0/8")
	good := func() *authv3.CheckRequest {
		return held{line: "GET /api/workflows", headers: http.Header{"Authorization": {"Bearer " + f.acme.Owner().Token}}}.asked(false)
	}
	for says, change := range map[string]func(a *authv3.AttributeContext){
		"nothing":    func(a *authv3.AttributeContext) { a.Request, a.Source = nil, nil },
		"no request": func(a *authv3.AttributeContext) { a.Request = nil },
		"no source":  func(a *authv3.AttributeContext) { a.Source = nil },
		"no method":  func(a *authv3.AttributeContext) { a.Request.Http.Method = "" },
		"no path":    func(a *authv3.AttributeContext) { a.Request.Http.Path = "" },
	} {
		in := good()
		change(in.Attributes)
		if got := e.asks(t, in); got.Status != http.StatusBadRequest || got.Code != "malformed" {
			t.Errorf("%s: %+v", says, got)
		}
	}
	if got := e.asks(t, &authv3.CheckRequest{}); got.Status != http.StatusBadRequest {
		t.Errorf("an empty question: %+v", got)
	}
	if got := stranger.asks(t, good()); got.Status != http.StatusForbidden || got.Code != "gateway_not_trusted" {
		t.Errorf("from an address that is no gateway's: %+v", got)
	}
	in := good()
	in.Attributes.ContextExtensions = map[string]string{"region": "eu-central-1"}
	if got := e.asks(t, in); got.Code != "region_not_allowed" {
		t.Errorf("in a region that Envoy's configuration names: %+v", got)
	}
	if got := e.asks(t, good()); got.Status != http.StatusOK {
		t.Errorf("all there: %+v", got)
	}
}

// TestEnvoyHearsOfARevocationAtOnce: T-038
func TestEnvoyHearsOfARevocationAtOnce(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	e := asEnvoy(t, f.hall, "127.0.0.0/8")
	p := f.acme.Join("mallory@acme.test", "editor")
	r := held{line: "GET /api/workflows", headers: http.Header{"Authorization": {"Bearer " + p.Token}}}
	if got := e.asks(t, r.asked(false)); got.Status != http.StatusOK {
		t.Fatalf("before: %+v", got)
	}
	in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: f.acme.In(), Member: p.Member}}
	if _, err := directory.RemoveMember.Call(f.acme.Owner().Ctx(), f.hall.Service(), in); err != nil {
		t.Fatal(err)
	}
	for face, got := range map[string]said{"gRPC": e.asks(t, r.asked(false)), "HTTP": f.byHTTP(r)} {
		if got.Status != http.StatusForbidden {
			t.Errorf("%s, after being removed: %+v", face, got)
		}
	}
}

// TestEnvoyAsksForHealth: what /readyz says.
func TestEnvoyAsksForHealth(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	e := asEnvoy(t, h, "127.0.0.0/8")
	out, err := grpc_health_v1.NewHealthClient(e.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || out.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("got %v %v", out, err)
	}
}
