package artifacts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// covers is true of a hold h in force and an artifact a that it keeps.
const covers = `h.released_at = 0 AND (h.covers = 'organization'
	OR h.covers = 'resource' AND substr(a.resource, 1, length(h.resource)) = h.resource
	OR h.covers = 'artifacts' AND EXISTS (SELECT 1 FROM legal_hold_artifacts i WHERE i.organization = a.organization AND i.hold = h.id AND i.artifact = a.id))`

// held is true of an artifact a that some hold keeps.
const held = `EXISTS (SELECT 1 FROM legal_holds h WHERE h.organization = a.organization AND ` + covers + `)`

// Hold is a legal hold: what it covers is neither deleted by retention nor by anybody, until it is released.
type Hold struct {
	ID            string     `json:"id" doc:"The hold's id" example:"hld_01k..."`
	Covers        string     `json:"covers" doc:"What it keeps: everything, all of some resources, or single files" enum:"organization,resource,artifacts"`
	Resource      string     `json:"resource,omitzero" doc:"What a covered resource begins with" example:"execution:ex_1"`
	Artifacts     []string   `json:"artifacts,omitempty" cli:"-" doc:"The single files that it covers"`
	Reason        string     `json:"reason" doc:"Why" example:"case 24-117"`
	CreatedBy     string     `json:"created_by" cli:"-" doc:"Who made it"`
	CreatedAt     time.Time  `json:"created_at"`
	ReleasedAt    *time.Time `json:"released_at,omitzero" doc:"When it was released; absent: it is in force"`
	ReleasedBy    string     `json:"released_by,omitzero" cli:"-" doc:"Who released it"`
	ReleaseReason string     `json:"release_reason,omitzero" cli:"-" doc:"Why it was released"`
}

// CreateHoldInput says what to keep, and why.
type CreateHoldInput struct {
	op.InOrganization
	Reason    string   `json:"reason" doc:"Why: a case, a request" example:"case 24-117" minLength:"1" maxLength:"500"`
	Resource  string   `json:"resource,omitzero" doc:"Keep what belongs to resources that begin with this" example:"execution:" maxLength:"200" required:"false"`
	Artifacts []string `json:"artifacts,omitempty" doc:"Keep these files. With neither this nor resource, everything is kept" maxItems:"100" required:"false"`
}

// Validate wants one kind of thing to cover.
func (in *CreateHoldInput) Validate() []op.FieldError {
	if in.Resource != "" && len(in.Artifacts) > 0 {
		return []op.FieldError{{Pointer: "/artifacts", Code: "invalid", Detail: "a hold covers resources or single files, not both: make two"}}
	}
	if strings.TrimSpace(in.Reason) == "" {
		return []op.FieldError{{Pointer: "/reason", Code: "required", Detail: "reason is required"}}
	}
	return nil
}

// CreateHold keeps files, whatever their age, until the hold is released.
var CreateHold = &op.Op[CreateHoldInput, Hold]{
	Name:    "holds.create",
	Route:   "POST /v1/organizations/{organization}/holds",
	Summary: "Put files under a legal hold",
	Kind:    op.Write,
	Allow:   op.On("settings.update"),
	Confirm: op.L1,
	Do:      createHold,
	Example: CreateHoldInput{InOrganization: op.InOrganization{Organization: "acme"}, Reason: "case 24-117", Resource: "execution:"},
}

func createHold(ctx context.Context, tx *op.Tx, in CreateHoldInput) (Hold, error) {
	h := Hold{ID: tx.NewID("hld"), Covers: "organization", Resource: in.Resource, Artifacts: unique(in.Artifacts), Reason: strings.TrimSpace(in.Reason),
		CreatedBy: whoStored(*tx.Actor), CreatedAt: tx.Now}
	if h.Resource != "" {
		h.Covers = "resource"
	}
	if len(h.Artifacts) > 0 {
		h.Covers = "artifacts"
		if err := demandStored(ctx, tx.Reader, h.Artifacts); err != nil {
			return h, err
		}
	}
	if _, err := tx.Exec(ctx, `INSERT INTO legal_holds (id, organization, covers, resource, reason, created_by, created_at, released_at, released_by,
		release_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', '')`, h.ID, tx.Organization(), h.Covers, h.Resource, h.Reason, h.CreatedBy,
		tx.Micros()); err != nil {
		return h, err
	}
	tx.Also("hold", h.ID, h.Reason)
	tx.Because(h.Reason)
	tx.Changed("covers", nil, strings.TrimSpace(h.Covers+" "+h.Resource))
	return h, insertItems(ctx, tx, h)
}

