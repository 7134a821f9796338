package directory_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// house is a hall with one organization, for scenarios about invitations.
type house struct {
	*testroom.Room
	acme  string // its id
	owner person
}

// person is somebody who calls.
type person struct {
	h     *house
	email string
	ctx   context.Context
}

// openHouse makes Acme with ada@acme.test as its owner.
func openHouse(t *testing.T, db *sqldb.DB, c *charter.Charter, settings op.Settings) *house {
	t.Helper()
	h := &house{Room: testroom.New(t, db, c)}
	h.Most = 10 // what settles other invitations on its way takes one more than 8, and a new owner by one two: owners are told
	settings.BaseURL, settings.SessionIdle, settings.SessionLife = "https://accounts.acme.test", -1, 10*365*24*time.Hour
	h.Serve(op.Config{Operations: directory.Operations(), Settings: settings})
	acme, ada := h.Found("acme", "ada@acme.test")
	h.acme, h.owner = acme, h.holding(ada.Email, ada.Token)
	return h
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

// nobody is somebody with a browser and no session.
func (h *house) nobody() person { return person{h: h, ctx: h.T.Context()} }

// as signs somebody in.
func (h *house) as(email string) person {
	h.T.Helper()
	return h.holding(email, h.SignIn(h.T.Context(), email).Secret)
}

func (h *house) holding(email, token string) person {
	return person{h: h, email: email, ctx: op.As(h.T.Context(), op.Caller{Credential: token})}
}

// joined invites somebody as the owner, has them accept, and signs them in.
func (h *house) joined(email string, role charter.RoleID) person {
	h.T.Helper()
	must(h.owner.invites(email, role))(h.T)
	must(h.nobody().accepts(h.token(email)))(h.T)
	return h.as(email)
}

func (p person) invites(email string, role charter.RoleID) (directory.Invitation, error) {
	return directory.CreateInvitation.Call(p.ctx, p.h.Service, directory.CreateInvitationInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Email: email, Role: role})
}

func (p person) accepts(token string) (directory.Joined, error) {
	return directory.AcceptInvitation.Call(p.ctx, p.h.Service, directory.AcceptInvitationInput{TokenInput: directory.TokenInput{Token: token}})
}

func (p person) declines(token string) error {
	_, err := directory.DeclineInvitation.Call(p.ctx, p.h.Service, directory.TokenInput{Token: token})
	return err
}

func (p person) opens(token string) (directory.OpenedInvitation, error) {
	return directory.OpenInvitation.Call(p.ctx, p.h.Service, directory.TokenInput{Token: token})
}

func (p person) gets(id string) directory.Invitation {
	p.h.T.Helper()
	return must(directory.GetInvitation.Call(p.ctx, p.h.Service, one(id)))(p.h.T)
}

func (p person) cancels(id string) error {
	_, err := directory.CancelInvitation.Call(p.ctx, p.h.Service, one(id))
	return err
}

func (p person) resends(id string) (directory.Invitation, error) {
	return directory.ResendInvitation.Call(p.ctx, p.h.Service, one(id))
}

func (p person) reapproves(id string) (directory.Invitation, error) {
	return directory.ReapproveInvitation.Call(p.ctx, p.h.Service, one(id))
}

func (p person) changesRole(id string, role charter.RoleID) (directory.Invitation, error) {
	return directory.UpdateInvitation.Call(p.ctx, p.h.Service, directory.UpdateInvitationInput{InvitationInput: one(id), Role: &role})
}

// copiesLink gives the token of a link that was copied.
func (p person) copiesLink(id string) string {
	p.h.T.Helper()
	l := must(directory.LinkInvitation.Call(p.ctx, p.h.Service, one(id)))(p.h.T)
	return tokenIn(p.h.T, l.Link)
}

func one(id string) directory.InvitationInput {
	return directory.InvitationInput{InOrganization: op.InOrganization{Organization: "acme"}, Invitation: id}
}

// members are Acme's members by address, with their roles.
func (h *house) members() map[string]string {
	h.T.Helper()
	list := must(directory.ListMembers.Call(h.owner.ctx, h.Service, directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Page: op.Page{Limit: 100}}))(h.T)
	roles := map[string]string{}
	for _, m := range list.Data {
		if roles[m.Email] != "" {
			h.T.Errorf("%s is a member twice", m.Email)
		}
		roles[m.Email] = m.Role
	}
	return roles
}

func (h *house) memberID(email string) string {
	h.T.Helper()
	list := must(directory.ListMembers.Call(h.owner.ctx, h.Service, directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Query: email}))(h.T)
	if len(list.Data) != 1 {
		h.T.Fatalf("%d members are called %s", len(list.Data), email)
	}
	return list.Data[0].ID
}

func (h *house) removes(email string) {
	h.T.Helper()
	must(directory.RemoveMember.Call(h.owner.ctx, h.Service, directory.EndMemberInput{MemberInput: h.member(email)}))(h.T)
}

func (h *house) setsRole(email, role string) {
	h.T.Helper()
	must(directory.UpdateMember.Call(h.owner.ctx, h.Service, directory.UpdateMemberInput{MemberInput: h.member(email), Role: &role}))(h.T)
}

func (h *house) member(email string) directory.MemberInput {
	h.T.Helper()
	return directory.MemberInput{InOrganization: op.InOrganization{Organization: "acme"}, Member: h.memberID(email)}
}

// mailed is the last mail to an address.
func (h *house) mailed(to string) mail.Message {
	h.T.Helper()
	all := h.Mails()
	for n := len(all) - 1; n >= 0; n-- {
		if all[n].To == to {
			return all[n]
		}
	}
	h.T.Fatalf("no mail went to %s", to)
	return mail.Message{}
}

// token is the token of the last link that was mailed to an address.
func (h *house) token(to string) string { h.T.Helper(); return tokenIn(h.T, h.mailed(to).Text) }

var linkForm = regexp.MustCompile(`https://accounts\.acme\.test/i/([0-9A-Za-z]+)`)

func tokenIn(t testing.TB, text string) string {
	t.Helper()
	found := linkForm.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no link in %q", text)
	}
	return found[1]
}
