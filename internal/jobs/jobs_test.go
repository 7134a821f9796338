package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/jobs"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// office is a database with an outbox, a clock, and what was done.
type office struct {
	t    *testing.T
	db   *sqldb.DB
	log  bytes.Buffer
	mu   sync.Mutex
	now  time.Time
	done []string
	fail error // what the handler answers
}

func each(t *testing.T, test func(*office)) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		test(&office{t: t, db: db, now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)})
	})
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) advance(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

// mail is a handler that writes down what it was given.
func (o *office) mail(_ context.Context, job jobs.Job) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, fmt.Sprintf("%s %s %d", job.ID, job.Payload, job.Attempt))
	return o.fail
}

// server is one more server on the office's database.
func (o *office) server(change ...func(*jobs.Config)) *jobs.Jobs {
	c := jobs.Config{
		Now:      o.clock,
		Log:      slog.New(slog.NewTextHandler(&o.log, nil)),
		Handlers: map[string]jobs.Handler{"mail": o.mail},
		Poll:     time.Hour,
	}
	for _, f := range change {
		f(&c)
	}
	return jobs.New(o.db, c)
}

// put writes a job as an operation does, due now.
func (o *office) put(id, kind, payload string) {
	o.t.Helper()
	o.exec(`INSERT INTO outbox (id, kind, organization, payload, due_at, attempts, claimed_until, state, last_error, created_at)
		VALUES ($1, $2, 'org_a', $3, $4, 0, 0, 'waiting', '', $4)`, id, kind, []byte(payload), o.clock().UnixMicro())
}

func (o *office) exec(query string, args ...any) {
	o.t.Helper()
	err := o.db.Write(o.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(o.t.Context(), query, args...)
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// row tells how a job stands: "state payload attempts error".
func (o *office) row(id string) string {
	o.t.Helper()
	var (
		state, lastError string
		payload          []byte
		attempts         int
	)
	err := o.db.Read(o.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(o.t.Context(), "SELECT state, payload, attempts, last_error FROM outbox WHERE id = $1", id).
			Scan(&state, &payload, &attempts, &lastError)
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %q %d %q", state, payload, attempts, lastError)
}

// run does what is due and is to succeed.
func (o *office) run(j *jobs.Jobs) {
	o.t.Helper()
	if _, err := j.RunDue(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// did compares what was done since the last call.
func (o *office) did(want ...string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(want, o.done); diff != "" {
		o.t.Errorf("done (-want +got):\n%s", diff)
	}
	o.done = nil
}

func (o *office) stands(id, want string) {
	o.t.Helper()
	if got := o.row(id); got != want {
		o.t.Errorf("job %s is %s, want %s", id, got, want)
	}
}

func TestAJobIsDoneOnceAndItsPayloadErased(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "hello")
		j := o.server()
		o.run(j)
		o.run(j)
		o.did("job_1 hello 1")
		o.stands("job_1", `done "" 1 ""`)
	})
}

func TestJobsAreDoneInTheOrderOfTime(t *testing.T) {
	each(t, func(o *office) {
		for _, id := range []string{"job_c", "job_a", "job_b"} {
			o.put(id, "mail", "x")
			o.advance(time.Second)
		}
		o.run(o.server())
		o.did("job_c x 1", "job_a x 1", "job_b x 1")
	})
}

func TestAJobWaitsUntilItIsDue(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		j := o.server()
		o.advance(-time.Microsecond)
		o.run(j)
		o.did()
		o.advance(time.Microsecond)
		o.run(j)
		o.did("job_1 x 1")
	})
}

func TestAFailedJobIsTriedAgainLaterAndLater(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		j := o.server()
		o.fail = errors.New("no answer")
		o.run(j)
		o.did("job_1 x 1")
		o.stands("job_1", `waiting "x" 1 "no answer"`)
		for attempt, pause := range []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second} {
			o.advance(pause - time.Microsecond)
			o.run(j)
			o.did()
			o.advance(pause/10 + time.Second)
			o.run(j)
			o.did(fmt.Sprintf("job_1 x %d", attempt+2))
		}
		o.fail = nil
		o.advance(time.Hour)
		o.run(j)
		o.did("job_1 x 5")
		o.stands("job_1", `done "" 5 ""`)
	})
}

func TestAJobIsGivenUpInTheEnd(t *testing.T) {
	each(t, func(o *office) {
		var heard []string
		j := o.server(func(c *jobs.Config) {
			c.Attempts = 3
			c.GiveUp = map[string]func(context.Context, jobs.Job, error){
				"mail": func(_ context.Context, job jobs.Job, err error) {
					heard = append(heard, fmt.Sprint(job.ID, " ", string(job.Payload), " ", err))
				},
			}
		})
		o.put("job_1", "mail", "x")
		o.fail = errors.New("no such mailbox")
		for range 5 {
			o.run(j)
			o.advance(24 * time.Hour)
		}
		o.did("job_1 x 1", "job_1 x 2", "job_1 x 3")
		o.stands("job_1", `failed "" 3 "no such mailbox"`)
		if want := []string{"job_1 x no such mailbox"}; !cmp.Equal(heard, want) {
			t.Errorf("given up: %q, want %q", heard, want)
		}
	})
}

