package usage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/op"
)

// RecordInput is one event, or a list of them.
type RecordInput struct {
	op.InOrganization
	Event
	Events []Event `json:"events,omitzero" doc:"Up to 1000 events, each with its own verdict, in the place of the one that the other fields say" required:"false"`
}

// Validate demands one event or between one and MaxEvents.
func (in RecordInput) Validate() []op.FieldError {
	one := in.Event != Event{}
	switch {
	case one && in.Events != nil:
		return []op.FieldError{{Pointer: "/events", Code: "invalid", Detail: "send one event or a list of events, not both"}}
	case !one && len(in.Events) == 0:
		return []op.FieldError{{Pointer: "/meter", Code: "required", Detail: "meter is required: what is counted"}}
	case len(in.Events) > MaxEvents:
		return []op.FieldError{{Pointer: "/events", Code: "too_many", Detail: fmt.Sprintf("%d events are more than the %d of one recording", len(in.Events), MaxEvents)}}
	}
	return nil
}

// all are the events that are said.
func (in *RecordInput) all() []Event {
	if in.Events != nil {
		return in.Events
	}
	return []Event{in.Event}
}

// What becomes of an event.
const (
	StatusRecorded  = "recorded"  // it counts
	StatusDuplicate = "duplicate" // an event of this source and id counts already
	StatusRefused   = "refused"   // it does not count: Code and Detail say why
)

// Verdict is what became of one event.
type Verdict struct {
	Index  int    `json:"index" doc:"Its place among the events that were sent, from 0"`
	ID     string `json:"id,omitzero" doc:"Its id: the one that it had, or was given" example:"run_8126"`
	Status string `json:"status" enum:"recorded,duplicate,refused" doc:"recorded: it counts; duplicate: it counted before; refused: it does not count"`
	Code   string `json:"code,omitzero" doc:"Why it was refused" example:"unknown_meter"`
	Detail string `json:"detail,omitzero" doc:"What is wrong with it, and what would be right"`
}

// Recorded says what became of every event.
type Recorded struct {
	Recorded   int       `json:"recorded" doc:"How many count from now on"`
	Duplicates int       `json:"duplicates" doc:"How many counted before"`
	Refused    int       `json:"refused" doc:"How many do not count"`
	OverLimit  []string  `json:"over_limit" doc:"Meters of which there is more than the plan's hard limit: what was used is recorded all the same"`
	Results    []Verdict `json:"results" doc:"What became of each event, in the order in which they were sent"`
}

// Record records what was used. When it has returned, what it calls recorded is on disk and counts exactly once.
var Record = &op.Op[RecordInput, Recorded]{
	Name:    "usage.record",
	Route:   "POST /v1/organizations/{organization}/usage/events",
	Summary: "Record what was used: one event, up to 1000, or CloudEvents; the same source and id counts once",
	Kind:    op.Count,
	Allow:   op.AnyOf(op.ByService, op.AlsoClosed(op.ByOperator)), // what was used before a deletion was scheduled may come late
	Do:      record,
	Example: RecordInput{InOrganization: op.InOrganization{Organization: "acme"}, Event: Event{Meter: "executions", Value: 1, ID: "run_8126"}},
}

func record(ctx context.Context, tx *op.Tx, in RecordInput) (Recorded, error) {
	lock := shared
	if slices.ContainsFunc(in.all(), func(e Event) bool { return e.Corrects != "" }) {
		lock = alone
	}
	b, err := newBatch(ctx, tx, in.Organization, lock)
	if err != nil {
		return Recorded{}, err
	}
	for i, e := range in.all() {
		b.add(i, e)
	}
	if err := b.store(ctx, tx); err != nil {
		return Recorded{}, err
	}
	return b.answer(), nil
}

// row is an event on its way into the tables.
type row struct {
	index  int
	event  Event
	meter  charter.Meter
	at     int64
	series series
	item   string // its hash
}

// batch is one recording.
type batch struct {
	account
	charter  *charter.Charter
	source   string // of events that say none
	tx       *op.Tx
	limited  map[string]bool // members and keys with limits of their own
	verdicts []Verdict
	rows     []row
	over     []string
}

func newBatch(ctx context.Context, tx *op.Tx, organization string, lock holding) (*batch, error) {
	a, err := accountOf(ctx, tx.Reader, organization, lock)
	return &batch{account: a, charter: tx.Charter, source: tx.Actor.ID, tx: tx}, err
}

// add judges an event, as far as that needs no table.
func (b *batch) add(index int, e Event) {
	v := Verdict{Index: index, ID: e.ID, Status: StatusRecorded}
	m, wrong := e.check(b.charter, b.tx.Now)
	if wrong == nil && e.about != "" && e.about != b.organization {
		wrong = refused("other_organization", "the event's subject is %q, and this is %s", e.about, b.organization)
	}
	if wrong != nil {
		v.Status, v.Code, v.Detail = StatusRefused, wrong.code, wrong.detail
		b.verdicts = append(b.verdicts, v)
		return
	}
	b.keep(index, e, m)
	v.ID = b.rows[len(b.rows)-1].event.ID
	b.verdicts = append(b.verdicts, v)
}

// keep fills in what an event leaves open.
func (b *batch) keep(index int, e Event, m charter.Meter) {
	r := row{index: index, event: e, meter: m, at: b.tx.Micros(), series: e.series()}
	if !e.At.IsZero() {
		r.at = e.At.UnixMicro()
	}
	r.event.Source = cmp.Or(e.Source, b.source)
	if e.ID == "" {
		r.event.ID = b.newID(index)
	}
	switch {
	case m.Kind == charter.Counter && e.Value == 0 && !e.said && e.Corrects == "", m.Kind == charter.Unique:
		r.event.Value = 1
	}
	if e.Item != "" {
		r.item = itemHash(b.organization, m.ID, e.Item)
	}
	b.rows = append(b.rows, r)
}

// newID is the id of an event that has none: of the call's Idempotency-Key, so that a repeat counts once, else a new one.
func (b *batch) newID(index int) string {
	key := b.tx.IdempotencyKey()
	if key == "" {
		return id.New("evt", b.tx.Now)
	}
	sum := sha256.Sum256([]byte(key + "\x00" + strconv.Itoa(index)))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// refuse takes a row back and says why.
func (b *batch) refuse(r row, wrong *refusal) {
	v := &b.verdicts[r.index]
	v.Status, v.Code, v.Detail = StatusRefused, wrong.code, wrong.detail
}

// store writes the rows, and everything that follows from those that are new.
func (b *batch) store(ctx context.Context, tx *op.Tx) error {
	if err := b.correct(ctx, tx); err != nil || len(b.rows) == 0 {
		return err
	}
	// In one order everywhere: two recordings of the same events wait for each other, and never in a circle.
	slices.SortStableFunc(b.rows, func(x, y row) int {
		return cmp.Or(strings.Compare(x.event.Source, y.event.Source), strings.Compare(x.event.ID, y.event.ID))
	})
	if err := b.insertEvents(ctx, tx); err != nil || len(b.rows) == 0 {
		return err
	}
	if err := b.count(ctx, tx); err != nil {
		return err
	}
	return b.log(ctx, tx)
}

func (b *batch) answer() Recorded {
	out := Recorded{OverLimit: b.over, Results: b.verdicts}
	if out.OverLimit == nil {
		out.OverLimit = []string{}
	}
	for _, v := range b.verdicts {
		switch v.Status {
		case StatusRecorded:
			out.Recorded++
		case StatusDuplicate:
			out.Duplicates++
		default:
			out.Refused++
		}
	}
	return out
}
