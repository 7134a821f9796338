package billing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// InvoiceState says how it stands with an invoice.
type InvoiceState string

// The states of an invoice. The estimate of the next one is the draft: what is issued does not change any more.
const (
	Open    InvoiceState = "open"
	Paid    InvoiceState = "paid"
	Void    InvoiceState = "void"
	Overdue InvoiceState = "past_due"
)

// Invoice is what an organization is asked to pay, as it was issued.
type Invoice struct {
	ID          string        `json:"id" example:"bil_01k..."`
	Number      string        `json:"number" doc:"Counts up over the whole installation, without a gap; of a payment provider's invoice: the number that stands on it" example:"INV-000012"`
	Provider    string        `json:"provider" cli:"-" doc:"Who issued it" example:"builtin"`
	State       InvoiceState  `json:"state" enum:"open,paid,void,past_due"`
	Currency    string        `json:"currency" example:"USD"`
	Total       int64         `json:"total" doc:"In minor units; never below 0" example:"4900"`
	PeriodStart time.Time     `json:"period_start" cli:"-" doc:"The month that has ended; of a change: its moment"`
	PeriodEnd   time.Time     `json:"period_end" cli:"-"`
	Lines       []InvoiceLine `json:"lines" cli:"-"`
	Payer       Payer         `json:"payer" cli:"-" doc:"Who pays, as it was when the invoice was issued"`
	Reference   string        `json:"reference,omitzero" cli:"-" doc:"What the payment is known by"`
	IssuedAt    time.Time     `json:"issued_at"`
	DueAt       time.Time     `json:"due_at"`
	SettledAt   *time.Time    `json:"settled_at,omitzero" cli:"-" doc:"When it was paid or made void"`
	Page        string        `json:"page,omitzero" cli:"-" doc:"The payment provider's page of it, where it is paid"`
	Paper       string        `json:"paper,omitzero" cli:"-" doc:"Where the payment provider has its PDF"`
	Version     int64         `json:"version" cli:"-" doc:"Counts the changes; the ETag"`

	ordinal int64 // orders our own ones
}

// ETag is the invoice's version.
func (i Invoice) ETag() string { return op.VersionTag(i.Version) }

// Payer is who pays an invoice.
type Payer struct {
	Organization string `json:"organization" doc:"The organization's name"`
	Account
}

// bill is an invoice about to be issued.
type bill struct {
	cause string // what it is for: once in an organization
	span  period.Period
	lines []InvoiceLine
	total int64
}

// bothKinds reads our own invoices and those of a payment provider alike; $1 is the organization.
const bothKinds = `SELECT i.id, i.provider, i.number, i.ordinal, i.state, i.currency, i.total, i.period_start, i.period_end, i.lines, i.payer,
		i.reference, i.page, i.paper, i.issued_at, i.due_at, i.settled_at, i.version
	FROM (SELECT v.id, 'builtin' AS provider, '' AS number, v.number AS ordinal, v.state, v.currency, v.total, v.period_start, v.period_end, v.lines,
			v.payer, v.reference, '' AS page, '' AS paper, v.issued_at, v.due_at, v.settled_at, v.version
		FROM invoices v WHERE v.organization = $1
		UNION ALL SELECT p.id, p.provider, p.number, 0, p.state, p.currency, p.total, p.period_start, p.period_end, p.lines,
			p.payer, '', p.page, p.paper, p.issued_at, p.due_at, p.settled_at, p.version
		FROM provider_invoices p WHERE p.organization = $1) i`

func scanInvoice(row interface{ Scan(...any) error }) (Invoice, error) {
	var i Invoice
	var start, end, issued, due, settled int64
	var lines, payer string
	err := row.Scan(&i.ID, &i.Provider, &i.Number, &i.ordinal, &i.State, &i.Currency, &i.Total, &start, &end, &lines, &payer, &i.Reference,
		&i.Page, &i.Paper, &issued, &due, &settled, &i.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return i, op.ErrNotFound
	}
	if err != nil {
		return i, err
	}
	if i.ordinal != 0 {
		i.Number = numbered(i.ordinal)
	}
	i.PeriodStart, i.PeriodEnd = moment(start), moment(end)
	i.IssuedAt, i.DueAt = moment(issued), moment(due)
	if settled != 0 {
		at := moment(settled)
		i.SettledAt = &at
	}
	return i, errors.Join(json.Unmarshal([]byte(lines), &i.Lines), json.Unmarshal([]byte(payer), &i.Payer))
}

func numbered(n int64) string { return fmt.Sprintf("INV-%06d", n) }

