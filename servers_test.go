package guildhall_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testsaml"
	"github.com/guildhall/guildhall/op"
)

// trio is three servers on one PostgreSQL, each with its own memory, and an organization. All answer checks from memory.
type trio struct {
	t    *testing.T
	of   [3]*guildhalltest.Hall
	acme *guildhalltest.Organization
}

func newTrio(t *testing.T, charterName string, options ...guildhalltest.Option) *trio {
	t.Helper()
	s := &trio{t: t}
	s.of[0] = guildhalltest.New(t, charterName, append(options, guildhalltest.OnDatabase(testdb.DSN(t, sqldb.PostgreSQL)))...)
	s.of[1], s.of[2] = s.of[0].Beside(), s.of[0].Beside()
	s.acme = s.of[0].Organization("acme")
	s.everywhere("at the start", s.acme.Owner().Token, "organization.view", true) // none answers before it is in the list
	for _, h := range s.of {                                                      // a change of rights at each finds the others there
		k, err := credential.CreateServiceKey.Call(h.Operator(), h.Service(), credential.CreateServiceKeyInput{Name: "brief"})
		s.must(err)
		_, err = credential.RevokeServiceKey.Call(h.Operator(), h.Service(), credential.RevokeServiceKeyInput{Key: k.ID})
		s.must(err)
	}
	return s
}

func (s *trio) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// holding is whoever calls with a credential, from an address of its own.
func (s *trio) holding(secret string) context.Context {
	return op.As(s.t.Context(), op.Caller{Credential: secret, Address: "203.0.113.7"})
}

func (s *trio) key(by *guildhalltest.Person, may ...charter.Permission) credential.NewKey {
	s.t.Helper()
	k, err := credential.CreateKey.Call(by.Ctx(), s.of[0].Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "nightly",
		Scoping: credential.Scoping{Permissions: may}})
	s.must(err)
	return k
}

func (s *trio) becomes(at int, who *guildhalltest.Person, role string) {
	s.t.Helper()
	_, err := directory.UpdateMember.Call(s.acme.Owner().Ctx(), s.of[at].Service(), directory.UpdateMemberInput{
		MemberInput: directory.MemberInput{InOrganization: s.acme.In(), Member: who.Member}, Role: &role})
	s.must(err)
}

func (s *trio) removes(at int, who *guildhalltest.Person) {
	s.t.Helper()
	_, err := directory.RemoveMember.Call(s.acme.Owner().Ctx(), s.of[at].Service(),
		directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: s.acme.In(), Member: who.Member}})
	s.must(err)
}

// everywhere wants the same answer of every server, twice: the second one is from memory.
func (s *trio) everywhere(when, secret string, p charter.Permission, want bool) {
	s.t.Helper()
	for i, h := range s.of {
		for range 2 {
			got, err := h.Check(s.t.Context(), check.Request{Subject: check.ByCredential(secret), Permission: p, Address: "203.0.113.7",
				Resource: check.Resource{Type: "organization", ID: s.acme.ID}})
			if err != nil || got.Allow != want {
				s.t.Errorf("%s, %s at server %d: %t (%s), %v", when, p, i+1, got.Allow, got.Reason, err)
			}
		}
	}
}

// Somebody who is demoted at one server in the middle of many changes makes none more at any. T-021
func TestADemotedAdminsNextStepFailsAtEveryServer(t *testing.T) {
	s := newTrio(t, "gateway")
	admin := s.acme.People["admin"]
	invites := func(at int, email string) error {
		_, err := directory.CreateInvitation.Call(admin.Ctx(), s.of[at].Service(), directory.CreateInvitationInput{InOrganization: s.acme.In(), Email: email, Role: "reader"})
		return err
	}
	for i := range s.of {
		s.must(invites(i, string(rune('a'+i))+"@elsewhere.test"))
	}
	s.becomes(0, admin, "developer")
	for i := range s.of {
		if err := invites(i, string(rune('x'+i))+"@elsewhere.test"); op.AsError(err).Kind != op.Denied {
			t.Errorf("at server %d: %v", i+1, err)
		}
	}
	s.of[0].Sound()
}

// A key may what its creator may now, everywhere at once. T-039
func TestAKeyShrinksWithItsCreatorAtEveryServer(t *testing.T) {
	s := newTrio(t, "automation")
	editor := s.acme.People["editor"]
	k := s.key(editor, "workflows.view", "workflows.run")
	for range 5 {
		for at := range s.of {
			s.everywhere("before", k.Secret, "workflows.run", true)
			s.becomes(at, editor, "viewer")
			s.everywhere("as a viewer", k.Secret, "workflows.run", false)
			s.everywhere("as a viewer", k.Secret, "workflows.view", true)
			s.becomes((at+1)%3, editor, "editor")
		}
	}
	s.of[0].Sound()
}

