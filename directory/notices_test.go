package directory_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// told are the addresses of the mails that went out since n, whose subject says what.
func (s *shop) told(n int, what string) []string {
	s.T.Helper()
	var to []string
	for _, m := range s.Mails()[n:] {
		if strings.Contains(m.Subject, what) {
			to = append(to, m.To)
		}
	}
	slices.Sort(to)
	return to
}

func (s *shop) tells(n int, what string, want ...string) {
	s.T.Helper()
	if got := s.told(n, what); !slices.Equal(got, want) {
		s.T.Errorf("%q went to %q, want %q", what, got, want)
	}
}

// T-112: whoever acts in an owner's name cannot keep a new owner from the other owners.
func TestOwnersAreToldOfOwners(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		s.Most = 9 // one more than 8, since owners are told
		editor, viewer := s.people["editor"], s.people["viewer"]
		s.Must(s.gives(s.owner, editor, "owner"))
		s.tells(0, "Editor is an owner now", "editor@acme.test", "owner@acme.test")
		text := s.Mails()[0].Text
		for _, part := range []string{"Editor became Owner by a change of role", "Who: Owner (owner@acme.test)", "When: 2 November 2026 at 09:00 UTC",
			"From: 203.0.113.7, test", "/o/acme/settings/admins"} {
			if !strings.Contains(text, part) {
				t.Errorf("the mail does not say %q:\n%s", part, text)
			}
		}
		n := len(s.Mails())
		s.Must(s.gives(editor, s.owner, "viewer"))
		s.tells(n, "Owner is no owner any more", "editor@acme.test", "owner@acme.test")
		n = len(s.Mails())
		s.Must(s.gives(editor, viewer, "editor"))
		s.tells(n, "owner")
		_, err := directory.AddMember.Call(s.As(s.svc), s.Service, directory.AddMemberInput{InOrganization: s.in(), Email: "new@acme.test", Role: "owner"})
		s.Must(err)
		s.tells(n, "new@acme.test is an owner now", "editor@acme.test", "new@acme.test")
	})
}

// A key that is made from where its maker never was is mailed about, if there is something to compare with.
func TestOwnersAreToldOfAKeyFromANewAddress(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		from := func(address string) context.Context {
			return op.As(t.Context(), op.Caller{Credential: editor.Token, Address: address})
		}
		makes := func(address string) {
			t.Helper()
			_, err := credential.CreateKey.Call(from(address), s.Service, credential.CreateKeyInput{InOrganization: s.in(), Name: "nightly", Kind: charter.PersonalKey})
			s.Must(err)
		}
		makes("203.0.113.7")
		s.tells(0, "A key was made from a new address") // their sessions say no address
		s.Exec("UPDATE sessions SET address = '203.0.113.7' WHERE user_id = $1", editor.User)
		makes("203.0.113.7")
		s.tells(0, "A key was made from a new address")
		makes("198.51.100.9")
		s.tells(0, "A key was made from a new address", "owner@acme.test")
		n := len(s.Mails())
		s.Exec("UPDATE api_keys SET last_address = '198.51.100.9' WHERE organization = $1", s.acme)
		makes("198.51.100.9")
		s.tells(n, "A key was made from a new address")
	})
}

// Whoever could send any number of notices could bury the one that counts.
func TestNoticesAreLimited(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		s.Exec("UPDATE sessions SET address = '203.0.113.7' WHERE user_id = $1", editor.User)
		for range 105 {
			_, err := credential.CreateKey.Call(op.As(t.Context(), op.Caller{Credential: editor.Token, Address: "198.51.100.9"}), s.Service,
				credential.CreateKeyInput{InOrganization: s.in(), Name: "nightly"})
			s.Must(err)
		}
		if n := len(s.told(0, "A key was made")); n != 100 {
			t.Errorf("%d mails went out, want 100", n)
		}
		s.Must(s.gives(s.owner, editor, "owner"))
		s.tells(0, "Editor is an owner now", "editor@acme.test", "owner@acme.test")
	})
}
