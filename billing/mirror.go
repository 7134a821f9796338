package billing

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// ProviderInvoice is an invoice that a provider issued.
type ProviderInvoice struct {
	Object      string // the provider's id of it
	Number      string // what stands on it
	State       InvoiceState
	Currency    string
	Total       int64
	Owed        int64 // what is not paid of it
	PeriodStart time.Time
	PeriodEnd   time.Time
	Lines       []InvoiceLine
	Payer       Account
	Page        string // where a person looks at it and pays it
	Paper       string // where its PDF is
	IssuedAt    time.Time
	DueAt       time.Time
	SettledAt   time.Time // the zero value: it is open
}

// mirrored is a row of an invoice that a provider issued: what is compared, and what is written.
type mirrored struct {
	id, number, state, currency, lines, payer, page, paper string
	total, owed, start, end, issued, due, settled, version int64
}

// mirror keeps a provider's invoices beside our own ones, so that they are listed together: two statements. It says
// whether any of them was new or another one than before.
func (s *record) mirror(ctx context.Context, tx *op.Tx, provider string, invoices []ProviderInvoice) (changed bool, err error) {
	if len(invoices) == 0 {
		return false, nil
	}
	known, err := s.mirrors(ctx, tx.Reader, provider)
	if err != nil {
		return false, err
	}
	news, err := s.merge(known, invoices)
	if err != nil || len(news) == 0 {
		return false, err
	}
	var rows []string
	args := []any{s.organization, provider}
	for _, object := range slices.Sorted(maps.Keys(news)) {
		m, was := news[object], known[object]
		if m.id == "" {
			m.id = tx.NewID("bil")
		}
		noted(tx, "invoice "+m.number, was.state, m.state)
		row, more := m.values(len(args), object)
		rows, args = append(rows, row), append(args, more...)
	}
	_, err = tx.Exec(ctx, `INSERT INTO provider_invoices (organization, provider, id, object, number, state, currency, lines, payer, page, paper,
			total, owed, period_start, period_end, issued_at, due_at, settled_at, version)
		VALUES `+strings.Join(rows, ", ")+` ON CONFLICT (provider, object) DO UPDATE SET number = excluded.number, state = excluded.state,
			lines = excluded.lines, payer = excluded.payer, page = excluded.page, paper = excluded.paper, total = excluded.total,
			owed = excluded.owed, period_start = excluded.period_start, period_end = excluded.period_end, issued_at = excluded.issued_at,
			due_at = excluded.due_at, settled_at = excluded.settled_at, version = excluded.version
		WHERE provider_invoices.organization = excluded.organization`, args...)
	return true, err
}

// merge gives the rows of invoices that are new or other ones than those that are known, and reckons what is owed.
func (s *record) merge(known map[string]mirrored, invoices []ProviderInvoice) (map[string]mirrored, error) {
	news := map[string]mirrored{}
	for _, i := range invoices {
		m, err := s.mirrorOf(i)
		if err != nil {
			return nil, err
		}
		was := known[i.Object]
		if m.id, m.version = was.id, was.version; m != was {
			m.version++
			s.owed += m.owed - was.owed
			news[i.Object] = m
		}
	}
	return news, nil
}

// mirrors are the rows of a provider's invoices that there are, by the provider's ids.
func (s record) mirrors(ctx context.Context, r *op.Reader, provider string) (map[string]mirrored, error) {
	rows, err := r.Query(ctx, `SELECT object, id, number, state, currency, lines, payer, page, paper, total, owed, period_start, period_end,
			issued_at, due_at, settled_at, version
		FROM provider_invoices WHERE organization = $1 AND provider = $2 ORDER BY issued_at DESC LIMIT 100`, s.organization, provider)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]mirrored{}
	for rows.Next() {
		var object string
		var m mirrored
		if err := rows.Scan(&object, &m.id, &m.number, &m.state, &m.currency, &m.lines, &m.payer, &m.page, &m.paper, &m.total, &m.owed,
			&m.start, &m.end, &m.issued, &m.due, &m.settled, &m.version); err != nil {
			return nil, err
		}
		known[object] = m
	}
	return known, rows.Err()
}

func (s record) mirrorOf(i ProviderInvoice) (mirrored, error) {
	if i.Lines == nil {
		i.Lines = []InvoiceLine{}
	}
	lines, err := json.Marshal(i.Lines)
	if err != nil {
		return mirrored{}, err
	}
	payer, err := json.Marshal(Payer{s.name, i.Payer})
	m := mirrored{number: i.Number, state: string(i.State), currency: i.Currency, lines: string(lines), payer: string(payer), page: i.Page, paper: i.Paper,
		total: i.Total, owed: i.Owed, start: i.PeriodStart.UnixMicro(), end: i.PeriodEnd.UnixMicro(), issued: i.IssuedAt.UnixMicro(), due: i.DueAt.UnixMicro()}
	if !i.SettledAt.IsZero() {
		m.settled = i.SettledAt.UnixMicro()
	}
	return m, err
}

// values are a row with placeholders after so many, and what they stand for.
func (m mirrored) values(after int, object string) (row string, args []any) {
	args = []any{m.id, object, m.number, m.state, m.currency, m.lines, m.payer, m.page, m.paper, m.total, m.owed, m.start, m.end, m.issued, m.due, m.settled, m.version}
	var b strings.Builder
	b.WriteString("($1, $2")
	for n := range args {
		b.WriteString(", $" + strconv.Itoa(after+n+1))
	}
	return b.String() + ")", args
}
