package directory_test

import (
	"testing"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

func (s *shop) recovers(owner string) (directory.Recovery, error) {
	return directory.RecoverOwner.Call(s.Operator(), s.Service, directory.RecoverOwnerInput{InOrganization: s.in(), Owner: owner, Reason: "the owner left"})
}

func (s *shop) completes() (directory.Recovery, error) {
	return directory.CompleteRecovery.Call(op.As(s.T.Context(), op.Caller{System: "owner recoveries"}), s.Service, directory.RecoveryInput{InOrganization: s.in()})
}

// roleOf is the role that a member has now.
func (s *shop) roleOf(member string) (role string) {
	s.T.Helper()
	s.Row("SELECT role FROM members WHERE organization = $1 AND id = $2", []any{s.acme, member}, &role)
	return role
}

// An organization that lost its owner gets another one after a wait, of which everybody knows; and where the charter has
// one owner, there is one at the end.
func TestAnOwnerIsRecovered(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		s.Most = 12 // everybody is told
		admin, developer := s.people["admin"], s.people["developer"]
		_, err := directory.RecoverOwner.Call(s.by(s.owner), s.Service, directory.RecoverOwnerInput{InOrganization: s.in(), Owner: admin.Member, Reason: "me"})
		s.Refused("by the owner", err, "operator_only")
		_, err = directory.RecoverOwner.Call(s.As(s.svc), s.Service, directory.RecoverOwnerInput{InOrganization: s.in(), Owner: admin.Member, Reason: "me"})
		s.Refused("by the back end", err, "operator_only")
		_, err = s.recovers(s.owner.Email)
		if got := op.AsError(err).FullCode(); got != "already_owner" {
			t.Errorf("for the owner: %s", got)
		}
		w, err := s.recovers(admin.Email)
		if s.Must(err); w.Notified != 4 || !w.DueAt.Equal(s.Now().Add(72*time.Hour)) || w.Member != admin.Member {
			t.Errorf("it began with %+v", w)
		}
		s.tells(0, "There will be another owner", "admin@acme.test", "developer@acme.test", "owner@acme.test", "reader@acme.test")
		_, err = s.recovers(developer.Email)
		s.Refused("a second one", err, "recovery_waiting")
		seen, err := directory.GetRecovery.Call(s.by(s.people["reader"]), s.Service, directory.RecoveryInput{InOrganization: s.in()})
		if s.Must(err); seen.Reason != "the owner left" {
			t.Errorf("a reader sees %+v", seen)
		}
		s.After(71 * time.Hour)
		_, err = s.completes()
		s.Refused("before its time", err, "recovery_waiting")
		s.After(time.Hour)
		n := len(s.Mails())
		done, err := s.completes()
		if s.Must(err); done.State != "done" || s.roleOf(admin.Member) != "owner" || s.roleOf(s.owner.Member) != "admin" {
			t.Errorf("it ended with %+v: %s is %s and %s is %s", done, admin.Email, s.roleOf(admin.Member), s.owner.Email, s.roleOf(s.owner.Member))
		}
		s.tells(n, "is an owner now", "admin@acme.test", "developer@acme.test", "owner@acme.test", "reader@acme.test")
	})
}

// An owner who can sign in keeps it from happening, and nobody else in the organization does.
func TestARecoveryIsCancelled(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		s.Most = 12
		w, err := s.recovers("new@acme.test")
		if s.Must(err); w.Member != "" || w.Notified != 5 {
			t.Errorf("it began with %+v", w)
		}
		cancel := directory.RecoveryInput{InOrganization: s.in()}
		_, err = directory.CancelRecovery.Call(s.by(s.people["admin"]), s.Service, cancel)
		s.Refused("an admin", err, "denied")
		_, err = directory.CancelRecovery.Call(s.by(s.owner), s.Service, cancel)
		s.Must(err)
		s.After(72 * time.Hour)
		_, err = s.completes()
		s.Refused("after it was cancelled", err, "not_found")
	})
}

// Somebody new becomes a member and the owner; somebody who is suspended meanwhile does not.
func TestWhoARecoveryIsFor(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		s.Most = 14
		_, err := s.recovers("new@acme.test")
		s.Must(err)
		s.After(72 * time.Hour)
		done, err := s.completes()
		if s.Must(err); s.roleOf(done.Member) != "owner" || s.roleOf(s.owner.Member) != "owner" {
			t.Errorf("it ended with %+v", done)
		}
		editor := s.people["editor"]
		_, err = s.recovers(editor.Member)
		s.Must(err)
		s.Exec("UPDATE members SET status = 'suspended' WHERE organization = $1 AND id = $2", s.acme, editor.Member)
		s.After(72 * time.Hour)
		n := len(s.Mails())
		done, err = s.completes()
		if s.Must(err); done.State != "failed" || s.roleOf(editor.Member) != "editor" {
			t.Errorf("it ended with %+v", done)
		}
		s.tells(n, "There is no other owner", "editor@acme.test", "new@acme.test", "owner@acme.test", "viewer@acme.test")
	})
}
