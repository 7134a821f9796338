package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/config"
	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/signin"
)

// demoFlags are the flags of guildhall demo.
type demoFlags struct {
	charter, addr, data, database string
	config                        string
	returnTo                      []string
	fresh, json                   bool
}

func parseDemoFlags(args []string) (demoFlags, error) {
	var f demoFlags
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&f.charter, "charter", "automation", "")
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "")
	flags.StringVar(&f.data, "data", "guildhall-data", "")
	flags.StringVar(&f.database, "database", "", "")
	flags.Func("return-to", "", func(address string) error {
		f.returnTo = append(f.returnTo, address)
		return signin.CheckReturnTo(address)
	})
	flags.StringVar(&f.config, "config", "", "")
	flags.BoolVar(&f.fresh, "fresh", false, "")
	flags.BoolVar(&f.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return f, usagef("demo: %v%s", err, nearestFlag(flags, err))
	}
	if flags.NArg() > 0 {
		return f, usagef("demo: %q is not a flag", flags.Arg(0))
	}
	return f, nil
}

// nearestFlag is the end of an error about an unknown flag.
func nearestFlag(flags *flag.FlagSet, err error) string {
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	_, name, _ := strings.Cut(err.Error(), "defined: -")
	if near := charter.Nearest(strings.TrimLeft(name, "-"), known); near != "" {
		return "; did you mean --" + near + "?"
	}
	return ""
}

// runDemo serves the product with made-up people until ctx ends.
func runDemo(ctx context.Context, p process) error {
	f, err := parseDemoFlags(p.args)
	if err != nil {
		return err
	}
	outside, err := f.outside()
	if err != nil {
		return usageError{err}
	}
	model, err := loadCharter(f.charter)
	if err != nil {
		return fmt.Errorf("charter: %w", err)
	}
	listener, err := server.Listen(f.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := demo.Open(ctx, demo.Config{Data: f.data, Database: f.database, Charter: model, BaseURL: localURL(listener),
		Fresh: f.fresh, ReturnTo: f.returnTo, Log: log, Change: outside})
	if err != nil {
		return err
	}
	if err := keepCharter(f.data, f.charter); err != nil {
		return errors.Join(err, d.Close())
	}
	err = serveDemo(ctx, p, f, d, listener, log)
	return errors.Join(err, d.Close())
}

// outside is what a configuration file says of whom the demo asks beyond this machine: clients at Google and GitHub, networks,
// DNS. Nothing else in it counts for a demo.
func (f demoFlags) outside() (func(*guildhall.Config), error) {
	if f.config == "" {
		return nil, nil //nolint:nilnil // nothing is changed
	}
	c, err := config.Load([]string{"--config", f.config}, nil)
	if err != nil {
		return nil, err
	}
	return func(h *guildhall.Config) { h.Social, h.Outbound, h.Resolver = c.Social(), c.Outbound(), c.Resolver() }, nil
}

// localURL is the address to open: the name localhost, and the port that was taken.
func localURL(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://localhost:" + port
}

func serveDemo(ctx context.Context, p process, f demoFlags, d *demo.Demo, l net.Listener, log *slog.Logger) error {
	operator := operatorWork(f.data, d.Hall(), log)
	printed := d.Report().Print
	if f.json {
		printed = d.Report().JSON
	}
	if err := printed(p.stdout); err != nil {
		return err
	}
	handler := demo.LocalOnly(server.ForHall(d.Hall(), server.HallConfig{BaseURL: localURL(l), Gateways: config.Loopback(),
		Demo: true, Extra: d.Pages(), Log: log}))
	return together(ctx, d.Run, func(ctx context.Context) error {
		return together(ctx, operator, func(ctx context.Context) error {
			return server.Serve(ctx, server.ServeConfig{Listener: l, Handler: handler, Ending: d.Hall().Service().EndWatches, Log: log})
		})
	})
}
