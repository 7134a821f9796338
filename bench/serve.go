package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// serve is what a child process does: the floor or the hall on a port of its own, whose address it prints.
func serve(ctx context.Context, o options, args []string) error {
	if len(args) != 1 {
		return errors.New("serve floor, hall, limited, busy, echo or envoy")
	}
	if args[0] == "echo" || args[0] == "envoy" {
		return serveGRPC(ctx, o, args[0])
	}
	handler, closing, err := served(ctx, o, args[0])
	if err != nil {
		return err
	}
	defer closing()
	if o.profile != "" {
		end, err := profile(filepath.Join(o.profile, args[0]+".pprof"))
		if err != nil {
			return err
		}
		defer end()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { <-ctx.Done(); s.Close() }()
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); s.Close() }() // the parent is gone
	fmt.Println(l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// profile writes where CPU time goes until end is called.
func profile(file string) (end func(), err error) {
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return func() { pprof.StopCPUProfile(); out.Close() }, nil
}

func served(ctx context.Context, o options, what string) (http.Handler, func(), error) {
	if what == "floor" {
		return http.HandlerFunc(floor), func() {}, nil
	}
	limits := generous
	if what == "limited" {
		limits = usual
	}
	h, closing, err := openServed(ctx, o, limits)
	if err != nil {
		return nil, nil, err
	}
	if what == "busy" {
		go func() {
			if err := keepBusy(ctx, h); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "bench: what should go on beside:", err)
				os.Exit(1)
			}
		}()
	}
	return server.ForHall(h, faces()), closing, nil
}

// openServed opens a hall with everything that is asked about.
func openServed(ctx context.Context, o options, limits op.Limits) (*guildhall.Hall, func(), error) {
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return nil, nil, err
	}
	h, err := f.open(ctx, dir, limits)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, func() { h.Close(); os.RemoveAll(dir) }, nil
}

func faces() server.HallConfig {
	return server.HallConfig{BaseURL: "http://127.0.0.1", Metrics: server.NewMetrics(), Log: slog.New(slog.DiscardHandler),
		Gateways: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// keepBusy makes a key, uses it and revokes it some twenty times a second, until ctx ends.
func keepBusy(ctx context.Context, h *guildhall.Hall) error {
	operator := op.As(ctx, op.Caller{Machine: true})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		key, err := credential.CreateServiceKey.Call(operator, h.Service(), credential.CreateServiceKeyInput{Name: "beside"})
		if err != nil {
			return err
		}
		if ok, err := accepts(ctx, h, key.Secret); err != nil || !ok {
			return fmt.Errorf("a new key is accepted: %v, %w", ok, err)
		}
		if _, err := credential.RevokeServiceKey.Call(operator, h.Service(), credential.RevokeServiceKeyInput{Key: key.ID}); err != nil {
			return err
		}
		if ok, err := accepts(ctx, h, key.Secret); err != nil || ok {
			return fmt.Errorf("a revoked key is accepted: %v, %w", ok, err)
		}
	}
}

// floor is a bare handler: it reads what there is to read and answers the same few bytes.
func floor(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Decision bool `json:"decision"`
	}{true})
}
