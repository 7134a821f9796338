package client_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testhall"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// house is a server that listens, and the service behind it.
type house struct {
	*testhall.Hall
	url string
}

func open(t *testing.T, db *sqldb.DB, change func(*op.Config)) *house {
	t.Helper()
	h := &house{Hall: testhall.New(t, db, change)}
	s := httptest.NewServer(server.New(server.Config{Service: h.Service, BaseURL: "https://hall.test", Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) find(t *testing.T, name string) op.Any {
	t.Helper()
	o, ok := h.Service.Find(name)
	if !ok {
		t.Fatalf("no operation %s", name)
	}
	return o
}

// call calls with types, as a user of the library does.
func call[In, Out any](t *testing.T, h *house, b op.Backend, name string, in In, options ...op.Option) (Out, error) {
	t.Helper()
	o, ok := h.find(t, name).(*op.Op[In, Out])
	if !ok {
		t.Fatalf("%s has other types", name)
	}
	return o.Call(t.Context(), b, in, options...)
}

func acme(note string) testhall.OneNote {
	return testhall.OneNote{InOrganization: op.InOrganization{Organization: "acme"}, Note: note}
}

func TestAClientIsABackend(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := open(t, db, nil)
		c := client.New(h.url, h.Ada)
		until := testhall.Start.Add(time.Hour)
		made, err := call[testhall.CreateNote, testhall.Note](t, h, c, "notes.create", testhall.CreateNote{
			InOrganization: op.InOrganization{Organization: "acme"}, Text: "a/b & ü", Tags: []string{"x"}, ExpiresAt: &until})
		if err != nil || made.Secret == "" || made.Text != "a/b & ü" || !made.ExpiresAt.Equal(until) {
			t.Fatalf("got %+v %v", made, err)
		}
		got, err := call[testhall.OneNote, testhall.Note](t, h, c, "notes.get", acme(made.ID))
		if err != nil || got.ID != made.ID {
			t.Errorf("got %+v %v", got, err)
		}
		list, err := call[testhall.ListNotes, op.List[testhall.Note]](t, h, c, "notes.list", testhall.ListNotes{
			InOrganization: op.InOrganization{Organization: "acme"}, Page: op.Page{Limit: 1}, Contains: "& ü", Tags: []string{"x", "y"}})
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != made.ID {
			t.Errorf("got %+v %v", list, err)
		}
		word, err := call[testhall.Word, testhall.Greeting](t, h, client.New(h.url, ""), "echo.say", testhall.Word{Word: "hi"})
		if err != nil || word.Word != "hi" {
			t.Errorf("got %+v %v", word, err)
		}
	})
}

// The same error comes from the service and through HTTP, in every field.
func TestErrorsComeThroughWhole(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	text := "other"
	tests := []struct {
		name, operation, as string
		input               any
		ifMatch             string
	}{
		{"unauthenticated", "notes.get", "", acme("note_1"), ""},
		{"denied", "notes.update", h.Vic, testhall.UpdateNote{InOrganization: acme("").InOrganization, Note: "note_1", Text: &text}, ""},
		{"not found", "notes.get", h.Ada, acme("note_9"), ""},
		{"a stranger", "notes.get", h.Glen, acme("note_1"), ""},
		{"invalid", "notes.create", h.Ada, testhall.CreateNote{InOrganization: acme("").InOrganization}, ""},
		{"conflict", "notes.create", h.Ada, testhall.CreateNote{InOrganization: acme("").InOrganization, Text: "taken"}, ""},
		{"stale", "notes.update", h.Ada, testhall.UpdateNote{InOrganization: acme("").InOrganization, Note: "note_1", Text: &text}, `"7"`},
	}
	ours := cmpopts.IgnoreFields(op.Error{}, "RequestID", "Docs", "Current", "Code", "FixURL")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			request := op.Request{Input: tt.input, IfMatch: tt.ifMatch, Caller: op.Caller{Credential: tt.as}}
			_, here := h.Service.Invoke(t.Context(), h.find(t, tt.operation), request)
			_, there := client.New(h.url, "").Invoke(t.Context(), h.find(t, tt.operation), request)
			want, got := op.AsError(here), op.AsError(there)
			if diff := cmp.Diff(want, got, ours, cmpopts.IgnoreUnexported(op.Error{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-here +there)\n%s", diff)
			}
			if got.FullCode() != want.FullCode() || !strings.HasSuffix(got.FixURL, want.FixURL) || (want.Current == nil) != (got.Current == nil) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if !strings.HasPrefix(got.RequestID, "req_") || got.Docs != "https://hall.test/docs/errors#"+want.FullCode() {
				t.Errorf("got request %q, docs %q", got.RequestID, got.Docs)
			}
		})
	}
}

func TestMissingPathFieldsAreNotSent(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	_, err := client.New("http://127.0.0.1:1", h.Ada).Invoke(t.Context(), h.find(t, "notes.get"), op.Request{Input: acme("")})
	if e := op.AsError(err); e.Kind != op.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != "/note" {
		t.Errorf("got %+v", e)
	}
}

func TestADryRunAndAVersionAreSaid(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	c := client.New(h.url, h.Ada)
	r, err := c.Invoke(t.Context(), h.find(t, "notes.update"), op.Request{Input: map[string]any{"organization": "acme", "note": "note_1"}, DryRun: true})
	if raw, _ := r.Output.(interface{ String() string }); err != nil || !strings.Contains(raw.String(), `"dry_run":true`) {
		t.Errorf("got %v %v", r.Output, err)
	}
	r, err = c.Invoke(t.Context(), h.find(t, "notes.get"), op.Request{Input: acme("note_1")})
	if err != nil || r.ETag != `"1"` {
		t.Errorf("got ETag %q %v", r.ETag, err)
	}
}

