package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testport"
)

// field is three real servers on a real PostgreSQL of their own, with what the nemesis can do to them.
type field struct {
	*cluster
	base    *testdb.Cluster
	primary atomic.Pointer[testdb.Cluster] // where new connections lead
	stays   [3]atomic.Bool                 // whose lead to the first primary all the same
	network *network
	metrics [3]string
	busy    [3]sync.Mutex // whose process something is being done to
	stands  []*register
	lease   time.Duration
	long    bool // faults last for more than a lease
	calm    int  // how much longer than usual it takes from one fault to the next

	patience time.Duration // of writers, with one request
	serial   atomic.Int64

	restarting sync.Mutex // the database

	mu       sync.Mutex
	faults   map[string]int
	readings int64 // of processes that are gone
}

// shortLease is that of servers in histories: long enough for a machine that does other things too.
const shortLease = 600 * time.Millisecond

// startField starts them; broken names a mutant, or none.
func startField(t *testing.T, broken string) *field {
	t.Helper()
	return startFieldFor(t, broken, shortLease)
}

func startFieldFor(t *testing.T, broken string, lease time.Duration, args ...string) *field {
	t.Helper()
	return startFieldOf(t, "", broken, lease, args...)
}

// startFieldOf starts servers of a program; empty: this one.
func startFieldOf(t *testing.T, program, broken string, lease time.Duration, args ...string) *field {
	t.Helper()
	base, err := testdb.StartCluster("synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { base.Stop() })
	f := &field{base: base, faults: map[string]int{}, patience: 8 * time.Second, lease: lease}
	f.primary.Store(base)
	f.network = newNetwork(t, func(i int) (net.Conn, error) {
		if f.stays[i].Load() {
			return net.Dial("unix", base.Socket)
		}
		return net.Dial("unix", f.primary.Load().Socket)
	})
	for i := range f.metrics {
		f.metrics[i] = "127.0.0.1:" + testport.Free(t)
	}
	f.cluster = startClusterOn(t, base.DSN, shape{
		dsn: func(i int) string {
			return "postgres://postgres@" + f.network.bases[i].address() + "/postgres?sslmode=disable"
		},
		args: func(i int) []string {
			return append([]string{"--peer-addr", f.network.listen[i], "--peer-address", f.network.peers[i].address(), "--metrics-addr", f.metrics[i],
				"--log-level", "error", "--return-to", returnTo, "--invites-per-hour", "10000", "--invites-per-day", "10000"}, args...)
		},
		environ: []string{"GUILDHALL_TEST_LEASE=" + lease.String(), "GUILDHALL_TEST_BROKEN=" + broken}, program: program, quiet: true,
		started: func(i, pid int) { f.network.pids[i].Store(int64(pid)) },
	})
	f.stands = f.standing()
	return f
}

// told is what a history has to tell.
type told struct {
	operations, checks, fromMemory, writes, unknown, none, illegal int
	after, late                                                    int // checks sent after a revocation had returned, and those of them that were accepted
	took                                                           time.Duration
	kinds                                                          map[string]int
	first                                                          string // the first register that has no legal history
}

func (a *told) add(b told) {
	a.operations, a.checks, a.fromMemory, a.writes = a.operations+b.operations, a.checks+b.checks, a.fromMemory+b.fromMemory, a.writes+b.writes
	a.first, a.after = cmp.Or(a.first, b.first), a.after+b.after
	a.unknown, a.none, a.illegal, a.late, a.took = a.unknown+b.unknown, a.none+b.none, a.illegal+b.illegal, a.late+b.late, a.took+b.took
	if a.kinds == nil {
		a.kinds = map[string]int{}
	}
	for kind, n := range b.kinds {
		a.kinds[kind] += n
	}
}

func (a told) String() string {
	return fmt.Sprintf("%d operations in %s: %d checks answered, %d of them from memory, %d without an answer, %d changes, %d unknown; sent after return: %d, accepted of them: %d; illegal: %d",
		a.operations, a.took.Round(10*time.Millisecond), a.checks, a.fromMemory, a.none, a.writes, a.unknown, a.after, a.late, a.illegal)
}

// history is one run of clients.
type history struct {
	*field
	began    time.Time
	end      chan struct{}
	enough   atomic.Bool     // a fault has seen what it came for
	ctx      context.Context // of everything that waits for an answer
	live     atomic.Pointer[[]*register]
	mu       sync.Mutex
	all      []*register
	checks   atomic.Int64
	writes   atomic.Int64
	unknown  atomic.Int64
	none     atomic.Int64
	unlikely atomic.Pointer[string] // an answer that nobody has thought of
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) ended() bool {
	select {
	case <-h.end:
		return true
	default:
		return false
	}
}

// pause waits, or until the end.
func (h *history) pause(d time.Duration) {
	select {
	case <-h.end:
	case <-time.After(d):
	}
}

func (h *history) begin(r *register) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, r)
	h.asked()
}

// asked makes the list of those who are asked about.
func (h *history) asked() {
	live := slices.DeleteFunc(slices.Clone(h.all), func(r *register) bool { return r.over.Load() })
	h.live.Store(&live)
}

