// Command bench measures checks against floors and peers in one run, and prints ratios. It is a module of its own, so
// that what it compares with is no part of Guildhall.
//
//	go run . process     answers in process, one core
//	go run . http        answers over HTTP, by the server's CPU time
//	go run . grpc        Envoy's ext_authz over gRPC, beside an echo
//	go run . usage       recording of usage, beside a raw insert
//	go run . writes      changes by operations, beside one row
//	go run . idle        organizations in which nothing happens
//	go run . revocation  keys revoked on three servers
//	go run . sync        a thousand people taken out of an organization on three servers
//	go run . noise       one key that asks too much, beside everybody else
//	go run . all         everything
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what a run may change.
type options struct {
	organizations, members int
	rounds                 int
	seconds                float64
	connections            int
	openfga                string
	profile                string
	postgres               string
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.organizations, "organizations", 1000, "how many organizations")
	flags.IntVar(&o.members, "members", 100, "members of each")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	flags.Float64Var(&o.seconds, "seconds", 2, "how long a round of one contender is")
	flags.IntVar(&o.connections, "connections", 32, "connections over HTTP")
	flags.StringVar(&o.openfga, "openfga", "", "the openfga binary, to measure beside; empty: without")
	flags.StringVar(&o.profile, "profile", "", "a folder for the CPU profiles of the servers; empty: none, and figures are without them")
	flags.StringVar(&o.postgres, "postgres", "", "a PostgreSQL in which databases are made and dropped, as a data source; empty: SQLite only")
	what, rest := "all", args
	if len(args) > 0 && args[0][0] != '-' {
		what, rest = args[0], args[1:]
	}
	if err := flags.Parse(rest); err != nil {
		return err
	}
	if what == "serve" {
		return serve(ctx, o, flags.Args())
	}
	found := false
	for _, m := range measurements {
		if what == m.name || what == "all" {
			found = true
			if err := m.run(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	if !found {
		return fmt.Errorf("%q is none of process, http, grpc, usage, writes, idle, revocation, sync, noise, all", what)
	}
	return nil
}

// measurements are all, in the order of a run.
var measurements = []struct {
	name string
	run  func(ctx context.Context, o options) error
}{{"process", inProcess}, {"http", overHTTP}, {"grpc", overGRPC}, {"usage", recording}, {"writes", writing}, {"idle", idling}, {"revocation", revoking}, {"sync", syncing}, {"noise", noise}}

// usual is what most figures are measured with.
func (o options) usual() string {
	return fmt.Sprintf("%d organizations of %d members, %s", o.organizations, o.members, o.timed())
}

func (o options) timed() string { return fmt.Sprintf("%d rounds of %.1f s", o.rounds, o.seconds) }

// heading says what the figures were measured with, and on what.
func heading(title, with string) {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	fmt.Printf("\n%s\n%s, %d cores, %s, commit %s\n\n", title, with, runtime.NumCPU(), runtime.Version(), version)
}
