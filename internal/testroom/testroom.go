// Package testroom gives a room's tests a service of the room's own operations on a given database: a clock that stands
// until it is moved, people with sessions and memberships, and a look at what the tables keep. The whole hall, as
// those who embed it have it, is package guildhalltest.
package testroom

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Monday is when every room's clock begins: 2 November 2026, at nine in the morning.
var Monday = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// Room is a service for one test, on a database that the test gives. Its clock is safe for concurrent use, and so are
// its calls.
type Room struct {
	T       testing.TB
	DB      *sqldb.DB
	Charter *charter.Charter
	Secrets *secret.Ring
	Service *op.Service // nil until Serve
	Most    int         // a call of more statements in its transaction fails the test; New says 8

	now        atomic.Int64
	statements atomic.Int64
	fence      func(context.Context, []op.Fence) (func(), error)

	mu     sync.Mutex
	fenced []op.Fence
}

// Ready is a ready-made charter, by its name.
func Ready(t testing.TB, name string) *charter.Charter {
	t.Helper()
	c, err := charter.Ready(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// With is a ready-made charter, by its name, with other text in the place of some: old, new, old, new. Each old text has
// to be there once.
func With(t testing.TB, name string, oldnew ...string) *charter.Charter {
	t.Helper()
	source := string(charter.Source(name))
	for i := 0; i < len(oldnew); i += 2 {
		if n := strings.Count(source, oldnew[i]); n != 1 {
			t.Fatalf("the charter %s has %q %d times", name, oldnew[i], n)
		}
		source = strings.Replace(source, oldnew[i], oldnew[i+1], 1)
	}
	c, err := charter.Parse(name+".yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// New makes a room on an empty, migrated database. It answers calls after Serve.
func New(t testing.TB, db *sqldb.DB, c *charter.Charter) *Room {
	t.Helper()
	r := &Room{T: t, DB: db, Charter: c, Secrets: secret.NewRing(), Most: 8}
	r.now.Store(Monday.UnixMicro())
	_, err := op.FoundInstance(t.Context(), db, false, c.Name, Monday)
	r.Must(err)
	return r
}

// Serve makes the service. The configuration says which operations it has, to which SignIn is added, and what else is
// the test's own; the room fills in the rest.
func (r *Room) Serve(config op.Config) {
	r.T.Helper()
	config.DB, config.Charter, config.Secrets, config.Now = r.DB, r.Charter, r.Secrets, r.Now
	config.Load, config.Holders, config.Observe = directory.Load, directory.Holders, r.observe
	config.Operations = append(config.Operations, SignIn)
	r.fence = config.Fence
	var err error
	r.Service, err = op.New(config)
	r.Must(err)
}

func (r *Room) observe(o op.Observation) {
	r.statements.Store(int64(o.Statements))
	if o.Statements > r.Most {
		r.T.Errorf("%s ran %d statements in its transaction, at most %d are allowed", o.Operation, o.Statements, r.Most)
	}
}

// Statements is how many statements the last call ran in its transaction.
func (r *Room) Statements() int { return int(r.statements.Load()) }

// Now is the clock's time.
func (r *Room) Now() time.Time { return time.UnixMicro(r.now.Load()).UTC() }

// After moves the clock on.
func (r *Room) After(d time.Duration) { r.now.Add(d.Microseconds()) }

// MoveTo sets the clock.
func (r *Room) MoveTo(at time.Time) { r.now.Store(at.UnixMicro()) }

// Fence is an op.Config.Fence that keeps nobody out, and remembers for Fenced.
func (r *Room) Fence(_ context.Context, principals []op.Fence) (func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fenced = append(r.fenced, principals...)
	return func() {}, nil
}

// Fenced are the principals that were given to Fence since it was last asked.
func (r *Room) Fenced() []op.Fence {
	r.mu.Lock()
	defer r.mu.Unlock()
	fenced := r.fenced
	r.fenced = nil
	return fenced
}

// As is a context whose calls are made with a credential.
func (r *Room) As(credential string) context.Context {
	return op.As(r.T.Context(), op.Caller{Credential: credential, Address: "203.0.113.7", Agent: "test", RequestID: "req_1"})
}

// Operator is a context whose calls the operator at the machine makes.
func (r *Room) Operator() context.Context { return op.As(r.T.Context(), op.Caller{Machine: true}) }

// Nobody is a context whose calls somebody makes who is not signed in.
func (r *Room) Nobody() context.Context {
	return op.As(r.T.Context(), op.Caller{Address: "198.51.100.9", Agent: "test"})
}
