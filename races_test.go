package guildhall_test

import (
	"os"
	"sync"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// rounds is how often a race is run: 100 times, 10,000 in the soak.
func rounds() int {
	if os.Getenv("GUILDHALL_SOAK") != "" {
		return 10_000
	}
	if testing.Short() {
		return 10
	}
	return 100
}

// eachDatabase runs a race in the world of one charter on both databases, without limits on mail.
func eachDatabase(t *testing.T, charterName string, run func(*testing.T, *guildhalltest.Hall, *guildhalltest.Organization)) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			h := guildhalltest.New(t, charterName, guildhalltest.OnDatabase(testdb.DSN(t, d)), guildhalltest.With(func(c *guildhall.Config) {
				c.Settings.InviterHour, c.Settings.TenantDay, c.Settings.ResendsPerDay = 1e6, 1e6, 1e6
			}))
			run(t, h, h.Organization("acme"))
			h.Sound()
		})
	}
}

// together runs functions at the same time and gives their errors.
func together(all ...func() error) []error {
	errs := make([]error, len(all))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, f := range all {
		wg.Go(func() {
			<-start
			errs[i] = f()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func succeeded(errs []error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}

// expected fails the test for an error that a loser of the race may not see.
func expected(t *testing.T, errs []error, kinds ...op.ErrorKind) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			continue
		}
		known := false
		for _, kind := range kinds {
			known = known || op.AsError(err).Kind == kind
		}
		if !known {
			t.Errorf("unexpected: %v (%s)", err, op.AsError(err).FullCode())
		}
	}
}

func setRole(h *guildhalltest.Hall, by *guildhalltest.Person, in *guildhalltest.Organization, member, role string) error {
	_, err := directory.UpdateMember.Call(by.Ctx(), h.Service(), directory.UpdateMemberInput{
		MemberInput: directory.MemberInput{InOrganization: in.In(), Member: member}, Role: &role})
	return err
}

func remove(h *guildhalltest.Hall, by *guildhalltest.Person, in *guildhalltest.Organization, member string) error {
	_, err := directory.RemoveMember.Call(by.Ctx(), h.Service(), directory.EndMemberInput{
		MemberInput: directory.MemberInput{InOrganization: in.In(), Member: member}})
	return err
}

func owners(t *testing.T, h *guildhalltest.Hall, in *guildhalltest.Organization) (n int) {
	t.Helper()
	list, err := directory.ListMembers.Call(h.Operator(), h.Service(), directory.ListMembersInput{InOrganization: in.In(),
		Role: string(h.Charter().OwnerRole().ID), Status: "active"})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Data)
}

// T-016: of two owners who lower each other at the same moment, one stays owner.
func TestSoakTwoOwnersLowerEachOther(t *testing.T) {
	eachDatabase(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		ada := acme.Owner()
		bo := acme.Join("bo@acme.test", ada.Role)
		for round := range rounds() {
			errs := together(
				func() error { return setRole(h, ada, acme, bo.Member, "editor") },
				func() error { return setRole(h, bo, acme, ada.Member, "editor") },
			)
			expected(t, errs, op.Denied, op.Conflict)
			if succeeded(errs) != 1 || owners(t, h, acme) != 1 {
				t.Fatalf("round %d: %d succeeded, %d owners: %v", round, succeeded(errs), owners(t, h, acme), errs)
			}
			for _, p := range []*guildhalltest.Person{ada, bo} {
				owner := string(ada.Role)
				if _, err := directory.UpdateMember.Call(h.Operator(), h.Service(), directory.UpdateMemberInput{
					MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: p.Member}, Role: &owner}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// T-017: two owners who leave, or lower themselves, at the same moment: one cannot.
func TestSoakTwoOwnersLeave(t *testing.T) {
	eachDatabase(t, "documents", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		ada := acme.Owner()
		for round := range rounds() {
			bo := acme.Join("bo@acme.test", ada.Role)
			leave := func(p *guildhalltest.Person) func() error {
				return func() error {
					_, err := directory.Leave.Call(p.Ctx(), h.Service(), directory.LeaveInput{InOrganization: acme.In()})
					return err
				}
			}
			errs := together(leave(ada), leave(bo))
			expected(t, errs, op.Conflict)
			if succeeded(errs) != 1 || owners(t, h, acme) != 1 {
				t.Fatalf("round %d: %d left, %d owners: %v", round, succeeded(errs), owners(t, h, acme), errs)
			}
			if errs[0] == nil { // ada left, and comes back
				ada = acme.Join(ada.Email, ada.Role)
				if err := remove(h, ada, acme, bo.Member); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// T-019: ownership is handed over while the recipient is removed, lowered or leaves. Whatever happens first, there is
// one owner, and whoever hands over is lowered only if the other became owner.
func TestSoakTransferAgainstRemoval(t *testing.T) {
	eachDatabase(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		ada, admin := acme.Owner(), charter.RoleID("admin")
		second := acme.People[admin]
		for round := range rounds() {
			bo := acme.Join("bo@acme.test", admin)
			transfer := func() error {
				_, err := directory.TransferOwnership.Call(ada.Ctx(), h.Service(), directory.TransferInput{InOrganization: acme.In(), Member: bo.Member})
				return err
			}
			against := []func() error{
				func() error { return remove(h, second, acme, bo.Member) },
				func() error { return setRole(h, second, acme, bo.Member, "reader") },
				func() error {
					_, err := directory.Leave.Call(bo.Ctx(), h.Service(), directory.LeaveInput{InOrganization: acme.In()})
					return err
				},
				transfer,
			}
			errs := together(transfer, against[round%len(against)])
			expected(t, errs, op.Denied, op.Conflict, op.NotFound)
			if n := owners(t, h, acme); n != 1 {
				t.Fatalf("round %d: %d owners: %v", round, n, errs)
			}
			restore(t, h, acme, ada, bo)
		}
	})
}

// restore makes ada owner again and takes bo out.
func restore(t *testing.T, h *guildhalltest.Hall, in *guildhalltest.Organization, ada, bo *guildhalltest.Person) {
	t.Helper()
	m, err := directory.GetMember.Call(h.Operator(), h.Service(), directory.MemberInput{InOrganization: in.In(), Member: bo.Member})
	if err != nil {
		return // gone already
	}
	if m.Owner {
		if _, err := directory.TransferOwnership.Call(bo.Ctx(), h.Service(), directory.TransferInput{InOrganization: in.In(), Member: ada.Member}); err != nil {
			t.Fatalf("handing back: %v", err)
		}
	}
	if err := remove(h, ada, in, bo.Member); err != nil {
		t.Fatalf("removing: %v", err)
	}
}
