package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fault is something that goes wrong for a time.
type fault func(w *world, s *server, d time.Duration)

func pause(w *world, s *server, d time.Duration) {
	s.stopped.Store(int64(time.Since(w.began) + d))
}

func fromDatabase(w *world, s *server, d time.Duration) {
	w.cut(s.name, "database", d)
	w.cut("database", s.name, d)
}

func fromPeers(w *world, s *server, d time.Duration) {
	for _, name := range names {
		w.cut(s.name, name, d)
		w.cut(name, s.name, d)
	}
}

func isolated(w *world, s *server, d time.Duration) {
	fromPeers(w, s, d)
	fromDatabase(w, s, d)
}

// staggered loses the peers first and the database a little later.
func staggered(w *world, s *server, d time.Duration) {
	fromPeers(w, s, d)
	time.AfterFunc(w.upTo(Usual.Lease*6/10), func() { fromDatabase(w, s, d) })
}

func answersLost(w *world, s *server, d time.Duration) { w.cut("database", s.name, d) }
func questionsLost(w *world, s *server, d time.Duration) {
	w.cut(s.name, "database", d)
}
func deaf(w *world, s *server, d time.Duration) {
	for _, name := range names {
		w.cut(name, s.name, d)
	}
}

func delayed(w *world, s *server, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range append([]string{"database"}, names...) {
		w.slow[[2]string{s.name, other}] = time.Now().Add(d)
		w.slow[[2]string{other, s.name}] = time.Now().Add(d)
	}
}

func killed(w *world, s *server, d time.Duration) {
	s.kill()
	time.Sleep(w.upTo(d))
	w.start(s.name)
}

// twin starts a second process under a name whose first one lives on, cut off.
func twin(w *world, s *server, d time.Duration) {
	isolated(w, s, d)
	w.start(s.name)
	time.AfterFunc(3*d, s.kill)
}

func backendKilled(w *world, s *server, _ time.Duration) { w.db.abortAll(s) }
func promoted(w *world, _ *server, _ time.Duration)      { w.db.promote() }
func wallStepped(w *world, s *server, d time.Duration)   { s.wall.Add(int64(d) - int64(Usual.Lease)) }

func databaseStepped(w *world, _ *server, d time.Duration) { w.db.wall.Add(int64(d)) }

var names = []string{"a", "b", "c"}

// strict is the name of a server that takes no fences and remembers nothing.
const strict = "strict"

// everything is the general mix.
func everything(seed uint64) plan {
	p := plan{every: 2 * Usual.Lease, writers: 2, faults: []fault{pause, fromDatabase, fromPeers, isolated, staggered, answersLost, questionsLost,
		deaf, delayed, killed, twin, backendKilled, promoted, wallStepped, databaseStepped}}
	if seed%2 == 0 {
		p.pauses, p.stop = 0.002, 3*Usual.Lease
	}
	return p
}

// run runs one schedule, and gives what was illegal in it.
func run(t testing.TB, seed uint64, p plan) (w *world) {
	w = &world{t: t, plan: p, rng: rand.New(rand.NewPCG(seed, 0)), cuts: map[[2]string]time.Time{}, slow: map[[2]string]time.Time{}}
	w.began = time.Now()
	w.db = newDatabase(w)
	w.db.named = seed%3 == 0
	for _, name := range append([]string{strict}, names...) {
		w.start(name)
	}
	ctx, end := context.WithTimeout(context.Background(), length*Usual.Lease)
	defer end()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { w.repeat(ctx, 150*time.Millisecond, func(s *server) { go w.client(s, w.any(keys)) }) })
	}
	for range p.writers {
		all.Go(func() {
			w.repeat(ctx, Usual.Lease/2, func(s *server) {
				ctx, cancel := context.WithTimeout(ctx, 5*Usual.Lease)
				defer cancel()
				s.write(ctx, w.any(keys))
			})
		})
	}
	all.Go(func() {
		for first := true; ctx.Err() == nil; first = false {
			time.Sleep(w.upTo(p.every))
			if len(p.faults) > 0 && !first {
				p.faults[w.any(len(p.faults))](w, w.living(), w.upTo(3*Usual.Lease))
			}
		}
	})
	all.Wait()
	w.mu.Lock()
	servers := w.servers
	w.mu.Unlock()
	for _, s := range servers {
		s.kill()
	}
	time.Sleep(time.Hour) // everything that was sent has arrived
	return w
}

