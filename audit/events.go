// Package audit shows the log that every change writes: lists and searches it, exports it, says each row in a sentence,
// proves that nothing in it was changed, and takes a person out of it when the law asks for that. The rows themselves
// are written by op, in the transaction of the change.
package audit

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// Operations are the operations on the audit log.
func Operations() []op.Any { return []op.Any{ListEvents, GetEvent, ExportEvents, MyActivity} }

// Event is one row of the audit log with what is known of its people. Where a person was erased, the names and changes
// that were kept of them are gone.
type Event struct {
	ID           string        `json:"id" cli:"-" doc:"The event's id" example:"evt_01k..."`
	Sequence     int64         `json:"sequence" doc:"Its number in its log: no number is missing and none comes twice" example:"42"`
	Time         time.Time     `json:"time" doc:"When it happened"`
	Action       string        `json:"action" cli:"-" doc:"The operation" example:"members.remove"`
	Sentence     string        `json:"sentence" doc:"What happened, in a sentence" example:"Ada removed Zoe"`
	Actor        Actor         `json:"actor" doc:"Who did it"`
	Organization string        `json:"organization,omitempty" cli:"-" doc:"The organization whose log it stands in; absent in a person's or the instance's own"`
	Targets      []Target      `json:"targets" cli:"-" doc:"What it was done to"`
	Changes      []FieldChange `json:"changes" cli:"-" doc:"What was changed: before and after"`
	Outcome      op.Outcome    `json:"outcome" enum:"ok,unchanged,denied,failed" doc:"How it ended"`
	Count        int64         `json:"count" cli:"-" doc:"How often: refusals of the same kind within a minute are one event" example:"1"`
	Reason       string        `json:"reason,omitempty" doc:"The reason that was given, or why it was refused"`
	Address      string        `json:"address,omitempty" cli:"-" doc:"The network address it was done from" example:"203.0.113.7"`
	Agent        string        `json:"agent,omitempty" cli:"-" doc:"The user agent it was done with"`
	RequestID    string        `json:"request_id,omitempty" cli:"-" doc:"The request's id"`
	Leaf         string        `json:"leaf" cli:"-" doc:"The row's hash as a leaf of the log's Merkle tree (RFC 6962), in hex"`
}

// Actor is who did something.
type Actor struct {
	Kind  op.ActorKind `json:"kind" enum:"anonymous,user,service_key,operator,system,setup_link" doc:"What kind of actor"`
	ID    string       `json:"id" doc:"A user's or service key's id" example:"usr_01k..."`
	Name  string       `json:"name,omitempty" doc:"The name at that time" example:"Ada"`
	Email string       `json:"email,omitempty" doc:"The e-mail address at that time" example:"ada@acme.test"`

	erased bool
}

// Target is what something was done to.
type Target struct {
	Type string `json:"type" doc:"What kind of thing" example:"member"`
	ID   string `json:"id" doc:"Its id" example:"mem_01k..."`
	Name string `json:"name,omitempty" doc:"What it was called at that time" example:"Zoe"`

	erased bool
}

// FieldChange is a field before and after.
type FieldChange struct {
	Field  string `json:"field" doc:"The field" example:"role"`
	Before any    `json:"before,omitempty" doc:"What it was; absent if nothing"`
	After  any    `json:"after,omitempty" doc:"What it is; absent if nothing"`
}

// ListEventsInput says which events.
type ListEventsInput struct {
	op.InOrganization
	op.Page
	Filter
}

// Validate checks the filters.
func (in *ListEventsInput) Validate() []op.FieldError { return in.Filter.check() }

// ListEvents lists the events of an organization, the newest first. Looking is an event too.
var ListEvents = &op.Op[ListEventsInput, op.List[Event]]{
	Name:     "audit.list",
	Route:    "GET /v1/organizations/{organization}/audit",
	Summary:  "List what happened in the organization, the newest first",
	Allow:    op.On("audit.view"),
	Recorded: true,
	Do:       listEvents,
	Example:  ListEventsInput{InOrganization: op.InOrganization{Organization: "acme"}, Filter: Filter{Query: "action:members.remove created:>2026-11-01"}},
}

func listEvents(ctx context.Context, tx *op.Tx, in ListEventsInput) (op.List[Event], error) {
	q, err := compile(ctx, tx.Reader, in.Filter)
	if err != nil {
		return op.List[Event]{}, err
	}
	if position := in.After(); len(position) == 1 {
		q.before, _ = strconv.ParseInt(position[0], 10, 64)
	}
	events, err := q.page(ctx, tx.Reader, in.Size()+1)
	return op.Listed(tx.Reader, &in.Page, events, func(e Event) []string {
		return []string{strconv.FormatInt(e.Sequence, 10)}
	}), err
}

// GetEventInput names an event.
type GetEventInput struct {
	op.InOrganization
	Event string `json:"event" doc:"The event's id" maxLength:"64" example:"evt_00000000000000000000000000"`
}

// GetEvent shows one event. Looking is an event too.
var GetEvent = &op.Op[GetEventInput, Event]{
	Name:     "audit.get",
	Route:    "GET /v1/organizations/{organization}/audit/{event}",
	Summary:  "Show one event of the audit log",
	Allow:    op.On("audit.view"),
	Recorded: true,
	Target:   eventTarget,
	Do: func(_ context.Context, tx *op.Tx, _ GetEventInput) (Event, error) {
		e, _ := tx.Target().Value.(Event)
		return e, nil
	},
	Example: GetEventInput{op.InOrganization{Organization: "acme"}, "evt_00000000000000000000000000"},
}

func eventTarget(ctx context.Context, r *op.Reader, in GetEventInput) (op.Target, error) {
	q := pageQuery{stream: r.Organization()}
	q.where("r.id = ?", in.Event)
	events, err := q.page(ctx, r, 1)
	if err != nil {
		return op.Target{}, err
	}
	if len(events) == 0 {
		return op.Target{}, op.ErrNotFound
	}
	return op.Target{Organization: r.Organization(), Type: "event", ID: in.Event, Value: events[0]}, nil
}

// eventColumns are what scanEvent reads, with a sequence number behind them.
const eventColumns = `r.stream, r.seq, r.at, r.id, r.action, r.actor_kind, r.actor, r.outcome, r.times, r.reason,
	r.request_id, r.detail, r.leaf`

// scanEvent reads the row itself; its people are read for all rows at once. Rows before stop are not asked for.
func scanEvent(row interface{ Scan(...any) error }) (e Event, stream string, stop int64, err error) {
	e = Event{Targets: []Target{}, Changes: []FieldChange{}}
	var detail string
	var at int64
	var leaf []byte
	if err := row.Scan(&stream, &e.Sequence, &at, &e.ID, &e.Action, &e.Actor.Kind, &e.Actor.ID, &e.Outcome, &e.Count, &e.Reason,
		&e.RequestID, &detail, &leaf, &stop); err != nil {
		return e, stream, stop, err
	}
	e.Time, e.Leaf = time.UnixMicro(at).UTC(), hex.EncodeToString(leaf)
	if isOrganization(stream) {
		e.Organization = stream
	}
	return e, stream, stop, json.Unmarshal([]byte(detail), &e.Changes)
}
