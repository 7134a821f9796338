package access_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// register is something that can be asked and revoked.
type register struct {
	name    string
	fill    int // which of the readings that a first question takes is about what is revoked
	allowed func(t *testing.T, h *hall) bool
	revoke  func(t *testing.T, h *hall)
}

// registers makes one hall and what can be revoked in it.
func registers(t *testing.T, db *sqldb.DB) (*hall, []register) {
	h := newHall(t, db, "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	cyd := h.Join(acme, "cyd@acme.test", "editor")
	key, secret := h.ServiceKey()
	run := func(s check.Subject) func(*testing.T, *hall) bool {
		return func(t *testing.T, h *hall) bool {
			return ask(t, h, s, "workflows.run", check.Resource{Type: check.Organization, ID: acme}).Allow
		}
	}
	return h, []register{
		{"a role", 1, run(user(bob.User)), func(t *testing.T, h *hall) {
			_, err := directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{
				MemberInput: directory.MemberInput{InOrganization: in(acme), Member: bob.Member}, Role: new("viewer")})
			must(t, err)
		}},
		{"a session", 1, run(sent(cyd.Token)), func(t *testing.T, h *hall) {
			_, err := credential.RevokeSession.Call(h.As(cyd.Token), h.Service, credential.RevokeSessionInput{Session: cyd.Session})
			must(t, err)
		}},
		{"a service key", 1, func(t *testing.T, h *hall) bool {
			_, err := h.Access.Authenticate(context.Background(), secret)
			return err == nil
		}, func(t *testing.T, h *hall) {
			_, err := credential.RevokeServiceKey.Call(h.Operator(), h.Service, credential.RevokeServiceKeyInput{Key: key})
			must(t, err)
		}},
	}
}

// eachRegister runs a test for every register, each in a hall of its own, on both databases.
func eachRegister(t *testing.T, test func(t *testing.T, h *hall, r register)) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h, all := registers(t, db)
		for _, r := range all {
			t.Run(r.name, func(t *testing.T) { test(t, h, r) })
		}
	})
}

// readBeforeTheFence asks, and lets the whole revocation happen after the reading and before it is remembered.
func readBeforeTheFence(t *testing.T, h *hall, r register) {
	h.Access.SetHooks(nothing, at(r.fill, func() { r.revoke(t, h) }))
	defer h.Access.SetHooks(nothing, nothing)
	if !r.allowed(t, h) {
		t.Fatal("refused before the revocation") // it overlaps: the old answer is right, and needed for this test
	}
}

// readWithinTheFence revokes, and asks between the fence and the commit; what was read is remembered after the release.
func readWithinTheFence(t *testing.T, h *hall, r register) {
	read, committed, answered := make(chan struct{}), make(chan struct{}), make(chan bool)
	h.Access.SetHooks(nothing, at(r.fill, func() { close(read); <-committed }))
	defer h.Access.SetHooks(nothing, nothing)
	h.WithinFence = func() {
		go func() { answered <- r.allowed(t, h) }()
		<-read
	}
	r.revoke(t, h)
	h.WithinFence = nil
	close(committed)
	if !<-answered {
		t.Fatal("the reading within the fence was refused before the commit")
	}
}

// rememberWithinTheFence revokes, and asks between the fence and the commit; what was read would be remembered then, too.
func rememberWithinTheFence(t *testing.T, h *hall, r register) {
	answered := false
	h.WithinFence = func() { answered = r.allowed(t, h) }
	r.revoke(t, h)
	h.WithinFence = nil
	if !answered {
		t.Fatal("refused before the commit")
	}
}

// at calls fn at the nth call.
func at(n int, fn func()) func() {
	calls := 0
	return func() {
		if calls++; calls == n {
			fn()
		}
	}
}

func nothing() {}

// orders are the ways in which a reading and a revocation can meet.
var orders = map[string]func(*testing.T, *hall, register){
	"read before the fence": readBeforeTheFence, "read within the fence": readWithinTheFence,
	"remembered within the fence": rememberWithinTheFence,
}

func TestAReadingThatMeetsAFenceIsNotRemembered(t *testing.T) {
	for name, meet := range orders {
		t.Run(name, func(t *testing.T) {
			eachRegister(t, func(t *testing.T, h *hall, r register) {
				meet(t, h, r)
				if r.allowed(t, h) {
					t.Error("allowed after the revocation returned")
				}
			})
		})
	}
}

// TestTheGuardIsNeeded shows that the test above can fail: without either half of the guard the stale answer stays.
func TestTheGuardIsNeeded(t *testing.T) {
	for _, m := range []struct {
		name  string
		order func(*testing.T, *hall, register)
		half  access.Guard
	}{
		{"without the release, read before the fence", readBeforeTheFence, access.WithoutRelease},
		{"without the release, read within the fence", readWithinTheFence, access.WithoutRelease},
		{"without the hold", rememberWithinTheFence, access.WithoutHold},
	} {
		t.Run(m.name, func(t *testing.T) {
			h, all := registers(t, testdb.SQLite(t))
			h.Access.SetGuard(m.half)
			for _, r := range all {
				m.order(t, h, r)
				if !r.allowed(t, h) {
					t.Errorf("%s: the broken guard was not noticed", r.name)
				}
			}
		})
	}
}

