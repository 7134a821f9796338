package access_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// soaking is how often a test does something: little, or much where it soaks.
func soaking(little, much int) int {
	if os.Getenv("GUILDHALL_SOAK") != "" {
		return much
	}
	return little
}

// company is an organization with people, a role of its own, keys and tokens, in which things change at random.
type company struct {
	*hall
	random   *rand.Rand
	id       string
	owner    person
	people   []person
	role     string // of its own
	sessions map[string]string
	keys     []string // ids
	tokens   []string
	subjects []check.Subject

	asked, late atomic.Int64 // questions of races, and those of them that were sent after the end
}

func newCompany(t *testing.T, db *sqldb.DB, seed uint64) *company {
	c := &company{hall: newHall(t, db, "automation"), random: rand.New(rand.NewPCG(seed, 7)), sessions: map[string]string{}}
	c.id, c.owner = c.Found("acme", "ada@acme.test")
	role, err := directory.CreateRole.Call(c.As(c.owner.Token), c.Service, directory.CreateRoleInput{InOrganization: in("acme"), Title: "Runner",
		Permissions: []charter.Permission{"workflows.view", "workflows.run", "keys.create", "tokens.create"}})
	must(t, err)
	c.role = role.ID
	for i := range 6 {
		p := c.Join(c.id, fmt.Sprintf("p%d@acme.test", i), []string{"editor", "viewer", role.ID}[i%3])
		c.people = append(c.people, p)
		c.Exec("UPDATE sessions SET way = $2, second_factor = $3, organization = $4, idle_limit = $5 WHERE id = $1", p.Session,
			int64(pick(c.random, decide.Ways).Way), i%2 == 0, []string{"", "", "", c.id, "org_other"}[c.random.IntN(5)], []int64{0, 3600e6}[c.random.IntN(2)])
		c.sessions[p.Token] = p.Session
		c.subjects = append(c.subjects, user(p.User), user(fmt.Sprintf("ext-p%d", i)), sent(p.Token))
		key := c.Key(c.id, p, func(k *keyRow) {
			k.Permissions = c.some()
			k.Resources = []string{"", "workflow:wf_1", "workflow:* artifact:a_1"}[i%3]
			k.Networks = []string{"", "10.0.0.0/8"}[i%2]
		})
		token := c.Token(c.id, p, func(k *tokenRow) { k.ReadOnly, k.Permissions = i%2 == 0, c.some() })
		below := c.Token(c.id, p, func(k *tokenRow) {
			k.Session, k.Member, k.Key, k.Permissions, k.Resources = "", "", key.ID, c.some(), []string{"workflow:wf_2", ""}[i%2]
		})
		c.keys, c.tokens = append(c.keys, key.ID), append(c.tokens, token.ID, below.ID)
		c.subjects = append(c.subjects, sent(key.Secret), sent(token.Secret), sent(below.Secret))
	}
	c.Exec("UPDATE sessions SET way = $2 WHERE id = $1", c.owner.Session, int64(decide.ByPasskey))
	c.subjects = append(c.subjects, user(c.owner.User), sent(c.owner.Token), user("ext-nobody"), sent(secret.New(nil, "gld", "live").Reveal()))
	return c
}

