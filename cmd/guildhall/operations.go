package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/cli"
	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/op"
)

// operations runs a user command: every operation is one.
func operations(ctx context.Context, p process) int {
	c := cli.Config{Operations: guildhall.Operations(), Connect: openData, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
		Env: p.env}
	for _, own := range commands() {
		c.Others = append(c.Others, cli.Command{Name: own.name, Summary: own.summary})
	}
	return cli.Run(ctx, c, p.args)
}

// env is a variable of the environment; empty if there is none.
func (p process) env(name string) string {
	value := ""
	for _, entry := range p.environ {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			value = text // the last one counts
		}
	}
	return value
}

// openData makes the calls of the operator at this machine: on the server that runs in the data folder that --data
// names, else on the folder itself.
func openData(ctx context.Context, g cli.Globals) (op.Backend, op.Caller, func() error, error) {
	caller := op.Caller{Machine: true, Agent: "guildhall"}
	if server, ok := runningServer(ctx, g.Data); ok {
		return server, caller, func() error { return nil }, nil
	}
	c, err := dataConfig(g.Data)
	if err != nil {
		return nil, caller, nil, err
	}
	hall, err := guildhall.Open(ctx, c)
	if err != nil {
		return nil, caller, nil, err
	}
	return hall.Service(), caller, hall.Close, nil
}

// The files in a data folder. The charter is a copy: commands that open the folder need no other word on it.
const (
	databaseFile = "guildhall.db"
	secretFile   = "secret"
	charterFile  = "charter.yaml"
)

// dataConfig says how to open a data folder that serve or demo has made.
func dataConfig(dir string) (guildhall.Config, error) {
	c := guildhall.Config{Database: "sqlite:" + filepath.Join(dir, databaseFile), SecretFile: filepath.Join(dir, secretFile)}
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s has no %s, and no server runs there: name the data folder of guildhall serve or demo, or a server with --server", cmp.Or(dir, "this folder"), databaseFile)
	}
	var err error
	if c.Charter, err = charter.Load(filepath.Join(dir, charterFile)); err != nil {
		return c, fmt.Errorf("charter: %w", err)
	}
	c.Demo = demo.Owns(dir)
	if c.Now = time.Now; c.Demo {
		c.Now, err = demo.Clock(dir)
	}
	return c, err
}

// keepCharter puts a copy of the charter into a data folder.
func keepCharter(dir, named string) error {
	src := charter.Source(named)
	if src == nil {
		var err error
		if src, err = os.ReadFile(named); err != nil {
			return fmt.Errorf("charter: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, charterFile), src, 0o600); err != nil {
		return fmt.Errorf("charter: %w", err)
	}
	return nil
}
