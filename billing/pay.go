package billing

import (
	"context"

	"github.com/guildhall/guildhall/op"
)

// PayInvoiceInput says how an invoice was paid.
type PayInvoiceInput struct {
	InvoiceInput
	Reference string `json:"reference" doc:"What the payment is known by: of a bank statement, or of another system" minLength:"1" maxLength:"200" example:"2026-11-17 transfer 4711"`
}

// PayInvoice notes that an invoice was paid. The product's back end or the operator says so; nobody pays by it.
var PayInvoice = &op.Op[PayInvoiceInput, Invoice]{
	Name:    "invoices.pay",
	Route:   "POST /v1/organizations/{organization}/invoices/{invoice}/pay",
	Summary: "Note that an invoice was paid",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in PayInvoiceInput) (op.Target, error) {
		return invoiceTarget(ctx, r, in.InvoiceInput)
	},
	Do: func(ctx context.Context, tx *op.Tx, in PayInvoiceInput) (Invoice, error) {
		i, _ := tx.Target().Value.(Invoice)
		return i.settle(ctx, tx, Paid, in.Reference, 0)
	},
	Example: PayInvoiceInput{InvoiceInput{Invoice: "bil_00000000000000000000000000"}, "transfer 4711"},
}

// VoidInvoiceInput says why an invoice is not to be paid.
type VoidInvoiceInput struct {
	InvoiceInput
	Reason string `json:"reason" doc:"Why; it is kept in the audit log" minLength:"1" maxLength:"1000" example:"agreed with the customer"`
}

// VoidInvoice says that an invoice is not to be paid. Its number stays, and credit that was used for it is there again.
var VoidInvoice = &op.Op[VoidInvoiceInput, Invoice]{
	Name:    "invoices.void",
	Route:   "POST /v1/organizations/{organization}/invoices/{invoice}/void",
	Summary: "Say that an invoice is not to be paid",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Confirm: op.L2,
	Target: func(ctx context.Context, r *op.Reader, in VoidInvoiceInput) (op.Target, error) {
		return invoiceTarget(ctx, r, in.InvoiceInput)
	},
	Do: func(ctx context.Context, tx *op.Tx, in VoidInvoiceInput) (Invoice, error) {
		i, _ := tx.Target().Value.(Invoice)
		tx.Because(in.Reason)
		return i.settle(ctx, tx, Void, i.Reference, i.creditUsed())
	},
	Example: VoidInvoiceInput{InvoiceInput{Invoice: "bil_00000000000000000000000000"}, "agreed with the customer"},
}

func (i Invoice) creditUsed() (used int64) {
	for _, l := range i.Lines {
		if l.Kind == CreditLine && l.Amount < 0 {
			used -= l.Amount
		}
	}
	return used
}

// settle ends an open invoice: two statements. Where nothing else is overdue any more, neither is the subscription.
func (i Invoice) settle(ctx context.Context, tx *op.Tx, to InvoiceState, reference string, credit int64) (Invoice, error) {
	if i.Provider != Builtin {
		return i, i.elsewhere()
	}
	if i.State == to && i.Reference == reference {
		tx.Unchanged()
		return i, nil
	}
	if i.State == Paid || i.State == Void {
		return i, op.Errorf(op.Conflict, "invoice_settled", "the invoice %s is settled already: it is %s", i.Number, i.State)
	}
	tx.Changed("state", i.State, to)
	noted(tx, "reference", i.Reference, reference)
	at := moment(tx.Micros())
	i.State, i.Reference, i.SettledAt = to, reference, &at
	i.Version++
	if _, err := tx.Exec(ctx, `UPDATE invoices SET state = $3, reference = $4, settled_at = $5, version = $6
		WHERE organization = $1 AND id = $2`, tx.Organization(), i.ID, string(to), reference, tx.Micros(), i.Version); err != nil {
		return i, err
	}
	_, err := tx.Exec(ctx, `UPDATE subscriptions SET credit = credit + $3,
			state = CASE WHEN state = 'past_due' AND NOT EXISTS (SELECT 1 FROM invoices v WHERE v.organization = $1
				AND v.state IN ('open', 'past_due') AND v.due_at <= $2) THEN 'active' ELSE state END,
			past_due_since = COALESCE((SELECT MIN(v.due_at) FROM invoices v WHERE v.organization = $1
				AND v.state IN ('open', 'past_due') AND v.due_at <= $2), 0),
			version = version + 1, updated_at = $2
		WHERE organization = $1`, tx.Organization(), tx.Micros(), credit)
	return i, err
}

// elsewhere answers what is asked of an invoice that a payment provider issued: it is done there.
func (i Invoice) elsewhere() error {
	return &op.Error{Kind: op.Conflict, Code: "at_provider", FixURL: i.Page,
		Text: "the invoice " + i.Number + " was issued by the payment provider " + i.Provider + ": it is paid, made void and downloaded there"}
}
