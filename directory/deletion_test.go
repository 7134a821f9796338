package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func (s *shop) schedules(by context.Context) error {
	_, err := directory.DeleteOrganization.Call(by, s.Service, directory.DeleteOrganizationInput{InOrganization: s.in(), Reason: "moving on"})
	return err
}

func (s *shop) restores(by context.Context) error {
	_, err := directory.RestoreOrganization.Call(by, s.Service, directory.RestoreOrganizationInput{InOrganization: s.in()})
	return err
}

// sees reports what looking at the organization gives.
func (s *shop) sees(by context.Context) error {
	_, err := directory.GetOrganization.Call(by, s.Service, directory.GetOrganizationInput{InOrganization: s.in()})
	return err
}

// T-011: from the moment that the deletion has returned, nothing of the organization can be used or changed, by anybody
// and by no credential; and after it is restored, all of it works as before.
func TestADeletedOrganizationIsClosedAndComesBack(t *testing.T) {
	for _, name := range charter.Names() {
		inShops(t, name, func(s *shop) {
			kind := s.Charter.Rules.Keys.Kinds[0]
			key := s.key(s.owner, kind, "nightly")
			token, err := credential.CreateToken.Call(s.As(key.Secret), s.Service, credential.CreateTokenInput{InOrganization: s.in(), Name: "narrow"})
			if err != nil {
				token.Secret = key.Secret // the charter's keys derive nothing
			}
			invitation, err := directory.CreateInvitation.Call(s.by(s.owner), s.Service, directory.CreateInvitationInput{InOrganization: s.in(),
				Email: "zoe@acme.test", Role: s.Charter.Roles()[0].ID})
			s.Must(err)
			link := linkIn(s.Mails())
			s.Refused("a member who may not", s.schedules(s.by(s.people[string(s.Charter.Roles()[0].ID)])), "denied")
			s.Must(s.schedules(s.by(s.owner)))
			if fenced := s.Fenced(); len(fenced) == 0 || fenced[len(fenced)-1] != (op.Fence{Kind: op.FenceOrganization, ID: s.acme}) {
				t.Errorf("fenced %v", fenced)
			}
			for role, p := range s.people {
				s.Refused(role+" looks", s.sees(s.by(p)), "organization_deleted")
				_, err := directory.Leave.Call(s.by(p), s.Service, directory.LeaveInput{InOrganization: s.in()})
				s.Refused(role+" leaves", err, "organization_deleted")
			}
			s.Refused("a key", s.sees(s.As(key.Secret)), "organization_deleted")
			s.Refused("a token", s.sees(s.As(token.Secret)), "organization_deleted")
			_, err = directory.GetMe.Call(s.As(key.Secret), s.Service, directory.GetMeInput{})
			s.Refused("a key about itself", err, "organization_deleted")
			in := directory.AcceptInvitationInput{}
			in.Token = link
			_, err = directory.AcceptInvitation.Call(s.Nobody(), s.Service, in)
			s.Refused("an invitation", err, "not_found")
			for _, by := range []context.Context{s.by(s.owner), s.Operator(), s.As(s.svc)} {
				_, err = directory.AddMember.Call(by, s.Service, directory.AddMemberInput{InOrganization: s.in(), Email: "new@acme.test", Role: string(s.Charter.Roles()[0].ID)})
				if got := op.AsError(err).FullCode(); got != "organization_deleted" && got != "service_only" && got != "people_only" {
					t.Errorf("adding a member: %s", got)
				}
			}
			_, err = directory.CreateInvitation.Call(s.Operator(), s.Service, directory.CreateInvitationInput{InOrganization: s.in(), Email: "yan@acme.test", Role: s.Charter.Roles()[0].ID})
			s.Refused("an invitation by the operator", err, "organization_deleted")
			s.Refused("deleting it again", s.schedules(s.by(s.owner)), "organization_deleted")
			s.Must(s.sees(s.Operator()))
			s.Must(s.sees(s.As(s.svc)))
			s.restored(key.Secret, token.Secret, link, invitation.ID)
		})
	}
}

func (s *shop) restored(key, token, link, invitation string) {
	s.T.Helper()
	d, err := directory.GetDeletion.Call(s.by(s.owner), s.Service, directory.GetDeletionInput{InOrganization: s.in()})
	if s.Must(err); !d.MayRestore || d.DeletedBy != "Owner" || d.Reason != "moving on" || !d.DeleteBy.Equal(s.Now().Add(720*time.Hour)) {
		s.T.Errorf("the owner sees %+v", d)
	}
	least := s.by(s.people[string(s.Charter.Roles()[0].ID)])
	if d, err = directory.GetDeletion.Call(least, s.Service, directory.GetDeletionInput{InOrganization: s.in()}); err != nil || d.MayRestore {
		s.T.Errorf("the least of them sees %+v, %v", d, err)
	}
	s.Refused("one who may not restores", s.restores(least), "denied")
	s.After(719 * time.Hour)
	fresh := s.SignIn(s.T.Context(), s.owner.Email) // the other session is idle
	s.Must(s.restores(s.As(fresh.Secret)))
	s.Must(s.sees(s.As(fresh.Secret)))
	if err := s.sees(s.As(key)); op.AsError(err).FullCode() == "organization_deleted" {
		s.T.Errorf("the key: %v", err)
	}
	if _, err := directory.GetMe.Call(s.As(key), s.Service, directory.GetMeInput{}); err != nil {
		s.T.Errorf("the key after it is restored: %v", err)
	}
	s.Must(s.restores(s.Operator())) // and nothing changes
}