// What becomes of the keys of somebody who leaves, by the charter, everywhere at once. T-040
func TestKeysOfSomebodyWhoLeavesAtEveryServer(t *testing.T) {
	t.Run("revoke", func(t *testing.T) {
		s := newTrio(t, "automation")
		editor := s.acme.People["editor"]
		k := s.key(editor, "workflows.run")
		s.everywhere("before", k.Secret, "workflows.run", true)
		s.removes(1, editor)
		s.everywhere("afterwards", k.Secret, "workflows.run", false)
	})
	t.Run("keep", func(t *testing.T) {
		s := newTrio(t, "gateway")
		developer := s.acme.People["developer"]
		k := s.key(developer, "prompts.edit", "keys.create_own")
		s.everywhere("before", k.Secret, "keys.create_own", true)
		s.removes(1, developer)
		s.everywhere("afterwards", k.Secret, "prompts.edit", true)
		for i, h := range s.of {
			_, err := credential.CreateKey.Call(s.holding(k.Secret), h.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "successor"})
			if op.AsError(err).FullCode() != "left_behind" {
				t.Errorf("a key left behind makes one at server %d: %v", i+1, err)
			}
		}
	})
}

// Nothing that a key has given is more than the key, everywhere and at once; and a key makes none that is more than itself.
// T-041, T-042
func TestWhatAKeyGivesShrinksWithItAtEveryServer(t *testing.T) {
	s := newTrio(t, "automation")
	owner := s.acme.Owner()
	k := s.key(owner, "workflows.view", "workflows.run", "keys.create", "tokens.create")
	token, err := credential.CreateToken.Call(s.holding(k.Secret), s.of[1].Service(), credential.CreateTokenInput{InOrganization: s.acme.In(), Name: "preview"})
	s.must(err)
	for i, h := range s.of {
		_, err := credential.CreateKey.Call(s.holding(k.Secret), h.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "nightly",
			Scoping: credential.Scoping{Permissions: []charter.Permission{"workflows.deploy"}}})
		if known := op.AsError(err); known.Kind != op.Denied && known.Kind != op.Invalid {
			t.Errorf("a key makes a broader one at server %d: %v", i+1, err)
		}
	}
	s.everywhere("before", token.Secret, "workflows.run", true)
	_, err = credential.UpdateKey.Call(owner.Ctx(), s.of[2].Service(), credential.UpdateKeyInput{KeyInput: credential.KeyInput{InOrganization: s.acme.In(), Key: k.ID},
		Scoping: credential.Scoping{Permissions: []charter.Permission{"workflows.view", "keys.create", "tokens.create"}}})
	s.must(err)
	s.everywhere("after its key is narrowed", token.Secret, "workflows.run", false)
	s.everywhere("after its key is narrowed", token.Secret, "workflows.view", true)
	_, err = credential.RevokeKey.Call(owner.Ctx(), s.of[0].Service(), credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: s.acme.In(), Key: k.ID}})
	s.must(err)
	s.everywhere("after its key is revoked", token.Secret, "workflows.view", false)
	s.of[0].Sound()
}

// A key that is being revoked makes no successor at any server once the call has returned, however fast it tries. T-043
func TestADyingKeyMakesNoSuccessorAtAnyServer(t *testing.T) {
	s := newTrio(t, "automation")
	for round := range s.of {
		k := s.key(s.acme.Owner(), "keys.create", "workflows.view")
		var over, end atomic.Bool
		var made, late atomic.Int64
		busy := make(chan struct{})
		var all sync.WaitGroup
		for _, h := range s.of {
			all.Go(func() {
				for !end.Load() {
					after := over.Load()
					_, err := credential.CreateKey.Call(s.holding(k.Secret), h.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "successor"})
					if err == nil && made.Add(1) == 10 {
						close(busy)
					}
					if err == nil && after {
						late.Add(1)
					}
				}
			})
		}
		<-busy
		_, err := credential.RevokeKey.Call(s.acme.Owner().Ctx(), s.of[round].Service(), credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: s.acme.In(), Key: k.ID}})
		over.Store(true)
		s.must(err)
		for i, h := range s.of {
			if _, err := credential.CreateKey.Call(s.holding(k.Secret), h.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "successor"}); op.AsError(err).Kind != op.Unauthenticated {
				t.Errorf("afterwards at server %d: %v", i+1, err)
			}
		}
		end.Store(true)
		all.Wait()
		if late.Load() > 0 {
			t.Errorf("revoked at server %d: %d keys were made afterwards", round+1, late.Load())
		}
	}
	s.of[0].Sound()
}

