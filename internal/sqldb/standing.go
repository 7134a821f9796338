package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Standing says whether this process may answer from what it reads, where several serve one PostgreSQL: a primary that a
// standby has replaced still answers whoever is left with it.
type Standing interface {
	// Await returns when this process may answer from what it reads, or with an error if that does not come soon.
	Await(ctx context.Context) error
	// Undisputed reports whether what was read counts at whatever server it was, now that it was read. False: see Covers.
	Undisputed() bool
	// Covers reports whether what was read on a timeline of the database counts, now that it was read.
	Covers(timeline uint32) bool
}

// ErrStale says that what was read may not be what is there now. Nothing is wrong with what was asked.
var ErrStale = errors.New("this server cannot tell whether what it read still holds")

// Under has every Read stand by s from now on; nil: by nothing.
func (db *DB) Under(s Standing) { db.standing.Store(&s) }

// stand is what readings stand by; nil: nothing.
func (db *DB) stand() Standing {
	if s := db.standing.Load(); s != nil {
		return *s
	}
	return nil
}

// Read runs fn on one read-only snapshot: every statement of fn sees the
// database as the first one did. Where Under has said by what a reading stands,
// one that does not is ErrStale, whatever fn gives.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	s := db.stand()
	if s == nil {
		return db.snapshot(ctx, fn)
	}
	if err := s.Await(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return db.snapshot(ctx, func(tx *Tx) error {
		tx.stand = s
		err := fn(tx)
		return tx.answers(ctx, err)
	})
}

// answers gives what a transaction has to say that commits nothing: err, if that counts.
func (t *Tx) answers(ctx context.Context, err error) error {
	if sqlState(err) != "" || Unavailable(err) || errors.Is(err, context.Canceled) { // nothing more is asked in this transaction
		return err
	}
	if stale := t.Stands(ctx); stale != nil {
		return stale
	}
	return err
}

// Stands reports, by its error, whether what was read until now counts. Read asks at its end, unless it was asked before:
// whoever gives away what they read while they read it asks first.
func (t *Tx) Stands(ctx context.Context) error {
	if t.stand == nil {
		return nil
	}
	if t.stand.Undisputed() {
		t.stand = nil
		return nil
	}
	var text string
	if err := t.tx.QueryRowContext(ctx, "SELECT "+TimelineColumn).Scan(&text); err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	timeline, err := ParseTimeline(text)
	if err != nil {
		return err
	}
	if !t.covered(ctx, timeline) {
		t.left = true
		return ErrStale
	}
	t.stand = nil
	return nil
}

// covered waits once where it has to: what may be answered later on the same timeline could have been answered before.
func (t *Tx) covered(ctx context.Context, timeline uint32) bool {
	return t.stand.Covers(timeline) || t.stand.Await(ctx) == nil && t.stand.Covers(timeline)
}

// TimelineColumn is the timeline of the server that a connection leads to, for ParseTimeline. On a standby it is an error.
const TimelineColumn = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

// ParseTimeline reads a timeline: a standby that takes over begins the next one.
func ParseTimeline(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("timeline %q of the database: %w", text, err)
	}
	return uint32(n), nil
}
