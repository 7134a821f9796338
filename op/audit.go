package op

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/guildhall/guildhall/internal/id"
)

// Outcome is how an audited call ended.
type Outcome string

// The outcomes.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeUnchanged Outcome = "unchanged" // allowed, and there was nothing to change
	OutcomeDenied    Outcome = "denied"    // refused; one row for an actor, operation and minute, with a count
	OutcomeFailed    Outcome = "failed"    // a wrong code: it counts, so it is kept
)

// Change is what a field was and is.
type Change struct {
	Field  string `json:"field"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// InstanceStream is the audit stream of what concerns no organization and no user.
const InstanceStream = "instance"

// Row is an audit row as it is stored and hashed: ids and facts, no names, addresses or secrets.
type Row struct {
	Stream     string
	Seq        int64
	At         int64 // Unix microseconds, never less than the row before
	ID         string
	Action     string
	ActorKind  ActorKind
	Actor      string
	Credential string
	OnBehalf   string
	Outcome    Outcome
	Times      int64
	Reason     string
	RequestID  string
	Detail     string // JSON list of Change
	Subjects   []Commitment
}

// Commitment names a subject of a row (the actor first, then the targets) and commits to what is kept about it apart:
// SHA-256 over a salt of 16 bytes and the text. Without salt and text it says nothing, so a person can be erased and the
// row still verifies.
type Commitment struct {
	Type string
	ID   string
	Hash []byte
}

// Commit computes the hash of a commitment.
func Commit(salt []byte, body string) []byte {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write([]byte(body))
	return sum.Sum(nil)
}

// Leaf is the hash of a row as a leaf of a Merkle tree (RFC 6962, section 2.1: SHA-256 over 0x00 and the text of the
// row). The text is a JSON array of the row's fields, in their order here, so it has one spelling.
func (r Row) Leaf() []byte {
	text := []any{1, r.Stream, r.Seq, r.At, r.ID, r.Action, r.ActorKind, r.Actor, r.Credential, r.OnBehalf, r.Outcome,
		r.Times, r.Reason, r.RequestID, r.Detail}
	for _, s := range r.Subjects {
		text = append(text, []any{s.Type, s.ID, s.Hash})
	}
	raw, err := json.Marshal(text)
	if err != nil {
		panic("audit row: " + err.Error()) // strings, numbers and bytes always marshal
	}
	hash := tlog.RecordHash(raw)
	return hash[:]
}

// subject is an actor or target of a row with what is kept apart.
type subject struct {
	Type string
	ID   string
	body subjectBody
}

// subjectBody is what is known of a subject at the time of a row, and may be erased.
type subjectBody struct {
	Name    string   `json:"name,omitempty"`
	Email   string   `json:"email,omitempty"`
	Address string   `json:"address,omitempty"`
	Agent   string   `json:"agent,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

// writeAudit writes the call's row, and those in the logs of other organizations: two statements, whatever the number.
func (tx *Tx) writeAudit(ctx context.Context) error {
	c := tx.call
	own, err := tx.newRow(c.stream, c.seq, c.at, c.changes)
	if err != nil {
		return err
	}
	c.event = own.ID
	rows := []logged{{own, c.subjects()}}
	for _, o := range c.others {
		row, err := tx.newRow(o.stream, o.seq, o.at, o.changes)
		if err != nil {
			return err
		}
		rows = append(rows, logged{row, append([]subject{c.actorSubject()}, o.targets...)})
	}
	return tx.insertRows(ctx, rows...)
}

// newRow is a row about the call.
func (tx *Tx) newRow(stream string, seq, at int64, changes []Change) (Row, error) {
	c := tx.call
	detail, err := json.Marshal(changes, json.FormatNilSliceAsNull(false))
	return Row{Stream: stream, Seq: seq, At: at, ID: tx.NewID("evt"), Action: c.d.info.Name,
		ActorKind: c.actor.Kind, Actor: c.actor.ID, Credential: c.actor.Credential.ID, OnBehalf: c.actor.onBehalf(), Outcome: c.outcome, Times: 1,
		Reason: c.reason, RequestID: c.request.Caller.RequestID, Detail: string(detail)}, err
}

// logged is a row with its subjects, the actor first.
type logged struct {
	Row
	subjects []subject
}

// otherLog is the log of an organization that a call changes although it is about something else.
type otherLog struct {
	stream  string
	seq, at int64
	targets []subject
	changes []Change
}

// subjects are the actor, the target and whatever else the call named, each once.
func (c *call) subjects() []subject {
	all := []subject{c.actorSubject()}
	if c.target.ID != "" {
		all = append(all, subject{Type: c.target.Type, ID: c.target.ID, body: subjectBody{Name: c.target.Name}})
	}
	all = append(all, c.also...)
	for i := range all {
		all[i].body.Changes = c.personal[all[i].ID]
		delete(c.personal, all[i].ID)
	}
	return all
}

func (c *call) actorSubject() subject {
	return subject{Type: string(c.actor.Kind), ID: c.actor.ID, body: subjectBody{Name: c.actor.Name,
		Email: c.actor.Email, Address: c.request.Caller.Address, Agent: c.request.Caller.Agent}}
}

// insertRows writes rows and what is kept apart about their subjects.
func (tx *Tx) insertRows(ctx context.Context, all ...logged) error {
	apart := newInsert("audit_subjects", "stream", "seq", "n", "type", "id", "body", "salt", "commitment")
	rows := newInsert("audit_rows", "stream", "seq", "at", "id", "action", "actor_kind", "actor", "credential",
		"on_behalf", "outcome", "times", "reason", "request_id", "detail", "leaf")
	for _, row := range all {
		if err := row.commit(apart); err != nil {
			return err
		}
		rows.row(row.Stream, row.Seq, row.At, row.ID, row.Action, string(row.ActorKind), row.Actor, row.Credential,
			row.OnBehalf, string(row.Outcome), row.Times, row.Reason, row.RequestID, row.Detail, row.Leaf())
	}
	if err := rows.execLater(ctx, tx); err != nil {
		return err
	}
	return apart.execLater(ctx, tx)
}

// commit puts what is known of the row's subjects apart, and commitments to it into the row.
func (l *logged) commit(apart *insert) error {
	for n, s := range l.subjects {
		body, err := json.Marshal(s.body)
		if err != nil {
			return err
		}
		salt := make([]byte, 16)
		_, _ = rand.Read(salt) // never fails: see crypto/rand
		hash := Commit(salt, string(body))
		l.Subjects = append(l.Subjects, Commitment{s.Type, s.ID, hash})
		apart.row(l.Stream, l.Seq, n, s.Type, s.ID, string(body), salt, hash)
	}
	return nil
}

// refusals gathers denied calls until they are written: one row for an actor, operation, stream and minute.
type refusalKey struct {
	stream, actor, operation string
	minute                   int64
}

type refusal struct {
	row     Row
	subject subject
}

// maxRefusals bounds what is kept in memory between two writes.
const maxRefusals = 10_000

// noteRefusal counts a denied call, for the actor's own stream and, if the actor is a member there, the organization's.
// A dry run asks and tries nothing, so it is not counted.
func (s *Service) noteRefusal(c *call, e *Error) {
	if c.request.DryRun {
		return
	}
	if e.Kind != Denied && e.Kind != NotFound && e.Kind != PlanRequired || c.actor.Kind == NobodyActor || c.actor.Kind == "" {
		return
	}
	streams := []string{InstanceStream}
	if c.actor.User != "" {
		streams[0] = c.actor.User
	}
	if p := c.actor.Principal; p.Member != "" || (c.actor.derived() || c.actor.Kind == DirectoryActor) && p.Organization != "" {
		streams = append(streams, p.Organization)
	}
	s.refusals.Lock()
	defer s.refusals.Unlock()
	for _, stream := range streams {
		s.countRefusal(c, e, stream)
	}
}

func (s *Service) countRefusal(c *call, e *Error, stream string) {
	now := s.config.Now()
	key := refusalKey{stream, c.actor.ID, c.d.info.Name, now.Unix() / 60}
	held, ok := s.refusals.held[key]
	if !ok && len(s.refusals.held) >= maxRefusals {
		s.refusals.lost++
		return
	}
	if !ok {
		held = &refusal{subject: c.actorSubject(), row: Row{Stream: stream, ID: id.New("evt", now), At: now.UnixMicro(), Action: c.d.info.Name,
			ActorKind: c.actor.Kind, Actor: c.actor.ID, Credential: c.actor.Credential.ID, OnBehalf: c.actor.onBehalf(), Outcome: OutcomeDenied,
			Reason: refusalReason(e), RequestID: c.request.Caller.RequestID, Detail: "[]"}}
		if s.refusals.held == nil {
			s.refusals.held = map[refusalKey]*refusal{}
		}
		s.refusals.held[key] = held
	}
	held.row.Times++
}

func refusalReason(e *Error) string {
	if e.Needs != "" {
		return "needs " + string(e.Needs)
	}
	return e.FullCode()
}

// WriteRefusals writes the refusals that were gathered. The service's owner calls it at least once a minute, and at the
// end. What cannot be written is kept for the next time.
func (s *Service) WriteRefusals(ctx context.Context) error {
	s.refusals.Lock()
	held := s.refusals.held
	s.refusals.held = nil
	s.refusals.Unlock()
	for key, r := range held {
		if err := s.writeRefusal(ctx, r); err != nil {
			s.keepRefusals(held)
			return err
		}
		delete(held, key)
	}
	return nil
}

func (s *Service) keepRefusals(held map[refusalKey]*refusal) {
	s.refusals.Lock()
	defer s.refusals.Unlock()
	for key, r := range held {
		if newer, ok := s.refusals.held[key]; ok {
			newer.row.Times += r.row.Times
		} else if s.refusals.held == nil {
			s.refusals.held = map[refusalKey]*refusal{key: r}
		} else {
			s.refusals.held[key] = r
		}
	}
}
