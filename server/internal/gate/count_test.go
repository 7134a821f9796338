package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// used is how much of a meter acme has used.
func (d *door) used(meter string) int64 {
	d.t.Helper()
	q, err := usage.GetQuotas.Call(d.hall.Operator(), d.hall.Service(), usage.GetQuotasInput{InOrganization: d.acme.In()})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, one := range q.Quotas {
		if one.Meter == meter {
			return one.Used
		}
	}
	d.t.Fatalf("no quota of %s", meter)
	return 0
}

func counting(permission, who, use string) string {
	return fmt.Sprintf(`{"subject": {"type": "user", "id": %q}, "action": {"name": %q},
		"resource": {"type": "workflow", "id": "wf_1", "properties": {"organization": "acme"}}, "context": {"usage": %s}}`, who, permission, use)
}

// A yes counts what it uses up, once for an id; a no and a question that is not well-formed count nothing; where there is
// not so much left, the answer is no.
func TestACheckCountsInTheSameCall(t *testing.T) {
	onBoth(t, "automation", func(t *testing.T, d *door) {
		owner, viewer := d.acme.People["owner"].User, d.acme.People["viewer"].User
		for _, one := range []struct {
			name, body, answer string
			status             int
			used               int64
		}{
			{"a yes", counting("workflows.run", owner, `{"meter": "executions", "id": "run_1"}`), `"remaining":999`, 200, 1},
			{"the same again", counting("workflows.run", owner, `{"meter": "executions", "id": "run_1"}`), `"remaining":999`, 200, 1},
			{"several", counting("workflows.run", owner, `{"meter": "executions", "amount": 9}`), `"remaining":990`, 200, 10},
			{"a no", counting("workflows.run", viewer, `{"meter": "executions"}`), `"reason":"no_permission"`, 200, 10},
			{"more than is left", counting("workflows.run", owner, `{"meter": "executions", "amount": 991}`), `{"decision":false,"context":{"reason":"quota_exceeded","needs":"workflows.run"`, 200, 10},
			{"a meter that there is not", counting("workflows.run", owner, `{"meter": "executionz"}`), `the charter has no meter`, 400, 10},
			{"less than nothing", counting("workflows.run", owner, `{"meter": "executions", "amount": -1}`), `amount`, 400, 10},
			{"half a one", counting("workflows.run", owner, `{"meter": "executions", "amount": 0.5}`), `amount`, 400, 10},
			{"too long an id", counting("workflows.run", owner, `{"meter": "executions", "id": "`+strings.Repeat("x", 201)+`"}`), `usage.id`, 400, 10},
			{"what is left", counting("workflows.run", owner, `{"meter": "executions", "amount": 990}`), `"remaining":0`, 200, 1000},
			{"one too many", counting("workflows.run", owner, `{"meter": "executions"}`), `quota_exceeded`, 200, 1000},
			{"the first one again", counting("workflows.run", owner, `{"meter": "executions", "id": "run_1"}`), `{"decision":true`, 200, 1000},
		} {
			got := d.post("/access/v1/evaluation", one.body)
			if got.status != one.status || !strings.Contains(got.body, one.answer) {
				t.Errorf("%s: %d %s", one.name, got.status, got.body)
			}
			if used := d.used("executions"); used != one.used {
				t.Errorf("%s: %d used, not %d", one.name, used, one.used)
			}
		}
		d.hall.Sound()
	})
}

// In a batch every yes counts, and a use that is not well-formed is a no of its own.
func TestABatchCountsEachYes(t *testing.T) {
	d := open(t, "automation")
	owner := d.acme.People["owner"].User
	got := d.post("/access/v1/evaluations", fmt.Sprintf(`{"subject": {"type": "user", "id": %q}, "action": {"name": "workflows.run"},
		"resource": {"type": "organization", "id": "acme"}, "evaluations": [{"context": {"usage": {"meter": "executions"}}},
		{"context": {"usage": {"meter": "nothing"}}}, {}, {"context": {"usage": {"meter": "executions", "amount": 2}}}]}`, owner))
	if got.status != http.StatusOK || strings.Count(got.body, `"decision":true`) != 3 || strings.Count(got.body, `"reason":"malformed"`) != 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if used := d.used("executions"); used != 3 {
		t.Errorf("%d used, not 3", used)
	}
}

// The client and the library count alike, and say who used it.
func TestTheFacesCountAlike(t *testing.T) {
	d := open(t, "automation")
	member := d.acme.People["owner"]
	for i, face := range []check.Checker{d.hall.Hall, client.New(d.url, d.key)} {
		answer, err := face.Check(t.Context(), check.Request{Subject: check.ByCredential(member.Token), Permission: "workflows.run",
			Resource: check.On("workflow", "wf_9").In("acme"), Count: &check.Count{Meter: "executions", Amount: 2}})
		if err != nil || !answer.Allow || answer.Remaining == nil || *answer.Remaining != int64(998-2*i) {
			t.Errorf("%T: %+v, %v", face, answer, err)
		}
		if _, err = face.Check(t.Context(), check.Request{Subject: check.ByCredential(member.Token), Permission: "workflows.run",
			Resource: check.On("workflow", "wf_9").In("acme"), Count: &check.Count{Meter: "no"}}); op.AsError(err).Kind != op.Malformed {
			t.Errorf("%T: %v", face, err)
		}
	}
	events, err := usage.ListEvents.Call(d.hall.Operator(), d.hall.Service(), usage.ListEventsInput{InOrganization: d.acme.In(), Meter: "executions"})
	if err != nil || len(events.Data) != 2 || events.Data[0].Member != member.Member {
		t.Errorf("%+v, %v", events, err)
	}
}
