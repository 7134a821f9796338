// Package guildhalltest gives tests a whole Guildhall: a hall on a database of its own, signed-in people, a clock that
// stands until it is moved, and a mailbox. Nothing of it is a fake but the clock and the mailbox: people sign in by the
// link that was mailed to them, and join by accepting invitations. To save time, the SAML connections of a test process sign
// by one pair of keys.
package guildhalltest

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// Hall is an open Guildhall for one test, which closes it.
type Hall struct {
	*guildhall.Hall
	Clock *Clock
	Mail  *mail.Catcher // every mail that was sent; see Deliver

	t      testing.TB
	config guildhall.Config
}

// Option changes how a hall is made.
type Option func(*guildhall.Config)

// OnDatabase makes the hall on another database than an SQLite file of its own.
func OnDatabase(dsn string) Option { return func(c *guildhall.Config) { c.Database = dsn } }

// With changes the hall's configuration before it is opened.
func With(change func(*guildhall.Config)) Option { return change }

// BaseURL is the address that the links of a test's mails begin with.
const BaseURL = "https://guildhall.test"

// New opens a hall with a ready-made charter, by its name.
func New(t testing.TB, charterName string, options ...Option) *Hall {
	t.Helper()
	c, err := charter.Ready(charterName)
	if err != nil {
		t.Fatal(err)
	}
	return WithCharter(t, c, options...)
}

// WithCharter opens a hall with any charter.
func WithCharter(t testing.TB, c *charter.Charter, options ...Option) *Hall {
	t.Helper()
	saml.OnePair()
	dir := t.TempDir()
	h := &Hall{Clock: &Clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}, t: t}
	h.Mail = &mail.Catcher{Now: h.Clock.Now}
	config := guildhall.Config{
		Database: "sqlite:" + filepath.Join(dir, "hall.db"), SecretFile: filepath.Join(dir, "instance.secret"), Charter: c,
		Settings: op.Settings{BaseURL: BaseURL}, Mail: h.Mail, Now: h.Clock.Now, Peers: guildhall.Peers{Listen: "127.0.0.1:0"}, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, change := range options {
		change(&config)
	}
	h.config = config
	h.open()
	return h
}

// Beside opens another server of the same Guildhall: on its database, which has to be PostgreSQL, with its secret, clock
// and mailbox. Its people may call either.
func (h *Hall) Beside() *Hall {
	h.t.Helper()
	return h.BesideOn(h.config.Database)
}

// BesideOn is Beside where the database is reached at another address.
func (h *Hall) BesideOn(dsn string) *Hall {
	h.t.Helper()
	other := &Hall{Clock: h.Clock, Mail: h.Mail, t: h.t, config: h.config}
	other.config.Database = dsn
	other.open()
	return other
}

func (h *Hall) open() {
	h.t.Helper()
	var err error
	if h.Hall, err = guildhall.Open(h.t.Context(), h.config); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
}

// Clock is a clock that stands still until it is moved. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Person is somebody who is signed in.
type Person struct {
	Email  string
	User   string // user id
	Member string // member id, for those that Organization made
	Role   charter.RoleID
	Token  string // the session's, for Authorization: Bearer

	hall *Hall
}

// Caller is the person as the caller of operations.
func (p *Person) Caller() op.Caller {
	return op.Caller{Credential: p.Token, Address: "192.0.2.1", Agent: "guildhalltest", RequestID: "req_test"}
}

// Ctx is a context whose calls the person makes.
func (p *Person) Ctx() context.Context { return op.As(p.hall.t.Context(), p.Caller()) }

// Operator is a context whose calls the operator at the machine makes.
func (h *Hall) Operator() context.Context {
	return op.As(h.t.Context(), op.Caller{Machine: true, RequestID: "req_operator"})
}

// Nobody is a context whose calls nobody makes who is signed in.
func (h *Hall) Nobody() context.Context {
	return op.As(h.t.Context(), op.Caller{Address: "192.0.2.9", RequestID: "req_nobody"})
}

// ServiceKey makes a service key and gives its secret.
func (h *Hall) ServiceKey(name string) string {
	h.t.Helper()
	key, err := credential.CreateServiceKey.Call(h.Operator(), h.Service(), credential.CreateServiceKeyInput{Name: name})
	if err != nil {
		h.t.Fatalf("service key %s: %v", name, err)
	}
	return key.Secret
}

// Deliver sends what waits in the outbox, and gives the last mail to an address. Without one the test fails.
func (h *Hall) Deliver(email string) mail.Caught {
	h.t.Helper()
	if err := h.RunDue(h.t.Context()); err != nil {
		h.t.Fatalf("deliver: %v", err)
	}
	var last *mail.Caught
	for _, m := range h.Mail.Messages() {
		if strings.Contains(m.To, email) {
			last = &m
		}
	}
	if last == nil {
		h.t.Fatalf("no mail to %s among %d", email, len(h.Mail.Messages()))
	}
	return *last
}