// unique is a list without repetitions, sorted.
func unique(list []string) []string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// demandStored wants every one of the files to be there.
func demandStored(ctx context.Context, r *op.Reader, artifacts []string) error {
	in, args := sqldb.Placeholders(2, artifacts)
	var found int
	err := r.QueryRow(ctx, "SELECT count(*) FROM artifacts WHERE organization = $1 AND state = 'stored' AND id IN ("+in+")",
		append([]any{r.Organization()}, args...)...).Scan(&found)
	if err == nil && found != len(artifacts) {
		return op.InvalidField("artifacts", "unknown", "%d of the %d files are not there", len(artifacts)-found, len(artifacts))
	}
	return err
}

// insertItems writes the single files of a hold.
func insertItems(ctx context.Context, tx *op.Tx, h Hold) error {
	if len(h.Artifacts) == 0 {
		return nil
	}
	rows, args := make([]string, len(h.Artifacts)), []any{h.ID, tx.Organization()}
	for i, artifact := range h.Artifacts {
		args = append(args, artifact)
		rows[i] = "($1, $2, $" + strconv.Itoa(len(args)) + ")"
	}
	_, err := tx.Exec(ctx, "INSERT INTO legal_hold_artifacts (hold, organization, artifact) VALUES "+strings.Join(rows, ", "), args...)
	return err
}

// ListHoldsInput asks for the legal holds of an organization.
type ListHoldsInput struct {
	op.InOrganization
	op.Page
	State string `json:"state,omitzero" doc:"Only those in force, or only released ones" enum:"in_force,released" required:"false"`
}

// ListHolds lists the legal holds of an organization, the latest first.
var ListHolds = &op.Op[ListHoldsInput, op.List[Hold]]{
	Name:    "holds.list",
	Route:   "GET /v1/organizations/{organization}/holds",
	Summary: "List the legal holds of an organization, the latest first",
	Allow:   op.AnyOf(op.On("settings.update"), op.ByService),
	Do:      listHolds,
	Example: ListHoldsInput{InOrganization: op.InOrganization{Organization: "acme"}, State: "in_force"},
}

const holdColumns = "h.id, h.covers, h.resource, h.reason, h.created_by, h.created_at, h.released_at, h.released_by, h.release_reason"

func scanHold(row interface{ Scan(...any) error }) (Hold, error) {
	var h Hold
	var created, released int64
	err := row.Scan(&h.ID, &h.Covers, &h.Resource, &h.Reason, &h.CreatedBy, &created, &released, &h.ReleasedBy, &h.ReleaseReason)
	h.CreatedAt, h.ReleasedAt = time.UnixMicro(created).UTC(), when(released)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return h, err
}

func listHolds(ctx context.Context, tx *op.Tx, in ListHoldsInput) (op.List[Hold], error) {
	after := strings.Join(in.After(), "")
	rows, err := tx.Query(ctx, "SELECT "+holdColumns+` FROM legal_holds h WHERE h.organization = $1 AND ($2 = '' OR h.id < $2)
		AND ($3 = '' OR (h.released_at = 0) = ($3 = 'in_force')) ORDER BY h.id DESC LIMIT $4`, tx.Organization(), after, in.State, in.Size()+1)
	if err != nil {
		return op.List[Hold]{}, err
	}
	all, err := scanHolds(rows)
	if err != nil {
		return op.List[Hold]{}, err
	}
	if err := withItems(ctx, tx.Reader, all); err != nil {
		return op.List[Hold]{}, err
	}
	return op.Listed(tx.Reader, &in.Page, all, func(h Hold) []string { return []string{h.ID} }), nil
}

