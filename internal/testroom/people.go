package testroom

import (
	"context"
	"strings"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/op"
)

// SignIn stands for any way of signing in: the address is believed, and whoever has no account gets one.
var SignIn = &op.Op[SignInInput, SignedIn]{
	Name: "test.sign_in", Route: "POST /v1/test/sign_in", Kind: op.Write, Scope: op.Public, Allow: op.Anyone,
	Do: func(ctx context.Context, tx *op.Tx, in SignInInput) (SignedIn, error) {
		user, _, err := directory.EnsureUser(ctx, tx, in.Email, "")
		if err != nil {
			return SignedIn{}, err
		}
		s, err := credential.BeginSession(ctx, tx, user.ID, credential.ByMail("mail"))
		return SignedIn{User: user.ID, Session: s.ID, Secret: s.Secret.Reveal()}, err
	},
}

// SignInInput is the input of SignIn.
type SignInInput struct {
	Email string `json:"email"`
}

// SignedIn is the session that SignIn began.
type SignedIn struct {
	User    string `json:"user"`
	Session string `json:"session"`
	Secret  string `json:"secret"`
}

// SignIn signs somebody in, as the caller that the context has.
func (r *Room) SignIn(ctx context.Context, email string) SignedIn {
	r.T.Helper()
	in, err := SignIn.Call(ctx, r.Service, SignInInput{email})
	if err != nil {
		r.T.Fatalf("%s signs in: %v", email, err)
	}
	return in
}

// Person is somebody with a session.
type Person struct {
	User, Email, Name string
	Member            string // of the organization that they were made for; empty: none
	Session, Token    string
}

// Found makes an organization with an owner, Acme of acme, and gives its id.
func (r *Room) Found(slug, owner string) (string, Person) {
	r.T.Helper()
	p := Person{Email: owner, Name: nameOf(owner)}
	o, err := directory.ProvisionOrganization.Call(r.Operator(), r.Service, directory.ProvisionOrganizationInput{
		CreateOrganizationInput: directory.CreateOrganizationInput{Name: nameOf(slug), Slug: slug}, Owner: owner, OwnerName: p.Name})
	r.Must(err)
	r.Row("SELECT m.id, m.user_id FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND u.email_folded = $2",
		[]any{o.ID, owner}, &p.Member, &p.User)
	r.begin(&p)
	return o.ID, p
}

func (r *Room) begin(p *Person) {
	r.T.Helper()
	in := r.SignIn(r.T.Context(), p.Email)
	p.Session, p.Token = in.Session, in.Secret
	if in.User != p.User {
		r.T.Fatalf("%s is %s and signed in as %s", p.Email, p.User, in.User)
	}
}

// nameOf is "Ann" for ann@acme.test, and "Acme" for acme.
func nameOf(email string) string {
	name, _, _ := strings.Cut(email, "@")
	return strings.ToUpper(name[:1]) + name[1:]
}

// User makes somebody with a session and the external id ext-NAME, who belongs nowhere, behind the back of the
// operations.
func (r *Room) User(email string) Person {
	r.T.Helper()
	name, _, _ := strings.Cut(email, "@")
	p := Person{User: id.New("usr", r.Now()), Email: email, Name: nameOf(email)}
	r.Exec("INSERT INTO streams (id, seq, at) VALUES ($1, 0, $2)", p.User, r.now.Load())
	r.Exec(`INSERT INTO users (id, external_id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $3, $3, $4, 'UTC', 1, $5, $5)`, p.User, "ext-"+name, email, p.Name, r.now.Load())
	r.begin(&p)
	return p
}

// Join makes a new user a member, behind the back of the operations.
func (r *Room) Join(organization, email, role string) Person {
	r.T.Helper()
	p := r.User(email)
	p.Member = r.Enter(organization, p, role)
	return p
}

// Enter makes a user a member, behind the back of the operations, and fences as one would.
func (r *Room) Enter(organization string, p Person, role string) string {
	r.T.Helper()
	if r.fence != nil {
		release, err := r.fence(r.T.Context(), []op.Fence{{Kind: op.FenceUser, ID: p.User}})
		r.Must(err)
		defer release()
	}
	member := id.New("mem", r.Now())
	r.Exec(`INSERT INTO members (id, organization, user_id, role, status, sort_name, ends_at, last_active_at, joined_at, removed_at, version)
		VALUES ($1, $2, $3, $4, 'active', $5, 0, 0, $6, 0, 1)`, member, organization, p.User, role, p.Email, r.now.Load())
	return member
}