// some are most of the permissions.
func (c *company) some() (permissions []charter.Permission) {
	for _, p := range c.Charter.IDs(c.Charter.All()) {
		if c.random.IntN(4) > 0 {
			permissions = append(permissions, p)
		}
	}
	return permissions
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// changes are what happens to rights, each through its operation.
var changes = map[string]func(c *company, p person) error{
	"another role": func(c *company, p person) error {
		_, err := directory.UpdateMember.Call(c.As(c.owner.Token), c.Service, directory.UpdateMemberInput{
			MemberInput: c.member(p), Role: new(pick(c.random, []string{"editor", "viewer", c.role}))})
		return err
	},
	"suspended": func(c *company, p person) error {
		_, err := directory.SuspendMember.Call(c.As(c.owner.Token), c.Service, directory.EndMemberInput{MemberInput: c.member(p)})
		return err
	},
	"reactivated": func(c *company, p person) error {
		_, err := directory.ReactivateMember.Call(c.As(c.owner.Token), c.Service, directory.EndMemberInput{MemberInput: c.member(p)})
		return err
	},
	"the role itself": func(c *company, _ person) error {
		_, err := directory.UpdateRole.Call(c.As(c.owner.Token), c.Service, directory.UpdateRoleInput{
			GetRoleInput: directory.GetRoleInput{InOrganization: in("acme"), Role: c.role}, Permissions: c.some()})
		return err
	},
	"a plan": func(c *company, _ person) error {
		c.Fenced(op.Fence{Kind: op.FenceOrganization, ID: c.id}, func() {
			c.Exec("UPDATE organizations SET plan = $1 WHERE id = $2", pick(c.random, []string{"free", "business"}), c.id)
		})
		return nil
	},
	"a sign-in policy": func(c *company, _ person) error {
		c.Fenced(op.Fence{Kind: op.FenceOrganization, ID: c.id}, func() {
			now := c.Now().UnixMicro()
			c.Exec("UPDATE organizations SET sso_enforced = $2, mfa_from = $3, sign_in_ways = $4, session_life = $5, session_idle = $6, networks = $7 WHERE id = $1", c.id,
				c.random.IntN(4) == 0, pick(c.random, []int64{0, 0, now, now + 1}), pick(c.random, []string{"", "", "mail sso", "passkey"}),
				pick(c.random, []int64{0, 0, 3600e6, 1e18}), pick(c.random, []int64{0, 0, 3600e6}), pick(c.random, []string{"", "", "10.0.0.0/8 203.0.113.0/24", "192.0.2.0/24"}))
			c.Exec("UPDATE members SET break_glass = $2 WHERE organization = $1", c.id, c.random.IntN(2) == 0)
		})
		return nil
	},
}

// ends are what happens seldom, since it cannot be undone.
var ends = map[string]func(c *company, p person) error{
	"a key revoked": func(c *company, _ person) error {
		_, err := credential.RevokeKey.Call(c.As(c.owner.Token), c.Service, credential.RevokeKeyInput{
			KeyInput: credential.KeyInput{InOrganization: in("acme"), Key: pick(c.random, c.keys)}})
		return err
	},
	"a token revoked": func(c *company, _ person) error {
		_, err := credential.RevokeToken.Call(c.As(c.owner.Token), c.Service, credential.RevokeTokenInput{InOrganization: in("acme"), Token: pick(c.random, c.tokens)})
		return err
	},
	"a session ended": func(c *company, p person) error {
		_, err := credential.RevokeSession.Call(c.As(p.Token), c.Service, credential.RevokeSessionInput{Session: p.Session})
		return err
	},
	"removed": func(c *company, p person) error {
		_, err := directory.RemoveMember.Call(c.As(c.owner.Token), c.Service, directory.EndMemberInput{MemberInput: c.member(p)})
		return err
	},
}

func (c *company) member(p person) directory.MemberInput {
	return directory.MemberInput{InOrganization: in("acme"), Member: p.Member}
}

// question asks something at random.
func (c *company) question(permissions []charter.Permission) check.Request {
	q := check.Request{Subject: pick(c.random, c.subjects), Permission: pick(c.random, permissions),
		Resource: check.Whole(pick(c.random, []string{"acme", c.id})), Address: pick(c.random, []string{"", "10.0.0.1", "203.0.113.7"})}
	if types := c.Charter.ResourceTypes(q.Permission); len(types) > 0 && c.random.IntN(2) == 0 {
		q.Resource = check.On(types[0], pick(c.random, []string{"wf_1", "wf_2", "a_1"})).In(q.Resource.ID)
	}
	if q.Subject.Type == check.Credential && c.random.IntN(4) == 0 {
		if q.Resource.Type == check.Organization {
			q.Resource.ID = ""
		} else {
			q.Resource.Organization = ""
		}
	}
	return q
}

// fresh answers as the operations would: from the database, by the loaders of the directory.
func (c *company) fresh(t *testing.T, q check.Request) decide.Decision {
	t.Helper()
	text := ""
	if q.Resource.Type != check.Organization {
		text = q.Resource.Type + ":" + q.Resource.ID
	}
	var d decide.Decision
	must(t, c.Service.Snapshot(t.Context(), func(r *op.Reader) error {
		p, err := c.principal(r, q)
		if err == op.ErrUnauthenticated || err == op.ErrNotFound {
			d.Reason = decide.UnknownSubject
			return nil
		}
		d = decide.Decide(&p, decide.Ask(c.Charter, q.Permission, text), r.Micros())
		return err
	}))
	return d
}

func (c *company) principal(r *op.Reader, q check.Request) (decide.Principal, error) {
	organization := q.Resource.Organization + q.Resource.ID
	if q.Resource.Type != check.Organization {
		organization = q.Resource.Organization
	}
	ctx := context.Background()
	if q.Subject.Type == check.User {
		return directory.PrincipalOf(ctx, r, organization, q.Subject.ID)
	}
	token, err := secret.Parse(q.Subject.ID)
	if err != nil {
		return decide.Principal{}, op.ErrUnauthenticated
	}
	if organization == "" && token.Kind() != credential.SessionKind {
		organization = c.id
	}
	r.Caller.Address = q.Address
	a, err := directory.Load(ctx, r, op.Who{Hash: token.Hash(), Kind: token.Kind(), Organization: organization, Now: r.Micros()})
	return a.Principal, err
}

// TestWhatIsRememberedIsWhatTheDatabaseSays changes rights at random and asks at least 10,000 questions at random: every answer
// from memory is the one that the loaders of the operations give.
func TestWhatIsRememberedIsWhatTheDatabaseSays(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		asked, allowed := 0, 0
		for seed := range uint64(soaking(4, 200)) {
			c := newCompany(t, testdb.Open(t, db.Dialect()), seed)
			permissions := c.Charter.IDs(c.Charter.All())
			var done []string
			for round := range 50 {
				kind := changes
				if round%6 == 5 {
					kind = ends
				}
				names := slices.Sorted(maps.Keys(kind))
				name := pick(c.random, names)
				err := kind[name](c, pick(c.random, c.people))
				done = append(done, fmt.Sprintf("%s (%v)", name, err))
				for range 25 {
					q := c.question(permissions)
					want := c.fresh(t, q)
					for range 2 {
						got, err := c.Access.Check(t.Context(), q)
						must(t, err)
						if asked++; got.Allow {
							allowed++
						}
						if got.Allow != want.Allow || got.Reason != want.Reason {
							t.Fatalf("seed %d, after %v: %s on %+v from %q is %v (%s) for %s, and the database says %v (%s)",
								seed, done, q.Permission, q.Resource, q.Address, got.Allow, got.Reason, q.Subject.Type, want.Allow, want.Reason)
						}
					}
				}
			}
		}
		if asked < 10_000 || allowed < asked/20 {
			t.Errorf("%d questions were asked, and %d answered yes: too few to prove anything", asked, allowed)
		}
	})
}

