package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// PurgeStep is one step in which an organization ends for good. Rooms that keep something of an organization give one,
// and the root hands all of them to PurgeOrganization.
type PurgeStep struct {
	Name string // "usage events": it stands in the ledger, and is never given to another step
	// Do ends a bounded batch of what the room keeps of the organization, in at most four statements, and says whether
	// there is more. It is called again until there is not; after a crash or an error it may be called for what it has
	// done already. As every Do it has no network: that is for the outbox.
	Do func(ctx context.Context, tx *op.Tx, organization string) (more bool, err error)
}

// PurgeDone is a step in the ledger of an organization.
type PurgeDone struct {
	Step      string     `json:"step" doc:"What ends"`
	State     string     `json:"state" enum:"waiting,done"`
	Batches   int64      `json:"batches" doc:"Transactions that it took until now"`
	Failures  int64      `json:"failures" doc:"Attempts that failed since the last that went well"`
	LastError string     `json:"last_error,omitzero" doc:"What the last of them failed with"`
	DoneAt    *time.Time `json:"done_at,omitzero"`
}

// PurgeInput names an organization whose grace is over.
type PurgeInput struct {
	op.InOrganization
	Failed string `json:"failed,omitzero" doc:"What the attempt before failed with: it is noted in the ledger, and the step waits a while" maxLength:"500"`
}

// Purged is how far the end of an organization is.
type Purged struct {
	Organization string `json:"organization"`
	State        string `json:"state" enum:"deleting,gone"`
	Step         string `json:"step,omitzero" doc:"The step of which a batch was done"`
}

// PurgeOrganization ends an organization in steps, in their order: each call does one batch of the first step that is not
// done, and notes it in the ledger in the same transaction. So it can be stopped between any two, and goes on.
func PurgeOrganization(steps []PurgeStep) *op.Op[PurgeInput, Purged] {
	return &op.Op[PurgeInput, Purged]{
		Name:    "organizations.purge",
		Route:   "POST /v1/organizations/{organization}/purge",
		Summary: "Do the next piece of ending an organization whose grace is over",
		Kind:    op.Access,
		Allow:   op.AlsoClosed(op.ByOperator),
		Target: func(ctx context.Context, r *op.Reader, _ PurgeInput) (op.Target, error) {
			t, err := organizationTarget(ctx, r)
			t.Name, t.Current = "", nil // the log is erased meanwhile
			return t, err
		},
		Fences:  func(_ PurgeInput, t op.Target) []op.Fence { return fenceOrganization(t) },
		Do:      func(ctx context.Context, tx *op.Tx, in PurgeInput) (Purged, error) { return purge(ctx, tx, steps, in) },
		Example: PurgeInput{InOrganization: op.InOrganization{Organization: "acme"}},
	}
}

func purge(ctx context.Context, tx *op.Tx, steps []PurgeStep, in PurgeInput) (Purged, error) {
	o := tx.Target().Value.(Organization)
	out := Purged{Organization: o.ID, State: o.State}
	switch {
	case o.State == "gone":
		tx.Unchanged()
		return out, nil
	case o.State == "active":
		return out, op.Errorf(op.Conflict, "not_deleted", "nobody has scheduled %s for deletion", o.Name)
	case o.State == "deletion_scheduled" && tx.Now.Before(*o.DeleteBy):
		return out, op.Errorf(op.Conflict, "deletion_waiting", "it can be restored until %s", mail.Moment(*o.DeleteBy))
	case o.State == "deletion_scheduled":
		out.State = "deleting"
		return out, beginPurge(ctx, tx, o, steps)
	}
	next, ledger, err := nextStep(ctx, tx, o.ID, steps)
	switch {
	case err != nil:
		return out, err
	case next < 0:
		out.State = "gone"
		return out, endPurge(ctx, tx, o)
	}
	out.Step = steps[next].Name
	if in.Failed != "" {
		return out, noteFailure(ctx, tx, o.ID, ledger[slices.IndexFunc(ledger, func(d PurgeDone) bool { return d.Step == out.Step })], in.Failed)
	}
	return out, doStep(ctx, tx, o.ID, steps[next])
}

