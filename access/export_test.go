package access

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Identity is what a Sender says of itself.
type Identity struct {
	Kind                   op.ActorKind
	ID, User, Organization string
	Budgets                []string
	ServiceKey             *op.Credential
}

// Authenticate finds who sent a credential.
func (a *Access) Authenticate(ctx context.Context, text string) (i Identity, err error) {
	s := SentBy(text, "")
	if err := a.Find(ctx, &s); err != nil {
		return i, err
	}
	i = Identity{Kind: s.Kind(), ID: s.ID(), User: s.User(), Organization: s.party.organization.String(), ServiceKey: s.ServiceKey()}
	if s.party.more != nil {
		i.Budgets = s.party.more.budgets
	}
	return i, nil
}

// SetHooks puts something between the steps of every reading.
func (a *Access) SetHooks(afterTicket, afterRead func()) {
	a.hooks.afterTicket, a.hooks.afterRead = afterTicket, afterRead
}

// SetGuard puts another guard in the place of the one that says whether a reading may be remembered.
func (a *Access) SetGuard(g Guard) { a.hooks.current = g }

// Guard says whether a reading may be remembered.
type Guard = func(*fences, ticket) bool

// Sound is the guard itself.
var Sound Guard = (*fences).current

// WithoutRelease is the mutant of a guard that looks only at whether somebody changes the principals just now.
func WithoutRelease(f *fences, t ticket) bool {
	t.number = f.number
	return f.current(t)
}

// WithoutHold is the mutant of a guard that looks only at whether somebody has changed the principals since.
func WithoutHold(f *fences, t ticket) bool {
	for _, p := range t.about {
		if f.stripe(p).released > t.number {
			return false
		}
	}
	return true
}

// Remembered is how many records there are of each kind, and links from them to principals.
type Remembered struct{ Sessions, Bearers, Seats, Slugs, Dead, Links, Principals int }

// Remembered counts the records.
func (a *Access) Remembered() Remembered {
	f := &a.fences
	f.Lock()
	defer f.Unlock()
	links := len(f.links) - 1
	for at := f.unused; at != 0; at = f.links[at].next {
		links--
	}
	return Remembered{a.sessions.len(), a.bearers.len(), a.seats.len(), a.slugs.len(), a.dead.len(), links, len(f.first)}
}

// Kept are the types of keys and values whose bulk the garbage collector does not look into.
func Kept() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[hashKey](), reflect.TypeFor[name](), reflect.TypeFor[seatKey](), reflect.TypeFor[session](),
		reflect.TypeFor[bearer](), reflect.TypeFor[seat](), reflect.TypeFor[slug](), reflect.TypeFor[dead](), reflect.TypeFor[link]()}
}

// DecideOn decides as a check does whose subject is resolved: a seat that was found.
func (a *Access) DecideOn(ctx context.Context, q check.Request, at time.Time) (func() decide.Decision, error) {
	var p party
	if err := a.resolve(ctx, &q, at, &p); err != nil {
		return nil, err
	}
	question, _ := a.asked(&q)
	return func() decide.Decision {
		var principal decide.Principal
		a.principal(&p, q.Address, &principal)
		return decide.Decide(&principal, question.Question, at.UnixMicro())
	}, nil
}

// SeatKey is the key of a user in an organization, by their names.
func SeatKey(organization, user string) any { return seatKeyOf(nameOf(organization), nameOf(user)) }

// Table is a table of numbers, each kept in every word of a large record.
type Table struct {
	lock  sync.Mutex
	table *table[hashKey, [20]uint64]
}

// NewTable makes a table.
func NewTable(size int) *Table {
	return &Table{table: newTable[hashKey, [20]uint64](size, func(uint32) {})}
}

// Put remembers a number.
func (t *Table) Put(k, v uint64) {
	t.lock.Lock()
	defer t.lock.Unlock()
	var value [20]uint64
	for i := range value {
		value[i] = v
	}
	t.table.put(hashKey{k, k, k, k}, &value, nil)
}

// Remove forgets a number.
func (t *Table) Remove(k uint64) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if n, _, found := t.table.find(hashKey{k, k, k, k}); found {
		t.table.remove(n)
	}
}

// Get gives a number. One that is not whole panics.
func (t *Table) Get(k uint64) (uint64, bool) {
	var value [20]uint64
	_, ok := t.table.get(hashKey{k, k, k, k}, &value)
	for i := range value {
		if ok && value[i] != value[0] {
			panic("a torn record")
		}
	}
	return value[0], ok
}

// Len counts the records, Clear forgets them.
func (t *Table) Len() int { return t.table.len() }

// Clear forgets everything.
func (t *Table) Clear() { t.table.clear() }

// Multiply remembers what is known of one key under so many others, and gives their secrets.
func (a *Access) Multiply(key string, times int) []string {
	var b bearer
	if _, ok := a.bearers.get(hashKeyOf(secret.HashOf(key)), &b); !ok {
		panic("the key is not remembered")
	}
	texts := make([]string, times)
	for i := range texts {
		token := secret.New(nil, "gld", "live")
		texts[i] = token.Reveal()
		keep(a, ofBearers, a.bearers, hashKeyOf(token.Hash()), &b, nil, a.begin())
	}
	return texts
}
