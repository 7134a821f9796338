package usage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

func (o *office) budgets(in usage.CreateBudgetInput) usage.Budget {
	o.T.Helper()
	in.InOrganization = o.in()
	b, err := usage.CreateBudget.Call(o.As(o.ada.Token), o.Service, in)
	o.Must(err)
	return b
}

// warns does what the job does before it folds, and says how many thresholds people were told of.
func (o *office) warns() int {
	o.T.Helper()
	var due []usage.FireInput
	o.Must(o.Service.Snapshot(o.T.Context(), func(r *op.Reader) (err error) {
		due, err = usage.Due(o.T.Context(), r)
		return err
	}))
	n := 0
	for _, in := range due {
		fired, err := usage.Fire.Call(op.As(o.T.Context(), op.Caller{System: "usage"}), o.Service, in)
		o.Must(err)
		n += fired.Fired
	}
	return n
}

func TestEachThresholdTellsOnceAPeriod(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.Join(o.acme, "vic@acme.test", "viewer")
		b := o.budgets(usage.CreateBudgetInput{Name: "Runs", BudgetFields: usage.BudgetFields{Meter: "runs", Amount: 100, Thresholds: []int64{100, 50}}})
		o.budgets(usage.CreateBudgetInput{Name: "Money", BudgetFields: usage.BudgetFields{Amount: 300}})
		want(t, "nothing", o.warns(), 0)
		o.records(usage.Event{Meter: "runs", Value: 60})
		want(t, "at 60", o.warns(), 1)
		want(t, "again", o.warns(), 0)
		// 300 tokens beyond those included cost 300; the plan warns at 50 percent of its limit.
		o.records(usage.Event{Meter: "runs", Value: 60}, usage.Event{Meter: "tokens", Value: 550})
		want(t, "at 120, and money", o.warns(), 1+3+1)
		mails := o.Mails()
		if len(mails) != 2 || mails[0].To != "ada@acme.test" || !strings.Contains(mails[0].Text, "“Runs” has reached 50 %: 60 of 100 runs") ||
			!strings.Contains(mails[1].Text, "“Tokens” has reached 50 %: 550 of 1000 tokens") {
			t.Errorf("mailed %+v", mails)
		}
		list, err := usage.ListBudgets.Call(o.As(o.ada.Token), o.Service, usage.ListBudgetsInput{InOrganization: o.in()})
		o.Must(err)
		if len(list.Data) != 2 || list.Data[0].Percent != 150 || len(list.Data[0].Reached) != 3 || list.Data[1].ID != b.ID || list.Data[1].Used != 120 {
			t.Errorf("budgets: %+v", list.Data)
		}
		history, err := usage.ListWarnings.Call(o.As(o.ada.Token), o.Service, usage.HistoryInput{InOrganization: o.in()})
		o.Must(err)
		want(t, "history", len(history.Data), 6)
		o.After(31 * 24 * time.Hour)
		o.records(usage.Event{Meter: "runs", Value: 50})
		want(t, "the next period", o.warns(), 1)
	})
}

func TestABudgetStops(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.budgets(usage.CreateBudgetInput{Name: "Runs", BudgetFields: usage.BudgetFields{Meter: "runs", Amount: 5, Action: usage.ActionStop}})
		o.holds(usage.ReserveInput{Meter: "runs", Amount: 5})
		_, err := o.reserves(usage.ReserveInput{Meter: "runs"})
		o.Refused("beyond the budget", err, "quota_exceeded")
		o.budgets(usage.CreateBudgetInput{Name: "Money", BudgetFields: usage.BudgetFields{Amount: 10, Action: usage.ActionStop}})
		o.holds(usage.ReserveInput{Meter: "tokens", Amount: 200})
		o.records(usage.Event{Meter: "tokens", Value: 110})
		_, err = o.reserves(usage.ReserveInput{Meter: "tokens"})
		o.Refused("beyond the money", err, "budget_reached")
	})
}

func TestABudgetIsTriedOnThePast(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		for months, n := range map[int]int64{1: 90, 2: 40, 3: 200} {
			o.records(usage.Event{Meter: "runs", Value: n, At: testroom.Monday.AddDate(0, -months, 1)})
		}
		in := usage.CreateBudgetInput{InOrganization: o.in(), Name: "Runs", BudgetFields: usage.BudgetFields{Meter: "runs", Amount: 100}}
		response, err := o.Service.Invoke(o.T.Context(), usage.CreateBudget, op.Request{Caller: op.CallerOf(o.As(o.ada.Token)), Input: in, DryRun: true})
		o.Must(err)
		impact := response.Output.(op.Impact)
		want(t, "the summary", impact.Summary, "would have fired 5 times in the last 3 periods")
		want(t, "last month", impact.Effects[0].Text, "90 of 100: would have fired at 50, 80 percent")
		want(t, "the month before", impact.Effects[1].Text, "40 of 100: nobody would have been told")
	})
}

func TestBudgetsAreChangedAndDeleted(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		vic := o.Join(o.acme, "vic@acme.test", "viewer")
		b := o.budgets(usage.CreateBudgetInput{Name: "Runs", BudgetFields: usage.BudgetFields{Meter: "runs", Amount: 100}})
		ada := o.As(o.ada.Token)
		changed, err := usage.UpdateBudget.Call(ada, o.Service, usage.UpdateBudgetInput{InOrganization: o.in(), Budget: b.ID, BudgetFields: usage.BudgetFields{Amount: 7, Action: "stop"}})
		o.Must(err)
		if changed.Name != "Runs" || changed.Meter != "" || changed.Amount != 7 || changed.Version != 2 {
			t.Errorf("changed to %+v", changed)
		}
		list, err := usage.ListBudgets.Call(o.As(vic.Token), o.Service, usage.ListBudgetsInput{InOrganization: o.in()})
		o.Must(err)
		want(t, "what a viewer sees of money", len(list.Data), 0)
		_, err = usage.CreateBudget.Call(o.As(vic.Token), o.Service, usage.CreateBudgetInput{InOrganization: o.in(), Name: "x", BudgetFields: usage.BudgetFields{Amount: 1}})
		o.Refused("a viewer", err, "denied")
		for what, in := range map[string]usage.CreateBudgetInput{
			"throttle": {Name: "x", BudgetFields: usage.BudgetFields{Amount: 1, Action: "throttle"}}, "nothing": {Name: "x"},
			"no meter": {Name: "x", BudgetFields: usage.BudgetFields{Amount: 1, Meter: "rums"}}, "no name": {Name: " ", BudgetFields: usage.BudgetFields{Amount: 1}},
			"a threshold of 0": {Name: "x", BudgetFields: usage.BudgetFields{Amount: 1, Thresholds: []int64{0}}},
		} {
			in.InOrganization = o.in()
			_, err := usage.CreateBudget.Call(ada, o.Service, in)
			o.Refused(what, err, "invalid")
		}
		_, err = usage.CreateBudget.Call(ada, o.Service, usage.CreateBudgetInput{InOrganization: o.in(), Name: "RUNS", BudgetFields: usage.BudgetFields{Amount: 1}})
		o.Refused("the same name", err, "budget_exists")
		_, err = usage.DeleteBudget.Call(ada, o.Service, usage.DeleteBudgetInput{InOrganization: o.in(), Budget: b.ID})
		o.Must(err)
		_, err = usage.DeleteBudget.Call(ada, o.Service, usage.DeleteBudgetInput{InOrganization: o.in(), Budget: b.ID})
		o.Refused("again", err, "not_found")
	})
}