// MailedToken is the token of the link in the last mail to an address that has one: what follows "/i/" or "token=".
func (h *Hall) MailedToken(email string) string {
	h.t.Helper()
	h.Deliver(email)
	for _, m := range slices.Backward(h.Mail.Messages()) {
		if token, ok := tokenIn(m); ok && strings.Contains(m.To, email) {
			return token
		}
	}
	h.t.Fatalf("no link in the last mail to %s", email)
	return ""
}

// SignIn signs somebody in by the link that is mailed to them. Whoever has no account gets one.
func (h *Hall) SignIn(email string) *Person {
	h.t.Helper()
	if _, err := signin.BeginSignIn.Call(h.Nobody(), h.Service(), signin.BeginSignInInput{Email: email}); err != nil {
		h.t.Fatalf("sign-in of %s: %v", email, err)
	}
	in := signin.CompleteSignInInput{}
	in.Token = h.MailedToken(email)
	done, err := signin.CompleteSignIn.Call(h.Nobody(), h.Service(), in)
	if err != nil {
		h.t.Fatalf("sign-in of %s: %v", email, err)
	}
	return &Person{Email: email, User: done.User.ID, Token: done.Secret, hall: h}
}

// Organization is one organization of a test with its people, one for each role.
type Organization struct {
	ID, Slug string
	People   map[charter.RoleID]*Person

	hall *Hall
}

// Owner is the person with the owner role.
func (o *Organization) Owner() *Person { return o.People[o.hall.Charter().OwnerRole().ID] }

// In names the organization in an input.
func (o *Organization) In() op.InOrganization { return op.InOrganization{Organization: o.ID} }

// Organization makes an organization with one signed-in person for each role of the charter: owner@SLUG.test and so on.
func (h *Hall) Organization(slug string) *Organization {
	h.t.Helper()
	owner := h.Charter().OwnerRole().ID
	in := directory.ProvisionOrganizationInput{Owner: Address(owner, slug)}
	in.Name, in.Slug = slug, slug
	made, err := directory.ProvisionOrganization.Call(h.Operator(), h.Service(), in)
	if err != nil {
		h.t.Fatalf("organization %s: %v", slug, err)
	}
	o := &Organization{ID: made.ID, Slug: slug, People: map[charter.RoleID]*Person{}, hall: h}
	boss := h.SignIn(in.Owner)
	boss.Role, boss.Member = owner, h.memberOf(o, boss)
	o.People[owner] = boss
	for _, role := range h.Charter().Roles() {
		if role.ID != owner {
			o.People[role.ID] = o.Join(Address(role.ID, slug), role.ID)
		}
	}
	return o
}

// Address is the address of the person with a role in an organization made by Organization.
func Address(role charter.RoleID, slug string) string { return string(role) + "@" + slug + ".test" }

// Join invites somebody, in the operator's name, who accepts and is signed in.
func (o *Organization) Join(email string, role charter.RoleID) *Person {
	h := o.hall
	h.t.Helper()
	_, err := directory.CreateInvitation.Call(h.Operator(), h.Service(), directory.CreateInvitationInput{InOrganization: o.In(), Email: email, Role: role})
	if err != nil {
		h.t.Fatalf("invitation of %s: %v", email, err)
	}
	in := directory.AcceptInvitationInput{}
	in.Token = h.MailedToken(email)
	answer, err := h.Service().Invoke(h.Nobody(), directory.AcceptInvitation, op.Request{Caller: op.CallerOf(h.Nobody()), Input: in})
	if err != nil {
		h.t.Fatalf("acceptance of %s: %v", email, err)
	}
	joined := answer.Output.(directory.Joined)
	return &Person{Email: email, User: joined.User, Member: joined.Member, Role: role, Token: answer.Session.Token, hall: h}
}

func (h *Hall) memberOf(o *Organization, p *Person) string {
	h.t.Helper()
	me, err := directory.GetMe.Call(p.Ctx(), h.Service(), directory.GetMeInput{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range me.Organizations {
		if b.ID == o.ID {
			return b.Member
		}
	}
	h.t.Fatalf("%s is not in %s", p.Email, o.Slug)
	return ""
}

// Sound fails the test if any rule of the data does not hold. Scenario tests end with it.
func (h *Hall) Sound() {
	h.t.Helper()
	broken, err := h.Doctor(h.t.Context())
	if err != nil {
		h.t.Fatalf("doctor: %v", err)
	}
	for _, rule := range broken {
		h.t.Errorf("broken: %s", rule)
	}
}

// PersonOf is somebody whose session a test began itself.
func PersonOf(h *Hall, email, user, member, token string) *Person {
	return &Person{Email: email, User: user, Member: member, Token: token, hall: h}
}

func tokenIn(m mail.Caught) (string, bool) {
	for _, link := range m.Links {
		for _, before := range []string{"/i/", "token="} {
			if _, token, ok := strings.Cut(link, before); ok {
				return token, true
			}
		}
	}
	return "", false
}
