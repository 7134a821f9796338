package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// operatorSocket is where a running server in a data folder takes the operator's calls.
const operatorSocket = "operator.sock"

// operatorWork opens the operator's socket in a data folder and gives the work of answering on it until ctx ends. A
// folder whose path is too long for a socket does without.
func operatorWork(dir string, hall *guildhall.Hall, log *slog.Logger) func(ctx context.Context) error {
	l, err := server.ListenOperator(filepath.Join(dir, operatorSocket))
	if err != nil {
		log.Warn("commands with --data have to wait until the server has ended", "error", err)
		return func(ctx context.Context) error { <-ctx.Done(); return nil }
	}
	return func(ctx context.Context) error {
		return server.Serve(ctx, server.ServeConfig{Listener: l, Handler: server.OperatorHandler(hall.Service(), log), Log: log})
	}
}

// runningServer gives the operations of the server that runs in a data folder; false if none does.
func runningServer(ctx context.Context, dir string) (op.Backend, bool) {
	path := filepath.Join(dir, operatorSocket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, false
	}
	_ = conn.Close()
	return client.New("http://localhost", "", client.HTTP(&http.Client{Transport: &http.Transport{DialContext: dial}}), client.Agent("guildhall")), true
}
