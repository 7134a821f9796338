package credential_test

import (
	"context"
	"testing"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// hall is a service that gathers sightings.
type hall struct {
	*testroom.Room
	sightings *credential.Sightings
}

// inHalls runs a test on both databases.
func inHalls(t *testing.T, settings op.Settings, test func(h *hall)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(newHall(t, db, settings)) })
}

func newHall(t *testing.T, db *sqldb.DB, settings op.Settings) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, testroom.Ready(t, "automation")), sightings: credential.NewSightings()}
	h.Serve(op.Config{
		Operations: append(credential.Operations(), stepUp, directory.GetMe, directory.CreateOrganization, directory.UpdateOrganization),
		Settings:   settings, Seen: h.sightings.Seen, Fence: h.Fence,
	})
	return h
}

// stepUp stands for any new proof of who uses a session.
var stepUp = &op.Op[struct{}, testroom.SignedIn]{
	Name: "test.step_up", Route: "POST /v1/test/step_up", Kind: op.Write, Scope: op.Self, Allow: op.SignedIn,
	Do: func(ctx context.Context, tx *op.Tx, _ struct{}) (testroom.SignedIn, error) {
		s, err := credential.Rotate(ctx, tx, tx.Actor.Credential.ID)
		return testroom.SignedIn{Session: s.ID, User: tx.Actor.User, Secret: s.Secret.Reveal()}, err
	},
}

// signsIn signs somebody in from a device.
func (h *hall) signsIn(email, agent string) testroom.SignedIn {
	h.T.Helper()
	return h.SignIn(op.As(h.T.Context(), op.Caller{Address: "203.0.113.7", Agent: agent}), email)
}

// stored is everything that the tables keep, as text.
func (h *hall) stored() string {
	h.T.Helper()
	return h.Stored("detail FROM audit_rows", "reason FROM audit_rows", "body FROM audit_subjects", "output FROM idempotency",
		"payload FROM outbox", "hash FROM sessions", "agent FROM sessions", "hash FROM service_keys", "last4 FROM service_keys")
}
