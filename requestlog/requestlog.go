// Package requestlog keeps a line for each check that was answered and for each call by a key or token: what was asked,
// by whom, and how it went. A line holds no body, no address with its query and no secret. Lines are gathered in memory
// and written in groups, so that no check waits for them; what does not fit is dropped, and counted.
package requestlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the room's operations, in the order of the reference.
func Operations() []op.Any { return []op.Any{ListRequests, GetRequest, ReportRequests, ExportRequests} }

// Entry is a line of the log. It is copied and not looked into until it is written: ids are texts only then.
type Entry struct {
	Organization check.ID // whose it is; without one there is no line
	At           time.Time
	Face         string   // how it was asked: "forward-auth", "ext-authz", "authzen" or "api"
	Kind         string   // "user", "key" or "token"
	Credential   check.ID // of a session, key or token; empty where a person was asked about
	User, Member check.ID
	Permission   charter.Permission
	Resource     string // "workflow:wf_1"; empty: the organization as a whole
	Method       string
	Route        string // the charter's pattern, or the operation's name: never the address itself
	Allowed      bool
	Code         string // why
	Status       int    // what was answered to the caller; 0: not known
	Took         time.Duration
	Address      string
	Agent        string
	RequestID    string
}

// Log gathers lines and writes them. It is safe for concurrent use.
type Log struct {
	db      *sqldb.DB
	log     *slog.Logger
	dropped atomic.Int64

	mu       sync.Mutex
	gathered []*group   // all but the last are full
	spare    []*group   // that were written, to be used again
	flushing sync.Mutex // one writer at a time: lines stay in their order
}

// group is what one statement writes.
type group struct {
	lines [maxRows]Entry
	n     int
}

// maxGathered bounds what is kept in memory between two flushes.
const maxGathered = 50_000

// FlushEvery is how often lines are written.
const FlushEvery = time.Second

// New makes a log on a database.
func New(db *sqldb.DB, log *slog.Logger) *Log { return &Log{db: db, log: log} }

// Add notes a copy of a line. It never blocks on the database and never fails.
func (l *Log) Add(e *Entry) {
	if e.Organization.Empty() {
		return
	}
	l.mu.Lock()
	g := l.room()
	if g != nil {
		g.lines[g.n] = *e
		g.n++
	}
	l.mu.Unlock()
	if g == nil {
		l.dropped.Add(1)
	}
}

// room is a group with a place for one more line; nil: there is none.
func (l *Log) room() *group {
	last := len(l.gathered) - 1
	if last >= 0 && l.gathered[last].n < maxRows {
		return l.gathered[last]
	}
	if (last+2)*maxRows > maxGathered {
		return nil
	}
	g := new(group)
	if n := len(l.spare); n > 0 {
		g, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	l.gathered = append(l.gathered, g)
	return g
}

// release lets go the texts of a group, to use it again.
func (l *Log) release(g *group) {
	clear(g.lines[:g.n])
	g.n = 0
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.spare) < maxSpare {
		l.spare = append(l.spare, g)
	}
}

// Dropped is how many lines were lost since the start, since there was no room for them or the database did not take
// them.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Run writes what is gathered every FlushEvery, until ctx ends.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
				l.log.LogAttrs(ctx, slog.LevelError, "request log", slog.Any("error", err))
			}
		}
	}
}

// maxRows is how many lines one statement writes, and maxSpare how many groups of so many are kept to be used again.
const maxRows, maxSpare = 200, 64

// Flush writes what was gathered since the last time. After an error the rest is dropped.
func (l *Log) Flush(ctx context.Context) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	gathered := l.gathered
	l.gathered = nil
	l.mu.Unlock()
	var err error
	for _, g := range gathered {
		if err == nil {
			err = l.write(ctx, g.lines[:g.n])
		}
		if err != nil {
			l.dropped.Add(int64(g.n))
		}
		l.release(g)
	}
	if err != nil {
		return fmt.Errorf("request log: %w", err)
	}
	return nil
}

const insertText = `INSERT INTO requests (at, id, face, kind, credential, user_id, member, permission, resource, method, route,
	allowed, code, status, took, address, agent, request_id, organization) VALUES `

// columns is how many a line has.
const columns = 19

// values are a line's, in the order of the columns.
func (e *Entry) values() []any {
	return []any{e.At.UnixMicro(), id.New("log", e.At), e.Face, e.Kind, e.Credential.String(), e.User.String(), e.Member.String(),
		string(e.Permission), clip(e.Resource), e.Method, clip(e.Route), e.Allowed, e.Code, int64(e.Status), e.Took.Microseconds(),
		clip(e.Address), clip(e.Agent), e.RequestID, e.Organization.String()}
}

// write writes some lines in one statement.
func (l *Log) write(ctx context.Context, lines []Entry) error {
	args := make([]any, 0, len(lines)*columns)
	for i := range lines {
		args = append(args, lines[i].values()...)
	}
	return l.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, insert(len(lines)), args...)
		return err
	})
}

// insert is the statement for so many lines. That of a full group is made once.
func insert(lines int) string {
	if lines == maxRows {
		return insertFull()
	}
	return insertOf(lines)
}

var insertFull = sync.OnceValue(func() string { return insertOf(maxRows) })

func insertOf(lines int) string {
	var b strings.Builder
	b.WriteString(insertText)
	for place := range lines * columns {
		fmt.Fprintf(&b, "%s$%d%s", opening(place), place+1, closing(place))
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// opening and closing are what stands around a place: rows are in parentheses, with commas between.
func opening(place int) string {
	if place%columns == 0 {
		return "("
	}
	return ""
}

func closing(place int) string {
	if (place+1)%columns == 0 {
		return "), "
	}
	return ", "
}

// maxText is how long a text of a line may be.
const maxText = 300

func clip(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }

// purgeRows is how many lines one transaction forgets.
const purgeRows = 5000

// Purge forgets the lines that are older than the plan of their organization keeps them.
func Purge(ctx context.Context, db *sqldb.DB, c *charter.Charter, now time.Time) error {
	kept := map[string]int64{"": now.Add(-c.RequestLog("")).UnixMicro()}
	for _, plan := range c.Plans {
		kept[plan.ID] = now.Add(-plan.RequestLog).UnixMicro()
	}
	for plan, before := range kept {
		for more := true; more; {
			err := db.Write(ctx, func(tx *sqldb.Tx) error {
				n, err := tx.Exec(ctx, `DELETE FROM requests WHERE (organization, at, id) IN (SELECT r.organization, r.at, r.id FROM requests r
					JOIN organizations o ON o.id = r.organization WHERE o.plan = $1 AND r.at < $2 LIMIT $3)`, plan, before, purgeRows)
				more = n == purgeRows
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
