// Command gateway is a small gateway of prompts and endpoints: a process of its own, behind a reverse proxy that asks
// Guildhall about every request (forward-auth). The product holds no credential of its callers and asks nothing about
// them: it reads what the proxy was answered.
//
// Read trust.go first: it is why the product may believe that. nginx.conf and Caddyfile are the other half.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/guildhall/guildhall/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// options are what the program is started with. The two secrets come by the environment, since a command line is for
// everybody at the machine to see.
type options struct {
	addr, data, public, guildhall string
	proxySecret                   string // GATEWAY_PROXY_SECRET: what the proxy proves itself with
	serviceKey                    string // GUILDHALL_SERVICE_KEY: what the product proves itself with to Guildhall
}

func parse(args []string, getenv func(string) string) (options, error) {
	o := options{proxySecret: getenv("GATEWAY_PROXY_SECRET"), serviceKey: getenv("GUILDHALL_SERVICE_KEY")}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8082", "loopback address to listen on, for the proxy alone")
	flags.StringVar(&o.data, "data", "gateway-data", "folder with everything that stays")
	flags.StringVar(&o.public, "public", "http://localhost:8081", "where browsers find the proxy")
	flags.StringVar(&o.guildhall, "guildhall", "http://localhost:8080", "where Guildhall is")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.public, o.guildhall = strings.TrimRight(o.public, "/"), strings.TrimRight(o.guildhall, "/")
	return o, o.check()
}

// minSecret is how long the proxy's secret has to be.
const minSecret = 32

func (o options) check() error {
	if len(o.proxySecret) < minSecret {
		return fmt.Errorf("set GATEWAY_PROXY_SECRET to at least %d characters, the same as the proxy's", minSecret)
	}
	if o.serviceKey == "" {
		return errors.New("set GUILDHALL_SERVICE_KEY to a service key")
	}
	if _, err := url.ParseRequestURI(o.public); err != nil {
		return fmt.Errorf("--public: %w", err)
	}
	return loopback(o.addr)
}

// loopback refuses to listen where other machines could connect.
func loopback(addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("--addr %s is not on this machine alone, such as 127.0.0.1:8082: the proxy is in front", addr)
	}
	return nil
}

// run serves the product until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	o, err := parse(args, getenv)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	p, err := open(o, client.New(o.guildhall, o.serviceKey, client.Agent("gateway example")))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "gateway: %s for the proxy; browsers open %s\n", listener.Addr(), o.public)
	return errors.Join(serve(ctx, listener, p.handler()), p.close())
}

// serve answers requests until ctx ends, and lets those that run end.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.Shutdown(ctx)
}
