package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// The size of what syncing measures.
const (
	leaving = 1000 // members whom a directory takes out, one after the other
	staying = 100

	askers = 4 // connections to each server
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
	stop, err := s.listen()
	defer stop()
	if err != nil {
		return err
	}
	if err := s.warm(ctx); err != nil {
		return err
	}
	return s.measure(ctx, at.name)
}

// listen has every server answer over HTTP.
func (s *leavers) listen() (stop func(), err error) {
	var running []*http.Server
	stop = func() {
		for _, r := range running {
			r.Close()
		}
	}
	forward, _ := asking(s.f)
	for _, h := range s.halls {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return stop, err
		}
		r := &http.Server{Handler: server.ForHall(h, faces()), ReadHeaderTimeout: 10 * time.Second}
		running = append(running, r)
		go func() { _ = r.Serve(l) }()
		s.targets = append(s.targets, target{child: &child{address: l.Addr().String()}, ask: forward, checked: true, allowed: passes})
	}
	return stop, nil
}

// leavers are the people of one organization.
type leavers struct {
	f       *fixture
	halls   []*guildhall.Hall
	targets []target
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
	return warmUp(ctx, s.targets, s.questions(), askers)
}

func (s *leavers) measure(ctx context.Context, store string) error {
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
	heading(fmt.Sprintf("A directory takes %d people out of an organization of %d on one of %d servers (%s)", leaving, leaving+staying, servers, store), "one organization, one run")
	fmt.Printf("%.1f s, %.2f ms for each, while %d connections ask without a pause\n", took.Seconds(), took.Seconds()*1000/leaving, askers*servers)
	fmt.Printf("checks about the %d who stay, over HTTP, on all servers: p99 %.0f µs while nothing goes on, %.0f µs meanwhile: %.2f times\n", staying, quiet, busy, busy/quiet)
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

// questions are those about the people who stay.
func (s *leavers) questions() []question {
	all := make([]question, staying)
	for i := range all {
		all[i] = question{member: leaving + i, permission: "endpoints.view"}
	}
	return all
}

// meanwhile asks about those who stay while something is done, and gives the p99 in microseconds.
func (s *leavers) meanwhile(ctx context.Context, do func() error) (float64, error) {
	over, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	asked, errs := &waits{}, make([]error, len(s.targets))
	for i, t := range s.targets {
		asking.Go(func() { errs[i] = hammerCounting(over, t, s.questions(), askers, time.Hour, asked) })
	}
	err := do()
	cancel()
	asking.Wait()
	for i := range errs {
		if errors.Is(errs[i], context.Canceled) {
			errs[i] = nil
		}
	}
	return asked.p99(), errors.Join(append(errs, err)...)
}