// TestWhatIsRememberedGoesWithItsFence is the plain order: an answer from memory, a revocation, a refusal. T-038
func TestWhatIsRememberedGoesWithItsFence(t *testing.T) {
	eachRegister(t, func(t *testing.T, h *hall, r register) {
		for range 2 {
			if !r.allowed(t, h) {
				t.Fatal("refused before the revocation")
			}
		}
		r.revoke(t, h)
		if r.allowed(t, h) {
			t.Error("allowed after the revocation returned")
		}
	})
}

// TestNothingIsAllowedAfterARevocationReturned asks all the time while roles go to and fro.
func TestNothingIsAllowedAfterARevocationReturned(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		bob := h.Join(acme, "bob@acme.test", "viewer")
		var round atomic.Int64 // odd: bob's role is being changed; of the even ones every other one is a viewer's
		done := make(chan struct{})
		var askers sync.WaitGroup
		var asked, wrong atomic.Int64
		for _, subject := range []check.Subject{user(bob.User), sent(bob.Token), user("ext-bob")} {
			askers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					before := round.Load()
					d, err := h.Access.Check(context.Background(), check.Request{Subject: subject, Permission: "workflows.run",
						Resource: check.Resource{Type: check.Organization, ID: "acme"}})
					if before != round.Load() || before%2 == 1 {
						continue
					}
					if asked.Add(1); err != nil || d.Allow != (before%4 == 2) {
						wrong.Add(1)
					}
				}
			})
		}
		for i := range 30 {
			role := []string{"editor", "viewer"}[i%2]
			round.Add(1)
			_, err := directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{
				MemberInput: directory.MemberInput{InOrganization: in(acme), Member: bob.Member}, Role: &role})
			must(t, err)
			round.Add(1)
			for start := asked.Load(); asked.Load() < start+10; {
			}
		}
		close(done)
		askers.Wait()
		if wrong.Load() != 0 || asked.Load() < 300 {
			t.Errorf("%d of %d answers were wrong", wrong.Load(), asked.Load())
		}
	})
}

func TestAFenceForgetsOnlyWhomItNames(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "viewer")
	resource := check.Resource{Type: check.Organization, ID: acme}
	ask(t, h, user(ada.User), "workflows.run", resource)
	ask(t, h, sent(bob.Token), "workflows.run", resource)
	fence := func(f op.Fence) {
		release, err := h.Access.Fence(t.Context(), []op.Fence{f})
		must(t, err)
		release()
	}
	count := func() [2]int { r := h.Access.Remembered(); return [2]int{r.Sessions, r.Seats} }
	for _, step := range []struct {
		fence op.Fence
		want  [2]int
	}{
		{op.Fence{Kind: op.FenceUser, ID: "usr_somebody"}, [2]int{1, 2}},
		{op.Fence{Kind: op.FenceSession, ID: bob.Session}, [2]int{0, 2}},
		{op.Fence{Kind: op.FenceUser, ID: ada.User}, [2]int{0, 1}},
		{op.Fence{Kind: op.FenceOrganization, ID: acme}, [2]int{0, 0}},
	} {
		if fence(step.fence); count() != step.want {
			t.Errorf("after the fence of %v: %v sessions and memberships are remembered, want %v", step.fence, count(), step.want)
		}
	}
	ask(t, h, sent(ada.Token), "workflows.run", check.Resource{Type: check.Organization, ID: "acme"})
	if r := h.Access.Remembered(); r.Sessions != 1 || r.Seats != 1 || r.Slugs != 1 || r.Links != 4 || r.Principals != 3 {
		t.Errorf("%+v are remembered; want a session, a seat and a slug, and links to session, person (two) and organization", r)
	}
	if h.Access.Reset(); h.Access.Remembered() != (access.Remembered{}) {
		t.Errorf("after a reset %+v are remembered", h.Access.Remembered())
	}
}

// TestAReadingFromBeforeAResetIsNotRemembered forgets everything while a credential is looked for that is nobody's, and
// that an import then brings.
func TestAReadingFromBeforeAResetIsNotRemembered(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	key := h.Key(acme, ada, nil)
	h.Exec("UPDATE api_keys SET recovery_epoch = 0 WHERE organization = $1", acme)
	h.Access.SetHooks(nothing, at(1, h.Access.Reset))
	if got := ask(t, h, sent(key.Secret), "workflows.run", check.Whole("")); got.Allow {
		t.Fatalf("before the import: %v", got)
	}
	h.Exec("UPDATE api_keys SET recovery_epoch = 1 WHERE organization = $1", acme)
	h.Access.SetHooks(nothing, at(1, h.Access.Reset))
	if got := ask(t, h, sent(key.Secret), "workflows.run", check.Whole("")); !got.Allow {
		t.Errorf("after the import: %v", got)
	}
	if r := h.Access.Remembered(); r != (access.Remembered{}) {
		t.Errorf("what was read before a reset is remembered: %+v", r)
	}
}
