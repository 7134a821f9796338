// Command cluster runs a command beside a throw-away PostgreSQL, whose data
// source it gives it in GUILDHALL_TEST_POSTGRES:
//
//	go run ./internal/testdb/cluster -- go test ./...
//	go run ./internal/testdb/cluster fsync=on -- ./bench
//
// Settings of PostgreSQL stand before the two dashes. It exits as the command
// does. A cluster that the variable names already is used as it is.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/guildhall/guildhall/internal/testdb"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(args []string) (code int, err error) {
	dashes := slices.Index(args, "--")
	settings, args := args[:max(dashes, 0)], args[dashes+1:]
	if len(args) == 0 {
		return 2, errors.New("which command? usage: cluster [SETTING=VALUE...] -- COMMAND [ARGUMENT...]")
	}
	if os.Getenv(testdb.ClusterVariable) != "" {
		return beside(args)
	}
	cluster, err := testdb.StartCluster(settings...)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	return beside(args, testdb.ClusterVariable+"="+cluster.DSN)
}

// beside runs the command and waits for it. An interrupt reaches the command
// too, which ends first; a request to end is passed on.
func beside(args []string, env ...string) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM {
				cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
