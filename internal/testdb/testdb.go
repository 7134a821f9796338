// Package testdb gives tests fresh, migrated databases of both kinds. A
// PostgreSQL that is not installed fails the test: nothing is skipped.
package testdb

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	_ "github.com/guildhall/guildhall/internal/sqldb/drivers" // tests open both databases
)

// Dialects are the databases that Each runs a test on.
var Dialects = []sqldb.Dialect{sqldb.SQLite, sqldb.PostgreSQL}

// Each runs test once per kind of database, in the subtests "sqlite" and
// "postgres", with a migrated database of its own that goes when it ends.
func Each(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	for _, d := range Dialects {
		t.Run(d.String(), func(t *testing.T) { test(t, Open(t, d)) })
	}
}

// SQLite returns a migrated database of a file of its own.
func SQLite(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, sqldb.SQLite)
}

// Postgres returns a migrated PostgreSQL database of its own.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, sqldb.PostgreSQL)
}

// Open returns a migrated database of its own for the test, closed and dropped
// when the test ends.
func Open(t testing.TB, d sqldb.Dialect) *sqldb.DB {
	t.Helper()
	return Connect(t, DSN(t, d))
}

// Connect opens the database that dsn names until the test ends. On
// PostgreSQL, several of them stand for several servers.
func Connect(t testing.TB, dsn string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, sqldb.Options{Readers: 4, Connections: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// DSN names a migrated database of the test's own that nobody has open yet,
// for a test that starts processes.
func DSN(t testing.TB, d sqldb.Dialect) string {
	t.Helper()
	if d == sqldb.PostgreSQL {
		return postgresDSN(t, migratedTemplate(t))
	}
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrated SQLite file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "hall.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// Empty is DSN without the migrations.
func Empty(t testing.TB, d sqldb.Dialect) string {
	t.Helper()
	if d == sqldb.PostgreSQL {
		return postgresDSN(t, "template0")
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "hall.db")
}

// sqliteTemplate returns the bytes of a migrated file, made once per process.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "hall-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "hall.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	// Closing the last connection has moved the write-ahead log into the file.
	if _, err := os.Stat(path + "-wal"); err == nil {
		return nil, fmt.Errorf("%s-wal is left after closing", path)
	}
	return os.ReadFile(path)
})
