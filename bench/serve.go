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

	"github.com/guildhall/guildhall/server"
)

// serve is what a child process does: the floor or the hall on a port of its own, whose address it prints.
func serve(ctx context.Context, o options, args []string) error {
	if len(args) != 1 {
		return errors.New("serve floor or serve hall")
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
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return nil, nil, err
	}
	h, err := f.open(ctx, dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	handler := server.ForHall(h, server.HallConfig{BaseURL: "http://127.0.0.1", Metrics: server.NewMetrics(), Log: slog.New(slog.DiscardHandler),
		Gateways: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return handler, func() { h.Close(); os.RemoveAll(dir) }, nil
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
