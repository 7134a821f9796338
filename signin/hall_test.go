package signin_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// hall is a service with a clock of its own and a mailbox.
type hall struct {
	t       *testing.T
	db      *sqldb.DB
	service *op.Service
	secrets *secret.Ring
	now     time.Time
	mu      sync.Mutex
	fenced  []op.Fence
}

var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

var settings = op.Settings{BaseURL: "https://accounts.acme.test", ReturnTo: []string{"https://app.acme.test/signed-in"}}

// inHalls runs a test on both databases, where anyone may create organizations.
func inHalls(t *testing.T, test func(h *hall)) { inHallsOf(t, charter.AnyoneCreates, test) }

func inHallsOf(t *testing.T, create charter.Creators, test func(h *hall)) {
	t.Helper()
	source := strings.Replace(string(charter.Source("automation")), "{create: anyone}", "{create: "+string(create)+"}", 1)
	source = strings.Replace(source, "product: Workflow automation", `product: "Work <b>& flow"`, 1)
	model, err := charter.Parse("automation.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(newHall(t, db, model)) })
}

func newHall(t *testing.T, db *sqldb.DB, model *charter.Charter) *hall {
	t.Helper()
	h := &hall{t: t, db: db, now: monday, secrets: secret.NewRing()}
	if _, err := op.FoundInstance(t.Context(), db, false, "automation", monday); err != nil {
		t.Fatal(err)
	}
	operations := append(signin.Operations(), credential.ListSessions, directory.GetMe, directory.CreateOrganization, dangerous)
	service, err := op.New(op.Config{
		DB: db, Charter: model, Secrets: h.secrets, Settings: settings, Load: directory.Load, Operations: operations,
		Now: func() time.Time { return h.now },
		Fence: func(_ context.Context, principals []op.Fence) (func(), error) {
			h.mu.Lock()
			defer h.mu.Unlock()
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
	h.service = service
	return h
}

// dangerous is an operation that asks for a fresh sign-in.
var dangerous = &op.Op[struct{}, struct{}]{
	Name: "test.dangerous", Route: "POST /v1/test/dangerous", Kind: op.Write, Scope: op.Self, Allow: op.SignedIn, Fresh: true,
	Do: func(context.Context, *op.Tx, struct{}) (struct{}, error) { return struct{}{}, nil },
}

// nobody calls from an address of its own.
func (h *hall) nobody() context.Context {
	return op.As(h.t.Context(), op.Caller{Address: "198.51.100.9", Agent: "test"})
}

func (h *hall) bearer(secret string) context.Context {
	return op.As(h.t.Context(), op.Caller{Credential: secret, Address: "198.51.100.9"})
}

func (h *hall) browser(secret string) context.Context {
	return op.As(h.t.Context(), op.Caller{Credential: secret, Cookie: true, Address: "198.51.100.9"})
}

func (h *hall) after(d time.Duration) { h.now = h.now.Add(d) }

// begins asks for a mail.
func (h *hall) begins(ctx context.Context, in signin.BeginSignInInput) signin.Challenge {
	h.t.Helper()
	c, err := signin.BeginSignIn.Call(ctx, h.service, in)
	if err != nil {
		h.t.Fatalf("begin for %+v: %v", in, err)
	}
	return c
}

// asks begins a sign-in and gives the challenge with what the mail has.
func (h *hall) asks(email string) proof {
	h.t.Helper()
	c := h.begins(h.nobody(), signin.BeginSignInInput{Email: email})
	return h.proof(c)
}

// proof is a challenge with the code and the token of its mail.
type proof struct{ challenge, code, token string }

var (
	codeForm = regexp.MustCompile(`(?m)^([0-9]{6})$`)
	linkForm = regexp.MustCompile(`(?m)^https://accounts\.acme\.test/(?:login|verify)/link\?token=([0-9A-Za-z]+)$`)
)

func (h *hall) proof(c signin.Challenge) proof {
	h.t.Helper()
	p := proof{challenge: c.ID}
	text := h.lastMail().Text
	if found := codeForm.FindStringSubmatch(text); found != nil {
		p.code = found[1]
	}
	if found := linkForm.FindStringSubmatch(text); found != nil {
		p.token = found[1]
	}
	return p
}

// wrong is another code than the right one.
func (p proof) wrong() proof {
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); code != p.code {
			return proof{challenge: p.challenge, code: code}
		}
	}
}

func (p proof) byCode() signin.Proof { return signin.Proof{Challenge: p.challenge, Code: p.code} }
func (p proof) byLink() signin.Proof { return signin.Proof{Token: p.token} }

func (h *hall) completes(ctx context.Context, p signin.Proof) (signin.SignedIn, error) {
	return signin.CompleteSignIn.Call(ctx, h.service, signin.CompleteSignInInput{Proof: p})
}

func (h *hall) verifies(ctx context.Context, p signin.Proof) (signin.Verified, error) {
	return signin.Verify.Call(ctx, h.service, signin.VerifyInput{Proof: p})
}

// signsIn signs somebody in, from the mail to the session.
func (h *hall) signsIn(email string) signin.SignedIn {
	h.t.Helper()
	in, err := h.completes(h.nobody(), h.asks(email).byCode())
	if err != nil {
		h.t.Fatalf("%s signs in: %v", email, err)
	}
	return in
}

func (h *hall) mails() []mail.Message {
	h.t.Helper()
	var all []mail.Message
	err := h.db.Read(h.t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(h.t.Context(), "SELECT kind, payload FROM outbox ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind string
			var payload []byte
			if err := rows.Scan(&kind, &payload); err != nil {
				return err
			}
			plain, err := h.secrets.Open("outbox:"+kind, payload)
			if err != nil {
				return err
			}
			var m mail.Message
			if err := json.Unmarshal(plain, &m); err != nil {
				return err
			}
			all = append(all, m)
		}
		return rows.Err()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *hall) lastMail() mail.Message {
	h.t.Helper()
	all := h.mails()
	if len(all) == 0 {
		h.t.Fatal("no mail was sent")
	}
	return all[len(all)-1]
}

func (h *hall) works(what, secret string) {
	h.t.Helper()
	if _, err := directory.GetMe.Call(h.bearer(secret), h.service, directory.GetMeInput{}); err != nil {
		h.t.Errorf("%s is refused: %v", what, err)
	}
}

func (h *hall) dead(what, secret string) {
	h.t.Helper()
	_, err := directory.GetMe.Call(h.bearer(secret), h.service, directory.GetMeInput{})
	h.refused(what, err, "unauthenticated")
}

// refused fails the test unless err has the code.
func (h *hall) refused(what string, err error, want string) {
	h.t.Helper()
	if err == nil {
		h.t.Errorf("%s is allowed, want %s", what, want)
	} else if got := op.AsError(err).FullCode(); got != want {
		h.t.Errorf("%s is refused with %s (%v), want %s", what, got, err, want)
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

// stored is everything that the tables keep, as text.
func (h *hall) stored() string {
	h.t.Helper()
	var all strings.Builder
	for _, columns := range []string{"id FROM challenges", "token_hash FROM challenges", "code_hash FROM challenges", "return_to FROM challenges",
		"detail FROM audit_rows", "reason FROM audit_rows", "body FROM audit_subjects", "id FROM audit_subjects", "output FROM idempotency",
		"payload FROM outbox", "hash FROM sessions", "agent FROM sessions"} {
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
