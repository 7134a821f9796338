package artifacts

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// A product that keeps files of its own deletes them itself, since nobody else can. It asks what is due, deletes, and says
// so. What is due is worked out anew each time and stored nowhere: an organization is due once a day, up to the moment
// that its retention names, until the product has acknowledged that day.

// ListDueInput asks what of the product's own files is due.
type ListDueInput struct{ op.Page }

// Due is what a product has to delete of its own files for one organization.
type Due struct {
	ID            string    `json:"id" doc:"Send it with the acknowledgement" example:"due_01k9v5x0w3m8q6t2c4h7n0r5sz_20261002"`
	Organization  string    `json:"organization" doc:"Whose files"`
	ExternalID    string    `json:"external_id,omitzero" doc:"The product's own id of the organization"`
	RetentionDays int64     `json:"retention_days" cli:"-" doc:"After how many days files are deleted"`
	Before        time.Time `json:"before" doc:"Delete what was made before this moment"`
	Holds         []Hold    `json:"holds" cli:"-" doc:"What to keep all the same: legal holds in force"`
}

// ListDue says what of the product's own files is due. It changes nothing: what is not acknowledged is due again.
var ListDue = &op.Op[ListDueInput, op.List[Due]]{
	Name:    "retention.due",
	Route:   "GET /v1/retention/due",
	Summary: "List what of the product's own files has to be deleted now",
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      listDue,
	Example: ListDueInput{Page: op.Page{Limit: 25}},
}