// linkIn is the token of the link in the last mail.
func linkIn(mails []mail.Message) string {
	text := mails[len(mails)-1].Text
	_, after, _ := strings.Cut(text, "/i/")
	token, _, _ := strings.Cut(after, "\n")
	return token
}

// A dry run names what ends and says until when it can be undone.
func TestADeletionIsPreviewed(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		s.key(s.people["editor"], charter.PersonalKey, "nightly")
		for i := range 25 {
			s.Join(s.acme, fmt.Sprintf("extra%02d@acme.test", i), "viewer")
		}
		impact, err := s.dryRun(s.by(s.owner), directory.DeleteOrganization, directory.DeleteOrganizationInput{InOrganization: s.in()})
		s.Must(err)
		if got := effects(impact, "key"); got["nightly"] != "is refused" {
			t.Errorf("keys: %v", got)
		}
		members := effects(impact, "member")
		if len(members) != 21 || members[""] != "8 members more lose access" {
			t.Errorf("%d members: %v", len(members), members)
		}
		if got := effects(impact, "organization")["Acme"]; got != "is kept, and can be restored as it was, until 2 December 2026 at 09:00 UTC" {
			t.Errorf("kept: %s", got)
		}
		if s.sees(s.by(s.owner)) != nil {
			t.Error("asking has deleted it")
		}
	})
}

// purging is a shop whose organizations are purged with the given steps before this room's own.
func purging(t *testing.T, first []directory.PurgeStep, run func(s *shop, purge func() (directory.Purged, error))) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := &shop{Room: testroom.New(t, db, testroom.Ready(t, "automation")), people: map[string]testroom.Person{}}
		o := directory.PurgeOrganization(append(first, directory.PurgeSteps()...))
		s.Serve(op.Config{Operations: append(append(directory.Operations(), credential.Operations()...), o), Fence: s.Fence})
		s.Most = 9 // to begin is one more than 8: owners are told
		s.acme, s.owner = s.Found("acme", "owner@acme.test")
		s.people["editor"] = s.Join(s.acme, "editor@acme.test", "editor")
		run(s, func() (directory.Purged, error) {
			return o.Call(op.As(t.Context(), op.Caller{System: "deletions"}), s.Service, directory.PurgeInput{InOrganization: s.in()})
		})
		s.sound()
	})
}

// gone calls purge until the organization is gone, and counts the calls.
func (s *shop) gone(purge func() (directory.Purged, error)) (calls int) {
	s.T.Helper()
	for {
		done, err := purge()
		s.Must(err)
		if calls++; done.State == "gone" {
			return calls
		}
		if calls > 1000 {
			s.T.Fatal("it does not end")
		}
	}
}

