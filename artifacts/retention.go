package artifacts

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/guildhall/guildhall/op"
)

// PreviewInput asks what retention would delete.
type PreviewInput struct {
	op.InOrganization
	Days *int64 `json:"days,omitzero" doc:"If files were kept so many days; 0: for ever. Left out: as it is now" example:"14" minimum:"0" maximum:"3650" required:"false"`
}

// Preview says how much retention would delete, and when.
type Preview struct {
	Days        int64      `json:"days" doc:"Days after which files would be deleted; 0: never"`
	Files       int64      `json:"files" doc:"How many would be deleted by the next sweep"`
	Bytes       int64      `json:"bytes" doc:"How much that is"`
	Oldest      *time.Time `json:"oldest,omitzero" doc:"When the oldest of them was stored"`
	HeldFiles   int64      `json:"held_files" doc:"How many more are over their time and kept by a legal hold"`
	HeldBytes   int64      `json:"held_bytes" doc:"How much that is"`
	StoredFiles int64      `json:"stored_files" doc:"How many there are in all"`
	StoredBytes int64      `json:"stored_bytes" doc:"How much that is"`
	Next        []DayDue   `json:"next" doc:"What would follow, for each day of the next 30 on which something is due"`
	Summary     string     `json:"summary" doc:"The same in a sentence" example:"would delete 3,120 files, 41 GB, at once"`
}

