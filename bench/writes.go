package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// writers is how many change something at once, each in an organization of its own.
const writers = 32

// writing measures a change that an administrator makes (the name of an organization, with permission, audit row and change
// in one transaction) beside the same driver's update of one row, committed as durably.
func writing(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, err := newStores(ctx, o, dir)
	defer func() { err = dropAll(all, err) }()
	if err != nil {
		return err
	}
	heading("Changes: an organization's name, beside one row", fmt.Sprintf("%d organizations of one member, %s", writers, o.timed()))
	fmt.Printf("%-40s %14s %14s %s\n", "", "one row", "an operation", "ratio (median of the rounds' ratios)")
	for _, s := range all {
		if err := writingOn(ctx, o, s, dir); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func writingOn(ctx context.Context, o options, s store, dir string) (err error) {
	w, err := openWriter(ctx, s, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.db.Close(), w.hall.Close()) }()
	for _, at := range []int{1, writers} {
		var rows, ops, ratios []float64
		for range o.rounds {
			a, err := paceOf(ctx, o.seconds, at, w.row)
			if err != nil {
				return err
			}
			b, err := paceOf(ctx, o.seconds, at, w.operation)
			if err != nil {
				return err
			}
			rows, ops, ratios = append(rows, a), append(ops, b), append(ratios, a/b)
		}
		if at == 1 {
			fmt.Printf("%-40s %11.3f ms %11.3f ms %.2f times as long\n", s.name+", one after the other", 1000/median(rows), 1000/median(ops), median(ratios))
			continue
		}
		fmt.Printf("%-40s %12.0f/s %12.0f/s %.0f %% as many\n", fmt.Sprintf("%s, %d at once", s.name, at), median(rows), median(ops), 100/median(ratios))
	}
	return nil
}

// writer changes organizations of a hall, and rows of a table of its own with the same settings.
type writer struct {
	hall          *guildhall.Hall
	db            *sql.DB
	organizations []string
	n             atomic.Int64
}

func openWriter(ctx context.Context, s store, dir string) (*writer, error) {
	f, err := newFixture(1, 1)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	w.hall, err = guildhall.Open(ctx, guildhall.Config{Database: s.dsn, SecretFile: filepath.Join(dir, "writes.secret"), Charter: f.charter,
		Settings: op.Settings{BaseURL: "http://127.0.0.1"}, Mail: &mail.Catcher{}, Limits: generous, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	operator := op.As(ctx, op.Caller{Machine: true})
	for i := range writers {
		made, err := directory.ProvisionOrganization.Call(operator, w.hall.Service(), directory.ProvisionOrganizationInput{
			CreateOrganizationInput: directory.CreateOrganizationInput{Name: "Acme", Slug: fmt.Sprintf("acme-%d", i)}, Owner: fmt.Sprintf("ada%d@acme.test", i)})
		if err != nil {
			return nil, errors.Join(err, w.hall.Close())
		}
		w.organizations = append(w.organizations, made.ID)
	}
	if w.db, err = rawPool(s.dsn, filepath.Join(dir, "rows.db")); err == nil {
		_, err = w.db.ExecContext(ctx, "CREATE TABLE bench_rows (id bigint NOT NULL PRIMARY KEY, name text NOT NULL)")
	}
	for i := 0; i < writers && err == nil; i++ {
		_, err = w.db.ExecContext(ctx, "INSERT INTO bench_rows (id, name) VALUES ($1, '')", i)
	}
	return w, err
}

func (w *writer) row(ctx context.Context, by int) error {
	_, err := w.db.ExecContext(ctx, "UPDATE bench_rows SET name = $2 WHERE id = $1", by, fmt.Sprintf("Acme %d", w.n.Add(1)))
	return err
}

func (w *writer) operation(ctx context.Context, by int) error {
	in := directory.UpdateOrganizationInput{}
	in.Organization, in.Name = w.organizations[by], new(fmt.Sprintf("Acme %d", w.n.Add(1)))
	_, err := directory.UpdateOrganization.Call(op.As(ctx, op.Caller{Machine: true}), w.hall.Service(), in)
	return err
}

// paceOf says how often a second something is done, by so many at once.
func paceOf(ctx context.Context, seconds float64, at int, do func(ctx context.Context, by int) error) (float64, error) {
	var all sync.WaitGroup
	var done atomic.Int64
	errs := make([]error, at)
	began := time.Now()
	for by := range at {
		all.Go(func() {
			for time.Since(began).Seconds() < seconds && ctx.Err() == nil {
				if errs[by] = do(ctx, by); errs[by] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
