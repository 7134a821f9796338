package access_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// monday is when every hall begins.
var monday = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// hall is a service with its access. Writes of more than 8 statements of these rooms fail the test.
type hall struct {
	T       testing.TB
	DB      *sqldb.DB
	Charter *charter.Charter
	Service *op.Service
	Access  *access.Access
	// Fenced is called within a change, after its fence and before its commit. Nil: nothing is.
	Fenced func()
	now    atomic.Int64
}

// person is somebody with a session and a membership.
type person struct {
	User, Member, Email, Name, Session, Token string
}

// newHall makes a hall of a ready-made charter on an empty, migrated database.
func newHall(t testing.TB, db *sqldb.DB, product string) *hall {
	t.Helper()
	h := &hall{T: t, DB: db}
	h.now.Store(monday.UnixMicro())
	var err error
	if h.Charter, err = charter.Ready(product); err != nil {
		t.Fatal(err)
	}
	if _, err := op.FoundInstance(t.Context(), db, false, product, monday); err != nil {
		t.Fatal(err)
	}
	h.Access = access.New(access.Config{Charter: h.Charter, Now: h.Now})
	operations := append(directory.Operations(), credential.Operations()...)
	operations = append(operations, access.Operations()...)
	h.Service, err = op.New(op.Config{
		DB: db, Charter: h.Charter, Secrets: secret.NewRing(), Operations: append(operations, begin),
		Load: directory.Load, Fence: h.fence, Holders: directory.Holders, Now: h.Now,
		Settings: op.Settings{BaseURL: "https://hall.test"},
		Observe: func(o op.Observation) {
			if ours := []string{"access"}; o.Statements > 8 && slices.Contains(ours, strings.Split(o.Operation, ".")[0]) {
				t.Errorf("%s ran %d statements in its transaction", o.Operation, o.Statements)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Access.Attach(h.Service)
	return h
}

func (h *hall) fence(ctx context.Context, principals []op.Fence) (func(), error) {
	release, err := h.Access.Fence(ctx, principals)
	if h.Fenced != nil {
		h.Fenced()
	}
	return release, err
}

// Now is the hall's clock.
func (h *hall) Now() time.Time { return time.UnixMicro(h.now.Load()).UTC() }

// After moves the clock.
func (h *hall) After(d time.Duration) { h.now.Add(d.Microseconds()) }

// begin begins a session for a user.
var begin = &op.Op[beginInput, begun]{
	Name: "test.begin", Route: "POST /v1/test/begin", Kind: op.Write, Scope: op.Public, Allow: op.Anyone,
	Do: func(ctx context.Context, tx *op.Tx, in beginInput) (begun, error) {
		s, err := credential.BeginSession(ctx, tx, in.User, "mail")
		return begun{s.ID, s.Secret.Reveal()}, err
	},
}

type beginInput struct {
	User string `json:"user"`
}

type begun struct {
	Session string `json:"session"`
	Token   string `json:"token"`
}

// SignIn begins a session for somebody.
func (h *hall) SignIn(user string) (session, token string) {
	h.T.Helper()
	b, err := begin.Call(h.T.Context(), h.Service, beginInput{user})
	h.must(err)
	return b.Session, b.Token
}

// As makes calls with a credential.
func (h *hall) As(token string) context.Context {
	return op.As(h.T.Context(), op.Caller{Credential: token, Address: "203.0.113.7", Agent: "test", RequestID: "req_1"})
}

// Operator makes calls as the operator at the machine.
func (h *hall) Operator() context.Context { return op.As(h.T.Context(), op.Caller{Machine: true}) }

// Found makes an organization with an owner, and gives its id.
func (h *hall) Found(slug, owner string) (string, person) {
	h.T.Helper()
	name, _, _ := strings.Cut(owner, "@")
	name = strings.ToUpper(name[:1]) + name[1:]
	o, err := directory.ProvisionOrganization.Call(h.Operator(), h.Service, directory.ProvisionOrganizationInput{
		CreateOrganizationInput: directory.CreateOrganizationInput{Name: slug, Slug: slug}, Owner: owner, OwnerName: name})
	h.must(err)
	p := person{Email: owner, Name: name}
	h.row("SELECT m.id, m.user_id FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND u.email_folded = $2",
		[]any{o.ID, owner}, &p.Member, &p.User)
	p.Session, p.Token = h.SignIn(p.User)
	return o.ID, p
}

// User makes a user with a session, who belongs nowhere.
func (h *hall) User(email string) person {
	h.T.Helper()
	name, _, _ := strings.Cut(email, "@")
	p := person{User: id.New("usr", h.Now()), Email: email, Name: strings.ToUpper(name[:1]) + name[1:]}
	h.Exec("INSERT INTO streams (id, seq, at) VALUES ($1, 0, $2)", p.User, h.now.Load())
	h.Exec(`INSERT INTO users (id, external_id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $3, $3, $4, 'UTC', 1, $5, $5)`, p.User, "ext-"+name, email, p.Name, h.now.Load())
	p.Session, p.Token = h.SignIn(p.User)
	return p
}

// Join makes a new user a member, behind the back of the operations.
func (h *hall) Join(organization, email, role string) person {
	h.T.Helper()
	p := h.User(email)
	p.Member = h.Enter(organization, p, role)
	return p
}

// Enter makes a user a member, behind the back of the operations, and fences as one would.
func (h *hall) Enter(organization string, p person, role string) string {
	h.T.Helper()
	release, err := h.Access.Fence(h.T.Context(), []op.Fence{{Kind: op.FenceUser, ID: p.User}})
	h.must(err)
	defer release()
	member := id.New("mem", h.Now())
	h.Exec(`INSERT INTO members (id, organization, user_id, role, status, sort_name, ends_at, last_active_at, joined_at, removed_at, version)
		VALUES ($1, $2, $3, $4, 'active', $5, 0, 0, $6, 0, 1)`, member, organization, p.User, role, p.Email, h.now.Load())
	return member
}

// ServiceKey makes a service key, and gives its id and secret.
func (h *hall) ServiceKey() (key, token string) {
	h.T.Helper()
	k, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "back end"})
	h.must(err)
	return k.ID, k.Secret
}

// Exec runs one statement in a transaction of its own, behind the back of the operations.
func (h *hall) Exec(query string, args ...any) {
	h.T.Helper()
	h.must(h.DB.Write(h.T.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(h.T.Context(), query, args...)
		return err
	}))
}

func (h *hall) row(query string, args []any, into ...any) {
	h.T.Helper()
	h.must(h.DB.Read(h.T.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(h.T.Context(), query, args...).Scan(into...)
	}))
}

func (h *hall) must(err error) {
	h.T.Helper()
	if err != nil {
		h.T.Fatal(err)
	}
}
