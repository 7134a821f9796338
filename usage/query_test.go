package usage_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

func (o *office) asks(in usage.QueryInput) usage.Series {
	o.T.Helper()
	in.InOrganization = o.in()
	s, err := usage.Query.Call(o.product, o.Service, in)
	o.Must(err)
	return s
}

func quantities(points []usage.Point) []int64 {
	var all []int64
	for _, p := range points {
		all = append(all, p.Quantity)
	}
	return all
}

func TestUsageOverTime(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		at := func(days, hours int) time.Time {
			return time.Date(2026, 11, 2+days, hours, 0, 0, 0, time.UTC)
		}
		o.MoveTo(at(3, 12))
		o.records(
			usage.Event{Meter: "runs", Value: 4, Member: "ann", Region: "eu", At: at(-1, 12)},
			usage.Event{Meter: "runs", Value: 5, Member: "ann", Region: "eu", At: at(1, 5)},
			usage.Event{Meter: "runs", Value: 3, Member: "bob", Region: "us", At: at(1, 6)},
			usage.Event{Meter: "peak", Value: 5, At: at(1, 5)}, usage.Event{Meter: "peak", Value: 7, At: at(1, 7)}, usage.Event{Meter: "peak", Value: 2, At: at(2, 7)},
			usage.Event{Meter: "callers", Item: "x", At: at(1, 5)}, usage.Event{Meter: "callers", Item: "x", At: at(1, 6)}, usage.Event{Meter: "callers", Item: "y", At: at(2, 6)},
			usage.Event{Meter: "disk", Value: 10, Region: "eu", At: at(-3, 5)}, usage.Event{Meter: "disk", Value: 7, Region: "us", At: at(1, 5)})
		o.folds()
		o.records(usage.Event{Meter: "runs", Value: 2, Member: "bob", Region: "eu", At: at(1, 7)}, usage.Event{Meter: "runs", Value: 1, At: at(3, 9)},
			usage.Event{Meter: "peak", Value: 8, At: at(2, 9)}, usage.Event{Meter: "disk", Value: 20, Region: "eu", At: at(2, 6)})
		for range 2 {
			from, to := at(0, 0), at(4, 0)
			whole := o.asks(usage.QueryInput{Meter: "runs", From: from, To: to})
			wantNumbers(t, "runs by day", quantities(whole.Points), 0, 10, 0, 1)
			want(t, "all runs", whole.Quantity, 11)
			want(t, "before", whole.Before, 4)
			parts := o.asks(usage.QueryInput{Meter: "runs", From: from, To: to, By: "member", Top: 1})
			if len(parts.Parts) != 2 || parts.Parts[0].Value != "ann" || parts.Parts[0].Quantity != 5 || parts.Parts[0].Before != 4 || !parts.Parts[1].Others || parts.Parts[1].Quantity != 6 {
				t.Errorf("by member: %+v", parts.Parts)
			}
			if len(parts.Movers) != 3 || parts.Movers[0] != (usage.Mover{Value: "bob", Quantity: 5, Before: 0, Change: 5}) {
				t.Errorf("movers: %+v", parts.Movers)
			}
			filtered := o.asks(usage.QueryInput{Meter: "runs", From: from, To: to, By: "member", Filter: usage.Filter{Region: "eu"}})
			want(t, "in eu", filtered.Quantity, 7)
			hours := o.asks(usage.QueryInput{Meter: "runs", From: at(1, 5), To: at(1, 8), Granularity: "hour"})
			wantNumbers(t, "runs by hour", quantities(hours.Points), 5, 3, 2)
			minutes := o.asks(usage.QueryInput{Meter: "runs", From: at(1, 5), To: at(1, 5).Add(2 * time.Minute), Granularity: "minute"})
			wantNumbers(t, "runs by minute", quantities(minutes.Points), 5, 0)
			months := o.asks(usage.QueryInput{Meter: "runs", From: at(-40, 0), To: to, Granularity: "month"})
			wantNumbers(t, "runs by month", quantities(months.Points), 0, 0, 15)
			wantNumbers(t, "peaks", quantities(o.asks(usage.QueryInput{Meter: "peak", From: from, To: to}).Points), 0, 7, 8, 0)
			callers := o.asks(usage.QueryInput{Meter: "callers", From: from, To: to})
			wantNumbers(t, "callers", quantities(callers.Points), 0, 1, 1, 0)
			want(t, "all callers", callers.Quantity, 2)
			wantNumbers(t, "disk", quantities(o.asks(usage.QueryInput{Meter: "disk", From: from, To: to}).Points), 10, 17, 27, 27)
			wantNumbers(t, "disk in eu", quantities(o.asks(usage.QueryInput{Meter: "disk", From: from, To: to, Filter: usage.Filter{Region: "eu"}}).Points), 10, 10, 20, 20)
			o.folds()
		}
		o.sound()
	})
}

func wantNumbers(t testing.TB, what string, got []int64, want ...int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: got %v, want %v", what, got, want)
			return
		}
	}
}

func TestQuestionsThatAreRefused(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		for what, in := range map[string]usage.QueryInput{
			"an unknown meter":    {Meter: "rums"},
			"too many points":     {Meter: "runs", Granularity: "hour", From: o.Now().Add(-50 * 24 * time.Hour)},
			"minutes of long ago": {Meter: "runs", Granularity: "minute", From: o.Now().Add(-9 * 24 * time.Hour), To: o.Now().Add(-9*24*time.Hour + time.Hour)},
			"a range that ends":   {Meter: "runs", From: o.Now(), To: o.Now().Add(-time.Hour)},
			"by what it is not":   {Meter: "tokens", By: "region"},
			"where it is not":     {Meter: "tokens", Filter: usage.Filter{Region: "eu"}},
		} {
			in.InOrganization = o.in()
			_, err := usage.Query.Call(o.product, o.Service, in)
			o.Refused(what, err, "invalid")
		}
	})
}

