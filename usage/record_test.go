package usage_test

import (
	"math"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// T-090: each event counts once, by its source and id, in its own period.
func TestAnEventCountsOnce(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		first := usage.Event{Meter: "tokens", ID: "t1", Source: "ai", Value: 70}
		wantAll(t, "the first time", verdicts(o.records(first)), []string{"recorded"})
		other := first
		other.Source = "other"
		got := o.records(first, other, other, usage.Event{Meter: "tokens", Value: 5}, usage.Event{Meter: "runs"})
		wantAll(t, "again", verdicts(got), []string{"duplicate", "recorded", "duplicate", "recorded", "recorded"})
		want(t, "recorded", got.Recorded, 3)
		want(t, "tokens", o.quota("tokens").Used, 145)
		want(t, "runs", o.quota("runs").Used, 1)
		o.folds()
		want(t, "charged tokens", o.summary()["tokens"].Quantity, 145)
		want(t, "their price", *o.summary()["tokens"].Cost, 45)
		o.sound()
	})
}

func TestAnEventCountsInItsOwnPeriod(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "tokens", Value: 3})
		o.After(31 * 24 * time.Hour)
		o.records(usage.Event{Meter: "tokens", Value: 4}, usage.Event{Meter: "tokens", Value: 50, At: testroom.Monday.Add(time.Hour)})
		want(t, "this period", o.quota("tokens").Used, 4)
		want(t, "the one before", o.bill(testroom.Monday)["tokens"].Quantity, 53)
		o.folds()
		want(t, "the one before, folded", o.summary()["tokens"].Before, 53)
		o.sound()
	})
}

// T-090
func TestEventsThatAreRefused(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		now := o.Now()
		for _, c := range []struct {
			what  string
			event usage.Event
			code  string
		}{
			{"an unknown meter", usage.Event{Meter: "rums"}, "unknown_meter"},
			{"a dimension that the meter lacks", usage.Event{Meter: "tokens", Value: 1, Region: "eu"}, "unknown_dimension"},
			{"less than nothing", usage.Event{Meter: "tokens", Value: -1}, "negative"},
			{"more than fits", usage.Event{Meter: "tokens", Value: usage.MaxValue + 1}, "too_large"},
			{"the least number", usage.Event{Meter: "tokens", Value: math.MinInt64, Corrects: "x"}, "too_large"},
			{"the future", usage.Event{Meter: "runs", At: now.Add(usage.MaxAhead + time.Second)}, "in_future"},
			{"long ago", usage.Event{Meter: "runs", At: now.Add(-usage.MaxAge - time.Second)}, "too_old"},
			{"nothing in particular", usage.Event{Meter: "callers"}, "item_missing"},
			{"an item for what adds up", usage.Event{Meter: "runs", Item: "x"}, "invalid"},
			{"a correction of nothing", usage.Event{Meter: "runs", Value: -1, Corrects: "x"}, "nothing_to_correct"},
			{"a correction of a gauge", usage.Event{Meter: "disk", Value: -1, Corrects: "x"}, "not_correctable"},
			{"a line feed", usage.Event{Meter: "runs", ID: "a\nb"}, "invalid"},
		} {
			got := o.records(c.event, usage.Event{Meter: "runs"})
			wantAll(t, c.what, verdicts(got), []string{"refused " + c.code, "recorded"})
		}
		wantAll(t, "just in time", verdicts(o.records(usage.Event{Meter: "runs", At: now.Add(usage.MaxAhead)}, usage.Event{Meter: "runs", At: now.Add(-usage.MaxAge)})),
			[]string{"recorded", "recorded"})
		o.sound()
	})
}

