package ui_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// T-068
func TestSecureSetsTheHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	nonce := ui.Secure(w)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'self' 'nonce-" + nonce + "'; " +
			"img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":     "nosniff",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Referrer-Policy":            "same-origin",
		"Cache-Control":              "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestEveryResponseHasItsOwnNonce(t *testing.T) {
	first, second := ui.Secure(httptest.NewRecorder()), ui.Secure(httptest.NewRecorder())
	if first == second || len(first) < 22 {
		t.Errorf("got %q and %q, want two of at least 128 bits", first, second)
	}
}

func TestAllowFormToWidensFormsOnly(t *testing.T) {
	w := httptest.NewRecorder()
	nonce := ui.Secure(w)
	before := w.Header().Get("Content-Security-Policy")
	ui.AllowFormTo(w, nonce, "https://idp.example.com")
	want := strings.Replace(before, "form-action 'self'", "form-action 'self' https://idp.example.com", 1)
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoReferrer(t *testing.T) {
	w := httptest.NewRecorder()
	ui.Secure(w)
	ui.NoReferrer(w)
	if got := w.Header().Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("got %q, want no-referrer", got)
	}
}

func TestFragment(t *testing.T) {
	for _, c := range []struct {
		what    string
		headers map[string]string
		want    bool
	}{
		{"a plain request", nil, false},
		{"a part", map[string]string{"HX-Request": "true", "HX-Request-Type": "partial"}, true},
		{"a full page by htmx", map[string]string{"HX-Request": "true", "HX-Request-Type": "full"}, false},
		{"history", map[string]string{"HX-Request": "true", "HX-Request-Type": "partial", "HX-History-Restore-Request": "true"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range c.headers {
			r.Header.Set(name, value)
		}
		if got := ui.Fragment(r); got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
}

func TestRespondPutsItsNonceIntoTheMarkup(t *testing.T) {
	w := httptest.NewRecorder()
	err := ui.Respond(w, httptest.NewRequest("GET", "/", nil), http.StatusUnprocessableEntity, func(string) templ.Component {
		return ui.Button(ui.ButtonProps{Text: "Invite", Href: "/invite", Dialog: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(w.Header().Get("Content-Security-Policy"), "'nonce-")
	nonce, _, _ := strings.Cut(rest, "'")
	if nonce == "" || !strings.Contains(w.Body.String(), `hx-nonce="`+nonce+`"`) {
		t.Errorf("nonce %q is not in %s", nonce, w.Body)
	}
	if w.Code != http.StatusUnprocessableEntity || w.Header().Get("Vary") != "HX-Request, HX-Request-Type" {
		t.Errorf("got %d, Vary %q", w.Code, w.Header().Get("Vary"))
	}
}

func TestRespondWritesNothingWhenRenderingFails(t *testing.T) {
	broken := errors.New("broken")
	w := httptest.NewRecorder()
	err := ui.Respond(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, func(string) templ.Component {
		return templ.ComponentFunc(func(_ context.Context, out io.Writer) error {
			_, _ = io.WriteString(out, "half")
			return broken
		})
	})
	if !errors.Is(err, broken) || w.Body.Len() != 0 {
		t.Errorf("got %v and %q, want the error and nothing", err, w.Body)
	}
}
