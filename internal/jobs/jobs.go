// Package jobs does what a transaction only promised: mail, webhooks and calls
// to other services that stand in the outbox, and work that comes round on a
// schedule. A job is claimed for a time, done, tried again later when it
// failed, and given up in the end. It is done at least once: after a crash it
// may be done again, by this server or another.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// Job is one row of the outbox, claimed.
type Job struct {
	ID           string
	Kind         string
	Organization string // "" for what belongs to none
	Payload      []byte // as Config.Open returns it
	Attempt      int    // 1 for the first
	CreatedAt    time.Time

	claim int64 // claimed_until while it is ours
}

// Handler does one job. It must bear being called again for a job that it has
// done. It has Config.Timeout; an error means that the job is tried again
// later, unless it is Permanent.
type Handler func(ctx context.Context, job Job) error

// Config says what there is to do and how. Now, Log, Open, After and the
// durations may be left out.
type Config struct {
	// Now tells what is due. Nil means time.Now.
	Now func() time.Time

	// Log gets a line for each attempt that failed. Nil means no log.
	Log *slog.Logger

	// Handlers does the jobs of each kind. Jobs of other kinds are left to
	// servers that know them.
	Handlers map[string]Handler

	// GiveUp is called for a job of its kind that will not be tried again, with
	// the last error. A kind without one is given up in silence, but for the log.
	GiveUp map[string]func(ctx context.Context, job Job, err error)

	// After is called after each attempt, with its error or nil, so that the
	// owner of a job can show how it stands. It is called before the attempt is
	// recorded, and so, after a crash, a second time. Nil means nobody asks.
	After func(ctx context.Context, job Job, err error)

	// Open unseals the payload of a job. Nil means it is plain.
	Open func(kind string, payload []byte) ([]byte, error)

	// Schedules is work that comes round.
	Schedules []Schedule

	// Attempts is how often a job is tried before it is given up. 0 means 16,
	// which takes about two days.
	Attempts int

	// Workers is how many jobs are done at once, so that one slow receiver does
	// not delay others. 0 means 8.
	Workers int

	// Poll is how often the outbox is looked at when nobody calls Wake, in real
	// time. 0 means a second.
	Poll time.Duration

	// Timeout bounds one attempt, in real time. A job whose server died is taken
	// up by another after twice that. 0 means a minute.
	Timeout time.Duration

	// Keep is how long finished jobs stay, without their payload, for those who
	// want to know what became of them. 0 means 30 days.
	Keep time.Duration
}

// Jobs works on the outbox of one database.
type Jobs struct {
	db   *sqldb.DB
	c    Config
	wake chan struct{}

	mu        sync.Mutex
	scheduled bool // the rows of the schedules are there
}

// New returns what will do the jobs. It starts nothing. A schedule without
// Every is a mistake of the program and panics.
func New(db *sqldb.DB, c Config) *Jobs {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Attempts = cmp.Or(c.Attempts, 16)
	c.Workers = cmp.Or(c.Workers, 8)
	c.Poll = cmp.Or(c.Poll, time.Second)
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	c.Keep = cmp.Or(c.Keep, 30*24*time.Hour)
	j := &Jobs{db: db, c: c, wake: make(chan struct{}, 1)}
	j.c.Schedules = append([]Schedule{{Name: "outbox.prune", Every: time.Hour, Do: j.prune}}, c.Schedules...)
	for _, s := range j.c.Schedules {
		if s.Every <= 0 {
			panic("jobs: schedule " + s.Name + " does not say how often it comes round")
		}
	}
	return j
}

// permanent marks an error that no repeat mends.
type permanent struct{ error }

// Unwrap returns the error that was marked.
func (p permanent) Unwrap() error { return p.error }

