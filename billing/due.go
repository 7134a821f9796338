package billing

import (
	"context"
	"errors"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// Due are the organizations that scheduled work has something to do for, at most a hundred of each kind.
type Due struct {
	Close  []string // a month is over
	Remind []string // an invoice is overdue, and something follows from it now
}

// DueNow finds what scheduled work has to do.
func DueNow(ctx context.Context, r *op.Reader) (d Due, err error) {
	if len(r.Charter.Plans) == 0 {
		return d, nil
	}
	now := r.Micros()
	d.Close, err = organizations(ctx, r, `SELECT o.id FROM organizations o LEFT JOIN subscriptions s ON s.organization = o.id
		WHERE o.state = 'active' AND (s.closes_at <= $1 OR s.organization IS NULL AND CASE WHEN o.period_anchor = 0 THEN o.created_at ELSE o.period_anchor END <= $2)
		ORDER BY o.id LIMIT 100`, now, now-28*day)
	if err != nil {
		return d, err
	}
	d.Remind, err = organizations(ctx, r, `SELECT DISTINCT v.organization FROM invoices v JOIN organizations o ON o.id = v.organization AND o.state = 'active'
		JOIN subscriptions s ON s.organization = v.organization
		WHERE v.state IN ('open', 'past_due') AND v.due_at <= $1 AND (v.state = 'open' OR v.reminded < CASE WHEN v.due_at <= $4 THEN 3
			WHEN v.due_at <= $3 THEN 2 WHEN v.due_at <= $2 THEN 1 ELSE 0 END OR v.due_at <= $5 AND s.state = 'past_due' AND s.plan <> $6)
		ORDER BY v.organization LIMIT 100`, now, now-reminders[0].Microseconds(), now-reminders[1].Microseconds(), now-reminders[2].Microseconds(),
		now-r.Settings.UnpaidFor.Microseconds(), first(r.Charter).ID)
	return d, err
}

func organizations(ctx context.Context, r *op.Reader, query string, args ...any) (ids []string, err error) {
	rows, err := r.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Do does what is due, as scheduled work. What fails for one organization is reported, and done for the others.
func (d Due) Do(ctx context.Context, b op.Backend) (err error) {
	ctx = op.As(ctx, op.Caller{System: "billing"})
	for _, organization := range d.Close {
		if _, failed := ClosePeriod.Call(ctx, b, ClosePeriodInput{op.InOrganization{Organization: organization}}); failed != nil {
			err = errors.Join(err, fmt.Errorf("closing the month of %s: %w", organization, failed))
		}
	}
	for _, organization := range d.Remind {
		if _, failed := Remind.Call(ctx, b, RemindInput{op.InOrganization{Organization: organization}}); failed != nil {
			err = errors.Join(err, fmt.Errorf("reminding %s: %w", organization, failed))
		}
	}
	return err
}
