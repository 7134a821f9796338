package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// The size of what syncing measures.
const (
	leaving = 1000 // members whom a directory takes out, one after the other
	staying = 100
)

// syncing takes a thousand people out of an organization on one of three servers, as a directory does, and asks all three about
// those who stay: how long that takes beside a quiet time, and how often the database was asked for it.
func syncing(ctx context.Context, o options) (err error) {
	if o.postgres == "" {
		fmt.Println("\nA directory that takes people out: not measured, it takes -postgres")
		return nil
	}
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at, err := newPostgres(ctx, o, "guildhall_bench_sync")
	if err != nil {
		return err
	}
	defer func() { err = dropAll([]store{at}, err) }()
	f, err := newFixture(1, leaving+staying)
	if err != nil {
		return err
	}
	if err := f.fill(ctx, at.dsn); err != nil {
		return err
	}
	g, end, err := openGroup(ctx, at.dsn, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	s := &leavers{f: f, halls: g.halls}
	if err := s.warm(ctx); err != nil {
		return err
	}
	return s.measure(ctx, o, at.name)
}

// leavers are the people of one organization.
type leavers struct {
	f     *fixture
	halls []*guildhall.Hall
}

// asks asks a server about one of those who stay.
func (s *leavers) asks(ctx context.Context, h *guildhall.Hall, member int) (bool, error) {
	d, err := h.Access().Check(ctx, check.Request{Subject: check.ByUser(s.f.userID(0, member)), Permission: "organization.view", Resource: check.Whole(s.f.organizationID(0))})
	return d.Allow, err
}

// warm has every server know everybody.
func (s *leavers) warm(ctx context.Context) error {
	for _, h := range s.halls {
		for m := range leaving + staying {
			for range 2 {
				if ok, err := s.asks(ctx, h, m); err != nil || !ok {
					return fmt.Errorf("member %d: %v, %w", m, ok, err)
				}
			}
		}
	}
	return nil
}

func (s *leavers) measure(ctx context.Context, o options, store string) error {
	quiet, err := s.meanwhile(ctx, func() error { time.Sleep(2 * time.Second); return nil })
	if err != nil {
		return err
	}
	before := s.readings()
	began := time.Now()
	busy, err := s.meanwhile(ctx, func() error { return s.leave(ctx) })
	if err != nil {
		return err
	}
	took, read := time.Since(began), s.readings()-before
	heading(fmt.Sprintf("A directory takes %d people out of an organization of %d on one of %d servers (%s)", leaving, leaving+staying, servers, store), o)
	fmt.Printf("%.1f s, %.2f ms for each\n", took.Seconds(), took.Seconds()*1000/leaving)
	fmt.Printf("checks about the %d who stay, on all servers: p99 %.1f µs while nothing goes on, %.1f µs meanwhile: %.2f times\n", staying, quiet, busy, busy/quiet)
	fmt.Printf("%d of these checks asked the database\n", read)
	for m := range leaving {
		for i, h := range s.halls {
			if ok, err := s.asks(ctx, h, m); err != nil || ok {
				return fmt.Errorf("member %d, who is out, at server %d: %v, %w", m, i, ok, err)
			}
		}
	}
	return nil
}

// leave suspends everybody who leaves.
func (s *leavers) leave(ctx context.Context) error {
	ctx = op.As(ctx, op.Caller{System: "directory"})
	for m := range leaving {
		in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: op.InOrganization{Organization: s.f.organizationID(0)}, Member: fixedID("mem", m)}}
		if _, err := directory.SuspendMember.Call(ctx, s.halls[0].Service(), in); err != nil {
			return fmt.Errorf("member %d: %w", m, err)
		}
	}
	return nil
}

func (s *leavers) readings() (all int64) {
	for _, h := range s.halls {
		all += h.Access().Readings()
	}
	return all
}

// meanwhile asks about those who stay while something is done, and gives the p99 in microseconds.
func (s *leavers) meanwhile(ctx context.Context, do func() error) (float64, error) {
	done := make(chan struct{})
	var asking sync.WaitGroup
	var took []time.Duration
	var failed error
	asking.Go(func() {
		for i := 0; failed == nil; i++ {
			select {
			case <-done:
				return
			default:
			}
			began := time.Now()
			ok, err := s.asks(ctx, s.halls[i%servers], leaving+i%staying)
			took = append(took, time.Since(began))
			if err != nil || !ok {
				failed = fmt.Errorf("somebody who stays: %v, %w", ok, err)
			}
			if i%10 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	err := do()
	close(done)
	asking.Wait()
	slices.Sort(took)
	return float64(took[len(took)*99/100].Nanoseconds()) / 1000, errors.Join(err, failed)
}
