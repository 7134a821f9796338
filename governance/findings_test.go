package governance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

const day = 24 * time.Hour

// findings are what somebody sees.
func (a *acme) findings(p testroom.Person, in governance.ListFindingsInput) []governance.Finding {
	a.T.Helper()
	in.InOrganization = a.in()
	return does(a, p, governance.ListFindings, in).Data
}

// finds is the one finding of a kind that ada sees.
func (a *acme) finds(kind governance.FindingKind) governance.Finding {
	a.T.Helper()
	all := a.findings(a.ada, governance.ListFindingsInput{Kind: kind})
	if len(all) != 1 {
		a.T.Fatalf("%s: %d findings, want 1: %v", kind, len(all), all)
	}
	return all[0]
}

// findsNone fails the test if there is a finding of a kind.
func (a *acme) findsNone(kind governance.FindingKind) {
	a.T.Helper()
	for _, f := range a.findings(a.ada, governance.ListFindingsInput{Kind: kind}) {
		a.T.Errorf("%s: %s", kind, f.Text)
	}
}

// mends runs a finding's remedy as ada, and expects that the finding is gone.
func (a *acme) mends(f governance.Finding) {
	a.T.Helper()
	if f.Remedy == nil || !f.Remedy.Allowed {
		a.T.Fatalf("%s has no remedy that ada may do: %+v", f.ID, f.Remedy)
	}
	if want := "https://hall.test/o/acme/settings/findings/" + f.ID; f.Remedy.Address != want {
		a.T.Errorf("%s is mended at %s, want %s", f.ID, f.Remedy.Address, want)
	}
	fields := map[string]any{"organization": a.id}
	for name, value := range f.Remedy.Input {
		fields[name] = value
	}
	all := append(directory.Operations(), credential.Operations()...)
	i := slices.IndexFunc(all, func(o op.Any) bool { return o.Info().Name == f.Remedy.Operation })
	if i < 0 {
		a.T.Fatalf("%s is mended by %s, which does not exist", f.ID, f.Remedy.Operation)
	}
	_, err := a.Service.Invoke(a.T.Context(), all[i], op.Request{Caller: op.CallerOf(a.As(a.ada.Token)), Input: fields})
	if err != nil {
		a.T.Fatalf("%s: %s %v: %v", f.ID, f.Remedy.Operation, f.Remedy.Input, err)
	}
	if left := a.findings(a.ada, governance.ListFindingsInput{Finding: f.ID}); len(left) > 0 {
		a.T.Errorf("%s was mended by %s %v, and is there still", f.ID, f.Remedy.Operation, f.Remedy.Input)
	}
}

func TestAnOrganizationOfOneHasNoFindings(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		if all := a.findings(a.ada, governance.ListFindingsInput{}); len(all) != 0 {
			t.Errorf("found %v", all)
		}
	})
}

