package audit_test

import (
	"context"
	"testing"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// hall is a service with an operation of the test's own.
type hall struct{ *testroom.Room }

type person = testroom.Person

// newHall makes a hall of a ready-made charter on an empty, migrated database.
func newHall(t testing.TB, db *sqldb.DB, product string) *hall {
	t.Helper()
	h := &hall{testroom.New(t, db, testroom.Ready(t, product))}
	operations := append(directory.Operations(), credential.Operations()...)
	operations = append(operations, audit.Operations()...)
	h.Serve(op.Config{Operations: append(operations, change), Settings: op.Settings{BaseURL: "https://hall.test"}})
	return h
}

// change runs what a test wants done within an operation's transaction.
var change = &op.Op[struct{}, struct{}]{
	Name: "test.change", Route: "POST /v1/test/change", Kind: op.Write, Scope: op.Instance, Allow: op.ByOperator,
	Do: func(ctx context.Context, tx *op.Tx, _ struct{}) (struct{}, error) {
		fn, _ := ctx.Value(changeKey{}).(func(context.Context, *op.Tx) error)
		return struct{}{}, fn(ctx, tx)
	},
}

type changeKey struct{}

// Change runs fn within an operation of the operator.
func (h *hall) Change(fn func(ctx context.Context, tx *op.Tx) error) error {
	_, err := change.Call(context.WithValue(h.Operator(), changeKey{}, fn), h.Service, struct{}{})
	return err
}