// nextStep is the first step that is not done, and the ledger; below 0: all are.
func nextStep(ctx context.Context, tx *op.Tx, organization string, steps []PurgeStep) (int, []PurgeDone, error) {
	ledger, err := purgeLedger(ctx, tx.Reader, organization)
	if err != nil {
		return 0, nil, err
	}
	next := slices.IndexFunc(steps, func(s PurgeStep) bool { return !purged(ledger, s.Name) })
	if next < 0 || slices.ContainsFunc(ledger, func(d PurgeDone) bool { return d.Step == steps[next].Name }) {
		return next, ledger, nil
	}
	if err := writeSteps(ctx, tx, organization, steps); err != nil { // a release with more steps came in between
		return 0, nil, err
	}
	ledger, err = purgeLedger(ctx, tx.Reader, organization)
	return next, ledger, err
}

func purged(ledger []PurgeDone, step string) bool {
	return slices.ContainsFunc(ledger, func(d PurgeDone) bool { return d.Step == step && d.State == "done" })
}

// beginPurge makes the deletion final, and writes every step down.
func beginPurge(ctx context.Context, tx *op.Tx, o Organization, steps []PurgeStep) error {
	tx.Changed("state", o.State, "deleting")
	if _, err := tx.Exec(ctx, "UPDATE organizations SET state = 'deleting', version = version + 1, updated_at = $2 WHERE id = $1", o.ID, tx.Micros()); err != nil {
		return err
	}
	if err := writeSteps(ctx, tx, o.ID, steps); err != nil {
		return err
	}
	return TellOwners(ctx, tx, Notice{Subject: "The organization is deleted for good", Path: "/deleted", Always: true,
		Text: fmt.Sprintf("The time in which “%s” could be restored is over. It is being deleted now, and nobody can bring it back.", mail.Line(o.Name))})
}

// writeSteps writes steps down that are not in the ledger yet: at the beginning, and where a later release has more.
func writeSteps(ctx context.Context, tx *op.Tx, organization string, steps []PurgeStep) error {
	args := []any{organization, tx.Micros()}
	var rows []string
	for place, step := range steps {
		args = append(args, step.Name, place)
		rows = append(rows, fmt.Sprintf("($1, $%d, $%d, 'waiting', 0, 0, '', $2, 0, 0)", len(args)-1, len(args)))
	}
	_, err := tx.Exec(ctx, `INSERT INTO purge_steps (organization, step, place, state, batches, failures, last_error, due_at, started_at, done_at)
		VALUES `+strings.Join(rows, ", ")+" ON CONFLICT (organization, step) DO NOTHING", args...)
	return err
}

// doStep does one batch of a step and notes it.
func doStep(ctx context.Context, tx *op.Tx, organization string, step PurgeStep) error {
	more, err := step.Do(ctx, tx, organization)
	if err != nil {
		return fmt.Errorf("%s: %w", step.Name, err)
	}
	state, done := "done", tx.Micros()
	if more {
		state, done = "waiting", 0
	}
	tx.Changed(step.Name, nil, state)
	_, err = tx.Exec(ctx, `UPDATE purge_steps SET state = $3, batches = batches + 1, failures = 0, last_error = '', due_at = $4, done_at = $5,
		started_at = CASE started_at WHEN 0 THEN $4 ELSE started_at END WHERE organization = $1 AND step = $2`,
		organization, step.Name, state, tx.Micros(), done)
	return err
}

// longestPause is how long a step waits at most before it is tried again.
const longestPause = time.Hour

// noteFailure puts a step off: a minute, then twice as long each time.
func noteFailure(ctx context.Context, tx *op.Tx, organization string, step PurgeDone, failure string) error {
	pause := longestPause
	if step.Failures < 6 {
		pause = time.Minute << step.Failures
	}
	failure = cut(cleanName(failure), 300)
	tx.Changed(step.Step, nil, "failed")
	_, err := tx.Exec(ctx, "UPDATE purge_steps SET failures = failures + 1, last_error = $3, due_at = $4 WHERE organization = $1 AND step = $2",
		organization, step.Step, failure, tx.Now.Add(min(pause, longestPause)).UnixMicro())
	return err
}

