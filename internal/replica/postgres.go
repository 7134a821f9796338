package replica

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// All statements here are PostgreSQL's alone: nobody else has several servers.

// nowColumn is the database's clock, in Unix microseconds.
const nowColumn = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)"

func parseTimeline(text string) (Timeline, error) {
	n, err := sqldb.ParseTimeline(text)
	return Timeline(n), err
}

// Postgres keeps the list in a database. Its pool is one that changes do not use: they hold a connection while they wait
// for an eviction (T-106).
type Postgres struct{ DB *sqldb.DB }

// do runs statements in a transaction, and says where its connection leads.
func (p Postgres) do(ctx context.Context, fn func(tx *sqldb.Tx) error) (b Base, err error) {
	err = p.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var text string
		if err := tx.QueryRow(ctx, "SELECT "+sqldb.TimelineColumn+", current_setting('synchronous_standby_names') = ''").Scan(&text, &b.Alone); err != nil {
			return err
		}
		if b.Timeline, err = parseTimeline(text); err != nil {
			return err
		}
		return fn(tx)
	})
	return b, err
}

// Register is the Registry's.
func (p Postgres) Register(ctx context.Context, m Member, lease time.Duration) (Base, error) {
	return p.do(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO replicas (incarnation, name, address, secret, evicted, expires_at, started_at, fenced_at, fences, waits)
			VALUES ($1, $2, $3, $4, $5, `+nowColumn+` + $6, $7, $8, $9, $10)`,
			string(m.Incarnation), m.Name, m.Address, m.Secret, false, lease.Microseconds(), m.StartedAt, m.FencedAt, m.Fences, m.Waits)
		return err
	})
}

// Renew is the Registry's.
func (p Postgres) Renew(ctx context.Context, m Member, lease time.Duration) (found bool, b Base, err error) {
	b, err = p.do(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE replicas SET expires_at = `+nowColumn+` + $2, fenced_at = $3, fences = $4, waits = $5
			WHERE incarnation = $1 AND NOT evicted`, string(m.Incarnation), lease.Microseconds(), m.FencedAt, m.Fences, m.Waits)
		found = n > 0
		return err
	})
	return found, b, err
}

// Pulse is the Registry's. A message in the log of changes is what a standby has to have, and no row.
func (p Postgres) Pulse(ctx context.Context) (Base, error) {
	return p.do(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "SELECT pg_logical_emit_message(true, 'guildhall', '')")
		return err
	})
}

// Evict is the Registry's.
func (p Postgres) Evict(ctx context.Context, i Incarnation) (found bool, t Timeline, err error) {
	b, err := p.do(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE replicas SET evicted = $2 WHERE incarnation = $1", string(i), true)
		found = n > 0
		return err
	})
	return found, b.Timeline, err
}

// Remove is the Registry's.
func (p Postgres) Remove(ctx context.Context, i Incarnation) error {
	_, err := p.do(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM replicas WHERE incarnation = $1", string(i))
		return err
	})
	return err
}

// List is the Registry's.
func (p Postgres) List(ctx context.Context) (all []Member, now int64, err error) {
	err = p.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT "+nowColumn).Scan(&now); err != nil {
			return err
		}
		all, _, err = members(ctx, tx)
		return err
	})
	return all, now, err
}

// members reads the list, and the timeline of the connection, which is there without any member too.
func members(ctx context.Context, tx *sqldb.Tx) (all []Member, t Timeline, err error) {
	rows, err := tx.Query(ctx, `SELECT `+sqldb.TimelineColumn+`, r.incarnation, COALESCE(r.name, ''), COALESCE(r.address, ''), COALESCE(r.secret, ''), COALESCE(r.evicted, false),
		COALESCE(r.expires_at, 0), COALESCE(r.started_at, 0), COALESCE(r.fenced_at, 0), COALESCE(r.fences, 0), COALESCE(r.waits, 0)
		FROM (SELECT 1) one LEFT JOIN replicas r ON true`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var m Member
		var incarnation sql.NullString
		var timeline string
		if err := rows.Scan(&timeline, &incarnation, &m.Name, &m.Address, &m.Secret, &m.Evicted, &m.ExpiresAt, &m.StartedAt, &m.FencedAt, &m.Fences, &m.Waits); err != nil {
			return nil, 0, err
		}
		if t, err = parseTimeline(timeline); err != nil {
			return nil, 0, err
		}
		if m.Incarnation = Incarnation(incarnation.String); incarnation.Valid {
			all = append(all, m)
		}
	}
	return all, t, rows.Err()
}

