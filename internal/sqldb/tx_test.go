package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestWriteKeepsAllOrNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE notes (id text PRIMARY KEY)")
		insert := func(tx *sqldb.Tx, id string) {
			if _, err := tx.Exec(t.Context(), "INSERT INTO notes (id) VALUES ($1)", id); err != nil {
				t.Error(err)
			}
		}
		refused := errors.New("refused")
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error { insert(tx, "a"); return refused })
		if err != refused {
			t.Errorf("Write returns %v, want fn's own error", err)
		}
		func() {
			defer func() { recover() }()
			db.Write(t.Context(), func(tx *sqldb.Tx) error { insert(tx, "b"); panic("no") })
		}()
		if got := count(t, db, "notes"); got != 0 {
			t.Errorf("%d rows after an error and a panic, want 0", got)
		}
		write(t, db, func(tx *sqldb.Tx) error { insert(tx, "c"); insert(tx, "d"); return nil })
		if got := count(t, db, "notes"); got != 2 {
			t.Errorf("%d rows after a commit, want 2", got)
		}
	})
}

func TestExecReturnsHowManyRowsChanged(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE notes (id text PRIMARY KEY, n bigint NOT NULL)")
		exec(t, db, "INSERT INTO notes (id, n) VALUES ('a', 1), ('b', 1), ('c', 2)")
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := tx.Exec(t.Context(), "UPDATE notes SET n = 3 WHERE n = $1", 1)
			if got != 2 {
				t.Errorf("%d rows changed, want 2", got)
			}
			return err
		})
	})
}

func TestReadCannotWrite(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE notes (id text PRIMARY KEY)")
		err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), "INSERT INTO notes (id) VALUES ('a')")
			return err
		})
		if err == nil {
			t.Error("a read transaction wrote")
		}
		if got := count(t, db, "notes"); got != 0 {
			t.Errorf("%d rows, want 0", got)
		}
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE notes (id text PRIMARY KEY)")
		read(t, db, func(tx *sqldb.Tx) error {
			for range 2 {
				var n int
				if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM notes").Scan(&n); err != nil {
					return err
				}
				if n != 0 {
					t.Errorf("a snapshot shows %d rows that were written after it began", n)
				}
				exec(t, db, "INSERT INTO notes (id) SELECT CAST(count(*) AS text) FROM notes")
			}
			return nil
		})
		if got := count(t, db, "notes"); got != 2 {
			t.Errorf("%d rows afterwards, want 2", got)
		}
	})
}

// lost is an error as PostgreSQL gives it to a transaction that lost.
type lost string

func (e lost) Error() string    { return "lost against another transaction" }
func (e lost) SQLState() string { return string(e) }

// T-106
func TestALostTransactionIsRepeated(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		for _, state := range []string{"40001", "40P01"} {
			runs := 0
			write(t, db, func(*sqldb.Tx) error {
				if runs++; runs < 3 {
					return lost(state)
				}
				return nil
			})
			if runs != 3 {
				t.Errorf("%s: %d runs, want 3", state, runs)
			}
		}
		if got := db.Stats().Retries; got != 4 {
			t.Errorf("%d retries counted, want 4", got)
		}
	})
}

func TestRepeatsEnd(t *testing.T) {
	db := testdb.SQLite(t)
	runs := 0
	err := db.Write(t.Context(), func(*sqldb.Tx) error { runs++; return lost("40001") })
	if err != lost("40001") || runs != 11 {
		t.Errorf("Write = %v after %d runs, want the loss after 11", err, runs)
	}
	if !sqldb.Unavailable(err) {
		t.Error("a transaction that loses again and again is not Unavailable")
	}
	ctx, cancel := context.WithCancel(t.Context())
	runs = 0
	db.Write(ctx, func(*sqldb.Tx) error { runs++; cancel(); return lost("40001") })
	if runs != 1 {
		t.Errorf("%d runs for a caller who is gone after the first, want 1", runs)
	}
	runs = 0
	db.Write(t.Context(), func(*sqldb.Tx) error { runs++; return lost("23505") })
	if runs != 1 {
		t.Errorf("%d runs of a transaction with a conflict, want 1", runs)
	}
}

// T-106
func TestADeadlockEndsWithBothDone(t *testing.T) {
	db := testdb.Postgres(t)
	exec(t, db, "CREATE TABLE notes (id text PRIMARY KEY, n bigint NOT NULL)")
	exec(t, db, "INSERT INTO notes (id, n) VALUES ('a', 0), ('b', 0)")
	var wg, met sync.WaitGroup
	met.Add(2)
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			meet := sync.OnceFunc(func() { met.Done(); met.Wait() })
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				for _, id := range order {
					if _, err := tx.Exec(t.Context(), "UPDATE notes SET n = n + 1 WHERE id = $1", id); err != nil {
						return err
					}
					meet()
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	read(t, db, func(tx *sqldb.Tx) error {
		var sum int
		err := tx.QueryRow(t.Context(), "SELECT sum(n) FROM notes").Scan(&sum)
		if sum != 4 {
			t.Errorf("%d updates stand, want 4", sum)
		}
		return err
	})
	if db.Stats().Retries == 0 {
		t.Error("nothing was repeated: the test made no deadlock")
	}
}

func TestWritersDoNotDisturbEachOther(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE counter (n bigint NOT NULL)")
		exec(t, db, "INSERT INTO counter (n) VALUES (0)")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
					_, err := tx.Exec(t.Context(), "UPDATE counter SET n = n + 1")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		read(t, db, func(tx *sqldb.Tx) error {
			var n int
			err := tx.QueryRow(t.Context(), "SELECT n FROM counter").Scan(&n)
			if n != 16 {
				t.Errorf("counted %d, want 16", n)
			}
			return err
		})
	})
}

// panicking is an argument whose conversion panics, as that of a nil pointer does.
type panicking struct{}

func (panicking) Value() (driver.Value, error) { panic("no value") }

// An argument that no driver takes is an error, and the next transaction begins: the only writer is not lost.
func TestStrangeArgumentsDoNotHang(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		for _, arg := range []any{panicking{}, []string{"a"}, struct{}{}, make(chan int)} {
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE streams SET at = 0 WHERE id = $1", arg)
				return err
			})
			if err == nil {
				t.Errorf("%T is taken as an argument", arg)
			}
			err = db.Read(t.Context(), func(tx *sqldb.Tx) error {
				var id string
				return tx.QueryRow(t.Context(), "SELECT id FROM streams WHERE id = $1", arg).Scan(&id)
			})
			if err == nil || errors.Is(err, sql.ErrNoRows) {
				t.Errorf("%T is taken as an argument of a row: %v", arg, err)
			}
		}
		if err := db.Write(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
			t.Errorf("the next transaction: %v", err)
		}
	})
}
