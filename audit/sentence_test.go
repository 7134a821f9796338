package audit_test

import (
	"testing"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

func TestSentencesReadAsPeopleWouldSayIt(t *testing.T) {
	model, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	ada := audit.Actor{Kind: op.UserActor, ID: "usr_1", Name: "Ada", Email: "ada@acme.test"}
	on := func(kind, name string) []audit.Target { return []audit.Target{{Type: kind, ID: "x_1", Name: name}} }
	role := func(before, after any) []audit.FieldChange {
		return []audit.FieldChange{{Field: "role", Before: before, After: after}}
	}
	event := func(action string, targets []audit.Target, changes ...audit.FieldChange) audit.Event {
		return audit.Event{Actor: ada, Action: action, Targets: targets, Changes: changes, Outcome: op.OutcomeOK, Count: 1}
	}
	with := func(e audit.Event, change func(*audit.Event)) audit.Event { change(&e); return e }
	for _, c := range []struct {
		name  string
		event audit.Event
		want  string
	}{
		{"an invitation", event("invitations.create", on("invitation", "zoe@acme.test"), role(nil, "editor")...), "Ada invited zoe@acme.test as Editor"},
		{"a role that is no more", event("invitations.create", on("invitation", "zoe@acme.test"), role(nil, "pilot")...), "Ada invited zoe@acme.test as pilot"},
		{"two invitations", event("invitations.create_many", append(on("invitation", "a@x.test"), on("invitation", "b@x.test")...)), "Ada invited a@x.test and b@x.test"},
		{"four invitations", event("invitations.create_many", append(append(on("invitation", "a@x.test"), on("invitation", "b")...), append(on("invitation", "c"), on("invitation", "d")...)...)), "Ada invited a@x.test and 3 more"},
		{"a role", event("members.update", on("member", "Zoe"), role("editor", "viewer")...), "Ada changed Zoe from Editor to Viewer"},
		{"an end date", event("members.update", on("member", "Zoe"), audit.FieldChange{Field: "ends_at", After: "2026-12-31T18:00:00Z"}), "Ada changed Zoe, who is now a member until 2026-12-31"},
		{"a removal", event("members.remove", on("member", "Zoe")), "Ada removed Zoe"},
		{"a target without a name", event("members.remove", on("member", "")), "Ada removed x_1"},
		{"settings", event("organizations.update", on("organization", "Acme"), audit.FieldChange{Field: "time_zone"}, audit.FieldChange{Field: "name"}), "Ada changed the settings of Acme: time zone, name"},
		{"a key", event("keys.create", on("key", "ci"), audit.FieldChange{Field: "permissions", After: []any{"workflows.run"}}), "Ada made the key ci"},
		{"a narrowed key", event("keys.update", on("key", "ci"), audit.FieldChange{Field: "permissions"}, audit.FieldChange{Field: "expires_at"}), "Ada changed the key ci: permissions, expires at"},
		{"a rotation", event("keys.rotate", append(on("key", "ci"), on("key", "ci")...)), "Ada rotated the key ci"},
		{"a revoked key", event("keys.revoke", on("key", "ci")), "Ada revoked the key ci"},
		{"a token", event("tokens.create", on("token", "one run")), "Ada made the token one run"},
		{"a revoked token", event("tokens.revoke", on("token", "one run")), "Ada revoked the token one run"},
		{"a service account", event("service_accounts.create", on("service_account", "nightly build"), role(nil, "editor")...), "Ada made the service account nightly build as Editor"},
		{"a service account's role", event("service_accounts.update", on("service_account", "nightly build"), role("editor", "viewer")...), "Ada changed the service account nightly build from Editor to Viewer"},
		{"a service account's name", event("service_accounts.update", on("service_account", "nightly build"), audit.FieldChange{Field: "name"}), "Ada changed the service account nightly build"},
		{"a deleted service account", event("service_accounts.delete", on("service_account", "nightly build")), "Ada deleted the service account nightly build"},
		{"a role of the organization's own", event("roles.create", on("role", "Reviewer")), "Ada made the role Reviewer"},
		{"a changed role", event("roles.update", on("role", "Reviewer"), audit.FieldChange{Field: "permissions"}), "Ada changed the role Reviewer: permissions"},
		{"a deleted role", event("roles.delete", on("role", "Reviewer")), "Ada deleted the role Reviewer"},
		{"somebody from the product", with(event("users.upsert", on("user", "Zoe")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.ServiceActor, Name: "back end"} }), "The service key back end saved the user Zoe"},
		{"a member from the product", with(event("members.add", on("member", "Zoe"), role(nil, "editor")...), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.ServiceActor, Name: "back end"} }), "The service key back end added Zoe as Editor"},
		{"a deleted person", event("users.delete", on("user", "Zoe")), "Ada deleted the user Zoe"},
		{"a sign-in for the product", event("sessions.exchange", on("user", "Zoe")), "Ada exchanged a sign-in for a session of Zoe"},
		{"a rotated service key", event("service_keys.rotate", append(on("service_key", "back end"), on("service_key", "back end")...)), "Ada rotated the service key back end"},
		{"what a key did", with(event("members.remove", on("member", "Zoe")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.KeyActor, Name: "ci"} }), "The key ci removed Zoe"},
		{"what a token did", with(event("members.remove", on("member", "Zoe")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.TokenActor, ID: "tok_1"} }), "The token tok_1 removed Zoe"},
		{"what an erased key did", audit.Erased(with(event("keys.create", on("key", "ci")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.KeyActor, Name: "ci"} })), "erased made the key erased"},
		{"a dismissed finding", event("findings.dismiss", on("finding", "Zoe"), audit.FieldChange{Field: "dismissed_until", After: "2027-02-01T18:00:00Z"}), "Ada dismissed the finding about Zoe until 2027-02-01"},
		{"a review", event("reviews.start", on("review", "Q4")), "Ada started the review Q4"},
		{"a decision about a member", event("reviews.decide", append(on("review", "Q4"), on("member", "Zoe")...), audit.FieldChange{Field: "decision", After: "remove"}), "Ada decided to remove Zoe in the review Q4"},
		{"a decision about a key", event("reviews.decide", append(on("review", "Q4"), on("key", "ci")...), audit.FieldChange{Field: "decision", After: "keep"}), "Ada decided to keep the key ci in the review Q4"},
		{"a completed review", event("reviews.complete", append(on("review", "Q4"), on("member", "Zoe")...)), "Ada completed the review Q4: Zoe"},
		{"a repeated review", with(event("reviews.repeat", append(on("review", "Q3"), on("review", "Q4")...)), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.SystemActor, ID: "access reviews"} }), "Guildhall started the next review of Q3"},
		{"no template", event("widgets.polish", on("widget", "Anvil")), "Ada did widgets.polish on Anvil"},
		{"a template that lacks its word", event("members.remove", nil), "Ada did members.remove"},
		{"erased", audit.Erased(event("members.remove", on("member", "Zoe"))), "erased removed erased"},
		{"a denial", with(event("members.remove", nil), func(e *audit.Event) { e.Outcome, e.Reason = op.OutcomeDenied, "needs members.remove" }), "Ada was refused members.remove: needs members.remove"},
		{"three denials", with(event("members.remove", nil), func(e *audit.Event) { e.Outcome, e.Count, e.Reason = op.OutcomeDenied, 3, "not_found" }), "Ada was refused members.remove 3 times: not found"},
		{"nothing to do", with(event("members.suspend", on("member", "Zoe")), func(e *audit.Event) { e.Outcome = op.OutcomeUnchanged }), "Ada suspended Zoe, which changed nothing"},
		{"a wrong code", with(event("signin.complete", nil), func(e *audit.Event) { e.Outcome = op.OutcomeFailed; e.Actor = audit.Actor{Kind: op.NobodyActor} }), "Somebody tried signin.complete, which failed"},
		{"the operator", with(event("service_keys.create", on("service_key", "back end")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.OperatorActor, ID: "operator"} }), "The operator made the service key back end"},
		{"scheduled work", with(event("members.remove", on("member", "Zoe")), func(e *audit.Event) { e.Actor = audit.Actor{Kind: op.SystemActor, ID: "end dates"} }), "Guildhall removed Zoe"},
		{"an actor without a name", with(event("audit.list", nil), func(e *audit.Event) { e.Actor.Name = "" }), "ada@acme.test looked at the audit log"},
		{"a name with braces", with(event("members.remove", on("member", "{actor}[x]")), func(e *audit.Event) { e.Actor.Name = "{member}" }), "{member} removed {actor}[x]"},
	} {
		if got := audit.Sentence(model, c.event); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
