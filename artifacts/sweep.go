package artifacts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// batch is how many files one transaction deletes at most.
const batch = 500

// SweepInput names an organization.
type SweepInput struct{ op.InOrganization }

// Swept is what a sweep deleted.
type Swept struct {
	Files int64 `json:"files" doc:"How many files"`
	Bytes int64 `json:"bytes" doc:"How much that was"`
	More  bool  `json:"more" doc:"Whether more is due"`
}

// Sweep deletes files that are over their time, at most 500 of them. It is Guildhall's own work, each minute; every batch
// is a row of the audit log.
var Sweep = &op.Op[SweepInput, Swept]{
	Name:    "retention.sweep",
	Route:   "POST /v1/organizations/{organization}/retention/sweep",
	Summary: "Delete files that are over their time, now rather than within the minute",
	Kind:    op.Write,
	Allow:   op.ByOperator,
	Do: func(ctx context.Context, tx *op.Tx, _ SweepInput) (Swept, error) {
		swept, err := sweep(ctx, tx, overdue, retentionSweeps)
		if err == nil && swept.Files == 0 {
			tx.Unchanged()
		}
		return swept, err
	},
	Example: SweepInput{op.InOrganization{Organization: "acme"}},
}

// retentionSweeps is who deleted what was over its time, and endSweeps what belonged to an organization that is gone.
const (
	retentionSweeps = "retention"
	endSweeps       = "organization"
)

// overdue is true of an artifact a of the organization o, at the time $2, that retention deletes. $3 is a day.
const overdue = "o.retention_days > 0 AND a.created_at <= $2 - o.retention_days * $3 AND NOT " + held

// unheld is true of every artifact that no hold keeps. It reads the same parameters as overdue.
const unheld = "a.created_at <= CAST($2 AS bigint) + 0 * CAST($3 AS bigint) AND NOT " + held

// sweep deletes a batch of what a condition is true of. The organization is locked: no hold comes between.
func sweep(ctx context.Context, tx *op.Tx, condition, by string) (Swept, error) {
	m, err := roomOf(tx.Parts)
	if err != nil {
		return Swept{}, err
	}
	ids, swept, err := dueNow(ctx, tx, condition)
	if err != nil || len(ids) == 0 {
		return swept, err
	}
	in, args := sqldb.Placeholders(4, ids)
	n, err := tx.Exec(ctx, `UPDATE artifacts SET state = 'deleted', name = '', folded = '', deleted_at = $2, deleted_by = $3
		WHERE organization = $1 AND state = 'stored' AND id IN (`+in+")", append([]any{tx.Organization(), tx.Micros(), by}, args...)...)
	if err != nil {
		return swept, err
	}
	if n != int64(len(ids)) {
		return swept, fmt.Errorf("sweep of %s: %d of %d files changed", tx.Organization(), n, len(ids))
	}
	tx.Also("artifacts", ids[0], fmt.Sprintf("%s, %s", Files(swept.Files), Size(swept.Bytes)))
	tx.Changed("files", swept.Files, 0)
	tx.Changed("bytes", swept.Bytes, 0)
	l, err := m.removed(ctx, tx, swept.Files, swept.Bytes)
	if err == nil && by != endSweeps { // what was used of an organization that ends goes with it
		err = m.meter(ctx, tx, l)
	}
	if err != nil {
		return swept, err
	}
	return swept, m.at("claimed")
}

// End deletes a batch of the files of an organization that ends for good, and says whether there are more. What a legal
// hold keeps stays; so do the rows, as proofs. The bytes go with the next erasure.
func End(ctx context.Context, tx *op.Tx, _ string) (more bool, err error) {
	swept, err := sweep(ctx, tx, unheld, endSweeps)
	return swept.More, err
}