// client has connections of its own.
func ownClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1}}
}

// check asks one server about anything, one question after another on one connection. It waits for late answers.
func (h *history) check(number int, s *clusterServer) {
	client := ownClient()
	defer client.CloseIdleConnections()
	for !h.ended() {
		live := *h.live.Load()
		r := live[rand.IntN(len(live))]
		a := &r.asks[rand.IntN(len(r.asks))]
		call := h.now()
		allowed, known, err := a.put(h.ctx, client, s.url)
		returned := h.now()
		var odd statusError
		switch {
		case known:
			h.checks.Add(1)
			r.add(number, step{}, allowed, call, returned)
		case errors.As(err, &odd):
			text := r.kind + ": " + err.Error()
			h.unlikely.Store(&text)
		default:
			h.none.Add(1)
			h.pause(5 * time.Millisecond)
		}
		h.pause(time.Duration(rand.Int64N(int64(8 * time.Millisecond))))
	}
}

// write makes a register so, through any server, and again with the same key until it is known to have been done. An
// answer that never comes returns at the end of time.
func (h *history) write(number int, r *register, allow bool) (done bool) {
	client := ownClient()
	defer client.CloseIdleConnections()
	call := h.now() // before it is looked what there is to be revoked: another one may revoke it meanwhile
	c := r.set(allow)
	if c.path == "" {
		return false
	}
	idempotency := "h" + strconv.FormatInt(h.serial.Add(1), 10)
	for try := 0; try < 6 && (try == 0 || !h.ended()); try++ {
		ctx, cancel := context.WithTimeout(h.ctx, h.patience)
		status, raw, err := send(ctx, client, h.servers[rand.IntN(3)].url, c, idempotency)
		cancel()
		switch {
		case err == nil && status < 300:
			h.writes.Add(1)
			r.add(number, step{true, allow}, false, call, h.now())
			return true
		case err == nil && status < 500 && try == 0:
			if status != 404 && status != 409 && !strings.Contains(string(raw), "organization_deleted") {
				text := fmt.Sprintf("%s: %s %s: %d %s", r.kind, c.method, c.path, status, raw)
				h.unlikely.Store(&text)
			}
			return false // it was refused
		case err == nil && status >= 500 && status != 503:
			text := fmt.Sprintf("%s: %s %s: %d %s", r.kind, c.method, c.path, status, raw)
			h.unlikely.Store(&text)
		}
		h.pause(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
	}
	h.unknown.Add(1)
	r.add(number, step{true, allow}, false, call, never)
	return false
}

// toggle grants and revokes what stands.
func (h *history) toggle(number int) {
	for !h.ended() {
		h.write(number, h.stands[rand.IntN(len(h.stands))], rand.IntN(2) == 0)
		h.pause(time.Duration(rand.Int64N(int64(40 * time.Millisecond))))
	}
}

// revokeOnce makes something, has it asked about, revokes it and has it asked about further.
func (h *history) revokeOnce(number int, kind string) {
	client := ownClient()
	for !h.ended() {
		r, err := makers[kind](h.cluster, h.servers[rand.IntN(3)], client)
		var odd statusError
		if err != nil {
			if errors.As(err, &odd) && odd.status != 503 && odd.status != 429 { // a long history begins more sessions than one may an hour
				text := kind + ": " + err.Error()
				h.unlikely.Store(&text)
			}
			h.pause(20 * time.Millisecond)
			continue
		}
		h.begin(r)
		h.last(number, r)
	}
}

// last is the end of what is revoked once.
func (h *history) last(number int, r *register) {
	h.pause(time.Duration(rand.Int64N(int64(250 * time.Millisecond))))
	h.write(number, r, false)
	h.pause(50*time.Millisecond + time.Duration(rand.Int64N(int64(2*shortLease))))
	r.over.Store(true)
	h.mu.Lock()
	h.asked()
	h.mu.Unlock()
}

// run runs one history: at least so many operations, and at most so long, with these faults, one of each list at a time.
func (f *field) run(operations int, most time.Duration, faults ...[]fault) told {
	f.t.Helper()
	f.allowAll()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := &history{field: f, began: time.Now(), end: make(chan struct{}), ctx: ctx}
	for _, r := range f.stands {
		r.history = nil
		h.begin(r)
	}
	var clients, nemeses sync.WaitGroup
	number := 0
	next := func(fn func(number int)) { number++; n := number; clients.Go(func() { fn(n) }) }
	before, invited := f.read(), f.invitations(f.t, 2)
	for _, s := range f.servers {
		for range 12 {
			next(func(n int) { h.check(n, s) })
		}
	}
	for range 5 {
		next(h.toggle)
	}
	for kind := range makers {
		next(func(n int) { h.revokeOnce(n, kind) })
	}
	next(func(n int) {
		for _, r := range invited {
			h.begin(r)
			h.last(n, r)
		}
	})
	for _, list := range faults {
		nemeses.Go(func() { h.torment(list) })
	}
	for time.Since(h.began) < most && h.operations() < operations && !h.enough.Load() {
		time.Sleep(20 * time.Millisecond)
	}
	close(h.end)
	nemeses.Wait() // everything is mended
	patience := time.AfterFunc(15*time.Second, cancel)
	clients.Wait()
	patience.Stop()
	return h.tell(before)
}

func (h *history) operations() int { return int(h.checks.Load() + h.writes.Load() + h.unknown.Load()) }

// tell judges.
func (h *history) tell(before int64) told {
	a := told{operations: h.operations(), checks: int(h.checks.Load()), writes: int(h.writes.Load()), unknown: int(h.unknown.Load()), none: int(h.none.Load()),
		took: time.Since(h.began), kinds: map[string]int{}}
	a.fromMemory = max(0, a.checks-int(h.read()-before))
	if text := h.unlikely.Load(); text != nil {
		h.t.Errorf("an answer that nobody has thought of: %s", *text)
	}
	for _, r := range h.all {
		a.kinds[r.kind] += len(r.history)
		sent, allowed := r.after()
		a.after, a.late = a.after+sent, a.late+allowed
		switch r.judge() {
		case porcupine.Illegal:
			a.illegal++
			a.first = cmp.Or(a.first, r.String())
		case porcupine.Unknown:
			h.t.Errorf("%s %s: %d operations took too long to judge", r.kind, r.name, len(r.history))
		}
	}
	return a
}

// allowAll grants whatever stands, so that a history begins with it.
func (f *field) allowAll() {
	f.t.Helper()
	for _, r := range f.stands {
		var last string
		ok := false
		for began := time.Now(); !ok && time.Since(began) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
			status, raw, err := send(f.t.Context(), http.DefaultClient, f.servers[0].url, r.set(true), "")
			last = fmt.Sprint(status, err, string(raw))
			allowed, known, _ := r.asks[0].put(f.t.Context(), http.DefaultClient, f.servers[1].url)
			ok = allowed && known
		}
		if !ok {
			f.t.Fatalf("%s %s cannot be granted: %s", r.kind, r.name, last)
		}
	}
}

