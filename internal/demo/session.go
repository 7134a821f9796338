package demo

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// agent is how the demo itself is named in sessions and audit rows.
const agent = "guildhall demo"

// machine is the demo acting as the operator at this machine.
var machine = op.Caller{Machine: true, Address: "127.0.0.1", Agent: agent}

// as is a person of the demo.
func as(token string) op.Caller {
	return op.Caller{Credential: token, Address: "127.0.0.1", Agent: agent}
}

// signInAsInput names whom to sign in.
type signInAsInput struct {
	Email  string `json:"email" doc:"The person's address" example:"ada@acme.test" maxLength:"320"`
	Method string `json:"method" doc:"Where the session is shown" enum:"demo,demo_page"`
}

// The methods of the demo's sessions: those that are printed at a start, and those of the page that signs in.
const (
	printed = "demo"
	onPage  = "demo_page"
)

// signedInAs is a session of somebody.
type signedInAs struct {
	User        string `json:"user"`
	Secret      string `json:"secret" doc:"The session's token"`
	SecretShown bool   `json:"secret_shown"`
}

// WithoutSecret is what a repeat of the request is answered.
func (s signedInAs) WithoutSecret() any {
	s.Secret, s.SecretShown = "", false
	return s
}

// signInAs begins a session of a person of the demo without any proof. It is in the table of a demo only, and nobody
// calls it but the demo at its own machine.
var signInAs = &op.Op[signInAsInput, signedInAs]{
	Name:    "demo.session",
	Route:   "POST /v1/demo/sessions",
	Summary: "Sign somebody in without any proof: in the demo only, and at its own machine",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, in signInAsInput) (op.Target, error) {
		u, err := directory.FindUser(ctx, r, in.Email)
		if err != nil {
			return op.Target{}, err
		}
		return op.Target{Type: "user", ID: u.ID, Name: u.Label(), Value: u}, nil
	},
	Do: func(ctx context.Context, tx *op.Tx, in signInAsInput) (signedInAs, error) {
		u, _ := tx.Target().Value.(directory.User)
		s, err := credential.BeginSession(ctx, tx, u.ID, credential.ByMail(in.Method))
		tx.Also("session", s.ID, s.Device)
		return signedInAs{User: u.ID, Secret: s.Secret.Reveal(), SecretShown: true}, err
	},
	Example: signInAsInput{Email: "ada@acme.test", Method: printed},
}

// signIn begins the session of a person that is printed at this start, and ends those of the starts before: nobody
// knows their secrets any more.
func (d *Demo) signIn(ctx context.Context, email string) (signedInAs, error) {
	s, err := signInAs.Call(op.As(ctx, machine), d.hall.Service(), signInAsInput{Email: email, Method: printed})
	if err != nil {
		return s, fmt.Errorf("session of %s: %w", email, err)
	}
	ctx = op.As(ctx, as(s.Secret))
	sessions, err := credential.ListSessions.Call(ctx, d.hall.Service(), credential.ListSessionsInput{Page: op.Page{Limit: 100}})
	if err != nil {
		return s, fmt.Errorf("sessions of %s: %w", email, err)
	}
	for _, old := range sessions.Data {
		if old.Method != printed || old.Current || !old.EndedAt.IsZero() {
			continue
		}
		if _, err := credential.RevokeSession.Call(ctx, d.hall.Service(), credential.RevokeSessionInput{Session: old.ID}); err != nil {
			return s, fmt.Errorf("sessions of %s: %w", email, err)
		}
	}
	return s, nil
}

// serviceKey makes the service key that is printed at this start, and revokes that of the start before.
func (d *Demo) serviceKey(ctx context.Context) (string, error) {
	ctx = op.As(ctx, machine)
	keys, err := credential.ListServiceKeys.Call(ctx, d.hall.Service(), credential.ListServiceKeysInput{Page: op.Page{Limit: 100}})
	if err != nil {
		return "", err
	}
	for _, old := range keys.Data {
		if old.Name != agent || !old.RevokedAt.IsZero() {
			continue
		}
		in := credential.RevokeServiceKeyInput{Key: old.ID, Reason: "the demo was started again"}
		if _, err := credential.RevokeServiceKey.Call(ctx, d.hall.Service(), in); err != nil {
			return "", err
		}
	}
	key, err := credential.CreateServiceKey.Call(ctx, d.hall.Service(), credential.CreateServiceKeyInput{Name: agent})
	return key.Secret, err
}
