package access_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

func TestAKeyMayWhatIsBehindItWithinItsScopes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		globex, _ := h.Found("globex", "glen@globex.test")
		bob, sue := h.Join(acme, "bob@acme.test", "editor"), h.Join(acme, "sue@acme.test", "editor")
		rex := h.Join(acme, "rex@acme.test", "editor")
		end := h.Now().Add(time.Hour)
		key := func(p person, change func(*keyRow)) string { return h.Key(acme, p, change).Secret }
		token := func(p person, change func(*tokenRow)) string { return h.Token(acme, p, change).Secret }
		full := key(bob, nil)
		narrow := key(bob, func(k *keyRow) { k.Permissions = []charter.Permission{"workflows.view", "workflows.run"} })
		one := key(bob, func(k *keyRow) { k.Resources = "artifact:* workflow:wf_1" })
		office := key(bob, func(k *keyRow) { k.Networks = "10.0.0.0/8 2001:db8::/32" })
		ends := key(bob, func(k *keyRow) { k.Expires = end.UnixMicro() })
		suspended, removed := key(sue, nil), key(rex, nil)
		owners := key(ada, nil)
		reads := token(bob, func(k *tokenRow) { k.ReadOnly = true })
		under := h.Key(acme, bob, func(k *keyRow) { k.Permissions = []charter.Permission{"workflows.run"}; k.Networks = "10.0.0.0/8" })
		child := token(bob, func(k *tokenRow) { k.Session, k.Member, k.Key, k.Networks = "", "", under.ID, "10.1.0.0/16" })
		h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", sue.Member)
		h.Exec("UPDATE members SET status = 'removed' WHERE id = $1", rex.Member)

		run := func(kind, id string) check.Resource { return check.On(kind, id).In(acme) }
		for _, c := range []struct {
			name       string
			secret     string
			permission charter.Permission
			resource   check.Resource
			from       string
			want       decide.Reason
		}{
			{"in its own organization", full, "workflows.run", check.Whole(""), "", decide.ByRole},
			{"in its organization by id", full, "workflows.run", check.Whole(acme), "", decide.ByRole},
			{"in its organization by slug", full, "workflows.run", check.Whole("acme"), "", decide.ByRole},
			{"on a resource of its own organization", full, "workflows.run", check.On("workflow", "wf_1"), "", decide.ByRole},
			{"in another organization", full, "workflows.run", check.Whole(globex), "", decide.NotMember},
			{"in another organization by slug", full, "workflows.run", check.Whole("globex"), "", decide.NotMember},
			{"in no organization that there is", full, "workflows.run", check.Whole("initech"), "", decide.NotMember},
			{"beyond its creator's role", full, "billing.manage", check.Whole(""), "", decide.NoPermission},
			{"within its scopes", narrow, "workflows.run", check.Whole(""), "", decide.ByRole},
			{"outside of its scopes", narrow, "workflows.edit", check.Whole(""), "", decide.OutOfScope},
			{"outside of both", narrow, "billing.manage", check.Whole(""), "", decide.NoPermission},
			{"on its resource", one, "workflows.run", run("workflow", "wf_1"), "", decide.ByRole},
			{"on another resource", one, "workflows.run", run("workflow", "wf_2"), "", decide.OtherResource},
			{"on all resources", one, "workflows.run", check.Whole(""), "", decide.OtherResource},
			{"on any of a type", one, "artifacts.view", run("artifact", "a_9"), "", decide.ByRole},
			{"on all of a type", one, "artifacts.view", check.Whole(""), "", decide.ByRole},
			{"on nothing single", one, "usage.view", check.Whole(""), "", decide.OtherResource},
			{"from a network", office, "workflows.run", check.Whole(""), "10.1.2.3", decide.ByRole},
			{"from another network of its own", office, "workflows.run", check.Whole(""), "2001:db8::1", decide.ByRole},
			{"from elsewhere", office, "workflows.run", check.Whole(""), "203.0.113.7", decide.WrongAddress},
			{"from nobody knows where", office, "workflows.run", check.Whole(""), "", decide.WrongAddress},
			{"from what is no address", office, "workflows.run", check.Whole(""), "10.1.2.3, 10.1.2.4", decide.WrongAddress},
			{"before it expires", ends, "workflows.run", check.Whole(""), "", decide.ByRole},
			{"of a suspended member", suspended, "workflows.run", check.Whole(""), "", decide.IsSuspended},
			{"of a removed member", removed, "workflows.run", check.Whole(""), "", decide.UnknownSubject},
			{"of an owner", owners, "billing.manage", check.Whole(""), "", decide.ByRole},
			{"a token that only reads, reading", reads, "workflows.view", check.Whole(""), "", decide.ByRole},
			{"a token that only reads, writing", reads, "workflows.run", check.Whole(""), "", decide.OutOfScope},
			{"a token of a key", child, "workflows.run", check.Whole(""), "10.1.0.1", decide.ByRole},
			{"a token of a key, within its own network only", child, "workflows.run", check.Whole(""), "10.2.0.1", decide.WrongAddress},
			{"a token beyond its key", child, "workflows.view", check.Whole(""), "10.1.0.1", decide.OutOfScope},
			{"no such permission", full, "workflows.juggle", check.Whole(""), "", decide.UnknownPermission},
			{"no such type", full, "workflows.run", check.On("spaceship", "x"), "", decide.UnknownResource},
		} {
			for _, when := range []string{"at first", "from memory"} {
				d, err := h.Access.Check(t.Context(), check.Request{Subject: sent(c.secret), Permission: c.permission, Resource: c.resource, Address: c.from})
				must(t, err)
				if d.Reason != c.want || d.Allow != (c.want == decide.ByRole) || d.Allow != (d.FixURL == "") {
					t.Errorf("%s, %s: %s (fix %q), want %s", c.name, when, d.Reason, d.FixURL, c.want)
				}
			}
		}
		h.MoveTo(end)
		if d := ask(t, h, sent(ends), "workflows.run", check.Whole("")); d.Reason != decide.UnknownSubject {
			t.Errorf("at the microsecond at which it expires: %s", d.Reason)
		}
	})
}