func TestAPermanentFailureIsGivenUpAtOnce(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		o.fail = fmt.Errorf("smtp: %w", jobs.Permanent(errors.New("no such mailbox")))
		o.run(o.server())
		o.did("job_1 x 1")
		o.stands("job_1", `failed "" 1 "smtp: no such mailbox"`)
	})
	if jobs.Permanent(nil) != nil {
		t.Error("Permanent(nil) is an error")
	}
}

func TestAfterHearsOfEveryAttempt(t *testing.T) {
	each(t, func(o *office) {
		var heard []string
		j := o.server(func(c *jobs.Config) {
			c.After = func(_ context.Context, job jobs.Job, err error) {
				heard = append(heard, fmt.Sprint(job.ID, " ", string(job.Payload), " ", err))
			}
		})
		o.put("job_1", "mail", "x")
		o.fail = errors.New("no answer")
		o.run(j)
		o.fail = nil
		o.advance(time.Minute)
		o.run(j)
		if want := []string{"job_1 x no answer", "job_1 x <nil>"}; !cmp.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

func TestAPayloadIsUnsealedForItsHandler(t *testing.T) {
	each(t, func(o *office) {
		j := o.server(func(c *jobs.Config) {
			c.Open = func(kind string, payload []byte) ([]byte, error) {
				plain, ok := strings.CutPrefix(string(payload), "sealed:"+kind+":")
				if !ok {
					return nil, errors.New("does not open")
				}
				return []byte(plain), nil
			}
		})
		o.put("job_1", "mail", "sealed:mail:hello")
		o.put("job_2", "mail", "broken")
		o.run(j)
		o.did("job_1 hello 1")
		o.stands("job_2", `failed "" 1 "does not open"`)
	})
}

func TestAPanicIsAFailureOfItsJobAlone(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "bomb", "x")
		o.put("job_2", "mail", "y")
		o.run(o.server(func(c *jobs.Config) {
			c.Handlers["bomb"] = func(context.Context, jobs.Job) error { panic("boom") }
		}))
		o.did("job_2 y 1")
		o.stands("job_1", `waiting "x" 1 "panic: boom"`)
	})
}

func TestAJobOfAnUnknownKindIsLeftToOthers(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "fax", "x")
		o.run(o.server())
		o.stands("job_1", `waiting "x" 0 ""`)
	})
}

func TestAnErrorThatNoDatabaseStoresIsStored(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		o.fail = jobs.Permanent(errors.New("a\x00b\xff" + strings.Repeat("ü", 600)))
		o.run(o.server())
		if got := o.row("job_1"); !strings.HasPrefix(got, `failed "" 1 "a?b?ü`) || len(got) > 530 {
			t.Errorf("job is %s", got)
		}
	})
}

func TestAJobOfAServerThatDiedIsTakenUp(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		// A server that claims the job and dies over it: its context ends, so
		// that neither the attempt nor its outcome is recorded.
		dying, die := context.WithCancel(t.Context())
		o.server(func(c *jobs.Config) {
			c.Handlers["mail"] = func(context.Context, jobs.Job) error { die(); return nil }
		}).RunDue(dying)
		other := o.server()
		o.run(other)
		o.did()
		o.advance(2*time.Minute - time.Microsecond)
		o.run(other)
		o.did()
		o.advance(time.Microsecond)
		o.run(other)
		o.did("job_1 x 2")
	})
}

func TestAJobThatKillsServersIsGivenUp(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		o.exec("UPDATE outbox SET attempts = 16 WHERE id = 'job_1'")
		o.run(o.server())
		o.did()
		o.stands("job_1", `failed "" 17 "no attempt was finished"`)
	})
}

func TestAServerThatLostItsClaimRecordsNothing(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		other := o.server()
		slow := o.server(func(c *jobs.Config) {
			c.Handlers["mail"] = func(context.Context, jobs.Job) error {
				o.advance(time.Hour)
				o.run(other)
				return errors.New("too late")
			}
		})
		o.run(slow)
		o.did("job_1 x 2")
		o.stands("job_1", `done "" 2 ""`)
		if !strings.Contains(o.log.String(), "claim is lost") {
			t.Errorf("log: %s", &o.log)
		}
	})
}

func TestSeveralServersDoAJobOnce(t *testing.T) {
	dsn := testdb.DSN(t, sqldb.PostgreSQL)
	o := &office{t: t, db: testdb.Connect(t, dsn), now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}
	const n = 60
	for i := range n {
		o.put(fmt.Sprintf("job_%02d", i), "mail", "x")
	}
	var wg sync.WaitGroup
	for range 3 {
		db := testdb.Connect(t, dsn)
		server := jobs.New(db, jobs.Config{Now: o.clock, Handlers: map[string]jobs.Handler{"mail": o.mail}})
		wg.Go(func() {
			if _, err := server.RunDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, done := range o.done {
		seen[done]++
	}
	if len(seen) != n || len(o.done) != n {
		t.Errorf("%d jobs of %d done in %d attempts", len(seen), n, len(o.done))
	}
}

func TestFinishedJobsArePrunedInTime(t *testing.T) {
	each(t, func(o *office) {
		o.put("job_1", "mail", "x")
		o.put("job_2", "fax", "waits")
		j := o.server(func(c *jobs.Config) { c.Keep = 24 * time.Hour })
		o.run(j)
		o.advance(24 * time.Hour)
		o.run(j)
		o.stands("job_1", `done "" 1 ""`)
		o.advance(2 * time.Hour)
		o.run(j)
		o.stands("job_1", "sql: no rows in result set")
		o.stands("job_2", `waiting "waits" 0 ""`)
	})
}
