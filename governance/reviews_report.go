package governance

import (
	"context"
	"encoding/csv"
	"io"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// ReportReview writes every row of a review as CSV: what was found, what was decided, by whom, when and why, and what came
// of it. It is the evidence for auditors, and reading it is an event.
var ReportReview = &op.Stream[ReviewInput]{
	Name:      "reviews.report",
	Route:     "GET /v1/organizations/{organization}/reviews/{review}/report",
	Summary:   "Export an access review with its decisions as CSV",
	Allow:     op.On("reviews.manage"),
	MediaType: "text/csv; charset=utf-8",
	FileName:  "review.csv",
	Target:    reviewTarget,
	Write:     writeReport,
	Example:   exampleReview,
}

var reportHeader = []string{"review", "title", "state", "started_at", "type", "id", "name", "email", "role", "granted", "began_at", "ends_at", "last_used_at",
	"flags", "reviewer", "decision", "to_role", "reason", "decided_by", "decider", "decided_at", "outcome"}

// reportPage is how many rows are held in memory at once.
const reportPage = 500

func writeReport(ctx context.Context, r *op.Reader, in ReviewInput, w io.Writer) error {
	v, err := reviewByID(ctx, r, in.Review)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write(reportHeader); err != nil {
		return err
	}
	var after []string
	for {
		items, places, err := v.items(ctx, r, ItemFilter{}, after, reportPage)
		if err != nil {
			return err
		}
		if err := v.granted(ctx, r, items); err != nil {
			return err
		}
		for _, i := range items {
			if err := out.Write(v.cells(i)); err != nil {
				return err
			}
		}
		if out.Flush(); out.Error() != nil || len(items) < reportPage {
			return out.Error()
		}
		last := items[len(items)-1].Subject.ID
		after = []string{places[last], last}
	}
}

func (v Review) cells(i Item) []string {
	flags := make([]string, len(i.Flags))
	for n, f := range i.Flags {
		flags[n] = string(f)
	}
	granted := ""
	if i.Granted != nil {
		granted = strings.TrimSpace(i.Granted.How + " " + i.Granted.By + " " + i.Granted.At.Format(time.DateOnly))
	}
	cells := []string{v.ID, v.Title, string(v.State), cellTime(&v.StartedAt), i.Subject.Type, i.Subject.ID, i.Subject.Name, i.Email, i.RoleTitle, granted,
		cellTime(&i.BeganAt), cellTime(i.EndsAt), cellTime(i.LastUsedAt), strings.Join(flags, " "), i.Reviewer, string(i.Decision), string(i.ToRole), i.Reason,
		i.DecidedBy, i.Decider, cellTime(i.DecidedAt), i.Outcome}
	for n := range cells {
		cells[n] = harmless(cells[n])
	}
	return cells
}

func cellTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

// harmless keeps spreadsheets from taking a cell for a formula (OWASP, CSV injection; ASVS 1.2.10).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