func scanHolds(rows *sql.Rows) ([]Hold, error) {
	defer rows.Close()
	var all []Hold
	for rows.Next() {
		h, err := scanHold(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// withItems reads the single files of holds, in one query.
func withItems(ctx context.Context, r *op.Reader, holds []Hold) error {
	at, ids := map[string]int{}, []string{}
	for i, h := range holds {
		if h.Covers == "artifacts" {
			at[h.ID] = i
			ids = append(ids, h.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(2, ids)
	rows, err := r.Query(ctx, "SELECT hold, artifact FROM legal_hold_artifacts WHERE organization = $1 AND hold IN ("+in+") ORDER BY hold, artifact",
		append([]any{r.Organization()}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var hold, artifact string
		if err := rows.Scan(&hold, &artifact); err != nil {
			return err
		}
		holds[at[hold]].Artifacts = append(holds[at[hold]].Artifacts, artifact)
	}
	return rows.Err()
}

// ReleaseHoldInput names a hold that is over, and says why.
type ReleaseHoldInput struct {
	op.InOrganization
	Hold   string `json:"hold" doc:"The hold's id" example:"hld_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
	Reason string `json:"reason" doc:"Why it is over" example:"case 24-117 was closed" minLength:"1" maxLength:"500"`
}

// ReleaseHold ends a hold. What only it kept, and what is over its time, is deleted by the next sweep.
var ReleaseHold = &op.Op[ReleaseHoldInput, Hold]{
	Name:    "holds.release",
	Route:   "POST /v1/organizations/{organization}/holds/{hold}/release",
	Summary: "Release a legal hold: what is over its time is deleted then",
	Kind:    op.Write,
	Allow:   op.On("settings.update"),
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, in ReleaseHoldInput) (op.Target, error) {
		h, err := scanHold(r.QueryRow(ctx, "SELECT "+holdColumns+" FROM legal_holds h WHERE h.organization = $1 AND h.id = $2", r.Organization(), in.Hold))
		return op.Target{Organization: r.Organization(), Type: "hold", ID: h.ID, Name: h.Reason, Value: h}, err
	},
	Preview: previewRelease,
	Do:      releaseHold,
	Example: ReleaseHoldInput{InOrganization: op.InOrganization{Organization: "acme"}, Hold: "hld_01k9v5x0w3m8q6t2c4h7n0r5sz", Reason: "case 24-117 was closed"},
}

func releaseHold(ctx context.Context, tx *op.Tx, in ReleaseHoldInput) (Hold, error) {
	h := tx.Target().Value.(Hold)
	if h.ReleasedAt != nil {
		tx.Unchanged()
		return h, nil
	}
	h.ReleasedAt, h.ReleasedBy, h.ReleaseReason = &tx.Now, whoStored(*tx.Actor), strings.TrimSpace(in.Reason)
	tx.Because(h.ReleaseReason)
	_, err := tx.Exec(ctx, "UPDATE legal_holds SET released_at = $3, released_by = $4, release_reason = $5 WHERE organization = $1 AND id = $2",
		tx.Organization(), h.ID, tx.Micros(), h.ReleasedBy, h.ReleaseReason)
	return h, err
}

// previewRelease says what the next sweep would delete if a hold were released.
func previewRelease(ctx context.Context, r *op.Reader, in ReleaseHoldInput) (op.Impact, error) {
	var files, bytes int64
	err := r.QueryRow(ctx, `SELECT count(*), COALESCE(SUM(a.size), 0) FROM artifacts a JOIN organizations o ON o.id = a.organization
		WHERE a.organization = $1 AND a.state = 'stored' AND o.retention_days > 0 AND a.created_at <= $2 - o.retention_days * $3
		AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.organization = a.organization AND h.id <> $4 AND `+covers+`)`,
		r.Organization(), r.Micros(), day.Microseconds(), in.Hold).Scan(&files, &bytes)
	text := "nothing would be deleted at once"
	if files > 0 {
		text = fmt.Sprintf("%s, %s, are over their time and would be deleted by the next sweep", Files(files), Size(bytes))
	}
	return op.Impact{Summary: text, Effects: []op.Effect{{Type: "artifacts", Text: text, Action: "ends"}}}, err
}

// Files is a number of files in words: "3,120 files".
func Files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return grouped(n) + " files"
}

// grouped is a number with commas: "3,120".
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Size is a number of bytes in words, in powers of 1000: "41.2 GB".
func Size(bytes int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(bytes), 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 || value >= 99.95 || math.Round(value*10) == math.Round(value)*10 {
		return grouped(int64(math.Round(value))) + " " + units[unit]
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[unit]
}
