package directory_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// house is a hall with one organization, for scenarios about invitations.
type house struct {
	t       *testing.T
	db      *sqldb.DB
	service *op.Service
	secrets *secret.Ring
	acme    directory.Organization
	owner   person

	mu         sync.Mutex
	now        time.Time
	statements int // of the last call
}

// person is somebody who calls.
type person struct {
	h     *house
	email string
	ctx   context.Context
}

type signInInput struct {
	Email string `json:"email"`
}
type signedIn struct {
	User string `json:"user"`
}

// signIn stands for the sign-in by mail.
var signIn = &op.Op[signInInput, signedIn]{
	Name: "test.sign_in", Route: "POST /test", Kind: op.Write, Scope: op.Public, Allow: op.Anyone,
	Do: func(ctx context.Context, tx *op.Tx, in signInInput) (signedIn, error) {
		u, _, err := directory.EnsureUser(ctx, tx, in.Email, "")
		if err == nil {
			_, err = credential.BeginSession(ctx, tx, u.ID, "mail")
		}
		return signedIn{User: u.ID}, err
	},
}

// openHouse makes Acme with ada@acme.test as its owner.
func openHouse(t *testing.T, db *sqldb.DB, c *charter.Charter, settings op.Settings) *house {
	t.Helper()
	h := &house{t: t, db: db, secrets: secret.NewRing(), now: time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)}
	if _, err := op.FoundInstance(t.Context(), db, false, c.Name, h.clock()); err != nil {
		t.Fatal(err)
	}
	settings.BaseURL, settings.SessionIdle, settings.SessionLife = "https://accounts.acme.test", -1, 10*365*24*time.Hour
	var err error
	h.service, err = op.New(op.Config{DB: db, Charter: c, Secrets: h.secrets, Load: directory.Load, Holders: directory.Holders,
		Operations: append(directory.Operations(), signIn), Settings: settings, Now: h.clock,
		Observe: func(o op.Observation) { h.mu.Lock(); h.statements = o.Statements; h.mu.Unlock() }})
	if err != nil {
		t.Fatal(err)
	}
	operator := op.As(t.Context(), op.Caller{Machine: true})
	h.acme = must(directory.ProvisionOrganization.Call(operator, h.service, directory.ProvisionOrganizationInput{
		CreateOrganizationInput: directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"}, Owner: "ada@acme.test", OwnerName: "Ada"}))(t)
	h.owner = h.as("ada@acme.test")
	return h
}

func ready(t *testing.T, name string) *charter.Charter {
	t.Helper()
	return must(charter.Ready(name))(t)
}

// must ends the test on an error.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) passes(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// nobody is somebody with a browser and no session.
func (h *house) nobody() person { return person{h: h, ctx: h.t.Context()} }

// as signs somebody in.
func (h *house) as(email string) person {
	h.t.Helper()
	r, err := h.service.Invoke(h.t.Context(), signIn, op.Request{Input: signInInput{Email: email}})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.holding(email, r.Session.Token)
}

func (h *house) holding(email, token string) person {
	return person{h: h, email: email, ctx: op.As(h.t.Context(), op.Caller{Credential: token})}
}

// joined invites somebody as the owner, has them accept, and signs them in.
func (h *house) joined(email string, role charter.RoleID) person {
	h.t.Helper()
	must(h.owner.invites(email, role))(h.t)
	must(h.nobody().accepts(h.token(email)))(h.t)
	return h.as(email)
}

func (p person) invites(email string, role charter.RoleID) (directory.Invitation, error) {
	return directory.CreateInvitation.Call(p.ctx, p.h.service, directory.CreateInvitationInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Email: email, Role: role})
}

func (p person) accepts(token string) (directory.Joined, error) {
	return directory.AcceptInvitation.Call(p.ctx, p.h.service, directory.AcceptInvitationInput{TokenInput: directory.TokenInput{Token: token}})
}

func (p person) declines(token string) error {
	_, err := directory.DeclineInvitation.Call(p.ctx, p.h.service, directory.TokenInput{Token: token})
	return err
}

func (p person) opens(token string) (directory.OpenedInvitation, error) {
	return directory.OpenInvitation.Call(p.ctx, p.h.service, directory.TokenInput{Token: token})
}

func (p person) gets(id string) directory.Invitation {
	p.h.t.Helper()
	return must(directory.GetInvitation.Call(p.ctx, p.h.service, one(id)))(p.h.t)
}

func (p person) cancels(id string) error {
	_, err := directory.CancelInvitation.Call(p.ctx, p.h.service, one(id))
	return err
}

func (p person) resends(id string) (directory.Invitation, error) {
	return directory.ResendInvitation.Call(p.ctx, p.h.service, one(id))
}

func (p person) reapproves(id string) (directory.Invitation, error) {
	return directory.ReapproveInvitation.Call(p.ctx, p.h.service, one(id))
}

func (p person) changesRole(id string, role charter.RoleID) (directory.Invitation, error) {
	return directory.UpdateInvitation.Call(p.ctx, p.h.service, directory.UpdateInvitationInput{InvitationInput: one(id), Role: &role})
}

// copiesLink gives the token of a link that was copied.
func (p person) copiesLink(id string) string {
	p.h.t.Helper()
	l := must(directory.LinkInvitation.Call(p.ctx, p.h.service, one(id)))(p.h.t)
	return tokenIn(p.h.t, l.Link)
}

func one(id string) directory.InvitationInput {
	return directory.InvitationInput{InOrganization: op.InOrganization{Organization: "acme"}, Invitation: id}
}

// members are Acme's members by address, with their roles.
func (h *house) members() map[string]string {
	h.t.Helper()
	list := must(directory.ListMembers.Call(h.owner.ctx, h.service, directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Page: op.Page{Limit: 100}}))(h.t)
	roles := map[string]string{}
	for _, m := range list.Data {
		if roles[m.Email] != "" {
			h.t.Errorf("%s is a member twice", m.Email)
		}
		roles[m.Email] = m.Role
	}
	return roles
}

