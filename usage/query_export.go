package usage

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/guildhall/guildhall/op"
)

// ExportQuery writes what Query answers as CSV: a line for each bucket, with the whole and a column for each value of the
// dimension.
var ExportQuery = &op.Stream[QueryInput]{
	Name:      "usage.export_query",
	Route:     "GET /v1/organizations/{organization}/usage/query/export",
	Summary:   "Export how much of a meter was used when, and by what, as CSV",
	Allow:     op.AnyOf(op.On("usage.view"), op.ByService),
	MediaType: "text/csv; charset=utf-8",
	FileName:  "usage-over-time.csv",
	Target:    queryTarget,
	Write:     writeQuery,
	Example:   QueryInput{InOrganization: op.InOrganization{Organization: "acme"}, Meter: "executions", Granularity: "day", By: "member"},
}

// queryTarget refuses what Query would refuse before anything is written. Whoever may not ask is told that first.
func queryTarget(ctx context.Context, r *op.Reader, in QueryInput) (op.Target, error) {
	t := op.Target{Organization: r.Organization()}
	if !maySee(r, "usage.view") {
		return t, nil
	}
	a, err := accountOf(ctx, r, in.Organization, unlocked)
	if err == nil {
		_, err = in.question(r, a)
	}
	return t, err
}

func writeQuery(ctx context.Context, r *op.Reader, in QueryInput, w io.Writer) error {
	s, err := in.read(ctx, r)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	head := []string{"at", s.Unit}
	for _, p := range s.Parts {
		head = append(head, harmless(p.column()))
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for n, point := range s.Points {
		line := []string{point.At.Format(time.RFC3339), strconv.FormatInt(point.Quantity, 10)}
		for _, p := range s.Parts {
			line = append(line, strconv.FormatInt(p.Points[n].Quantity, 10))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// column names the column of a part.
func (p Part) column() string {
	switch {
	case p.Others:
		return "others"
	case p.Name != "":
		return p.Name
	case p.Value == "":
		return "none"
	}
	return p.Value
}
