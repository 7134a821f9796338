package federation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

func (h *hall) opened(token string, d federation.Domain, joining, role string) (federation.Domain, error) {
	return federation.UpdateDomain.Call(h.As(token), h.Service, federation.UpdateDomainInput{DomainInput: h.one(d), Joining: &joining, Role: new(charter.RoleID(role))})
}

func TestADomainIsReadAsDNSHasIt(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		for typed, want := range map[string]string{
			"Acme.Test": "acme.test", " @mail.acme.test. ": "mail.acme.test", "Bücher.example": "xn--bcher-kva.example", "acme.co.uk": "acme.co.uk",
		} {
			d := h.adds(typed)
			if d.Domain != want || d.Record.Name != "_guildhall-challenge."+want || d.Record.Type != "TXT" || !strings.HasPrefix(d.Record.Value, "guildhall-domain=") {
				t.Errorf("%q became %+v", typed, d)
			}
			if d.State != federation.Pending || d.Joining != federation.JoinOff {
				t.Errorf("a new domain is %s, joining %s", d.State, d.Joining)
			}
		}
		for typed, code := range map[string]string{
			"acme": "invalid", "https://acme.test/": "invalid", "127.0.0.1": "invalid", "[::1]": "invalid", "a b.test": "invalid", "a..test": "invalid", "acme\u200b.test": "invalid",
			"co.uk": "public_suffix", "github.io": "public_suffix", "COM": "invalid", "gmail.com": "free_mail", "GMail.com.": "free_mail", "": "required",
		} {
			_, err := federation.AddDomain.Call(h.As(h.ada.Token), h.Service, federation.AddDomainInput{InOrganization: h.in(), Domain: typed})
			e := h.Refused(typed, err, "invalid")
			if len(e.Fields) != 1 || code != "required" && e.Fields[0].Code != code {
				t.Errorf("%q: %+v, want %s", typed, e.Fields, code)
			}
		}
		_, err := federation.AddDomain.Call(h.As(h.ada.Token), h.Service, federation.AddDomainInput{InOrganization: h.in(), Domain: "ACME.test"})
		h.Refused("twice", err, "domain_added")
	})
}

func TestARecordInDNSProvesADomain(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		d := h.adds("acme.test")
		got, err := h.verifies(d)
		h.Must(err)
		if got.State != federation.Pending || !strings.Contains(got.Problem, "there is no TXT record at _guildhall-challenge.acme.test yet") || got.CheckedAt == nil {
			h.T.Errorf("without a record: %+v", got)
		}
		h.dns.Text(d.Record.Name, "v=spf1 -all", strings.Repeat("x", 600))
		got, err = h.verifies(d)
		h.Must(err)
		if got.State != federation.Pending || len(got.Found) != 2 || got.Found[0] != "v=spf1 -all" || len(got.Found[1]) > 320 {
			h.T.Errorf("with other records: %+v", got)
		}
		h.dns.Break(true)
		got, err = h.verifies(d)
		h.Must(err)
		if got.State != federation.Pending || !strings.Contains(got.Problem, "DNS did not answer") {
			h.T.Errorf("while DNS is broken: %+v", got)
		}
		h.dns.Break(false)
		h.dns.Text(d.Record.Name, "v=spf1 -all", d.Record.Value)
		got, err = h.verifies(d)
		h.Must(err)
		if got.State != federation.Verified || got.Problem != "" || got.VerifiedAt == nil {
			h.T.Errorf("with the record: %+v", got)
		}
	})
}

// A domain has one owner over the whole installation, whoever names it. T-081
func TestADomainIsVerifiedByOneOrganization(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		mine := h.owns("acme.test")
		other, eve := h.Found("evil", "eve@evil.test")
		h.plan(other)
		in := op.InOrganization{Organization: other}
		theirs, err := federation.AddDomain.Call(h.As(eve.Token), h.Service, federation.AddDomainInput{InOrganization: in, Domain: "acme.test"})
		h.Must(err)
		if theirs.Record.Value == mine.Record.Value {
			h.T.Fatal("two organizations are asked for the same record")
		}
		one := federation.VerifyDomainInput{DomainInput: federation.DomainInput{InOrganization: in, Domain: theirs.ID}}
		got, err := federation.VerifyDomain.Call(h.As(eve.Token), h.Service, one)
		h.Must(err)
		if got.State != federation.Pending {
			h.T.Fatal("the record of one organization proves the domain of another")
		}
		h.dns.Text(mine.Record.Name, mine.Record.Value, theirs.Record.Value)
		_, err = federation.VerifyDomain.Call(h.As(eve.Token), h.Service, one)
		h.Refused("a domain that another has verified", err, "domain_taken")
		_, err = federation.RemoveDomain.Call(h.As(h.ada.Token), h.Service, h.one(mine))
		h.Must(err)
		got, err = federation.VerifyDomain.Call(h.As(eve.Token), h.Service, one)
		if err != nil || got.State != federation.Verified {
			h.T.Errorf("after it was given up: %v, %+v", err, got)
		}
	})
}