func (w *world) repeat(ctx context.Context, pause time.Duration, do func(*server)) {
	for ctx.Err() == nil {
		time.Sleep(w.upTo(pause))
		do(w.living())
	}
}

// living is any process that lives.
func (w *world) living() *server {
	for {
		w.mu.Lock()
		s := w.servers[w.rng.IntN(len(w.servers))]
		w.mu.Unlock()
		if !s.dead.Load() {
			return s
		}
		time.Sleep(time.Microsecond)
	}
}

// schedules is how many are run: another number where GUILDHALL_SCHEDULES says so.
func schedules(t *testing.T, usual uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv("GUILDHALL_SCHEDULES"), 10, 64)
	switch {
	case err == nil:
		return n
	case os.Getenv("GUILDHALL_SOAK") != "":
		return 100_000
	case testing.Short():
		return usual / 10
	}
	return usual
}

// Whatever stops, dies or is cut off: no question is answered by what was changed before it was asked. T-038, T-039, T-043,
// T-103, T-104, T-106.
func TestSoakNoAnswerIsOlderThanAChangeThatHasReturned(t *testing.T) {
	var answered [4]int
	writes := 0
	var mu sync.Mutex
	seeds := schedules(t, 200)
	t.Run("schedules", func(t *testing.T) {
		for core := range uint64(runtime.GOMAXPROCS(0)) {
			t.Run(strconv.FormatUint(core, 10), func(t *testing.T) {
				t.Parallel()
				for seed := core; seed < seeds; seed += uint64(runtime.GOMAXPROCS(0)) {
					synctest.Test(t, func(t *testing.T) {
						w := run(t, seed, everything(seed))
						now, made := w.counts()
						mu.Lock()
						defer mu.Unlock()
						for kind, n := range now {
							answered[kind] += n
						}
						writes += made
						if wrong := w.wrong(); len(wrong) > 0 {
							t.Fatalf("seed %d: %s", seed, wrong[0])
						}
					})
				}
			})
		}
	})
	all := fmt.Sprintf("%d checks from memory, %d from the database, %d by a strict server, %d without an answer, %d changes", answered[0], answered[1], answered[3], answered[2], writes)
	t.Log(all)
	if answered[0] < 2*answered[2] || answered[0] < answered[1] || answered[3] < answered[0]/5 {
		t.Errorf("%s: that proves little", all)
	}
}

// stops is a mix in which servers lose the processor at the points of the protocol.
func stops(p float64, more ...fault) plan {
	return plan{every: 2 * Usual.Lease, writers: 2, pauses: p, stop: 3 * Usual.Lease, faults: more}
}

func only(f ...fault) plan { return plan{every: 2 * Usual.Lease, writers: 2, faults: f} }

