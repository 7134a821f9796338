package credential_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// hall is a service that gathers sightings and counts the requests of tokens.
type hall struct {
	*testroom.Room
	sightings *credential.Sightings
	budgets   *credential.Budgets
}

// inHalls runs a test on both databases.
func inHalls(t *testing.T, settings op.Settings, test func(h *hall)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(newHall(t, db, testroom.Ready(t, "automation"), settings)) })
}

func newHall(t testing.TB, db *sqldb.DB, c *charter.Charter, settings op.Settings, extra ...op.Any) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, c), sightings: credential.NewSightings(), budgets: credential.NewBudgets(db)}
	h.Serve(op.Config{
		Operations: append(append(credential.Operations(), stepUp, directory.GetMe, directory.CreateOrganization, directory.UpdateOrganization,
			directory.ProvisionOrganization, directory.ListMembers), extra...),
		Settings: settings, Seen: h.sightings.Seen, Fence: h.Fence, Spend: h.budgets.Spend,
	})
	return h
}

// stepUp stands for any new proof of who uses a session.
var stepUp = &op.Op[struct{}, testroom.SignedIn]{
	Name: "test.step_up", Route: "POST /v1/test/step_up", Kind: op.Write, Scope: op.Self, Allow: op.SignedIn,
	Do: func(ctx context.Context, tx *op.Tx, _ struct{}) (testroom.SignedIn, error) {
		s, err := credential.Rotate(ctx, tx, tx.Actor.Credential.ID, false)
		return testroom.SignedIn{Session: s.ID, User: tx.Actor.User, Secret: s.Secret.Reveal()}, err
	},
}

// signsIn signs somebody in from a device.
func (h *hall) signsIn(email, agent string) testroom.SignedIn {
	h.T.Helper()
	return h.SignIn(op.As(h.T.Context(), op.Caller{Address: "203.0.113.7", Agent: agent}), email)
}

// stored is everything that the tables keep, as text.
func (h *hall) stored() string {
	h.T.Helper()
	return h.Stored("detail FROM audit_rows", "reason FROM audit_rows", "body FROM audit_subjects", "output FROM idempotency",
		"payload FROM outbox", "hash FROM sessions", "agent FROM sessions", "hash FROM service_keys", "last4 FROM service_keys",
		"hash FROM api_keys", "last4 FROM api_keys", "name FROM api_keys", "hash FROM scoped_tokens", "last4 FROM scoped_tokens")
}

// acme is a hall with one organization, in which ada is the owner.
type acme struct {
	*hall
	id  string
	ada caller
}

// caller is somebody, or a key or token, that calls about Acme.
type caller struct {
	a      *acme
	secret string
	user   string
	member string
	from   string // the address; empty: 203.0.113.7
}

// inAcme runs a test in Acme of a ready-made charter, on both databases.
func inAcme(t *testing.T, charter string, test func(t testing.TB, a *acme)) {
	t.Helper()
	inAcmeOf(t, testroom.Ready(t, charter), test)
}

func inAcmeOf(t *testing.T, c *charter.Charter, test func(t testing.TB, a *acme)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(t, foundAcme(t, db, c)) })
}

func foundAcme(t testing.TB, db *sqldb.DB, c *charter.Charter, extra ...op.Any) *acme {
	t.Helper()
	a := &acme{hall: newHall(t, db, c, op.Settings{SessionIdle: -1, SessionLife: 3650 * day}, extra...)}
	id, ada := a.Found("acme", "ada@acme.test")
	a.id, a.ada = id, caller{a: a, secret: ada.Token, user: ada.User, member: ada.Member}
	return a
}

