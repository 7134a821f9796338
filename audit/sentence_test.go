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
