package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// questions are about everybody in two organizations, and about those who are nobody.
func questions(h *guildhalltest.Hall) (all []check.Request) {
	acme, globex := h.Organization("acme"), h.Organization("globex")
	subjects := []check.Subject{check.ByUser("nobody"), check.ByCredential("gld_ses_x"), check.ByCredential(h.ServiceKey("another")), {Type: "dog", ID: "rex"}}
	for _, p := range acme.People {
		subjects = append(subjects, check.ByUser(p.User), check.ByCredential(p.Token))
	}
	resources := []check.Resource{check.Whole("acme"), check.Whole(acme.ID), check.Whole(globex.ID), check.Whole("nowhere")}
	for kind := range h.Charter().Resources {
		resources = append(resources, check.On(kind, "x_1").In("acme"), check.On(kind, "x_1").In(globex.ID), check.On(kind, "x_1"))
	}
	permissions := []charter.Permission{"wibble.wobble"}
	for _, info := range h.Charter().Permissions() {
		permissions = append(permissions, info.ID)
	}
	n := 0
	for _, s := range subjects {
		for _, p := range permissions {
			for _, r := range resources {
				if n++; n%7 == 0 { // enough of them
					all = append(all, check.Request{Subject: s, Permission: p, Resource: r, Address: "203.0.113.7"})
				}
			}
		}
	}
	return all
}

// served is the address of a server of a hall that logs nothing.
func served(t *testing.T, h *guildhalltest.Hall, change func(*httptest.Server)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(server.ForHall(h.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Log: slog.New(slog.DiscardHandler)}))
	change(s)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// sameAnswer compares decisions; a path that is mended at is one of the server's, wherever it was asked.
var sameAnswer = cmp.Options{cmpopts.IgnoreFields(check.Decision{}, "Who"), cmp.Transformer("text", check.ID.String), cmpopts.EquateEmpty(), cmp.FilterPath(
	func(p cmp.Path) bool { return p.Last().String() == ".FixURL" }, cmp.Comparer(func(here, there string) bool {
		return strings.HasSuffix(there, here) || strings.HasSuffix(here, there)
	}))}

func TestAClientAnswersAsTheHallDoes(t *testing.T) {
	for _, product := range charter.Names() {
		t.Run(product, func(t *testing.T) {
			h := guildhalltest.New(t, product)
			all := questions(h)
			c := client.New(served(t, h, func(*httptest.Server) {}), h.ServiceKey("product"))
			there, err := c.CheckAll(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			yes := 0
			for i, q := range all {
				here, err := h.Check(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(here, there[i], sameAnswer); diff != "" {
					t.Fatalf("%s on %+v (-here +there):\n%s", q.Permission, q.Resource, diff)
				}
				if here.Allow {
					yes++
				}
			}
			if len(all) < 500 || yes < 30 {
				t.Errorf("%d of %d answers are yes: that is no test", yes, len(all))
			}
			for _, q := range all[:20] {
				here, _ := h.Check(t.Context(), q)
				if there, err := c.Check(t.Context(), q); err != nil || !cmp.Equal(here, there, sameAnswer) {
					t.Errorf("one by one: got %+v %v, want %+v", there, err, here)
				}
			}
		})
	}
}

func TestChecksKeepTheirConnections(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	h.Organization("acme")
	var opened atomic.Int64
	url := served(t, h, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
	})
	c := client.New(url, h.ServiceKey("product"))
	ask := func() {
		if _, err := c.Check(t.Context(), check.Request{Subject: check.ByUser("usr_1"), Permission: "usage.view", Resource: check.Whole("acme")}); err != nil {
			t.Error(err)
		}
	}
	for range 50 {
		ask()
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("50 checks, one after the other, opened %d connections", got)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				ask()
			}
		})
	}
	all.Wait()
	if got := opened.Load(); got > 8 {
		t.Errorf("checks of 8 at a time opened %d connections", got)
	}
}

func TestNoAnswerIsAnErrorAndNeverAYes(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	url, key := served(t, h, func(*httptest.Server) {}), h.ServiceKey("product")
	says := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tt := range map[string]struct {
		url, key string
		want     op.ErrorKind
	}{
		"a wrong key":            {url, "gld_svc_x", op.Unauthenticated},
		"no key":                 {url, "", op.Unauthenticated},
		"no server":              {gone.URL, key, op.Unavailable},
		"a proxy's error":        {says(502, "bad gateway"), key, op.Unavailable},
		"a page":                 {says(200, "<html>"), key, op.Unavailable},
		"an empty answer":        {says(200, `{}`), key, op.Unavailable},
		"a decision that is not": {says(200, `{"decision":"true"}`), key, op.Unavailable},
		"too few":                {says(200, `{"decision":true,"evaluations":[]}`), key, op.Unavailable},
	} {
		c := client.New(tt.url, tt.key, client.Tries(1))
		q := check.Request{Subject: check.ByCredential("gld_live_secret"), Permission: "usage.view", Resource: check.Whole("acme")}
		d, err := c.Check(t.Context(), q)
		all, errAll := c.CheckAll(t.Context(), []check.Request{q})
		if name == "too few" {
			d, err = check.Decision{}, errAll
		}
		for _, err := range []error{err, errAll} {
			var e *op.Error
			if !errors.As(err, &e) || e.Kind != tt.want || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
		}
		if d.Allow || len(all) != 0 {
			t.Errorf("%s: got %+v, %+v", name, d, all)
		}
	}
}

func TestACheckOfABusyServerIsAskedAgain(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"decision":true,"context":{"reason":"role"}}`)
	}))
	t.Cleanup(s.Close)
	c := client.New(s.URL, "key", client.Waiting(func(context.Context, time.Duration) error { return nil }))
	d, err := c.Check(t.Context(), check.Request{Subject: check.ByUser("usr_1"), Permission: "usage.view", Resource: check.Whole("acme")})
	if err != nil || !d.Allow || d.Reason != decide.ByRole || asked.Load() != 3 {
		t.Errorf("got %+v, %v after %d times", d, err, asked.Load())
	}
}
