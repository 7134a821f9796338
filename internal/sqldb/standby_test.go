package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// bereft is a database whose standby is gone, with a pool of so many connections.
func bereft(t *testing.T, connections int) (*testdb.Cluster, *sqldb.DB) {
	t.Helper()
	if testing.Short() {
		t.Skip("some seconds of two PostgreSQL")
	}
	primary, err := testdb.StartCluster("synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), primary.DSN, sqldb.Options{Connections: connections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	exec(t, db, "CREATE TABLE notes (id bigint PRIMARY KEY)")
	if err := standby.Stop(); err != nil {
		t.Log(err)
	}
	return primary, db
}

// note makes a change whose caller gives up while it is committed: at a deadline, or when commit number id + 1 waits.
func note(t *testing.T, db *sqldb.DB, id int, deadline bool) error {
	ctx, cancel := context.WithCancel(t.Context())
	if deadline {
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO notes (id) VALUES ($1)", id)
		if err == nil && !deadline {
			watching.Go(func() {
				waits(ctx, t, db, "wait_event = 'SyncRep'", id+1)
				cancel()
			})
		}
		return err
	})
}

// A commit that waits for a standby that is gone keeps neither its caller nor its connection, and nobody sees the change
// before the standby has it. A few of them, and further changes are refused at once. T-106
func TestACommitWithoutItsStandbyIsLeft(t *testing.T) {
	primary, db := bereft(t, 2)
	for id := range 4 {
		began := time.Now()
		if err := note(t, db, id, id%2 == 0); !errors.Is(err, sqldb.ErrUnknown) || time.Since(began) > 20*time.Second {
			t.Fatalf("change %d ends after %s with %v, want ErrUnknown", id, time.Since(began), err)
		}
		if got := count(t, db, "notes"); got != 0 {
			t.Fatalf("%d changes are seen that no standby has", got)
		}
	}
	if err := note(t, db, 9, false); !errors.Is(err, sqldb.ErrBusy) || !sqldb.Unavailable(err) {
		t.Errorf("one more change: %v, want ErrBusy", err)
	}
	if err := primary.Alone(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); note(t, db, 9, true) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("no change is taken when commits are answered again")
		}
	}
	if got := count(t, db, "notes"); got != 5 {
		t.Errorf("%d changes were made, want 5", got)
	}
}

// A server that has replaced another one is not refused changes for what was left at that one.
func TestWhatWasLeftAtADeposedServerIsForgotten(t *testing.T) {
	_, db := bereft(t, 2)
	for id := 0; !errors.Is(note(t, db, id, false), sqldb.ErrBusy); id++ {
		if id == 20 {
			t.Fatal("20 changes were left, and none is refused")
		}
	}
	db.Renew()
	begins(t, db)
}

// Nor for what was under way there at that moment; and nobody waits for it any longer: the outcome of a commit is not
// known, and what waits for a row that such a commit holds was not made. T-106
func TestWhatIsUnderWayAtADeposedServerIsGivenUp(t *testing.T) {
	_, db := bereft(t, 12)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	insert := func(id int, wanted func(error) bool) {
		all.Go(func() {
			err := db.Write(ctx, func(tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO notes (id) VALUES ($1)", id)
				return err
			})
			if ctx.Err() != nil || !sqldb.Unavailable(err) || !wanted(err) {
				t.Errorf("change %d ends with %v (%v)", id, err, ctx.Err())
			}
		})
	}
	unknown := func(err error) bool { return errors.Is(err, sqldb.ErrUnknown) }
	for id := range 6 {
		insert(id, unknown)
	}
	waits(ctx, t, db, "wait_event = 'SyncRep'", 6)
	for id := range 2 {
		insert(id, func(err error) bool { return !unknown(err) })
	}
	waits(ctx, t, db, "wait_event_type = 'Lock'", 2)
	db.Replaced()
	all.Wait()
	begins(t, db)
}

// waits waits until so many connections of the database's wait for something, or ctx ends.
func waits(ctx context.Context, t *testing.T, db *sqldb.DB, what string, wanted int) {
	t.Helper()
	for waiting := 0; waiting < wanted && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		err := db.Read(ctx, func(tx *sqldb.Tx) error {
			return tx.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE "+what).Scan(&waiting)
		})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

// begins wants that a change is begun.
func begins(t *testing.T, db *sqldb.DB) {
	t.Helper()
	begun := errors.New("begun")
	if err := db.Write(t.Context(), func(*sqldb.Tx) error { return begun }); err != begun {
		t.Errorf("after another server has taken over: %v", err)
	}
}

// A commit whose wait for the standby an administrator has cancelled is made on the primary alone, and the database calls it
// done with a warning. It does not count, neither here nor for a lease. T-106
func TestACommitThatDidNotWaitForItsStandbyIsUnknown(t *testing.T) {
	_, db := bereft(t, 2)
	beside, err := db.Beside(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	for id, pool := range []*sqldb.DB{db, beside, db, db, db, db} { // as often as commits may be left, and more
		var all sync.WaitGroup
		all.Go(func() {
			err := pool.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), "INSERT INTO notes (id) VALUES ($1)", id)
				return err
			})
			if !errors.Is(err, sqldb.ErrUnknown) || !sqldb.Unavailable(err) {
				t.Errorf("commit %d: %v, want ErrUnknown", id, err)
			}
		})
		for cancelled := 0; cancelled == 0; time.Sleep(5 * time.Millisecond) {
			err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&cancelled)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
	}
	if got := count(t, db, "notes"); got != 6 {
		t.Errorf("%d changes are there, of 6 that were committed", got)
	}
}