// issue writes an invoice with the next number: two statements. What comes to nothing is paid.
func (s record) issue(ctx context.Context, tx *op.Tx, b bill) (Invoice, error) {
	i := Invoice{ID: tx.NewID("bil"), Provider: Builtin, State: Open, Currency: tx.Charter.Currency, Total: b.total, Lines: b.lines, PeriodStart: moment(b.span.Start),
		PeriodEnd: moment(b.span.End), Payer: Payer{s.name, s.account}, IssuedAt: moment(tx.Micros()),
		DueAt: moment(tx.Micros()).Add(tx.Settings.InvoiceDue), Version: 1}
	settled := int64(0)
	if i.Total == 0 {
		at := i.IssuedAt
		i.State, i.DueAt, i.SettledAt, settled = Paid, at, &at, tx.Micros()
	}
	lines, err := json.Marshal(i.Lines)
	if err != nil {
		return i, err
	}
	payer, err := json.Marshal(i.Payer)
	if err != nil {
		return i, err
	}
	var number int64
	if err := tx.QueryRow(ctx, "UPDATE invoice_numbers SET last = last + 1 WHERE id = 'instance' RETURNING last").Scan(&number); err != nil {
		return i, err
	}
	i.Number = numbered(number)
	tx.Also("invoice", i.ID, i.Number)
	_, err = tx.Exec(ctx, `INSERT INTO invoices (id, organization, number, cause, period_start, period_end, state, currency, total, lines,
			payer, reference, reminded, issued_at, due_at, settled_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', 0, $12, $13, $14, 1)`,
		i.ID, s.organization, number, b.cause, b.span.Start, b.span.End, string(i.State), i.Currency, i.Total, string(lines), string(payer),
		tx.Micros(), i.DueAt.UnixMicro(), settled)
	return i, err
}

// ListInvoicesInput pages through an organization's invoices.
type ListInvoicesInput struct {
	op.InOrganization
	op.Page
	State InvoiceState `json:"state,omitzero" doc:"Only those in this state" enum:"open,paid,void,past_due"`
}

// ListInvoices lists an organization's invoices, the newest first.
var ListInvoices = &op.Op[ListInvoicesInput, op.List[Invoice]]{
	Name:    "invoices.list",
	Route:   "GET /v1/organizations/{organization}/invoices",
	Summary: "List the invoices, the newest first",
	Allow:   op.AnyOf(op.On(see), op.ByService),
	Do:      listInvoices,
	Example: ListInvoicesInput{State: Open},
}

func listInvoices(ctx context.Context, tx *op.Tx, in ListInvoicesInput) (op.List[Invoice], error) {
	query, args := bothKinds+" WHERE i.version > 0", []any{tx.Organization()}
	if after := in.After(); len(after) == 3 {
		issued, wrong := strconv.ParseInt(after[0], 10, 64)
		ordinal, bad := strconv.ParseInt(after[1], 10, 64)
		if err := errors.Join(wrong, bad); err != nil {
			return op.List[Invoice]{}, err
		}
		args = append(args, issued, ordinal, after[2])
		query += " AND (i.issued_at, i.ordinal, i.id) < ($2, $3, $4)"
	}
	if in.State != "" {
		args = append(args, string(in.State))
		query += " AND i.state = $" + strconv.Itoa(len(args))
	}
	rows, err := tx.Query(ctx, query+" ORDER BY i.issued_at DESC, i.ordinal DESC, i.id DESC LIMIT "+strconv.Itoa(in.Size()+1), args...)
	if err != nil {
		return op.List[Invoice]{}, err
	}
	defer rows.Close()
	var all []Invoice
	for rows.Next() {
		i, err := scanInvoice(rows)
		if err != nil {
			return op.List[Invoice]{}, err
		}
		all = append(all, i)
	}
	return op.Listed(tx.Reader, &in.Page, all, Invoice.position), rows.Err()
}

// position is where an invoice stands in the list.
func (i Invoice) position() []string {
	return []string{strconv.FormatInt(i.IssuedAt.UnixMicro(), 10), strconv.FormatInt(i.ordinal, 10), i.ID}
}

// InvoiceInput names one invoice.
type InvoiceInput struct {
	op.InOrganization
	Invoice string `json:"invoice" doc:"The invoice's id" example:"bil_01k..." maxLength:"64" required:"false"`
}

// read reads the invoice that an operation is about.
func (in InvoiceInput) read(ctx context.Context, r *op.Reader) (Invoice, error) {
	return scanInvoice(r.QueryRow(ctx, bothKinds+" WHERE i.id = $2", r.Organization(), in.Invoice))
}

func invoiceTarget(ctx context.Context, r *op.Reader, in InvoiceInput) (op.Target, error) {
	i, err := in.read(ctx, r)
	return op.Target{Organization: r.Organization(), Type: "invoice", ID: i.ID, Name: i.Number, Version: i.Version, Current: i, Value: i}, err
}

// GetInvoice shows one invoice.
var GetInvoice = &op.Op[InvoiceInput, Invoice]{
	Name:    "invoices.get",
	Route:   "GET /v1/organizations/{organization}/invoices/{invoice}",
	Summary: "Show an invoice with its lines",
	Allow:   op.AnyOf(op.On(see), op.ByService),
	Target:  invoiceTarget,
	Do: func(_ context.Context, tx *op.Tx, _ InvoiceInput) (Invoice, error) {
		i, _ := tx.Target().Value.(Invoice)
		return i, nil
	},
	Example: InvoiceInput{Invoice: "bil_00000000000000000000000000"},
}
