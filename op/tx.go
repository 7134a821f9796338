package op

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
)

// Reader reads the data as one operation sees it. It is used by one goroutine.
type Reader struct {
	Actor    *Actor
	Caller   Caller
	Charter  *charter.Charter
	Now      time.Time // the server's clock at the start of the transaction
	Secrets  *secret.Ring
	Settings Settings
	Parts    Parts

	sql     *sqldb.Tx
	service *Service
	page    *Page
	about   string // the target's organization
}

// Micros is Now in Unix microseconds, as the tables keep times.
func (r *Reader) Micros() int64 { return r.Now.UnixMicro() }

// Query runs a query; see database/sql.
func (r *Reader) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.sql.Query(ctx, query, args...)
}

// QueryRow runs a query for one row; Scan gives sql.ErrNoRows for none.
func (r *Reader) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return r.sql.QueryRow(ctx, query, args...)
}

// Dialect is the database's.
func (r *Reader) Dialect() sqldb.Dialect { return r.sql.Dialect() }

// ForShare is the end of a query whose rows must stay as they are until the transaction ends. It is empty on SQLite,
// where one writer runs at a time, and where lock is false.
func (r *Reader) ForShare(lock bool, tables string) string {
	if !lock || r.sql.Dialect() == sqldb.SQLite {
		return ""
	}
	return " FOR SHARE OF " + tables
}

// turns are the advisory locks by which those who act by a credential and those who change it wait for each other in their
// order.
const turns = 0x6769 // "gi"

// Acting is ForShare for the row of the credential that acts, in the table of that short name. PostgreSQL lets one more share
// a row while somebody waits to change it: who acts without a pause, at several servers or in several organizations, could
// put off the end of their own credential for ever. So they line up behind whoever waits: see Tx.Quiet.
func (r *Reader) Acting(lock bool, table string) string {
	share := r.ForShare(lock, table)
	if share == "" {
		return ""
	}
	return fmt.Sprintf(" AND pg_advisory_xact_lock_shared(%d, hashtext(%s.id)) IS NOT NULL%s", turns, table, share)
}

// Organization is the id of the call's organization: the one that the actor is in, else the target's; empty outside of
// any.
func (r *Reader) Organization() string {
	if in := r.Actor.Principal.Organization; in != "" {
		return in
	}
	return r.about
}

// May says whether the actor holds a permission in the call's organization, and why not.
func (r *Reader) May(p charter.Permission) decide.Decision {
	return decide.Decide(&r.Actor.Principal, decide.Ask(r.Charter, p, ""), r.Micros())
}

// Asks are the permissions that an operation of this service asks for, by the operation's name: what somebody needed who
// ran it. Nothing for a name that it does not have, and for what needs no permission.
func (r *Reader) Asks(operation string) []charter.Permission {
	if d, ok := r.service.table[operation]; ok {
		return d.info.Allow.Permissions()
	}
	return nil
}

// Demand returns a Denied error unless the actor holds the permission: for operations that need another right for each
// field that is present.
func (r *Reader) Demand(ctx context.Context, p charter.Permission) error {
	if d := r.May(p); !d.Allow {
		return r.Refuse(ctx, d)
	}
	return nil
}

// Has reports whether the plan of the call's organization unlocks a feature. The operator and scheduled work do what they
// do on any plan.
func (r *Reader) Has(feature string) bool {
	p := &r.Actor.Principal
	return feature == "" || p.Power == decide.Operator || p.Power == decide.System || r.Charter.Unlocked(p.Plan, feature)
}

// DemandFeature returns a PlanRequired error, which names the plan that has it, unless the plan of the call's organization
// unlocks the feature: for operations of which only a part needs one.
func (r *Reader) DemandFeature(feature string) error {
	if r.Has(feature) {
		return nil
	}
	return r.planRequired(feature, "")
}

// planRequired says what is missing, what it brings and which plan has it. Who changes the plan is told where.
func (r *Reader) planRequired(feature string, needs charter.Permission) *Error {
	f := r.Charter.Feature(feature)
	e := &Error{Kind: PlanRequired, Reason: decide.PlanRequired, Needs: needs, FixURL: "/docs/plans#" + strings.ReplaceAll(feature, "_", "-"),
		Refers: map[string]string{"feature": feature}}
	e.Text = "this needs " + f.Title + ", which no plan has"
	if plan, sold := r.Charter.PlanWith(feature); sold {
		e.Text = "this needs " + f.Title + ", which comes with the plan " + plan.Title
		e.Refers["plan"] = plan.ID
	}
	if r.May("billing.manage").Allow {
		e.FixURL = "/o/" + r.Organization() + "/settings/billing/plans"
	}
	return e
}