func TestTheLastHour(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", Value: 2, At: o.Now().Add(-2 * time.Hour)}, usage.Event{Meter: "runs", Value: 3, At: o.Now().Add(-time.Minute)})
		o.After(time.Second)
		o.records(usage.Event{Meter: "runs", Value: 120})
		out, err := usage.GetLive.Call(o.As(o.ada.Token), o.Service, usage.LiveInput{InOrganization: o.in()})
		o.Must(err)
		runs := out.Meters[0]
		want(t, "the hour", runs.Hour, 123)
		wantNumbers(t, "the last minutes", quantities(runs.Points)[57:], 0, 3, 120)
	})
}

func TestEventsAreListedAndExported(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", ID: "=1", Source: "s"}, usage.Event{Meter: "runs", ID: "b", Source: "s"}, usage.Event{Meter: "runs", ID: "c", Source: "s", At: o.Now().Add(-time.Hour)},
			usage.Event{Meter: "tokens", ID: "d", Value: 4, Model: "m"})
		in := usage.ListEventsInput{InOrganization: o.in(), Meter: "runs", Page: op.Page{Limit: 1}}
		var ids []string
		for range 3 {
			list, err := usage.ListEvents.Call(o.As(o.ada.Token), o.Service, in)
			o.Must(err)
			ids, in.Cursor = append(ids, list.Data[0].ID), list.NextCursor
		}
		wantAll(t, "events", ids, []string{"=1", "b", "c"})
		var file strings.Builder
		o.Must(o.Service.Stream(o.T.Context(), usage.ExportEvents, op.Request{Caller: op.CallerOf(o.As(o.ada.Token)), Input: usage.ExportInput{InOrganization: o.in()}},
			func(op.Info) io.Writer { return &file }))
		lines := strings.Split(strings.TrimSpace(file.String()), "\n")
		if len(lines) != 5 || !strings.Contains(file.String(), "s,'=1,") || !strings.HasPrefix(lines[1], testroom.Monday.Add(-time.Hour).Format(time.RFC3339)) {
			t.Errorf("exported %s", file.String())
		}
	})
}

func TestPartsHaveNamesForThoseWhoMaySeeThem(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", Value: 4, Member: o.ada.Member}, usage.Event{Meter: "runs", Value: 3, Member: "somebody"})
		in := usage.QueryInput{InOrganization: o.in(), Meter: "runs", By: "member"}
		cy := o.Join(o.acme, "cy@acme.test", "auditor") // sees no members
		for who, names := range map[string][]string{o.ada.Token: {"Ada", ""}, cy.Token: {"", ""}} {
			s, err := usage.Query.Call(o.As(who), o.Service, in)
			o.Must(err)
			wantAll(t, "parts", []string{s.Parts[0].Name, s.Parts[1].Name}, names)
			wantAll(t, "movers", []string{s.Movers[0].Name, s.Movers[1].Name}, names)
		}
		_, err := usage.SetLimit.Call(o.As(o.ada.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: o.ada.Member, Meter: "runs", Limit: 7})
		o.Must(err)
		limits, err := usage.ListLimits.Call(o.As(o.ada.Token), o.Service, usage.ListLimitsInput{InOrganization: o.in()})
		o.Must(err)
		want(t, "the limit's name", limits.Data[0].Name, "Ada")
	})
}

func TestAQueryIsExported(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", Value: 4, Member: o.ada.Member, Region: "eu"}, usage.Event{Meter: "runs", Value: 3, Member: "=1+1", Region: "us"}, usage.Event{Meter: "runs", Value: 2})
		write := func(o2 op.Any, in any) (string, error) {
			var file strings.Builder
			err := o.Service.Stream(t.Context(), o2, op.Request{Caller: op.CallerOf(o.As(o.ada.Token)), Input: in}, func(op.Info) io.Writer { return &file })
			return file.String(), err
		}
		got, err := write(usage.ExportQuery, usage.QueryInput{InOrganization: o.in(), Meter: "runs", By: "member", Top: 2})
		o.Must(err)
		want(t, "the table", got, "at,runs,Ada,'=1+1,others\n"+testroom.Monday.Truncate(24*time.Hour).Format(time.RFC3339)+",9,4,3,2\n")
		got, err = write(usage.ExportQuery, usage.QueryInput{InOrganization: o.in(), Meter: "rums"})
		o.Refused("an unknown meter", err, "invalid")
		want(t, "what was written of it", got, "")
		got, err = write(usage.ExportEvents, usage.ExportInput{InOrganization: o.in(), Filter: usage.Filter{Region: "eu"}})
		o.Must(err)
		want(t, "lines of the events in eu", strings.Count(got, "\n"), 2)
	})
}

// A forecast goes on as in the last days, also at the beginning of a period.
func TestAForecastLooksBackBeyondThePeriod(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "tokens", Value: 10})
		first := *o.summary()["tokens"].Projected
		if first.Low != 10 || first.Expected <= 10 || first.High <= first.Expected {
			t.Errorf("from nothing but an hour: %+v", first)
		}
		for range 30 {
			o.records(usage.Event{Meter: "tokens", Value: 10})
			o.After(24 * time.Hour)
		}
		got := *o.summary()["tokens"].Projected // two hours into the second period
		if got.Expected < 290 || got.Expected > 310 {
			t.Errorf("after a month of 10 a day: %+v", got)
		}
		o.sound()
	})
}
