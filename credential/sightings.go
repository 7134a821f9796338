package credential

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Sightings gathers in memory when sessions, keys, tokens and service keys were last used and members last active, and
// writes that in groups. It is lossy by design: what does not fit, and what the database does not take, is forgotten, so that nobody
// waits for it. Only what others hold at the moment is written later. The zero value is ready; it is safe for concurrent use.
type Sightings struct {
	mu   sync.Mutex
	seen map[sighting]use
}

// use is the last use of something, and, of a key, from where and with what.
type use struct {
	at             int64 // Unix microseconds
	address, agent string
}

// NewSightings makes a gatherer that has seen nothing.
func NewSightings() *Sightings { return &Sightings{} }

// sighting is what was seen. Its fields are apart, so no two things share one.
type sighting struct {
	what         sightingOf
	organization string // of a member, key or token; empty where the call was outside of any
	id           string
}

type sightingOf uint8

const (
	sessionUsed sightingOf = iota
	serviceKeyUsed
	keyUsed
	tokenUsed
	memberActive
)

// maxSightings bounds what is kept in memory between two flushes.
const maxSightings = 20_000

// Seen notes a call. It is for op.Config.Seen: it does not block and asks nothing of the database. What a key does is
// not activity of the member whom it acts for.
func (s *Sightings) Seen(a *op.Actor, c op.Caller, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := use{at: at.UnixMicro()}
	switch {
	case a.Credential.ID == "":
	case a.Kind == op.UserActor:
		s.note(sighting{what: sessionUsed, id: a.Credential.ID}, now)
	case a.Kind == op.ServiceActor:
		s.note(sighting{what: serviceKeyUsed, id: a.Credential.ID}, now)
	case a.Kind == op.TokenActor:
		s.note(sighting{tokenUsed, a.Principal.Organization, a.Credential.ID}, now)
	case a.Kind == op.KeyActor:
		now.address, now.agent = c.Address, c.Agent
		s.note(sighting{keyUsed, a.Principal.Organization, a.Credential.ID}, now)
	}
	if a.Principal.Member != "" && a.Kind == op.UserActor {
		s.note(sighting{memberActive, a.Principal.Organization, a.Principal.Member}, now)
	}
}

func (s *Sightings) note(what sighting, now use) {
	if s.seen == nil {
		s.seen = map[sighting]use{}
	}
	last, known := s.seen[what]
	if !known && len(s.seen) >= maxSightings {
		return
	}
	if now.at >= last.at {
		s.seen[what] = now
	}
}

// updates are the statements that write one kind of sighting each. Their rows are column1 (id), column2 (time), column3
// (organization), column4 (address) and column5 (agent), as both databases name the columns of VALUES. A time never goes
// back.
var updates = [...]string{
	sessionUsed:    "UPDATE sessions SET last_used_at = v.column2 FROM (VALUES %s) AS v WHERE sessions.id = v.column1 AND last_used_at < v.column2",
	serviceKeyUsed: "UPDATE service_keys SET last_used_at = v.column2 FROM (VALUES %s) AS v WHERE service_keys.id = v.column1 AND last_used_at < v.column2",
	keyUsed: `UPDATE api_keys SET last_used_at = v.column2, last_address = v.column4, last_agent = v.column5 FROM (VALUES %s) AS v
		WHERE (v.column3 = '' OR organization = v.column3) AND api_keys.id = v.column1 AND last_used_at < v.column2`,
	tokenUsed: `UPDATE scoped_tokens SET last_used_at = v.column2 FROM (VALUES %s) AS v
		WHERE (v.column3 = '' OR organization = v.column3) AND scoped_tokens.id = v.column1 AND last_used_at < v.column2`,
	memberActive: "UPDATE members SET last_active_at = v.column2 FROM (VALUES %s) AS v WHERE organization = v.column3 AND members.id = v.column1 AND last_active_at < v.column2",
}

// maxRows is how many rows one statement updates.
const maxRows = 250

// rowWait is for how long a row is waited for, in milliseconds, that a change holds. Changes share the rows of whoever makes
// them, and PostgreSQL lets another one share while somebody waits for all of them: who never stops changing things is
// waited for for ever.
const rowWait = 50

// Flush writes what was gathered since the last time, in one short transaction for each group of rows of one table. The
// service's owner calls it about once a minute, and at the end. After an error the rest is forgotten.
func (s *Sightings) Flush(ctx context.Context, db *sqldb.DB) error {
	s.mu.Lock()
	seen := s.seen
	s.seen = nil
	s.mu.Unlock()
	for group := range slices.Chunk(ordered(seen), maxRows) {
		for what := range updates {
			rows := slices.DeleteFunc(slices.Clone(group), func(g sighting) bool { return g.what != sightingOf(what) })
			if err := s.write(ctx, db, rows, seen); err != nil {
				return fmt.Errorf("last used: %w", err)
			}
		}
	}
	return nil
}

// write updates rows of one table. Those that others hold are for the next time.
func (s *Sightings) write(ctx context.Context, db *sqldb.DB, rows []sighting, seen map[sighting]use) error {
	if len(rows) == 0 {
		return nil
	}
	err := update(ctx, db, rows, seen)
	switch {
	case !sqldb.Held(err):
		return err
	case len(rows) == 1:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.note(rows[0], seen[rows[0]])
		return nil
	}
	half := len(rows) / 2
	if err := s.write(ctx, db, rows[:half], seen); err != nil {
		return err
	}
	return s.write(ctx, db, rows[half:], seen)
}

// ordered sorts the sightings, so that two servers that write the same rows wait for each other and do not deadlock.
func ordered(seen map[sighting]use) []sighting {
	return slices.SortedFunc(maps.Keys(seen), func(a, b sighting) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.organization, b.organization), cmp.Compare(a.id, b.id))
	})
}

// aRow is one row of VALUES: its fields are text but for the time.
const aRow = "(CAST($%d AS text), CAST($%d AS bigint), CAST($%d AS text), CAST($%d AS text), CAST($%d AS text))"

// update writes rows of one table, in one statement.
func update(ctx context.Context, db *sqldb.DB, rows []sighting, seen map[sighting]use) error {
	var values []string
	var args []any
	for _, g := range rows {
		n := len(args)
		values = append(values, fmt.Sprintf(aRow, n+1, n+2, n+3, n+4, n+5))
		args = append(args, g.id, seen[g].at, g.organization, seen[g].address, seen[g].agent)
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		if db.Dialect() == sqldb.PostgreSQL {
			if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", strconv.Itoa(rowWait)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(updates[rows[0].what], strings.Join(values, ", ")), args...)
		return err
	})
}
