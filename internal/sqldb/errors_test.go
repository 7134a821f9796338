package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// failure runs one statement and returns its error.
func failure(t *testing.T, db *sqldb.DB, query string, args ...any) error {
	t.Helper()
	return db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		if err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		return nil
	})
}

func TestConflictNamesTheConstraint(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE cards (id text PRIMARY KEY, owner text NOT NULL, title text NOT NULL)")
		exec(t, db, "CREATE UNIQUE INDEX cards_owner_title ON cards (owner, title)")
		exec(t, db, "CREATE TABLE names (name text NOT NULL)")
		exec(t, db, "CREATE UNIQUE INDEX names_folded ON names (lower(name))")
		exec(t, db, "INSERT INTO cards (id, owner, title) VALUES ('1', 'ann', 'A')")
		exec(t, db, "INSERT INTO names (name) VALUES ('A')")
		for name, test := range map[string]struct{ insert, sqlite, postgres string }{
			"the primary key":        {"INSERT INTO cards (id, owner, title) VALUES ('1', 'bob', 'B')", "cards.id", "cards_pkey"},
			"an index on columns":    {"INSERT INTO cards (id, owner, title) VALUES ('2', 'ann', 'A')", "cards.owner, cards.title", "cards_owner_title"},
			"an index on expression": {"INSERT INTO names (name) VALUES ('a')", "names_folded", "names_folded"},
		} {
			t.Run(name, func(t *testing.T) {
				want := test.sqlite
				if db.Dialect() == sqldb.PostgreSQL {
					want = test.postgres
				}
				got, ok := sqldb.Conflict(failure(t, db, test.insert))
				if !ok || got != want {
					t.Errorf("Conflict = %q, %v, want %q", got, ok, want)
				}
			})
		}
	})
}

func TestForeignKeyIsToldFromConflict(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE parents (id text PRIMARY KEY)")
		exec(t, db, "CREATE TABLE children (id text PRIMARY KEY, parent text NOT NULL REFERENCES parents (id))")
		exec(t, db, "INSERT INTO parents (id) VALUES ('p')")
		exec(t, db, "INSERT INTO children (id, parent) VALUES ('c', 'p')")
		for _, test := range []struct {
			statement            string
			foreignKey, conflict bool
		}{
			{"INSERT INTO children (id, parent) VALUES ('d', 'nobody')", true, false},
			{"DELETE FROM parents", true, false},
			{"INSERT INTO parents (id) VALUES ('p')", false, true},
			{"INSERT INTO children (id, parent) VALUES ('d', NULL)", false, false},
			{"not SQL", false, false},
		} {
			err := failure(t, db, test.statement)
			_, conflict := sqldb.Conflict(err)
			if got := sqldb.ForeignKey(err); got != test.foreignKey || conflict != test.conflict || sqldb.Unavailable(err) {
				t.Errorf("%s: %v: foreign key %v, conflict %v, unavailable %v", test.statement, err, got, conflict, sqldb.Unavailable(err))
			}
		}
	})
}

// code is an error as the SQLite driver makes them.
type code int

func (c code) Error() string { return fmt.Sprintf("result code %d", int(c)) }
func (c code) Code() int     { return int(c) }

// T-105, T-106
func TestUnavailable(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                        {nil, false},
		"a mistake of ours":               {errors.New("no"), false},
		"no rows":                         {sql.ErrNoRows, false},
		"a caller who left":               {context.Canceled, false},
		"a caller's deadline":             {context.DeadlineExceeded, true},
		"a pool exhausted":                {sqldb.ErrBusy, true},
		"a connection refused":            {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		"a connection closed":             {io.ErrUnexpectedEOF, true},
		"a connection found dead":         {driver.ErrBadConn, true},
		"SQLite: locked":                  {code(5), true},
		"SQLite: disk full":               {code(13), true},
		"SQLite: remounted read-only":     {code(8), true},
		"SQLite: fsync":                   {code(1034), true},
		"SQLite: stopped by a deadline":   {code(9), true},
		"SQLite: not unique":              {code(2067), false},
		"SQLite: wrong SQL":               {code(1), false},
		"PostgreSQL: too many":            {lost("53300"), true},
		"PostgreSQL: disk full":           {lost("53100"), true},
		"PostgreSQL: shutting down":       {lost("57P01"), true},
		"PostgreSQL: starting":            {lost("57P03"), true},
		"PostgreSQL: a standby":           {lost("25006"), true},
		"PostgreSQL: connection":          {lost("08006"), true},
		"PostgreSQL: not unique":          {lost("23505"), false},
		"PostgreSQL: wrong SQL":           {lost("42601"), false},
		"PostgreSQL: division by nothing": {lost("22012"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sqldb.Unavailable(test.err); got != test.want {
				t.Errorf("Unavailable(%v) = %v", test.err, got)
			}
			if test.err == nil {
				return
			}
			if got := sqldb.Unavailable(fmt.Errorf("layer: %w", test.err)); got != test.want {
				t.Errorf("wrapped, it is %v", got)
			}
		})
	}
}

// T-105
func TestAFullDiskIsUnavailableAndPasses(t *testing.T) {
	db := testdb.SQLite(t)
	exec(t, db, "CREATE TABLE blobs (b bytea)")
	exec(t, db, "PRAGMA max_page_count = 1") // SQLite makes it the present size
	err := failure(t, db, "INSERT INTO blobs (b) VALUES ($1)", make([]byte, 1<<20))
	if !sqldb.Unavailable(err) {
		t.Errorf("a full database answers %v, which is not Unavailable", err)
	}
	exec(t, db, "PRAGMA max_page_count = 1000000")
	exec(t, db, "INSERT INTO blobs (b) VALUES ($1)", make([]byte, 1<<20))
}

// T-106
func TestALostConnectionIsUnavailableAndTheNextWorks(t *testing.T) {
	db := testdb.Postgres(t)
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		var own int
		if err := tx.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&own); err != nil {
			return err
		}
		read(t, db, func(other *sqldb.Tx) error {
			return other.QueryRow(t.Context(), "SELECT pg_terminate_backend($1)", own).Scan(new(bool))
		})
		_, err := tx.Exec(t.Context(), "SELECT 1")
		return err
	})
	if !sqldb.Unavailable(err) {
		t.Errorf("a write whose connection was ended = %v, which is not Unavailable", err)
	}
	exec(t, db, "SELECT 1")
}

// T-106
func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	_, err := sqldb.Open(t.Context(), "postgres://nobody@/none?host="+t.TempDir(), sqldb.Options{})
	if !sqldb.Unavailable(err) {
		t.Errorf("Open = %v, which is not Unavailable", err)
	}
	if err != nil && strings.Contains(err.Error(), "drivers imported") {
		t.Errorf("Open = %v", err)
	}
}

// A transaction that the database ended, since nothing was asked in it for too long, is no fault of what was asked.
func TestATransactionThatWasSilentTooLongIsUnavailable(t *testing.T) {
	db := testdb.Postgres(t)
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		var pid int
		if err := tx.QueryRow(t.Context(), "SELECT pg_backend_pid() FROM set_config('idle_in_transaction_session_timeout', '20', true)").Scan(&pid); err != nil {
			return err
		}
		for there := true; there; {
			if err := db.Read(t.Context(), func(other *sqldb.Tx) error {
				return other.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $1", pid).Scan(&there)
			}); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), "SELECT 1")
		return err
	})
	if !sqldb.Unavailable(err) {
		t.Errorf("%v is no error of the database", err)
	}
}
