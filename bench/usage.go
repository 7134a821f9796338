package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// recording measures how many events a second are recorded over HTTP, durably and counted once, beside the same driver's
// plain insert of as many rows of the same width under the same key, in turn. The client's work counts against us.
func recording(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stores, err := newStores(ctx, o, dir)
	defer func() { err = dropAll(stores, err) }()
	if err != nil {
		return err
	}
	heading(fmt.Sprintf("Recording usage, %d senders: events a second, durable and idempotent (median of the rounds)", senders), "one organization, "+o.timed())
	fmt.Printf("%-44s %12s %12s %12s %s\n", "", "raw insert", "over HTTP", "spread", "part of the raw insert (median of the rounds' ratios)")
	for _, s := range stores {
		if err := recordingOn(ctx, o, s, dir); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// senders is how many send at once.
const senders = 4

// recordingOn measures on one database, which has to be empty.
func recordingOn(ctx context.Context, o options, s store, dir string) error {
	r, err := openRecorder(ctx, s.dsn, dir)
	if err != nil {
		return err
	}
	defer r.close()
	for _, size := range []int{100, 1000} {
		var raw, ours, ratios []float64
		for range o.rounds {
			a, err := r.pace(ctx, o.seconds, size, r.insert)
			if err != nil {
				return fmt.Errorf("raw insert: %w", err)
			}
			b, err := r.pace(ctx, o.seconds, size, r.send)
			if err != nil {
				return err
			}
			raw, ours, ratios = append(raw, a), append(ours, b), append(ratios, b/a)
		}
		fmt.Printf("%-44s %12.0f %12.0f %11.0f%% %.2f\n", fmt.Sprintf("%s, batches of %d", s.name, size), median(raw), median(ours), spread(ratios)*100, median(ratios))
	}
	return r.check(ctx)
}

// recorder is a hall that records on a port of its own, and a table of raw inserts.
type recorder struct {
	hall         *guildhall.Hall
	dsn          string
	db           *sql.DB // of the raw insert: on SQLite a file of its own, opened in the same way
	lite         bool    // it is SQLite
	server       *http.Server
	url, key     string
	organization string
	mu           sync.Mutex
	next         int64 // of the events' ids
	sent         int64 // that were acknowledged as recorded
}

func openRecorder(ctx context.Context, dsn, dir string) (*recorder, error) {
	c, err := charter.Ready("automation")
	if err != nil {
		return nil, err
	}
	hall, err := guildhall.Open(ctx, guildhall.Config{Database: dsn, SecretFile: filepath.Join(dir, "usage.secret"), Charter: c,
		Settings: op.Settings{BaseURL: "http://127.0.0.1"}, Mail: &mail.Catcher{}, Limits: generous, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	r := &recorder{hall: hall, dsn: dsn}
	operator := op.As(ctx, op.Caller{Machine: true})
	made, err := directory.ProvisionOrganization.Call(operator, hall.Service(), directory.ProvisionOrganizationInput{
		CreateOrganizationInput: directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"}, Owner: "ada@acme.test"})
	if err != nil {
		return r, errors.Join(err, hall.Close())
	}
	key, err := credential.CreateServiceKey.Call(operator, hall.Service(), credential.CreateServiceKeyInput{Name: "bench"})
	if err != nil {
		return r, errors.Join(err, hall.Close())
	}
	r.organization, r.key = made.ID, key.Secret
	if err := r.table(ctx, dir); err != nil {
		return r, errors.Join(err, hall.Close())
	}
	return r, r.listen()
}

// table opens the floor's own connections, with the settings that the hall has.
func (r *recorder) table(ctx context.Context, dir string) (err error) {
	r.lite = strings.HasPrefix(r.dsn, "sqlite:")
	if r.db, err = rawPool(r.dsn, filepath.Join(dir, "raw.db")); err != nil {
		return err
	}
	_, err = r.db.ExecContext(ctx, `CREATE TABLE bench_events (organization text NOT NULL, source text NOT NULL, id text NOT NULL, meter text NOT NULL,
		value bigint NOT NULL, at bigint NOT NULL, recorded_at bigint NOT NULL, series text NOT NULL, PRIMARY KEY (organization, source, id))`)
	return err
}

// rawPool opens the driver's own connections to a store, with the settings that the hall has: on SQLite to a file of their
// own.
func rawPool(dsn, file string) (*sql.DB, error) {
	if !strings.HasPrefix(dsn, "sqlite:") {
		db, err := sql.Open("pgx", dsn)
		if err == nil {
			db.SetMaxIdleConns(writers)
		}
		return db, err
	}
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err == nil {
		db.SetMaxOpenConns(1) // there is one writer
	}
	return db, err
}

func (r *recorder) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.url = "http://" + l.Addr().String()
	r.server = &http.Server{ReadHeaderTimeout: 10 * time.Second,
		Handler: server.ForHall(r.hall, server.HallConfig{BaseURL: r.url, Metrics: server.NewMetrics(), Log: slog.New(slog.DiscardHandler)})}
	go func() { _ = r.server.Serve(l) }()
	return nil
}

func (r *recorder) close() {
	if r.server != nil {
		_ = r.server.Close()
	}
	if r.db != nil {
		_ = r.db.Close()
	}
	_ = r.hall.Close()
}

// pace has all senders send batches for a time, and says how many events a second were taken.
func (r *recorder) pace(ctx context.Context, seconds float64, size int, send func(ctx context.Context, first int64, size int) error) (float64, error) {
	var all sync.WaitGroup
	var failed error
	var taken int64
	began := time.Now()
	for range senders {
		all.Go(func() {
			for time.Since(began).Seconds() < seconds && ctx.Err() == nil {
				err := send(ctx, r.ids(size), size)
				r.mu.Lock()
				failed, taken = errors.Join(failed, err), taken+int64(size)
				r.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return float64(taken) / time.Since(began).Seconds(), failed
}

func (r *recorder) ids(n int) (first int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.next
	r.next += int64(n)
	return first
}

// spreadOut makes ids as those who record make them: they do not come in order.
func spreadOut(n int64) string {
	return fmt.Sprintf("evt_%016x", uint64(n+1)*0x9e3779b97f4a7c15)
}

// insert is the floor: a batch in a transaction of its own, in the way that is fastest with the driver. On SQLite that is one
// prepared statement for all rows, on PostgreSQL one statement with all rows.
func (r *recorder) insert(ctx context.Context, first int64, size int) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit there is nothing to roll back
	n, err := r.insertRows(ctx, tx, first, size)
	if err != nil {
		return err
	}
	if n != int64(size) {
		return fmt.Errorf("%d of %d rows were new", n, size)
	}
	return tx.Commit()
}

const (
	rawInsert   = "INSERT INTO bench_events (organization, source, id, meter, value, at, recorded_at, series) VALUES "
	rawConflict = " ON CONFLICT (organization, source, id) DO NOTHING"
)

func (r *recorder) rawRow(n, now int64) []any {
	return []any{r.organization, "bench", spreadOut(n), "executions", int64(1), now, now, ""}
}

func (r *recorder) insertRows(ctx context.Context, tx *sql.Tx, first int64, size int) (inserted int64, err error) {
	now := time.Now().UnixMicro()
	if !r.lite {
		var b strings.Builder
		var args []any
		for i := range size {
			n := 8 * i
			fmt.Fprintf(&b, ",($%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d)", n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8)
			args = append(args, r.rawRow(first+int64(i), now)...)
		}
		done, err := tx.ExecContext(ctx, rawInsert+b.String()[1:]+rawConflict, args...)
		if err != nil {
			return 0, err
		}
		return done.RowsAffected()
	}
	row, err := tx.PrepareContext(ctx, rawInsert+"(?,?,?,?,?,?,?,?)"+rawConflict)
	if err != nil {
		return 0, err
	}
	defer row.Close()
	for i := range size {
		done, err := row.ExecContext(ctx, r.rawRow(first+int64(i), now)...)
		if err != nil {
			return 0, err
		}
		n, _ := done.RowsAffected()
		inserted += n
	}
	return inserted, nil
}

// send records a batch as a product does.
func (r *recorder) send(ctx context.Context, first int64, size int) error {
	var body bytes.Buffer
	body.WriteString(`{"events":[`)
	for i := range size {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"meter":"executions","value":1,"source":"bench","id":%q}`, spreadOut(first+int64(i)))
	}
	body.WriteString("]}")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/organizations/"+r.organization+"/usage/events", &body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var told struct{ Recorded int }
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil || told.Recorded != size {
		return fmt.Errorf("status %d, %d of %d recorded: %w", answer.StatusCode, told.Recorded, size, err)
	}
	r.mu.Lock()
	r.sent += int64(size)
	r.mu.Unlock()
	return nil
}

// check compares what was acknowledged with what is there.
func (r *recorder) check(ctx context.Context) error {
	beside, err := sqldb.OpenBeside(ctx, r.dsn)
	if err != nil {
		return err
	}
	defer beside.Close()
	var events int64
	err = beside.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM usage_events WHERE organization = $1", r.organization).Scan(&events)
	})
	if err == nil && events != r.sent {
		err = fmt.Errorf("%d events were acknowledged, and %d are there", r.sent, events)
	}
	return err
}
