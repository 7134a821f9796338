package usage

import (
	"context"
	"database/sql"
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// Kept is an event as it is kept.
type Kept struct {
	Source     string    `json:"source" doc:"What made it"`
	ID         string    `json:"id" doc:"Its own id"`
	Meter      string    `json:"meter" doc:"What is counted"`
	Value      int64     `json:"value" doc:"How much"`
	At         time.Time `json:"at" doc:"When it was used"`
	RecordedAt time.Time `json:"recorded_at" doc:"When it was recorded"`
	Member     string    `json:"member,omitzero" doc:"For whom"`
	Key        string    `json:"key,omitzero" doc:"By which API key"`
	Resource   string    `json:"resource,omitzero" doc:"For what"`
	Region     string    `json:"region,omitzero" doc:"Where"`
	Model      string    `json:"model,omitzero" doc:"With which model"`
	Corrects   string    `json:"corrects,omitzero" doc:"The event that it corrects"`
}

// ListEventsInput asks for events.
type ListEventsInput struct {
	op.InOrganization
	op.Page
	Meter string    `json:"meter" cli:"arg" doc:"What is counted" maxLength:"64" example:"executions"`
	From  time.Time `json:"from,omitzero" doc:"Only those from then on" required:"false"`
	To    time.Time `json:"to,omitzero" doc:"Only those before then" required:"false"`
}

// ListEvents lists the events of a meter as they were recorded, the latest first.
var ListEvents = &op.Op[ListEventsInput, op.List[Kept]]{
	Name:    "usage.events",
	Route:   "GET /v1/organizations/{organization}/usage/events",
	Summary: "List the events of a meter, the latest first",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      listEvents,
	Example: ListEventsInput{InOrganization: op.InOrganization{Organization: "acme"}, Meter: "executions"},
}

const keptColumns = "source, id, meter, value, at, recorded_at, series, corrects"

func scanKept(rows *sql.Rows) (Kept, error) {
	var k Kept
	var text string
	var at, recorded int64
	err := rows.Scan(&k.Source, &k.ID, &k.Meter, &k.Value, &at, &recorded, &text, &k.Corrects)
	s := seriesOf(text)
	k.At, k.RecordedAt = moment(at), moment(recorded)
	k.Member, k.Key, k.Resource, k.Region, k.Model = s.Member, s.Key, s.Resource, s.Region, s.Model
	return k, err
}

// span is a range in microseconds; without its ends it is all of time.
func span(from, to time.Time) (int64, int64) {
	first, last := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		first = from.UnixMicro()
	}
	if !to.IsZero() {
		last = to.UnixMicro()
	}
	return first, last
}

func listEvents(ctx context.Context, tx *op.Tx, in ListEventsInput) (op.List[Kept], error) {
	if _, known := tx.Charter.Meter(in.Meter); !known {
		return op.List[Kept]{}, unknownMeter(tx.Charter, in.Meter)
	}
	from, to := span(in.From, in.To)
	before, source, id := to, "", ""
	if at := in.After(); len(at) == 3 {
		before, _ = strconv.ParseInt(at[0], 10, 64) // authentic: see op.Page
		source, id = at[1], at[2]
	}
	rows, err := tx.Query(ctx, "SELECT "+keptColumns+` FROM usage_events
		WHERE organization = $1 AND meter = $2 AND at >= $3 AND (at < $4 OR at = $4 AND $5 <> '' AND (source > $5 OR source = $5 AND id > $6))
		ORDER BY at DESC, source, id LIMIT $7`, in.Organization, in.Meter, from, before, source, id, in.Size()+1)
	if err != nil {
		return op.List[Kept]{}, err
	}
	defer rows.Close()
	var all []Kept
	for rows.Next() {
		k, err := scanKept(rows)
		if err != nil {
			return op.List[Kept]{}, err
		}
		all = append(all, k)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(k Kept) []string {
		return []string{strconv.FormatInt(k.At.UnixMicro(), 10), k.Source, k.ID}
	}), rows.Err()
}

// ExportInput asks for events as a file.
type ExportInput struct {
	op.InOrganization
	Meter string    `json:"meter,omitzero" doc:"Only those of this meter" maxLength:"64" required:"false"`
	From  time.Time `json:"from,omitzero" doc:"Only those from then on" required:"false"`
	To    time.Time `json:"to,omitzero" doc:"Only those before then" required:"false"`
	Filter
}

// ExportEvents writes events as CSV, meter by meter, the oldest first.
var ExportEvents = &op.Stream[ExportInput]{
	Name:      "usage.export",
	Route:     "GET /v1/organizations/{organization}/usage/export",
	Summary:   "Export events as CSV",
	Allow:     op.AnyOf(op.On("usage.view"), op.ByService),
	MediaType: "text/csv; charset=utf-8",
	FileName:  "usage.csv",
	Write:     writeEvents,
	Example:   ExportInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func writeEvents(ctx context.Context, r *op.Reader, in ExportInput, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"at", "meter", "value", "source", "id", "member", "key", "resource", "region", "model", "corrects", "recorded_at"}); err != nil {
		return err
	}
	for _, m := range r.Charter.Meters {
		if in.Meter == "" || in.Meter == m.ID {
			if err := writeMeter(ctx, r, in, m.ID, out); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func writeMeter(ctx context.Context, r *op.Reader, in ExportInput, meter string, out *csv.Writer) error {
	from, to := span(in.From, in.To)
	rows, err := r.Query(ctx, "SELECT "+keptColumns+" FROM usage_events WHERE organization = $1 AND meter = $2 AND at >= $3 AND at < $4 ORDER BY at, source, id",
		in.Organization, meter, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scanKept(rows)
		if err != nil {
			return err
		}
		if !in.Filter.keeps(series{k.Member, k.Key, k.Resource, k.Region, k.Model}) {
			continue
		}
		cells := []string{k.At.Format(time.RFC3339Nano), k.Meter, strconv.FormatInt(k.Value, 10), k.Source, k.ID, k.Member, k.Key, k.Resource, k.Region, k.Model, k.Corrects, k.RecordedAt.Format(time.RFC3339Nano)}
		for i, cell := range cells {
			if i != 2 { // a number is one
				cells[i] = harmless(cell)
			}
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	return rows.Err()
}

// harmless keeps spreadsheets from taking a cell for a formula (OWASP, CSV injection; ASVS 1.2.10).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
