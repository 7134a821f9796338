package replica

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is servers, a database and a network that are made of nothing but a seed, within a bubble of testing/synctest. Its
// clients reach every server always; servers may be cut off from each other and from the database, and what was sent
// meanwhile arrives later. The seed chooses faults and lengths; what happens in the same nanosecond is up to Go.
type world struct {
	t        testing.TB
	plan     plan
	began    time.Time
	seq      atomic.Int64 // orders what happens, within an instant too
	db       *database
	mu       sync.Mutex
	rng      *rand.Rand
	servers  []*server
	cuts     map[[2]string]time.Time // until when what is sent from one to another waits
	slow     map[[2]string]time.Time
	illegal  []string
	answered [4]int // from memory, from the database, not at all, and by a strict server
	writes   int
}

// plan is what a schedule is made of.
type plan struct {
	faults  []fault
	every   time.Duration // between faults
	pauses  float64       // how likely a server stops at a point of the protocol
	stop    time.Duration // and for how long at most
	mutant  mutant
	writers int
}

// mutant is a way to break the protocol.
type mutant struct {
	hooks      func(*Hooks, *world)
	unlocked   bool // readings are remembered without the locks
	uncounted  bool // readings are remembered though something was forgotten meanwhile
	oneShot    bool // the locks are had in the statement that reads
	oldReading bool // the reading is of a snapshot from before the locks
	oldList    bool // the list is of a snapshot from before the lock
	after      bool // the fence comes after the commit
	timed      bool // locks end by a timer
	twoLeases  bool // the entry is taken before the lease
	early      bool // the clock is read before the request has arrived
	cached     bool // the clock is read every 5 ms
	anyHistory bool // readings count on any timeline
	shared     bool // one row per name
	readsOnly  bool // renewals are answered without a commit
	undisputed bool // readings of a strict server count whatever its lease is
}

const (
	keys   = 4
	length = 20 // leases
)

var errGone = errors.New("gone")

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.Float64() < p
}

// upTo is a random time, mostly a short one.
func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rng.Int64N(int64(d)) + 1)
}

