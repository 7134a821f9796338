package usage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// ReserveInput holds units for work that begins.
type ReserveInput struct {
	op.InOrganization
	Meter     string `json:"meter" cli:"arg" doc:"What is counted: a meter of the charter that adds up" maxLength:"64" example:"executions"`
	Amount    int64  `json:"amount,omitzero" cli:"arg" doc:"How much; without it, 1" minimum:"1" maximum:"1000000000000000" example:"1" required:"false"`
	ExpiresIn int64  `json:"expires_in,omitzero" doc:"After how many seconds the units are free again, if nobody commits them; without it, 300" minimum:"1" maximum:"3600" example:"300" required:"false"`
	Member    string `json:"member,omitzero" doc:"For whom: their own limit counts too" maxLength:"128" required:"false"`
	Key       string `json:"key,omitzero" doc:"By which API key: its own limit counts too" maxLength:"128" required:"false"`
	Resource  string `json:"resource,omitzero" doc:"For what" maxLength:"128" required:"false"`
	Region    string `json:"region,omitzero" doc:"Where" maxLength:"128" required:"false"`
	Model     string `json:"model,omitzero" doc:"With which model" maxLength:"128" required:"false"`
}

// Reservation is what is held, and what is left.
type Reservation struct {
	ID        string    `json:"id" doc:"The reservation's id: commit or release it" example:"res_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Meter     string    `json:"meter" doc:"What is counted"`
	Amount    int64     `json:"amount" doc:"How much is held"`
	Remaining *int64    `json:"remaining,omitempty" doc:"What is left of the plan's limit; absent where there is none"`
	ExpiresAt time.Time `json:"expires_at" doc:"When the units are free again, if nobody commits them"`
}

// Reserve holds units for work that begins. What is used and held together never exceeds a hard limit: of any number of
// callers at once, as many are answered as there are units, and the others are refused with quota_exceeded.
var Reserve = &op.Op[ReserveInput, Reservation]{
	Name:    "quotas.reserve",
	Route:   "POST /v1/organizations/{organization}/quotas/reservations",
	Summary: "Hold units of a meter for work that begins, if there are so many left",
	Kind:    op.Count,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      reserve,
	Example: ReserveInput{InOrganization: op.InOrganization{Organization: "acme"}, Meter: "executions", Amount: 1},
}

func reserve(ctx context.Context, tx *op.Tx, in ReserveInput) (Reservation, error) {
	m, err := addingMeter(tx.Charter, in.Meter)
	if err != nil {
		return Reservation{}, err
	}
	e := Event{Meter: m.ID, Member: in.Member, Key: in.Key, Resource: in.Resource, Region: in.Region, Model: in.Model}
	for _, wrong := range []*refusal{e.checkTexts(), e.checkSeries(m)} {
		if wrong != nil {
			return Reservation{}, op.InvalidField("meter", "invalid", "%s", wrong.detail)
		}
	}
	life := time.Duration(cmp.Or(in.ExpiresIn, 300)) * time.Second
	return hold(ctx, tx, in.Organization, m, e, max(in.Amount, 1), life)
}

func addingMeter(c *charter.Charter, id string) (charter.Meter, error) {
	m, known := c.Meter(id)
	switch {
	case !known:
		return m, unknownMeter(c, id)
	case !m.Adds():
		return m, op.InvalidField("meter", "not_adding", "meter %s does not add up: units are held of counters and sums", id)
	}
	return m, nil
}

// hold takes units from every counter that has a limit, and notes the reservation.
func hold(ctx context.Context, tx *op.Tx, organization string, m charter.Meter, e Event, amount int64, life time.Duration) (Reservation, error) {
	a, err := accountOf(ctx, tx.Reader, organization, shared)
	if err != nil {
		return Reservation{}, err
	}
	ends, err := a.limitsOf(ctx, tx.Reader, m, e)
	if err != nil {
		return Reservation{}, err
	}
	out := Reservation{ID: tx.NewID("res"), Meter: m.ID, Amount: amount, ExpiresAt: tx.Now.Add(life)}
	var subjects []string
	for _, end := range ends {
		left, err := a.take(ctx, tx, m, end, amount)
		if err != nil {
			return Reservation{}, err
		}
		if end.subject == "" {
			out.Remaining = left
		} else {
			subjects = append(subjects, end.subject)
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO usage_reservations (id, organization, meter, start, amount, series, subjects, created_by, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, out.ID, organization, m.ID, a.month(tx.Micros()).Start, amount, e.series().String(),
		strings.Join(subjects, " "), tx.Actor.ID, tx.Micros(), out.ExpiresAt.UnixMicro())
	return out, err
}

// end is where use of a counter ends.
type end struct {
	subject string // empty: the organization
	hard    int64
}

// limitsOf are the ends that an event of a meter has: the plan's, and those of its member and key if they have their own.
func (a account) limitsOf(ctx context.Context, r *op.Reader, m charter.Meter, e Event) ([]end, error) {
	hard, err := a.stopsAt(ctx, r, m)
	if err != nil {
		return nil, err
	}
	ends := []end{{"", hard}}
	if e.Member == "" && e.Key == "" {
		return ends, nil
	}
	rows, err := r.Query(ctx, "SELECT subject, hard FROM usage_limits WHERE organization = $1 AND meter = $2 AND subject IN ($3, $4) ORDER BY subject",
		a.organization, m.ID, e.Member, e.Key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one end
		if err := rows.Scan(&one.subject, &one.hard); err != nil {
			return nil, err
		}
		ends = append(ends, one)
	}
	return ends, rows.Err()
}

// stopsAt is where the organization's use of a meter ends: at the plan's limit, or at a budget that stops before. A budget
// of money that is used up ends it at once; it is looked at before, and not again when units are held.
func (a account) stopsAt(ctx context.Context, r *op.Reader, m charter.Meter) (int64, error) {
	hard := a.limit(r.Charter, m.ID).Hard
	all, err := a.budgets(ctx, r)
	if err != nil {
		return 0, err
	}
	for _, b := range all {
		switch {
		case b.Action != ActionStop:
		case b.Meter == m.ID && (hard == charter.Unlimited || b.Amount < hard):
			hard = b.Amount
		case b.Meter == "" && !m.Price.Free():
			spent, err := a.money(ctx, r)
			if err != nil {
				return 0, err
			}
			if spent >= b.Amount {
				refused := op.Errorf(op.Limited, "budget_reached", "the budget %q of %d is used up until %s: nothing more is reserved", b.Name, b.Amount, a.resets(r))
				return 0, a.untilReset(r, refused, map[string]string{"budget": b.ID})
			}
		}
	}
	return hard, nil
}

// take holds units of one counter and says what is left of them; nil: there is no end. If there are not so many, it first
// lets go what is past its time.
func (a account) take(ctx context.Context, tx *op.Tx, m charter.Meter, e end, amount int64) (*int64, error) {
	left, ok, err := a.tryTake(ctx, tx, m, e, amount)
	if err != nil || ok {
		return left, err
	}
	freed, err := a.sweep(ctx, tx, m.ID, tx.Micros())
	if err != nil {
		return nil, err
	}
	if freed {
		if left, ok, err = a.tryTake(ctx, tx, m, e, amount); err != nil || ok {
			return left, err
		}
	}
	who, refers := "the organization", map[string]string{"meter": m.ID}
	if e.subject != "" {
		who, refers["subject"] = e.subject, e.subject
	}
	refused := op.Errorf(op.Limited, "quota_exceeded", "of %s, %s has %d until %s: there are not so many left", m.ID, who, e.hard, a.resets(tx.Reader))
	return nil, a.untilReset(tx.Reader, refused, refers)
}

// tryTake is one guarded statement: the counter's row is locked by it, and what it finds there is what holds.
func (a account) tryTake(ctx context.Context, tx *op.Tx, m charter.Meter, e end, amount int64) (*int64, bool, error) {
	if e.hard != charter.Unlimited && amount > e.hard {
		return nil, false, nil
	}
	room := int64(0) // what may be used and held before
	if e.hard != charter.Unlimited {
		room = e.hard - amount
	}
	var used, reserved int64
	err := tx.QueryRow(ctx, `INSERT INTO usage_counters (organization, meter, start, subject, used, reserved) VALUES ($1, $2, $3, $4, 0, $5)
		ON CONFLICT (organization, meter, start, subject) DO UPDATE SET reserved = usage_counters.reserved + excluded.reserved
		WHERE $6 OR usage_counters.used <= $7 - usage_counters.reserved RETURNING used, reserved`,
		a.organization, m.ID, a.month(tx.Micros()).Start, e.subject, amount, e.hard == charter.Unlimited, room).Scan(&used, &reserved)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil || e.hard == charter.Unlimited {
		return nil, err == nil, err
	}
	left := max(0, e.hard-used-reserved)
	return &left, true, nil
}

// untilReset says of a refusal that it passes when the period ends.
func (a account) untilReset(r *op.Reader, err *op.Error, refers map[string]string) error {
	err.RetryAfter = time.Duration(a.month(r.Micros()).End-r.Micros()) * time.Microsecond
	err.Refers, err.FixURL = refers, "/docs/usage#quotas"
	return err
}

// resets is when the period ends, as texts say it.
func (a account) resets(r *op.Reader) string {
	return moment(a.month(r.Micros()).End).Format(time.RFC3339)
}

// expired is what a reservation past its time held.
type expired struct {
	start    int64
	amount   int64
	subjects string
}

// sweep lets go what is held of a meter and past its time, and says whether there was any.
func (a account) sweep(ctx context.Context, tx statements, meter string, now int64) (bool, error) {
	rows, err := tx.Query(ctx, "DELETE FROM usage_reservations WHERE organization = $1 AND meter = $2 AND expires_at <= $3 RETURNING start, amount, subjects",
		a.organization, meter, now)
	if err != nil {
		return false, err
	}
	freed := map[counterKey]int64{}
	for rows.Next() {
		var x expired
		if err := rows.Scan(&x.start, &x.amount, &x.subjects); err != nil {
			return false, errors.Join(err, rows.Close())
		}
		for _, subject := range append([]string{""}, strings.Fields(x.subjects)...) {
			freed[counterKey{meter, x.start, subject}] += x.amount
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return false, err
	}
	for _, k := range slices.SortedFunc(maps.Keys(freed), counterKey.compare) {
		if err := a.letGo(ctx, tx, k, freed[k]); err != nil {
			return false, err
		}
	}
	return len(freed) > 0, nil
}

// statements is what op.Tx and sqldb.Tx have in common.
type statements interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	Exec(ctx context.Context, query string, args ...any) (int64, error)
}

func (a account) letGo(ctx context.Context, tx statements, k counterKey, amount int64) error {
	n, err := tx.Exec(ctx, "UPDATE usage_counters SET reserved = reserved - $5 WHERE organization = $1 AND meter = $2 AND start = $3 AND subject = $4",
		a.organization, k.meter, k.start, k.subject, amount)
	if err == nil && n != 1 && k.subject == "" {
		return fmt.Errorf("a reservation of %s has no counter", k.meter)
	}
	return err
}

// CommitInput says what was really used of what was held.
type CommitInput struct {
	op.InOrganization
	Reservation string    `json:"reservation" doc:"The reservation's id" maxLength:"64" example:"res_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Amount      *int64    `json:"amount,omitempty" doc:"How much was used, which may be less or more than was held; without it, as much" minimum:"0" maximum:"1000000000000000" required:"false"`
	ID          string    `json:"id,omitzero" doc:"The event's own id; without it, the reservation's" maxLength:"200" required:"false"`
	Source      string    `json:"source,omitzero" doc:"What made the event; without it, the key that commits" maxLength:"200" required:"false"`
	At          time.Time `json:"at,omitzero" doc:"When it was used; without it, now" required:"false"`
}