// broken are the mutants, each with the faults that it has to fear.
var broken = []struct {
	name string
	plan plan
	mutant
}{
	{"m1: no lease", only(isolated), mutant{hooks: func(h *Hooks, _ *world) { h.Live = func(Instant, time.Duration, time.Duration) bool { return true } }}},
	{"m2: the deadline counts from the answer", only(answersLost, staggered, delayed), mutant{hooks: func(h *Hooks, _ *world) {
		h.Deadline = func(_, answered Instant, p Params) time.Duration { return answered.Boot + p.Lease }
	}}},
	{"m3a: the clock is read before the request", only(pause), mutant{early: true}},
	{"m3b: the clock is read every 5 ms", stops(0.01, pause, isolated), mutant{cached: true}},
	{"m4: readings without locks and count", only(), mutant{unlocked: true, uncounted: true}},
	{"m4a: readings without locks", stops(0.01), mutant{unlocked: true}},
	{"m4b: readings without count", stops(0.02, backendKilled), mutant{uncounted: true}},
	{"m5a: the list before the lock", stops(0.01, killed), mutant{hooks: func(h *Hooks, _ *world) {
		h.Order = func(lock, list func() error) error {
			if err := list(); err != nil {
				return err
			}
			return lock()
		}
	}}},
	{"m5b: the list of an earlier snapshot", stops(0.01, killed), mutant{oldList: true}},
	{"m5c: locks and reading in one statement", stops(0.01), mutant{oneShot: true}},
	{"m5d: the reading of an earlier snapshot", stops(0.01), mutant{oldReading: true}},
	{"m6: the fence after the commit", only(), mutant{after: true}},
	{"m7a: only leases that seem alive", only(isolated, staggered, pause), mutant{hooks: func(h *Hooks, w *world) {
		h.Listed = func(m Member) bool { return m.ExpiresAt > w.db.now() }
	}}},
	{"m7b: without those that are evicted", only(isolated, staggered, fromPeers), mutant{hooks: func(h *Hooks, _ *world) {
		h.Listed = func(m Member) bool { return !m.Evicted }
	}}},
	{"m8a: wait for the expiry in the list", only(staggered, fromPeers), mutant{hooks: func(h *Hooks, w *world) {
		h.Over = func(ctx context.Context, c Clock, p Params, m Member, _, _ Instant) error {
			return c.Wait(ctx, max(0, time.Duration(m.ExpiresAt-w.db.now())*time.Microsecond)+p.Margin)
		}
	}}},
	{"m8b: wait from before the fence", only(staggered, fromPeers, delayed), mutant{hooks: func(h *Hooks, _ *world) {
		h.Over = func(ctx context.Context, c Clock, p Params, _ Member, sent, _ Instant) error {
			return c.Wait(ctx, max(0, sent.Boot+p.Over()-c.Now().Boot))
		}
	}}},
	{"m9a: one row per name", only(twin), mutant{shared: true}},
	{"m9b: anybody at the address may answer", only(twin), mutant{hooks: func(h *Hooks, _ *world) { h.Own = func(bool) bool { return true } }}},
	{"m10: locks end by a timer", only(isolated, pause), mutant{timed: true}},
	{"m11: entry and deadline of two incarnations", stops(0.02, fromPeers, pause), mutant{twoLeases: true}},
	{"m12: the database's clock says when leases are over", only(databaseStepped, staggered, isolated), mutant{hooks: func(h *Hooks, w *world) {
		h.Over = func(ctx context.Context, c Clock, p Params, m Member, _, _ Instant) error {
			until := w.db.now() + p.Over().Microseconds()
			for w.db.now() < until {
				if err := c.Wait(ctx, 10*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		}
	}}},
	{"m15: readings count on any timeline", only(promoted), mutant{anyHistory: true}},
	{"readings of a strict server stand by nothing", only(promoted, isolated), mutant{undisputed: true}},
	{"m14: renewals are only read", only(promoted, fromPeers), mutant{readsOnly: true}},
	{"m16: no grace after a promotion", only(promoted), mutant{hooks: func(h *Hooks, _ *world) {
		h.Grace = func(time.Duration) bool { return false }
	}}},
}

// A checker that has never found anything proves nothing: each way to break the protocol has to be seen.
func TestEveryBrokenProtocolIsSeen(t *testing.T) {
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			b.plan.mutant = b.mutant
			found := ""
			limit := schedules(t, 3000)
			seed := uint64(0)
			for ; seed < limit && found == ""; seed++ {
				synctest.Test(t, func(t *testing.T) {
					if wrong := run(t, seed, b.plan).wrong(); len(wrong) > 0 {
						found = wrong[0]
					}
				})
			}
			if found == "" {
				t.Fatalf("not seen in %d schedules", limit)
			}
			t.Logf("schedule %d: %s", seed-1, found)
		})
	}
}

// What the mutants are seen in is nothing that the protocol itself would do.
func TestTheFaultsOfTheMutantsDoNotHurtTheProtocol(t *testing.T) {
	for _, b := range broken {
		for seed := range schedules(t, 4) {
			synctest.Test(t, func(t *testing.T) {
				if wrong := run(t, seed, b.plan).wrong(); len(wrong) > 0 {
					t.Fatalf("%s, schedule %d: %s", b.name, seed, wrong[0])
				}
			})
		}
	}
}
