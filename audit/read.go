package audit

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/query"
	"github.com/guildhall/guildhall/op"
)

func isOrganization(stream string) bool { return id.Valid("org", stream) }

// pageQuery is a page of one stream, the newest event first.
type pageQuery struct {
	stream string
	before int64 // the sequence number of the last event of the page before; 0 on the first page
	from   int64 // Unix microseconds; 0 is the beginning
	until  int64 // Unix microseconds; 0 is the end
	target string
	leads  bool // a condition has an index of its own, which ends with the sequence
	conds  []string
	args   []any
}

// where adds a condition, with ? for its value.
func (q *pageQuery) where(condition string, value any) {
	q.conds = append(q.conds, condition)
	q.args = append(q.args, value)
}

// compile makes a query of a filter in the reader's organization.
func compile(ctx context.Context, r *op.Reader, f Filter) (*pageQuery, error) {
	q := &pageQuery{stream: r.Organization()}
	terms, err := f.Terms()
	if err != nil {
		return nil, op.InvalidField("q", "invalid", "%s", err)
	}
	for _, t := range terms {
		if err := q.add(ctx, r, t); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// add adds a term.
func (q *pageQuery) add(ctx context.Context, r *op.Reader, t query.Term) error {
	value := t.Value
	if t.Field == "actor" || t.Field == "target" {
		var err error
		if value, err = memberID(ctx, r, t); err != nil {
			return err
		}
	}
	switch {
	case t.Field == "after":
		q.from = max(q.from, t.At)
	case t.Field == "before" && (q.until == 0 || t.At < q.until):
		q.until = t.At
	case t.Field == "before":
	case t.Field == "target" && (t.Not || q.target != ""):
		not := ""
		if t.Not {
			not = "NOT "
		}
		q.where(not+"EXISTS (SELECT 1 FROM audit_subjects x WHERE x.stream = r.stream AND x.seq = r.seq AND x.n > 0 AND x.id = ?)", value)
	case t.Field == "target":
		q.target = value
	case t.Not:
		q.where("r."+t.Field+" <> ?", value)
	default:
		q.leads = true
		q.where("r."+t.Field+" = ?", value)
	}
	return nil
}

// memberID turns the e-mail address or member id of a member of the organization, present or former, into what the log
// says of them: an actor is a user, a target a member. Anything else stays as it is.
func memberID(ctx context.Context, r *op.Reader, t query.Term) (string, error) {
	byMember, byAddress := t.Field == "actor" && id.Valid("mem", t.Value), strings.Contains(t.Value, "@")
	if !byMember && !byAddress {
		return t.Value, nil
	}
	column, wanted, value := "m.id", "m.user_id", t.Value
	if byAddress {
		column, value = "u.email_folded", strings.ToLower(t.Value)
	}
	if t.Field == "target" {
		wanted = "m.id"
	}
	var found string
	err := r.QueryRow(ctx, "SELECT "+wanted+` FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND `+column+` = $2 ORDER BY m.joined_at DESC LIMIT 1`, r.Organization(), value).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return t.Value, nil // nothing has this id
	}
	return found, err
}

// firstFrom and lastBefore turn bounds of time, which runs together with the sequence, into bounds of the sequence,
// which every index ends with: one look into the index of times, whatever else is asked.
const (
	firstFrom  = "COALESCE((SELECT b.seq FROM audit_rows b WHERE b.stream = $1 AND b.at >= ? ORDER BY b.at, b.seq LIMIT 1), 9223372036854775807)"
	lastBefore = "COALESCE((SELECT b.seq FROM audit_rows b WHERE b.stream = $1 AND b.at < ? ORDER BY b.at DESC, b.seq DESC LIMIT 1), 0)"
)

// text is the statement with its arguments. A target leads by its own index; of the others the database takes one. The
// last column is a sequence number at which to stop reading: where a condition has an index of its own, SQLite takes it
// only if the sequence is not bounded on both sides.
func (q *pageQuery) text(limit int) (string, []any) {
	args := []any{q.stream}
	bind := func(condition string, value any) string {
		args = append(args, value)
		return strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
	}
	from, seq, conds, stop := "audit_rows r", "r.seq", []string{"r.stream = $1"}, "0"
	if q.target != "" {
		from, seq = "audit_subjects s JOIN audit_rows r ON r.stream = s.stream AND r.seq = s.seq", "s.seq"
		conds = []string{"s.stream = $1", bind("s.id = ?", q.target), "s.n > 0", `NOT EXISTS (SELECT 1 FROM audit_subjects d
			WHERE d.stream = s.stream AND d.seq = s.seq AND d.id = s.id AND d.n > 0 AND d.n < s.n)`}
	}
	if q.before > 0 { // which is before until as well
		conds = append(conds, bind(seq+" < ?", q.before))
	} else if q.until != 0 {
		conds = append(conds, bind(seq+" <= "+lastBefore, q.until))
	}
	if q.from != 0 && (q.leads || q.target != "") {
		stop = bind(firstFrom, q.from)
	} else if q.from != 0 {
		conds = append(conds, bind(seq+" >= "+firstFrom, q.from))
	}
	for i, condition := range q.conds {
		conds = append(conds, bind(condition, q.args[i]))
	}
	order := bind(" ORDER BY "+seq+" DESC LIMIT ?", limit)
	return "SELECT " + eventColumns + ", " + stop + " FROM " + from + " WHERE " + strings.Join(conds, " AND ") + order, args
}

// page reads events: one statement for the rows and one for all of their people.
func (q *pageQuery) page(ctx context.Context, r *op.Reader, limit int) ([]Event, error) {
	text, args := q.text(limit)
	return readEvents(ctx, r, text, args)
}

// position is where a row stands.
type position struct {
	stream string
	seq    int64
}

func readEvents(ctx context.Context, r *op.Reader, text string, args []any) ([]Event, error) {
	rows, err := r.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []Event
	at := map[position]int{}
	for rows.Next() {
		e, stream, stop, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		if e.Sequence < stop {
			break
		}
		at[position{stream, e.Sequence}] = len(events)
		events = append(events, e)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(events) == 0 {
		return nil, err
	}
	if err := readSubjects(ctx, r, at, events); err != nil {
		return nil, err
	}
	for i := range events {
		events[i].Sentence = Sentence(r.Charter, events[i])
	}
	return events, nil
}

// body is what was kept of an actor or target apart from the row; see op.
type body struct {
	Name    string        `json:"name"`
	Email   string        `json:"email"`
	Address string        `json:"address"`
	Agent   string        `json:"agent"`
	Changes []FieldChange `json:"changes"`
}

// readSubjects reads the people of all events at once.
func readSubjects(ctx context.Context, r *op.Reader, at map[position]int, events []Event) error {
	byStream := map[string][]string{}
	var args []any
	for p := range at {
		args = append(args, p.seq)
		byStream[p.stream] = append(byStream[p.stream], "$"+strconv.Itoa(len(args)))
	}
	var parts []string
	for stream, seqs := range byStream {
		args = append(args, stream)
		parts = append(parts, "stream = $"+strconv.Itoa(len(args))+" AND seq IN ("+strings.Join(seqs, ", ")+")")
	}
	rows, err := r.Query(ctx, "SELECT stream, seq, n, type, id, body FROM audit_subjects WHERE "+strings.Join(parts, " OR ")+
		" ORDER BY stream, seq, n", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p position
		var n int
		var s Target
		var text string
		if err := rows.Scan(&p.stream, &p.seq, &n, &s.Type, &s.ID, &text); err != nil {
			return err
		}
		if err := events[at[p]].merge(n, s, text); err != nil {
			return err
		}
	}
	return rows.Err()
}

// merge adds an actor (n = 0) or target to the event. An empty text is that of somebody who was erased.
func (e *Event) merge(n int, s Target, text string) error {
	var b body
	if s.erased = text == ""; !s.erased {
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return err
		}
	}
	e.Changes = append(e.Changes, b.Changes...)
	if n == 0 {
		e.Actor.Name, e.Actor.Email, e.Actor.erased = b.Name, b.Email, s.erased
		e.Address, e.Agent = b.Address, b.Agent
		return nil
	}
	s.Name = b.Name
	e.Targets = append(e.Targets, s)
	return nil
}
