package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/guildhall/guildhall/server"
)

// overGRPC asks ext_authz over gRPC, and beside it an echo of grpc-go whose answers are of the same size, and prints the
// server's CPU time a call.
func overGRPC(ctx context.Context, o options) error {
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return err
	}
	var targets []target
	defer func() {
		for _, t := range targets {
			t.child.stop()
		}
	}()
	for _, t := range []target{{name: "floor: an echo of grpc-go", floor: true}, {name: "ext_authz, raw key", checked: true}} {
		if t.child, err = start(ctx, o, map[bool]string{true: "echo", false: "envoy"}[t.floor]); err != nil {
			return err
		}
		targets = append(targets, t)
	}
	calls := callsOf(f, f.questions(1<<12))
	for _, t := range targets {
		if _, err := callAll(ctx, t, calls, o.connections, 0); err != nil {
			return fmt.Errorf("%s, warming up: %w", t.name, err)
		}
	}
	heading(fmt.Sprintf("Over gRPC, %d connections: microseconds of the server's CPU time a call", o.connections), o.usual())
	figures := make([]figure, len(targets))
	for range o.rounds {
		for i, t := range targets {
			if err := figures[i].callRound(ctx, t, calls, o); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	printFigures(targets, figures)
	return nil
}

// call is one question of Envoy's, and whether yes is the right answer to it.
type call struct {
	request *authv3.CheckRequest
	allow   bool
}

// callsOf asks by gRPC what asking asks by forward-auth, with the headers that a browser sends beside.
func callsOf(f *fixture, questions []question) []call {
	forward, _ := asking(f)
	calls := make([]call, len(questions))
	for i := range questions {
		asked := forward(&questions[i])
		header := func(name string) string {
			_, rest, _ := strings.Cut(string(asked.text), "\r\n"+name+": ")
			value, _, _ := strings.Cut(rest, "\r\n")
			return value
		}
		calls[i] = call{allow: asked.allow, request: &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "203.0.113.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711}}}}},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: header("X-Forwarded-Method"), Path: header("X-Forwarded-Uri"),
				Host: "product.test", Scheme: "https", Protocol: "HTTP/2", Headers: map[string]string{"authorization": header("Authorization"),
					":method": header("X-Forwarded-Method"), ":path": header("X-Forwarded-Uri"), ":authority": "product.test", ":scheme": "https",
					"user-agent": "Mozilla/5.0 (X11; Linux x86_64)", "accept": "*/*", "x-forwarded-proto": "https", "x-request-id": "7d1c9a5e-0000-4000-8000-000000000000"}}}}}}
	}
	return calls
}

func (g *figure) callRound(ctx context.Context, t target, calls []call, o options) error {
	before, err := t.child.cpu()
	if err != nil {
		return err
	}
	length := time.Duration(o.seconds * float64(time.Second))
	n, err := callAll(ctx, t, calls, o.connections, length)
	if err != nil {
		return err
	}
	after, err := t.child.cpu()
	g.cpu, g.rate = append(g.cpu, float64((after-before).Microseconds())/float64(n)), append(g.rate, float64(n)/length.Seconds())
	return err
}

// callAll calls over the connections at once: for a time, or every question once where that is 0.
func callAll(ctx context.Context, t target, calls []call, connections int, length time.Duration) (int64, error) {
	var all sync.WaitGroup
	var asked atomic.Int64
	errs := make([]error, connections)
	until := time.Now().Add(length)
	for n := range connections {
		all.Go(func() { errs[n] = callOver(ctx, t, calls, n, connections, until, length == 0, &asked) })
	}
	all.Wait()
	return asked.Load(), errors.Join(errs...)
}

func callOver(ctx context.Context, t target, calls []call, n, step int, until time.Time, once bool, asked *atomic.Int64) error {
	conn, err := grpc.NewClient(t.child.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := authv3.NewAuthorizationClient(conn)
	for i := n; ctx.Err() == nil; i += step {
		if once && i >= len(calls) || !once && !time.Now().Before(until) {
			return nil
		}
		c := calls[i%len(calls)]
		answer, err := client.Check(ctx, c.request)
		if err != nil {
			return err
		}
		if t.checked && (codes.Code(answer.GetStatus().GetCode()) == codes.OK) != c.allow {
			return fmt.Errorf("wrong answer %v to %v", answer, c.request)
		}
		asked.Add(1)
	}
	return nil
}

// echo answers each call with the same yes, of the size of a real one.
type echo struct {
	authv3.UnimplementedAuthorizationServer
	answer *authv3.CheckResponse
}

func newEcho() *echo {
	ok := &authv3.OkHttpResponse{HeadersToRemove: []string{"x-guildhall-reason", "x-guildhall-needs", "x-guildhall-fix-url"}}
	for name, value := range map[string]string{"user": fixedID("usr", 1), "member": fixedID("mem", 1), "organization": fixedID("org", 1), "role": "developer",
		"credential": fixedID("key", 1), "kind": "key", "region": "us-east-1", "plan": "free", "permission": "endpoints.view", "resource": "", "features": "mcp"} {
		ok.Headers = append(ok.Headers, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-guildhall-" + name, Value: value}, KeepEmptyValue: true,
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD})
	}
	return &echo{answer: &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}}
}

func (e *echo) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return e.answer, nil
}

// serveGRPC serves the echo, or the hall, on a port of its own, whose address it prints.
func serveGRPC(ctx context.Context, o options, what string) error {
	s := grpc.NewServer()
	if what == "echo" {
		authv3.RegisterAuthorizationServer(s, newEcho())
	} else {
		h, closing, err := openServed(ctx, o, generous)
		if err != nil {
			return err
		}
		defer closing()
		s = server.Envoy(h, faces())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }() // the parent is gone
	fmt.Println(l.Addr())
	return server.ServeEnvoy(ctx, l, s)
}
