package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// post is a server on a real database, reached by real HTTP.
type post struct {
	*replica.Replica
	db      *sqldb.DB
	address string
	mu      sync.Mutex
	forgot  []replica.Scope
	resets  atomic.Int32
	silent  atomic.Int32
	end     func()
}

// brief are lengths for tests.
var brief = replica.Params{Lease: time.Second, Rate: 0.01, Margin: 10 * time.Millisecond, Ack: 100 * time.Millisecond}

func newPost(t *testing.T, dsn string, ring *secret.Ring) *post {
	t.Helper()
	p := &post{db: testdb.Connect(t, dsn)}
	beside, err := p.db.Beside(2)
	if err != nil {
		t.Fatal(err)
	}
	wire := replica.NewHTTP(ring)
	server := httptest.NewUnstartedServer(nil)
	p.address = server.Listener.Addr().String()
	p.Replica = replica.New(replica.Config{Name: "test", Address: p.address, Params: brief, Clock: replica.SystemClock{},
		Registry: replica.Postgres{DB: beside}, Transport: wire, Secret: replica.Fingerprint(ring),
		Drop: func(scopes []replica.Scope) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.forgot = append(p.forgot, scopes...)
		},
		Reset: func() { p.resets.Add(1) }, Log: slog.New(slog.DiscardHandler),
		Waited: func(_ time.Duration, silent int) { p.silent.Add(int32(silent)) }})
	server.Config.Handler = wire.Handler(p.Replica, func(replica.Notice) {}, answers)
	server.Start()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	p.end = sync.OnceFunc(func() { stop(); running.Wait(); server.Close(); beside.Close() })
	t.Cleanup(p.end)
	if _, err := p.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// change fences scopes in a transaction that changes nothing, with what happens before its end.
func (p *post) change(ctx context.Context, within func() error, scopes ...replica.Scope) error {
	return p.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := p.Fence(ctx, replica.InTx(tx), scopes); err != nil {
			return err
		}
		return within()
	})
}

func nothing() error { return nil }

