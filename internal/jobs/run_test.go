package jobs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/jobs"
)

// running starts Run and returns how to stop it and wait for its end.
func running(j *jobs.Jobs) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { j.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// arrives waits for something that is to happen at once.
func arrives[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happens")
	}
	return v
}

func TestWakeDoesAJobBeforeTheNextPoll(t *testing.T) {
	each(t, func(o *office) {
		started := make(chan string)
		j := o.server(func(c *jobs.Config) {
			c.Handlers["mail"] = func(_ context.Context, job jobs.Job) error { started <- job.ID; return nil }
		})
		defer running(j)()
		for _, id := range []string{"job_1", "job_2"} {
			o.put(id, "mail", "x")
			j.Wake()
			if got := arrives(t, started); got != id {
				t.Errorf("%s is done, want %s", got, id)
			}
		}
	})
}

func TestPollingFindsWhatNobodyAnnounced(t *testing.T) {
	each(t, func(o *office) {
		started := make(chan string)
		j := o.server(func(c *jobs.Config) {
			c.Poll = time.Millisecond
			c.Handlers["mail"] = func(_ context.Context, job jobs.Job) error { started <- job.ID; return nil }
		})
		defer running(j)()
		o.put("job_1", "mail", "x")
		arrives(t, started)
	})
}

// T-086
func TestASlowJobDoesNotDelayOthers(t *testing.T) {
	each(t, func(o *office) {
		blocked, started := make(chan struct{}), make(chan string)
		j := o.server(func(c *jobs.Config) {
			c.Workers = 2
			c.Handlers["mail"] = func(_ context.Context, job jobs.Job) error {
				started <- job.ID
				if job.ID == "job_slow" {
					<-blocked
				}
				return nil
			}
		})
		stop := running(j)
		o.put("job_slow", "mail", "x")
		j.Wake()
		arrives(t, started)
		for _, id := range []string{"job_1", "job_2", "job_3"} {
			o.put(id, "mail", "x")
			j.Wake()
			if got := arrives(t, started); got != id {
				t.Errorf("%s is done, want %s", got, id)
			}
		}
		close(blocked)
		stop()
		o.stands("job_slow", `done "" 1 ""`)
	})
}

func TestRunEndsWhenTheJobsAtHandAreDone(t *testing.T) {
	each(t, func(o *office) {
		blocked, started := make(chan struct{}), make(chan struct{})
		j := o.server(func(c *jobs.Config) {
			c.Handlers["mail"] = func(ctx context.Context, _ jobs.Job) error {
				close(started)
				<-blocked
				return ctx.Err()
			}
		})
		o.put("job_1", "mail", "x")
		stop, stopped := running(j), make(chan struct{})
		arrives(t, started)
		go func() { stop(); close(stopped) }()
		select {
		case <-stopped:
			t.Error("Run ended while a job was being done")
		case blocked <- struct{}{}:
		}
		arrives(t, stopped)
		o.stands("job_1", `done "" 1 ""`)
	})
}

func TestAJobHasItsTime(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		o.run(o.server(func(c *jobs.Config) {
			c.Timeout = time.Millisecond
			c.Handlers["mail"] = func(ctx context.Context, _ jobs.Job) error { <-ctx.Done(); return ctx.Err() }
		}))
		o.stands("job_1", `waiting "x" 1 "context deadline exceeded"`)
	})
}

func TestAnIdleServerWritesNothing(t *testing.T) {
	each(t, func(o *office) {
		j := o.server()
		o.run(j)
		before := o.db.Stats().Writes
		for range 10 {
			o.run(j)
		}
		if got := o.db.Stats().Writes - before; got != 0 {
			t.Errorf("%d writes with nothing to do", got)
		}
	})
}
