package jobs

import (
	"context"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// Schedule is work that comes round. Of several servers on one database one
// does it each time.
type Schedule struct {
	// Name is unique, and the same on every server.
	Name string

	// Every is the time from the end of one run to the next. It has to be set.
	Every time.Duration

	// Do does the work, a bounded part of it at a time: it has Config.Timeout.
	// After an error it is called again after a while, at most Every.
	Do func(ctx context.Context) error
}

// scheduleKind begins the kind of a schedule's row in the outbox.
const scheduleKind = "schedule:"

func (s Schedule) kind() string { return scheduleKind + s.Name }

func (s Schedule) run(ctx context.Context, _ Job) error { return s.Do(ctx) }

// schedule finds the schedule whose row has this kind.
func (j *Jobs) schedule(kind string) (Schedule, bool) {
	name, is := strings.CutPrefix(kind, scheduleKind)
	for _, s := range j.c.Schedules {
		if is && s.Name == name {
			return s, true
		}
	}
	return Schedule{}, false
}

// ensureSchedules puts the row of each schedule into the outbox, due at once,
// unless it is there; and sooner, if it now comes round more often.
func (j *Jobs) ensureSchedules(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.scheduled {
		return nil
	}
	err := j.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, s := range j.c.Schedules {
			if err := j.ensure(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	j.scheduled = err == nil
	return err
}

func (j *Jobs) ensure(ctx context.Context, tx *sqldb.Tx, s Schedule) error {
	now := j.c.Now()
	_, err := tx.Exec(ctx, `INSERT INTO outbox (id, kind, organization, payload, due_at, attempts, claimed_until, state, last_error, created_at)
		VALUES ($1, $1, '', $2, $3, 0, 0, 'waiting', '', $3) ON CONFLICT (id) DO NOTHING`, s.kind(), []byte{}, now.UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE outbox SET due_at = $2 WHERE id = $1 AND due_at > $2", s.kind(), now.Add(s.Every).UnixMicro())
	return err
}

// again puts the row of a schedule off to its next time.
func (j *Jobs) again(ctx context.Context, job Job, s Schedule, err error) error {
	pause, attempts, text := s.Every, 0, ""
	if err != nil {
		j.c.Log.Error("scheduled work failed", "schedule", s.Name, "attempt", job.Attempt, "error", err)
		pause, attempts, text = min(s.Every, backoff(job.Attempt)), min(job.Attempt, j.c.Attempts-1), err.Error()
	}
	return j.update(ctx, `UPDATE outbox SET due_at = $3, attempts = $4, last_error = $5, claimed_until = 0
		WHERE id = $1 AND claimed_until = $2`, job.ID, job.claim, j.c.Now().Add(pause).UnixMicro(), attempts, clip(text))
}