// T-012: after its grace an organization ends in steps; its slug is nobody's for ever, what is left of people is erased,
// and whoever looks for it gets what somebody gets who looks for what never was.
func TestAnOrganizationIsGone(t *testing.T) {
	purging(t, nil, func(s *shop, purge func() (directory.Purged, error)) {
		editor := s.people["editor"]
		key := s.key(editor, charter.PersonalKey, "nightly")
		_, err := directory.CreateInvitation.Call(s.by(s.owner), s.Service, directory.CreateInvitationInput{InOrganization: s.in(), Email: "zoe@acme.test", Role: "viewer"})
		s.Must(err)
		_, err = purge()
		s.Refused("of a living one", err, "not_deleted")
		s.Must(s.schedules(s.by(s.owner)))
		_, err = purge()
		s.Refused("within its grace", err, "deletion_waiting")
		s.After(720 * time.Hour)
		owner := s.SignIn(t.Context(), s.owner.Email)
		s.Refused("too late", s.restores(s.As(owner.Secret)), "grace_over")
		began, err := purge()
		if s.Must(err); began.State != "deleting" {
			t.Errorf("it began with %+v", began)
		}
		n := len(s.Mails())
		s.Refused("an owner while it ends", s.restores(s.As(owner.Secret)), "not_found")
		s.Refused("the operator while it ends", s.restores(s.Operator()), "grace_over")
		s.Dead("its key", key.Secret)
		s.gone(purge)
		s.tells(n, "deleted")
		for _, by := range []context.Context{s.As(owner.Secret), s.As(s.SignIn(t.Context(), "stranger@globex.test").Secret)} {
			_, never := directory.GetOrganization.Call(by, s.Service, directory.GetOrganizationInput{InOrganization: op.InOrganization{Organization: "never-was"}})
			for _, name := range []string{s.acme, "acme"} {
				_, err := directory.GetOrganization.Call(by, s.Service, directory.GetOrganizationInput{InOrganization: op.InOrganization{Organization: name}})
				if fmt.Sprintf("%+v", op.AsError(err)) != fmt.Sprintf("%+v", op.AsError(never)) {
					t.Errorf("%s: %+v, and what never was: %+v", name, err, never)
				}
			}
		}
		_, err = directory.CreateOrganization.Call(s.As(owner.Secret), s.Service, directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"})
		s.Refused("the slug", err, "slug_taken")
		if left := s.Stored("body FROM audit_subjects WHERE stream = '" + s.acme + "'"); strings.Contains(left, "@acme.test") || strings.Contains(left, "Acme") {
			t.Errorf("the log still has names: %s", left)
		}
		list, err := directory.ListOrganizations.Call(s.Operator(), s.Service, directory.ListOrganizationsInput{})
		if s.Must(err); len(list.Data) != 1 || list.Data[0].State != "gone" || list.Data[0].Name != "" {
			t.Errorf("the operator lists %+v", list.Data)
		}
		if rows := s.Number("SELECT count(*) FROM audit_rows WHERE stream = $1", s.acme); rows < 5 {
			t.Errorf("%d rows of the log are left", rows)
		}
		_, err = purge()
		s.Must(err)
	})
}

// A step that fails is noted and waits; the others that are done stay done, and it goes on from there.
func TestAPurgeGoesOnWhereItStopped(t *testing.T) {
	var failing error
	batches := 3
	steps := []directory.PurgeStep{
		{Name: "files", Do: func(context.Context, *op.Tx, string) (bool, error) { batches--; return batches > 0, nil }},
		{Name: "subscription", Do: func(ctx context.Context, tx *op.Tx, organization string) (bool, error) {
			if _, err := tx.Exec(ctx, "UPDATE organizations SET time_zone = 'half done' WHERE id = $1", organization); err != nil {
				return false, err
			}
			return false, failing
		}},
	}
	purging(t, steps, func(s *shop, purge func() (directory.Purged, error)) {
		batches, failing = 3, errors.New("the provider does not answer")
		s.Must(s.schedules(s.by(s.owner)))
		s.After(720 * time.Hour)
		for range 4 { // its begin, and three batches of files
			_, err := purge()
			s.Must(err)
		}
		_, err := purge()
		s.Refused("the step that fails", err, "internal")
		if half := s.Number("SELECT count(*) FROM organizations WHERE time_zone = 'half done'"); half != 0 {
			t.Error("half of a step is left")
		}
		noting := directory.PurgeInput{InOrganization: s.in(), Failed: "the provider does not answer"}
		_, err = directory.PurgeOrganization(nil).Call(s.Operator(), s.Service, noting)
		s.Must(err)
		if due := s.due(); len(due) != 0 {
			t.Errorf("due at once: %v", due)
		}
		d, err := directory.GetDeletion.Call(s.Operator(), s.Service, directory.GetDeletionInput{InOrganization: s.in()})
		if s.Must(err); d.Steps[0].State != "done" || d.Steps[0].Batches != 3 || d.Steps[1].LastError != "the provider does not answer" || d.Steps[1].Failures != 1 {
			t.Errorf("the ledger says %+v", d.Steps)
		}
		s.After(time.Minute)
		if due := s.due(); len(due) != 1 {
			t.Errorf("due after a minute: %v", due)
		}
		failing = nil
		s.gone(purge)
		if batches != 0 {
			t.Errorf("files were ended again: %d", batches)
		}
	})
}

func (s *shop) due() (due []string) {
	s.T.Helper()
	s.Must(s.Service.Snapshot(s.T.Context(), func(r *op.Reader) (err error) {
		due, err = directory.DuePurges(s.T.Context(), r)
		return err
	}))
	return due
}

// The doctor finds organizations whose end does not hang together.
func TestTheDoctorLooksAtDeletions(t *testing.T) {
	for _, c := range []struct{ what, broken, says string }{
		{"a date without a deletion", "UPDATE organizations SET delete_by = 5", "is active and has a date of deletion"},
		{"a deletion without a date", "UPDATE organizations SET state = 'deletion_scheduled'", "nothing says when"},
		{"an end without a ledger", "UPDATE organizations SET state = 'deleting', deletion_at = 1, delete_by = 2", "is ending without a ledger"},
		{"something left of what is gone", "UPDATE organizations SET state = 'gone', deletion_at = 1, delete_by = 2", "is gone, and 3 things of it are left"},
	} {
		testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
			s := openShop(t, db, testroom.Ready(t, "automation"))
			s.Exec(c.broken)
			if all := strings.Join(s.broken(), "\n"); !strings.Contains(all, c.says) {
				t.Errorf("%s: the doctor says %q", c.what, all)
			}
		})
	}
}