// Permanent marks the error of a handler as one that no repeat mends: the job
// is given up at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Wake makes Run look at the outbox now, after a commit that put something
// there. It never blocks.
func (j *Jobs) Wake() {
	select {
	case j.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// Run does jobs until ctx ends, then waits for those that are being done,
// which keep their time. An error of the database is logged and the work goes
// on when it is back. It returns nil.
func (j *Jobs) Run(ctx context.Context) error {
	poll := time.NewTicker(j.c.Poll)
	defer poll.Stop()
	free := make(chan struct{}, 1)
	slots := make(chan struct{}, j.c.Workers)
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		claimed, err := j.claimDue(ctx, j.c.Workers-len(slots))
		if err != nil && ctx.Err() == nil {
			j.c.Log.Error("outbox does not answer", "error", err)
		}
		for _, job := range claimed {
			slots <- struct{}{}
			running.Go(func() {
				j.do(context.WithoutCancel(ctx), job)
				<-slots
				notify(free)
			})
		}
		if len(claimed) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-poll.C:
		case <-j.wake:
		case <-free:
		}
	}
	return nil
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// RunDue does everything that is due now, one after another in the order of
// time, and returns how many jobs that were. It is for tests and for commands
// that end.
func (j *Jobs) RunDue(ctx context.Context) (int, error) {
	for done := 0; ; done++ {
		claimed, err := j.claimDue(ctx, 1)
		if err != nil || len(claimed) == 0 {
			return done, err
		}
		j.do(ctx, claimed[0])
	}
}

// claimDue claims up to limit jobs. It looks before it writes: an idle server
// asks its database for no write.
func (j *Jobs) claimDue(ctx context.Context, limit int) ([]Job, error) {
	if err := j.ensureSchedules(ctx); err != nil {
		return nil, err
	}
	if limit == 0 {
		return nil, nil
	}
	due, err := j.anyDue(ctx)
	if err != nil || !due {
		return nil, err
	}
	return j.claim(ctx, limit)
}

// do attempts one job and records how it went.
func (j *Jobs) do(ctx context.Context, job Job) {
	attempt, cancel := context.WithTimeout(ctx, j.c.Timeout)
	defer cancel()
	if s, ok := j.schedule(job.Kind); ok {
		j.recorded(job, j.again(ctx, job, s, j.attempt(attempt, job, s.run)))
		return
	}
	err := j.open(&job)
	if err == nil {
		err = j.attempt(attempt, job, j.c.Handlers[job.Kind])
	}
	if j.c.After != nil {
		j.c.After(ctx, job, err)
	}
	j.recorded(job, j.settle(ctx, job, err))
}

// open unseals the payload. What does not open now never will.
func (j *Jobs) open(job *Job) error {
	if j.c.Open == nil {
		return nil
	}
	plain, err := j.c.Open(job.Kind, job.Payload)
	job.Payload = plain
	return Permanent(err)
}

// attempt calls the handler, unless servers died over this job too often. A
// panic is an error like others: the next job is not to blame.
func (j *Jobs) attempt(ctx context.Context, job Job, handle Handler) (err error) {
	if job.Attempt > j.c.Attempts {
		return Permanent(errors.New("no attempt was finished"))
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			j.c.Log.Error("job panicked", "job", job.ID, "kind", job.Kind, "stack", string(debug.Stack()))
		}
	}()
	return handle(ctx, job)
}

// settle ends the job, puts it off, or gives it up.
func (j *Jobs) settle(ctx context.Context, job Job, err error) error {
	if err == nil {
		return j.finish(ctx, job, "done", "")
	}
	log := j.c.Log.With("job", job.ID, "kind", job.Kind, "organization", job.Organization, "attempt", job.Attempt, "error", err)
	if job.Attempt < j.c.Attempts && !errors.As(err, new(permanent)) {
		log.Warn("job failed, will be tried again")
		return j.putOff(ctx, job, j.c.Now().Add(backoff(job.Attempt)), err)
	}
	log.Error("job given up")
	if giveUp := j.c.GiveUp[job.Kind]; giveUp != nil {
		giveUp(ctx, job, err)
	}
	return j.finish(ctx, job, "failed", err.Error())
}

// recorded logs what could not be written down; the job will be done again.
func (j *Jobs) recorded(job Job, err error) {
	if err != nil {
		j.c.Log.Error("job not recorded", "job", job.ID, "kind", job.Kind, "error", err)
	}
}

// backoff is the pause after an attempt: 5 seconds, three times that after
// each further one, at most 6 hours; and up to a tenth more, so that jobs that
// failed together do not come back together.
func backoff(attempt int) time.Duration {
	pause := 5 * time.Second
	for range attempt - 1 {
		pause = min(3*pause, 6*time.Hour)
	}
	return pause + rand.N(pause/10)
}
