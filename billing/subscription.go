package billing

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// State says how it stands with a subscription. What the organization may do follows from it alone.
type State string

// The states of a subscription.
const (
	Active    State = "active"
	PastDue   State = "past_due"  // an invoice was not paid in time; the plan stays until the time that is named
	Cancelled State = "cancelled" // it was cancelled and has ended: the organization is on the first plan
	Ended     State = "ended"     // it ended unpaid, or with the organization
)

// Account is who pays. It stands on invoices.
type Account struct {
	Company string `json:"company,omitzero" doc:"The company's name; left out, the organization's name stands on invoices"`
	Address string `json:"address,omitzero" cli:"-" doc:"The postal address, in lines"`
	TaxID   string `json:"tax_id,omitzero" cli:"-" doc:"The tax number" example:"DE123456789"`
	Email   string `json:"email,omitzero" doc:"Where invoices are mailed; left out, nobody but those who manage billing gets mail" example:"billing@acme.test"`
}

// record is a subscription as it is kept, with what else of the organization decides about it.
type record struct {
	organization, name, region     string
	retentionDays                  int64
	told                           string // the plan that the directory has
	seats, members, pending        int64
	kept                           bool // there is a row of it
	plan                           string
	interval                       Interval
	state                          State
	anchor                         int64
	period                         period.Period
	closesAt                       int64 // when the open month ends: then its usage is billed
	next                           scheduled
	pastDueSince, credit           int64
	provider, customer, object     string
	objectVersion                  int64
	account                        Account
	version, createdAt, open, owed int64 // open: when the earliest unpaid invoice is due; owed: what is unpaid
}

// scheduled is a change that waits for the end of the period. Without a time there is none.
type scheduled struct {
	plan     string
	interval Interval
	at       int64
	cancels  bool
}

const recordQuery = `SELECT o.id, o.name, o.region, o.retention_days, o.plan, o.seats, o.created_at, o.period_anchor,
		(SELECT COUNT(*) FROM members m WHERE m.organization = o.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2)),
		(SELECT COUNT(*) FROM invitations i WHERE i.organization = o.id AND i.state = 'pending' AND i.expires_at > $2),
		(SELECT COALESCE(SUM(v.total), 0) FROM invoices v WHERE v.organization = o.id AND v.state IN ('open', 'past_due'))
			+ (SELECT COALESCE(SUM(p.owed), 0) FROM provider_invoices p WHERE p.organization = o.id AND p.state IN ('open', 'past_due')),
		(SELECT COALESCE(MIN(v.due_at), 0) FROM invoices v WHERE v.organization = o.id AND v.state IN ('open', 'past_due')),
		COALESCE(s.plan, ''), COALESCE(s.term, ''), COALESCE(s.state, ''), COALESCE(s.anchor, 0), COALESCE(s.period_start, 0),
		COALESCE(s.period_end, 0), COALESCE(s.closes_at, 0), COALESCE(s.change_plan, ''), COALESCE(s.change_term, ''),
		COALESCE(s.change_at, 0), COALESCE(s.cancels, FALSE), COALESCE(s.past_due_since, 0), COALESCE(s.credit, 0),
		COALESCE(s.provider, ''), COALESCE(s.customer, ''), COALESCE(s.provider_object, ''), COALESCE(s.provider_version, 0),
		COALESCE(s.company, ''), COALESCE(s.address, ''), COALESCE(s.tax_id, ''), COALESCE(s.email, ''), COALESCE(s.version, 1)
	FROM organizations o LEFT JOIN subscriptions s ON s.organization = o.id
	WHERE o.id = $1`

// recordOf reads how it stands with an organization: one statement.
func recordOf(ctx context.Context, r *op.Reader, organization string) (record, error) {
	var s record
	var made, told int64
	err := r.QueryRow(ctx, recordQuery, organization, r.Micros()).Scan(&s.organization, &s.name, &s.region, &s.retentionDays, &s.told,
		&s.seats, &made, &told, &s.members, &s.pending, &s.owed, &s.open,
		&s.plan, &s.interval, &s.state, &s.anchor, &s.period.Start, &s.period.End, &s.closesAt, &s.next.plan, &s.next.interval,
		&s.next.at, &s.next.cancels, &s.pastDueSince, &s.credit, &s.provider, &s.customer, &s.object, &s.objectVersion,
		&s.account.Company, &s.account.Address, &s.account.TaxID, &s.account.Email, &s.version)
	if errors.Is(err, sql.ErrNoRows) {
		return s, op.ErrNotFound
	}
	s.createdAt = made
	if s.kept = s.plan != ""; !s.kept && err == nil {
		s.begins(r, told)
	}
	return s, err
}

