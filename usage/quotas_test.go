package usage_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

func (o *office) reserves(in usage.ReserveInput) (usage.Reservation, error) {
	in.InOrganization = o.in()
	return usage.Reserve.Call(o.product, o.Service, in)
}

func (o *office) holds(in usage.ReserveInput) usage.Reservation {
	o.T.Helper()
	r, err := o.reserves(in)
	o.Must(err)
	return r
}

func (o *office) commits(reservation string, amount *int64) (usage.Recorded, error) {
	return usage.Commit.Call(o.product, o.Service, usage.CommitInput{InOrganization: o.in(), Reservation: reservation, Amount: amount})
}

func (o *office) releases(reservation string) int64 {
	o.T.Helper()
	r, err := usage.Release.Call(o.product, o.Service, usage.ReleaseInput{InOrganization: o.in(), Reservation: reservation})
	o.Must(err)
	return r.Amount
}

func TestUnitsAreHeldCommittedAndReleased(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		first, second := o.holds(usage.ReserveInput{Meter: "tokens", Amount: 600, Model: "m"}), o.holds(usage.ReserveInput{Meter: "tokens", Amount: 400})
		want(t, "left", *second.Remaining, 0)
		_, err := o.reserves(usage.ReserveInput{Meter: "tokens"})
		e := o.Refused("one more", err, "quota_exceeded")
		want(t, "until the period ends", o.Now().Add(e.RetryAfter), o.quota("tokens").ResetsAt)
		used := int64(450)
		got, err := o.commits(first.ID, &used)
		o.Must(err)
		wantAll(t, "the commit", verdicts(got), []string{"recorded"})
		got, err = o.commits(first.ID, &used)
		o.Must(err)
		wantAll(t, "the commit again", verdicts(got), []string{"duplicate"})
		q := o.quota("tokens")
		want(t, "used", q.Used, 450)
		want(t, "reserved", q.Reserved, 400)
		want(t, "remaining", *q.Remaining, 150)
		want(t, "released", o.releases(second.ID), 400)
		_, err = usage.Release.Call(o.product, o.Service, usage.ReleaseInput{InOrganization: o.in(), Reservation: second.ID})
		o.Refused("released again", err, "reservation_gone")
		_, err = o.commits(second.ID, nil)
		o.Refused("a commit of what was released", err, "reservation_gone")
		want(t, "reserved in the end", o.quota("tokens").Reserved, 0)
		o.folds()
		o.sound()
	})
}

func TestWhatWasUsedBeyondWhatWasHeldCountsToo(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		r, used := o.holds(usage.ReserveInput{Meter: "tokens", Amount: 1000}), int64(1200)
		got, err := o.commits(r.ID, &used)
		o.Must(err)
		wantAll(t, "over", got.OverLimit, []string{"tokens"})
		want(t, "used", o.quota("tokens").Used, 1200)
		nothing := int64(0)
		free := o.holds(usage.ReserveInput{Meter: "runs", Amount: 7})
		got, err = o.commits(free.ID, &nothing)
		o.Must(err)
		want(t, "nothing was used", got.Recorded+got.Refused, 0)
		o.sound()
	})
}

// A process that was killed holds nothing for ever.
func TestWhatIsHeldIsFreeAfterItsTime(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		old := o.holds(usage.ReserveInput{Meter: "tokens", Amount: 1000, ExpiresIn: 60})
		o.After(59 * time.Second)
		_, err := o.reserves(usage.ReserveInput{Meter: "tokens"})
		o.Refused("a second before", err, "quota_exceeded")
		o.After(time.Second)
		want(t, "reserved, past its time", o.quota("tokens").Reserved, 0)
		o.holds(usage.ReserveInput{Meter: "tokens", Amount: 999, ExpiresIn: 60})
		_, err = o.commits(old.ID, nil)
		o.Refused("a commit that is too late", err, "reservation_gone")
		o.sound()
		o.After(time.Hour)
		o.Must(usage.LetGo(o.T.Context(), o.DB, o.Now()))
		want(t, "rows", o.Number("SELECT count(*) FROM usage_reservations"), 0)
		want(t, "held", o.Number("SELECT SUM(reserved) FROM usage_counters"), 0)
		o.sound()
	})
}