// The remedy of each kind mends it: who is found, what is said of it, and that it is gone afterwards.
func TestEachRemedyMendsItsFinding(t *testing.T) {
	key := func(a *acme, p testroom.Person, in credential.CreateKeyInput) credential.NewKey {
		a.T.Helper()
		in.InOrganization = a.in()
		return does(a, p, credential.CreateKey, in)
	}
	for _, c := range []struct {
		kind    governance.FindingKind
		charter string
		arrange func(a *acme)
		text    string
	}{
		{governance.SingleOwner, "automation", func(a *acme) { a.joins("bo", "viewer"); a.joins("cy", "editor") }, "Ada is the only owner"},
		{governance.SingleAdmin, "gateway", func(a *acme) { a.joins("bo", "developer") }, "Ada is the only one who can change roles"},
		{governance.UnusedMember, "automation", func(a *acme) {
			bo := a.joins("bo", "editor")
			a.seen(bo)
			a.After(91 * day)
			a.seen(a.ada)
		}, "Bo, Editor, was last active 91 days ago"},
		{governance.WideRole, "gateway", func(a *acme) {
			bo, cy := a.joins("bo", "admin"), a.joins("cy", "admin")
			a.After(100 * day)
			a.seen(a.ada, bo, cy)
			suspend := directory.EndMemberInput{MemberInput: a.member(a.joins("di", "reader"))}
			does(a, cy, directory.SuspendMember, suspend) // cy needs members.suspend, and bo needed nothing
		}, "Bo is Admin; by the audit log of the last 90 days, Developer would"},
		{governance.OutsideMember, "automation", func(a *acme) {
			a.Join(a.id, "kim@contractor.test", "editor")
		}, "Kim has an address at contractor.test"},
		{governance.UnusedKey, "automation", func(a *acme) {
			key(a, a.ada, credential.CreateKeyInput{Name: "ci", Scoping: credential.Scoping{ExpiresAt: "300d"}})
			a.After(90 * day)
			a.seen(a.ada)
		}, "Key ci was made 90 days ago and never used"},
		{governance.UnexpiringKey, "automation", func(a *acme) {
			key(a, a.ada, credential.CreateKeyInput{Name: "ci", Scoping: credential.Scoping{ExpiresAt: "never"}})
		},
			"Key ci never ends"},
		{governance.LeftKey, "gateway", func(a *acme) {
			bo := a.joins("bo", "developer")
			key(a, bo, credential.CreateKeyInput{Name: "Bo - ci", Kind: charter.PersonalKey})
			does(a, a.ada, directory.RemoveMember, directory.EndMemberInput{MemberInput: a.member(bo)})
		}, "Key Bo - ci was left behind by Bo 0 days ago"},
		{governance.UnnamedKey, "gateway", func(a *acme) { key(a, a.ada, credential.CreateKeyInput{Name: "ci", Kind: charter.PersonalKey}) },
			"Key ci does not say whose it is: Ada made it"},
		{governance.UnmanagedAccount, "documents", func(a *acme) {
			made := does(a, a.ada, credential.CreateServiceAccount, credential.CreateServiceAccountInput{InOrganization: a.in(), Name: "build", Role: "member"})
			a.Exec("UPDATE service_accounts SET manager = '' WHERE organization = $1 AND id = $2", a.id, made.ID)
		}, "Nobody looks after the service account build"},
		{governance.WaitingInvitation, "automation", func(a *acme) {
			made := does(a, a.ada, directory.CreateInvitation, directory.CreateInvitationInput{InOrganization: a.in(), Email: "zoe@acme.test", Role: "editor"})
			a.Exec("UPDATE invitations SET needs_approval = $3 WHERE organization = $1 AND id = $2", a.id, made.ID, true)
			a.After(2 * day)
		}, "The invitation of zoe@acme.test as Editor waits"},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			inAcme(t, c.charter, func(a *acme) {
				c.arrange(a)
				f := a.finds(c.kind)
				if !strings.HasPrefix(f.Text, c.text) {
					a.T.Errorf("it says %q, want %q", f.Text, c.text)
				}
				a.mends(f)
			})
		})
	}
}

func TestAHandOverThatWaitsIsFound(t *testing.T) {
	inAcmeOf(t, testroom.With(t, "gateway", "acceptance: none", "acceptance: required"), func(a *acme) {
		a.Most = 9 // a hand-over that has to be accepted
		bo := a.joins("bo", "admin")
		does(a, a.ada, directory.TransferOwnership, directory.TransferInput{InOrganization: a.in(), Member: bo.Member})
		a.findsNone(governance.WaitingTransfer)
		a.After(2 * day)
		f := a.finds(governance.WaitingTransfer)
		if want := "Ownership was offered to Bo 2 days ago, and waits"; f.Text != want {
			a.T.Errorf("it says %q, want %q", f.Text, want)
		}
		a.mends(f)
	})
}

// What is as it should be is not found.
func TestWhatIsInOrderIsNotFound(t *testing.T) {
	inAcme(t, "gateway", func(a *acme) {
		bo, cy := a.joins("bo", "admin"), a.joins("cy", "developer")
		a.After(100 * day)
		a.seen(a.ada, bo, cy)
		a.findsNone(governance.SingleAdmin)
		a.findsNone(governance.WideRole) // the two who can change roles stand in for each other, and developers use the product
		does(a, a.ada, credential.CreateKey, credential.CreateKeyInput{InOrganization: a.in(), Name: "ADA - ci", Kind: charter.PersonalKey,
			Scoping: credential.Scoping{ExpiresAt: "30d"}})
		a.findsNone(governance.UnnamedKey)
		a.findsNone(governance.UnexpiringKey)
		a.findsNone(governance.UnusedKey)
		a.After(40 * day) // the key has ended, and what is refused is no risk
		a.findsNone(governance.UnusedKey)
	})
	inAcme(t, "automation", func(a *acme) { // owners' domains belong to the organization, whatever most have
		a.Join(a.id, "kim@group.test", "owner")
		a.Join(a.id, "lee@group.test", "viewer")
		a.findsNone(governance.OutsideMember)
		a.findsNone(governance.SingleOwner)
	})
}

