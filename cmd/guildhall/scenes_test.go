package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// longestStop is how long a process stops at a point at most.
const longestStop = 20 * time.Second

// stopAt is a point of the protocol: a process of a test stops there while its data folder says so.
func stopAt(point string) {
	i := slices.Index(os.Args, "--data-dir")
	if i < 0 {
		return
	}
	gate := filepath.Join(os.Args[i+1], "at-"+point)
	for began := time.Now(); time.Since(began) < longestStop; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(gate); err != nil {
			return
		}
		_ = os.WriteFile(gate+".there", nil, 0o600)
	}
}

// sceneOf is what one kind of broken servers has to fear, step by step, with the lengths that it needs.
type sceneOf struct {
	hooks    func(*replica.Hooks)
	play     func(*scene)
	lease    time.Duration // 0: shortLease
	promotes bool          // a standby takes over: once for each field
}

// scene is one run of it: a key that is revoked at one server, and asked about at another one.
type scene struct {
	*field
	h       *history
	r       *register
	a, b    *clusterServer
	sound   bool // nobody is broken: points of theirs are not reached
	standby *testdb.Cluster
}

// scenes are those ways to break the protocol that a fault at random does not find: each with its own.
var scenes = map[string]sceneOf{
	"m2: the deadline counts from the answer": {play: answeredLate, hooks: func(h *replica.Hooks) {
		h.Deadline = func(_, answered replica.Instant, p replica.Params) time.Duration { return answered.Boot + p.Lease }
	}},
	"m3b: the clock is read every 5 ms": {play: stoppedAndAsked, hooks: func(h *replica.Hooks) {
		var glance atomic.Pointer[replica.Instant]
		look := func() { now := replica.SystemClock{}.Now(); glance.Store(&now) }
		look()
		go func() {
			for {
				time.Sleep(5 * time.Millisecond)
				stopAt("glance")
				look()
			}
		}()
		live := h.Live
		h.Live = func(_ replica.Instant, until, offset time.Duration) bool { return live(*glance.Load(), until, offset) }
	}},
	"m4b: readings without count": {play: keptLate, hooks: func(h *replica.Hooks) { h.Keeps = func(shared, _ bool) bool { return shared } }},
	"m5a: the list before the lock": {play: registeredBetween, hooks: func(h *replica.Hooks) {
		h.Order = func(lock, list func() error) error {
			if err := list(); err != nil {
				return err
			}
			stopAt("order")
			return lock()
		}
	}},
	"m7a: only leases that seem alive": {play: renewedAgain, hooks: func(h *replica.Hooks) {
		h.Listed = func(m replica.Member) bool { return m.ExpiresAt > time.Now().UnixMicro() }
	}},
	"m7b: without those that are evicted": {play: evictedByAnother, lease: 2 * time.Second, hooks: func(h *replica.Hooks) {
		h.Listed = func(m replica.Member) bool { return !m.Evicted }
	}},
	"m8a: wait for the expiry in the list": {play: renewedBeforeEviction, hooks: func(h *replica.Hooks) {
		h.Over = func(ctx context.Context, c replica.Clock, p replica.Params, m replica.Member, _, _ replica.Instant) error {
			return c.Wait(ctx, max(0, time.Until(time.UnixMicro(m.ExpiresAt)))+p.Margin)
		}
	}},
	"m8b: wait from before the fence": {play: renewedBeforeEviction, hooks: func(h *replica.Hooks) {
		h.Over = func(ctx context.Context, c replica.Clock, p replica.Params, _ replica.Member, sent, _ replica.Instant) error {
			return c.Wait(ctx, max(0, sent.Boot+p.Over()-c.Now().Boot))
		}
	}},
	"m14: renewals are only read": {play: leftAtTheOldPrimary, lease: 2 * time.Second, promotes: true,
		hooks: func(h *replica.Hooks) { h.Renew = readsItsRow }},
	"m15: readings count on any history": {play: readAtTheOldPrimary, lease: 2 * time.Second, promotes: true, hooks: func(h *replica.Hooks) {
		h.Covers = func(bool) bool { return true }
		keepsConnections(h)
	}},
	"m16: no grace after a promotion": {play: promotedInALease, lease: 2 * time.Second, promotes: true,
		hooks: func(h *replica.Hooks) { h.Grace = func(time.Duration) bool { return false } }},
}

// keepsConnections keeps those to a server that was replaced: what is read there has to be worth nothing by itself.
func keepsConnections(h *replica.Hooks) { h.Deposed = func(func()) {} }