// begins fills in what holds for an organization that never changed anything: the plan that it was made with, by the
// month. Its open month is the one before, if nobody has closed that yet.
func (s *record) begins(r *op.Reader, anchor int64) {
	if anchor == 0 {
		anchor = s.createdAt
	}
	s.plan, s.interval, s.state, s.anchor, s.provider = s.told, Monthly, Active, anchor, Builtin
	if s.plan == "" && len(r.Charter.Plans) > 0 {
		s.plan = first(r.Charter).ID
	}
	s.period = period.Month(anchor, max(anchor, r.Micros()))
	if before := period.Month(anchor, s.period.Start-1); before.Start >= anchor {
		s.period = before
	}
	s.closesAt = s.period.End
}

// month is the open month, whose usage is not billed yet.
func (s record) month() period.Period {
	return period.Period{Start: period.Month(s.anchor, s.closesAt-1).Start, End: s.closesAt}
}

// open refuses what depends on the amounts of a period that has ended and is not closed yet.
func (s record) current(now int64) error {
	if now < s.closesAt {
		return nil
	}
	e := op.Errorf(op.Unavailable, "", "the period has ended, and its invoice is being made: try again in a minute")
	e.RetryAfter = time.Minute
	return e
}

// save writes the subscription: one statement.
func (s *record) save(ctx context.Context, tx *op.Tx) error {
	s.version++
	_, err := tx.Exec(ctx, `INSERT INTO subscriptions (organization, plan, term, state, anchor, period_start, period_end, closes_at,
			change_plan, change_term, change_at, cancels, past_due_since, credit, provider, customer, provider_object, provider_version,
			company, address, tax_id, email, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $24)
		ON CONFLICT (organization) DO UPDATE SET plan = $2, term = $3, state = $4, anchor = $5, period_start = $6, period_end = $7,
			closes_at = $8, change_plan = $9, change_term = $10, change_at = $11, cancels = $12, past_due_since = $13, credit = $14,
			provider = $15, customer = $16, provider_object = $17, provider_version = $18, company = $19, address = $20, tax_id = $21,
			email = $22, version = $23, updated_at = $24 WHERE subscriptions.organization = $1`,
		s.organization, s.plan, string(s.interval), string(s.state), s.anchor, s.period.Start, s.period.End, s.closesAt,
		s.next.plan, string(s.next.interval), s.next.at, s.next.cancels, s.pastDueSince, s.credit, s.provider, s.customer, s.object,
		s.objectVersion, s.account.Company, s.account.Address, s.account.TaxID, s.account.Email, s.version, tx.Micros())
	return err
}

// Subscription is what an organization has, until when, and what it will pay.
type Subscription struct {
	Standing
	Estimate Estimate `json:"estimate" cli:"-" doc:"The next invoice as it would be now"`
}

