package federation_test

import (
	"context"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testdns"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// hall is a service with a DNS server of its own, and Acme with its owner.
type hall struct {
	*testroom.Room
	dns        *testdns.Server
	acme       string
	connection string // of connected
	providers  *federation.Providers
	ada        testroom.Person
}

// inHalls runs a test on both databases, where Acme's plan has single sign-on.
func inHalls(t *testing.T, charter string, test func(h *hall)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, charter)
		test(h)
		h.sound()
	})
}

func newHall(t testing.TB, db *sqldb.DB, charter string) *hall {
	t.Helper()
	return newHallOf(t, db, testroom.Ready(t, charter))
}

func newHallOf(t testing.TB, db *sqldb.DB, c *charter.Charter) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, c), dns: testdns.Start(t)}
	h.Most = 9
	h.Serve(op.Config{
		Operations: append(federation.Operations(), credential.ListSessions, credential.RevokeSession, credential.RevokeSessions, directory.ProvisionOrganization, directory.CreateInvitation, directory.GetMe, directory.ListMembers,
			directory.RemoveMember, directory.SuspendMember, directory.DeleteUser, directory.UpdateMember, directory.CreateRole, directory.DeleteRole),
		Settings: op.Settings{BaseURL: "https://accounts.acme.test", SignInWith: []string{federation.Google, federation.GitHub}}, Fence: h.Fence, Outside: h.outside,
	})
	h.acme, h.ada = h.Found("acme", "ada@acme.test")
	h.plan(h.acme)
	return h
}

func (h *hall) outside(ctx context.Context) context.Context { return federation.At(ctx, h.reach()) }

func (h *hall) reach() federation.Reach {
	return federation.Reach{Resolver: h.dns.Resolver(), Providers: h.providers, Read: h.Service.Snapshot}
}

// plan gives an organization a plan that has single sign-on.
func (h *hall) plan(organization string) {
	h.T.Helper()
	plan, _ := h.Charter.PlanWith("sso")
	h.Exec("UPDATE organizations SET plan = $2, seats = 0 WHERE id = $1", organization, plan.ID)
}

// sound fails the test if a rule of the data does not hold.
func (h *hall) sound() {
	h.T.Helper()
	h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) error {
		broken, err := federation.Broken(h.T.Context(), r)
		for _, rule := range broken {
			h.T.Errorf("broken: %s", rule)
		}
		return err
	}))
}

func (h *hall) in() op.InOrganization { return op.InOrganization{Organization: h.acme} }

// adds names a domain of Acme.
func (h *hall) adds(domain string) federation.Domain {
	h.T.Helper()
	d, err := federation.AddDomain.Call(h.As(h.ada.Token), h.Service, federation.AddDomainInput{InOrganization: h.in(), Domain: domain})
	if err != nil {
		h.T.Fatalf("adding %s: %v", domain, err)
	}
	return d
}

func (h *hall) one(d federation.Domain) federation.DomainInput {
	return federation.DomainInput{InOrganization: h.in(), Domain: d.ID}
}

// verifies asks DNS about a domain.
func (h *hall) verifies(d federation.Domain) (federation.Domain, error) {
	return federation.VerifyDomain.Call(h.As(h.ada.Token), h.Service, federation.VerifyDomainInput{DomainInput: h.one(d)})
}

// owns makes a domain Acme's.
func (h *hall) owns(domain string) federation.Domain {
	h.T.Helper()
	d := h.adds(domain)
	h.dns.Text(d.Record.Name, d.Record.Value)
	d, err := h.verifies(d)
	h.Must(err)
	if d.State != federation.Verified {
		h.T.Fatalf("%s is %s: %s", domain, d.State, d.Problem)
	}
	return d
}

// opens lets people with an address of a domain in.
func (h *hall) opens(d federation.Domain, joining, role string) {
	h.T.Helper()
	_, err := h.opened(h.ada.Token, d, joining, role)
	h.Must(err)
}

// tends does the scheduled work, after a time.
func (h *hall) tends(after time.Duration) {
	h.T.Helper()
	h.After(after)
	var due federation.Due
	h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) (err error) {
		due, err = federation.DueNow(h.T.Context(), r)
		return err
	}))
	h.Must(due.Do(h.T.Context(), h.DB, h.Service, h.reach(), h.Now()))
}

// listed is a domain as the list has it.
func (h *hall) listed(d federation.Domain) federation.Domain {
	h.T.Helper()
	list, err := federation.ListDomains.Call(h.As(h.ada.Token), h.Service, federation.ListDomainsInput{InOrganization: h.in()})
	h.Must(err)
	for _, one := range list.Data {
		if one.ID == d.ID {
			return one
		}
	}
	h.T.Fatalf("%s is not listed", d.Domain)
	return d
}