// readsItsRow renews by looking whether the row is there.
func readsItsRow(ctx context.Context, g replica.Registry, m replica.Member, _ time.Duration) (found bool, b replica.Base, err error) {
	p, ok := g.(replica.Postgres)
	if !ok {
		return false, b, errors.New("no PostgreSQL")
	}
	err = p.DB.Read(ctx, func(tx *sqldb.Tx) error {
		var text string
		var n int
		if err := tx.QueryRow(ctx, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), (SELECT count(*) FROM replicas WHERE incarnation = $1 AND NOT evicted)",
			string(m.Incarnation)).Scan(&text, &n); err != nil {
			return err
		}
		number, err := strconv.ParseUint(text, 16, 32)
		found, b.Timeline = n > 0, replica.Timeline(number)
		return err
	})
	return found, b, err
}

// answeredLate: the answer to a renewal is taken late, by a server that nobody reaches.
func answeredLate(s *scene) {
	s.warm(s.servers[:]...)
	s.shut(s.b, string(replica.Renewed))
	s.there(s.b, string(replica.Renewed))
	mend := s.holds(append(s.h.around(1), s.network.base(1)...)...)
	defer mend()
	done := s.revokes()
	time.Sleep(s.lease * 9 / 10)
	s.open(s.b, string(replica.Renewed))
	<-done
	s.asks(s.b, 3)
}

// stoppedAndAsked: a server is stopped for longer than its lease. Requests wait for it on connections from before.
func stoppedAndAsked(s *scene) {
	s.warm(s.servers[:]...)
	var clients []*http.Client
	for range 6 {
		client := ownClient()
		defer client.CloseIdleConnections()
		clients = append(clients, client)
		s.ask(s.b, client, time.Second)
	}
	s.shut(s.b, "glance")
	s.there(s.b, "glance")
	mend := s.holds(s.h.around(1)...)
	defer mend()
	s.b.signal(syscall.SIGSTOP)
	<-s.revokes()
	var waiting sync.WaitGroup
	for _, client := range clients {
		waiting.Go(func() { s.ask(s.b, client, 3*time.Second) })
	}
	time.Sleep(100 * time.Millisecond)
	s.b.signal(syscall.SIGCONT)
	waiting.Wait()
	s.open(s.b, "glance")
}

// keptLate: something is read, then revoked, and then remembered.
func keptLate(s *scene) {
	s.warm(s.a, s.servers[2])
	s.shut(s.b, string(replica.BeforeKeep))
	var reading sync.WaitGroup
	reading.Go(func() { s.ask(s.b, http.DefaultClient, 10*time.Second) })
	s.there(s.b, string(replica.BeforeKeep))
	<-s.revokes()
	s.open(s.b, string(replica.BeforeKeep))
	reading.Wait()
	s.asks(s.b, 3)
}

// registeredBetween: a server registers between the list of servers and the lock.
func registeredBetween(s *scene) {
	s.warm(s.a, s.servers[2])
	s.shut(s.a, "order")
	done := s.revokes()
	s.there(s.a, "order")
	_ = s.b.process.Process.Kill()
	_ = s.b.process.Wait()
	if err := s.b.tryStart(); err != nil {
		s.t.Fatal(err)
	}
	s.asks(s.b, 5)
	s.open(s.a, "order")
	<-done
	s.asks(s.b, 3)
}

// renewedAgain: a server is cut off from the database for longer than its lease, and then renews it.
func renewedAgain(s *scene) {
	s.warm(s.servers[:]...)
	mend := s.holds(s.network.base(1)...)
	time.Sleep(s.lease + 150*time.Millisecond)
	done := s.revokes()
	select {
	case <-done:
	case <-time.After(s.lease):
	}
	mend()
	s.awaitRow("b", s.lease*2/3)
	time.Sleep(30 * time.Millisecond)
	s.asks(s.b, 3)
	<-done
}

// renewedBeforeEviction: a server that the others do not reach renews its lease once more before it is evicted, and then
// reaches the database no more.
func renewedBeforeEviction(s *scene) {
	s.warm(s.servers[:]...)
	mend := s.holds(s.h.around(1)...)
	defer mend()
	s.shut(s.a, string(replica.BeforeEvict))
	done := s.revokes()
	s.there(s.a, string(replica.BeforeEvict))
	time.Sleep(s.lease * 4 / 10)
	mendBase := s.holds(s.network.base(1)...)
	defer mendBase()
	s.open(s.a, string(replica.BeforeEvict))
	<-done
	s.asks(s.b, 3)
}

