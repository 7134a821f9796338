package governance

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// MostDismissed is how long a finding can be dismissed for: then somebody looks at it again.
const MostDismissed = 366 * day

// Dismissal is somebody's word that a finding is as it should be, for a time.
type Dismissal struct {
	Reason string    `json:"reason" doc:"Why"`
	Until  time.Time `json:"until" doc:"When the finding is shown again"`
	By     string    `json:"by" doc:"Who said so: the id of a user or key, or operator"`
	At     time.Time `json:"at" doc:"When"`
}

// FindingInput names a finding.
type FindingInput struct {
	op.InOrganization
	Finding string `json:"finding" doc:"The finding's id, as findings.list gives it" maxLength:"128" example:"unused_member:mem_01k..."`
}

var exampleFinding = FindingInput{op.InOrganization{Organization: "acme"}, "unused_member:mem_00000000000000000000000000"}

// findingTarget is a finding that stands now, dismissed or not.
func findingTarget(ctx context.Context, r *op.Reader, in FindingInput) (op.Target, error) {
	if !r.May("reviews.manage").Allow {
		return op.Target{}, op.ErrNotFound // and nothing is computed for whoever may not see it
	}
	kind, _, _ := strings.Cut(in.Finding, ":")
	all, err := findingsOf(ctx, r, FindingKind(kind))
	if err != nil {
		return op.Target{}, err
	}
	for _, f := range all {
		if f.ID == in.Finding {
			return op.Target{Organization: r.Organization(), Type: "finding", ID: f.ID, Name: f.Subject.Name, Value: f}, nil
		}
	}
	return op.Target{}, op.ErrNotFound
}

// DismissFindingInput names a finding and says why it is as it should be.
type DismissFindingInput struct {
	FindingInput
	Reason string `json:"reason" doc:"Why it is as it should be" minLength:"1" maxLength:"500" example:"the build server runs twice a year"`
	Until  string `json:"until_at" doc:"When it is shown again: a time (RFC 3339) or a number of days such as 90d, at most 366 days from now" maxLength:"64" example:"90d"`
}

// Validate checks the form of the date, and that there is a reason.
func (in DismissFindingInput) Validate() []op.FieldError {
	wrong := checkUntil("until_at", in.Until)
	if strings.TrimSpace(in.Reason) == "" {
		wrong = append(wrong, op.FieldError{Pointer: "/reason", Code: "required", Detail: "say why it is as it should be"})
	}
	return wrong
}

// DismissFinding hides a finding until a date. Dismissing it again takes the new reason and date.
var DismissFinding = &op.Op[DismissFindingInput, Finding]{
	Name:    "findings.dismiss",
	Route:   "POST /v1/organizations/{organization}/findings/{finding}/dismiss",
	Summary: "Say that a finding is as it should be, until a date",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Target: func(ctx context.Context, r *op.Reader, in DismissFindingInput) (op.Target, error) {
		return findingTarget(ctx, r, in.FindingInput)
	},
	Do:      dismissFinding,
	Example: DismissFindingInput{FindingInput: exampleFinding, Reason: "the build server runs twice a year", Until: "90d"},
}

func dismissFinding(ctx context.Context, tx *op.Tx, in DismissFindingInput) (Finding, error) {
	f, _ := tx.Target().Value.(Finding)
	ends, err := until(in.Until, tx.Now)
	if err != nil {
		return f, op.InvalidField("until_at", "invalid", "%v", err)
	}
	switch {
	case ends <= tx.Micros():
		return f, op.InvalidField("until_at", "past", "until_at is in the past")
	case ends > tx.Now.Add(MostDismissed).UnixMicro():
		return f, op.InvalidField("until_at", "out_of_range", "until_at is more than 366 days away: a finding is looked at again once a year")
	}
	reason := strings.TrimSpace(in.Reason)
	tx.Because(reason)
	tx.Changed("dismissed_until", endOf(f.Dismissal), time.UnixMicro(ends).UTC().Format(time.RFC3339))
	f.Dismissal = &Dismissal{Reason: reason, Until: time.UnixMicro(ends).UTC(), By: tx.Actor.ID, At: tx.Now}
	_, err = tx.Exec(ctx, `INSERT INTO dismissals (organization, finding, reason, until_at, dismissed_by, dismissed_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (organization, finding) DO UPDATE SET reason = excluded.reason, until_at = excluded.until_at,
			dismissed_by = excluded.dismissed_by, dismissed_at = excluded.dismissed_at`,
		tx.Organization(), f.ID, reason, ends, tx.Actor.ID, tx.Micros())
	return f, err
}

// endOf is a dismissal's end for the audit row; nil without one.
func endOf(d *Dismissal) any {
	if d == nil {
		return nil
	}
	return d.Until.Format(time.RFC3339)
}

// RestoreFinding shows a dismissed finding again. One that is not dismissed stays as it is.
var RestoreFinding = &op.Op[FindingInput, Finding]{
	Name:    "findings.restore",
	Route:   "POST /v1/organizations/{organization}/findings/{finding}/restore",
	Summary: "Show a dismissed finding again",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Target:  findingTarget,
	Do:      restoreFinding,
	Example: exampleFinding,
}

func restoreFinding(ctx context.Context, tx *op.Tx, _ FindingInput) (Finding, error) {
	f, _ := tx.Target().Value.(Finding)
	if f.Dismissal == nil {
		tx.Unchanged()
		return f, nil
	}
	tx.Changed("dismissed_until", endOf(f.Dismissal), nil)
	f.Dismissal = nil
	_, err := tx.Exec(ctx, "DELETE FROM dismissals WHERE organization = $1 AND finding = $2", tx.Organization(), f.ID)
	return f, err
}

// readDismissals marks the findings that somebody dismissed for a time that is not over.
func (l *look) readDismissals(ctx context.Context) error {
	type dismissed struct {
		finding string
		Dismissal
	}
	rows, err := l.Query(ctx, "SELECT finding, reason, until_at, dismissed_by, dismissed_at FROM dismissals WHERE organization = $1 AND until_at > $2",
		l.Organization(), l.Micros())
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (d dismissed, err error) {
		var ends, at int64
		err = rows.Scan(&d.finding, &d.Reason, &ends, &d.By, &at)
		d.Until, d.At = time.UnixMicro(ends).UTC(), time.UnixMicro(at).UTC()
		return d, err
	})
	for _, d := range all {
		for i := range l.findings {
			if l.findings[i].ID == d.finding {
				l.findings[i].Dismissal = &d.Dismissal
			}
		}
	}
	return err
}