// TestAKeyGoesDownWithItsCreator demotes whoever made a key and a token. T-039
func TestAKeyGoesDownWithItsCreator(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		bob := h.Join(acme, "bob@acme.test", "editor")
		key := h.Key(acme, bob, nil)
		secrets := []string{key.Secret, h.Token(acme, bob, nil).Secret,
			h.Token(acme, bob, func(k *tokenRow) { k.Session, k.Member, k.Key = "", "", key.ID }).Secret}
		for _, role := range []string{"viewer", "editor", "viewer"} {
			_, err := directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{
				MemberInput: directory.MemberInput{InOrganization: in(acme), Member: bob.Member}, Role: &role})
			must(t, err)
			for i, s := range secrets {
				if d := ask(t, h, sent(s), "workflows.run", check.Whole("")); d.Allow != (role == "editor") {
					t.Errorf("credential %d of a %s: %v", i, role, d)
				}
			}
		}
	})
}

func TestAYesSaysForWhom(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	h.Exec("UPDATE organizations SET region = 'eu-west-1', plan = 'pro' WHERE id = $1", acme)
	key, token := h.Key(acme, bob, nil), h.Token(acme, bob, nil)
	for _, c := range []struct {
		kind       string
		subject    check.Subject
		credential string
	}{
		{"user", user("ext-bob"), ""}, {"user", sent(bob.Token), bob.Session}, {"key", sent(key.Secret), key.ID}, {"token", sent(token.Secret), token.ID},
	} {
		for range 2 {
			got := ask(t, h, c.subject, "workflows.run", check.Whole(acme)).Who
			want := check.Who{Kind: c.kind, User: check.MakeID(bob.User), Member: check.MakeID(bob.Member), Organization: check.MakeID(acme),
				Role: check.MakeID("editor"), Credential: check.MakeID(c.credential), Region: "eu-west-1", Plan: "pro", Features: []string{"mcp", "mcp_full", "priority_support"}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", c.kind, got, want)
			}
			if no := ask(t, h, c.subject, "billing.manage", check.Whole(acme)); !reflect.DeepEqual(no.Who, check.Who{}) {
				t.Errorf("%s: a no names %+v", c.kind, no.Who)
			}
		}
	}
}

