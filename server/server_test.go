package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testhall"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/server/internal/gate"
)

// says is a handler that says a word.
func says(word string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, word) })
}

func get(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryPathHasItsHandler(t *testing.T) {
	hall := testhall.New(t, testdb.SQLite(t), nil)
	h := server.New(server.Config{Service: hall.Service, BaseURL: "http://localhost:8080", Console: says("console"), Gate: gate.New(gate.Config{Service: hall.Service}),
		Extra: map[string]http.Handler{"/dev/": says("dev")}, Log: slog.New(slog.DiscardHandler)})
	tests := []struct {
		path     string
		status   int
		contains string
	}{
		{"/", 200, "console"},
		{"/o/acme/settings/members", 200, "console"},
		{"/login", 200, "console"},
		{"/v1", 200, "openapi"},
		{"/v1/", 404, "not_found"},
		{"/v1/organizations/acme/notes", 401, "unauthenticated"},
		{"/openapi.json", 200, `"openapi": "3.1.0"`},
		{"/access/v1/evaluation", 405, "is asked by POST"},
		{"/access/v1/nothing", 404, "not_found"},
		{"/access/v1/%65valuation", 404, "not_found"},
		{"/forward-auth", 403, "gateway_not_trusted"},
		{"/ext-authz/api//x", 403, "gateway_not_trusted"},
		{"/ext-authz", 200, "console"},
		{"/dev/mail", 200, "dev"},
		{"/healthz", 200, "ok"},
		{"/readyz", 200, "ready"},
		{"/charter.schema.json", 200, `"title": "Guildhall charter"`},
		{"//v1", 404, "not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			got := get(h, tt.path)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.contains) {
				t.Errorf("got %d %s, want %d with %s", got.Code, got.Body, tt.status, tt.contains)
			}
		})
	}
}

func TestReadinessIsAboutWhatRequestsNeed(t *testing.T) {
	hall := testhall.New(t, testdb.SQLite(t), nil)
	broken := errors.New("connection to 10.0.0.7 refused")
	h := server.New(server.Config{Service: hall.Service, Ready: func(context.Context) error { return broken }, Log: slog.New(slog.DiscardHandler)})
	got := get(h, "/readyz")
	if got.Code != 503 || got.Header().Get("Retry-After") != "1" || strings.Contains(got.Body.String(), "10.0.0.7") {
		t.Errorf("got %d, Retry-After %q: %s", got.Code, got.Header().Get("Retry-After"), got.Body)
	}
	if got := get(h, "/healthz"); got.Code != 200 {
		t.Errorf("healthz: got %d", got.Code)
	}
	broken = nil
	if got := get(h, "/readyz"); got.Code != 200 {
		t.Errorf("ready again: got %d", got.Code)
	}
}

func TestABrowserIsRefusedWithAPage(t *testing.T) {
	hall := testhall.New(t, testdb.SQLite(t), nil)
	page := func(w http.ResponseWriter, _ *http.Request, e *op.Error) {
		w.WriteHeader(e.Kind.Status())
		_, _ = io.WriteString(w, "<h1>"+e.Text)
	}
	h := server.New(server.Config{Service: hall.Service, Refuse: page, Log: slog.New(slog.DiscardHandler)})
	tests := []struct{ name, path, accept, contains string }{
		{"a browser", "/o//acme", "text/html,*/*", "<h1>not found"},
		{"a program", "/o//acme", "*/*", `"code":"not_found"`},
		{"a browser at the API", "/v1//x", "text/html", `"code":"not_found"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := get(h, tt.path, "Accept", tt.accept); got.Code != 404 || !strings.Contains(got.Body.String(), tt.contains) {
				t.Errorf("got %d %s, want 404 with %s", got.Code, got.Body, tt.contains)
			}
		})
	}
}

func TestAnAddressInUseIsSaidPlainly(t *testing.T) {
	taken, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	err = server.Serve(t.Context(), server.ServeConfig{Addr: addr})
	if want := addr + " is in use: choose another with --addr"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// serving starts a server and gives its address, and how to end it.
func serving(t *testing.T, h http.Handler, grace time.Duration) (url string, end func() error) {
	t.Helper()
	l, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, server.ServeConfig{Listener: l, Handler: h, Grace: grace, Log: slog.New(slog.DiscardHandler)})
	}()
	return "http://" + l.Addr().String(), func() error { cancel(); return <-ended }
}

func TestRequestsThatRunMayEnd(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	url, end := serving(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "whole")
	}), 0)
	answered := make(chan string, 1)
	go func() {
		response, err := http.Get(url)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	<-began
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	close(finish)
	if got := <-answered; got != "whole" {
		t.Errorf("got %q, want the whole answer", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
}

func TestLivePagesAreToldThatServingEnds(t *testing.T) {
	began, over := make(chan struct{}), make(chan struct{})
	l, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, server.ServeConfig{Listener: l, Ending: func() { close(over) }, Grace: time.Hour, Log: slog.New(slog.DiscardHandler),
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(began); <-over })})
	}()
	go func() {
		if response, err := http.Get("http://" + l.Addr().String()); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAPageThatNeverEndsIsCut(t *testing.T) {
	began := make(chan struct{})
	url, end := serving(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}), time.Millisecond)
	go func() {
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
		}
	}()
	<-began
	if err := end(); err != nil {
		t.Errorf("got %v", err)
	}
}

// T-100
func TestHugeHeadersAreRefused(t *testing.T) {
	url, end := serving(t, says("no"), 0)
	defer func() { _ = end() }()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	head := make([]byte, len("HTTP/1.1 431"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 431" {
		t.Errorf("got %q %v, want 431", head, err)
	}
}

// T-050
func TestMetricsCountCallsAndNameNobody(t *testing.T) {
	metrics := server.NewMetrics()
	hall := testhall.New(t, testdb.SQLite(t), func(c *op.Config) { c.Observe = metrics.Observe })
	h := server.New(server.Config{Service: hall.Service, Log: slog.New(slog.DiscardHandler)})
	get(h, "/v1/organizations/acme/notes", "Authorization", "Bearer "+hall.Vic)
	get(h, "/v1/organizations/acme/notes/note_0", "Authorization", "Bearer "+hall.Vic)
	body := get(metrics.Handler(), "/metrics").Body.String()
	for _, want := range []string{
		`guildhall_operations_total{code="ok",kind="read",operation="notes.list"} 1`,
		`guildhall_operations_total{code="not_found",kind="read",operation="notes.get"} 1`,
		`guildhall_operation_seconds_count{operation="notes.get"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, name := range []string{"acme", "usr_vic", "note_0", hall.Vic} {
		if strings.Contains(body, name) {
			t.Errorf("the metrics name %s", name)
		}
	}
}
