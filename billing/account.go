package billing

import (
	"context"
	"fmt"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// UpdateAccountInput says what to change of who pays; what is left out stays.
type UpdateAccountInput struct {
	op.InOrganization
	Company *string `json:"company,omitzero" doc:"The company's name; empty: the organization's name stands on invoices" maxLength:"200" example:"Acme GmbH"`
	Address *string `json:"address,omitzero" doc:"The postal address, in lines" maxLength:"500"`
	TaxID   *string `json:"tax_id,omitzero" doc:"The tax number" maxLength:"40" example:"DE123456789"`
	Email   *string `json:"email,omitzero" doc:"Where invoices are mailed; empty: nowhere" maxLength:"320" example:"billing@acme.test"`
}

// Validate checks the address, and that the others are visible text.
func (in UpdateAccountInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	if in.Email != nil && *in.Email != "" {
		if _, err := directory.ParseAddress(*in.Email); err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/email", Code: "invalid", Detail: err.Error()})
		}
	}
	for name, value := range map[string]*string{"company": in.Company, "address": in.Address, "tax_id": in.TaxID} {
		if value != nil && strings.ContainsFunc(*value, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' || r == 0x7f }) {
			wrong = append(wrong, op.FieldError{Pointer: "/" + name, Code: "invalid", Detail: name + " has control characters in it: leave them out"})
		}
	}
	return wrong
}

// UpdateAccount changes who pays. Invoices that are issued already do not change.
var UpdateAccount = &op.Op[UpdateAccountInput, Standing]{
	Name:    "billing.update",
	Route:   "PATCH /v1/organizations/{organization}/billing",
	Summary: "Change who pays: company, address, tax number, e-mail",
	Kind:    op.Write,
	Allow:   op.On(manage),
	Target: func(ctx context.Context, r *op.Reader, _ UpdateAccountInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Do:      updateAccount,
	Example: UpdateAccountInput{Company: new("Acme GmbH"), TaxID: new("DE123456789")},
}

func updateAccount(ctx context.Context, tx *op.Tx, in UpdateAccountInput) (Standing, error) {
	s, _ := tx.Target().Value.(record)
	if err := sold(tx.Charter); err != nil {
		return Standing{}, err
	}
	before := s.account
	for field, f := range map[string]struct{ value, wanted *string }{"company": {&s.account.Company, in.Company},
		"address": {&s.account.Address, in.Address}, "tax_id": {&s.account.TaxID, in.TaxID}, "email": {&s.account.Email, in.Email}} {
		if f.wanted == nil {
			continue
		}
		if wanted := strings.TrimSpace(strings.ReplaceAll(*f.wanted, "\r\n", "\n")); wanted != *f.value {
			tx.ChangedPersonal(s.organization, field, *f.value, wanted)
			*f.value = wanted
		}
	}
	if s.account == before {
		tx.Unchanged()
		return s.standing(tx.Reader), nil
	}
	if err := s.save(ctx, tx); err != nil || s.customer == "" {
		return s.standing(tx.Reader), err
	}
	return s.standing(tx.Reader), s.send(tx, Errand{Payer: true, Key: fmt.Sprintf("%s:payer:%d", s.organization, s.version)})
}
