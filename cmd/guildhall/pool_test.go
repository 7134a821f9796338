package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// beside is a connection of the test's own to the database.
func (f *field) beside() *sql.DB {
	f.t.Helper()
	pool, err := sql.Open("pgx", f.base.DSN)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { pool.Close() })
	return pool
}

func (f *field) exec(statements ...string) {
	f.t.Helper()
	pool := f.beside()
	for _, statement := range statements {
		if _, err := pool.Exec(statement); err != nil {
			f.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (f *field) number(query string, args ...any) (n int) {
	f.t.Helper()
	if err := f.beside().QueryRow(query, args...).Scan(&n); err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// keysNamed and rowsOf are how many keys of a name there are, and how many rows of the log tell of one in an organization.
func (f *field) keysNamed(name string) int {
	return f.number("SELECT count(*) FROM api_keys WHERE name = $1", name)
}

func (f *field) keyRows() int {
	return f.number("SELECT count(*) FROM audit_rows WHERE action = 'keys.create' AND outcome = 'ok'")
}

// newKey is a change that is seen in two tables: the keys, and the log.
func (f *field) newKey(organization, name string) change {
	return change{"POST", "/v1/organizations/" + organization + "/keys", f.owner, map[string]any{"name": name, "permissions": []string{"workflows.run"}}}
}

// holding keeps the logs of organizations locked, so that whoever changes something there waits with a connection.
func (f *field) holding(organizations ...string) (let func()) {
	f.t.Helper()
	tx, err := f.beside().Begin()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, slug := range organizations {
		if _, err := tx.Exec("SELECT 1 FROM streams s JOIN organizations o ON o.id = s.id WHERE o.slug = $1 FOR UPDATE OF s", slug); err != nil {
			f.t.Fatal(err)
		}
	}
	return sync.OnceFunc(func() { tx.Rollback() })
}

// waiting sends as many changes as there are organizations and times, to one server. Each is sent until it is answered well.
func (f *field) waiting(s *clusterServer, times int, organizations ...string) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, organization := range organizations {
		for range times {
			all.Go(func() {
				f.until(s, f.newKey(organization, "waiting"), fmt.Sprint("waiting", organization, f.serial.Add(1)))
			})
		}
	}
	return &all
}

// until sends a change with its key until it is known to have been made.
func (f *field) until(s *clusterServer, c change, key string) (tries int) {
	f.t.Helper()
	client := ownClient()
	defer client.CloseIdleConnections()
	client.Timeout = 10 * time.Second
	for began := time.Now(); time.Since(began) < 40*time.Second; tries++ {
		status, raw, err := send(f.t.Context(), client, s.url, c, key)
		if err == nil && status < 300 {
			return tries
		}
		if err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			f.t.Errorf("%s at %s: %d %s", c.path, s.name, status, raw)
			return tries
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.t.Errorf("%s at %s is not made", c.path, s.name)
	return tries
}

// remembered asks a server about what it remembers for a time, and wants every answer.
func (f *field) remembered(s *clusterServer, d time.Duration) {
	f.t.Helper()
	r := f.stands[0].asks[0]
	n := 0
	for began := time.Now(); time.Since(began) < d; time.Sleep(20 * time.Millisecond) {
		if allowed, known, err := r.put(f.t.Context(), http.DefaultClient, s.url); !allowed || !known {
			f.t.Errorf("a check from memory at %s: %t %t %v", s.name, allowed, known, err)
		}
		n++
	}
	if n < 3 {
		f.t.Errorf("%d checks: that proves little", n)
	}
}

// What a database does to its servers beside being gone, on three of them. T-106
func TestADatabaseThatIsIllIsSurvived(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("half a minute of three servers")
	}
	f := startField(t, "")
	for name, part := range map[string]func(*testing.T, *field){
		"no connection is free": withoutAFreeConnection, "it is slow": slowDatabase, "connections are half open": halfOpen, "changes lose to others": losesToOthers,
	} {
		t.Run(name, func(t *testing.T) { part(t, f) })
	}
}

// Every connection of a server is taken by changes that wait: checks from memory go on for longer than a lease, which is
// renewed by a pool of its own; another change is refused and says when to come again; and when connections are free again,
// everything was made once. T-106
func withoutAFreeConnection(t *testing.T, f *field) {
	f.allowAll()
	b := f.servers[1]
	f.remembered(b, 100*time.Millisecond)
	let := f.holding("keys", "tokens", "lowered")
	defer let()
	before, waited := f.keyRows(), f.keysNamed("waiting")
	waiting := f.waiting(b, 8, "keys", "tokens", "lowered") // 24, for 16 connections
	for began := time.Now(); f.number("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") < 12; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the changes do not wait")
		}
	}
	refused := make(chan answered, 1)
	go func() { refused <- f.raw(b, f.newKey("acme", "one more"), "one-more") }()
	f.remembered(b, 2*shortLease)
	if got := <-refused; got.status != http.StatusServiceUnavailable || got.retry == "" {
		t.Errorf("a change without a connection: %d, Retry-After %q", got.status, got.retry)
	}
	f.remembered(b, shortLease)
	let()
	waiting.Wait()
	f.until(b, f.newKey("acme", "one more"), "one-more")
	if keys, one, rows := f.keysNamed("waiting")-waited, f.keysNamed("one more"), f.keyRows()-before; keys != 24 || one != 1 || rows != 25 {
		t.Errorf("%d keys and %d, and %d rows of the log for 24 and 1", keys, one, rows)
	}
}

// The answers of the database are late: a check is answered from memory while the lease lasts, and then not at all, and
// soon; a change is given up by whoever sent it, and made once when it is sent again. T-106
func slowDatabase(t *testing.T, f *field) {
	late := 800 * time.Millisecond
	if os.Getenv("GUILDHALL_SOAK") != "" {
		late = 5 * time.Second
	}
	f.allowAll()
	b := f.servers[1]
	f.remembered(b, 50*time.Millisecond)
	before := f.keyRows()
	f.network.fromBase[1].late.Store(int64(late))
	began := time.Now()
	r := f.stands[0].asks[0]
	for time.Since(began) < 3*late {
		sent := time.Now()
		_, known, err := r.put(t.Context(), http.DefaultClient, b.url)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(sent); took > 4*shortLease {
			t.Errorf("a check is answered after %s (%t)", took, known)
		}
		if known && sent.Sub(began) > shortLease+100*time.Millisecond {
			t.Errorf("an answer %s after the database became slow", sent.Sub(began))
		}
	}
	impatient := &http.Client{Timeout: late}
	for range 3 {
		_, _, err := send(t.Context(), impatient, b.url, f.newKey("keys", "slow"), "slow")
		if err == nil {
			t.Log("a change was answered in time")
		}
	}
	f.network.fromBase[1].late.Store(0)
	f.until(b, f.newKey("keys", "slow"), "slow")
	if keys, rows := f.keysNamed("slow"), f.keyRows()-before; keys != 1 || rows != 1 {
		t.Errorf("%d keys, %d rows of the log, want 1", keys, rows)
	}
	f.goesOn(t)
}

// The database is gone from the connections of a server, and nobody tells it: they stay open, and nothing comes. It makes
// others, and a change that is sent until it is made is made once. T-106
func halfOpen(t *testing.T, f *field) {
	f.allowAll()
	b := f.servers[1]
	before := f.keyRows()
	f.waiting(b, 4, "keys", "tokens").Wait() // so that it has many connections
	f.network.bases[1].forsake()
	began := time.Now()
	client := ownClient()
	client.Timeout = 2 * time.Second
	tries := 0
	for ; ; tries++ {
		status, raw, err := send(t.Context(), client, b.url, f.newKey("keys", "half"), "half")
		if err == nil && status < 300 {
			break
		}
		if err == nil && status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", status, raw)
		}
		if time.Since(began) > 60*time.Second {
			t.Fatalf("after %s no change is taken: %d %v", time.Since(began), status, err)
		}
	}
	t.Logf("a change was made after %s and %d tries", time.Since(began).Round(time.Millisecond), tries)
	if keys, rows := f.keysNamed("half"), f.keyRows()-before; keys != 1 || rows != 9 {
		t.Errorf("%d keys, %d rows of the log, want 1 and 9", keys, rows)
	}
	f.goesOn(t) // which makes keys
}