// InTx is the Tx of a change in this transaction.
func InTx(tx *sqldb.Tx) Tx { return change{tx} }

type change struct{ tx *sqldb.Tx }

// The advisory locks of scopes: the class, and how many there are. Two scopes that share one only wait for each other.
const (
	lockClass = 0x6768 // "gh"
	stripes   = 2048
)

// stripesOf are the locks of scopes in their order, so that two changes never wait for each other.
func stripesOf(scopes []Scope) string {
	numbers := make([]int, 0, len(scopes))
	for _, s := range scopes {
		sum := sha256.Sum256([]byte(s))
		numbers = append(numbers, int(binary.BigEndian.Uint64(sum[:])%stripes))
	}
	slices.Sort(numbers)
	var text strings.Builder
	for i, n := range slices.Compact(numbers) {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.Itoa(n))
	}
	return text.String()
}

// The bounds of waiting in the database: for the lock, which covers the change before, and between two statements, so that
// nobody waits for ever for a server that has stopped. Its transaction is gone then, and cannot commit (I5).
const (
	lockWait = 3 * time.Second
	idleWait = 5 * time.Second
)

// Lock is the Tx's. The bounds are set before the first lock is waited for, which needs their row. The locks have a statement
// of their own, so that the next one sees what was committed before they were had.
func (c change) Lock(ctx context.Context, scopes []Scope) error {
	_, err := c.tx.Exec(ctx, `WITH bounds AS MATERIALIZED (SELECT set_config('lock_timeout', $3, true) AS lock, set_config('idle_in_transaction_session_timeout', $4, true) AS idle)
		SELECT pg_advisory_xact_lock($1, k) FROM bounds, unnest(CAST(string_to_array($2, ',') AS int[])) AS k WHERE lock IS NOT NULL AND idle IS NOT NULL`,
		lockClass, stripesOf(scopes), strconv.FormatInt(lockWait.Milliseconds(), 10), strconv.FormatInt(idleWait.Milliseconds(), 10))
	return err
}

// Members is the Tx's.
func (c change) Members(ctx context.Context) ([]Member, Timeline, error) { return members(ctx, c.tx) }

// Share tries to have a share of the scopes' locks until the reading transaction ends, and gives the timeline of the
// connection. It waits for nobody: behind a change that waits it fails. The statement that reads has to come after it.
func Share(ctx context.Context, tx *sqldb.Tx, scopes []Scope) (shared bool, t Timeline, err error) {
	var text string
	err = tx.QueryRow(ctx, "SELECT "+sqldb.TimelineColumn+`, COALESCE(bool_and(pg_try_advisory_xact_lock_shared($1, k)), false)
		FROM unnest(CAST(string_to_array($2, ',') AS int[])) AS k`, lockClass, stripesOf(scopes)).Scan(&text, &shared)
	if err != nil {
		return false, 0, err
	}
	t, err = parseTimeline(text)
	return shared, t, err
}

// ErrOtherSecret says that the servers on a database have different instance secrets: they would not believe each other,
// nor open what each other has sealed.
var ErrOtherSecret = errors.New("another server on this database has another instance secret: give all of them the same secret_file")

// Alike counts the servers that are there. It refuses one whose instance secret is not theirs.
func (p Postgres) Alike(ctx context.Context, fingerprint string) (others int, err error) {
	members, now, err := p.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range members {
		if m.Evicted || m.ExpiresAt <= now {
			continue
		}
		if m.Secret != fingerprint {
			return 0, ErrOtherSecret
		}
		others++
	}
	return others, nil
}

// Check refuses lengths with which the database would end a change that only waits.
func (p Params) Check() error {
	if p.Longest() >= lockWait || p.Longest() >= idleWait {
		return errors.New("a change may have to wait longer for a server that is gone than the database lets it")
	}
	return nil
}
