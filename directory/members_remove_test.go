package directory_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// goings are the ways in which a member goes, each with what it does.
var goings = map[string]func(s *shop, p testroom.Person){
	"removed": func(s *shop, p testroom.Person) {
		_, err := directory.RemoveMember.Call(s.by(s.owner), s.Service, directory.EndMemberInput{MemberInput: s.member(p)})
		s.Must(err)
	},
	"leaves": func(s *shop, p testroom.Person) {
		_, err := directory.Leave.Call(s.by(p), s.Service, directory.LeaveInput{InOrganization: s.in()})
		s.Must(err)
	},
	"reaches the end date": (*shop).reachesEnd,
	"is swept after the end date": func(s *shop, p testroom.Person) {
		s.reachesEnd(p)
		_, err := directory.RemoveMember.Call(op.As(s.T.Context(), op.Caller{System: "end dates"}), s.Service, directory.EndMemberInput{MemberInput: s.member(p)})
		s.Must(err)
	},
	"is deleted": func(s *shop, p testroom.Person) {
		s.Most = 40
		_, err := directory.DeleteUser.Call(s.As(s.svc), s.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: p.User}})
		s.Must(err)
		s.Most = 8
	},
}

// reachesEnd sets the end date of a membership, and waits for it.
func (s *shop) reachesEnd(p testroom.Person) {
	ends := s.Now().Add(time.Hour).Format(time.RFC3339)
	_, err := directory.UpdateMember.Call(s.by(s.owner), s.Service, directory.UpdateMemberInput{MemberInput: s.member(p), EndsAt: &ends})
	s.Must(err)
	s.After(time.Hour)
}

// T-040: what becomes of a key when its creator goes, for each policy and each way of going. A suspended creator's key is
// refused, and good again after reactivation, where it is personal.
func TestKeysOfThoseWhoGo(t *testing.T) {
	policies := []struct {
		charter string // automation: revoke; gateway: keep; documents: keys of the organization
		maker   string
		kind    charter.KeyKind
		scope   charter.Permission
		lives   bool
	}{
		{"automation", "editor", charter.PersonalKey, "workflows.run", false},
		{"gateway", "developer", charter.PersonalKey, "prompts.promote", true},
		{"documents", "admin", charter.OrganizationKey, "api.call", true},
	}
	for _, p := range policies {
		for way, goes := range goings {
			t.Run(p.charter+", its maker "+way, func(t *testing.T) {
				inShops(t, p.charter, func(s *shop) {
					maker := s.people[p.maker]
					key := s.key(maker, p.kind, "mine", p.scope)
					s.Works("before", key.Secret)
					goes(s, maker)
					if p.lives {
						if diff := cmp.Diff([]charter.Permission{p.scope}, s.may(key.Secret)); diff != "" {
							t.Error(diff)
						}
					} else if got := s.allowed(key.Secret, p.scope); got {
						t.Error("the key lives")
					}
				})
			})
		}
	}
}

// allowed reports whether a secret is good for a permission now.
func (s *shop) allowed(secret string, p charter.Permission) bool {
	me, err := directory.GetMe.Call(s.As(secret), s.Service, directory.GetMeInput{})
	if err != nil {
		return false
	}
	for _, held := range me.Permissions {
		if held == p {
			return true
		}
	}
	return false
}

// T-040: keys of a suspended creator. Removing them revokes what was refused, also where keys are kept.
func TestKeysOfTheSuspended(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		developer := s.people["developer"]
		key := s.key(developer, charter.PersonalKey, "mine", "prompts.promote")
		end := directory.EndMemberInput{MemberInput: s.member(developer)}
		impact, err := s.dryRun(s.by(s.owner), directory.SuspendMember, end)
		s.Must(err)
		if diff := cmp.Diff(map[string]string{"mine": "is refused until Developer is reactivated"}, effects(impact, "key")); diff != "" {
			t.Error(diff)
		}
		_, err = directory.SuspendMember.Call(s.by(s.owner), s.Service, end)
		s.Must(err)
		if s.allowed(key.Secret, "prompts.promote") {
			t.Error("the key of a suspended person works")
		}
		_, err = directory.ReactivateMember.Call(s.by(s.owner), s.Service, end)
		s.Must(err)
		if !s.allowed(key.Secret, "prompts.promote") {
			t.Error("the key of a reactivated person is refused")
		}
		_, err = directory.SuspendMember.Call(s.by(s.owner), s.Service, end)
		s.Must(err)
		out, err := directory.RemoveMember.Call(s.by(s.owner), s.Service, end)
		s.Must(err)
		if namesOf(out.KeysEnded) != "mine" || len(out.KeysLeftBehind) != 0 {
			t.Errorf("got %+v", out)
		}
		s.Dead("the key of a removed suspended person", key.Secret)
		_, err = directory.SuspendMember.Call(s.by(s.owner), s.Service, directory.EndMemberInput{MemberInput: s.member(s.people["admin"]),
			RemovalChoices: directory.RemovalChoices{RevokeKeys: []string{key.ID}}})
		s.Refused("revoking keys with a suspension", err, "invalid")
	})
}