// DemandFresh asks people in a browser for a recent proof of who they are: for operations of which only a part needs one.
func (r *Reader) DemandFresh() error {
	c := r.Actor.Credential
	if !c.Cookie || r.Now.Sub(time.UnixMicro(c.SignedInAt)) <= FreshFor {
		return nil
	}
	return &Error{Kind: Denied, Code: "verification_required", FixURL: "/verify",
		Text: "this needs a sign-in within the last 10 minutes: verify that it is you"}
}

// Refuse makes the error of a denial: what is needed and, for those who may see members, who has it.
func (r *Reader) Refuse(ctx context.Context, d decide.Decision) error {
	return r.service.refuse(ctx, r, d)
}

// MayActOn refuses the call if the member holds what the actor does not.
func (r *Reader) MayActOn(ctx context.Context, target *decide.Principal) error {
	if d := decide.ActOn(&r.Actor.Principal, target); !d.Allow {
		return r.Refuse(ctx, d)
	}
	return nil
}

// Tx is the transaction of one operation. Everything done through it is committed with the audit row, or not at all.
type Tx struct {
	*Reader
	call *call
}

var errReadOnly = errors.New("a read operation tried to write")

// Exec runs a statement that changes something, and says how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if tx.call == nil || !tx.call.writing {
		return 0, errReadOnly
	}
	return tx.sql.Exec(ctx, query, args...)
}

// Quiet is a further condition of a statement that changes credentials, the last one: it waits until nobody acts by the
// credential any more, and whoever begins to waits for this change. It is empty on SQLite, where one writer runs at a time.
// Those before it have to be cheap, or an index: it is asked of each row of which they are true.
func (tx *Tx) Quiet() string {
	if tx.sql.Dialect() == sqldb.SQLite {
		return ""
	}
	return fmt.Sprintf(" AND pg_advisory_xact_lock(%d, hashtext(id)) IS NOT NULL", turns)
}

// NewID makes an id with a prefix: "mem_01k...".
func (tx *Tx) NewID(prefix string) string { return id.New(prefix, tx.Now) }

// IdempotencyKey is what the caller calls this call, to repeat it safely; empty: it said nothing. Operations of kind Count
// keep their repeats apart themselves.
func (tx *Tx) IdempotencyKey() string { return tx.call.request.IdempotencyKey }

// Target is what was loaded and authorized, as it is inside the transaction.
func (tx *Tx) Target() *Target { return &tx.call.target }

// Changed notes what a field was and is, for the audit row. Not for names, addresses and secrets: see ChangedPersonal.
func (tx *Tx) Changed(field string, before, after any) {
	tx.call.changes = append(tx.call.changes, Change{Field: field, Before: before, After: after})
}

// ChangedPersonal notes a change of a personal field (a name, an address) of the person or invitation with this id,
// who must be the actor or one of the targets. It is kept apart from the row, and erased with the person.
func (tx *Tx) ChangedPersonal(subject, field string, before, after any) {
	if tx.call.personal == nil {
		tx.call.personal = map[string][]Change{}
	}
	tx.call.personal[subject] = append(tx.call.personal[subject], Change{Field: field, Before: before, After: after})
}

// Also names a further target in the audit row.
func (tx *Tx) Also(kind, id, name string) {
	tx.call.also = append(tx.call.also, subject{Type: kind, ID: id, body: subjectBody{Name: name}})
}

// AlsoIn names a target in the log of another organization that this call changes, in a row of its own there. The first
// time, it locks that organization until the transaction ends: a call that changes several names each of them before it
// reads what it depends on, in the order of their ids.
func (tx *Tx) AlsoIn(ctx context.Context, organization, kind, id, name string) error {
	if organization == tx.call.stream {
		tx.Also(kind, id, name)
		return nil
	}
	o, ok := tx.otherLog(organization)
	if !ok {
		o = &otherLog{stream: organization}
		var err error
		if o.seq, o.at, err = tx.next(ctx, organization); err != nil {
			return err
		}
		tx.call.others = append(tx.call.others, o)
	}
	o.targets = append(o.targets, subject{Type: kind, ID: id, body: subjectBody{Name: name}})
	return nil
}

// ChangedIn notes a change for the row in an organization's log: that of the call, or one that AlsoIn began.
func (tx *Tx) ChangedIn(organization, field string, before, after any) {
	if o, ok := tx.otherLog(organization); ok {
		o.changes = append(o.changes, Change{Field: field, Before: before, After: after})
		return
	}
	tx.Changed(field, before, after)
}

func (tx *Tx) otherLog(organization string) (*otherLog, bool) {
	for _, o := range tx.call.others {
		if o.stream == organization {
			return o, true
		}
	}
	return nil, false
}

