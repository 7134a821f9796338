package access

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/op"
)

// stripes count the fences. Principals that share a stripe only cost each other a reading that is not remembered.
const stripes = 4096

// fences says which principals are being changed, and which records die with each of them. A change fences its
// principals after it has taken its locks and before it commits: their records go, no reading that began before or in
// between is remembered, and until the release every question about them reads the database. So there is nothing to swap
// at the commit, and nothing that can fail between the commit and the answer. Its lock is that of everything written to
// the tables.
type fences struct {
	sync.Mutex
	seed     maphash.Seed
	number   uint64 // counts the releases
	reset    uint64 // the number of the last Reset
	stripes  [stripes]stripe
	links    []link            // the first one stands for none
	unused   uint32            // the first of the links that are free, chained by next
	first    map[uint64]uint32 // the first link of a principal, by its hash
	remember [tables]interface {
		link(record uint32) *uint32
		remove(record uint32)
	}
}

type stripe struct {
	held     int    // fences not yet released
	released uint64 // the number of the last release
}

// The tables whose records die with principals.
const (
	ofSessions = iota
	ofBearers
	ofSeats
	tables
)

// link ties a record to a principal: it is in the chain of the principal's links, and in that of the record's.
type link struct {
	principal      uint64
	table          uint32
	record         uint32
	next, previous uint32 // of the same principal
	also           uint32 // the record's next one
}

// ticket is taken before a reading, and shown when the result is to be remembered.
type ticket struct {
	number uint64
	about  []op.Fence     // the principals that the result dies with
	lease  *replica.Lease // among other servers: that of the incarnation whose memory it is for
	shared bool           // among other servers: whether the reading had a share of the principals' locks before it read
}

func newFences() fences {
	return fences{seed: maphash.MakeSeed(), links: make([]link, 1), first: map[uint64]uint32{}}
}

func (f *fences) hash(p op.Fence) uint64 { return maphash.Comparable(f.seed, p) }

func (f *fences) stripe(p op.Fence) *stripe { return &f.stripes[f.hash(p)%stripes] }

// ticket begins a reading.
func (f *fences) ticket() ticket {
	f.Lock()
	defer f.Unlock()
	return ticket{number: f.number}
}

// current reports whether nobody is changing one of the principals, or has since the ticket was taken. A change that was
// under way then has been released since, or is still under way. The caller holds the lock.
func (f *fences) current(t ticket) bool {
	if f.reset > t.number {
		return false
	}
	for _, p := range t.about {
		if s := f.stripe(p); s.held > 0 || s.released > t.number {
			return false
		}
	}
	return true
}

// Fence drops what is remembered about the principals, and keeps anything new about them from being remembered until
// release is called, after the transaction has ended. It is for op.Config.Fence, never waits and never fails.
func (a *Access) Fence(_ context.Context, principals []op.Fence) (release func(), err error) {
	f := &a.fences
	f.Lock()
	defer f.Unlock()
	held := make([]*stripe, len(principals))
	for i, p := range principals {
		held[i] = f.stripe(p)
		held[i].held++
		for at := f.first[f.hash(p)]; at != 0; at = f.first[f.hash(p)] {
			f.drop(f.links[at].table, f.links[at].record)
		}
	}
	return sync.OnceFunc(func() { f.release(held) }), nil
}

// Forget drops what is remembered about the principals of another server's change, and keeps readings that have begun from
// being remembered. Those that begin later do not get a share of the principals' locks before that change has ended.
func (a *Access) Forget(principals []op.Fence) {
	release, _ := a.Fence(context.Background(), principals) // it never fails
	release()
}

func (f *fences) release(held []*stripe) {
	f.Lock()
	defer f.Unlock()
	f.number++
	for _, s := range held {
		s.held--
		s.released = f.number
	}
}

// drop forgets a record. The caller holds the lock.
func (f *fences) drop(table, record uint32) {
	f.untie(table, record)
	f.remember[table].remove(record)
}

// tie says that a record dies with the principals. The caller holds the lock.
func (f *fences) tie(table, record uint32, about []op.Fence) {
	last := uint32(0)
	for _, p := range about {
		at, hash := f.vacant(), f.hash(p)
		l := link{principal: hash, table: table, record: record, next: f.first[hash], also: last}
		if l.next != 0 {
			f.links[l.next].previous = at
		}
		f.links[at], f.first[hash], last = l, at, at
	}
	*f.remember[table].link(record) = last
}

// untie takes a record's links away. The caller holds the lock.
func (f *fences) untie(table, record uint32) {
	for at := *f.remember[table].link(record); at != 0; {
		l := f.links[at]
		switch {
		case l.previous != 0:
			f.links[l.previous].next = l.next
		case l.next != 0:
			f.first[l.principal] = l.next
		default:
			delete(f.first, l.principal)
		}
		if l.next != 0 {
			f.links[l.next].previous = l.previous
		}
		f.links[at], f.unused = link{next: f.unused}, at
		at = l.also
	}
}

// vacant gives a link that is free.
func (f *fences) vacant() uint32 {
	if at := f.unused; at != 0 {
		f.unused = f.links[at].next
		return at
	}
	f.links = append(f.links, link{})
	return uint32(len(f.links) - 1)
}

// clear forgets all links. The caller holds the lock.
func (f *fences) clear() {
	f.number++
	f.reset = f.number
	f.links, f.unused = f.links[:1], 0
	clear(f.first)
}

// keep remembers what was read since the ticket was taken, unless its principals were changed in the meantime. The table
// is one of those whose records die with principals.
func keep[K keyWords, V any](a *Access, which uint32, in *table[K, V], k K, v *V, m *more, t ticket) {
	if a.config.Peers != nil {
		a.config.Peers.At(replica.BeforeKeep)
	}
	a.fences.Lock()
	defer a.fences.Unlock()
	may := a.hooks.current(&a.fences, t)
	if peers := a.config.Peers; peers != nil {
		may = peers.Keeps(t.lease, t.shared, may)
	}
	if may {
		a.fences.tie(which, in.put(k, v, m), t.about)
	}
}

// keepForGood remembers what no change can make untrue, but a Reset.
func keepForGood[K keyWords, V any](a *Access, in *table[K, V], k K, v *V, t ticket) {
	a.fences.Lock()
	defer a.fences.Unlock()
	if a.fences.current(t) && (a.config.Peers == nil || t.lease.Live()) {
		in.put(k, v, nil)
	}
}
