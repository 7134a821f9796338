package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/guildhall/guildhall/server/internal/web"
)

// ServeConfig is what Serve listens with.
type ServeConfig struct {
	Listener net.Listener // nil: one of Addr
	Addr     string       // "127.0.0.1:8080", or with port 0 any free one
	Handler  http.Handler
	Ending   func()        // called when serving ends, and before requests are waited for: what ends live pages; nil: nobody is
	Grace    time.Duration // how long requests may take to end when serving does; 0: 10 seconds
	Log      *slog.Logger  // nil: slog.Default
}

// grace is how long what is being answered may take to end.
const grace = 10 * time.Second

// Listen opens an address for Serve. The error says what to do if it is in use.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: choose another with --addr", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// Serve answers requests until ctx ends, then lets those that run end. It closes the listener.
func Serve(ctx context.Context, c ServeConfig) error {
	listener := c.Listener
	if listener == nil {
		var err error
		if listener, err = Listen(c.Addr); err != nil {
			return err
		}
	}
	s := c.server()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	if c.Ending != nil {
		c.Ending()
	}
	err := c.shutdown(context.WithoutCancel(ctx), s)
	<-ended
	return err
}

func (c ServeConfig) server() *http.Server {
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	return &http.Server{Handler: c.Handler, ReadHeaderTimeout: web.ReadHeaderTimeout, WriteTimeout: web.WriteTimeout,
		IdleTimeout: web.IdleTimeout, MaxHeaderBytes: web.MaxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
}

// shutdown waits for the requests that run. What is left after the grace is cut.
func (c ServeConfig) shutdown(ctx context.Context, s *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Grace, grace))
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return s.Close()
	}
	return err
}
