package access_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

func user(id string) check.Subject    { return check.Subject{Type: check.User, ID: id} }
func sent(token string) check.Subject { return check.Subject{Type: check.Credential, ID: token} }

func in(organization string) op.InOrganization {
	return op.InOrganization{Organization: organization}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, h *hall, s check.Subject, p charter.Permission, r check.Resource) check.Decision {
	t.Helper()
	d, err := h.Access.Check(t.Context(), check.Request{Subject: s, Permission: p, Resource: r})
	must(t, err)
	return d
}

// TestEveryCellOfEveryTableIsAnsweredTheSameEverywhere asks for every role and permission of the three charters: as a
// user by both ids, as a session, by explanation, and of the charter itself.
func TestEveryCellOfEveryTableIsAnsweredTheSameEverywhere(t *testing.T) {
	for _, product := range charter.Names() {
		t.Run(product, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
				h := newHall(t, db, product)
				acme, owner := h.Found("acme", "owner@acme.test")
				for _, role := range h.Charter.Roles() {
					p := owner
					if !role.Owner {
						p = h.Join(acme, string(role.ID)+"@acme.test", string(role.ID))
					}
					everyCell(t, h, acme, role, p)
				}
			})
		})
	}
}

func everyCell(t *testing.T, h *hall, organization string, role *charter.Role, p person) {
	permissions := h.Charter.Absent()
	for _, info := range h.Charter.Permissions() {
		permissions = append(permissions, info.ID)
	}
	subjects := map[string]check.Subject{"user": user(p.User), "session": sent(p.Token)}
	if !role.Owner {
		subjects["external id"] = user("ext-" + string(role.ID))
	}
	for _, permission := range permissions {
		want := h.Charter.Can(role, permission)
		for how, subject := range subjects {
			for _, id := range []string{organization, "acme"} {
				got := ask(t, h, subject, permission, check.Resource{Type: check.Organization, ID: id})
				if got.Allow != want {
					t.Errorf("%s as %s: %s is %v, want %v", role.ID, how, permission, got, want)
				}
			}
		}
		e, err := access.Explain.Call(h.As(p.Token), h.Service, access.ExplainInput{InOrganization: in("acme"), Permission: permission})
		must(t, err)
		if e.Allow != want {
			t.Errorf("%s is explained that %s is %v, want %v", role.ID, permission, e.Allow, want)
		}
	}
}

