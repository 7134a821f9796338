package access_test

import (
	"context"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// hall is a service with its access.
type hall struct {
	*testroom.Room
	Access *access.Access
	// WithinFence is called within a change, after its fence and before its commit. Nil: nothing is.
	WithinFence func()
}

type person = testroom.Person

// newHall makes a hall of a ready-made charter on an empty, migrated database.
func newHall(t testing.TB, db *sqldb.DB, product string) *hall {
	t.Helper()
	return newHallOf(t, db, testroom.Ready(t, product))
}

// edited is a ready-made charter with something in its text replaced.
func edited(t testing.TB, name, old, replacement string) *charter.Charter {
	t.Helper()
	text := string(charter.Source(name))
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	c, err := charter.Parse(name+".yaml", []byte(strings.Replace(text, old, replacement, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newHallOf makes a hall of any charter.
func newHallOf(t testing.TB, db *sqldb.DB, c *charter.Charter) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, c)}
	h.Access = access.New(access.Config{Charter: h.Charter, Now: h.Now})
	operations := append(directory.Operations(), credential.Operations()...)
	h.Serve(op.Config{
		Operations: append(operations, access.Operations()...), Fence: h.fence,
		Settings: op.Settings{BaseURL: "https://hall.test"},
	})
	h.Access.Attach(h.Service)
	return h
}

func (h *hall) fence(ctx context.Context, principals []op.Fence) (func(), error) {
	release, err := h.Access.Fence(ctx, principals)
	if h.WithinFence != nil {
		h.WithinFence()
	}
	return release, err
}

// Fenced changes something behind the back of the operations, within a fence as an operation would.
func (h *hall) Fenced(principal op.Fence, change func()) {
	h.T.Helper()
	release, err := h.Access.Fence(h.T.Context(), []op.Fence{principal})
	h.Must(err)
	defer release()
	change()
}

// ServiceKey makes a service key, and gives its id and secret.
func (h *hall) ServiceKey() (key, token string) {
	h.T.Helper()
	k, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "back end"})
	h.Must(err)
	return k.ID, k.Secret
}