// way is a way in which access ends, each time for somebody new.
type way struct {
	name string
	// begin gives what is to be asked, all of which is allowed, and what ends it.
	begin func(c *company, n int) (asked []check.Subject, end func() error)
}

// ways are all in which a member, session, key or token ends. T-038
func ways() []way {
	ended := func(c *company, p person, end func(context.Context, directory.EndMemberInput) error) func() error {
		return func() error { return end(c.As(c.owner.Token), directory.EndMemberInput{MemberInput: c.member(p)}) }
	}
	// all are a member's session, key, and tokens of each: of a soaking one, a crowd of them.
	all := func(c *company, n int) (person, keyRow, tokenRow, []check.Subject) {
		p := c.Join(c.id, fmt.Sprintf("w%d@acme.test", n), "editor")
		key := c.Key(c.id, p, nil)
		token := c.Token(c.id, p, nil)
		below := c.Token(c.id, p, func(k *tokenRow) { k.Session, k.Member, k.Key = "", "", key.ID })
		return p, key, below, []check.Subject{user(p.User), user(fmt.Sprintf("ext-w%d", n)), sent(p.Token), sent(token.Secret), sent(key.Secret), sent(below.Secret)}
	}
	// crowd are further tokens that end together.
	crowd := func(c *company, p person, change func(*tokenRow)) (more []check.Subject) {
		for range soaking(0, 50) {
			more = append(more, sent(c.Token(c.id, p, change).Secret))
		}
		return more
	}
	of := func(key keyRow) func(*tokenRow) {
		return func(k *tokenRow) { k.Session, k.Member, k.Key = "", "", key.ID }
	}
	return []way{
		{"removal", func(c *company, n int) ([]check.Subject, func() error) {
			p, key, _, asked := all(c, n)
			return append(asked, crowd(c, p, of(key))...), ended(c, p, func(ctx context.Context, in directory.EndMemberInput) error {
				_, err := directory.RemoveMember.Call(ctx, c.Service, in)
				return err
			})
		}},
		{"suspension", func(c *company, n int) ([]check.Subject, func() error) {
			p, key, _, asked := all(c, n)
			return append(asked, crowd(c, p, of(key))...), ended(c, p, func(ctx context.Context, in directory.EndMemberInput) error {
				_, err := directory.SuspendMember.Call(ctx, c.Service, in)
				return err
			})
		}},
		{"demotion", func(c *company, n int) ([]check.Subject, func() error) {
			p, key, _, asked := all(c, n)
			return append(asked, crowd(c, p, of(key))...), func() error {
				_, err := directory.UpdateMember.Call(c.As(c.owner.Token), c.Service, directory.UpdateMemberInput{MemberInput: c.member(p), Role: new("viewer")})
				return err
			}
		}},
		{"the session's end", func(c *company, n int) ([]check.Subject, func() error) {
			p, _, _, asked := all(c, n)
			return append(asked[2:4:4], crowd(c, p, nil)...), func() error {
				_, err := credential.RevokeSession.Call(c.As(p.Token), c.Service, credential.RevokeSessionInput{Session: p.Session})
				return err
			}
		}},
		{"the key's revocation", func(c *company, n int) ([]check.Subject, func() error) {
			p, key, _, asked := all(c, n)
			return append(asked[4:], crowd(c, p, of(key))...), func() error {
				_, err := credential.RevokeKey.Call(c.As(c.owner.Token), c.Service, credential.RevokeKeyInput{
					KeyInput: credential.KeyInput{InOrganization: in("acme"), Key: key.ID}})
				return err
			}
		}},
		{"the token's revocation", func(c *company, n int) ([]check.Subject, func() error) {
			p, _, below, asked := all(c, n)
			child := func(k *tokenRow) { k.Session, k.Member, k.Key, k.Parent = "", "", below.Key, below.ID }
			return append(crowd(c, p, child), asked[5], sent(c.Token(c.id, p, child).Secret)), func() error {
				_, err := credential.RevokeToken.Call(c.As(c.owner.Token), c.Service, credential.RevokeTokenInput{InOrganization: in("acme"), Token: below.ID})
				return err
			}
		}},
		{"the role's change", func(c *company, n int) ([]check.Subject, func() error) {
			p, _, _, asked := all(c, n)
			role, err := directory.CreateRole.Call(c.As(c.owner.Token), c.Service, directory.CreateRoleInput{InOrganization: in("acme"),
				Title: fmt.Sprintf("Role %d", n), From: "editor"})
			c.Must(err)
			c.Fenced(op.Fence{Kind: op.FenceUser, ID: p.User}, func() { c.Exec("UPDATE members SET role = $1 WHERE id = $2", role.ID, p.Member) })
			return append(asked, crowd(c, p, nil)...), func() error {
				_, err := directory.UpdateRole.Call(c.As(c.owner.Token), c.Service, directory.UpdateRoleInput{
					GetRoleInput: directory.GetRoleInput{InOrganization: in("acme"), Role: role.ID}, Permissions: []charter.Permission{"workflows.view"}})
				if err == nil { // there is a bound on how many roles there are
					_, err = directory.DeleteRole.Call(c.As(c.owner.Token), c.Service, directory.DeleteRoleInput{
						GetRoleInput: directory.GetRoleInput{InOrganization: in("acme"), Role: role.ID}, MoveTo: "viewer"})
				}
				return err
			}
		}},
	}
}