func listDue(ctx context.Context, tx *op.Tx, in ListDueInput) (op.List[Due], error) {
	rows, err := tx.Query(ctx, `SELECT o.id, COALESCE(o.external_id, ''), o.retention_days FROM organizations o
		WHERE o.retention_days > 0 AND o.state <> 'gone' AND o.id > $1
		AND NOT EXISTS (SELECT 1 FROM retention_acknowledgements k WHERE k.organization = o.id AND k.cutoff >= $2 - o.retention_days * $3)
		ORDER BY o.id LIMIT $4`, strings.Join(in.After(), ""), today(tx.Now).UnixMicro(), day.Microseconds(), in.Size()+1)
	if err != nil {
		return op.List[Due]{}, err
	}
	defer rows.Close()
	var all []Due
	for rows.Next() {
		d := Due{Holds: []Hold{}}
		if err := rows.Scan(&d.Organization, &d.ExternalID, &d.RetentionDays); err != nil {
			return op.List[Due]{}, err
		}
		d.Before = today(tx.Now).Add(-time.Duration(d.RetentionDays) * day)
		d.ID = dueID(d.Organization, d.Before)
		all = append(all, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return op.List[Due]{}, err
	}
	page := op.Listed(tx.Reader, &in.Page, all, func(d Due) []string { return []string{d.Organization} })
	return page, holdsOf(ctx, tx.Reader, page.Data)
}

// today is the beginning of a day, in UTC.
func today(now time.Time) time.Time { return now.UTC().Truncate(day) }

// dueID names an organization and a day.
func dueID(organization string, before time.Time) string {
	return "due_" + strings.TrimPrefix(organization, "org_") + "_" + before.Format("20060102")
}

// readDue is the organization and the moment that an id names.
func readDue(text string) (organization string, before time.Time, ok bool) {
	inner, ok := strings.CutPrefix(text, "due_")
	who, date, split := strings.Cut(inner, "_")
	before, err := time.Parse("20060102", date)
	organization = "org_" + who
	return organization, before, ok && split && err == nil && id.Valid("org", organization)
}

// holdsOf reads the holds in force of the organizations, in one query, and their single files in another.
func holdsOf(ctx context.Context, r *op.Reader, dues []Due) error {
	if len(dues) == 0 {
		return nil
	}
	at, ids := map[string]int{}, make([]string, len(dues))
	for i, d := range dues {
		at[d.Organization], ids[i] = i, d.Organization
	}
	in, args := sqldb.Placeholders(1, ids)
	rows, err := r.Query(ctx, "SELECT h.organization, COALESCE(i.artifact, ''), "+holdColumns+` FROM legal_holds h
		LEFT JOIN legal_hold_artifacts i ON i.organization = h.organization AND i.hold = h.id
		WHERE h.released_at = 0 AND h.organization IN (`+in+") ORDER BY h.id, i.artifact", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var organization, artifact string
		h, err := scanHold(before{rows, []any{&organization, &artifact}})
		if err != nil {
			return err
		}
		d := &dues[at[organization]]
		if n := len(d.Holds); n == 0 || d.Holds[n-1].ID != h.ID {
			d.Holds = append(d.Holds, h)
		}
		if last := &d.Holds[len(d.Holds)-1]; artifact != "" {
			last.Artifacts = append(last.Artifacts, artifact)
		}
	}
	return rows.Err()
}

// before scans columns that stand before those of somebody else.
type before struct {
	row  interface{ Scan(...any) error }
	into []any
}

// Scan scans both.
func (b before) Scan(into ...any) error { return b.row.Scan(append(b.into, into...)...) }

// AcknowledgeInput says what a product deleted of its own files.
type AcknowledgeInput struct {
	Due   string `json:"due" doc:"The id of what was due" example:"due_01k9v5x0w3m8q6t2c4h7n0r5sz_20261002" maxLength:"64"`
	Files int64  `json:"files" doc:"How many files were deleted; 0: there was nothing" minimum:"0"`
	Bytes int64  `json:"bytes" doc:"How much that was" minimum:"0"`
}

// Acknowledgement is what a product says that it deleted.
type Acknowledgement struct {
	ID           string    `json:"id" doc:"The acknowledgement's id" example:"ack_01k..."`
	Organization string    `json:"organization" doc:"Whose files"`
	Before       time.Time `json:"before" doc:"What was made before this moment is deleted"`
	Files        int64     `json:"files" doc:"How many files"`
	Bytes        int64     `json:"bytes" doc:"How much that was"`
	CreatedAt    time.Time `json:"created_at" doc:"When the product said so"`
}

// Acknowledge records that the product deleted its own files that were due. It is in the organization's audit log.
var Acknowledge = &op.Op[AcknowledgeInput, Acknowledgement]{
	Name:    "retention.acknowledge",
	Route:   "POST /v1/retention/acknowledge",
	Summary: "Say that the product deleted its own files that were due",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.ByService,
	Target:  dueTarget,
	Do:      acknowledge,
	Example: AcknowledgeInput{Due: "due_01k9v5x0w3m8q6t2c4h7n0r5sz_20261002", Files: 12, Bytes: 48213},
}

// dueTarget finds the organization that a due is about, with its retention as it is now.
func dueTarget(ctx context.Context, r *op.Reader, in AcknowledgeInput) (op.Target, error) {
	organization, before, ok := readDue(in.Due)
	if !ok {
		return op.Target{}, op.ErrNotFound
	}
	var name string
	var days int64
	err := r.QueryRow(ctx, "SELECT name, retention_days FROM organizations WHERE id = $1", organization).Scan(&name, &days)
	latest := today(r.Now).Add(-time.Duration(days) * day)
	return op.Target{Organization: organization, Type: "organization", ID: organization, Name: name,
		Value: dueNamed{before: before, soon: days == 0 || before.After(latest)}}, missing(err)
}

// dueNamed is the moment that a due names.
type dueNamed struct {
	before time.Time
	soon   bool // the organization keeps its files longer than that now
}

func acknowledge(ctx context.Context, tx *op.Tx, in AcknowledgeInput) (Acknowledgement, error) {
	organization, due := tx.Target().ID, tx.Target().Value.(dueNamed)
	if due.soon {
		return Acknowledgement{}, op.Errorf(op.Conflict, "not_due",
			"the organization keeps its files longer than until %s now: ask what is due, and delete no more than that", due.before.Format(time.DateOnly))
	}
	a := Acknowledgement{ID: tx.NewID("ack"), Organization: organization, Before: due.before, Files: in.Files, Bytes: in.Bytes, CreatedAt: tx.Now}
	_, err := tx.Exec(ctx, `INSERT INTO retention_acknowledgements (id, organization, cutoff, files, bytes, by_key, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, a.ID, organization, due.before.UnixMicro(), in.Files, in.Bytes, tx.Actor.ID, tx.Micros())
	if _, taken := sqldb.Conflict(err); taken {
		return a, op.Errorf(op.Conflict, "acknowledged", "this was acknowledged already")
	}
	tx.Changed("files", in.Files, 0)
	tx.Changed("bytes", in.Bytes, 0)
	return a, err
}

// ListAcknowledgedInput asks what the product said that it deleted.
type ListAcknowledgedInput struct {
	op.InOrganization
	op.Page
}

// ListAcknowledged lists what the product said that it deleted of its own files, the latest first.
var ListAcknowledged = &op.Op[ListAcknowledgedInput, op.List[Acknowledgement]]{
	Name:    "retention.acknowledged",
	Route:   "GET /v1/organizations/{organization}/retention/acknowledged",
	Summary: "List what the product said that it deleted of its own files, the latest first",
	Allow:   op.AnyOf(op.On("settings.update"), op.On("artifacts.view"), op.ByService),
	Do:      listAcknowledged,
	Example: ListAcknowledgedInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listAcknowledged(ctx context.Context, tx *op.Tx, in ListAcknowledgedInput) (op.List[Acknowledgement], error) {
	rows, err := tx.Query(ctx, `SELECT id, cutoff, files, bytes, created_at FROM retention_acknowledgements
		WHERE organization = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`, tx.Organization(), strings.Join(in.After(), ""), in.Size()+1)
	if err != nil {
		return op.List[Acknowledgement]{}, err
	}
	defer rows.Close()
	var all []Acknowledgement
	for rows.Next() {
		a := Acknowledgement{Organization: tx.Organization()}
		var cutoff, created int64
		if err := rows.Scan(&a.ID, &cutoff, &a.Files, &a.Bytes, &created); err != nil {
			return op.List[Acknowledgement]{}, err
		}
		a.Before, a.CreatedAt = time.UnixMicro(cutoff).UTC(), time.UnixMicro(created).UTC()
		all = append(all, a)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(a Acknowledgement) []string { return []string{a.ID} }), rows.Err()
}