// evictedByAnother: a server that nobody reaches is evicted for a change in one organization, which waits for its lease.
// Meanwhile the key, of another organization, is revoked at a third server.
func evictedByAnother(s *scene) {
	other, err := makeToken(s.cluster, s.a, http.DefaultClient)
	if err != nil {
		s.t.Fatal(err)
	}
	s.warm(s.servers[:]...)
	mend := s.holds(s.h.around(1)...)
	defer mend()
	s.shut(s.a, string(replica.BeforeEvict))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() {
		_, _, _ = send(s.t.Context(), http.DefaultClient, s.a.url, other.set(false), "")
	})
	s.there(s.a, string(replica.BeforeEvict))
	mendBase := s.holds(s.network.base(1)...)
	defer mendBase()
	s.open(s.a, string(replica.BeforeEvict))
	s.awaitEviction("b")
	<-s.revokesAt(s.servers[2])
	s.asks(s.b, 3)
}

// leftAtTheOldPrimary: a standby takes over, and one server, which the others do not reach, is left with the old primary.
func leftAtTheOldPrimary(s *scene) {
	s.stays[1].Store(true)
	s.awaitRow("b", s.lease*3/4)
	s.warm(s.servers[:]...)
	mend := s.holds(s.h.around(1)...)
	defer mend()
	s.promotes()
	<-s.revokes()
	s.asks(s.b, 3)
}

// promotedInALease: a standby takes over, and something is revoked there while a server has a lease from before.
func promotedInALease(s *scene) {
	s.warm(s.servers[:]...)
	s.promotes()
	<-s.revokes()
	s.asks(s.b, 3)
}

// readAtTheOldPrimary: a standby takes over, and a server that has its lease from there still has connections to the old
// primary.
func readAtTheOldPrimary(s *scene) {
	s.warm(s.servers[:]...)
	s.promotes()
	<-s.revokes()
	for answers, began := 0, time.Now(); answers < 3 && time.Since(began) < 10*time.Second; {
		if _, known := s.ask(s.b, http.DefaultClient, s.lease/2); known {
			answers++
		}
	}
}

// promotes has the standby take over. The first server and the third have to connect anew.
func (s *scene) promotes() {
	s.t.Helper()
	if err := s.standby.Promote(); err != nil {
		s.t.Fatal(err)
	}
	s.primary.Store(s.standby)
	for _, i := range []int{0, 2} {
		s.network.bases[i].drop(func(*passage) bool { return true })
	}
}

// holds holds what is on its way, until mend is called.
func (s *scene) holds(ways ...*way) (mend func()) {
	for _, w := range ways {
		w.held.Add(1)
	}
	return sync.OnceFunc(func() {
		for _, w := range ways {
			w.held.Add(-1)
		}
	})
}

func gate(c *clusterServer, point string) string { return filepath.Join(c.data, "at-"+point) }

// shut lets a server stop at a point, open lets it go on.
func (s *scene) shut(c *clusterServer, point string) {
	s.t.Helper()
	if err := os.WriteFile(gate(c, point), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) open(c *clusterServer, point string) {
	_ = os.Remove(gate(c, point))
	time.Sleep(3 * time.Millisecond)
	_ = os.Remove(gate(c, point) + ".there")
}

// there waits until a server has stopped at a point.
func (s *scene) there(c *clusterServer, point string) {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(gate(c, point) + ".there"); err == nil {
			return
		} else if !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
		if s.sound && time.Since(began) > time.Second {
			return
		}
	}
	s.t.Logf("server %s does not come to %s", c.name, point)
}

// awaitRow waits until the lease in a server's row lasts for so long.
func (s *scene) awaitRow(name string, left time.Duration) {
	s.t.Helper()
	if !s.awaits("NOT evicted AND expires_at > $2", name, left) {
		s.t.Logf("server %s holds no lease", name)
	}
}

// awaitEviction waits until a server is evicted.
func (s *scene) awaitEviction(name string) {
	s.t.Helper()
	if !s.awaits("evicted AND expires_at > $2", name, -time.Hour) {
		s.t.Logf("server %s is not evicted", name)
	}
}