// shares reports whether a reading could be remembered now.
func (p *post) shares(t *testing.T, scopes ...replica.Scope) (shared bool) {
	t.Helper()
	err := p.db.ReadCommitted(t.Context(), func(tx *sqldb.Tx) (err error) {
		var from replica.Timeline
		shared, from, err = replica.Share(t.Context(), tx, scopes)
		if err == nil && !p.Lease().Covers(from) {
			t.Errorf("the lease does not cover timeline %d of its own database", from)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

func TestEveryServerForgetsBeforeAChangeCommits(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a, b, c := newPost(t, dsn, ring), newPost(t, dsn, ring), newPost(t, dsn, ring)
	err := a.change(t.Context(), func() error {
		for _, p := range []*post{a, b, c} {
			p.mu.Lock()
			if !slices.Equal(p.forgot, []replica.Scope{"0 usr_a"}) {
				t.Errorf("before the commit, a server has forgotten %q", p.forgot)
			}
			p.mu.Unlock()
		}
		if b.shares(t, "0 usr_a") || !b.shares(t, "0 usr_b") || b.shares(t, "0 usr_b", "0 usr_a") {
			t.Error("readings of what is being changed can be remembered, or others cannot")
		}
		return nil
	}, "0 usr_a")
	if err != nil || a.silent.Load() != 0 {
		t.Errorf("%v, %d servers were silent", err, a.silent.Load())
	}
	if !c.shares(t, "0 usr_a") {
		t.Error("after the change, nothing can be remembered")
	}
}

// A server that does not answer is waited for until its lease is over, and a change never commits before.
func TestAServerThatIsSilentIsWaitedFor(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a, b := newPost(t, dsn, ring), newPost(t, dsn, secret.NewRing()) // b believes nobody
	held := b.Lease()
	began := time.Now()
	err := a.change(t.Context(), func() error {
		if held.Live() {
			t.Error("the lease of the silent server is alive at the commit")
		}
		return nil
	}, "0 usr_a")
	if took := time.Since(began); err != nil || took < brief.Over() || a.silent.Load() != 1 {
		t.Errorf("%v after %s, %d silent", err, took, a.silent.Load())
	}
	for b.resets.Load() == 0 || b.Lease() == held { // it has to notice, and to begin anew
		if time.Since(began) > 20*time.Second {
			t.Fatal("the evicted server does not register anew")
		}
		time.Sleep(time.Millisecond)
	}
	if held.Live() {
		t.Error("an evicted lease is alive again")
	}
}

// A server that ends leaves the list, and costs nobody a wait.
func TestAServerThatEndsLeavesTheList(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a, b := newPost(t, dsn, ring), newPost(t, dsn, ring)
	b.end()
	began := time.Now()
	if err := a.change(t.Context(), nothing, "0 usr_a"); err != nil || a.silent.Load() != 0 {
		t.Errorf("%v after %s, %d silent", err, time.Since(began), a.silent.Load())
	}
}

// Changes of many scopes in any order do not wait for each other for ever.
func TestChangesOfManyScopesDoNotBlockEachOther(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a, b := newPost(t, dsn, ring), newPost(t, dsn, ring)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			scopes := []replica.Scope{}
			for k := range 30 {
				scopes = append(scopes, replica.Scope(fmt.Sprint("0 usr_", (i*7+k*13)%50)))
			}
			if err := []*post{a, b}[i%2].change(t.Context(), nothing, scopes...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Only a process that has the instance secret, and is that incarnation, acknowledges.
// Nobody waits for the lock of a change without end: not even of the first scope. T-106
func TestTheLockIsWaitedForWithinBounds(t *testing.T) {
	db, err := sqldb.Open(t.Context(), testdb.DSN(t, sqldb.PostgreSQL), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	scopes := []replica.Scope{"0 usr_a"}
	err = db.Write(t.Context(), func(held *sqldb.Tx) error {
		if err := replica.InTx(held).Lock(t.Context(), scopes); err != nil {
			return err
		}
		var lock, idle string
		if err := held.QueryRow(t.Context(), "SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')").Scan(&lock, &idle); err != nil {
			return err
		}
		if lock != "3s" || idle != "5s" {
			t.Errorf("bounds of %s for a lock and %s between statements", lock, idle)
		}
		if _, err := held.Exec(t.Context(), "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil { // it stays until the other one has waited
			return err
		}
		err := db.Write(t.Context(), func(waits *sqldb.Tx) error { return replica.InTx(waits).Lock(t.Context(), scopes) })
		if !sqldb.Held(err) {
			t.Errorf("the second change ends with %v, want that others held the lock", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNobodyElseAcknowledges(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a := newPost(t, dsn, ring)
	for name, send := range map[string]func() error{
		"another process at the address": func() error {
			return replica.NewHTTP(ring).Fence(t.Context(), a.address, "SOMEBODYELSE", []replica.Scope{"0 usr_a"})
		},
		"without the secret": func() error {
			return replica.NewHTTP(secret.NewRing()).Fence(t.Context(), a.address, "SOMEBODYELSE", []replica.Scope{"0 usr_a"})
		},
		"nowhere": func() error {
			return replica.NewHTTP(ring).Fence(t.Context(), "", "SOMEBODYELSE", []replica.Scope{"0 usr_a"})
		},
	} {
		if send() == nil {
			t.Errorf("%s: acknowledged", name)
		}
	}
	echo := httptest.NewServer(replica.NewHTTP(secret.NewRing()).Handler(a.Replica, func(replica.Notice) {}, answers))
	defer echo.Close()
	if replica.NewHTTP(ring).Tell(t.Context(), strings.TrimPrefix(echo.URL, "http://"), replica.Notice{}) == nil {
		t.Error("an answer without the secret counts")
	}
	beside, err := a.db.Beside(1)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if _, err := (replica.Postgres{DB: beside}).Alike(t.Context(), "other"); !errors.Is(err, replica.ErrOtherSecret) {
		t.Errorf("a server with another secret: %v", err)
	}
}

// What the documentation promises follows from the lengths that servers run with.
func TestTheDocumentationPromisesWhatIsSo(t *testing.T) {
	page, err := os.ReadFile("../../docs/servers.md")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(string(page)), " "); !strings.Contains(text, replica.Usual.Promise()) {
		t.Errorf("docs/servers.md does not say:\n%s", replica.Usual.Promise())
	}
}

func TestTheUsualLengthsFitTheDatabases(t *testing.T) {
	if err := replica.Usual.Check(); err != nil {
		t.Error(err)
	}
	if long := (replica.Params{Lease: 4 * time.Second}); long.Check() == nil {
		t.Error("a lease of 4 s is taken, with a wait for locks of 3 s")
	}
}

func answers(_ context.Context, question string) string { return "to " + question }

// An answer is from the server that was asked, and from nobody who sits between.
func TestAServerAnswersQuestions(t *testing.T) {
	dsn, ring := testdb.DSN(t, sqldb.PostgreSQL), secret.NewRing()
	a := newPost(t, dsn, ring)
	if got, err := replica.NewHTTP(ring).Ask(t.Context(), a.address, "a question"); err != nil || got != "to a question" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := replica.NewHTTP(secret.NewRing()).Ask(t.Context(), a.address, "a question"); err == nil {
		t.Error("somebody without the secret has an answer")
	}
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", a.address, ""
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		_, _ = w.Write(bytes.Replace(body, []byte("to a"), []byte("to b"), 1))
	}))
	defer between.Close()
	if got, err := replica.NewHTTP(ring).Ask(t.Context(), strings.TrimPrefix(between.URL, "http://"), "a question"); err == nil {
		t.Errorf("an answer that was changed on its way counts: %q", got)
	}
}

// A server that takes no fences is not in the list, and no change waits for it. It has a lease all the same, by a commit that
// leaves nothing behind.
func TestAStrictServerHoldsALeaseWithoutARow(t *testing.T) {
	db := testdb.Postgres(t)
	beside, err := db.Beside(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	r := replica.New(replica.Config{Name: "strict", Params: brief, Clock: replica.SystemClock{}, Registry: replica.Postgres{DB: beside}, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer stop()
	first, err := r.Hold(t.Context())
	if err != nil || !first.Live() || !first.Undisputed() || !first.Covers(1) || r.Lease().Live() {
		t.Fatalf("%v: alive %t, undisputed %t, to remember by %t", err, first.Live(), first.Undisputed(), r.Lease().Live())
	}
	for began := time.Now(); r.Reading() == first; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the lease is not renewed")
		}
	}
	if all, _, err := (replica.Postgres{DB: beside}).List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d servers are listed, %v", len(all), err)
	}
	if r.Reading().Covers(2) {
		t.Error("the lease covers another history of the database")
	}
}

// A database that names a standby may be replaced: what is read there is asked where it was read.
func TestADatabaseWithAStandbyIsDisputed(t *testing.T) {
	primary, err := testdb.StartCluster("synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	db := testdb.Connect(t, primary.DSN)
	registry := replica.Postgres{DB: db}
	if base, err := registry.Pulse(t.Context()); err != nil || base != (replica.Base{Timeline: 1, Alone: true}) {
		t.Errorf("alone: %+v, %v", base, err)
	}
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	if base, err := registry.Pulse(t.Context()); err != nil || base != (replica.Base{Timeline: 1}) {
		t.Errorf("with a standby: %+v, %v", base, err)
	}
	if err := standby.Stop(); err != nil {
		t.Log(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if base, err := registry.Pulse(ctx); err == nil {
		t.Errorf("a pulse that no standby has: %+v", base)
	}
}