// A key left behind keeps what its creator held at that moment, never more: whatever becomes of the role, or of the person.
func TestAKeyLeftBehindIsFrozen(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		guest := s.Join(s.acme, "guest@acme.test", "reader")
		maker := s.role("Maker", "prompts.view", "prompts.edit", "prompts.promote", "keys.create_own", "keys.create")
		s.Must(s.gives(s.owner, guest, maker.ID))
		key := s.key(guest, charter.PersonalKey, "left", "prompts.edit", "prompts.view", "prompts.promote")
		_, err := directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names(maker.ID),
			Permissions: []charter.Permission{"prompts.view", "prompts.edit"}})
		s.Must(err)
		goings["removed"](s, guest)
		all := []charter.Permission{"prompts.view", "prompts.edit"}
		if diff := cmp.Diff(all, s.may(key.Secret)); diff != "" {
			t.Error(diff)
		}
		_, err = directory.DeleteRole.Call(s.by(s.owner), s.Service, directory.DeleteRoleInput{GetRoleInput: s.names(maker.ID)})
		s.Must(err)
		s.Enter(s.acme, guest, "admin") // the person is back, with more
		if diff := cmp.Diff(all, s.may(key.Secret)); diff != "" {
			t.Error(diff)
		}
	})
}

// Whoever removes somebody decides about each key and says who looks after the service accounts; the answer, the preview
// and the log name them.
func TestChoicesOfARemoval(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		admin, developer := s.people["admin"], s.people["developer"]
		stays := s.key(admin, charter.PersonalKey, "deploy", "prompts.promote")
		ends := s.key(admin, charter.PersonalKey, "laptop", "prompts.view")
		shared := s.key(admin, charter.OrganizationKey, "shared", "endpoints.call")
		_, err := credential.CreateServiceAccount.Call(s.by(admin), s.Service, credential.CreateServiceAccountInput{InOrganization: s.in(), Name: "robot", Role: "developer"})
		s.Must(err)
		_, err = credential.CreateToken.Call(s.As(stays.Secret), s.Service, credential.CreateTokenInput{InOrganization: s.in(), Name: "short"})
		if err != nil { // the key's scopes leave tokens out
			s.Refused("a token of a key without the right", err, "out_of_scope")
		}
		in := directory.EndMemberInput{MemberInput: s.member(admin), RemovalChoices: directory.RemovalChoices{RevokeKeys: []string{ends.ID}}}
		impact, err := s.dryRun(s.by(s.owner), directory.RemoveMember, in)
		s.Must(err)
		if diff := cmp.Diff(map[string]string{"deploy": "stays, left behind with what Admin holds at that moment", "laptop": "is revoked",
			"shared": "stays: it belongs to the organization"}, effects(impact, "key")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{"robot": "stays, looked after by whoever removes"}, effects(impact, "service_account")); diff != "" {
			t.Error(diff)
		}
		for _, wrong := range []directory.RemovalChoices{{RevokeKeys: []string{shared.ID}}, {RevokeKeys: []string{"key_x"}},
			{ServiceAccountsTo: admin.Member}, {ServiceAccountsTo: "mem_x"}} {
			_, err = directory.RemoveMember.Call(s.by(s.owner), s.Service, directory.EndMemberInput{MemberInput: s.member(admin), RemovalChoices: wrong})
			s.Refused("choices about what is not theirs", err, "invalid")
		}
		out, err := directory.RemoveMember.Call(s.by(s.owner), s.Service, in)
		s.Must(err)
		if got := namesOf(out.KeysLeftBehind) + "|" + namesOf(out.KeysEnded) + "|" + namesOf(out.ServiceAccounts); got != "deploy|laptop|robot" || out.ServiceAccountsTo != s.owner.Member {
			t.Errorf("got %s, to %s", got, out.ServiceAccountsTo)
		}
		s.Works("a key left behind", stays.Secret)
		s.Works("a key of the organization", shared.Secret)
		s.Dead("a key that was revoked with the removal", ends.Secret)
		if n := s.Number(`SELECT count(*) FROM audit_subjects s JOIN audit_rows r ON r.stream = s.stream AND r.seq = s.seq
			WHERE r.action = 'members.remove' AND s.stream = $1 AND s.id IN ($2, $3)`, s.acme, stays.ID, ends.ID); n != 2 {
			t.Errorf("the log names %d of the two keys", n)
		}
		out, err = directory.RemoveMember.Call(s.by(s.owner), s.Service, directory.EndMemberInput{MemberInput: s.member(developer),
			RemovalChoices: directory.RemovalChoices{ServiceAccountsTo: s.owner.Member}})
		s.Must(err)
		if len(out.KeysEnded)+len(out.KeysLeftBehind)+len(out.ServiceAccounts) != 0 {
			t.Errorf("nothing hung on it: %+v", out)
		}
	})
}

