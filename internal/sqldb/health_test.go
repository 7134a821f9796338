package sqldb_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// coded is an error of SQLite.
type coded int

func (c coded) Error() string { return "disk I/O error" }
func (c coded) Code() int     { return int(c) }

// An fsync that failed is never repeated: what was in memory may be dropped by now, and a second one would succeed. T-105
func TestAfterAnFsyncErrorNothingIsReadOrWritten(t *testing.T) {
	for _, code := range []coded{1034, 1290} { // of the file, of its folder
		db := testdb.SQLite(t)
		sound, stop := db.WhileSound(t.Context())
		defer stop()
		if err := db.Write(t.Context(), func(*sqldb.Tx) error { return code }); !errors.Is(err, code) {
			t.Errorf("%d: %v", code, err)
		}
		<-sound.Done()
		nothing := func(*sqldb.Tx) error { return nil }
		for what, err := range map[string]error{"why": db.Broken(), "a write": db.Write(t.Context(), nothing), "a read": db.Read(t.Context(), nothing),
			"ready": db.Ping(t.Context())} {
			if !errors.Is(err, sqldb.ErrBroken) || !sqldb.Unavailable(err) || !errors.Is(err, code) {
				t.Errorf("%d: %s: %v", code, what, err)
			}
		}
	}
}

// What mends itself does not end the process. T-105
func TestOtherErrorsOfTheDiskAreNotTheEnd(t *testing.T) {
	db := testdb.SQLite(t)
	for _, code := range []coded{5, 8, 10, 13, 14, 266, 778, 1546} { // busy, read-only, full and errors of reading, writing and cutting off
		if err := db.Write(t.Context(), func(*sqldb.Tx) error { return code }); !sqldb.Unavailable(err) {
			t.Errorf("%d: %v", code, err)
		}
		if err := db.Broken(); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// T-105
func TestReadyIsWhatTakesChanges(t *testing.T) {
	db := testdb.SQLite(t)
	set := func(pragma string) {
		if err := db.Set(t.Context(), pragma); err != nil {
			t.Fatal(err)
		}
	}
	set("query_only = 1")
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("nobody has changed anything: %v", err)
	}
	insert := func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "CREATE TABLE notes (id text)")
		return err
	}
	if err := db.Write(t.Context(), insert); !sqldb.Unavailable(err) {
		t.Errorf("a change: %v", err)
	}
	for range 2 {
		if err := db.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "takes no changes") {
			t.Errorf("after a change that failed: %v", err)
		}
	}
	set("query_only = 0")
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	write(t, db, insert)
}

// T-093
func TestAFileThatWasRemovedIsNotWritten(t *testing.T) {
	dsn := testdb.DSN(t, sqldb.SQLite)
	db, path := testdb.Connect(t, dsn), strings.TrimPrefix(dsn, "sqlite:")
	ran := false
	try := func() error { return db.Write(t.Context(), func(*sqldb.Tx) error { ran = true; return nil }) }
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.Is(err, sqldb.ErrRemoved) || !sqldb.Unavailable(err) || ran {
		t.Errorf("removed: %v, ran %v", err, ran)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.Is(err, sqldb.ErrRemoved) || ran {
		t.Errorf("replaced: %v, ran %v", err, ran)
	}
	if err := db.Ping(context.Background()); !errors.Is(err, sqldb.ErrRemoved) {
		t.Errorf("ready: %v", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil || !ran {
		t.Errorf("back: %v", err)
	}
}