// DayDue is what is due on one day.
type DayDue struct {
	Date  string `json:"date" doc:"The day, in UTC" format:"date"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
}

// PreviewRetention says what retention deletes, or would delete if it were another. It changes nothing.
var PreviewRetention = &op.Op[PreviewInput, Preview]{
	Name:    "retention.preview",
	Route:   "GET /v1/organizations/{organization}/retention/preview",
	Summary: "Say how much retention would delete, and when",
	Allow:   op.AnyOf(op.On("settings.update"), op.On("artifacts.view")),
	Do: func(ctx context.Context, tx *op.Tx, in PreviewInput) (Preview, error) {
		s, err := settingsOf(ctx, tx.Reader, tx.Organization())
		if err != nil {
			return Preview{}, err
		}
		if in.Days != nil {
			s.days = *in.Days
		}
		return previewOf(ctx, tx.Reader, tx.Organization(), s.days)
	},
	Example: PreviewInput{InOrganization: op.InOrganization{Organization: "acme"}, Days: new(int64(14))},
}

// previewOf reads what retention would delete after some days.
func previewOf(ctx context.Context, r *op.Reader, organization string, days int64) (Preview, error) {
	p := Preview{Days: days, Next: []DayDue{}}
	if err := r.QueryRow(ctx, "SELECT count(*), COALESCE(SUM(size), 0) FROM artifacts WHERE organization = $1 AND state = 'stored'",
		organization).Scan(&p.StoredFiles, &p.StoredBytes); err != nil {
		return p, err
	}
	if days == 0 {
		p.Summary = "would delete nothing: files are kept for ever"
		return p, nil
	}
	cutoff := r.Now.Add(-time.Duration(days) * day)
	if err := p.due(ctx, r, organization, cutoff); err != nil {
		return p, err
	}
	if err := p.follow(ctx, r, organization, days); err != nil {
		return p, err
	}
	p.Summary = p.sentence()
	return p, nil
}

// due adds up what is older than the cut-off, held or not.
func (p *Preview) due(ctx context.Context, r *op.Reader, organization string, cutoff time.Time) error {
	rows, err := r.Query(ctx, `SELECT d.kept, count(*), COALESCE(SUM(d.size), 0), MIN(d.created_at) FROM (
			SELECT a.size, a.created_at, CASE WHEN `+held+` THEN 1 ELSE 0 END AS kept FROM artifacts a
			WHERE a.organization = $1 AND a.state = 'stored' AND a.created_at <= $2) d GROUP BY d.kept`, organization, cutoff.UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kept int
		var files, bytes, oldest int64
		if err := rows.Scan(&kept, &files, &bytes, &oldest); err != nil {
			return err
		}
		if kept == 1 {
			p.HeldFiles, p.HeldBytes = files, bytes
		} else {
			p.Files, p.Bytes, p.Oldest = files, bytes, when(oldest)
		}
	}
	return rows.Err()
}

// horizon is how far a preview looks.
const horizon = 30

// follow adds up, by the day, what becomes due within the horizon.
func (p *Preview) follow(ctx context.Context, r *op.Reader, organization string, days int64) error {
	ahead := time.Duration(days) * day
	rows, err := r.Query(ctx, `SELECT (a.created_at + $4) / $5, count(*), COALESCE(SUM(a.size), 0) FROM artifacts a
		WHERE a.organization = $1 AND a.state = 'stored' AND a.created_at > $2 AND a.created_at <= $3 AND NOT `+held+`
		GROUP BY (a.created_at + $4) / $5 ORDER BY 1`, organization, r.Now.Add(-ahead).UnixMicro(),
		r.Now.Add(-ahead+horizon*day).UnixMicro(), ahead.Microseconds(), day.Microseconds())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		var d DayDue
		if err := rows.Scan(&number, &d.Files, &d.Bytes); err != nil {
			return err
		}
		d.Date = time.UnixMicro(number * day.Microseconds()).UTC().Format(time.DateOnly)
		p.Next = append(p.Next, d)
	}
	return rows.Err()
}

// sentence says a preview in words.
func (p *Preview) sentence() string {
	text := "would delete nothing at once"
	if p.Files > 0 {
		text = fmt.Sprintf("would delete %s, %s, at once", Files(p.Files), Size(p.Bytes))
	}
	if p.HeldFiles > 0 {
		text += fmt.Sprintf("; legal holds keep %s, %s", Files(p.HeldFiles), Size(p.HeldBytes))
	}
	if len(p.Next) > 0 {
		var files, bytes int64
		for _, d := range p.Next {
			files, bytes = files+d.Files, bytes+d.Bytes
		}
		text += fmt.Sprintf("; %s, %s, within the %d days after that", Files(files), Size(bytes), horizon)
	}
	return text
}

// Effect says what another retention would do to what is stored: what the settings' dry run shows. It is one of the
// op.Parts that the assembly hands on.
func Effect(ctx context.Context, r *op.Reader, organization string, days int64) (op.Effect, error) {
	p, err := previewOf(ctx, r, organization, days)
	return op.Effect{Type: "artifacts", Text: p.Summary, Action: "changes"}, err
}

// ListDeletedInput asks for the proofs of deletion.
type ListDeletedInput struct {
	op.InOrganization
	op.Page
	Resource      string `json:"resource,omitzero" doc:"Only those of this thing of the product" maxLength:"200" required:"false"`
	Artifact      string `json:"artifact,omitzero" doc:"Only this file" maxLength:"64" required:"false"`
	DeletedAfter  string `json:"deleted_after,omitzero" doc:"Only those deleted at this time or later: a date, or RFC 3339" example:"2026-11-01" maxLength:"40" required:"false"`
	DeletedBefore string `json:"deleted_before,omitzero" doc:"Only those deleted before this time" maxLength:"40" required:"false"`
}

// Validate checks the times.
func (in *ListDeletedInput) Validate() []op.FieldError {
	return checkTimes(map[string]string{"deleted_after": in.DeletedAfter, "deleted_before": in.DeletedBefore})
}

// ListDeleted lists what was deleted, the latest first: for each file what it was and when its bytes were erased.
var ListDeleted = &op.Op[ListDeletedInput, op.List[Proof]]{
	Name:    "retention.deleted",
	Route:   "GET /v1/organizations/{organization}/retention/deleted",
	Summary: "List the proofs of what was deleted, the latest first",
	Allow:   op.AnyOf(op.On("settings.update"), op.On("artifacts.view"), op.ByService),
	Do:      listDeleted,
	Example: ListDeletedInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listDeleted(ctx context.Context, tx *op.Tx, in ListDeletedInput) (op.List[Proof], error) {
	q := &filters{args: []any{tx.Organization()}}
	q.add("a.resource = ?", in.Resource)
	q.add("a.id = ?", in.Artifact)
	if at := in.After(); len(at) == 2 {
		before, _ := strconv.ParseInt(at[0], 10, 64) // authentic: see op.Page
		moment := q.param(before)
		q.add("(a.deleted_at < "+moment+" OR a.deleted_at = "+moment+" AND a.id < ?)", at[1])
	}
	if after, _ := moment(in.DeletedAfter); after != 0 {
		q.add("a.deleted_at >= ?", after)
	}
	if before, _ := moment(in.DeletedBefore); before != 0 {
		q.add("a.deleted_at < ?", before)
	}
	rows, err := tx.Query(ctx, `SELECT a.id, a.size, a.sha256, a.resource, a.created_at, a.deleted_at, a.deleted_by, a.gone_at FROM artifacts a
		WHERE a.organization = $1 AND a.state = 'deleted'`+q.where()+" ORDER BY a.deleted_at DESC, a.id DESC LIMIT "+q.param(in.Size()+1), q.args...)
	if err != nil {
		return op.List[Proof]{}, err
	}
	defer rows.Close()
	var all []Proof
	for rows.Next() {
		var p Proof
		var created, deleted, gone int64
		if err := rows.Scan(&p.ID, &p.Size, &p.SHA256, &p.Resource, &created, &deleted, &p.DeletedBy, &gone); err != nil {
			return op.List[Proof]{}, err
		}
		p.CreatedAt, p.DeletedAt, p.ErasedAt = time.UnixMicro(created).UTC(), time.UnixMicro(deleted).UTC(), when(gone)
		all = append(all, p)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(p Proof) []string {
		return []string{strconv.FormatInt(p.DeletedAt.UnixMicro(), 10), p.ID}
	}), rows.Err()
}
