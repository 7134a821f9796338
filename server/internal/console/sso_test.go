package console_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
)

const ssoPath, requestsToJoin = "/o/acme/settings/sso", "/o/acme/settings/join-requests"

// records are the TXT records of a test's DNS.
type records struct {
	mu sync.Mutex
	of map[string][]string
}

func (r *records) set(name string, texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string][]string{}
	}
	r.of[name] = texts
}

// LookupTXT answers as net.Resolver does.
func (r *records) LookupTXT(_ context.Context, name string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if texts := r.of[strings.TrimSuffix(name, ".")]; len(texts) > 0 {
		return texts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// domainSite is a site with a DNS, where Acme's plan has single sign-on.
func domainSite(t *testing.T, name string, options ...guildhalltest.Option) (*site, *guildhalltest.Organization, *records) {
	t.Helper()
	dns := &records{}
	s := newSite(t, name, append(options, guildhalltest.With(func(c *guildhall.Config) { c.Resolver = dns }))...)
	return s, s.withSSO(t), dns
}

// withSSO is Acme with a plan that has single sign-on.
func (s *site) withSSO(t *testing.T) *guildhalltest.Organization {
	t.Helper()
	acme := s.Organization("acme")
	plan, _ := s.Charter().PlanWith("sso")
	in := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: acme.In(), Plan: plan.ID}}
	if _, err := billing.ChangeSubscription.Call(s.Operator(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
	return acme
}

func TestADomainIsAddedVerifiedOpenedAndRemoved(t *testing.T) {
	s, acme, dns := domainSite(t, "automation")
	b := s.as(acme.Owner())
	b.get(ssoPath).says(ssoPath, 200, "No domain is named yet.", "One record in DNS")
	path := ssoPath + "/domains/new"
	page := b.get(path)
	bound(t, s, page, path, "domains.add")
	b.submit(page, path, "domain", "gmail.com").says(path, 422, "gives addresses to everybody")
	one := b.submit(page, path, "domain", "Acme.Test").url
	shown := b.get(one).says(one, 200, "_guildhall-challenge.acme.test", "guildhall-domain=", "Waits for its record", "not yet")
	b.submit(shown, one+"/verify").says(one+"/verify", 200, "There is no TXT record at _guildhall-challenge.acme.test yet")
	dns.set("_guildhall-challenge.acme.test", "v=spf1 -all")
	b.submit(shown, one+"/verify", "idempotency_key", "again").says(one+"/verify", 200, "but with another value", "v=spf1 -all")
	_, value, _ := strings.Cut(shown.text(), "guildhall-domain=")
	value, _, _ = strings.Cut(value, " ")
	dns.set("_guildhall-challenge.acme.test", "guildhall-domain="+value)
	page = b.submit(b.get(one), one+"/verify").says(one, 200, "The domain acme.test is verified.", "Need an invitation", "Join at once")
	bound(t, s, page, one, "domains.update")
	b.submit(page, one, "joining", "automatic", "role", "viewer").says(ssoPath, 200, "People with an address at acme.test join at once as Viewer.", "Verified")
	for _, p := range []string{ssoPath, path, one, one + "/remove"} {
		tellsWays(t, b, p)
	}

	zoe := s.as(s.SignIn("zoe@acme.test"))
	offered := zoe.get("/orgs").says("/orgs", 200, "It has verified acme.test, the domain of your address.", "Join acme as Viewer")
	bound(t, s, offered, "/orgs/join", "domains.join")
	zoe.submit(offered, "/orgs/join").says("/o/acme", 200, "You are Viewer of acme now.")
	if got := s.as(s.SignIn("eve@evil.test")).get("/orgs"); strings.Contains(got.text(), "has verified") {
		t.Error("a domain opens to an address elsewhere")
	}
	page = b.get(one+"/remove").says(one+"/remove", 200, "Remove acme.test", "Members stay members.")
	bound(t, s, page, one+"/remove", "domains.remove")
	b.submit(page, one+"/remove").says(ssoPath, 200, "The domain acme.test is removed.")
	b.get(one).says(one, 404)
	b.get("/o/acme").says("/o/acme", 200, "took the domain acme.test away", "came by the domain acme.test and joined as zoe@acme.test", "asked DNS about the domain acme.test, which was pending and is verified now", "named the domain acme.test")
	s.Sound()
}

func TestARequestToJoinIsDecidedOnAPage(t *testing.T) {
	s, acme, dns := domainSite(t, "gateway")
	b := s.as(acme.Owner())
	b.get(requestsToJoin).says(requestsToJoin, 200, "Nobody waits for an answer.")
	one := b.submit(b.get(ssoPath+"/domains/new"), ssoPath+"/domains/new", "domain", "acme.test").url
	_, value, _ := strings.Cut(b.get(one).text(), "guildhall-domain=")
	value, _, _ = strings.Cut(value, " ")
	dns.set("_guildhall-challenge.acme.test", "guildhall-domain="+value)
	page := b.submit(b.get(one), one+"/verify")
	b.submit(page, one, "joining", "request", "role", "reader")
	zoe := s.as(s.SignIn("zoe@acme.test"))
	zoe.submit(zoe.get("/orgs").says("/orgs", 200, "Ask to join acme as Reader"), "/orgs/join").says("/orgs", 200, "You asked to join acme.")
	list := b.get(requestsToJoin).says(requestsToJoin, 200, "zoe@acme.test", "Reader")
	ask := list.links()[slices.IndexFunc(list.links(), func(l string) bool { return strings.HasPrefix(l, requestsToJoin+"/jrq_") })]
	page = b.get(ask).says(ask, 200, "Decide about zoe@acme.test", "Let them in", "Decline")
	bound(t, s, page, ask, "join_requests.decide")
	tellsWays(t, b, requestsToJoin)
	tellsWays(t, b, ask)
	s.as(acme.People["developer"]).get(ask).says(ask, 403)
	b.submit(page, ask, "decision", "approve", "role", "developer").says(requestsToJoin, 200, "zoe@acme.test is Developer now.", "Nobody waits")
	zoe.get("/o/acme").says("/o/acme", 200)
	s.Sound()
}

func TestDomainsFollowPermissionAndPlan(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		_, sold := s.Charter().PlanWith("sso")
		locked := sold && !s.Charter().Unlocked(s.Charter().Plans[0].ID, "sso")
		for role, person := range acme.People {
			info, _ := s.Charter().Info("sso.configure")
			may := mustRole(t, s, role).Holds.Has(info.Bit)
			b := s.as(person)
			page := b.get(ssoPath)
			if (page.Code == 200) != may || (b.get(ssoPath+"/domains/new").Code == 200) != may {
				t.Errorf("%s: %s gets %d", name, role, page.Code)
			}
			if got := strings.Contains(page.text(), "Single sign-on"); may && got != locked {
				t.Errorf("%s: %s is shown the lock: %v, want %v", name, role, got, locked)
			}
			if may && locked {
				b.submit(b.get(ssoPath+"/domains/new"), ssoPath+"/domains/new", "domain", "acme.test").says(ssoPath+"/domains/new", 402, "comes with the plan")
			}
			if got := slices.Contains(b.get("/account").links(), ssoPath); got != may {
				t.Errorf("%s: %s is led there: %v", name, role, got)
			}
		}
	}
}