// T-090: JSON has no int64; every digit counts all the same.
func TestJSONIsReadDigitByDigit(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		for body, verdict := range map[string]string{
			`{"events":[{"meter":"disk","value":9007199254740993}]}`:    "recorded",
			`{"events":[{"meter":"disk","value":9223372036854775807}]}`: "recorded",
			`{"events":[{"meter":"disk","value":9223372036854775808}]}`: "refused invalid",
			`{"events":[{"meter":"tokens","value":1.5}]}`:               "refused invalid",
			`{"events":[{"meter":"tokens","value":1e3}]}`:               "refused invalid",
			`{"events":[{"meter":"tokens","value":-0}]}`:                "refused invalid",
			`{"events":[{"meter":"tokens","value":"5"}]}`:               "refused invalid",
			`{"events":[{"meter":"tokens","value":null}]}`:              "refused invalid",
			`{"events":[{"meter":"tokens","valeu":5}]}`:                 "refused invalid",
			`{"events":[{"meter":7}]}`:                                  "refused invalid",
			`{"events":[3]}`:                                            "refused invalid",
			`{"events":[{"meter":"tokens","value":5,"at":"monday"}]}`:   "refused invalid",
			`{"meter":"tokens","value":5}`:                              "recorded",
			`{"specversion":"1.0","type":"tokens","source":"/ai","id":"1","subject":"ACME","time":"2026-11-02T08:00:00Z","data":{"value":7,"model":"m"}}`: "recorded",
			`[{"specversion":"1.0","type":"com.guildhall.usage","source":"/ai","id":"2","data":{"meter":"tokens","value":7}}]`:                            "recorded",
			`[{"specversion":"1.0","type":"com.guildhall.usage","source":"/ai","id":"3","subject":"org_other","data":{"meter":"tokens","value":7}}]`:      "refused other_organization",
			`[{"specversion":"0.3","type":"tokens","source":"/ai","id":"4","data":{"value":7}}]`:                                                          "refused invalid",
			`{"specversion":"1.0","type":"tokens","source":"/ai","id":"5","data":{"value":7},"traceparent":"00-4bf9"}`:                                    "recorded",
		} {
			response, err := o.Service.Invoke(o.T.Context(), usage.Record, op.Request{Caller: op.CallerOf(o.product),
				Path: map[string]string{"organization": o.acme}, Body: []byte(replaced(body, o.acme))})
			o.Must(err)
			wantAll(t, body, verdicts(response.Output.(usage.Recorded)), []string{verdict})
		}
		want(t, "tokens of this period", o.quota("tokens").Used, 5+7+7) // the first CloudEvent is of the period before
		for body, code := range map[string]string{
			`{"meter":"tokens","meter":"runs"}`: "malformed", `{"meter":`: "malformed", `7`: "malformed", `{"colour":1}`: "invalid",
			`{"events":{}}`: "invalid", `{"events":[]}`: "invalid", `{"meter":"runs","events":[{"meter":"runs"}]}`: "invalid", ``: "invalid",
		} {
			_, err := o.Service.Invoke(o.T.Context(), usage.Record, op.Request{Caller: op.CallerOf(o.product),
				Path: map[string]string{"organization": o.acme}, Body: []byte(body)})
			o.Refused(body, err, code)
		}
	})
}

func TestCorrectionsAreEvents(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "tokens", ID: "t1", Value: 100, Member: "mem_1", At: testroom.Monday.Add(-time.Hour)})
		back := usage.Event{Meter: "tokens", ID: "c1", Value: -70, Corrects: "t1"}
		wantAll(t, "taken back", verdicts(o.records(back, usage.Event{Meter: "tokens", ID: "c2", Value: -31, Corrects: "t1"})),
			[]string{"recorded", "refused below_zero"})
		wantAll(t, "again", verdicts(o.records(back)), []string{"duplicate"})
		wantAll(t, "the rest", verdicts(o.records(usage.Event{Meter: "tokens", ID: "c3", Value: -30, Corrects: "t1"},
			usage.Event{Meter: "tokens", ID: "c4", Value: -1, Corrects: "t1"}, usage.Event{Meter: "runs", ID: "c5", Value: -1, Corrects: "t1"},
			usage.Event{Meter: "tokens", ID: "c6", Value: -1, Corrects: "c1"}, usage.Event{Meter: "tokens", ID: "c7", Value: -1, Corrects: "t1", Source: "x"})),
			[]string{"recorded", "refused below_zero", "refused nothing_to_correct", "refused nothing_to_correct", "refused nothing_to_correct"})
		want(t, "this period", o.quota("tokens").Used, 0)
		want(t, "its own period", o.bill(testroom.Monday.Add(-time.Hour))["tokens"].Quantity, 0)
		o.folds()
		o.sound()
	})
}

