package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
)

// always answers every question alike.
type always struct {
	decision check.Decision
	err      error
}

func (a always) Check(context.Context, check.Request) (check.Decision, error) {
	return a.decision, a.err
}

func TestDemandFollowsTheAnswer(t *testing.T) {
	broken := errors.New("no answer")
	question := check.Request{Subject: check.Subject{Type: check.Credential, ID: "the secret"}, Permission: "workflows.run"}
	no := check.Decision{Reason: decide.NoPermission, Needs: "workflows.run"}

	if err := check.Demand(t.Context(), always{decision: check.Decision{Allow: true}}, question); err != nil {
		t.Errorf("an allow gives %v", err)
	}
	if err := check.Demand(t.Context(), always{decision: check.Decision{Allow: true}, err: broken}, question); !errors.Is(err, broken) {
		t.Errorf("no answer gives %v, want %v", err, broken)
	}
	var denied *check.Denied
	err := check.Demand(t.Context(), always{decision: no}, question)
	if !errors.As(err, &denied) || denied.Decision.Needs != "workflows.run" {
		t.Fatalf("a denial gives %v", err)
	}
	if got, want := err.Error(), "denied: workflows.run (no_permission)"; got != want || strings.Contains(got, "secret") {
		t.Errorf("the text is %q, want %q", got, want)
	}
}
