package credential_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// linger is any use of a credential that takes its time: until whoever hears of it lets it go on.
var linger = &op.Op[op.InOrganization, struct{}]{
	Name: "test.linger", Route: "POST /v1/organizations/{organization}/test/linger", Kind: op.Count, Allow: op.On("workflows.view"),
	Do: func(ctx context.Context, _ *op.Tx, _ op.InOrganization) (struct{}, error) {
		on := make(chan struct{})
		select {
		case lingering <- on:
			<-on
		case <-ctx.Done():
		}
		return struct{}{}, ctx.Err()
	},
}

var lingering = make(chan chan struct{})

// Whoever acts by a credential again and again does not put off its end: who comes after the change that ends it waits for
// that, and is refused. T-043
func TestACredentialThatIsBusyIsEnded(t *testing.T) {
	a := foundAcme(t, testdb.Postgres(t), testroom.Ready(t, "automation"), linger) // on SQLite there is one writer at a time
	key := a.ada.key("workflows.view")
	token := a.ada.token("workflows.view")
	again := a.SignIn(a.ada.ctx(), "ada@acme.test")
	for name, c := range map[string]struct {
		secret string
		end    func() error
	}{
		"key": {key.Secret, func() error {
			_, err := call(a.ada, credential.RevokeKey, credential.RevokeKeyInput{KeyInput: a.ada.named(key.ID)})
			return err
		}},
		"token": {token.Secret, func() error {
			_, err := call(a.ada, credential.RevokeToken, credential.RevokeTokenInput{InOrganization: a.ada.in(), Token: token.ID})
			return err
		}},
		"session": {again.Secret, func() error {
			_, err := call(a.ada, credential.RevokeSession, credential.RevokeSessionInput{Session: again.Session})
			return err
		}},
	} {
		a.endsInTurn(name, a.holding(c.secret), c.end)
	}
}

// endsInTurn ends a credential while somebody acts by it, and acts by it again while that waits.
func (a *acme) endsInTurn(name string, by caller, end func() error) {
	a.T.Helper()
	ctx, cancel := context.WithTimeout(a.T.Context(), 30*time.Second)
	defer cancel()
	acts := func() chan error {
		done := make(chan error, 1)
		go func() { _, err := call(by, linger, by.in()); done <- err }()
		return done
	}
	first := acts()
	var on chan struct{}
	select {
	case on = <-lingering:
	case err := <-first:
		a.T.Fatalf("%s: it does not act: %v", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	a.waiting(ctx, 1)
	second := acts()
	done := make(chan struct{})
	go func() { defer close(done); a.waiting(ctx, 2) }()
	select {
	case <-done:
	case on := <-lingering:
		close(on)
		a.T.Errorf("%s: who comes later passes the change that ends it", name)
	}
	close(on)
	if err := errors.Join(<-first, <-ended); err != nil {
		a.T.Errorf("%s: %v", name, err)
	}
	if err := <-second; op.AsError(err).Kind != op.Unauthenticated {
		a.T.Errorf("%s: who comes later: %v, want to be refused", name, err)
	}
	cancel()
	<-done
}

// waiting returns when so many transactions wait for a lock.
func (a *acme) waiting(ctx context.Context, n int64) {
	for ctx.Err() == nil && a.Number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") < n {
		time.Sleep(time.Millisecond)
	}
}
