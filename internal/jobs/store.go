package jobs

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// maxError is how much of an error's text is kept.
const maxError = 500

// kinds lists what this server can do, and the placeholders for it.
func (j *Jobs) kinds(first int) (placeholders string, args []any) {
	var marks []string
	add := func(kind string) {
		marks = append(marks, "$"+strconv.Itoa(first+len(args)))
		args = append(args, kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(j.c.Handlers)) {
		add(kind)
	}
	for _, s := range j.c.Schedules {
		add(s.kind())
	}
	return strings.Join(marks, ", "), args
}

// anyDue reports whether there is something to claim.
func (j *Jobs) anyDue(ctx context.Context) (bool, error) {
	kinds, args := j.kinds(2)
	args = append([]any{j.c.Now().UnixMicro()}, args...)
	err := j.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT 1 FROM outbox
			WHERE state = 'waiting' AND due_at <= $1 AND claimed_until <= $1 AND kind IN (`+kinds+`) LIMIT 1`, args...).Scan(new(int))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// claim takes up to limit jobs for twice the time that one has. Two servers
// that choose the same row wait for each other, and the second finds that the
// row is claimed and leaves it.
func (j *Jobs) claim(ctx context.Context, limit int) ([]Job, error) {
	now := j.c.Now()
	until := now.Add(2 * j.c.Timeout).UnixMicro()
	kinds, kindArgs := j.kinds(4)
	args := append([]any{now.UnixMicro(), until, limit}, kindArgs...)
	var jobs []Job
	err := j.db.Write(ctx, func(tx *sqldb.Tx) error {
		jobs = nil
		rows, err := tx.Query(ctx, `UPDATE outbox SET claimed_until = $2, attempts = attempts + 1
			WHERE state = 'waiting' AND claimed_until <= $1 AND id IN (
				SELECT id FROM outbox
				WHERE state = 'waiting' AND due_at <= $1 AND claimed_until <= $1 AND kind IN (`+kinds+`)
				ORDER BY due_at, id LIMIT $3)
			RETURNING id, kind, organization, payload, attempts, created_at`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			job := Job{claim: until}
			var created int64
			if err := rows.Scan(&job.ID, &job.Kind, &job.Organization, &job.Payload, &job.Attempt, &created); err != nil {
				return err
			}
			job.CreatedAt = time.UnixMicro(created).UTC()
			jobs = append(jobs, job)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// finish records that a job is over, and erases what it was about.
func (j *Jobs) finish(ctx context.Context, job Job, state, lastError string) error {
	return j.update(ctx, `UPDATE outbox SET state = $3, last_error = $4, payload = $5, claimed_until = 0
		WHERE id = $1 AND claimed_until = $2 AND state = 'waiting'`, job.ID, job.claim, state, clip(lastError), []byte{})
}

// putOff records a failure and when the job is tried again.
func (j *Jobs) putOff(ctx context.Context, job Job, due time.Time, cause error) error {
	return j.update(ctx, `UPDATE outbox SET due_at = $3, last_error = $4, claimed_until = 0
		WHERE id = $1 AND claimed_until = $2 AND state = 'waiting'`, job.ID, job.claim, due.UnixMicro(), clip(cause.Error()))
}

// errLost says that a job took longer than its claim and is another's now.
var errLost = errors.New("claim is lost: another server has the job")

// update changes the row of a job that is still ours.
func (j *Jobs) update(ctx context.Context, query string, args ...any) error {
	return j.db.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, query, args...)
		if err == nil && n == 0 {
			return errLost
		}
		return err
	})
}

// clip shortens a text to what is kept, and to what both databases store.
func clip(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "")
	}
	return text
}

// prune removes jobs that were over long ago.
func (j *Jobs) prune(ctx context.Context) error {
	return j.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM outbox WHERE state IN ('done', 'failed') AND due_at < $1", j.c.Now().Add(-j.c.Keep).UnixMicro())
		return err
	})
}
