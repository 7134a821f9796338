package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// idling measures what an organization costs in which nothing happens: bytes on disk, bytes of heap, and time at the start.
func idling(ctx context.Context, o options) (err error) {
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
	few, many := max(50, o.organizations/10), max(500, o.organizations)
	heading(fmt.Sprintf("An organization in which nothing happens: made by an operation, one owner, one key; %d and then %d of them", few, many), "one run")
	fmt.Printf("%-30s %16s %16s %24s\n", "", "disk, bytes each", "heap, bytes each", "start, ms: few and many")
	for _, s := range all {
		i := &idle{dsn: s.dsn, dir: dir}
		if err := i.measure(ctx, few, many); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		each := float64(many - few)
		fmt.Printf("%-30s %16.0f %16.0f %12.1f %11.1f\n", s.name, float64(i.disk[1]-i.disk[0])/each, float64(i.heap[1]-i.heap[0])/each, i.start[0], i.start[1])
	}
	return nil
}

// idle is what was measured with few organizations, and with many.
type idle struct {
	dsn, dir string
	made     int
	disk     [2]int64
	heap     [2]int64
	start    [2]float64
}

func (i *idle) measure(ctx context.Context, few, many int) error {
	for at, organizations := range []int{few, many} {
		if err := i.fill(ctx, organizations); err != nil {
			return err
		}
		var err error
		if i.disk[at], err = i.size(ctx); err != nil {
			return err
		}
		before := heap()
		began := time.Now()
		h, err := i.open(ctx)
		if err != nil {
			return err
		}
		i.start[at] = float64(time.Since(began).Microseconds()) / 1000
		i.heap[at] = heap() - before
		if err := h.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (i *idle) open(ctx context.Context) (*guildhall.Hall, error) {
	f, err := newFixture(1, 1)
	if err != nil {
		return nil, err
	}
	return guildhall.Open(ctx, guildhall.Config{Database: i.dsn, SecretFile: filepath.Join(i.dir, "idle.secret"), Charter: f.charter,
		Settings: op.Settings{BaseURL: "http://127.0.0.1"}, Mail: &mail.Catcher{}, Limits: generous, Log: slog.New(slog.DiscardHandler)})
}

// fill makes organizations until there are so many.
func (i *idle) fill(ctx context.Context, organizations int) error {
	h, err := i.open(ctx)
	if err != nil {
		return err
	}
	operator := op.As(ctx, op.Caller{Machine: true})
	var members []string
	var keys []string
	for ; i.made < organizations && err == nil; i.made++ {
		var made directory.Organization
		made, err = directory.ProvisionOrganization.Call(operator, h.Service(), directory.ProvisionOrganizationInput{
			CreateOrganizationInput: directory.CreateOrganizationInput{Name: "Acme", Slug: fmt.Sprintf("acme-%d", i.made)}, Owner: fmt.Sprintf("ada%d@acme.test", i.made)})
		members, keys = append(members, made.ID), append(keys, fixedID("key", i.made))
	}
	if err := errors.Join(err, h.Close()); err != nil {
		return err
	}
	return i.giveKeys(ctx, members, keys)
}

// giveKeys gives the owner of each organization a key, as keys.create writes it.
func (i *idle) giveKeys(ctx context.Context, organizations, ids []string) error {
	f, err := newFixture(1, 1)
	if err != nil {
		return err
	}
	db, err := sqldb.Open(ctx, i.dsn, sqldb.Options{})
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *sqldb.Tx) error {
		for n, organization := range organizations {
			hash := f.key(i.made - len(organizations) + n).Hash()
			_, err := tx.Exec(ctx, `INSERT INTO api_keys (id, organization, kind, name, name_folded, hash, prefix, last4, creator, member, service_account, permissions, resources, networks,
					frozen, left_at, rotated_from, rotated_to, created_at, expires_at, last_used_at, last_address, last_agent, revoked_at, revoked_by, revoked_reason, version, recovery_epoch)
				SELECT $1, organization, 'personal', 'ci', 'ci', $3, 'gld_live', 'a1B2', user_id, id, '', 'endpoints.view', '', '', '', 0, '', '', joined_at, 0, 0, '', '', 0, '', '', 1,
					(SELECT recovery_epoch FROM instance WHERE id = 'instance') FROM members WHERE organization = $2`, ids[n], organization, hash[:])
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// size is what the database takes on disk, once what is only in its log is in its tables.
func (i *idle) size(ctx context.Context) (int64, error) {
	file, lite := strings.CutPrefix(i.dsn, "sqlite:")
	if lite {
		at, err := os.Stat(file) // closed, so that there is no log beside it
		if err != nil {
			return 0, err
		}
		return at.Size(), nil
	}
	db, err := sql.Open("pgx", i.dsn)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var size int64
	if _, err := db.ExecContext(ctx, "VACUUM"); err != nil {
		return 0, err
	}
	return size, db.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
}

// heap is what is alive.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
