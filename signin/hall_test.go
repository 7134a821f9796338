package signin_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// hall is a service that people sign in to by mail.
type hall struct{ *testroom.Room }

var settings = op.Settings{BaseURL: "https://accounts.acme.test", ReturnTo: []string{"https://app.acme.test/signed-in"}}

// inHalls runs a test on both databases, where anyone may create organizations.
func inHalls(t *testing.T, test func(h *hall)) { inHallsOf(t, charter.AnyoneCreates, test) }

func inHallsOf(t *testing.T, create charter.Creators, test func(h *hall)) {
	t.Helper()
	model := testroom.With(t, "automation", "{create: anyone}", "{create: "+string(create)+"}", "product: Workflow automation", `product: "Work <b>& flow"`)
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(newHall(t, db, model)) })
}

func newHall(t *testing.T, db *sqldb.DB, model *charter.Charter) *hall {
	t.Helper()
	h := &hall{testroom.New(t, db, model)}
	h.Serve(op.Config{
		Operations: append(signin.Operations(), credential.ListSessions, credential.RevokeSession, credential.CreateServiceKey,
			directory.GetMe, directory.CreateOrganization, dangerous),
		Settings: settings, Fence: h.Fence,
	})
	return h
}

// dangerous is an operation that asks for a fresh sign-in.
var dangerous = &op.Op[struct{}, struct{}]{
	Name: "test.dangerous", Route: "POST /v1/test/dangerous", Kind: op.Write, Scope: op.Self, Allow: op.SignedIn, Fresh: true,
	Do: func(context.Context, *op.Tx, struct{}) (struct{}, error) { return struct{}{}, nil },
}

// browser calls with a session in a cookie.
func (h *hall) browser(secret string) context.Context {
	return op.As(h.T.Context(), op.Caller{Credential: secret, Cookie: true, Address: "198.51.100.9"})
}

// begins asks for a mail.
func (h *hall) begins(ctx context.Context, in signin.BeginSignInInput) signin.Challenge {
	h.T.Helper()
	c, err := signin.BeginSignIn.Call(ctx, h.Service, in)
	if err != nil {
		h.T.Fatalf("begin for %+v: %v", in, err)
	}
	return c
}

// asks begins a sign-in and gives the challenge with what the mail has.
func (h *hall) asks(email string) proof {
	h.T.Helper()
	c := h.begins(h.Nobody(), signin.BeginSignInInput{Email: email})
	return h.proof(c)
}

// proof is a challenge with the code and the token of its mail.
type proof struct{ challenge, code, token string }

var (
	codeForm = regexp.MustCompile(`(?m)^([0-9]{6})$`)
	linkForm = regexp.MustCompile(`(?m)^https://accounts\.acme\.test/(?:login|verify)/link\?token=([0-9A-Za-z]+)$`)
)

func (h *hall) proof(c signin.Challenge) proof {
	h.T.Helper()
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
	return signin.CompleteSignIn.Call(ctx, h.Service, signin.CompleteSignInInput{Proof: p})
}

func (h *hall) verifies(ctx context.Context, p signin.Proof) (signin.Verified, error) {
	return signin.Verify.Call(ctx, h.Service, signin.VerifyInput{Proof: p})
}

// signsIn signs somebody in, from the mail to the session.
func (h *hall) signsIn(email string) signin.SignedIn {
	h.T.Helper()
	in, err := h.completes(h.Nobody(), h.asks(email).byCode())
	if err != nil {
		h.T.Fatalf("%s signs in: %v", email, err)
	}
	return in
}

func (h *hall) lastMail() mail.Message {
	h.T.Helper()
	all := h.Mails()
	if len(all) == 0 {
		h.T.Fatal("no mail was sent")
	}
	return all[len(all)-1]
}

// stored is everything that the tables keep, as text.
func (h *hall) stored() string {
	h.T.Helper()
	return h.Stored("id FROM challenges", "token_hash FROM challenges", "code_hash FROM challenges", "return_to FROM challenges",
		"detail FROM audit_rows", "reason FROM audit_rows", "body FROM audit_subjects", "id FROM audit_subjects", "output FROM idempotency",
		"payload FROM outbox", "code_hash FROM handoffs", "return_to FROM handoffs", "hash FROM sessions", "agent FROM sessions",
		"user_id FROM passkeys", "nonce FROM passkey_challenges")
}
