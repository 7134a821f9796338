package guildhall_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// A change whose commit waits for a standby that is gone is answered: that its outcome is not known, and how to learn it.
// Further ones are answered at once. When commits are answered again, each was made once. T-106
func TestAChangeWithoutTheStandbyIsAnswered(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of two PostgreSQL")
	}
	oneAfterAnother(t)
	primary, err := testdb.StartCluster("synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	a := newSite(t, "automation", guildhalltest.OnDatabase(primary.DSN), guildhalltest.With(func(c *guildhall.Config) {
		c.Limits.Longest = 700 * time.Millisecond
	}))
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	invite := func(n int) answer {
		name := string(rune('a' + n))
		return a.send(ask{method: "POST", target: "/v1/organizations/acme/invitations", token: a.acme.Owner().Token,
			body: `{"email":"` + name + `@new.test","role":"viewer"}`, headers: []string{"Idempotency-Key: " + name}})
	}
	if got := invite(0); !got.ok() {
		t.Fatalf("with the standby: %s %s", got.outcome(), got.body)
	}
	if err := standby.Stop(); err != nil {
		t.Log(err)
	}
	rows, gone := rowsNow(t, a.world), time.Now()
	for n := 1; n < 4; n++ {
		got := invite(n)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("without the standby: %s %s", got.outcome(), got.body)
		}
		if time.Since(gone) < time.Second && !strings.Contains(got.body, "did not say whether it was changed") { // later, the lease may be over before
			t.Errorf("change %d says %s", n, got.body)
		}
	}
	if got := rowsNow(t, a.world); got != rows {
		t.Errorf("%d rows are seen that the standby has not", got-rows)
	}
	if err := primary.Alone(); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		got := invite(n)
		for began := time.Now(); got.status == http.StatusServiceUnavailable && time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
			got = invite(n)
		}
		if !got.ok() {
			t.Errorf("invitation %d, with its key again: %s %s", n, got.outcome(), got.body)
		}
	}
	if got := rowsNow(t, a.world); got != rows+3 {
		t.Errorf("%d rows for 3 invitations", got-rows)
	}
	a.Sound()
}

// A server that is left with the old primary, when a standby has taken over, answers nothing of what it reads there: not
// what somebody sees who was removed at the new one, and no refusal either. It makes no difference whether it answers checks
// from memory or reads for each. T-106
func TestWhatIsReadAtADeposedPrimaryDoesNotCount(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of two PostgreSQL")
	}
	oneAfterAnother(t)
	t.Run("from memory", func(t *testing.T) { leftWithADeposedPrimary(t, guildhall.Peers{Listen: "127.0.0.1:0"}) })
	t.Run("strict", func(t *testing.T) { leftWithADeposedPrimary(t, guildhall.Peers{}) })
}

func leftWithADeposedPrimary(t *testing.T, as guildhall.Peers) {
	primary, err := testdb.StartCluster("synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	left := guildhalltest.New(t, "automation", guildhalltest.OnDatabase(primary.DSN), guildhalltest.With(func(c *guildhall.Config) { c.Peers = as }))
	t.Cleanup(func() { // and then it can be closed
		if err := primary.Alone(); err != nil {
			t.Error(err)
		}
	})
	acme := left.Organization("acme")
	editor := acme.People["editor"]
	reads := func() error {
		_, err := directory.ListMembers.Call(editor.Ctx(), left.Service(), directory.ListMembersInput{InOrganization: acme.In()})
		return err
	}
	asks := check.Request{Subject: check.Subject{Type: check.User, ID: editor.User}, Permission: "workflows.run",
		Resource: check.Resource{Type: check.Organization, ID: acme.ID}}
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	if err := reads(); err != nil {
		t.Fatal(err)
	}
	if got, err := left.Check(t.Context(), asks); err != nil || !got.Allow {
		t.Fatalf("before: %+v, %v", got, err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	other := left.BesideOn(standby.DSN)
	removes := func() error {
		_, err := directory.RemoveMember.Call(acme.Owner().Ctx(), other.Service(),
			directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: editor.Member}})
		return err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := removes()
		if err == nil {
			break
		}
		if op.AsError(err).Kind != op.Unavailable || time.Since(began) > 30*time.Second {
			t.Fatalf("the new primary takes no change: %v", err)
		}
	}
	if err := reads(); op.AsError(err).Kind != op.Unavailable {
		t.Errorf("somebody who was removed reads at the old primary: %v", err)
	}
	if got, err := left.Check(t.Context(), asks); err == nil || got.Allow {
		t.Errorf("somebody who was removed is checked at the old primary: %+v, %v", got, err)
	}
}
