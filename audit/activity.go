package audit

import (
	"context"
	"strconv"

	"github.com/guildhall/guildhall/op"
)

// MyActivityInput pages through one's own activity.
type MyActivityInput struct {
	op.Page
}

// MyActivity lists what the caller did, in every organization, the newest first. What others were called in
// organizations that the caller has left is left out.
var MyActivity = &op.Op[MyActivityInput, op.List[Event]]{
	Name:    "me.activity",
	Route:   "GET /v1/me/activity",
	Summary: "List what you did, the newest first",
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      myActivity,
}

func myActivity(ctx context.Context, tx *op.Tx, in MyActivityInput) (op.List[Event], error) {
	text, args := activityText(tx.Actor, in.After(), in.Size()+1)
	events, err := readEvents(ctx, tx.Reader, text, args)
	if err != nil {
		return op.List[Event]{}, err
	}
	if err := forgetLeft(ctx, tx.Reader, events); err != nil {
		return op.List[Event]{}, err
	}
	return op.Listed(tx.Reader, &in.Page, events, func(e Event) []string {
		return []string{strconv.FormatInt(e.Time.UnixMicro(), 10), e.ID}
	}), nil
}

func activityText(by *op.Actor, after []string, limit int) (string, []any) {
	text, args := "SELECT "+eventColumns+", 0 FROM audit_rows r WHERE r.actor = $1 ", []any{by.User, limit}
	if len(after) == 2 {
		at, _ := strconv.ParseInt(after[0], 10, 64)
		text, args = text+"AND (r.at, r.id) < ($3, $4) ", append(args, at, after[1])
	}
	if only := by.Credential.Organization; only != "" { // the session is that organization's
		args = append(args, only)
		text += "AND r.stream = $" + strconv.Itoa(len(args)) + " "
	}
	return text + "ORDER BY r.at DESC, r.id DESC LIMIT $2", args
}

// forgetLeft takes the names of others out of events in organizations that the caller does not belong to any more.
func forgetLeft(ctx context.Context, r *op.Reader, events []Event) error {
	rows, err := r.Query(ctx, `SELECT m.organization FROM members m
		WHERE m.user_id = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2)`, r.Actor.User, r.Micros())
	if err != nil {
		return err
	}
	defer rows.Close()
	mine := map[string]bool{"": true}
	for rows.Next() {
		var organization string
		if err := rows.Scan(&organization); err != nil {
			return err
		}
		mine[organization] = true
	}
	for i := range events {
		e := &events[i]
		if mine[e.Organization] {
			continue
		}
		for t := range e.Targets {
			e.Targets[t].Name = ""
		}
		e.Changes = []FieldChange{}
		e.Sentence = Sentence(r.Charter, *e)
	}
	return rows.Err()
}
