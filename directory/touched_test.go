package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// changedCharter is a ready-made charter with texts replaced.
func changedCharter(t *testing.T, name string, replace ...string) *charter.Charter {
	t.Helper()
	source := string(charter.Source(name))
	for i := 0; i < len(replace); i += 2 {
		source = replaceOnce(t, source, replace[i], replace[i+1])
	}
	if at := strings.Index(source, "\ntests:"); at >= 0 {
		source = source[:at+1] // they say what the old one does
	}
	c, err := charter.Parse(name+".yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// said writes touches as lines: "2: text (names)".
func said(all []directory.Touch) []string {
	lines := []string{}
	for _, t := range all {
		lines = append(lines, fmt.Sprintf("%d: %s (%s)", t.Count, t.Text, namesOf(t.Named)))
	}
	return lines
}

// A new charter is held against the data: who is touched, by name, and what forbids it.
func TestTouched(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		s.Join(s.acme, "bo@acme.test", "editor")
		s.key(editor, charter.PersonalKey, "deploy", "workflows.deploy", "workflows.view")
		s.key(editor, charter.PersonalKey, "look", "workflows.view")
		token := credential.CreateTokenInput{InOrganization: s.in(), Name: "short"}
		token.Permissions = []charter.Permission{"workflows.deploy"}
		_, err := credential.CreateToken.Call(s.by(editor), s.Service, token)
		s.Must(err)
		s.role("Shipper", "workflows.deploy")
		_, err = directory.CreateInvitation.Call(s.by(s.owner), s.Service, directory.CreateInvitationInput{InOrganization: s.in(), Email: "x@acme.test", Role: "editor"})
		s.Must(err)
		s.Exec(`INSERT INTO service_accounts (id, organization, name, name_folded, description, role, manager, version, created_by, created_at, deleted_at)
			VALUES ('sac_1', $1, 'robot', 'robot', '', 'editor', '', 1, '', 1, 0)`, s.acme) // of a time when the charter had such

		none := s.touched(s.Charter)
		if diff := cmp.Diff(directory.Touches{}, none); diff != "" {
			t.Errorf("nothing changes: %s", diff)
		}
		got := s.touched(changedCharter(t, "automation", "  workflows.deploy: {title: Deploy workflows, group: Workflows}\n", "",
			"      - workflows.deploy\n", "", ", workflows.deploy]\n", "]\n",
			"  - {route: \"POST /api/workflows/{id}/deploy\", needs: workflows.deploy, on: \"workflow:{id}\"}\n", ""))
		for _, test := range []struct {
			what string
			got  []directory.Touch
			want []string
		}{
			{"members", got.Members, []string{"2: role Editor loses workflows.deploy (Bo, Editor)", "1: role Owner loses workflows.deploy (Owner)"}},
			{"keys", got.Keys, []string{"1: loses workflows.deploy (deploy)"}},
			{"tokens", got.Tokens, []string{"1: loses workflows.deploy (short)"}},
			{"roles", got.Roles, []string{"1: loses workflows.deploy (Shipper)"}},
			{"invitations", got.Invitations, []string{"1: role Editor loses workflows.deploy (x@acme.test)"}},
			{"service accounts", got.ServiceAccounts, []string{"1: role Editor loses workflows.deploy (robot)"}},
			{"refused", got.Refused, []string{}},
		} {
			compareSets(t, test.what, said(test.got), test.want)
		}
	})
}

// touched asks what a new charter would do.
func (s *shop) touched(after *charter.Charter) (touches directory.Touches) {
	s.T.Helper()
	s.Must(s.Service.Snapshot(s.T.Context(), func(r *op.Reader) (err error) {
		touches, err = directory.Touched(s.T.Context(), r, s.Charter, after)
		return err
	}))
	return touches
}

// compareSets compares lines whose order says nothing.
func compareSets(t *testing.T, what string, got, want []string) {
	t.Helper()
	seen := map[string]int{}
	for _, one := range got {
		seen[one]++
	}
	for _, one := range want {
		seen[one]--
	}
	for one, n := range seen {
		if n != 0 {
			t.Errorf("%s: %q is there %+d times: got %q", what, one, n, got)
		}
	}
}

// A charter that drops a role in use, or that leaves an organization without an owner or with too many, is refused with
// the list.
func TestRefusedCharters(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		s.Join(s.acme, "second@acme.test", "owner")
		one := changedCharter(t, "documents", "owners: many", "owners: one")
		compareSets(t, "one owner", said(s.touched(one).Refused), []string{"1: there are 2 owners, and the new charter allows one (Acme)"})
		gateway, err := charter.Ready("gateway")
		s.Must(err)
		compareSets(t, "without the role of members", said(s.touched(gateway).Refused), []string{"1: role Member is dropped (Member)",
			"1: there are 2 owners, and the new charter allows one (Acme)"})
		boss := changedCharter(t, "documents", "  owner:\n", "  boss:\n")
		compareSets(t, "another owner role", said(s.touched(boss).Refused), []string{"2: role Owner is dropped (Owner, Second)",
			"1: nobody has the new owner role Owner (Acme)"})
	})
}