func (h *house) memberID(email string) string {
	h.t.Helper()
	list := must(directory.ListMembers.Call(h.owner.ctx, h.service, directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Query: email}))(h.t)
	if len(list.Data) != 1 {
		h.t.Fatalf("%d members are called %s", len(list.Data), email)
	}
	return list.Data[0].ID
}

func (h *house) removes(email string) {
	h.t.Helper()
	must(directory.RemoveMember.Call(h.owner.ctx, h.service, directory.EndMemberInput{MemberInput: h.member(email)}))(h.t)
}

func (h *house) setsRole(email, role string) {
	h.t.Helper()
	must(directory.UpdateMember.Call(h.owner.ctx, h.service, directory.UpdateMemberInput{MemberInput: h.member(email), Role: &role}))(h.t)
}

func (h *house) member(email string) directory.MemberInput {
	h.t.Helper()
	return directory.MemberInput{InOrganization: op.InOrganization{Organization: "acme"}, Member: h.memberID(email)}
}

// exec changes what no operation of today changes, such as the seats of the plan.
func (h *house) exec(query string, args ...any) {
	h.t.Helper()
	if err := h.db.Write(h.t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(h.t.Context(), query, args...); return err }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(h.t.Context(), query, args...).Scan(&n) }); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// mails are all mails so far, the oldest first.
func (h *house) mails() (all []mail.Message) {
	h.t.Helper()
	err := h.db.Read(h.t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(h.t.Context(), "SELECT payload FROM outbox WHERE kind = 'mail' ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var sealed []byte
			var m mail.Message
			if err := rows.Scan(&sealed); err != nil {
				return err
			}
			payload, err := h.secrets.Open("outbox:mail", sealed)
			if err == nil {
				err = json.Unmarshal(payload, &m)
			}
			if err != nil {
				return err
			}
			all = append(all, m)
		}
		return rows.Err()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// mailed is the last mail to an address.
func (h *house) mailed(to string) mail.Message {
	h.t.Helper()
	all := h.mails()
	for n := len(all) - 1; n >= 0; n-- {
		if all[n].To == to {
			return all[n]
		}
	}
	h.t.Fatalf("no mail went to %s", to)
	return mail.Message{}
}

// token is the token of the last link that was mailed to an address.
func (h *house) token(to string) string { h.t.Helper(); return tokenIn(h.t, h.mailed(to).Text) }

var linkForm = regexp.MustCompile(`https://accounts\.acme\.test/i/([0-9A-Za-z]+)`)

func tokenIn(t testing.TB, text string) string {
	t.Helper()
	found := linkForm.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no link in %q", text)
	}
	return found[1]
}

// refused checks that an error has a code.
func (h *house) refused(what string, err error, code string) *op.Error {
	h.t.Helper()
	var e *op.Error
	if !errors.As(err, &e) || e.FullCode() != code {
		h.t.Errorf("%s: got %v, want %s", what, err, code)
		return &op.Error{}
	}
	if strings.ToLower(e.Text[:1]) != e.Text[:1] {
		h.t.Errorf("%s: the text %q begins with a capital", what, e.Text)
	}
	return e
}