// Standing is how it stands with a subscription.
type Standing struct {
	Plan              string           `json:"plan" example:"pro"`
	PlanTitle         string           `json:"plan_title" example:"Pro"`
	Interval          Interval         `json:"interval" enum:"month,year" doc:"How often the plan is paid"`
	State             State            `json:"state" enum:"active,past_due,cancelled,ended" doc:"past_due: an invoice is not paid in time; cancelled and ended: the organization has fallen to the first plan"`
	Currency          string           `json:"currency" example:"USD"`
	Price             int64            `json:"price" doc:"What the plan costs in one interval, in minor units" example:"4900"`
	PeriodStart       time.Time        `json:"period_start" cli:"-"`
	PeriodEnd         time.Time        `json:"period_end" doc:"When the plan is paid again"`
	CancelAtPeriodEnd bool             `json:"cancel_at_period_end" doc:"Whether it was cancelled, and ends with the period"`
	Change            *ScheduledChange `json:"change,omitzero" cli:"-" doc:"What happens at the end of the period"`
	Seats             Seats            `json:"seats" cli:"-"`
	Credit            int64            `json:"credit" cli:"-" doc:"What is kept for the next invoice, in minor units"`
	Portal            bool             `json:"portal" cli:"-" doc:"Whether the payment provider has pages of its own for this organization: see subscription.portal"`
	Owed              int64            `json:"owed" cli:"-" doc:"What is not paid yet of the invoices so far, in minor units"`
	PastDueSince      *time.Time       `json:"past_due_since,omitzero" cli:"-" doc:"Since when an invoice is overdue"`
	PastDueDays       int64            `json:"past_due_days,omitzero" cli:"-" doc:"For how many whole days"`
	EndsAt            *time.Time       `json:"ends_at,omitzero" cli:"-" doc:"When the organization falls to the first plan unless it is paid; left out where a payment provider decides it"`
	Account           Account          `json:"account" cli:"-" doc:"Who pays"`
	Provider          string           `json:"provider" cli:"-" doc:"Who takes the money" example:"builtin"`
	Version           int64            `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the subscription's version.
func (s Standing) ETag() string { return op.VersionTag(s.Version) }

// ScheduledChange is a change that waits for the end of the period.
type ScheduledChange struct {
	Plan      string    `json:"plan" example:"free"`
	PlanTitle string    `json:"plan_title" example:"Free"`
	Interval  Interval  `json:"interval" enum:"month,year"`
	At        time.Time `json:"at"`
	Cancels   bool      `json:"cancels" doc:"Whether it is a cancellation"`
}

// GetSubscriptionInput names an organization.
type GetSubscriptionInput struct{ op.InOrganization }

// GetSubscription shows an organization's plan, until when it is paid, and the next invoice as it would be now.
var GetSubscription = &op.Op[GetSubscriptionInput, Subscription]{
	Name:    "subscription.get",
	Route:   "GET /v1/organizations/{organization}/subscription",
	Summary: "Show the plan, the period and the next invoice",
	Allow:   op.AnyOf(op.On(see), op.ByService),
	Do: func(ctx context.Context, tx *op.Tx, _ GetSubscriptionInput) (Subscription, error) {
		if err := sold(tx.Charter); err != nil {
			return Subscription{}, err
		}
		s, err := recordOf(ctx, tx.Reader, tx.Organization())
		if err != nil {
			return Subscription{}, err
		}
		return s.show(ctx, tx.Reader)
	},
	Example: GetSubscriptionInput{op.InOrganization{Organization: "acme"}},
}

// show is the subscription for those who may see it.
func (s record) show(ctx context.Context, r *op.Reader) (Subscription, error) {
	estimate, err := s.estimate(ctx, r)
	return Subscription{s.standing(r), estimate}, err
}

func (s record) standing(r *op.Reader) Standing {
	shown := Standing{Plan: s.plan, PlanTitle: titleOf(r.Charter, s.plan), Interval: s.interval, State: s.state,
		Currency: r.Charter.Currency, Price: feeOf(r.Charter, s.plan, s.interval).Amount, PeriodStart: moment(s.period.Start),
		PeriodEnd: moment(s.period.End), CancelAtPeriodEnd: s.next.cancels, Change: s.next.show(r), Seats: s.seatUse(),
		Credit: s.credit, Owed: s.owed, Account: s.account, Provider: s.provider, Portal: s.customer != "", Version: s.version}
	if s.pastDueSince != 0 && s.state == PastDue {
		since, ends := moment(s.pastDueSince), moment(s.pastDueSince).Add(r.Settings.UnpaidFor)
		if shown.PastDueSince, shown.PastDueDays = &since, (r.Micros()-s.pastDueSince)/day; s.provider == Builtin {
			shown.EndsAt = &ends // a provider has rules of its own
		}
	}
	return shown
}

func (n scheduled) show(r *op.Reader) *ScheduledChange {
	if n.at == 0 {
		return nil
	}
	return &ScheduledChange{Plan: n.plan, PlanTitle: titleOf(r.Charter, n.plan), Interval: n.interval, At: moment(n.at), Cancels: n.cancels}
}

// day is a day in microseconds.
const day = int64(24 * time.Hour / time.Microsecond)

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// Seats are how many people fit, and how many there are.
type Seats struct {
	Limit   int64 `json:"limit" doc:"How many members and pending invitations there may be; 0: no limit"`
	Members int64 `json:"members"`
	Pending int64 `json:"pending" doc:"Invitations that wait, each of which holds a seat"`
	Free    int64 `json:"free" doc:"What is left; 0 where there is no limit"`
	Frozen  int64 `json:"frozen" doc:"Invitations that cannot be accepted or sent again, since there is no seat for them"`
}

func (s record) seatUse() Seats { return seatsOf(s.seats, s.members, s.pending) }

// seatsOf is how the seats are taken under a limit.
func seatsOf(limit, members, pending int64) Seats {
	seats := Seats{Limit: limit, Members: members, Pending: pending}
	if limit == 0 {
		return seats
	}
	seats.Free = max(0, limit-members-pending)
	if members >= limit {
		seats.Frozen = pending
	}
	return seats
}

// GetSeats says how many people fit, and how many there are.
var GetSeats = &op.Op[GetSubscriptionInput, Seats]{
	Name:    "seats.get",
	Route:   "GET /v1/organizations/{organization}/seats",
	Summary: "Say how many seats there are, and how many are taken",
	Allow:   op.AnyOf(op.On(see), op.On("members.invite"), op.ByService),
	Do: func(ctx context.Context, tx *op.Tx, _ GetSubscriptionInput) (Seats, error) {
		s, err := recordOf(ctx, tx.Reader, tx.Organization())
		return s.seatUse(), err
	},
	Example: GetSubscriptionInput{op.InOrganization{Organization: "acme"}},
}
