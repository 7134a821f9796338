package audit

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/sheet"
	"github.com/guildhall/guildhall/op"
)

// ExportEventsInput says which events.
type ExportEventsInput struct {
	op.InOrganization
	Filter
}

// Validate checks the filters.
func (in *ExportEventsInput) Validate() []op.FieldError { return in.Filter.check() }

// ExportEvents writes the events of an organization as CSV, the newest first. Exporting is an event too.
var ExportEvents = &op.Stream[ExportEventsInput]{
	Name:      "audit.export",
	Route:     "GET /v1/organizations/{organization}/audit/export",
	Summary:   "Export the audit log as CSV",
	Allow:     op.On("audit.export"),
	MediaType: "text/csv; charset=utf-8",
	FileName:  "audit.csv",
	Write:     exportEvents,
	Example:   ExportEventsInput{InOrganization: op.InOrganization{Organization: "acme"}, Filter: Filter{From: "2026-11-01"}},
}

var exportHeader = []string{"time", "id", "sequence", "action", "sentence", "actor_kind", "actor_id", "actor_name",
	"actor_email", "outcome", "count", "reason", "targets", "changes", "address", "agent", "request_id", "leaf"}

// exportPage is how many events are held in memory at once.
const exportPage = 500

func exportEvents(ctx context.Context, r *op.Reader, in ExportEventsInput, w io.Writer) error {
	q, err := compile(ctx, r, in.Filter)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write(exportHeader); err != nil {
		return err
	}
	for {
		events, err := q.page(ctx, r, exportPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := out.Write(e.cells()); err != nil {
				return err
			}
		}
		if out.Flush(); out.Error() != nil || len(events) < exportPage {
			return out.Error()
		}
		q.before = events[len(events)-1].Sequence
	}
}

func (e Event) cells() []string {
	targets := make([]string, len(e.Targets))
	for i, t := range e.Targets {
		targets[i] = strings.TrimSpace(t.Type + " " + t.ID + " " + t.Name)
	}
	changes := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = fmt.Sprintf("%s: %s -> %s", c.Field, cellText(c.Before), cellText(c.After))
	}
	cells := []string{e.Time.Format(time.RFC3339Nano), e.ID, strconv.FormatInt(e.Sequence, 10), e.Action, e.Sentence,
		string(e.Actor.Kind), e.Actor.ID, e.Actor.Name, e.Actor.Email, string(e.Outcome), strconv.FormatInt(e.Count, 10), e.Reason,
		strings.Join(targets, "; "), strings.Join(changes, "; "), e.Address, e.Agent, e.RequestID, e.Leaf}
	return sheet.Harmless(cells)
}

func cellText(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return v
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	return string(raw)
}
