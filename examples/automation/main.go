// Command automation is a small workflow platform with Guildhall in process: one program, one listener, one sign-in.
// Its own handlers stand under /api; everything else (console, sign-in, Guildhall's API) is Guildhall's.
//
// Read routes.go first: it is the whole integration.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "automation:", err)
		os.Exit(1)
	}
}

// options are what the program is started with.
type options struct {
	addr, data, baseURL string
	demo                bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("automation", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	flags.StringVar(&o.data, "data", "automation-data", "folder with everything that stays")
	flags.StringVar(&o.baseURL, "base-url", "", "where browsers find it (default: http://localhost with the port)")
	flags.BoolVar(&o.demo, "demo", false, "the folder was made by guildhall demo")
	return o, flags.Parse(args)
}

// run serves Guildhall and the product until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	listener, err := server.Listen(o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	o.baseURL = strings.TrimRight(cmp.Or(o.baseURL, "http://localhost:"+port), "/")
	hall, err := openHall(ctx, o)
	if err != nil {
		return err
	}
	p, err := open(filepath.Join(o.data, "product"), hall.Charter().Regions)
	if err != nil {
		return errors.Join(err, hall.Close())
	}
	fmt.Fprintf(stdout, "automation: %s (API under %s/api)\n", o.baseURL, o.baseURL)
	err = serve(ctx, hall, server.ServeConfig{Listener: listener, Handler: handler(hall, p, o.baseURL), Ending: hall.Service().EndWatches})
	return errors.Join(err, p.close(), hall.Close())
}

// openHall opens Guildhall beside the product. A real installation also gives it a mail server (Mail).
func openHall(ctx context.Context, o options) (*guildhall.Hall, error) {
	model, err := charter.Ready("automation")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	return guildhall.Open(ctx, guildhall.Config{
		Charter:    model,
		Database:   "sqlite:" + filepath.Join(o.data, "guildhall.db"),
		SecretFile: filepath.Join(o.data, "secret"),
		Settings:   op.Settings{BaseURL: o.baseURL},
		Demo:       o.demo,
	})
}

// handler puts the product and Guildhall on one listener.
func handler(hall *guildhall.Hall, p *product, baseURL string) http.Handler {
	guard := func(permission charter.Permission, on func(*http.Request) check.Resource) func(http.Handler) http.Handler {
		return hall.Require(permission, on, check.WithCookie(sessionCookie(baseURL)), check.WithRegion(wantedRegion))
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", p.handler(guard))
	mux.Handle("/", server.ForHall(hall, server.HallConfig{BaseURL: baseURL}))
	return mux
}

// sessionCookie is the name of Guildhall's session cookie. The product is on the same host, so whoever is signed in at
// the console is signed in here. Require refuses what another site makes a browser send with it.
func sessionCookie(baseURL string) string {
	if strings.HasPrefix(baseURL, "https:") {
		return "__Host-guildhall"
	}
	return "guildhall"
}

// serve serves, with Guildhall's background work beside it, until ctx ends.
func serve(ctx context.Context, hall *guildhall.Hall, c server.ServeConfig) error {
	working, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- hall.Run(working) }()
	err := server.Serve(ctx, c)
	end()
	return errors.Join(err, <-ended)
}