func (w *world) any(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// pass takes as long as something takes from one to another. What is cut off waits, and is not lost.
func (w *world) pass(from, to string) {
	time.Sleep(20*time.Microsecond + w.upTo(300*time.Microsecond))
	for {
		w.mu.Lock()
		until := w.cuts[[2]string{from, to}]
		slow := time.Now().Before(w.slow[[2]string{from, to}])
		w.mu.Unlock()
		if wait := time.Until(until); wait > 0 {
			time.Sleep(wait + w.upTo(time.Millisecond))
			continue
		}
		if slow {
			time.Sleep(w.upTo(2 * Usual.Lease))
		}
		return
	}
}

func (w *world) cut(from, to string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts[[2]string{from, to}] = time.Now().Add(d)
}

// server is one process.
type server struct {
	w       *world
	name    string // of its place in the network; a second process may have it too
	number  int
	rate    float64
	boot    time.Duration
	wall    atomic.Int64
	stopped atomic.Int64 // until when, in nanoseconds since the world began
	dead    atomic.Bool
	end     context.CancelFunc
	r       *Replica
	cache   *cache
	old     [3]atomic.Bool // whether connections lead to the deposed database: for reads, changes, and the list
	glance  atomic.Int64   // what a clock shows that is read now and then
}

const (
	reads = iota
	changes
	list
)

func (w *world) start(name string) *server {
	ctx, end := context.WithCancel(context.Background())
	s := &server{w: w, name: name, rate: 0.9951 + 0.0098*float64(w.any(1000))/1000, boot: w.upTo(time.Hour), end: end, cache: newCache()}
	s.wall.Store(int64(w.upTo(time.Hour)))
	address := name
	if name == strict {
		address = ""
	}
	s.r = New(Config{Name: name, Address: address, Params: Usual, Clock: s, Registry: registry{s}, Transport: s,
		Drop: s.cache.drop, Reset: s.cache.clear, Log: slog.New(slog.DiscardHandler)})
	if f := w.plan.mutant.hooks; f != nil {
		f(&s.r.hooks, w)
	}
	if w.plan.mutant.cached {
		go s.glances(ctx)
	}
	w.mu.Lock()
	s.number = len(w.servers)
	w.servers = append(w.servers, s)
	w.mu.Unlock()
	go s.r.Run(ctx)
	return s
}

// kill ends a process at once. The database notices.
func (s *server) kill() {
	s.dead.Store(true)
	s.end()
	s.w.db.abortAll(s)
}

// gate is passed as soon as the process is not stopped.
func (s *server) gate() {
	for !s.dead.Load() {
		wait := time.Duration(s.stopped.Load()) - time.Since(s.w.began)
		if wait <= 0 {
			return
		}
		time.Sleep(wait)
	}
}

// point is where a process may lose the processor for long.
func (s *server) point() {
	if p := s.w.plan.pauses; p > 0 && s.w.chance(p) {
		time.Sleep(s.w.upTo(s.w.plan.stop))
	}
	s.gate()
}

func (s *server) now() Instant {
	t := time.Since(s.w.began)
	return Instant{Boot: s.boot + time.Duration(float64(t)*s.rate), Wall: t + time.Duration(s.wall.Load())}
}

// Now is the server's clock.
func (s *server) Now() Instant {
	s.gate()
	now := s.now()
	if s.w.plan.mutant.cached {
		was := time.Duration(s.glance.Load())
		return Instant{Boot: was, Wall: was + now.Wall - now.Boot}
	}
	return now
}

func (s *server) glances(ctx context.Context) {
	for ctx.Err() == nil {
		s.point()
		s.glance.Store(int64(s.now().Boot))
		time.Sleep(5 * time.Millisecond)
	}
}

// Wait waits on the server's clock.
func (s *server) Wait(ctx context.Context, d time.Duration) error {
	for until := s.now().Boot + d; s.now().Boot < until; s.gate() {
		select {
		case <-time.After(until - s.now().Boot):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// asked has something done elsewhere, and gives what comes of it. It happens even when nobody waits for the answer any more,
// which therefore stands in nothing that the asker reads.
func asked[T any](ctx context.Context, s *server, to string, do func() (T, error)) (what T, err error) {
	if s.dead.Load() {
		return what, errGone
	}
	type answer struct {
		what T
		err  error
	}
	came := make(chan answer, 1)
	go func() {
		s.w.pass(s.name, to)
		what, err := do()
		s.w.pass(to, s.name)
		came <- answer{what, err}
	}()
	select {
	case a := <-came:
		s.point()
		return a.what, a.err
	case <-ctx.Done():
		s.point()
		return what, ctx.Err()
	}
}

// ask is asked for what gives nothing.
func (s *server) ask(ctx context.Context, to string, do func() error) error {
	_, err := asked(ctx, s, to, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// Fence is the transport: whichever process is at the address takes it.
func (s *server) Fence(ctx context.Context, address string, i Incarnation, scopes []Scope) error {
	s.point()
	return s.ask(ctx, address, func() error {
		to := s.w.at(address)
		if to == nil {
			return errGone
		}
		to.gate()
		if to.dead.Load() || !to.r.Accept(i, scopes) {
			return errGone
		}
		to.point()
		return nil
	})
}

// Tell is nothing that answers depend on.
func (s *server) Tell(context.Context, string, Notice) error { return nil }

// at is the newest living process at an address.
func (w *world) at(name string) *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range slices.Backward(w.servers) {
		if s.name == name && !s.dead.Load() {
			return s
		}
	}
	return nil
}

// cache remembers values, as access does with decisions.
type cache struct {
	mu      sync.Mutex
	entries map[int]int
	number  uint64
	cleared uint64
	dropped map[Scope]uint64
}

func newCache() *cache { return &cache{entries: map[int]int{}, dropped: map[Scope]uint64{}} }

func scopesOf(key int) []Scope {
	return []Scope{Scope("key " + strconv.Itoa(key)), Scope("organization " + strconv.Itoa(key%2))}
}

func (c *cache) get(key int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.entries[key]
	return v, ok
}

func (c *cache) ticket() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number
}

func (c *cache) drop(scopes []Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	for _, s := range scopes {
		c.dropped[s] = c.number
		for key := range c.entries {
			if slices.Contains(scopesOf(key), s) {
				delete(c.entries, key)
			}
		}
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	c.cleared = c.number
	clear(c.entries)
}

func (c *cache) keep(key, value int, ticket uint64, l *Lease, m *mutant) {
	live := l.Live()
	c.mu.Lock()
	defer c.mu.Unlock()
	crossed := c.cleared > ticket
	for _, s := range scopesOf(key) {
		crossed = crossed || c.dropped[s] > ticket
	}
	if live && (!crossed || m.uncounted) {
		c.entries[key] = value
	}
}

// check answers what a key's value is, as access does. False: it cannot say.
func (s *server) check(ctx context.Context, key int) (int, bool) {
	m := &s.w.plan.mutant
	if s.r.Strict() {
		return s.readStrictly(ctx, key)
	}
	l := s.r.Lease()
	s.point()
	v, found := s.cache.get(key)
	s.point()
	if m.twoLeases {
		l = s.r.Lease()
	}
	if found && l.Live() {
		s.count(0)
		return v, true
	}
	return s.readThrough(ctx, key)
}

// counts are how many questions were answered in each way, and how many changes were made.
func (w *world) counts() (answered [4]int, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered, w.writes
}

// wrong are the answers that were older than a change that had returned.
func (w *world) wrong() []string {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	return w.illegal
}

func (s *server) count(kind int) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.answered[kind]++
}

func (s *server) readThrough(ctx context.Context, key int) (value int, ok bool) {
	m := &s.w.plan.mutant
	l, err := s.r.Hold(ctx)
	if err != nil {
		return 0, false
	}
	ticket := s.cache.ticket()
	s.point()
	tx := s.begin(reads)
	defer tx.end()
	type share struct {
		before   int
		locked   bool
		timeline Timeline
	}
	read := func() (int, error) { return tx.value(key), tx.failed() }
	first, early := asked(ctx, s, "database", read)
	shared, between := asked(ctx, s, "database", func() (share, error) {
		before := tx.value(key)
		if m.oneShot {
			s.point() // a statement's snapshot is taken before it waits for anything
		}
		return share{before, tx.share(scopesOf(key)), tx.timeline}, tx.failed()
	})
	value, late := asked(ctx, s, "database", read)
	err = errors.Join(early, between, late)
	if m.oneShot {
		value = shared.before
	}
	if m.oldReading {
		value = first
	}
	if err != nil || !l.Covers(shared.timeline) && !m.anyHistory {
		return 0, false
	}
	if shared.locked || m.unlocked {
		s.point()
		s.cache.keep(key, value, ticket, l, m)
	}
	s.count(1)
	return value, true
}

// readStrictly answers as a server that remembers nothing: what it reads stands by its lease (sqldb.Standing).
func (s *server) readStrictly(ctx context.Context, key int) (value int, ok bool) {
	if _, err := s.r.Hold(ctx); err != nil {
		return 0, false
	}
	s.point()
	tx := s.begin(reads)
	defer tx.end()
	value, err := asked(ctx, s, "database", func() (int, error) { return tx.value(key), tx.failed() })
	if err != nil {
		return 0, false
	}
	if !s.r.Reading().Undisputed() && !s.w.plan.mutant.undisputed {
		timeline, err := asked(ctx, s, "database", func() (Timeline, error) { return tx.timeline, tx.failed() })
		if err != nil || !s.r.Reading().Covers(timeline) {
			return 0, false
		}
	}
	s.count(3)
	return value, true
}

// write changes a key.
func (s *server) write(ctx context.Context, key int) {
	m := &s.w.plan.mutant
	scope := scopesOf(key)[s.w.any(2):2:2][:1]
	tx := s.begin(changes)
	defer tx.end()
	if s.ask(ctx, "database", func() error { tx.begun(); return tx.lock([]Scope{Scope("row " + strconv.Itoa(key))}) }) != nil {
		return
	}
	if m.after {
		if s.ask(ctx, "database", func() error { return tx.commit(key) }) == nil {
			again := s.begin(changes)
			defer again.end()
			_ = s.r.Fence(ctx, again, scope)
		}
		return
	}
	if s.r.Fence(ctx, tx, scope) != nil {
		return
	}
	s.point()
	if s.ask(ctx, "database", func() error { return tx.commit(key) }) == nil {
		s.w.mu.Lock()
		s.w.writes++
		s.w.mu.Unlock()
	}
}

// client checks a key and judges the answer: its value must have been the committed one at some moment between question
// and answer.
func (w *world) client(s *server, key int) {
	live := false
	if w.plan.mutant.early { // as a handler that then waits for the next request of its connection
		live = s.r.Lease().seemsAlive(s)
		time.Sleep(w.upTo(3 * Usual.Lease))
	}
	sent := w.seq.Add(1)
	w.pass("client", s.name)
	s.gate()
	var v int
	var ok bool
	if cached, found := s.cache.get(key); live && found {
		v, ok = cached, true
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), 3*Usual.Lease)
		v, ok = s.check(ctx, key)
		cancel()
	}
	s.gate()
	returned := w.seq.Add(1)
	if !ok {
		s.count(2)
	}
	if !ok || s.dead.Load() {
		return
	}
	w.db.judge(w, s, key, v, sent, returned)
}

// seemsAlive is Live for a server that is stopped, maybe.
func (l *Lease) seemsAlive(s *server) bool {
	if l == nil {
		return false
	}
	t := l.term.Load()
	return t != nil && alive(s.now(), t.until, t.offset)
}

// database is the database: committed values, locks, the list.
type database struct {
	w        *world
	mu       sync.Mutex
	changed  chan struct{} // closed when a lock is released or a transaction ends
	history  map[int][]int64
	rows     map[Incarnation]Member
	locks    map[Scope]*lock
	open     map[*simTx]bool
	timeline Timeline
	named    bool      // a standby is, that commits wait for
	deposed  *snapshot // what the old primary shows since another took its place
	wall     atomic.Int64
}

type snapshot struct {
	values map[int]int
	rows   map[Incarnation]Member
}

type lock struct {
	holder  *simTx
	shares  map[*simTx]bool
	waiting int
}

func newDatabase(w *world) *database {
	d := &database{w: w, changed: make(chan struct{}), history: map[int][]int64{}, rows: map[Incarnation]Member{}, locks: map[Scope]*lock{},
		open: map[*simTx]bool{}, timeline: 1}
	for key := range keys {
		d.history[key] = []int64{0}
	}
	return d
}

// now is the clock of the database, in microseconds.
func (d *database) now() int64 {
	return (time.Since(d.w.began) + time.Duration(d.wall.Load())).Microseconds() + 1
}

func (d *database) judge(w *world, s *server, key, v int, sent, returned int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.history[key]
	if h[v] > returned || v+1 < len(h) && h[v+1] < sent {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.illegal = append(w.illegal, "after "+time.Since(w.began).String()+" "+s.name+" answered "+strconv.Itoa(v)+" for key "+strconv.Itoa(key)+
			" where "+strconv.Itoa(len(h)-1)+" was true")
	}
}

func (d *database) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// simTx is a transaction.
type simTx struct {
	d        *database
	s        *server
	timeline Timeline
	old      bool
	over     bool
	earlier  []Member // the list when the transaction began
}

func (s *server) begin(kind int) *simTx {
	d := s.w.db
	d.mu.Lock()
	defer d.mu.Unlock()
	tx := &simTx{d: d, s: s, timeline: d.timeline, old: d.deposed != nil && s.old[kind].Load()}
	if tx.old {
		tx.timeline = 1
	}
	d.open[tx] = true
	return tx
}

func (tx *simTx) begun() {
	tx.d.mu.Lock()
	defer tx.d.mu.Unlock()
	tx.earlier = slices.Collect(maps.Values(tx.d.rows))
}

func (tx *simTx) failed() error {
	tx.d.mu.Lock()
	defer tx.d.mu.Unlock()
	if tx.over {
		return errGone
	}
	return nil
}

// end ends a transaction, committed or not.
func (tx *simTx) end() {
	d := tx.d
	d.mu.Lock()
	defer d.mu.Unlock()
	tx.close()
}

func (tx *simTx) close() {
	tx.over = true
	delete(tx.d.open, tx)
	tx.unlock()
}

func (tx *simTx) unlock() {
	for _, l := range tx.d.locks {
		if l.holder == tx {
			l.holder = nil
		}
		delete(l.shares, tx)
	}
	tx.d.wake()
}

func (d *database) abortAll(s *server) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for tx := range d.open {
		if tx.s == s {
			tx.close()
		}
	}
}

func (d *database) of(s Scope, old bool) *lock {
	if old {
		s += " at the old primary"
	}
	if d.locks[s] == nil {
		d.locks[s] = &lock{shares: map[*simTx]bool{}}
	}
	return d.locks[s]
}

func (tx *simTx) lock(scopes []Scope) error {
	d := tx.d
	for _, s := range scopes {
		d.mu.Lock()
		l := d.of(s, tx.old)
		l.waiting++
		for !tx.over && (l.holder != nil && l.holder != tx || len(l.shares) > 0) {
			changed := d.changed
			d.mu.Unlock()
			<-changed
			d.mu.Lock()
		}
		l.waiting--
		if !tx.over {
			l.holder = tx
		}
		d.mu.Unlock()
	}
	if d.w.plan.mutant.timed {
		time.AfterFunc(Usual.Lease/2, func() { d.mu.Lock(); defer d.mu.Unlock(); tx.unlock() })
	}
	return tx.failed()
}

func (tx *simTx) share(scopes []Scope) bool {
	d := tx.d
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range scopes {
		l := d.of(s, tx.old)
		if tx.over || l.holder != nil || l.waiting > 0 {
			return false
		}
		l.shares[tx] = true
	}
	return true
}

// Lock is a statement.
func (tx *simTx) Lock(ctx context.Context, scopes []Scope) error {
	return tx.s.ask(ctx, "database", func() error { return tx.lock(scopes) })
}

// Members is a statement.
func (tx *simTx) Members(ctx context.Context) (all []Member, t Timeline, err error) {
	all, err = asked(ctx, tx.s, "database", func() ([]Member, error) {
		tx.d.mu.Lock()
		defer tx.d.mu.Unlock()
		rows := tx.d.rows
		if tx.old {
			rows = tx.d.deposed.rows
		}
		if tx.d.w.plan.mutant.oldList {
			return tx.earlier, nil
		}
		return slices.Collect(maps.Values(rows)), nil
	})
	return all, tx.timeline, errors.Join(err, tx.failed())
}

func (tx *simTx) value(key int) int {
	tx.d.mu.Lock()
	defer tx.d.mu.Unlock()
	if tx.old {
		return tx.d.deposed.values[key]
	}
	return len(tx.d.history[key]) - 1
}

func (tx *simTx) commit(key int) error {
	d := tx.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if tx.over {
		return errGone
	}
	defer tx.close()
	if tx.old { // its standby is gone: it cannot commit
		tx.s.old[changes].Store(false)
		return errGone
	}
	d.history[key] = append(d.history[key], d.w.seq.Add(1))
	return nil
}

// promote puts a standby in the place of the primary, which nobody tells. Connections to it stay for a while.
func (d *database) promote() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deposed != nil {
		return
	}
	d.deposed = &snapshot{values: map[int]int{}, rows: maps.Clone(d.rows)}
	for key, h := range d.history {
		d.deposed.values[key] = len(h) - 1
	}
	d.timeline, d.named = 2, true
	for tx := range d.open {
		tx.close()
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	for _, s := range d.w.servers {
		for kind := range s.old {
			if s.old[kind].Store(d.w.rng.IntN(2) == 0); s.old[kind].Load() {
				time.AfterFunc(time.Duration(d.w.rng.Int64N(int64(6*Usual.Lease))), func() { s.old[kind].Store(false) })
			}
		}
	}
}

// registry is a server's connection to the list.
type registry struct{ s *server }

// committed is what one committed statement gives.
type committed[T any] struct {
	what T
	base Base
}

// commits is one committed statement.
func commits[T any](ctx context.Context, g registry, fn func(d *database) T) (T, Base, error) {
	g.s.point()
	a, err := asked(ctx, g.s, "database", func() (committed[T], error) {
		d := g.s.w.db
		d.mu.Lock()
		defer d.mu.Unlock()
		a := committed[T]{base: Base{Timeline: d.timeline, Alone: !d.named}}
		if d.deposed != nil && g.s.old[list].Load() {
			g.s.old[list].Store(false)
			return a, errGone
		}
		a.what = fn(d)
		return a, nil
	})
	return a.what, a.base, err
}

func (g registry) key(m Member) Incarnation {
	if g.s.w.plan.mutant.shared {
		return Incarnation(m.Name)
	}
	return m.Incarnation
}

// Register inserts.
func (g registry) Register(ctx context.Context, m Member, lease time.Duration) (Base, error) {
	_, b, err := commits(ctx, g, func(d *database) bool {
		m.ExpiresAt = d.now() + lease.Microseconds()
		d.rows[g.key(m)] = m
		return true
	})
	return b, err
}

// Pulse commits nothing.
func (g registry) Pulse(ctx context.Context) (Base, error) {
	_, b, err := commits(ctx, g, func(*database) bool { return true })
	return b, err
}

// Renew updates what is not evicted.
func (g registry) Renew(ctx context.Context, m Member, lease time.Duration) (found bool, b Base, err error) {
	if d := g.s.w.db; g.s.w.plan.mutant.readsOnly && g.s.old[list].Load() {
		found, err = asked(ctx, g.s, "database", func() (there bool, _ error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.deposed != nil {
				_, there = d.deposed.rows[m.Incarnation]
			}
			return there, nil
		})
		return found, Base{Timeline: 1}, err
	}
	found, b, err = commits(ctx, g, func(d *database) bool {
		row, ok := d.rows[g.key(m)]
		if !ok || row.Evicted || row.Incarnation != m.Incarnation {
			return false
		}
		m.ExpiresAt = d.now() + lease.Microseconds()
		d.rows[g.key(m)] = m
		return true
	})
	return found, b, err
}

// Evict marks.
func (g registry) Evict(ctx context.Context, i Incarnation) (bool, Timeline, error) {
	found, b, err := commits(ctx, g, func(d *database) (there bool) {
		for key, row := range d.rows {
			if row.Incarnation == i {
				row.Evicted, there = true, true
				d.rows[key] = row
			}
		}
		return there
	})
	return found, b.Timeline, err
}

// Remove deletes.
func (g registry) Remove(ctx context.Context, i Incarnation) error {
	_, _, err := commits(ctx, g, func(d *database) bool {
		maps.DeleteFunc(d.rows, func(_ Incarnation, row Member) bool { return row.Incarnation == i })
		return true
	})
	return err
}

// List lists.
func (g registry) List(ctx context.Context) (all []Member, now int64, err error) {
	type listed struct {
		all []Member
		now int64
	}
	l, _, err := commits(ctx, g, func(d *database) listed { return listed{slices.Collect(maps.Values(d.rows)), d.now()} })
	return l.all, l.now, err
}
