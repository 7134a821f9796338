package artifacts

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// ListInput asks for the artifacts of an organization.
type ListInput struct {
	op.InOrganization
	op.Page
	Resource      string `json:"resource,omitzero" doc:"Only those of this thing of the product" example:"execution:ex_1" maxLength:"200" required:"false"`
	Named         string `json:"name,omitzero" doc:"Only those of exactly this name" maxLength:"255" required:"false"`
	Q             string `json:"q,omitzero" doc:"Only those whose name has this text in it" maxLength:"200" required:"false"`
	Region        string `json:"region,omitzero" doc:"Only those that are stored there" maxLength:"64" required:"false"`
	CreatedAfter  string `json:"created_after,omitzero" doc:"Only those stored at this time or later: a date, or RFC 3339" example:"2026-11-01" maxLength:"40" required:"false"`
	CreatedBefore string `json:"created_before,omitzero" doc:"Only those stored before this time" maxLength:"40" required:"false"`
	Held          string `json:"held,omitzero" doc:"Only those that a legal hold keeps, or that none does" enum:"true,false" required:"false"`
}

// Validate checks the times.
func (in *ListInput) Validate() []op.FieldError {
	return checkTimes(map[string]string{"created_after": in.CreatedAfter, "created_before": in.CreatedBefore})
}

func checkTimes(fields map[string]string) []op.FieldError {
	var wrong []op.FieldError
	for field, text := range fields {
		if _, err := moment(text); err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/" + field, Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// moment reads a date or a time as microseconds; 0 for nothing.
func moment(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro(), nil
		}
	}
	return 0, fmt.Errorf("%q is neither a date such as 2026-11-01 nor a time such as 2026-11-01T09:00:00Z", text)
}

// List lists the artifacts of an organization, the newest first.
var List = &op.Op[ListInput, op.List[Artifact]]{
	Name:    "artifacts.list",
	Route:   "GET /v1/organizations/{organization}/artifacts",
	Summary: "List the artifacts of an organization, the newest first",
	Allow:   viewers,
	Do:      list,
	Example: ListInput{InOrganization: op.InOrganization{Organization: "acme"}, Resource: "execution:ex_1"},
}

func list(ctx context.Context, tx *op.Tx, in ListInput) (op.List[Artifact], error) {
	q := in.query(tx.Organization())
	rows, err := tx.Query(ctx, "SELECT "+columns+from+q.where()+" ORDER BY a.id DESC LIMIT "+q.param(in.Size()+1), q.args...)
	if err != nil {
		return op.List[Artifact]{}, err
	}
	defer rows.Close()
	var all []Artifact
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return op.List[Artifact]{}, err
		}
		all = append(all, a)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(a Artifact) []string { return []string{a.ID} }), rows.Err()
}

// query is the filters as conditions on what from begins.
func (in ListInput) query(organization string) *filters {
	q := &filters{args: []any{organization}}
	q.add("a.id < ?", strings.Join(in.After(), ""))
	q.add("a.resource = ?", in.Resource)
	q.add("a.name = ?", in.Named)
	q.add("a.region = ?", in.Region)
	if in.Q != "" {
		q.add("a.folded LIKE ? ESCAPE '!'", contains(fold(in.Q)))
	}
	if after, _ := moment(in.CreatedAfter); after != 0 { // checked by Validate
		q.add("a.created_at >= ?", after)
	}
	if before, _ := moment(in.CreatedBefore); before != 0 {
		q.add("a.created_at < ?", before)
	}
	switch in.Held {
	case "true":
		q.parts = append(q.parts, held)
	case "false":
		q.parts = append(q.parts, "NOT "+held)
	}
	return q
}

// filters gathers conditions. Each is written with ? for its value; an empty text is no condition.
type filters struct {
	parts []string
	args  []any
}

func (f *filters) add(text string, value any) {
	if value != "" {
		f.parts = append(f.parts, strings.ReplaceAll(text, "?", f.param(value)))
	}
}

func (f *filters) param(value any) string {
	f.args = append(f.args, value)
	return "$" + strconv.Itoa(len(f.args))
}

func (f *filters) where() string {
	var b strings.Builder
	for _, part := range f.parts {
		b.WriteString(" AND " + part)
	}
	return b.String()
}

// contains is a LIKE pattern for text anywhere; its escape character is !.
func contains(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}