var readingsOf = regexp.MustCompile(`(?m)^guildhall_check_readings_total ([0-9.e+]+)$`)

// read is how often the servers have asked the database for a check, as they say it.
func (f *field) read() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.readings
	for i := range f.metrics {
		all += f.readOf(i)
	}
	return all
}

func (f *field) readOf(i int) int64 {
	answer, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + f.metrics[i] + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	raw, _ := io.ReadAll(answer.Body)
	found := readingsOf.FindSubmatch(raw)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(found[1]), 64)
	return int64(n)
}

// counted are the faults by kind.
func (f *field) counted() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		all, sum = append(all, fmt.Sprintf("%s %d", name, f.faults[name])), sum+f.faults[name]
	}
	return fmt.Sprintf("%d faults: %s", sum, strings.Join(all, ", "))
}

// Three real processes on a real PostgreSQL, whose clients reach them always: whatever stops, dies, is cut off or late, there
// is one order of all changes and answers, in which each answer is that of the last change. T-038, T-039, T-043, T-104, T-106
func TestHistoriesOfThreeServersAreLinearizable(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a minute of three servers")
	}
	f := startField(t, "")
	f.calm = 12 // the soak has those with more faults, which take longer
	var all told
	for range 5 {
		one := f.run(20_000, time.Minute, everyFault(), everyFault())
		t.Log(one)
		all.add(one)
	}
	f.judged(t, all)
}

// judged fails for whatever is wrong, or proves nothing.
func (f *field) judged(t *testing.T, all told) {
	t.Helper()
	t.Logf("in all %v", all)
	t.Logf("operations by kind: %v", all.kinds)
	t.Log(f.counted())
	if all.illegal > 0 || all.late > 0 {
		t.Errorf("%d registers have no legal history, and %d checks were accepted that were sent after the revocation had returned: %s", all.illegal, all.late, all.first)
	}
	if all.checks < 20 || all.writes < 3 {
		t.Errorf("%d checks and %d changes: that proves little", all.checks, all.writes)
	}
}

// The same for long: 100 histories of 20,000 operations, or as many as GUILDHALL_HISTORIES says.
func TestSoakHistoriesOfThreeServersAreLinearizable(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("hours: GUILDHALL_SOAK=1")
	}
	histories := 100
	if n, err := strconv.Atoi(os.Getenv("GUILDHALL_HISTORIES")); err == nil {
		histories = n
	}
	var all told
	for done := 0; done < histories; {
		t.Run(strconv.Itoa(done), func(t *testing.T) { // servers of their own for five: a proof of who somebody is lasts ten minutes
			f := startField(t, "")
			for n := range 5 {
				f.calm = 3 * n // the first has hardly a moment without a fault, and few of its checks have an answer
				one := f.run(20_000, 5*time.Minute, everyFault(), everyFault())
				t.Log(one)
				all.add(one)
				if one.illegal > 0 || one.late > 0 {
					t.Errorf("%d illegal, %d accepted after return: %s", one.illegal, one.late, one.first)
				}
			}
			t.Log(f.counted())
		})
		done += 5
		t.Logf("after %d histories: %v", done, all)
	}
	t.Logf("operations by kind: %v", all.kinds)
}
