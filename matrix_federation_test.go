package guildhall_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// records are the TXT records of a world's DNS, one for each name.
type records struct {
	mu sync.Mutex
	of map[string]string
}

func (r *records) set(name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[name] = text
}

// has reports whether a domain has a record that proves it.
func (r *records) has(domain string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of["_guildhall-challenge."+domain] != ""
}

// LookupTXT answers as net.Resolver does.
func (r *records) LookupTXT(_ context.Context, name string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, ok := r.of[strings.TrimSuffix(name, ".")]; ok {
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// unlocked gives an organization a plan that has a feature.
func (w *world) unlocked(in *guildhalltest.Organization, feature string) {
	w.t.Helper()
	s, err := billing.GetSubscription.Call(w.Operator(), w.Service(), billing.GetSubscriptionInput{InOrganization: in.In()})
	w.must("the subscription", err)
	plan, sold := w.Charter().PlanWith(feature)
	if !sold || w.Charter().Unlocked(s.Plan, feature) {
		return
	}
	w.settled(in)
	_, err = billing.ChangeSubscription.Call(w.Operator(), w.Service(), billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: in.In(), Plan: plan.ID}})
	w.must("a plan", err)
}

// settled pays what is open: in a world in which days go by, an invoice may be overdue.
func (w *world) settled(in *guildhalltest.Organization) {
	w.t.Helper()
	all, err := billing.ListInvoices.Call(w.Operator(), w.Service(), billing.ListInvoicesInput{InOrganization: in.In()})
	w.must("the invoices", err)
	for _, v := range all.Data {
		if v.State != billing.Open && v.State != billing.Overdue {
			continue
		}
		_, err := billing.PayInvoice.Call(w.Operator(), w.Service(), billing.PayInvoiceInput{InvoiceInput: billing.InvoiceInput{InOrganization: in.In(), Invoice: v.ID}, Reference: "matrix"})
		w.must("a payment", err)
	}
}

// domain is a name of a domain to add, or one that was added.
func (w *world) domain(info op.Info, in *guildhalltest.Organization) string {
	name := fmt.Sprintf("thing%d.%s.test", w.fresh, in.Slug)
	if info.Name == federation.AddDomain.Name {
		return name
	}
	return w.addDomain(in, name).ID
}

func (w *world) addDomain(in *guildhalltest.Organization, name string) federation.Domain {
	w.t.Helper()
	d, err := federation.AddDomain.Call(w.Operator(), w.Service(), federation.AddDomainInput{InOrganization: in.In(), Domain: name})
	w.must("a domain", err)
	return d
}

// openDomain lets people of a domain ask to join an organization, once.
func (w *world) openDomain(in *guildhalltest.Organization, name string) {
	w.t.Helper()
	if w.dns.has(name) {
		return
	}
	d := w.addDomain(in, name)
	w.dns.set(d.Record.Name, d.Record.Value)
	one := federation.DomainInput{InOrganization: in.In(), Domain: d.ID}
	_, err := federation.VerifyDomain.Call(w.Operator(), w.Service(), federation.VerifyDomainInput{DomainInput: one})
	w.must("a verified domain", err)
	_, err = federation.UpdateDomain.Call(w.Operator(), w.Service(), federation.UpdateDomainInput{DomainInput: one,
		Joining: new(federation.JoinRequest), Role: new(w.Charter().Roles()[0].ID)})
	w.must("an open domain", err)
}

// joinRequest is somebody who asks to join.
func (w *world) joinRequest(in *guildhalltest.Organization) string {
	w.t.Helper()
	w.unlocked(in, "sso")
	name := fmt.Sprintf("asking%d.%s.test", w.fresh, in.Slug)
	w.openDomain(in, name)
	_, err := federation.JoinDomain.Call(w.SignIn("somebody@"+name).Ctx(), w.Service(), federation.JoinDomainInput{Organization: in.ID})
	w.must("asking", err)
	list, err := federation.ListJoinRequests.Call(w.Operator(), w.Service(), federation.ListJoinRequestsInput{InOrganization: in.In()})
	w.must("the requests", err)
	return list.Data[0].ID
}

// noNames resolves nothing: identity providers of these worlds do not answer.
var noNames = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}

// connection is an identity provider that nobody has tested.
func (w *world) connection(info op.Info, in *guildhalltest.Organization) string {
	w.t.Helper()
	if strings.HasSuffix(info.Name, "_saml") {
		example := federation.CreateSAML.Example
		example.InOrganization, example.Name = in.In(), "SAML"
		example.Metadata = strings.Replace(example.Metadata, "exk1a2b3c", fmt.Sprint("exk", w.fresh), 1)
		c, err := federation.CreateSAML.Call(w.Operator(), w.Service(), example)
		w.must("a SAML connection", err)
		return c.Connection
	}
	c, err := federation.CreateConnection.Call(w.Operator(), w.Service(), federation.CreateConnectionInput{InOrganization: in.In(), Name: "Okta",
		Issuer: "https://acme.okta.com", ClientID: fmt.Sprint("client ", w.fresh), ClientSecret: "s3cret"})
	w.must("a connection", err)
	return c.ID
}

// setupLink is a link by which a provider is set up.
func (w *world) setupLink(in *guildhalltest.Organization) federation.NewSetupLink {
	w.t.Helper()
	w.unlocked(in, "sso")
	l, err := federation.CreateSetupLink.Call(w.Operator(), w.Service(), federation.CreateSetupLinkInput{InOrganization: in.In()})
	w.must("a set-up link", err)
	return l
}

// setupSecret is the secret of a set-up link. What is about a provider has one that is named.
func (w *world) setupSecret(info op.Info, in *guildhalltest.Organization) string {
	w.t.Helper()
	link := w.setupLink(in).Link
	by := federation.ByLink{Link: link[strings.LastIndex(link, "/")+1:]}
	if info.Name == federation.MapSetup.Name || info.Name == federation.PreviewSetup.Name {
		_, err := federation.ConfigureSetup.Call(w.Nobody(), w.Service(), federation.ConfigureSetupInput{ByLink: by, Name: "Okta", Issuer: "https://acme.okta.com",
			ClientID: fmt.Sprint("link ", w.fresh), ClientSecret: "s3cret"})
		w.must("a provider by a link", err)
	}
	return by.Link
}

// metadata is that of a provider that nobody has named yet.
func (w *world) metadata() string {
	return strings.Replace(federation.CreateSAML.Example.Metadata, "exk1a2b3c", fmt.Sprint("exm", w.fresh), 1)
}
