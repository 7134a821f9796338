package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// The size of what revoking measures.
const (
	servers     = 3
	revocations = 500
	askedAfter  = 1_000_000 // in all
)

// revoking takes keys away on one of three servers on one PostgreSQL, which all know them, and asks all three. It counts what
// is accepted of what was asked after the call had returned, and measures how long the call takes.
func revoking(ctx context.Context, o options) (err error) {
	if o.postgres == "" {
		fmt.Println("\nRevocation on three servers: not measured, it takes -postgres")
		return nil
	}
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at, err := newPostgres(ctx, o, "guildhall_bench_revocation")
	if err != nil {
		return err
	}
	defer func() { err = dropAll([]store{at}, err) }()
	g, end, err := openGroup(ctx, at.dsn, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := g.all(ctx); err != nil {
		return err
	}
	heading(fmt.Sprintf("Revocation of a key that %d servers on one PostgreSQL (%s) know", servers, at.name), "one organization of one member, one run")
	fmt.Printf("%d revocations: p50 %.2f ms, p99 %.2f ms until the call returned\n", revocations, g.percentile(.50), g.percentile(.99))
	fmt.Printf("%d asked while they ran: %d yes, %d no\n", g.yes.Load()+g.no.Load(), g.yes.Load(), g.no.Load())
	fmt.Printf("%d asked after they had returned: %d accepted\n", g.after, g.accepted)
	if g.accepted > 0 {
		return fmt.Errorf("%d accepted after the revocation had returned", g.accepted)
	}
	return nil
}

// group are servers on one database, in one process, which reach each other over HTTP.
type group struct {
	halls           []*guildhall.Hall
	took            []time.Duration
	yes, no         atomic.Int64
	after, accepted int
}

func openGroup(ctx context.Context, dsn, dir string) (*group, func() error, error) {
	f, err := newFixture(1, 1)
	if err != nil {
		return nil, nil, err
	}
	g, running := &group{}, sync.WaitGroup{}
	ctx, stop := context.WithCancel(ctx)
	end := func() error {
		stop()
		running.Wait()
		var errs []error
		for _, h := range g.halls {
			errs = append(errs, h.Close())
		}
		return errors.Join(errs...)
	}
	for range servers {
		h, err := guildhall.Open(ctx, guildhall.Config{Database: dsn, SecretFile: filepath.Join(dir, "group.secret"), Charter: f.charter, Peers: guildhall.Peers{Listen: "127.0.0.1:0"},
			Settings: op.Settings{BaseURL: "http://127.0.0.1"}, Mail: &mail.Catcher{}, Limits: generous, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		g.halls = append(g.halls, h)
		running.Go(func() { _ = h.Run(ctx) })
	}
	return g, end, nil
}

// all revokes one key after the other.
func (g *group) all(ctx context.Context) error {
	for i := range revocations {
		if err := g.one(op.As(ctx, op.Caller{Machine: true}), g.halls[i%servers]); err != nil {
			return err
		}
	}
	return nil
}

// one makes a key, has every server know it, and takes it away on one of them.
func (g *group) one(ctx context.Context, at *guildhall.Hall) error {
	key, err := credential.CreateServiceKey.Call(ctx, at.Service(), credential.CreateServiceKeyInput{Name: "bench"})
	if err != nil {
		return err
	}
	for _, h := range g.halls {
		for known := int64(-1); known != h.Access().Readings(); { // until memory answers
			known = h.Access().Readings()
			if ok, err := accepts(ctx, h, key.Secret); err != nil || !ok {
				return fmt.Errorf("a new key: accepted %v, %w", ok, err)
			}
		}
	}
	end := g.askMeanwhile(ctx, key.Secret)
	began := time.Now()
	_, err = credential.RevokeServiceKey.Call(ctx, at.Service(), credential.RevokeServiceKeyInput{Key: key.ID})
	g.took = append(g.took, time.Since(began))
	if err == nil {
		err = g.askAfter(ctx, key.Secret)
	}
	end()
	return err
}

func accepts(ctx context.Context, h *guildhall.Hall, secret string) (bool, error) {
	s := access.SentBy(secret, "")
	err := h.Access().Find(ctx, &s)
	if errors.Is(err, op.ErrUnauthenticated) {
		return false, nil
	}
	return err == nil, err
}

// askMeanwhile asks the servers in turn, some thousand times a second, until end is called.
func (g *group) askMeanwhile(ctx context.Context, secret string) (end func()) {
	ended := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if ok, err := accepts(ctx, g.halls[i%servers], secret); ok {
				g.yes.Add(1)
			} else if err == nil {
				g.no.Add(1)
			}
		}
	})
	return func() { close(ended); asking.Wait() }
}

func (g *group) askAfter(ctx context.Context, secret string) error {
	for i := range askedAfter / revocations {
		ok, err := accepts(ctx, g.halls[i%servers], secret)
		if err != nil {
			return err
		}
		if g.after++; ok {
			g.accepted++
		}
	}
	return nil
}

// percentile is a part of the times in milliseconds.
func (g *group) percentile(part float64) float64 {
	slices.Sort(g.took)
	return float64(g.took[int(part*float64(len(g.took)-1))].Microseconds()) / 1000
}