func TestAResourceIsAskedAboutWithTheCharterOnly(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	globex, _ := h.Found("globex", "glen@globex.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	key, _ := h.ServiceKey()
	_, serviceKey := h.ServiceKey()
	var kind string
	var listed charter.Permission
	for k, permissions := range h.Charter.Resources {
		kind, listed = k, permissions[0]
	}
	for _, c := range []struct {
		name       string
		subject    check.Subject
		permission charter.Permission
		resource   check.Resource
		want       decide.Reason
	}{
		{"a member", user(bob.User), listed, check.Resource{Type: kind, ID: "x", Organization: acme}, decide.ByRole},
		{"a member, by slug", user(bob.User), listed, check.Resource{Type: kind, ID: "x", Organization: "acme"}, decide.ByRole},
		{"a permission that the type has not", user(bob.User), "members.view", check.Resource{Type: kind, ID: "x", Organization: acme}, decide.UnknownResource},
		{"a type that there is not", user(bob.User), listed, check.Resource{Type: "spaceship", ID: "x", Organization: acme}, decide.UnknownResource},
		{"no organization", user(bob.User), listed, check.Resource{Type: kind, ID: "x"}, decide.NotMember},
		{"another organization", user(bob.User), listed, check.Resource{Type: kind, ID: "x", Organization: globex}, decide.NotMember},
		{"no such organization", user(bob.User), listed, check.Resource{Type: check.Organization, ID: "initech"}, decide.NotMember},
		{"no such permission", user(bob.User), "workflows.juggle", check.Resource{Type: check.Organization, ID: acme}, decide.UnknownPermission},
		{"no such user", user("usr_nobody"), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"nobody", user(""), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"a name too long", user(fmt.Sprintf("%01000d", 7)), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"another kind of subject", check.Subject{Type: "robot", ID: bob.User}, listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"a user as a credential", sent(bob.User), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"a credential as a user", user(bob.Token), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"a service key's id", user(key), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
		{"a service key, who is no member", sent(serviceKey), listed, check.Resource{Type: check.Organization, ID: acme}, decide.NotMember},
		{"a credential that nobody made", sent(secret.New(nil, "gld", "ses").Reveal()), listed, check.Resource{Type: check.Organization, ID: acme}, decide.UnknownSubject},
	} {
		got := ask(t, h, c.subject, c.permission, c.resource)
		if got.Reason != c.want || got.Allow != (c.want == decide.ByRole) {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestARememberedAnswerAsksNothingOfTheDatabase(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, _ := h.Found("acme", "ada@acme.test")
		bob := h.Join(acme, "bob@acme.test", "editor")
		_, key := h.ServiceKey()
		stranger := secret.New(nil, "gld", "ses").Reveal()
		all := func() {
			for _, s := range []check.Subject{user(bob.User), user("ext-bob"), sent(bob.Token), sent(stranger)} {
				for _, id := range []string{acme, "acme"} {
					ask(t, h, s, "workflows.run", check.Resource{Type: check.Organization, ID: id})
				}
			}
			if _, err := h.Access.Authenticate(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		all()
		before := db.Stats()
		all()
		if after := db.Stats(); after != before {
			t.Errorf("the second time: %+v, was %+v", after, before)
		}
	})
}

func TestTimeEndsAccessToTheMicrosecond(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		bob := h.Join(acme, "bob@acme.test", "editor")
		run := func(s check.Subject) decide.Reason {
			return ask(t, h, s, "workflows.run", check.Resource{Type: check.Organization, ID: acme}).Reason
		}
		end := h.Now().Add(time.Hour)
		_, err := directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{
			MemberInput: directory.MemberInput{InOrganization: in(acme), Member: bob.Member}, EndsAt: new(end.Format(time.RFC3339Nano))})
		must(t, err)
		if h.After(time.Hour - time.Microsecond); run(user(bob.User)) != decide.ByRole {
			t.Errorf("before the end: %s", run(user(bob.User)))
		}
		if h.After(time.Microsecond); run(user(bob.User)) != decide.HasEnded || run(sent(bob.Token)) != decide.HasEnded {
			t.Errorf("at the end: %s, %s", run(user(bob.User)), run(sent(bob.Token)))
		}

		// A session that is used is idle from its last use on, and over after its longest life. T-103
		week := 7 * 24 * time.Hour
		for range 4 {
			if reason := run(sent(ada.Token)); reason != decide.ByRole {
				t.Fatalf("at %s: %s", h.Now(), reason)
			}
			h.After(week)
		}
		h.After(2*24*time.Hour - time.Hour - time.Microsecond)
		if reason := run(sent(ada.Token)); reason != decide.ByRole {
			t.Errorf("before its longest life is over: %s", reason)
		}
		if h.After(time.Microsecond); run(sent(ada.Token)) != decide.UnknownSubject {
			t.Errorf("when its longest life is over: %s", run(sent(ada.Token)))
		}
		ada.Token = h.SignIn(t.Context(), ada.Email).Secret
		run(sent(ada.Token))
		if h.After(2*week - time.Microsecond); run(sent(ada.Token)) != decide.ByRole {
			t.Error("refused before it was idle for too long")
		}
		if h.After(2 * week); run(sent(ada.Token)) != decide.UnknownSubject {
			t.Error("allowed after it was idle for too long")
		}
	})
}

// TestAnOperationsUseKeepsASessionFromIdling lets the operations use a session that access remembers.
func TestAnOperationsUseKeepsASessionFromIdling(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	_, ada := h.Found("acme", "ada@acme.test")
	resource := check.Resource{Type: check.Organization, ID: "acme"}
	ask(t, h, sent(ada.Token), "workflows.run", resource)
	h.After(10 * 24 * time.Hour)
	h.Exec("UPDATE sessions SET last_used_at = $1 WHERE id = $2", h.Now().UnixMicro(), ada.Session)
	h.After(10 * 24 * time.Hour)
	if got := ask(t, h, sent(ada.Token), "workflows.run", resource); !got.Allow {
		t.Errorf("got %v", got)
	}
}

// TestEndingEndsAtTheNextQuestion ends access in every way, many times. T-038
func TestEndingEndsAtTheNextQuestion(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		member := func(p person) directory.MemberInput {
			return directory.MemberInput{InOrganization: in(acme), Member: p.Member}
		}
		ways := map[string]func(p person) (decide.Reason, error){
			"removal": func(p person) (decide.Reason, error) {
				_, err := directory.RemoveMember.Call(h.As(ada.Token), h.Service, directory.EndMemberInput{MemberInput: member(p)})
				return decide.NotMember, err
			},
			"suspension": func(p person) (decide.Reason, error) {
				_, err := directory.SuspendMember.Call(h.As(ada.Token), h.Service, directory.EndMemberInput{MemberInput: member(p)})
				return decide.IsSuspended, err
			},
			"demotion": func(p person) (decide.Reason, error) {
				_, err := directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{MemberInput: member(p), Role: new("viewer")})
				return decide.NoPermission, err
			},
			"leaving": func(p person) (decide.Reason, error) {
				_, err := directory.Leave.Call(h.As(p.Token), h.Service, directory.LeaveInput{InOrganization: in(acme)})
				return decide.NotMember, err
			},
			"the session's end": func(p person) (decide.Reason, error) {
				_, err := credential.RevokeSession.Call(h.As(p.Token), h.Service, credential.RevokeSessionInput{Session: p.Session})
				return decide.UnknownSubject, err
			},
		}
		for name, end := range ways {
			for i := range 10 {
				p := h.Join(acme, fmt.Sprintf("%c%d@acme.test", name[0], i+100*len(name)), "editor")
				resource := check.Resource{Type: check.Organization, ID: acme}
				if got := ask(t, h, sent(p.Token), "workflows.run", resource); !got.Allow {
					t.Fatalf("before %s: %v", name, got)
				}
				want, err := end(p)
				must(t, err)
				if got := ask(t, h, sent(p.Token), "workflows.run", resource); got.Reason != want {
					t.Errorf("after %s: %v, want %s", name, got, want)
				}
			}
		}
	})
}

