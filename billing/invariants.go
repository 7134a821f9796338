package billing

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// Broken lists every rule of this room that does not hold in the whole database. It changes nothing.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var all []string
	for _, find := range []func(context.Context, *op.Reader) ([]string, error){wrongTotals, numberGaps, wrongPlans, wrongPeriods, wrongCredit} {
		broken, err := find(ctx, r)
		if err != nil {
			return all, err
		}
		all = append(all, broken...)
	}
	return all, nil
}

// wrongTotals are invoices whose lines do not add up.
func wrongTotals(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT v.id, v.number, v.total, v.lines FROM invoices v ORDER BY v.number")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id, text string
		var number, total int64
		if err := rows.Scan(&id, &number, &total, &text); err != nil {
			return nil, err
		}
		var lines []InvoiceLine
		if err := json.Unmarshal([]byte(text), &lines); err != nil {
			all = append(all, fmt.Sprintf("invoice %s: its lines cannot be read: %v", id, err))
		} else if sum(lines) != total {
			all = append(all, fmt.Sprintf("invoice %s: its lines make %d, its total is %d", id, sum(lines), total))
		}
	}
	return all, rows.Err()
}

// numberGaps says whether numbers of invoices are missing.
func numberGaps(ctx context.Context, r *op.Reader) ([]string, error) {
	var count, last, counted int64
	err := r.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM invoices), (SELECT COALESCE(MAX(number), 0) FROM invoices), last
		FROM invoice_numbers WHERE id = 'instance'`).Scan(&count, &last, &counted)
	if err != nil || count == last && last == counted {
		return nil, err
	}
	return []string{fmt.Sprintf("there are %d invoices, the last number is %d, and %d were given out", count, last, counted)}, nil
}

// wrongPlans are organizations whose plan their subscription does not give.
func wrongPlans(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, o.plan, s.plan, s.state FROM organizations o JOIN subscriptions s ON s.organization = o.id
		WHERE o.state = 'active' AND (o.plan <> s.plan OR o.period_anchor <> s.anchor AND o.period_anchor <> 0)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id, told, plan, state string
		if err := rows.Scan(&id, &told, &plan, &state); err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("organization %s has the plan %q, and its subscription (%s) gives %q", id, told, state, plan))
	}
	return all, rows.Err()
}

// wrongPeriods are subscriptions whose open month is not within their period, or that fell and have a plan still.
func wrongPeriods(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := organizations(ctx, r, `SELECT s.organization FROM subscriptions s WHERE s.closes_at > s.period_end OR s.closes_at <= s.period_start
		OR s.change_at <> 0 AND s.change_at > s.period_end OR s.state = 'past_due' AND s.past_due_since = 0`)
	all := make([]string, len(rows))
	for n, id := range rows {
		all[n] = fmt.Sprintf("subscription of %s: its open month, or what waits, is not within its period", id)
	}
	return all, err
}

// wrongCredit are subscriptions whose credit is not what invoices kept and did not use.
func wrongCredit(ctx context.Context, r *op.Reader) ([]string, error) {
	kept, err := creditOf(ctx, r)
	if err != nil {
		return nil, err
	}
	rows, err := r.Query(ctx, "SELECT s.organization, s.credit FROM subscriptions s")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		var credit int64
		if err := rows.Scan(&id, &credit); err != nil {
			return nil, err
		}
		if kept[id] != credit {
			all = append(all, fmt.Sprintf("subscription of %s: its credit is %d, and its invoices kept %d", id, credit, kept[id]))
		}
	}
	return all, rows.Err()
}

// creditOf adds up what invoices kept and used of credit.
func creditOf(ctx context.Context, r *op.Reader) (map[string]int64, error) {
	rows, err := r.Query(ctx, "SELECT v.organization, v.state, v.lines FROM invoices v")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	kept := map[string]int64{}
	for rows.Next() {
		var id, state, text string
		if err := rows.Scan(&id, &state, &text); err != nil {
			return nil, err
		}
		var lines []InvoiceLine
		if err := json.Unmarshal([]byte(text), &lines); err != nil {
			continue // wrongTotals says so
		}
		for _, l := range lines {
			if l.Kind == CreditLine && (l.Amount > 0 || state != string(Void)) {
				kept[id] += l.Amount
			}
		}
	}
	return kept, rows.Err()
}
