package directory_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// shop is Acme with one person for each role of the charter, and the operations on keys beside this room's.
type shop struct {
	*testroom.Room
	acme   string
	people map[string]testroom.Person // by role
	owner  testroom.Person
	svc    string // a service key
}

// inShops runs a scenario on both databases, and asks the doctor at the end.
func inShops(t *testing.T, charterName string, run func(s *shop)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openShop(t, db, testroom.Ready(t, charterName))
		run(s)
		s.sound()
	})
}

func openShop(t testing.TB, db *sqldb.DB, c *charter.Charter) *shop {
	t.Helper()
	s := &shop{Room: testroom.New(t, db, c), people: map[string]testroom.Person{}}
	s.Serve(op.Config{Operations: slices.Concat(directory.Operations(), credential.Operations()), Fence: s.Fence})
	s.acme, s.owner = s.Found("acme", "owner@acme.test")
	for _, role := range c.Roles() {
		if !role.Owner {
			s.people[string(role.ID)] = s.Join(s.acme, string(role.ID)+"@acme.test", string(role.ID))
		}
	}
	s.people[string(c.OwnerRole().ID)] = s.owner
	key, err := credential.CreateServiceKey.Call(s.Operator(), s.Service, credential.CreateServiceKeyInput{Name: "back end"})
	s.Must(err)
	s.svc = key.Secret
	s.Fenced()
	return s
}

// sound asks every invariant of the room and of the log.
func (s *shop) sound() {
	s.T.Helper()
	for _, rule := range s.broken() {
		s.T.Errorf("broken: %s", rule)
	}
}

func (s *shop) broken() (all []string) {
	s.T.Helper()
	s.Must(s.Service.Snapshot(s.T.Context(), func(r *op.Reader) error {
		rules, err := directory.Broken(s.T.Context(), r)
		if err != nil {
			return err
		}
		chain, err := audit.Broken(s.T.Context(), r)
		all = append(rules, chain...)
		return err
	}))
	return all
}

func (s *shop) in() op.InOrganization { return op.InOrganization{Organization: s.acme} }

// by is a context whose calls a person makes.
func (s *shop) by(p testroom.Person) context.Context { return s.As(p.Token) }

// makes makes a role as somebody.
func (s *shop) makes(p testroom.Person, title string, permissions ...charter.Permission) (directory.Role, error) {
	return directory.CreateRole.Call(s.by(p), s.Service, directory.CreateRoleInput{InOrganization: s.in(), Title: title, Permissions: permissions})
}

// role makes a role as the owner.
func (s *shop) role(title string, permissions ...charter.Permission) directory.Role {
	s.T.Helper()
	made, err := s.makes(s.owner, title, permissions...)
	s.Must(err)
	return made
}

func (s *shop) names(role string) directory.GetRoleInput {
	return directory.GetRoleInput{InOrganization: s.in(), Role: role}
}

func (s *shop) member(p testroom.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: s.in(), Member: p.Member}
}

// gives gives a person a role as another.
func (s *shop) gives(by, of testroom.Person, role string) error {
	_, err := directory.UpdateMember.Call(s.by(by), s.Service, directory.UpdateMemberInput{MemberInput: s.member(of), Role: &role})
	return err
}

// key makes a key of a kind as somebody, with scopes.
func (s *shop) key(p testroom.Person, kind charter.KeyKind, name string, scopes ...charter.Permission) credential.NewKey {
	s.T.Helper()
	in := credential.CreateKeyInput{InOrganization: s.in(), Name: name, Kind: kind}
	in.Permissions = scopes
	made, err := credential.CreateKey.Call(s.by(p), s.Service, in)
	s.Must(err)
	return made
}

// may are the permissions that a secret has now.
func (s *shop) may(secret string) []charter.Permission {
	s.T.Helper()
	me, err := directory.GetMe.Call(s.As(secret), s.Service, directory.GetMeInput{})
	s.Must(err)
	return me.Permissions
}

// effects are what a dry run says of one type of thing, by name.
func effects(i op.Impact, kind string) map[string]string {
	found := map[string]string{}
	for _, e := range i.Effects {
		if e.Type == kind {
			found[e.Name] = e.Text
		}
	}
	return found
}

func namesOf(all []directory.Named) string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Name
	}
	return strings.Join(names, ", ")
}

// dryRun asks what an operation would do.
func (s *shop) dryRun(ctx context.Context, o op.Any, in any) (op.Impact, error) {
	s.T.Helper()
	answer, err := s.Service.Invoke(ctx, o, op.Request{Caller: op.CallerOf(ctx), Input: in, DryRun: true})
	impact, _ := answer.Output.(op.Impact)
	return impact, err
}
