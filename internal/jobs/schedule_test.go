package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/jobs"
)

// sweep is a schedule that writes down when it ran.
func (o *office) sweep(every time.Duration) func(*jobs.Config) {
	return func(c *jobs.Config) {
		c.Schedules = append(c.Schedules, jobs.Schedule{Name: "sweep", Every: every, Do: func(context.Context) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.done = append(o.done, o.now.Format("15:04:05"))
			return o.fail
		}})
	}
}

func TestScheduledWorkComesRound(t *testing.T) {
	each(t, func(o *office) {
		j := o.server(o.sweep(time.Hour))
		o.run(j)
		o.run(j)
		o.did("12:00:00")
		o.advance(time.Hour - time.Microsecond)
		o.run(j)
		o.did()
		o.advance(time.Microsecond)
		o.run(j)
		o.did("13:00:00")
	})
}

func TestOneServerOfSeveralDoesScheduledWork(t *testing.T) {
	each(t, func(o *office) {
		o.run(o.server(o.sweep(time.Hour)))
		o.run(o.server(o.sweep(time.Hour)))
		o.did("12:00:00")
	})
}

func TestScheduledWorkMissedForAWhileIsDoneOnce(t *testing.T) {
	each(t, func(o *office) {
		j := o.server(o.sweep(time.Hour))
		o.run(j)
		o.advance(10 * time.Hour)
		o.run(j)
		o.did("12:00:00", "22:00:00")
	})
}

func TestScheduledWorkThatFailedIsTriedAgainSoonerAndForEver(t *testing.T) {
	each(t, func(o *office) {
		j := o.server(o.sweep(time.Hour), func(c *jobs.Config) { c.Attempts = 2 })
		o.fail = errors.New("no answer")
		for range 4 {
			o.run(j)
			o.advance(20 * time.Second)
		}
		o.did("12:00:00", "12:00:20", "12:00:40", "12:01:00")
		o.stands("schedule:sweep", `waiting "" 1 "no answer"`)
		o.fail = nil
		o.run(j)
		o.advance(time.Minute)
		o.run(j)
		o.did("12:01:20")
		o.stands("schedule:sweep", `waiting "" 0 ""`)
	})
}

func TestAScheduleThatComesRoundMoreOftenNowDoesSo(t *testing.T) {
	each(t, func(o *office) {
		o.run(o.server(o.sweep(24 * time.Hour)))
		o.did("12:00:00")
		j := o.server(o.sweep(time.Hour))
		o.run(j)
		o.advance(time.Hour)
		o.run(j)
		o.did("13:00:00")
	})
}

func TestAScheduleWithoutAnIntervalIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New takes a schedule that never comes round")
		}
	}()
	jobs.New(nil, jobs.Config{Schedules: []jobs.Schedule{{Name: "never"}}})
}
