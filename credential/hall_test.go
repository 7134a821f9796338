package credential_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// hall is a service with a clock of its own, whose every write is held to its number of statements.
type hall struct {
	t         *testing.T
	db        *sqldb.DB
	service   *op.Service
	now       time.Time
	fenced    []op.Fence
	sightings *credential.Sightings
}

var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// inHalls runs a test on both databases.
func inHalls(t *testing.T, settings op.Settings, test func(h *hall)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(newHall(t, db, settings)) })
}

func newHall(t *testing.T, db *sqldb.DB, settings op.Settings) *hall {
	t.Helper()
	model, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{t: t, db: db, now: monday, sightings: credential.NewSightings()}
	if _, err := op.FoundInstance(t.Context(), db, false, "automation", monday); err != nil {
		t.Fatal(err)
	}
	h.service, err = op.New(op.Config{
		DB: db, Charter: model, Secrets: secret.NewRing(), Settings: settings, Load: directory.Load,
		Operations: append(credential.Operations(), signIn, stepUp, directory.GetMe, directory.CreateOrganization, directory.UpdateOrganization),
		Now:        func() time.Time { return h.now },
		Seen:       h.sightings.Seen,
		Fence: func(_ context.Context, principals []op.Fence) (func(), error) {
			h.fenced = append(h.fenced, principals...)
			return func() {}, nil
		},
		Observe: func(o op.Observation) {
			if o.Statements > 8 {
				t.Errorf("%s ran %d statements in its transaction, at most 8 are allowed", o.Operation, o.Statements)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// signIn stands for any way of signing in.
var signIn = &op.Op[signInInput, signedIn]{
	Name: "test.sign_in", Route: "POST /v1/test/sign_in", Kind: op.Write, Scope: op.Public, Allow: op.Anyone,
	Do: func(ctx context.Context, tx *op.Tx, in signInInput) (signedIn, error) {
		user, _, err := directory.EnsureUser(ctx, tx, in.Email, "")
		if err != nil {
			return signedIn{}, err
		}
		s, err := credential.BeginSession(ctx, tx, user.ID, "mail")
		return signedIn{Session: s.ID, User: user.ID, Secret: s.Secret.Reveal()}, err
	},
}

type signInInput struct {
	Email string `json:"email"`
}

type signedIn struct {
	Session string `json:"session"`
	User    string `json:"user"`
	Secret  string `json:"secret"`
}

// stepUp stands for any new proof of who uses a session.
var stepUp = &op.Op[struct{}, signedIn]{
	Name: "test.step_up", Route: "POST /v1/test/step_up", Kind: op.Write, Scope: op.Self, Allow: op.SignedIn,
	Do: func(ctx context.Context, tx *op.Tx, _ struct{}) (signedIn, error) {
		s, err := credential.Rotate(ctx, tx, tx.Actor.Credential.ID)
		return signedIn{Session: s.ID, User: tx.Actor.User, Secret: s.Secret.Reveal()}, err
	},
}

// signsIn signs somebody in from a device.
func (h *hall) signsIn(email, agent string) signedIn {
	h.t.Helper()
	s, err := signIn.Call(op.As(h.t.Context(), op.Caller{Address: "203.0.113.7", Agent: agent}), h.service, signInInput{email})
	if err != nil {
		h.t.Fatalf("%s signs in: %v", email, err)
	}
	return s
}

// as makes calls with a secret.
func (h *hall) as(secret string) context.Context {
	return op.As(h.t.Context(), op.Caller{Credential: secret, Address: "203.0.113.7"})
}

func (h *hall) operator() context.Context {
	return op.As(h.t.Context(), op.Caller{Machine: true})
}

func (h *hall) after(d time.Duration) { h.now = h.now.Add(d) }

// works fails the test unless the secret is a living credential.
func (h *hall) works(what, secret string) {
	h.t.Helper()
	if _, err := directory.GetMe.Call(h.as(secret), h.service, directory.GetMeInput{}); err != nil {
		h.t.Errorf("%s is refused: %v", what, err)
	}
}

// dead fails the test unless the secret is nobody's.
func (h *hall) dead(what, secret string) {
	h.t.Helper()
	_, err := directory.GetMe.Call(h.as(secret), h.service, directory.GetMeInput{})
	h.refused(what, err, op.Unauthenticated)
}

func (h *hall) refused(what string, err error, want op.ErrorKind) {
	h.t.Helper()
	if err == nil {
		h.t.Errorf("%s is allowed, want %v", what, want)
	} else if got := op.AsError(err).Kind; got != want {
		h.t.Errorf("%s is refused with %v (%v), want %v", what, got, err, want)
	}
}

func (h *hall) exec(query string, args ...any) {
	h.t.Helper()
	err := h.db.Write(h.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(h.t.Context(), query, args...)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) number(query string, args ...any) int64 {
	h.t.Helper()
	var n int64
	err := h.db.Read(h.t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(h.t.Context(), query, args...).Scan(&n) })
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// stored is everything that the tables keep, as text.
func (h *hall) stored() string {
	h.t.Helper()
	var all strings.Builder
	for _, columns := range []string{"detail FROM audit_rows", "reason FROM audit_rows", "body FROM audit_subjects", "output FROM idempotency",
		"payload FROM outbox", "hash FROM sessions", "agent FROM sessions", "hash FROM service_keys", "last4 FROM service_keys"} {
		err := h.db.Read(h.t.Context(), func(tx *sqldb.Tx) error {
			rows, err := tx.Query(h.t.Context(), "SELECT "+columns)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var field []byte
				if err := rows.Scan(&field); err != nil {
					return err
				}
				all.Write(append(field, '\n'))
			}
			return rows.Err()
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return all.String()
}