// Commit records what was used and lets go what was held, in one transaction. A repeat records nothing twice.
var Commit = &op.Op[CommitInput, Recorded]{
	Name:    "quotas.commit",
	Route:   "POST /v1/organizations/{organization}/quotas/reservations/{reservation}/commit",
	Summary: "Record what was used of what was held, and let the rest go",
	Kind:    op.Count,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      commit,
	Example: CommitInput{InOrganization: op.InOrganization{Organization: "acme"}, Reservation: "res_01k9v5x0w3m8q6t2c4h7n0r5sz"},
}

func commit(ctx context.Context, tx *op.Tx, in CommitInput) (Recorded, error) {
	b, err := newBatch(ctx, tx, in.Organization, shared)
	if err != nil {
		return Recorded{}, err
	}
	id, source := cmp.Or(in.ID, in.Reservation), cmp.Or(in.Source, tx.Actor.ID)
	h, err := b.heldBy(ctx, tx, in.Reservation)
	if errors.Is(err, op.ErrNotFound) {
		return b.committedBefore(ctx, tx, source, id)
	}
	if err != nil {
		return Recorded{}, err
	}
	amount := h.amount
	if in.Amount != nil {
		amount = *in.Amount
	}
	if err := b.free(ctx, tx, h); err != nil || amount == 0 {
		return b.answer(), err
	}
	s := seriesOf(h.series)
	b.add(0, Event{Meter: h.meter, Value: amount, said: true, ID: id, Source: source, At: in.At, Member: s.Member, Key: s.Key, Resource: s.Resource, Region: s.Region, Model: s.Model})
	if v := b.verdicts[0]; v.Status == StatusRefused {
		return Recorded{}, op.InvalidField("at", v.Code, "%s", v.Detail)
	}
	if err := b.store(ctx, tx); err != nil {
		return Recorded{}, err
	}
	return b.answer(), nil
}