// The same assertion at three servers at once signs in once. T-077
func TestAnAssertionCountsOnceAmongServers(t *testing.T) {
	dns := &records{of: map[string]string{}}
	idp := testsaml.New(t, func() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) })
	s := newTrio(t, "automation", guildhalltest.With(func(c *guildhall.Config) { c.Resolver, c.Outbound = dns, idp.Client() }))
	w := &world{t: t, Hall: s.of[0], acme: s.acme}
	w.unlocked(s.acme, "sso")
	begun := s.connects(dns, idp)
	q := idp.Authorizes(t, begun.URL)
	var signedIn atomic.Int64
	var all sync.WaitGroup
	for _, h := range s.of {
		for range 5 {
			all.Go(func() {
				_, err := federation.CompleteSAML.Call(h.Nobody(), h.Service(), federation.CompleteSAMLInput{Connection: begun.Connection, Browser: begun.Browser,
					State: q.Get("RelayState"), Response: q.Get("SAMLResponse")})
				if err == nil {
					signedIn.Add(1)
				} else if code := op.AsError(err).FullCode(); code != "attempt_over" {
					t.Errorf("one of fifteen: %s, %v", code, err)
				}
			})
		}
	}
	all.Wait()
	if n := signedIn.Load(); n != 1 {
		t.Errorf("%d of fifteen signed in", n)
	}
	s.of[0].Sound()
}

// A limit of rates holds among servers that tell each other; a burst at all of them before is waited for. T-101
func TestARateHoldsAmongServers(t *testing.T) {
	s := newTrio(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Limits.PerCredential = op.RateLimit{Times: 100, Per: 100 * time.Second}
	}))
	calls := func(at, n int, who *guildhalltest.Person) (let int) {
		for range n {
			if _, err := directory.GetMe.Call(who.Ctx(), s.of[at].Service(), directory.GetMeInput{}); err == nil {
				let++
			} else if op.AsError(err).Kind != op.Limited {
				t.Fatal(err)
			}
		}
		return let
	}
	tell := func() {
		for _, h := range s.of {
			guildhall.TellTaken(t.Context(), h.Hall)
		}
	}
	wants := func(when string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d are let through, want %d", when, got, want)
		}
	}
	tell()
	s.of[0].Clock.Advance(time.Hour)
	editor, viewer := s.acme.People["editor"], s.acme.People["viewer"]
	wants("60 at the first", calls(0, 60, editor), 60)
	tell()
	wants("60 more at the second", calls(1, 60, editor), 40)
	tell()
	wants("one more at the third", calls(2, 1, editor), 0)
	wants("somebody else", calls(2, 1, viewer), 1)
	s.of[0].Clock.Advance(time.Second)
	wants("a second later at the third", calls(2, 5, editor), 1)
	tell()
	wants("and then at the first", calls(0, 5, editor), 0)

	s.of[0].Clock.Advance(time.Hour)
	burst := calls(0, 150, editor) + calls(1, 150, editor) + calls(2, 150, editor)
	wants("at all of them before they have told each other", burst, 300)
	tell()
	for at := range s.of {
		s.of[0].Clock.Advance(50 * time.Second)
		wants("while that is paid back", calls(at, 5, editor), 0)
	}
	s.of[0].Clock.Advance(51 * time.Second)
	wants("when it is", calls(0, 5, editor), 1)
	s.of[0].Sound()
}

// connects makes a connection to an identity provider at one server, tests it at the next and switches it on at the third,
// and begins a sign-in.
func (s *trio) connects(dns *records, idp *testsaml.Provider) federation.FederatedBegun {
	s.t.Helper()
	ctx := s.acme.Owner().Ctx()
	domain, err := federation.AddDomain.Call(ctx, s.of[0].Service(), federation.AddDomainInput{InOrganization: s.acme.In(), Domain: "acme.test"})
	s.must(err)
	dns.set(domain.Record.Name, domain.Record.Value)
	_, err = federation.VerifyDomain.Call(ctx, s.of[1].Service(), federation.VerifyDomainInput{DomainInput: federation.DomainInput{InOrganization: s.acme.In(), Domain: domain.ID}})
	s.must(err)
	c, err := federation.CreateSAML.Call(ctx, s.of[2].Service(), federation.CreateSAMLInput{InOrganization: s.acme.In(), Name: "Okta", Role: "viewer",
		SAMLProvider: federation.SAMLProvider{Metadata: idp.Metadata()}})
	s.must(err)
	named := federation.ConnectionInput{InOrganization: s.acme.In(), Connection: c.Connection}
	tested, err := federation.TestConnection.Call(ctx, s.of[0].Service(), federation.TestConnectionInput{ConnectionInput: named})
	s.must(err)
	q := idp.Authorizes(s.t, tested.URL)
	_, err = federation.CompleteSAML.Call(s.of[1].Nobody(), s.of[1].Service(), federation.CompleteSAMLInput{Connection: tested.Connection, Browser: tested.Browser,
		State: q.Get("RelayState"), Response: q.Get("SAMLResponse")})
	s.must(err)
	_, err = federation.UpdateConnection.Call(ctx, s.of[2].Service(), federation.UpdateConnectionInput{ConnectionInput: named, On: new(true)})
	s.must(err)
	begun, err := federation.BeginFederated.Call(s.of[0].Nobody(), s.of[0].Service(), federation.BeginFederatedInput{Email: "zoe@acme.test"})
	s.must(err)
	return begun
}
