package audit

import (
	"context"

	"github.com/guildhall/guildhall/op"
)

// TextOf is the statement that a filter becomes, on a first page or after a sequence number.
func TextOf(ctx context.Context, r *op.Reader, organization string, f Filter, after int64) (string, []any, error) {
	terms, err := f.Terms()
	q := &pageQuery{stream: organization, before: after}
	for _, t := range terms {
		if err == nil {
			err = q.add(ctx, r, t)
		}
	}
	text, args := q.text(26)
	return text, args, err
}

// ActivityText is the statement of me.activity.
func ActivityText(user string, after []string) (string, []any) {
	return activityText(&op.Actor{User: user}, after, 26)
}

// Erased is an event whose actor and targets were erased.
func Erased(e Event) Event {
	e.Actor.erased, e.Actor.Name, e.Actor.Email = true, "", ""
	for i := range e.Targets {
		e.Targets[i].erased, e.Targets[i].Name = true, ""
	}
	return e
}