// with is a charter with one text in the place of another, which is there once.
func with(t testing.TB, name, old, text string) *charter.Charter {
	t.Helper()
	src := string(charter.Source(name))
	if strings.Count(src, old) != 1 {
		t.Fatalf("charter %s has %q %d times", name, old, strings.Count(src, old))
	}
	c, err := charter.Parse(name+".yaml", []byte(strings.Replace(src, old, text, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// joins makes somebody a member.
func (a *acme) joins(name, role string) caller {
	a.T.Helper()
	p := a.Join(a.id, name+"@acme.test", role)
	return caller{a: a, secret: p.Token, user: p.User, member: p.Member}
}

// operator is the operator at the machine.
func (a *acme) operator() caller { return caller{a: a} }

// holding is whoever calls with a secret.
func (a *acme) holding(secret string) caller { return caller{a: a, secret: secret} }

func (c caller) at(address string) caller { c.from = address; return c }

func (c caller) ctx() context.Context {
	if c.secret == "" {
		return c.a.Operator()
	}
	from := c.from
	if from == "" {
		from = "203.0.113.7"
	}
	return op.As(c.a.T.Context(), op.Caller{Credential: c.secret, Address: from, Agent: "test/1"})
}

func (c caller) in() op.InOrganization { return op.InOrganization{Organization: c.a.id} }

// call runs an operation as the caller.
func call[In, Out any](c caller, o *op.Op[In, Out], in In, options ...op.Option) (Out, error) {
	return o.Call(c.ctx(), c.a.Service, in, options...)
}

// has ends the test on an error.
func has[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// may are permissions.
func may(ids ...charter.Permission) []charter.Permission { return ids }

// creates makes a key.
func (c caller) creates(in credential.CreateKeyInput, options ...op.Option) (credential.NewKey, error) {
	in.InOrganization = c.in()
	if in.Name == "" {
		in.Name = "key"
	}
	return call(c, credential.CreateKey, in, options...)
}

// key makes a key that has to be made.
func (c caller) key(permissions ...charter.Permission) credential.NewKey {
	c.a.T.Helper()
	return has(c.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: permissions}}))(c.a.T)
}

// derives makes a token.
func (c caller) derives(in credential.CreateTokenInput) (credential.NewToken, error) {
	in.InOrganization = c.in()
	return call(c, credential.CreateToken, in)
}

// token makes a token that has to be made.
func (c caller) token(permissions ...charter.Permission) credential.NewToken {
	c.a.T.Helper()
	return has(c.derives(credential.CreateTokenInput{Scoping: credential.Scoping{Permissions: permissions}}))(c.a.T)
}

func (c caller) named(key string) credential.KeyInput {
	return credential.KeyInput{InOrganization: c.in(), Key: key}
}

func (c caller) gets(key string) (credential.Key, error) {
	return call(c, credential.GetKey, c.named(key))
}

func (c caller) revokes(key string) error {
	_, err := call(c, credential.RevokeKey, credential.RevokeKeyInput{KeyInput: c.named(key), Reason: "test"})
	return err
}

func (c caller) rotates(key, overlap string) (credential.NewKey, error) {
	return call(c, credential.RotateKey, credential.RotateKeyInput{KeyInput: c.named(key), Overlap: overlap})
}

func (c caller) renames(key, name string) error {
	_, err := call(c, credential.UpdateKey, credential.UpdateKeyInput{KeyInput: c.named(key), Name: &name})
	return err
}

func (c caller) narrows(key string, to credential.Scoping) (credential.Key, error) {
	return call(c, credential.UpdateKey, credential.UpdateKeyInput{KeyInput: c.named(key), Scoping: to})
}

// lists are the keys that the caller sees, the newest first.
func (c caller) lists(in credential.ListKeysInput) []credential.Key {
	c.a.T.Helper()
	in.InOrganization = c.in()
	return has(call(c, credential.ListKeys, in))(c.a.T).Data
}

// tokens are the tokens that the caller sees, the newest first.
func (c caller) tokens() []credential.Token {
	c.a.T.Helper()
	return has(call(c, credential.ListTokens, credential.ListTokensInput{InOrganization: c.in()}))(c.a.T).Data
}

func (c caller) endsToken(token string) error {
	_, err := call(c, credential.RevokeToken, credential.RevokeTokenInput{InOrganization: c.in(), Token: token})
	return err
}

// asks says what a credential may, in a decision of its own.
func (a *acme) asks(credentialSecret string, p charter.Permission, resource string) decide.Decision {
	a.T.Helper()
	b := a.bearer(credentialSecret)
	if b.Dead {
		return decide.Decision{Reason: decide.UnknownSubject}
	}
	return decide.Decide(&b.Principal, decide.Ask(a.Charter, p, resource), a.Now().UnixMicro())
}

// bearer is who stands behind a key or token now.
func (a *acme) bearer(text string) (b directory.Bearer) {
	a.T.Helper()
	token := has(secret.Parse(text))(a.T)
	a.Must(a.Service.Snapshot(a.T.Context(), func(r *op.Reader) (err error) {
		b, err = directory.LoadBearer(a.T.Context(), r, token.Hash(), token.Kind(), false)
		return err
	}))
	return b
}

// allows fails the test unless a credential may.
func (a *acme) allows(secret string, p charter.Permission, resource string) {
	a.T.Helper()
	if d := a.asks(secret, p, resource); !d.Allow {
		a.T.Errorf("%s on %q is refused (%s), want allowed", p, resource, d.Reason)
	}
}

// denies fails the test unless a credential may not, for the reason.
func (a *acme) denies(secret string, p charter.Permission, resource string, why decide.Reason) {
	a.T.Helper()
	if d := a.asks(secret, p, resource); d.Allow || d.Reason != why {
		a.T.Errorf("%s on %q: got %v %s, want refused: %s", p, resource, d.Allow, d.Reason, why)
	}
}

// reaches reports whether a credential may be used from an address.
func (a *acme) reaches(secret, address string) bool {
	a.T.Helper()
	if _, err := netip.ParseAddr(address); err != nil {
		a.T.Fatal(err)
	}
	return directory.Allows(a.bearer(secret).Networks, address)
}

// becomes gives a member another role, behind the back of the operations.
func (a *acme) becomes(who caller, role string) {
	a.Exec("UPDATE members SET role = $3 WHERE organization = $1 AND id = $2", a.id, who.member, role)
}

// is sets the status of a membership, behind the back of the operations.
func (a *acme) is(who caller, status string) {
	a.Exec("UPDATE members SET status = $3 WHERE organization = $1 AND id = $2", a.id, who.member, status)
}

// leaves removes a member under a charter that keeps keys, as the removal does.
func (a *acme) leaves(who caller) {
	a.T.Helper()
	var role string
	a.Row("SELECT role FROM members WHERE organization = $1 AND id = $2", []any{a.id, who.member}, &role)
	held, _ := a.Charter.Role(charter.RoleID(role))
	frozen := make([]string, 0, held.Holds.Len())
	for _, id := range a.Charter.IDs(held.Holds) {
		frozen = append(frozen, string(id))
	}
	a.is(who, "removed")
	a.Exec("UPDATE api_keys SET frozen = $3, left_at = $4 WHERE organization = $1 AND member = $2", a.id, who.member,
		strings.Join(frozen, " "), a.Now().UnixMicro())
}

// fences fails the test unless exactly these were fenced since it was last asked.
func (a *acme) fences(want ...op.Fence) {
	a.T.Helper()
	got := a.Fenced()
	order := func(x, y op.Fence) int { return strings.Compare(x.ID, y.ID) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		a.T.Errorf("fenced %v, want %v", got, want)
	}
}