func TestAPlanLocksWhatItLacks(t *testing.T) {
	h := newHallOf(t, testdb.SQLite(t), edited(t, "automation", "  audit.view: View the admin audit log",
		"  audit.view: {title: View the admin audit log, feature: security_controls}"))
	acme, ada := h.Found("acme", "ada@acme.test")
	key := h.Key(acme, ada, nil)
	for _, s := range []check.Subject{user(ada.User), sent(key.Secret)} {
		if d := ask(t, h, s, "audit.view", check.Whole(acme)); d.Reason != decide.PlanRequired || d.Needs != "audit.view" {
			t.Errorf("on the free plan: %v", d)
		}
	}
	h.Fenced(op.Fence{Kind: op.FenceOrganization, ID: acme}, func() { h.Exec("UPDATE organizations SET plan = 'business' WHERE id = $1", acme) })
	for _, s := range []check.Subject{user(ada.User), sent(key.Secret)} {
		if d := ask(t, h, s, "audit.view", check.Whole(acme)); !d.Allow || d.Who.Plan != "business" {
			t.Errorf("on the business plan: %v", d)
		}
	}
}

// TestOnlyAnAllowedCheckSpends counts what is spent of a token with a number of requests.
func TestOnlyAnAllowedCheckSpends(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	token := h.Token(acme, bob, func(k *tokenRow) { k.Budget = 2 })
	var lock sync.Mutex
	spent, broken := 0, false
	a := access.New(access.Config{Charter: h.Charter, Now: h.Now, Spend: func(_ context.Context, tokens []string) (bool, error) {
		lock.Lock()
		defer lock.Unlock()
		if !slices.Equal(tokens, []string{token.ID}) {
			t.Errorf("%v are counted, want %s", tokens, token.ID)
		}
		if broken {
			return false, errors.New("no database")
		}
		spent++
		return spent <= 2, nil
	}})
	a.Attach(h.Service)
	for i, c := range []struct {
		permission charter.Permission
		want       decide.Reason
	}{
		{"billing.manage", decide.NoPermission}, {"workflows.run", decide.ByRole}, {"workflows.juggle", decide.UnknownPermission},
		{"workflows.run", decide.ByRole}, {"workflows.run", decide.BudgetSpent}, {"billing.manage", decide.NoPermission},
	} {
		d, err := a.Check(t.Context(), check.Request{Subject: sent(token.Secret), Permission: c.permission, Resource: check.Whole("")})
		must(t, err)
		if d.Reason != c.want {
			t.Errorf("question %d: %s, want %s", i, d.Reason, c.want)
		}
	}
	broken = true
	if d, err := a.Check(t.Context(), check.Request{Subject: sent(token.Secret), Permission: "workflows.run"}); err == nil && d.Allow {
		t.Error("allowed although nobody could count")
	}
	if _, err := a.Check(t.Context(), check.Request{Subject: sent(token.Secret), Permission: "workflows.run", Resource: check.Whole("")}); op.AsError(err).Kind != op.Unavailable {
		t.Errorf("without an answer about the number of requests: %v", err)
	}
}