// Erase takes what the log keeps about subjects (a user, a member, an invitation) out of every stream: names, addresses
// and personal changes, with the salt that commits to them. The rows stay, and every stream still verifies.
func (tx *Tx) Erase(ctx context.Context, subjects ...string) error {
	names, args := make([]string, len(subjects)), make([]any, len(subjects))
	for i, s := range subjects {
		names[i], args[i] = "$"+strconv.Itoa(i+1), s
	}
	_, err := tx.Exec(ctx, "UPDATE audit_subjects SET body = '', salt = '' WHERE stream IN (SELECT id FROM streams) AND id IN ("+
		strings.Join(names, ", ")+")", args...)
	return err
}

// EraseStream takes what the log of a whole stream keeps about its subjects out of up to so many rows, the oldest first,
// and says of how many subjects. The stream still verifies. It is for an organization that is gone.
func (tx *Tx) EraseStream(ctx context.Context, stream string, rows int) (int64, error) {
	return tx.Exec(ctx, `UPDATE audit_subjects SET body = '', salt = '' WHERE stream = $1 AND body <> '' AND seq IN
		(SELECT seq FROM audit_subjects WHERE stream = $1 AND body <> '' GROUP BY seq ORDER BY seq LIMIT $2)`, stream, rows)
}

// Because notes the reason that the actor gave.
func (tx *Tx) Because(reason string) { tx.call.reason = reason }

// ProvedBy says that the input itself proved who makes the call, as a mailed link does: the audit row names that person.
// It changes nothing about what the call may do, and nothing at all where somebody is signed in.
func (tx *Tx) ProvedBy(user, name, email string) {
	if a := &tx.call.actor; a.Kind == NobodyActor {
		tx.call.proved = true
		a.Kind, a.ID, a.Name, a.Email = UserActor, user, name, email
	}
}

// ProvedByLink says that a set-up link makes the call, which nobody signed in does: the audit row names the link. It changes
// nothing about what the call may do.
func (tx *Tx) ProvedByLink(link string) {
	if a := &tx.call.actor; a.Kind == NobodyActor {
		tx.call.proved = true
		a.Kind, a.ID = LinkActor, link
	}
}

// Unchanged says that the call changed nothing: the audit row says so too.
func (tx *Tx) Unchanged() { tx.call.outcome = OutcomeUnchanged }

// Found begins a new audit stream, for the organization or user that this call makes, and writes the call's row to it;
// and further ones for users that it makes beside. The target must have said NewStream.
func (tx *Tx) Found(ctx context.Context, stream string, also ...string) error {
	insert := newInsert("streams", "id", "seq", "at")
	insert.row(stream, 1, tx.Micros())
	for _, other := range also {
		insert.row(other, 0, tx.Micros())
	}
	if err := insert.exec(ctx, tx); err != nil {
		return err
	}
	tx.call.stream, tx.call.seq, tx.call.at = stream, 1, tx.Micros()
	return nil
}

// FoundAlso begins a further audit stream, for a user that this call makes beside what it is about.
func (tx *Tx) FoundAlso(ctx context.Context, stream string) error {
	_, err := tx.Exec(ctx, "INSERT INTO streams (id, seq, at) VALUES ($1, $2, $3)", stream, 0, tx.Micros())
	return err
}

// Fence adds a principal whose cached decisions die with this change, where Fences could not know it.
func (tx *Tx) Fence(f ...Fence) { tx.call.fences = append(tx.call.fences, f...) }

// Session sets the secret of a session that this call made, for the edge to keep as a cookie or to show once.
func (tx *Tx) Session(token string, until time.Time) {
	tx.call.session = &NewSession{Token: token, Until: until}
}

// NewSession is a session that a call made.
type NewSession struct {
	Token string
	Until time.Time
}

// Send puts an effect (a mail) into the outbox: it happens after the commit, and only then. The payload is sealed. The
// id that it returns names the effect for whoever follows it.
func (tx *Tx) Send(kind string, payload []byte) string {
	job := tx.NewID("job")
	tx.call.outbox = append(tx.call.outbox, outboxRow{id: job, kind: kind, payload: tx.Secrets.Seal("outbox:"+kind, payload)})
	return job
}

type outboxRow struct {
	id, kind string
	payload  []byte
}

// writeOutbox writes all effects of the call in one statement.
func (tx *Tx) writeOutbox(ctx context.Context) error {
	if len(tx.call.outbox) == 0 {
		return nil
	}
	insert := newInsert("outbox", "id", "kind", "organization", "payload", "due_at", "attempts", "claimed_until", "state", "last_error", "created_at")
	for _, row := range tx.call.outbox {
		insert.row(row.id, row.kind, tx.Organization(), row.payload, tx.Micros(), 0, 0, "waiting", "", tx.Micros())
	}
	return insert.execLater(ctx, tx)
}