// T-090: of 200 callers at once at a limit of 10,000, 10,000 units are accepted: not one more, and not one fewer.
func TestALimitIsExactUnder200Callers(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", Value: 10_000 - 600})
		var accepted, refused atomic.Int64
		var wait sync.WaitGroup
		for range 200 {
			wait.Go(func() {
				for range 4 {
					r, err := o.reserves(usage.ReserveInput{Meter: "runs", Amount: 1})
					var told *op.Error
					switch {
					case errors.As(err, &told) && told.FullCode() == "quota_exceeded":
						refused.Add(1)
					case err != nil:
						t.Errorf("a caller: %v", err)
					default:
						accepted.Add(1)
						if accepted.Load()%3 == 0 {
							if _, err := o.commits(r.ID, nil); err != nil {
								t.Errorf("a commit: %v", err)
							}
						}
					}
				}
			})
		}
		wait.Wait()
		want(t, "accepted", accepted.Load(), 600)
		want(t, "refused", refused.Load(), 200)
		q := o.quota("runs")
		want(t, "used and held", q.Used+q.Reserved, 10_000)
		o.sound()
	})
}

func (o *office) consumes(in usage.ConsumeInput) (usage.Consumed, error) {
	in.InOrganization = o.in()
	return usage.Consume.Call(o.product, o.Service, in)
}

// T-090: the same in one call, with some that are sent again: at the limit, after it, and by two callers at once.
func TestWhatIsConsumedAtOnceIsExactToo(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		o.records(usage.Event{Meter: "runs", Value: 10_000 - 300})
		var accepted, again, refused atomic.Int64
		var wait sync.WaitGroup
		for caller := range 200 {
			wait.Go(func() {
				for n := range 4 {
					// Two callers share their ids.
					c, err := o.consumes(usage.ConsumeInput{Meter: "runs", ID: fmt.Sprintf("run_%d_%d", caller/2, n)})
					var told *op.Error
					switch {
					case errors.As(err, &told) && told.FullCode() == "quota_exceeded":
						refused.Add(1)
					case err != nil:
						t.Errorf("a caller: %v", err)
					case c.Status == usage.StatusDuplicate:
						again.Add(1)
					default:
						accepted.Add(1)
					}
				}
			})
		}
		wait.Wait()
		want(t, "accepted", accepted.Load(), 300)
		if n := again.Load() + refused.Load(); n != 500 || refused.Load() < 200 {
			t.Errorf("%d sent again and %d refused, of 500", again.Load(), refused.Load())
		}
		q := o.quota("runs")
		want(t, "used", q.Used, 10_000)
		want(t, "held", q.Reserved, 0)
		o.sound()
	})
}

func TestWhatIsConsumedCountsOnceAndSaysWhatIsLeft(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		bob := o.Join(o.acme, "bob@acme.test", "viewer")
		_, err := usage.SetLimit.Call(o.As(o.ada.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: bob.Member, Meter: "runs", Limit: 5})
		o.Must(err)
		take := func(in usage.ConsumeInput, status string, left int64) {
			t.Helper()
			in.Meter, in.Member = "runs", bob.Member
			c, err := o.consumes(in)
			o.Must(err)
			if c.Status != status || *c.Remaining != left {
				t.Errorf("%+v: %s, %d left", in, c.Status, *c.Remaining)
			}
		}
		take(usage.ConsumeInput{Amount: 4, ID: "a"}, usage.StatusRecorded, 9_996)
		take(usage.ConsumeInput{Amount: 4, ID: "a"}, usage.StatusDuplicate, 9_996)
		_, err = o.consumes(usage.ConsumeInput{Meter: "runs", Member: bob.Member, Amount: 2})
		want(t, "who has no more", o.Refused("bob", err, "quota_exceeded").Refers["subject"], bob.Member)
		take(usage.ConsumeInput{ID: "b"}, usage.StatusRecorded, 9_995)
		take(usage.ConsumeInput{ID: "b"}, usage.StatusDuplicate, 9_995)
		_, err = o.consumes(usage.ConsumeInput{Meter: "disk"})
		o.Refused("a gauge", err, "invalid")
		_, err = o.consumes(usage.ConsumeInput{Meter: "tokens", Region: "eu"})
		o.Refused("a dimension that the meter lacks", err, "invalid")
		q := o.quota("runs")
		want(t, "used and held", q.Used*1_000+q.Reserved, 5_000)
		o.sound()
	})
}