// Transactions that lose to others (serialization failures, deadlocks of PostgreSQL's own finding) are made again, and each
// change is made once; those that lose each time are refused, and nothing of them was made. T-106
func losesToOthers(t *testing.T, f *field) {
	losing := func(rule string) {
		f.exec(`CREATE OR REPLACE FUNCTION loses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.action = 'keys.create' THEN `+rule+` END IF; RETURN NEW; END $$`,
			"DROP TRIGGER IF EXISTS loses ON audit_rows", "CREATE TRIGGER loses BEFORE INSERT ON audit_rows FOR EACH ROW EXECUTE FUNCTION loses()")
	}
	f.exec("CREATE SEQUENCE tries", "CREATE TABLE corners (id int PRIMARY KEY, n int)", "INSERT INTO corners VALUES (1, 0), (2, 0)")
	before := f.keyRows()
	made := 0
	for name, rule := range map[string]string{
		"serialization": "IF nextval('tries') % 3 <> 0 THEN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END IF;",
		"deadlock": `IF nextval('tries') % 2 = 0 THEN UPDATE corners SET n = n + 1 WHERE id = 1; PERFORM pg_sleep(0.02); UPDATE corners SET n = n + 1 WHERE id = 2;
			ELSE UPDATE corners SET n = n + 1 WHERE id = 2; PERFORM pg_sleep(0.02); UPDATE corners SET n = n + 1 WHERE id = 1; END IF;`,
	} {
		losing(rule)
		lost := f.number("SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()")
		var all sync.WaitGroup
		for i, organization := range []string{"keys", "tokens", "lowered", "suspended"} {
			for n := range 3 {
				all.Go(func() { f.until(f.servers[i%3], f.newKey(organization, name), fmt.Sprint(name, organization, n)) })
			}
		}
		all.Wait()
		if got := f.keysNamed(name); got != 12 {
			t.Errorf("%s: %d keys, want 12", name, got)
		}
		made += 12
		if name == "deadlock" {
			time.Sleep(100 * time.Millisecond)
			t.Logf("%d deadlocks", f.number("SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()")-lost)
			if n := f.number("SELECT n FROM corners WHERE id = 1"); n != 12 {
				t.Errorf("%d changes passed the corner, want 12", n)
			}
		}
	}
	if tries := f.number("SELECT last_value::int FROM tries"); tries < 48 {
		t.Errorf("%d tries for 24 changes: nobody lost", tries)
	}
	losing("RAISE EXCEPTION 'lost' USING ERRCODE = '40001';")
	if got := f.raw(f.servers[0], f.newKey("keys", "never"), "never"); got.status != http.StatusServiceUnavailable || got.retry == "" {
		t.Errorf("what loses each time: %d, Retry-After %q", got.status, got.retry)
	}
	if got := f.keysNamed("never"); got != 0 {
		t.Errorf("%d keys of a change that was refused", got)
	}
	f.exec("DROP TRIGGER loses ON audit_rows")
	f.until(f.servers[2], f.newKey("keys", "never"), "never")
	if keys, rows := f.keysNamed("never"), f.keyRows()-before; keys != 1 || rows != made+1 {
		t.Errorf("%d keys, %d rows of the log for %d changes", keys, rows, made+1)
	}
}
