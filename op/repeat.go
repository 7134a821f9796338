package op

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// replay answers a repeat with the output of the first call.
func (s *Service) replay(ctx context.Context, r *Reader, c *call) (any, bool, error) {
	if c.request.IdempotencyKey == "" {
		return nil, false, nil
	}
	var digest []byte
	var output string
	err := r.QueryRow(ctx, `SELECT digest, output FROM idempotency WHERE actor = $1 AND operation = $2 AND idem_key = $3 AND created_at > $4`,
		c.actor.ID, c.d.info.Name, c.request.IdempotencyKey, r.Now.Add(-KeepRepeats).UnixMicro()).Scan(&digest, &output)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if string(digest) != string(c.digest) {
		return nil, false, &Error{Kind: Invalid, Code: "idempotency_key_reused", Text: "this Idempotency-Key was used for another request: use a new one"}
	}
	return jsontext.Value(output), true, nil
}

// KeepRepeats is how long an Idempotency-Key is remembered.
const KeepRepeats = 24 * time.Hour

// remember keeps the answer for a repeat, without secrets. A second call with the same key at the same time fails here
// on the primary key, and is answered with what the first one did.
func (s *Service) remember(ctx context.Context, tx *Tx, out any) error {
	c := tx.call
	if c.request.IdempotencyKey == "" || c.failed != nil || c.actor.Kind == NobodyActor || c.proved {
		return nil
	}
	if secretly, ok := out.(SecretOutput); ok {
		out = secretly.WithoutSecret()
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE actor = $1 AND operation = $2 AND idem_key = $3 AND created_at <= $4`,
		c.actor.ID, c.d.info.Name, c.request.IdempotencyKey, tx.Now.Add(-KeepRepeats).UnixMicro()); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO idempotency (actor, operation, idem_key, digest, output, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.actor.ID, c.d.info.Name, c.request.IdempotencyKey, c.digest, string(raw), tx.Micros())
	return err
}

// mayBeOwn reports whether a call may have failed since it was made already: its own repeat finds the name taken, the
// thing gone, or another version of it.
func mayBeOwn(err error) bool {
	if _, clash := sqldb.Conflict(err); clash {
		return true
	}
	var e *Error
	return errors.As(err, &e) && slices.Contains([]ErrorKind{Conflict, Gone, Stale, Invalid}, e.Kind)
}

// replayLost answers a call that lost against its own repeat.
func (s *Service) replayLost(ctx context.Context, c *call, lost error) (Response, error) {
	var response Response
	err := s.config.DB.Read(ctx, func(tx *sqldb.Tx) error {
		output, ok, err := s.replay(ctx, s.reader(tx, c.request.Caller), c)
		if err == nil && !ok {
			return lost
		}
		response.Output, response.Replayed = output, ok
		return err
	})
	return response, err
}

// ForgetRepeats drops the idempotency records that are too old to be replayed.
func ForgetRepeats(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM idempotency WHERE created_at <= $1", now.Add(-KeepRepeats).UnixMicro())
		return err
	})
}