// dueNow finds a batch of files, the oldest first, and whether there are more.
func dueNow(ctx context.Context, tx *op.Tx, condition string) (ids []string, s Swept, err error) {
	rows, err := tx.Query(ctx, "SELECT a.id, a.size"+from+" AND "+condition+" ORDER BY a.created_at, a.id LIMIT $4",
		tx.Organization(), tx.Micros(), day.Microseconds(), batch+1)
	if err != nil {
		return nil, s, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var size int64
		if err := rows.Scan(&id, &size); err != nil {
			return nil, s, err
		}
		if s.More = len(ids) == batch; s.More {
			break
		}
		ids = append(ids, id)
		s.Files, s.Bytes = s.Files+1, s.Bytes+size
	}
	return ids, s, rows.Err()
}

// Overdue are organizations, at most 100, that have files which retention deletes now. One that is scheduled for deletion
// can be restored as it was until then, with its files.
func Overdue(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id FROM organizations o WHERE o.state = 'active' AND o.retention_days > 0 AND EXISTS (SELECT 1 FROM artifacts a
		WHERE a.organization = o.id AND a.state = 'stored' AND a.created_at <= $1 - o.retention_days * $2 AND NOT `+held+`) ORDER BY o.id LIMIT 100`,
		r.Micros(), day.Microseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// SweepAll deletes what is over its time in every organization, and erases the bytes of what is deleted. It may die at
// any moment, and run twice at once: each file is deleted once, and what one run leaves the next one does.
func (m *Room) SweepAll(ctx context.Context, s *op.Service) error {
	var organizations []string
	err := s.Snapshot(ctx, func(r *op.Reader) (err error) {
		organizations, err = Overdue(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "retention"})
	for _, organization := range organizations {
		for more := true; more && ctx.Err() == nil; {
			swept, failed := Sweep.Call(ctx, s, SweepInput{op.InOrganization{Organization: organization}})
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("organization %s: %w", organization, failed))
			}
			more = swept.More && failed == nil
		}
	}
	return errors.Join(err, m.Erase(ctx, s.Now()))
}

// Erase removes the bytes of deleted files, and what uploads left that did not come to their end.
func (m *Room) Erase(ctx context.Context, now time.Time) error {
	if err := m.giveUp(ctx, now); err != nil {
		return err
	}
	for {
		left, err := m.unsettled(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, u := range left {
			if err := m.settle(ctx, u, now); err != nil {
				return err
			}
		}
	}
}

// giveUp abandons uploads that began so long ago that nobody can be sending any more.
func (m *Room) giveUp(ctx context.Context, now time.Time) error {
	return m.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE artifacts SET state = 'abandoned' WHERE state = 'uploading' AND gone_at = 0 AND created_at < $1",
			now.Add(-2*longest).UnixMicro())
		return err
	})
}

// rest is a file whose bytes may still be there.
type rest struct {
	unfinished
	state string
}

// unsettled are files, at most 100, whose bytes have to go.
func (m *Room) unsettled(ctx context.Context) (all []rest, err error) {
	err = m.config.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT organization, id, region, state FROM artifacts
			WHERE state IN ('deleted', 'abandoned') AND gone_at = 0 ORDER BY state, id LIMIT 100`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var u rest
			if err := rows.Scan(&u.organization, &u.id, &u.region, &u.state); err != nil {
				return err
			}
			all = append(all, u)
		}
		return rows.Err()
	})
	return all, err
}

// settle removes the bytes of one file, and says in its row that they are gone.
func (m *Room) settle(ctx context.Context, u rest, now time.Time) error {
	if u.state == "abandoned" {
		return m.clear(ctx, u.unfinished)
	}
	p, err := m.config.Store.in(u.region)
	if err != nil {
		return err
	}
	if err := m.at("erasing"); err != nil {
		return err
	}
	if err := p.drop(ctx, key(u.organization, u.id)); err != nil {
		return err
	}
	if err := m.at("erased"); err != nil {
		return err
	}
	return m.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE artifacts SET gone_at = $3 WHERE organization = $1 AND id = $2 AND state = 'deleted' AND gone_at = 0",
			u.organization, u.id, now.UnixMicro())
		return err
	})
}