func TestJoiningAllowsAtTheNextQuestion(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	bob := h.User("bob@acme.test")
	resource := check.Resource{Type: check.Organization, ID: acme}
	if got := ask(t, h, user(bob.User), "workflows.run", resource); got.Reason != decide.NotMember {
		t.Fatalf("before joining: %v", got)
	}
	h.Enter(acme, bob, "editor")
	if got := ask(t, h, user(bob.User), "workflows.run", resource); !got.Allow {
		t.Errorf("after joining: %v", got)
	}
}

func TestWithoutADatabaseNothingIsAllowed(t *testing.T) {
	db := testdb.SQLite(t)
	h := newHall(t, db, "automation")
	_, ada := h.Found("acme", "ada@acme.test")
	q := check.Request{Subject: sent(ada.Token), Permission: "workflows.run", Resource: check.Resource{Type: check.Organization, ID: "acme"}}
	h.Access.Attach(brokenService(t, h))
	d, err := h.Access.Check(t.Context(), q)
	var refused *op.Error
	if d.Allow || !errors.As(err, &refused) || refused.Kind != op.Unavailable {
		t.Errorf("got %v, %v; want unavailable", d, err)
	}
	if d, err := access.New(access.Config{Charter: h.Charter}).Check(t.Context(), q); err == nil || d.Allow {
		t.Errorf("before there is a service: %v, %v", d, err)
	}
}

// brokenService is a service whose database has no tables.
func brokenService(t *testing.T, h *hall) *op.Service {
	t.Helper()
	s, err := op.New(op.Config{DB: testdb.Connect(t, testdb.Empty(t, sqldb.SQLite)), Charter: h.Charter, Secrets: secret.NewRing(), Load: directory.Load})
	must(t, err)
	return s
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	small := access.New(access.Config{Charter: h.Charter, Now: h.Now, Size: 64})
	small.Attach(h.Service)
	for i := range 300 {
		p := h.Join(acme, fmt.Sprintf("p%d@acme.test", i), "viewer")
		for _, token := range []string{p.Token, secret.New(nil, "gld", "ses").Reveal()} {
			_, err := small.Check(t.Context(), check.Request{Subject: sent(token), Permission: "workflows.run",
				Resource: check.Resource{Type: check.Organization, ID: acme}})
			must(t, err)
		}
	}
	r := small.Remembered()
	if r.Sessions != 64 || r.Seats != 64 || r.Dead != 64 {
		t.Errorf("remembered: %+v, want 64 of each", r)
	}
	if want := 2*r.Sessions + 2*r.Seats; r.Links != want {
		t.Errorf("%d links to principals, want %d", r.Links, want)
	}
}