func TestMembersAndKeysHaveLimitsOfTheirOwn(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		bob := o.Join(o.acme, "bob@acme.test", "viewer")
		o.records(usage.Event{Meter: "runs", Value: 3, Member: bob.Member}, usage.Event{Meter: "runs", Value: 5, Member: o.ada.Member})
		set := func(limit int64) usage.OwnLimit {
			l, err := usage.SetLimit.Call(o.As(o.ada.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: bob.Member, Meter: "runs", Limit: limit})
			o.Must(err)
			return l
		}
		want(t, "what bob used before", set(10).Used, 3)
		r := o.holds(usage.ReserveInput{Meter: "runs", Amount: 6, Member: bob.Member})
		_, err := o.reserves(usage.ReserveInput{Meter: "runs", Amount: 2, Member: bob.Member})
		want(t, "who has no more", o.Refused("bob", err, "quota_exceeded").Refers["subject"], bob.Member)
		o.holds(usage.ReserveInput{Meter: "runs", Amount: 2, Member: o.ada.Member})
		_, err = o.commits(r.ID, nil)
		o.Must(err)
		o.records(usage.Event{Meter: "runs", Member: bob.Member})
		again := set(11)
		want(t, "used", again.Used, 10)
		list, err := usage.ListLimits.Call(o.As(o.ada.Token), o.Service, usage.ListLimitsInput{InOrganization: o.in()})
		o.Must(err)
		if len(list.Data) != 1 || list.Data[0].Used != 10 || list.Data[0].Limit != 11 {
			t.Errorf("listed %+v", list.Data)
		}
		_, err = usage.SetLimit.Call(o.As(bob.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: bob.Member, Meter: "runs", Limit: 99})
		o.Refused("bob raises his own", err, "denied")
		_, err = usage.SetLimit.Call(o.As(o.ada.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: "mem_none", Meter: "runs", Limit: 99})
		o.Refused("a member that there is not", err, "not_found")
		_, err = usage.SetLimit.Call(o.As(o.ada.Token), o.Service, usage.SetLimitInput{InOrganization: o.in(), Subject: bob.Member, Meter: "disk", Limit: 99})
		o.Refused("a gauge", err, "invalid")
		_, err = usage.DeleteLimit.Call(o.As(o.ada.Token), o.Service, usage.DeleteLimitInput{InOrganization: o.in(), Subject: bob.Member, Meter: "runs"})
		o.Must(err)
		o.holds(usage.ReserveInput{Meter: "runs", Amount: 100, Member: bob.Member})
		o.sound()
	})
}

func TestOnlyWhatAddsUpIsHeld(t *testing.T) {
	inOffices(t, func(t *testing.T, o *office) {
		for what, in := range map[string]usage.ReserveInput{
			"a gauge": {Meter: "disk"}, "nothing that is counted": {Meter: "rums"}, "less than nothing": {Meter: "runs", Amount: -1},
			"for two hours": {Meter: "runs", ExpiresIn: 7200}, "a dimension that it lacks": {Meter: "tokens", Region: "eu"},
		} {
			_, err := o.reserves(in)
			o.Refused(what, err, "invalid")
		}
	})
}