// A change of role says which keys lose what.
func TestPreviewOfARoleChangeNamesKeys(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		developer := s.people["developer"]
		s.key(developer, charter.PersonalKey, "deploy", "prompts.promote", "prompts.view")
		s.key(developer, charter.PersonalKey, "look", "prompts.view")
		role := "reader"
		impact, err := s.dryRun(s.by(s.owner), directory.UpdateMember, directory.UpdateMemberInput{MemberInput: s.member(developer), Role: &role})
		s.Must(err)
		if diff := cmp.Diff(map[string]string{"deploy": "loses prompts.promote"}, effects(impact, "key")); diff != "" {
			t.Error(diff)
		}
	})
}

// Under the policy revoke, keys and tokens are listed as ending; nothing is written about them.
func TestPreviewOfARemovalThatEndsKeys(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		key := s.key(editor, charter.PersonalKey, "runner", "workflows.run", "tokens.create")
		in := credential.CreateTokenInput{InOrganization: s.in(), Name: "short"}
		_, err := credential.CreateToken.Call(s.As(key.Secret), s.Service, in)
		s.Must(err)
		impact, err := directory.PreviewRemoval.Call(s.by(s.owner), s.Service, s.member(editor))
		s.Must(err)
		for _, kind := range []string{"key", "token"} {
			for name, text := range effects(impact, kind) {
				if text != "ends with the membership" {
					t.Errorf("%s %s %s", kind, name, text)
				}
			}
			if len(effects(impact, kind)) != 1 {
				t.Errorf("%s: %v", kind, effects(impact, kind))
			}
		}
		out, err := directory.RemoveMember.Call(s.by(s.owner), s.Service, directory.EndMemberInput{MemberInput: s.member(editor)})
		s.Must(err)
		if namesOf(out.KeysEnded) != "runner" {
			t.Errorf("got %+v", out)
		}
		if n := s.Number("SELECT count(*) FROM api_keys WHERE version = 1 AND revoked_at = 0"); n != 1 {
			t.Error("the key was written")
		}
	})
}

// A member whose end date has come joins anew: what they left behind is settled as by a removal.
func TestJoiningAnewAfterTheEnd(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		developer := s.people["developer"]
		key := s.key(developer, charter.PersonalKey, "old", "prompts.promote")
		s.reachesEnd(developer)
		again, err := directory.AddMember.Call(s.As(s.svc), s.Service, directory.AddMemberInput{InOrganization: s.in(), User: developer.User, Role: "reader"})
		s.Must(err)
		if again.ID == developer.Member {
			t.Error("a member id is used again")
		}
		if diff := cmp.Diff([]charter.Permission{"prompts.promote"}, s.may(key.Secret)); diff != "" {
			t.Error(diff)
		}
	})
}
