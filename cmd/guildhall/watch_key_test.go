package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// doorOf is a server that accepts a key until it is shut.
func doorOf(t *testing.T, shut *atomic.Bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gld_svc_x" || r.URL.Path != "/access/v1/evaluation" {
			t.Errorf("asked %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		body, _ := io.ReadAll(r.Body)
		switch about := strings.Contains(string(body), "gld_live_y"); {
		case shut.Load() && about:
			_, _ = io.WriteString(w, `{"decision":false}`)
		case shut.Load():
			w.WriteHeader(http.StatusUnauthorized)
		case about:
			_, _ = io.WriteString(w, `{"decision":true}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "{}")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// lines tells of what is written to it.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	see  func(text string)
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(b)
	l.see(l.text.String())
	return n, err
}

func TestAKeyIsSeenToDieEverywhere(t *testing.T) {
	for says, c := range map[string]struct {
		environ, args []string
	}{
		"the key that asks": {environ: []string{"GUILDHALL_KEY=gld_svc_x"}},
		"another one":       {environ: []string{"GUILDHALL_KEY=gld_svc_x", "GUILDHALL_WATCHED=gld_live_y"}, args: []string{"--permission", "workflows.view", "--organization", "acme"}},
	} {
		t.Run(says, func(t *testing.T) {
			var shut atomic.Bool
			out := &lines{see: func(text string) {
				if strings.Contains(text, "Revoke it now") {
					shut.Store(true)
				}
			}}
			p := process{args: append(c.args, doorOf(t, &shut), doorOf(t, &shut)), environ: c.environ, stdout: out, stderr: io.Discard}
			if err := watchKey(context.Background(), p); err != nil {
				t.Fatal(err)
			}
			if text := out.text.String(); !strings.Contains(text, "refused                refused") || !strings.Contains(text, ", 0 were accepted.") {
				t.Errorf("printed:\n%s", text)
			}
		})
	}
}

// A server that accepts what others have refused is an error.
func TestAKeyThatComesBackIsSeen(t *testing.T) {
	var shut atomic.Bool
	out := &lines{see: func(string) {}}
	url := doorOf(t, &shut)
	w := &watchedKey{client: http.DefaultClient, key: "gld_svc_x", out: out, servers: []*watchedServer{{url: url}, {url: url}}}
	for at, says := range []string{saysYes, saysNo} {
		for _, s := range w.servers {
			w.note(s, time.Duration(at+1)*time.Second, says)
		}
	}
	w.note(w.servers[0], 3*time.Second, saysYes)
	if err := w.report(); err == nil || !strings.Contains(err.Error(), "1 questions were accepted") {
		t.Errorf("got %v\n%s", err, out.text.String())
	}
}

func TestWatchKeySaysWhatItNeeds(t *testing.T) {
	for _, c := range []struct {
		environ []string
		args    []string
		want    string
	}{
		{nil, nil, "which servers?"},
		{nil, []string{"http://127.0.0.1:1"}, "GUILDHALL_KEY is empty"},
		{[]string{"GUILDHALL_KEY=k"}, []string{"127.0.0.1:1"}, "is not the address of a server"},
		{[]string{"GUILDHALL_KEY=k", "GUILDHALL_WATCHED=w"}, []string{"http://127.0.0.1:1"}, "--permission and --organization"},
		{[]string{"GUILDHALL_KEY=k"}, []string{"http://127.0.0.1:1"}, "no server accepts it: no answer"},
	} {
		err := watchKey(t.Context(), process{args: c.args, environ: c.environ, stdout: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: %v, want %s", c.environ, c.args, err, c.want)
		}
	}
}