func TestGaugesMaximaAndDifferentThings(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		at := func(days, hours int) time.Time {
			return testroom.Monday.Add(time.Duration(days)*24*time.Hour + time.Duration(hours)*time.Hour)
		}
		o.MoveTo(at(2, 0)) // Wednesday at nine
		o.records(
			usage.Event{Meter: "disk", Region: "eu", Value: 100, At: at(0, 1)}, usage.Event{Meter: "disk", Region: "us", Value: 11, At: at(0, 2)},
			usage.Event{Meter: "peak", Value: 5, At: at(1, 0)}, usage.Event{Meter: "callers", Item: "zoe"}, usage.Event{Meter: "callers", Item: "yan"})
		o.folds()
		got := o.records(usage.Event{Meter: "disk", Region: "eu", Value: 300, At: at(1, 5)}, usage.Event{Meter: "disk", Region: "eu", Value: 200, At: at(1, 3)},
			usage.Event{Meter: "peak", Value: 9, At: at(0, 5)}, usage.Event{Meter: "peak", Value: 2}, usage.Event{Meter: "callers", Item: "zoe"}, usage.Event{Meter: "callers", Item: "xu"})
		want(t, "recorded", got.Recorded, 6)
		for range 2 {
			s := o.summary()
			// Monday 100 + 11, Tuesday 300 + 11, Wednesday, until now, the same: 733 in three days.
			want(t, "disk", s["disk"].Quantity, 245)
			want(t, "disk now", *s["disk"].Now, 311)
			want(t, "peak", s["peak"].Quantity, 9)
			want(t, "callers", s["callers"].Quantity, 3)
			o.folds()
		}
		want(t, "the quota of disk", o.quota("disk").Used, 311)
		if kept := o.Stored("item FROM usage_events", "item FROM usage_items"); kept == "" || contains(kept, "zoe") {
			t.Errorf("the things themselves are kept: %s", kept)
		}
		o.sound()
	})
}

func TestOverTheLimitIsRecordedAllTheSame(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		wantAll(t, "to the limit", o.records(usage.Event{Meter: "tokens", Value: 1000}).OverLimit, []string{})
		wantAll(t, "beyond", o.records(usage.Event{Meter: "tokens", Value: 1}).OverLimit, []string{"tokens"})
		q := o.quota("tokens")
		want(t, "used", q.Used, 1001)
		want(t, "remaining", *q.Remaining, 0)
		want(t, "over", q.Over, true)
		want(t, "percent", *o.summary()["tokens"].Percent, 100)
	})
}

func TestMoneyIsForThoseWhoMaySeeIt(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		vic := o.Join(o.acme, "vic@acme.test", "viewer")
		o.records(usage.Event{Meter: "tokens", Value: 300})
		out, err := usage.GetSummary.Call(o.As(vic.Token), o.Service, usage.GetSummaryInput{InOrganization: o.in()})
		o.Must(err)
		if out.Cost != nil || out.Currency != "" || out.Meters[1].Cost != nil || out.Projects != nil {
			t.Errorf("a viewer sees %+v", out)
		}
		out, err = usage.GetSummary.Call(o.As(o.ada.Token), o.Service, usage.GetSummaryInput{InOrganization: o.in()})
		o.Must(err)
		want(t, "the cost", *out.Cost, 200)
		_, err = usage.Record.Call(o.As(o.ada.Token), o.Service, usage.RecordInput{InOrganization: o.in(), Event: usage.Event{Meter: "runs"}})
		o.Refused("an owner records", err, "service_only")
	})
}

func TestAThousandEventsAtMost(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		want(t, "a thousand", o.records(many("runs", usage.MaxEvents)...).Recorded, usage.MaxEvents)
		_, err := usage.Record.Call(o.product, o.Service, usage.RecordInput{InOrganization: o.in(), Events: many("runs", usage.MaxEvents+1)})
		o.Refused("one more", err, "invalid")
		want(t, "again", o.records(many("runs", usage.MaxEvents)...).Duplicates, usage.MaxEvents)
		o.folds()
		o.sound()
	})
}
