package governance_test

import (
	"context"
	"testing"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// acme is a room with one organization, in which ada is the owner.
type acme struct {
	*testroom.Room
	id   string
	ada  testroom.Person
	sick bool // the test broke a rule itself
}

// inAcme runs a test in Acme of a ready-made charter, on both databases. It ends with the doctor.
func inAcme(t *testing.T, charterName string, test func(a *acme)) {
	t.Helper()
	inAcmeOf(t, testroom.Ready(t, charterName), test)
}

func inAcmeOf(t *testing.T, c *charter.Charter, test func(a *acme)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		a := &acme{Room: testroom.New(t, db, c)}
		a.Serve(op.Config{Operations: append(append(append(directory.Operations(), credential.Operations()...), audit.Operations()...), governance.Operations()...),
			Settings: op.Settings{SessionIdle: -1, SessionLife: 3650 * day, BaseURL: "https://hall.test"}, Fence: a.Fence})
		a.id, a.ada = a.Found("acme", "ada@acme.test")
		test(a)
		if !a.sick {
			a.healthy()
		}
	})
}

// healthy fails the test if a rule does not hold.
func (a *acme) healthy() {
	a.T.Helper()
	a.Must(a.Service.Snapshot(a.T.Context(), func(r *op.Reader) error {
		for _, broken := range []func(context.Context, *op.Reader) ([]string, error){directory.Broken, governance.Broken, audit.Broken} {
			lines, err := broken(a.T.Context(), r)
			if err != nil {
				return err
			}
			for _, line := range lines {
				a.T.Error("the doctor: " + line)
			}
		}
		return nil
	}))
}

func (a *acme) in() op.InOrganization { return op.InOrganization{Organization: a.id} }

// joins makes somebody a member.
func (a *acme) joins(name, role string) testroom.Person {
	a.T.Helper()
	return a.Join(a.id, name+"@acme.test", role)
}

// does runs an operation as somebody, and ends the test on an error.
func does[In, Out any](a *acme, p testroom.Person, o *op.Op[In, Out], in In, options ...op.Option) Out {
	a.T.Helper()
	out, err := o.Call(a.As(p.Token), a.Service, in, options...)
	if err != nil {
		a.T.Fatalf("%s as %s: %v", o.Name, p.Name, err)
	}
	return out
}

// tries runs an operation as somebody.
func tries[In, Out any](a *acme, p testroom.Person, o *op.Op[In, Out], in In, options ...op.Option) error {
	_, err := o.Call(a.As(p.Token), a.Service, in, options...)
	return err
}

func (a *acme) member(p testroom.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: a.in(), Member: p.Member}
}

// is what a member is now: role and status.
func (a *acme) is(p testroom.Person) string {
	a.T.Helper()
	var role, status string
	a.Row("SELECT role, status FROM members WHERE organization = $1 AND id = $2", []any{a.id, p.Member}, &role, &status)
	return role + " " + status
}

// seen says that everybody was active a moment ago.
func (a *acme) seen(people ...testroom.Person) {
	for _, p := range people {
		a.Exec("UPDATE members SET last_active_at = $3 WHERE organization = $1 AND id = $2", a.id, p.Member, a.Now().UnixMicro())
	}
}
