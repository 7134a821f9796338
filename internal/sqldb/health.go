package sqldb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// ErrBroken says that the disk lost what SQLite had given it to keep. What the kernel has in memory is no longer what is
// on the disk, so nothing that is read can be trusted: the process ends, and the next one begins with what was kept.
var ErrBroken = errors.New("the disk did not keep what was written: the process has to be started anew")

// ErrRemoved says that the file of the database is not at its path any more: what is written now would be lost.
var ErrRemoved = errors.New("the database file was removed or replaced while it was open")

// health is what is known of whether the database takes changes.
type health struct {
	refused atomic.Bool // the last change failed since the database could not take it
	life    context.Context
	end     context.CancelCauseFunc
	path    string // of an SQLite file, empty on PostgreSQL
	file    os.FileInfo
}

// watch begins to look after a database; path is empty on PostgreSQL.
func (h *health) watch(path string) (err error) {
	h.life, h.end = context.WithCancelCause(context.Background())
	if h.path = path; path != "" {
		h.file, err = os.Stat(path)
	}
	return err
}

// Broken returns why nothing of the database can be trusted any more, nil while it can.
func (db *DB) Broken() error { return context.Cause(db.health.life) }

// WhileSound is ctx until the database breaks; see Broken. The caller calls stop.
func (db *DB) WhileSound(ctx context.Context) (sound context.Context, stop func()) {
	sound, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(db.health.life, cancel)
	return sound, func() { forget(); cancel() }
}

// usable refuses what would be lost.
func (h *health) usable() error {
	if err := context.Cause(h.life); err != nil {
		return err
	}
	if h.path == "" {
		return nil
	}
	if now, err := os.Stat(h.path); err != nil || !os.SameFile(now, h.file) {
		return fmt.Errorf("%w: %s", ErrRemoved, h.path)
	}
	return nil
}

// note learns from how a change went.
func (h *health) note(err error) {
	switch code := sqliteCode(err); {
	case code == sqliteFsync || code == sqliteDirFsync:
		h.end(fmt.Errorf("%w: %w", ErrBroken, err))
	case err == nil:
		h.refused.Store(false)
	case Unavailable(err):
		h.refused.Store(true)
	}
}

// takesChanges reports whether a change could be made. Only after one that failed does it try, by one that changes nothing.
func (db *DB) takesChanges(ctx context.Context) error {
	if err := db.health.usable(); err != nil || !db.health.refused.Load() {
		return err
	}
	return db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, "UPDATE goose_db_version SET is_applied = is_applied")
		return err
	})
}