func TestADomainLapsesAfterThreeDaysWithoutItsRecord(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		d := h.owns("acme.test")
		h.opens(d, federation.JoinAutomatic, "viewer")
		h.tends(25 * time.Hour)
		if got := h.listed(d); got.State != federation.Verified || !got.CheckedAt.Equal(h.Now()) {
			h.T.Fatalf("a good day: %+v", got)
		}
		asked := h.dns.Asked()
		h.tends(time.Hour)
		if h.dns.Asked() != asked {
			h.T.Error("DNS is asked more than once a day")
		}
		h.dns.Text(d.Record.Name)
		h.tends(24 * time.Hour)
		h.dns.Break(true) // says nothing about the record
		h.tends(24 * time.Hour)
		h.dns.Break(false)
		h.tends(24 * time.Hour)
		if got := h.listed(d); got.State != federation.Verified || len(h.Mails()) != 1 {
			h.T.Fatalf("after two misses: %+v, %d mails", got, len(h.Mails()))
		}
		h.dns.Text(d.Record.Name, d.Record.Value)
		h.tends(24 * time.Hour)
		h.dns.Text(d.Record.Name, "another")
		for range 3 {
			h.tends(24 * time.Hour)
		}
		if got := h.listed(d); got.State != federation.Lapsed {
			h.T.Fatalf("after three misses in a row: %+v", got)
		}
		mails := h.Mails()
		if last := mails[len(mails)-1]; len(mails) != 3 || !strings.Contains(last.Subject, "acme.test is not verified any more") || !strings.Contains(last.To, "ada@acme.test") {
			h.T.Errorf("%d mails, the last %+v", len(mails), last)
		}
		zoe := h.User("zoe@acme.test")
		if got := h.joinable(zoe); len(got) != 0 {
			h.T.Errorf("a lapsed domain opens %+v", got)
		}
		h.dns.Text(d.Record.Name, d.Record.Value)
		if got, err := h.verifies(d); err != nil || got.State != federation.Verified {
			h.T.Errorf("with the record again: %v, %+v", err, got)
		}
	})
}

func TestANewDomainIsVerifiedByItself(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		d := h.adds("acme.test")
		h.tends(16 * time.Minute)
		h.dns.Text(d.Record.Name, d.Record.Value)
		h.tends(16 * time.Minute)
		if got := h.listed(d); got.State != federation.Verified {
			h.T.Errorf("%+v", got)
		}
	})
}

func TestJoiningGivesARoleThatWhoeverSaysItHolds(t *testing.T) {
	inHalls(t, "gateway", func(h *hall) {
		d := h.owns("acme.test")
		al := h.Join(h.acme, "al@acme.test", "admin")
		_, err := h.opened(al.Token, d, federation.JoinAutomatic, "owner")
		h.Refused("owner", err, "invalid")
		_, err = h.opened(al.Token, d, federation.JoinAutomatic, "nobody")
		h.Refused("a role that is not there", err, "invalid")
		_, err = federation.UpdateDomain.Call(h.As(al.Token), h.Service, federation.UpdateDomainInput{DomainInput: h.one(d), Joining: new(federation.JoinAutomatic)})
		h.Refused("no role", err, "invalid")
		got, err := h.opened(al.Token, d, federation.JoinAutomatic, "developer")
		if err != nil || got.RoleTitle != "Developer" {
			h.T.Errorf("a role that an admin holds: %v, %+v", err, got)
		}
		dev := h.Join(h.acme, "dev@acme.test", "developer")
		_, err = h.opened(dev.Token, d, federation.JoinOff, "reader")
		h.Refused("a developer", err, "denied")
	})
}

func TestWithoutThePlanNothingIsAddedAndNobodyJoins(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		d := h.owns("acme.test")
		h.opens(d, federation.JoinAutomatic, "viewer")
		h.Exec("UPDATE organizations SET plan = 'free' WHERE id = $1", h.acme)
		_, err := federation.AddDomain.Call(h.As(h.ada.Token), h.Service, federation.AddDomainInput{InOrganization: h.in(), Domain: "acme.example"})
		h.Refused("add", err, "plan_required")
		_, err = h.verifies(d)
		h.Refused("verify", err, "plan_required")
		zoe := h.User("zoe@acme.test")
		if got := h.joinable(zoe); len(got) != 0 {
			h.T.Errorf("without the plan it opens %+v", got)
		}
		_, err = federation.RemoveDomain.Call(h.As(h.ada.Token), h.Service, h.one(d))
		h.Must(err)
	})
}

// tellsOf are the subjects of all mails.
func (h *hall) tellsOf(part string) bool {
	h.T.Helper()
	return slices.ContainsFunc(h.Mails(), func(m mail.Message) bool { return strings.Contains(m.Subject, part) })
}