// endPurge is the end: what is left says that there was an organization, and keeps its slug.
func endPurge(ctx context.Context, tx *op.Tx, o Organization) error {
	tx.Changed("state", o.State, "gone")
	_, err := tx.Exec(ctx, `UPDATE organizations SET state = 'gone', name = '', external_id = NULL, deletion_reason = '', version = version + 1, updated_at = $2
		WHERE id = $1`, o.ID, tx.Micros())
	return err
}

// purgeLedger reads the steps of an organization, in their order.
func purgeLedger(ctx context.Context, r *op.Reader, organization string) ([]PurgeDone, error) {
	rows, err := r.Query(ctx, `SELECT step, state, batches, failures, last_error, done_at FROM purge_steps
		WHERE organization = $1 ORDER BY place, step`, organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []PurgeDone
	for rows.Next() {
		var d PurgeDone
		var done int64
		if err := rows.Scan(&d.Step, &d.State, &d.Batches, &d.Failures, &d.LastError, &done); err != nil {
			return nil, err
		}
		d.DoneAt = when(done)
		all = append(all, d)
	}
	return all, rows.Err()
}

// DuePurges are up to 100 organizations of which a piece is to be ended now: their grace is over, or they are under way
// and no step of theirs waits after a failure.
func DuePurges(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id FROM organizations o WHERE o.delete_by <> 0 AND o.delete_by <= $1 AND o.state IN ('deletion_scheduled', 'deleting')
		AND NOT EXISTS (SELECT 1 FROM purge_steps p WHERE p.organization = o.id AND p.state = 'waiting' AND p.due_at > $1)
		ORDER BY o.delete_by, o.id LIMIT 100`, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var organization string
		if err := rows.Scan(&organization); err != nil {
			return nil, err
		}
		all = append(all, organization)
	}
	return all, rows.Err()
}

// batch is how many rows of a table a step ends at once.
const batch = 500

// PurgeRows is a step that deletes the rows of a table that has a column organization, some hundreds at once; key are the
// columns by which its rows can be told apart, or at least into small groups. Where the table has many rows, they are
// those that follow organization in its primary key, so that no piece reads all of them.
func PurgeRows(name, table, key string) PurgeStep {
	return PurgeStep{name, func(ctx context.Context, tx *op.Tx, organization string) (bool, error) {
		n, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE organization = $1 AND ("+key+") IN (SELECT "+key+" FROM "+table+" WHERE organization = $1 LIMIT $2)",
			organization, batch)
		return n >= batch, err
	}}
}

// PurgeSteps are this room's steps, with the keys and tokens that hang on it: the last ones, after those of rooms whose
// rows name members, keys or invitations.
func PurgeSteps() []PurgeStep {
	return []PurgeStep{
		PurgeRows("scoped tokens", "scoped_tokens", "id"),
		PurgeRows("keys", "api_keys", "id"),
		PurgeRows("service accounts", "service_accounts", "id"),
		PurgeRows("invitations", "invitations", "id"),
		PurgeRows("transfers", "transfers", "id"),
		PurgeRows("owner recoveries", "owner_recoveries", "id"),
		{"members", purgeMembers},
		PurgeRows("roles", "organization_roles", "id"),
		{"names in the log", purgeLog},
	}
}

// purgeMembers removes every member. The rows stay, for those that name them; a person's name is not in them any more.
func purgeMembers(ctx context.Context, tx *op.Tx, organization string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE members SET status = 'removed', sort_name = '', version = version + 1,
			removed_at = CASE removed_at WHEN 0 THEN $2 ELSE removed_at END
		WHERE organization = $1 AND id IN (SELECT id FROM members WHERE organization = $1 AND (status <> 'removed' OR sort_name <> '') LIMIT $3)`,
		organization, tx.Micros(), batch)
	return n == batch, err
}

// purgeLog erases names, addresses and personal changes of everybody in the organization's log. The rows stay, and verify.
func purgeLog(ctx context.Context, tx *op.Tx, organization string) (bool, error) {
	n, err := tx.EraseStream(ctx, organization, batch)
	return n >= batch, err
}
