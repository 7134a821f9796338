package demo

import (
	"context"
	"strings"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/op"
)

// made are the files that the work of the demo has made.
var made = []struct {
	name, mediaType, of string
	lines               int
}{
	{"report.pdf", "application/pdf", "1", 900},
	{"summary.md", "text/markdown", "1", 40},
	{"rows.csv", "text/csv", "2", 6_000},
	{"log.txt", "text/plain", "2", 2_500},
	{"answer.json", "application/json", "3", 12},
	{"picture.png", "image/png", "3", 11_000},
}

// store keeps some files, unless an earlier start has.
func (s *seeding) store(ctx context.Context) error {
	ctx, service := op.As(ctx, as(s.owner)), s.demo.hall.Service()
	there, err := artifacts.List.Call(ctx, service, artifacts.ListInput{InOrganization: s.in(), Page: op.Page{Limit: 100}})
	if err != nil {
		return err
	}
	u := using{charter: s.demo.config.Charter}
	for _, f := range made[min(len(there.Data), len(made)):] {
		text := strings.Repeat("What the work of the demo has made.\n", f.lines)
		in := artifacts.PutInput{InOrganization: s.in(), Name: f.name, Resource: u.resource() + ":" + f.of}
		if _, err := artifacts.Put.Call(ctx, service, in, op.Content{Body: strings.NewReader(text), MediaType: f.mediaType, Size: int64(len(text))}); err != nil {
			return err
		}
	}
	return nil
}