// A remedy that the caller may not do says why.
func TestARemedyBeyondTheCallerSaysWhy(t *testing.T) {
	inAcme(t, "documents", func(a *acme) {
		bo, eve := a.joins("bo", "admin"), a.joins("eve", "owner")
		a.After(100 * day)
		a.seen(a.ada, bo)
		all := a.findings(bo, governance.ListFindingsInput{Kind: governance.UnusedMember})
		if len(all) != 1 || all[0].Subject.ID != eve.Member || all[0].Remedy.Allowed || all[0].Remedy.Why != "owners_only" {
			a.T.Errorf("bo sees %+v", all)
		}
		vic := a.joins("vic", "member")
		a.Refused("a member looks", tries(a, vic, governance.ListFindings, governance.ListFindingsInput{InOrganization: a.in()}), "denied")
	})
}

func TestFindingsArePagedAndFiltered(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		for _, name := range []string{"bo", "cy", "di"} {
			a.joins(name, "viewer")
		}
		a.After(100 * day)
		a.seen(a.ada)
		var ids []string
		in := governance.ListFindingsInput{InOrganization: a.in(), Page: op.Page{Limit: 2}}
		for range 3 {
			page := does(a, a.ada, governance.ListFindings, in)
			for _, f := range page.Data {
				ids = append(ids, f.ID)
			}
			if in.Cursor = page.NextCursor; !page.HasMore {
				break
			}
		}
		var want []string
		for _, f := range a.findings(a.ada, governance.ListFindingsInput{}) {
			want = append(want, f.ID)
		}
		if diff := cmp.Diff(want, ids); diff != "" || len(want) != 4 {
			a.T.Errorf("%d findings; pages differ:\n%s", len(want), diff)
		}
		if high := a.findings(a.ada, governance.ListFindingsInput{Severity: governance.High}); len(high) != 1 || high[0].Kind != governance.SingleOwner {
			a.T.Errorf("of high severity are %v", high)
		}
	})
}

func TestADismissedFindingIsHiddenUntilItsDate(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		a.joins("bo", "viewer")
		f := a.finds(governance.SingleOwner)
		named := governance.FindingInput{InOrganization: a.in(), Finding: f.ID}
		dismiss := func(reason, until string) error {
			return tries(a, a.ada, governance.DismissFinding, governance.DismissFindingInput{FindingInput: named, Reason: reason, Until: until})
		}
		a.Refused("without a reason", dismiss(" ", "30d"), "invalid")
		a.Refused("until a word", dismiss("we are two", "soon"), "invalid")
		a.Refused("until yesterday", dismiss("we are two", a.Now().Add(-day).Format(time.RFC3339)), "invalid")
		a.Refused("for ten years", dismiss("we are two", "3650d"), "invalid")
		a.Must(dismiss("we are two", "30d"))
		a.findsNone(governance.SingleOwner)
		hidden := a.findings(a.ada, governance.ListFindingsInput{Dismissed: true})
		if len(hidden) != 1 || hidden[0].Dismissal.Reason != "we are two" || hidden[0].Dismissal.By != a.ada.User {
			a.T.Errorf("dismissed are %+v", hidden)
		}
		a.After(30 * day)
		a.finds(governance.SingleOwner)
		a.Must(dismiss("still two", "10d"))
		a.findsNone(governance.SingleOwner)
		does(a, a.ada, governance.RestoreFinding, named)
		a.finds(governance.SingleOwner)
		a.Refused("what is no finding", tries(a, a.ada, governance.RestoreFinding, governance.FindingInput{InOrganization: a.in(), Finding: "wide_role:mem_1"}), "not_found")
	})
}