// TestNothingIsAcceptedAfterItsEndReturned ends access in every way while others ask all the time. No question that is
// sent after the end returned is answered yes, and none by somebody who has seen a no. Soaking, it goes on until access has
// ended for 100,000 subjects, each of which has somebody asking about it. T-038
func TestNothingIsAcceptedAfterItsEndReturned(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := newCompany(t, db, 1)
		all, began := ways(), time.Now()
		changes, ended := 0, 0
		for ; changes < len(all)*4 || ended < soaking(0, 100_000); changes++ {
			w := all[changes%len(all)]
			asked, end := w.begin(c, changes)
			c.race(t, w.name, asked, end)
			ended += len(asked)
			if t.Failed() {
				break
			}
		}
		t.Logf("%d changes ended the access of %d subjects in %v: %d questions, %d of them sent after the end had returned, and none of these answered yes",
			changes, ended, time.Since(began).Round(time.Second), c.asked.Load(), c.late.Load())
	})
}

// race asks about each subject until the end has returned and a little longer.
func (c *company) race(t *testing.T, name string, asked []check.Subject, end func() error) {
	t.Helper()
	var over atomic.Bool
	var askers sync.WaitGroup
	ready := make(chan struct{}, len(asked))
	for _, s := range asked {
		askers.Go(func() {
			refused, after := false, 0
			for first := true; after < 3; first = false {
				if over.Load() {
					after++
				}
				sentAfter := after > 0
				if c.asked.Add(1); sentAfter {
					c.late.Add(1)
				}
				runtime.Gosched() // the others have work to do, too
				d, err := c.Access.Check(context.Background(), check.Request{Subject: s, Permission: "workflows.run", Resource: check.Whole("acme")})
				switch {
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case first && !d.Allow && !over.Load():
					t.Errorf("%s: %s is refused before: %s", name, s.Type, d.Reason)
				case d.Allow && sentAfter:
					t.Errorf("%s: %s was sent after it returned, and allowed", name, s.Type)
				case d.Allow && refused:
					t.Errorf("%s: %s is allowed again after a no", name, s.Type)
				}
				refused = refused || !d.Allow
				if first {
					ready <- struct{}{}
				}
			}
		})
	}
	for range asked {
		<-ready
	}
	must(t, end())
	over.Store(true)
	askers.Wait()
}
