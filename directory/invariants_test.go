package directory_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
)

// Each way in which the data can be broken is found, and nothing else is.
func TestTheDoctorFindsWhatIsBroken(t *testing.T) {
	tests := []struct {
		name, change, says string
	}{
		{"an organization without an owner", "UPDATE members SET role = 'reader' WHERE role = 'owner'", "has no active owner"},
		{"two owners where one is allowed", "UPDATE members SET role = 'owner' WHERE role = 'admin'", "the charter allows one"},
		{"a member with a role that there is not", "UPDATE members SET role = 'rol_gone' WHERE role = 'reader'", `1 members have the role "rol_gone"`},
		{"a service account with such a role", "UPDATE service_accounts SET role = 'gone'", `1 service accounts have the role "gone"`},
		{"a key without a membership", "UPDATE api_keys SET member = 'mem_x' WHERE kind = 'personal'", "has no membership"},
		{"a key without its creator", "UPDATE api_keys SET creator = 'usr_x' WHERE kind = 'personal'", "has no creator"},
		{"a key of no service account", "UPDATE api_keys SET service_account = 'sac_x' WHERE kind = 'organization'", "has no service account"},
		{"a key left behind by who is there", "UPDATE api_keys SET left_at = 1, frozen = 'prompts.view' WHERE kind = 'personal'", "left behind by a member who is there"},
		{"a frozen key that nobody left", "UPDATE api_keys SET frozen = 'prompts.view' WHERE kind = 'personal'", "nobody left it behind"},
		{"a token without a root", "UPDATE scoped_tokens SET api_key = '', session = ''", "has not exactly one root"},
		{"a token wider than the one above", "UPDATE scoped_tokens SET permissions = 'prompts.view billing.manage' WHERE parent <> ''", "has billing.manage"},
		{"a deleted user who is named", "UPDATE users SET deleted_at = 1 WHERE email = 'reader@acme.test'", "was deleted"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openShop(t, testdb.Open(t, sqldb.SQLite), testroom.Ready(t, "gateway"))
			s.withCredentials()
			s.sound()
			s.Exec(test.change)
			if found := strings.Join(s.broken(), "\n"); !strings.Contains(found, test.says) {
				t.Errorf("got %q, want %q", found, test.says)
			}
		})
	}
}

// withCredentials makes a service account, a key of each kind, and a token below a token.
func (s *shop) withCredentials() {
	s.T.Helper()
	admin := s.people["admin"]
	account, err := credential.CreateServiceAccount.Call(s.by(admin), s.Service, credential.CreateServiceAccountInput{InOrganization: s.in(), Name: "robot", Role: "developer"})
	s.Must(err)
	in := credential.CreateKeyInput{InOrganization: s.in(), Name: "shared", Kind: charter.OrganizationKey, ServiceAccount: account.ID}
	_, err = credential.CreateKey.Call(s.by(admin), s.Service, in)
	s.Must(err)
	key := s.key(admin, charter.PersonalKey, "mine", "prompts.view", "tokens.create")
	first, err := credential.CreateToken.Call(s.As(key.Secret), s.Service, credential.CreateTokenInput{InOrganization: s.in(), Name: "first"})
	s.Must(err)
	_, err = credential.CreateToken.Call(s.As(first.Secret), s.Service, credential.CreateTokenInput{InOrganization: s.in(), Name: "second"})
	s.Must(err)
}