// reserved is a reservation as it is kept.
type reserved struct {
	id, meter, series, subjects string
	start, amount               int64
}

// heldBy reads a reservation, without a lock: see free.
func (b *batch) heldBy(ctx context.Context, tx *op.Tx, id string) (reserved, error) {
	h := reserved{id: id}
	err := tx.QueryRow(ctx, "SELECT meter, series, subjects, start, amount FROM usage_reservations WHERE organization = $1 AND id = $2",
		b.organization, id).Scan(&h.meter, &h.series, &h.subjects, &h.start, &h.amount)
	if errors.Is(err, sql.ErrNoRows) {
		return h, op.ErrNotFound
	}
	return h, err
}

// free lets go what a reservation holds. It locks the counters before the reservation, as whoever reserves does.
func (b *batch) free(ctx context.Context, tx *op.Tx, h reserved) error {
	var held []counterKey
	for _, subject := range append([]string{""}, strings.Fields(h.subjects)...) {
		held = append(held, counterKey{h.meter, h.start, subject})
	}
	if err := b.letAllGo(ctx, tx, held, h.amount); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, "DELETE FROM usage_reservations WHERE organization = $1 AND id = $2", b.organization, h.id)
	if err == nil && n == 0 {
		return op.Errorf(op.Gone, "reservation_gone", "the reservation was committed, released or let go at the same moment: nothing was changed")
	}
	return err
}