// TestWhatIsNobodysAsksNothingOfTheDatabase sprays credentials that are malformed, unknown or dead. Each of the latter is
// looked for once, by one statement, and all are refused alike. T-006, T-048
func TestWhatIsNobodysAsksNothingOfTheDatabase(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		rex := h.Join(acme, "rex@acme.test", "editor")
		revoked, expired, orphan := h.Key(acme, ada, nil), h.Key(acme, ada, func(k *keyRow) { k.Expires = 1 }), h.Key(acme, rex, nil)
		ended, restored := h.Token(acme, ada, nil), h.Key(acme, ada, nil)
		_, service := h.ServiceKey()
		h.Exec("UPDATE api_keys SET revoked_at = 1 WHERE organization = $1 AND id = $2", acme, revoked.ID)
		h.Exec("UPDATE members SET status = 'removed' WHERE id = $1", rex.Member)
		h.Exec("UPDATE scoped_tokens SET revoked_at = 1 WHERE organization = $1 AND id = $2", acme, ended.ID)
		h.Exec("UPDATE api_keys SET recovery_epoch = 0 WHERE organization = $1 AND id = $2", acme, restored.ID)
		h.Exec("UPDATE sessions SET ended_at = 1 WHERE id = $1", rex.Session)
		h.Exec("UPDATE service_keys SET expires_at = 1")
		made := func(kind string) string { return secret.New(nil, "gld", kind).Reveal() }
		last := len(revoked.Secret) - 1
		for _, c := range []struct {
			name, secret string
			reads        int64
		}{
			{"mistyped at the end", revoked.Secret[:last] + string(revoked.Secret[last]^1), 0},
			{"mistyped in the middle", revoked.Secret[:20] + string(revoked.Secret[20]^1) + revoked.Secret[21:], 0},
			{"cut short", revoked.Secret[:last], 0}, {"nothing", "", 0}, {"no kind", "gld_" + revoked.Secret[9:], 0},
			{"very long", fmt.Sprintf("gld_live_%0100000d", 7), 0}, {"another kind", made("pet"), 0},
			{"an unknown key", made("live"), 1}, {"an unknown token", made("tok"), 1}, {"an unknown session", made("ses"), 1},
			{"an unknown service key", made("svc"), 1}, {"a revoked key", revoked.Secret, 1}, {"an expired key", expired.Secret, 1},
			{"a removed member's key", orphan.Secret, 1}, {"a revoked token", ended.Secret, 1}, {"a key of an earlier life", restored.Secret, 1},
			{"an ended session", rex.Token, 1}, {"an expired service key", service, 1},
		} {
			for i, want := range []int64{c.reads, 0, 0} {
				before := db.Stats()
				d := ask(t, h, sent(c.secret), "workflows.run", check.Whole(acme))
				_, err := h.Access.Authenticate(t.Context(), c.secret)
				after := db.Stats()
				if d.Reason != decide.UnknownSubject || !errors.Is(err, op.ErrUnauthenticated) {
					t.Errorf("%s: %v, %v", c.name, d, err)
				}
				if got := after.Statements - before.Statements; got != want {
					t.Errorf("%s, question %d: %d statements, want %d", c.name, i, got, want)
				}
			}
		}
	})
}

// TestASubjectIsReadByOneStatement counts what a first question costs.
func TestASubjectIsReadByOneStatement(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		for name, s := range map[string]check.Subject{"key": sent(h.Key(acme, ada, nil).Secret), "token": sent(h.Token(acme, ada, nil).Secret), "user": user(ada.User)} {
			before := db.Stats()
			if d := ask(t, h, s, "workflows.run", check.Whole(acme)); !d.Allow {
				t.Errorf("%s: %v", name, d)
			}
			if got := db.Stats().Statements - before.Statements; got != 1 {
				t.Errorf("%s: %d statements, want 1", name, got)
			}
		}
	})
}

// TestATokenIsIdleWithItsSession lets a session idle under a token, and be used.
func TestATokenIsIdleWithItsSession(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	token := h.Token(acme, ada, nil)
	run := func() decide.Reason { return ask(t, h, sent(token.Secret), "workflows.run", check.Whole("")).Reason }
	week := 7 * 24 * time.Hour
	if h.After(2*week - time.Microsecond); run() != decide.ByRole {
		t.Error("refused before the session was idle for too long")
	}
	h.Exec("UPDATE sessions SET last_used_at = $1 WHERE id = $2", h.Now().UnixMicro(), ada.Session)
	if h.After(time.Hour); run() != decide.ByRole {
		t.Error("refused although the session was used meanwhile")
	}
	if h.After(2*week - time.Hour - time.Microsecond); run() != decide.ByRole {
		t.Error("using the token has not kept the session from idling, and it is refused too early")
	}
	if h.After(time.Microsecond); run() != decide.UnknownSubject {
		t.Error("allowed although the session is idle for too long")
	}
	// An operation had used the session in time, and that was not written yet.
	h.Exec("UPDATE sessions SET last_used_at = $1 WHERE id = $2", h.Now().UnixMicro()-1, ada.Session)
	if run() != decide.ByRole {
		t.Error("refused although the session was used in time")
	}
	if h.After(2*week + time.Hour); run() != decide.UnknownSubject {
		t.Error("allowed long after the session was idle for too long")
	}
	before := h.DB.Stats()
	if run(); h.DB.Stats() != before {
		t.Error("what is over for good was looked for again")
	}
}