// replies answers with one status after another, and keeps the keys it saw.
type replies struct {
	statuses []int
	after    string
	calls    atomic.Int32
	keys     []string
}

func (s *replies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.calls.Add(1)) - 1
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	if s.after != "" {
		w.Header().Set("Retry-After", s.after)
	}
	w.WriteHeader(s.statuses[min(n, len(s.statuses)-1)])
	_, _ = io.WriteString(w, "{}")
}

func TestABusyServerIsAskedAgain(t *testing.T) {
	h := testhall.New(t, testdb.SQLite(t), nil)
	tests := []struct {
		name, operation string
		statuses        []int
		after           string
		calls           int
		ok              bool
	}{
		{"limited once", "notes.create", []int{429, 201}, "2", 2, true},
		{"unavailable twice", "notes.create", []int{503, 503, 201}, "", 3, true},
		{"unavailable for a read", "notes.get", []int{503, 200}, "", 2, true},
		{"unavailable for a change without a key", "notes.update", []int{503, 200}, "", 1, false},
		{"limited for a change without a key", "notes.update", []int{429, 200}, "1", 2, true},
		{"unavailable for ever", "notes.create", []int{503}, "", 4, false},
		{"limited for an hour", "notes.create", []int{429, 201}, "3600", 1, false},
		{"an internal error", "notes.create", []int{500, 201}, "", 1, false},
		{"a conflict", "notes.create", []int{409, 201}, "", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &replies{statuses: tt.statuses, after: tt.after}
			listener := httptest.NewServer(s)
			defer listener.Close()
			var pauses []time.Duration
			c := client.New(listener.URL, "x", client.Waiting(func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }))
			o, _ := h.Service.Find(tt.operation)
			_, err := c.Invoke(t.Context(), o, op.Request{Input: acme("note_1")})
			if got := int(s.calls.Load()); got != tt.calls || (err == nil) != tt.ok {
				t.Errorf("got %d calls and %v, want %d and ok %v", got, err, tt.calls, tt.ok)
			}
			if tt.after == "2" && (pauses[0] < 2*time.Second || pauses[0] > 3*time.Second) {
				t.Errorf("waited %v, want 2 to 3 s", pauses[0])
			}
			for _, key := range s.keys {
				if key != s.keys[0] || (o.Info().Method == "POST") != (key != "") {
					t.Errorf("got keys %q", s.keys)
				}
			}
		})
	}
}

func TestNoAnswerIsUnavailable(t *testing.T) {
	h := testhall.New(t, testdb.SQLite(t), nil)
	listener := httptest.NewServer(nil)
	listener.Close()
	c := client.New(listener.URL, h.Ada, client.Tries(1))
	o, _ := h.Service.Find("notes.get")
	_, err := c.Invoke(t.Context(), o, op.Request{Input: acme("note_1")})
	e := op.AsError(err)
	if e.Kind != op.Unavailable || !strings.Contains(e.Text, "no answer from "+listener.URL) || strings.Contains(e.Text, h.Ada) {
		t.Errorf("got %+v", e)
	}
}

func TestACredentialIsNotSentElsewhere(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer first.Close()
	h := testhall.New(t, testdb.SQLite(t), nil)
	o, _ := h.Service.Find("notes.get")
	_, err := client.New(first.URL, h.Ada).Invoke(t.Context(), o, op.Request{Input: acme("note_1")})
	if err == nil || elsewhere.Load() != 0 {
		t.Errorf("got %v, and %d calls elsewhere", err, elsewhere.Load())
	}
}

func TestAStreamIsReadWholeOrNotAtAll(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	c := client.New(h.url, h.Ada)
	input := op.Request{Input: op.InOrganization{Organization: "acme"}}
	export := func(c *client.Client) (string, error) {
		var got strings.Builder
		err := c.Stream(t.Context(), h.find(t, "notes.export"), input, func(op.Info) io.Writer { return &got })
		return got.String(), err
	}
	if got, err := export(c); err != nil || got != "id,text\nnote_1,first\n" {
		t.Errorf("got %q %v", got, err)
	}
	if got, err := export(client.New(h.url, h.Vic)); op.AsError(err).Kind != op.Denied || got != "" {
		t.Errorf("got %q %v, want a denial", got, err)
	}
	if _, err := call[testhall.CreateNote, testhall.Note](t, h, c, "notes.create", testhall.CreateNote{InOrganization: acme("").InOrganization, Text: "poison"}); err != nil {
		t.Fatal(err)
	}
	if got, err := export(c); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}

func TestTheClientLinksNoDatabaseDriver(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/guildhall/guildhall/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range []string{"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/guildhall/guildhall/internal/sqldb/drivers"} {
		if strings.Contains(string(out), driver) {
			t.Errorf("the client links %s", driver)
		}
	}
	if !strings.Contains(string(out), "github.com/guildhall/guildhall/op") {
		t.Error("the list is not the client's")
	}
}

func TestARawRequestGoesToTheServerOnly(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	c := client.New(h.url, h.Ada)
	got, err := c.Raw(t.Context(), client.Raw{Method: "GET", Path: "/v1/organizations/acme/notes/note_1"})
	if err != nil || !strings.Contains(string(got), `"first"`) {
		t.Errorf("got %s, %v", got, err)
	}
	for _, path := range []string{"", "v1", "@evil.test/", ".evil.test/", "https://evil.test/"} {
		if _, err := c.Raw(t.Context(), client.Raw{Method: "GET", Path: path}); op.AsError(err).Kind != op.Malformed {
			t.Errorf("%q: got %v", path, err)
		}
	}
}
