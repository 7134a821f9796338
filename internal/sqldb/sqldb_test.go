package sqldb_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestOpenRefusesWhatNamesNoDatabase(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                     "give sqlite:PATH or postgres://",
		"mysql://localhost/db": "only sqlite:PATH and postgres://",
		"sqlite:":              "no such file",
		"/no/such/folder/h.db": "no such file",
	} {
		t.Run(dsn, func(t *testing.T) {
			_, err := sqldb.Open(t.Context(), dsn, sqldb.Options{})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q) = %v, want an error with %q", dsn, err, want)
			}
		})
	}
}

func TestOpenCreatesAPrivateFileUnderAnyName(t *testing.T) {
	for _, name := range []string{"hall.db", "a b.db", "what?.db", "100%25.db", "#1&x=y.db", "ü.db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			db := testdb.Connect(t, path)
			exec(t, db, "CREATE TABLE there (id text)")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("mode %o, want 600", got)
			}
			if info.Size() == 0 {
				if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() == 0 {
					t.Errorf("the table is not in %s", path)
				}
			}
		})
	}
}

// T-107
func TestOneProcessOwnsAnSQLiteFile(t *testing.T) {
	dir := t.TempDir()
	path, alias := filepath.Join(dir, "hall.db"), filepath.Join(dir, "alias.db")
	first, err := sqldb.Open(t.Context(), path, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, alias); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, "sqlite:" + path, alias} {
		_, err := sqldb.Open(t.Context(), name, sqldb.Options{})
		var inUse *sqldb.InUseError
		if !errors.As(err, &inUse) {
			t.Fatalf("a second Open of %s = %v, want an InUseError", name, err)
		}
		for _, want := range []string{path, fmt.Sprintf("process %d", os.Getpid()), "stop it first"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	testdb.Connect(t, path)
}

func TestSQLiteConnectionsAreDurableAndCheckForeignKeys(t *testing.T) {
	db := testdb.SQLite(t)
	inEach(t, db, func(t *testing.T, tx *sqldb.Tx) {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			if err := tx.QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s = %s, want %s", pragma, got, want)
			}
		}
	})
}

// One SQL text serves both databases only while both drivers bind $N by its
// number, not by its place.
func TestPlaceholdersAreBoundByNumber(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		inEach(t, db, func(t *testing.T, tx *sqldb.Tx) {
			var a, b, c string
			row := tx.QueryRow(t.Context(), "SELECT CAST($2 AS text), CAST($1 AS text), CAST($2 AS text)", "one", "two")
			if err := row.Scan(&a, &b, &c); err != nil {
				t.Fatal(err)
			}
			if got := a + b + c; got != "twoonetwo" {
				t.Errorf("SELECT $2, $1, $2 = %s", got)
			}
		})
	})
}

func TestTypesAreTheSameOnBothDatabases(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE kinds (a text NOT NULL, b bigint NOT NULL, c boolean NOT NULL, d bytea, CHECK (c OR b > 0))")
		raw := []byte{0, 0xff, '1', '2'}
		exec(t, db, "INSERT INTO kinds (a, b, c, d) VALUES ($1, $2, $3, $4)", "0012", int64(1)<<62, true, raw)
		exec(t, db, "INSERT INTO kinds (a, b, c, d) VALUES ($1, $2, false, $3)", "", 1, []byte("12"))
		var (
			a string
			b int64
			c bool
			d []byte
		)
		read(t, db, func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT a, b, c, d FROM kinds WHERE c").Scan(&a, &b, &c, &d)
		})
		if a != "0012" || b != 1<<62 || !c || !bytes.Equal(d, raw) {
			t.Errorf("read %q, %d, %v, %x", a, b, c, d)
		}
		read(t, db, func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT d FROM kinds WHERE NOT c AND d = $1", []byte("12")).Scan(&d)
		})
		if string(d) != "12" {
			t.Errorf("bytes that look like a number come back as %q", d)
		}
	})
}

func TestStatsCountTransactionsAndStatements(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		before := db.Stats()
		write(t, db, func(tx *sqldb.Tx) error {
			for range 3 {
				if _, err := tx.Exec(t.Context(), "SELECT 1"); err != nil {
					return err
				}
			}
			if got := tx.Statements(); got != 3 {
				t.Errorf("Statements() = %d, want 3", got)
			}
			return nil
		})
		read(t, db, func(tx *sqldb.Tx) error { return tx.QueryRow(t.Context(), "SELECT 1").Scan(new(int)) })
		after := db.Stats()
		got := sqldb.Stats{Reads: after.Reads - before.Reads, Writes: after.Writes - before.Writes, Statements: after.Statements - before.Statements}
		if want := (sqldb.Stats{Reads: 1, Writes: 1, Statements: 4}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

func TestPingFailsWhenTheDatabaseIsClosed(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Error("Ping of a closed database succeeds")
		}
	})
}

// T-106
func TestAFullPoolIsBusyAndNotSilent(t *testing.T) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			db, err := sqldb.Open(t.Context(), testdb.DSN(t, d), sqldb.Options{Connections: 1, Wait: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			write(t, db, func(*sqldb.Tx) error {
				err := db.Write(t.Context(), func(*sqldb.Tx) error { return nil })
				if !errors.Is(err, sqldb.ErrBusy) || !sqldb.Unavailable(err) {
					t.Errorf("a write while the only connection is taken = %v, want ErrBusy", err)
				}
				return nil
			})
		})
	}
}

// write runs fn in a write transaction that is to succeed.
func write(t *testing.T, db *sqldb.DB, fn func(*sqldb.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// read runs fn on a snapshot and is to succeed.
func read(t *testing.T, db *sqldb.DB, fn func(*sqldb.Tx) error) {
	t.Helper()
	if err := db.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// exec runs one statement that is to succeed.
func exec(t *testing.T, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	write(t, db, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
}

// count returns the number of rows of a table.
func count(t *testing.T, db *sqldb.DB, table string) (n int) {
	t.Helper()
	read(t, db, func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	})
	return n
}

// inEach runs test in a reading and in a writing transaction.
func inEach(t *testing.T, db *sqldb.DB, test func(*testing.T, *sqldb.Tx)) {
	t.Run("write", func(t *testing.T) {
		write(t, db, func(tx *sqldb.Tx) error { test(t, tx); return nil })
	})
	t.Run("read", func(t *testing.T) {
		read(t, db, func(tx *sqldb.Tx) error { test(t, tx); return nil })
	})
}

func TestADatabaseIsNearByItsAddress(t *testing.T) {
	for dsn, near := range map[string]bool{"postgres://u@127.0.0.1/d": true, "postgres://u@[::1]:5433/d": true, "postgres://u@localhost/d": true,
		"postgres:///d?host=/run/postgresql": true, "postgres://u@10.0.0.7/d": false, "postgres://u@db.internal/d": false} {
		if sqldb.Near(dsn) != near {
			t.Errorf("%s is near: %t", dsn, !near)
		}
	}
}