// committedBefore answers for a reservation that is not there any more: the event that it became, or nothing.
func (b *batch) committedBefore(ctx context.Context, tx *op.Tx, source, id string) (Recorded, error) {
	before, err := b.isRecorded(ctx, tx, source, id)
	if err != nil {
		return Recorded{}, err
	}
	if !before {
		return Recorded{}, op.Errorf(op.Gone, "reservation_gone", "no such reservation, or it is past its time: record what was used with usage.record")
	}
	b.verdicts = []Verdict{{ID: id, Status: StatusDuplicate}}
	return b.answer(), nil
}

// isRecorded reports whether an event was recorded before.
func (b *batch) isRecorded(ctx context.Context, tx *op.Tx, source, id string) (bool, error) {
	var n int64
	err := tx.QueryRow(ctx, "SELECT count(*) FROM usage_events WHERE organization = $1 AND source = $2 AND id = $3", b.organization, source, id).Scan(&n)
	return n > 0, err
}

// ReleaseInput names a reservation.
type ReleaseInput struct {
	op.InOrganization
	Reservation string `json:"reservation" doc:"The reservation's id" maxLength:"64" example:"res_01k9v5x0w3m8q6t2c4h7n0r5sz"`
}

// Released says that nothing is held any more.
type Released struct {
	Amount int64 `json:"amount" doc:"How much was let go"`
}

// Release lets go what was held. What is not held any more is gone (410).
var Release = &op.Op[ReleaseInput, Released]{
	Name:    "quotas.release",
	Route:   "POST /v1/organizations/{organization}/quotas/reservations/{reservation}/release",
	Summary: "Let go what was held",
	Kind:    op.Count,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      release,
	Example: ReleaseInput{InOrganization: op.InOrganization{Organization: "acme"}, Reservation: "res_01k9v5x0w3m8q6t2c4h7n0r5sz"},
}

func release(ctx context.Context, tx *op.Tx, in ReleaseInput) (Released, error) {
	b := &batch{account: account{organization: in.Organization}, tx: tx}
	h, err := b.heldBy(ctx, tx, in.Reservation)
	if errors.Is(err, op.ErrNotFound) {
		return Released{}, op.Errorf(op.Gone, "reservation_gone", "no such reservation, or it holds nothing any more: there is nothing to let go")
	}
	if err != nil {
		return Released{}, err
	}
	return Released{Amount: h.amount}, b.free(ctx, tx, h)
}

// LetGo frees what is reserved and past its time, in every organization.
func LetGo(ctx context.Context, db *sqldb.DB, now time.Time) error {
	var due [][2]string
	err := db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, "SELECT DISTINCT organization, meter FROM usage_reservations WHERE expires_at <= $1 LIMIT 1000", now.UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one [2]string
			if err := rows.Scan(&one[0], &one[1]); err != nil {
				return err
			}
			due = append(due, one)
		}
		return rows.Err()
	})
	for _, one := range due {
		a := account{organization: one[0]}
		if failed := db.Write(ctx, func(tx *sqldb.Tx) error {
			// The counters first: whoever reserves has them before it looks for what is past its time.
			if _, err := tx.Exec(ctx, "UPDATE usage_counters SET reserved = reserved WHERE organization = $1 AND meter = $2 AND reserved > 0", a.organization, one[1]); err != nil {
				return err
			}
			_, err := a.sweep(ctx, tx, one[1], now.UnixMicro())
			return err
		}); failed != nil {
			err = errors.Join(err, fmt.Errorf("reservations of %s: %w", a.organization, failed))
		}
	}
	return err
}