// TestEveryUseIsToldAboutOnceAMinute counts what is told, and that nothing waits for whoever is told. T-052
func TestEveryUseIsToldAboutOnceAMinute(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	key, token := h.Key(acme, ada, nil), h.Token(acme, ada, nil)
	id, service := h.ServiceKey()
	type use struct {
		kind                         op.ActorKind
		id, user, organization, from string
	}
	var told []use
	a := access.New(access.Config{Charter: h.Charter, Now: h.Now, Seen: func(actor *op.Actor, c op.Caller, _ time.Time) {
		told = append(told, use{actor.Kind, actor.Credential.ID, actor.User, actor.Principal.Organization, c.Address})
	}})
	a.Attach(h.Service)
	for range 3 {
		for range 5 {
			for _, s := range []string{key.Secret, token.Secret, ada.Token} {
				_, err := a.Check(t.Context(), check.Request{Subject: sent(s), Permission: "workflows.run", Resource: check.Whole(acme), Address: "10.0.0.1"})
				must(t, err)
			}
			_, err := a.Authenticate(t.Context(), service)
			must(t, err)
			h.After(10 * time.Second)
		}
		h.After(10 * time.Second)
	}
	for _, want := range []use{
		{op.KeyActor, key.ID, ada.User, acme, "10.0.0.1"}, {op.TokenActor, token.ID, ada.User, acme, "10.0.0.1"},
		{op.UserActor, ada.Session, ada.User, "", "10.0.0.1"}, {op.ServiceActor, id, "", "", ""},
	} {
		n := 0
		for _, u := range told {
			if u == want {
				n++
			}
		}
		if n != 3 {
			t.Errorf("%+v was told %d times in three minutes: %+v", want, n, told)
		}
	}
}

// TestOfSeveralAtOnceOneTells asks from many sides when it is time to tell of a use again.
func TestOfSeveralAtOnceOneTells(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	key := h.Key(acme, ada, nil)
	var told atomic.Int64
	a := access.New(access.Config{Charter: h.Charter, Now: h.Now, Seen: func(*op.Actor, op.Caller, time.Time) { told.Add(1) }})
	a.Attach(h.Service)
	q := check.Request{Subject: sent(key.Secret), Permission: "workflows.run", Resource: check.Whole("")}
	_, err := a.Check(t.Context(), q)
	must(t, err)
	for round := range int64(200) {
		h.After(time.Minute)
		var askers sync.WaitGroup
		for range 8 {
			askers.Go(func() { _, _ = a.Check(context.Background(), q) })
		}
		if askers.Wait(); told.Load() != round+2 {
			t.Fatalf("after %d minutes it was told %d times", round+1, told.Load()-1)
		}
	}
}

func TestAuthenticateSaysWhoSent(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	key, token := h.Key(acme, bob, nil), h.Token(acme, bob, func(k *tokenRow) { k.Budget = 5; k.Expires = h.Now().Add(time.Hour).UnixMicro() })
	id, service := h.ServiceKey()
	h.Exec("UPDATE service_keys SET scopes = 'checks users.*' WHERE id = $1", id)
	for _, c := range []struct {
		secret string
		want   access.Identity
	}{
		{key.Secret, access.Identity{Kind: op.KeyActor, ID: key.ID, User: bob.User, Organization: acme}},
		{token.Secret, access.Identity{Kind: op.TokenActor, ID: token.ID, User: bob.User, Organization: acme}},
		{ada.Token, access.Identity{Kind: op.UserActor, ID: ada.Session, User: ada.User}},
		{service, access.Identity{Kind: op.ServiceActor, ID: id}},
	} {
		for range 2 {
			got, err := h.Access.Authenticate(t.Context(), c.secret)
			must(t, err)
			if got.Kind != c.want.Kind || got.ID != c.want.ID || got.User != c.want.User || got.Organization != c.want.Organization {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if k := got.ServiceKey; (k != nil) != (got.Kind == op.ServiceActor) || k != nil && (k.ID != id || !k.AllowsChecks()) || got.Kind == op.TokenActor && len(got.Budgets) != 1 {
				t.Errorf("%+v: its limits are missing", got)
			}
		}
	}
	h.Fenced(op.Fence{Kind: op.FenceUser, ID: bob.User}, func() { h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", bob.Member) })
	if _, err := h.Access.Authenticate(t.Context(), key.Secret); !errors.Is(err, op.ErrUnauthenticated) {
		t.Errorf("a suspended member's key: %v", err)
	}
}