// awaits waits until a server has a row of which is true what is said of it, and its lease lasts for so long.
func (s *scene) awaits(is, name string, left time.Duration) bool {
	s.t.Helper()
	pool, err := sql.Open("pgx", s.base.DSN)
	if err != nil {
		s.t.Fatal(err)
	}
	defer pool.Close()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := pool.QueryRow("SELECT count(*) FROM replicas WHERE name = $1 AND "+is, name, time.Now().Add(left).UnixMicro()).Scan(&n); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// ask asks a server about the key, and notes the answer.
func (s *scene) ask(c *clusterServer, client *http.Client, patience time.Duration) (allowed, known bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	call := s.h.now()
	allowed, known, _ = s.r.asks[0].put(ctx, client, c.url)
	if known {
		s.r.add(int(call), step{}, allowed, call, s.h.now())
	}
	return allowed && known, known
}

// asks asks several times.
func (s *scene) asks(c *clusterServer, n int) {
	for range n {
		s.ask(c, http.DefaultClient, s.lease/2)
	}
}

// warm asks servers until each has answered yes three times in a row.
func (s *scene) warm(servers ...*clusterServer) {
	s.t.Helper()
	for _, c := range servers {
		began := time.Now()
		for yes := 0; yes < 3; yes++ {
			if allowed, _ := s.ask(c, http.DefaultClient, time.Second); !allowed {
				yes = -1
			}
			if time.Since(began) > 20*time.Second {
				s.t.Fatalf("server %s does not allow a good key", c.name)
			}
		}
	}
}

// revokes revokes the key at the first server: again with the same key until it is known to have been done.
func (s *scene) revokes() (done <-chan struct{}) { return s.revokesAt(s.a) }

func (s *scene) revokesAt(at *clusterServer) (done <-chan struct{}) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		client, idempotency := ownClient(), "scene"+strconv.FormatInt(s.serial.Add(1), 10)
		defer client.CloseIdleConnections()
		call := s.h.now()
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(s.t.Context(), s.patience)
			status, _, err := send(ctx, client, at.url, s.r.set(false), idempotency)
			cancel()
			if err == nil && status < 300 {
				s.r.add(0, step{true, false}, false, call, s.h.now())
				return
			}
		}
		s.r.add(0, step{true, false}, false, call, never)
	}()
	return over
}

// scene makes a key, and begins.
func (f *field) scene(sound bool, standby *testdb.Cluster) *scene {
	f.t.Helper()
	s := &scene{field: f, a: f.servers[0], b: f.servers[1], sound: sound, standby: standby,
		h: &history{field: f, began: time.Now(), end: make(chan struct{}), ctx: f.t.Context()}}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		first, err := makeKey(f.cluster, s.a, http.DefaultClient) // another one of the organization is known everywhere
		if err == nil {
			s.r = first
			s.warm(s.servers[:]...)
			s.r, err = makeKey(f.cluster, s.a, http.DefaultClient)
		}
		if err == nil {
			return s
		}
		if time.Since(began) > 20*time.Second {
			f.t.Fatalf("no key: %v", err)
		}
	}
}

// played plays a scene again and again until it is illegal, or for so long.
func played(t *testing.T, of sceneOf, broken string, most time.Duration) (took time.Duration, rounds int, s *scene) {
	t.Helper()
	if of.lease == 0 {
		of.lease = shortLease
	}
	var f *field
	var standby *testdb.Cluster
	for rounds == 0 || took < most && (s == nil || s.r.judge() != porcupine.Illegal) {
		if f == nil || of.promotes {
			f = startFieldFor(t, broken, of.lease)
			f.patience = 4 * time.Second
		}
		if of.promotes {
			var err error
			if standby, err = f.base.StartStandby(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { standby.Stop() })
		}
		began := time.Now()
		s = f.scene(broken == "", standby)
		of.play(s)
		took += time.Since(began)
		rounds++
		if broken == "" && !of.promotes && rounds == 3 || broken == "" && of.promotes {
			return took, rounds, s
		}
	}
	return took, rounds, s
}

// Each of them has to be seen within a minute.
func TestSoakEverySceneOfBrokenServersIsSeen(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("minutes: GUILDHALL_SOAK=1")
	}
	for _, name := range slices.Sorted(maps.Keys(scenes)) {
		t.Run(name, func(t *testing.T) {
			took, rounds, s := played(t, scenes[name], name, time.Minute)
			if s.r.judge() != porcupine.Illegal {
				t.Errorf("not seen in %d rounds, %s: %s", rounds, took, s.r)
				return
			}
			_, late := s.r.after()
			t.Logf("%s: seen in round %d, after %s; %d accepted after return", name, rounds, took.Round(100*time.Millisecond), late)
		})
	}
}

// What they are seen in is nothing that sound servers would do.
func TestSoakTheScenesDoNotHurtSoundServers(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("minutes: GUILDHALL_SOAK=1")
	}
	legal := func(name, servers string, most time.Duration) {
		t.Run(cmp.Or(servers, name), func(t *testing.T) {
			took, rounds, s := played(t, scenes[name], servers, most)
			if _, late := s.r.after(); s.r.judge() == porcupine.Illegal || late > 0 {
				t.Errorf("sound servers are illegal: %s", s.r)
			}
			t.Logf("%d rounds in %s, %d operations", rounds, took.Round(100*time.Millisecond), len(s.r.history))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(scenes)) {
		legal(name, "", time.Minute)
	}
	legal("m15: readings count on any history", kept, 15*time.Second)
}
