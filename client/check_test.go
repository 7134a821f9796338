package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// questions are about everybody in two organizations, and about those who are nobody.
func questions(t *testing.T, h *guildhalltest.Hall) (all []check.Request) {
	acme, globex := h.Organization("acme"), h.Organization("globex")
	subjects := []check.Subject{check.ByUser("nobody"), check.ByCredential("gld_ses_x"), check.ByCredential(h.ServiceKey("another")), {Type: "dog", ID: "rex"}}
	for _, p := range acme.People {
		subjects = append(subjects, check.ByUser(p.User), check.ByCredential(p.Token))
	}
	for _, secret := range bearers(t, h, acme) {
		subjects = append(subjects, check.ByCredential(secret))
	}
	resources := []check.Resource{check.Whole("acme"), check.Whole(""), check.Whole(acme.ID), check.Whole(globex.ID), check.Whole("nowhere")}
	for kind := range h.Charter().Resources {
		resources = append(resources, check.On(kind, "x_1").In("acme"), check.On(kind, "x_1").In(globex.ID), check.On(kind, "x_1"))
	}
	permissions := []charter.Permission{"wibble.wobble"}
	for _, info := range h.Charter().Permissions() {
		permissions = append(permissions, info.ID)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for _, s := range subjects {
		for _, p := range permissions {
			for _, r := range resources {
				if r == check.Whole("") && s.Type != check.Credential {
					continue // the organization of nobody is no question
				}
				if dice.IntN(7) == 0 {
					all = append(all, check.Request{Subject: s, Permission: p, Resource: r, Address: "203.0.113.7"})
				}
			}
		}
	}
	return all
}

// bearers are a key of the owner's, one for a single resource and from elsewhere, and a token that only reads.
func bearers(t *testing.T, h *guildhalltest.Hall, o *guildhalltest.Organization) (secrets []string) {
	t.Helper()
	ctx, b := o.Owner().Ctx(), h.Service()
	kind := slices.Sorted(maps.Keys(h.Charter().Resources))[0]
	for _, scope := range []credential.Scoping{{}, {Resources: []string{kind + ":x_1"}}, {Networks: []string{"192.0.2.0/24"}}} {
		key, err := credential.CreateKey.Call(ctx, b, credential.CreateKeyInput{InOrganization: o.In(), Name: "a key", Scoping: scope})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, key.Secret)
	}
	token, err := credential.CreateToken.Call(ctx, b, credential.CreateTokenInput{InOrganization: o.In(), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return append(secrets, token.Secret)
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
var sameAnswer = cmp.Options{cmp.Transformer("text", check.ID.String), cmpopts.EquateEmpty(), cmp.FilterPath(
	func(p cmp.Path) bool { return p.Last().String() == ".FixURL" }, cmp.Comparer(func(here, there string) bool {
		return strings.HasSuffix(there, here) || strings.HasSuffix(here, there)
	}))}

func TestAClientAnswersAsTheHallDoes(t *testing.T) {
	for _, product := range charter.Names() {
		t.Run(product, func(t *testing.T) {
			h := guildhalltest.New(t, product)
			all := questions(t, h)
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
	// A call for which a connection is being opened takes one that comes free before: some more than 8 may be opened.
	if got := opened.Load(); got > 40 {
		t.Errorf("160 checks, 8 at a time, opened %d connections", got)
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

func TestAClientKnowsWhatACredentialIs(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	editor := h.Organization("acme").People["editor"]
	c := client.New(served(t, h, func(*httptest.Server) {}), h.ServiceKey("product"))
	got, err := c.Introspect(t.Context(), editor.Token, "203.0.113.7")
	if err != nil || !got.Active || got.Kind != "user" || got.User != editor.User || got.ID == "" || got.ExpiresAt.IsZero() {
		t.Errorf("a session is %+v, %v", got, err)
	}
	got, err = c.Introspect(t.Context(), "gld_live_x", "")
	if err != nil || !cmp.Equal(got, client.Introspection{}) {
		t.Errorf("what nobody knows is %+v, %v", got, err)
	}
	if _, err := client.New(served(t, h, func(*httptest.Server) {}), editor.Token).Introspect(t.Context(), editor.Token, ""); op.AsError(err).Kind != op.Denied {
		t.Errorf("a person introspects: %v", err)
	}
}

// TestIntrospectionIsRead compares the client's fields with those of the operation.
func TestIntrospectionIsRead(t *testing.T) {
	names := func(of reflect.Type) (all []string) {
		for _, f := range reflect.VisibleFields(of) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, name)
		}
		return all
	}
	if diff := cmp.Diff(names(reflect.TypeFor[access.Introspection]()), names(reflect.TypeFor[client.Introspection]())); diff != "" {
		t.Errorf("(-operation +client)\n%s", diff)
	}
}
