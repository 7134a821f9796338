package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/api"
	"github.com/guildhall/guildhall/server/internal/web"
)

// OperatorHandler makes the handler of the operations for the operator at this machine: whoever reaches it may do
// everything, so it is served on a socket of ListenOperator only.
func OperatorHandler(s *op.Service, log *slog.Logger) http.Handler {
	return web.Handler(web.Config{BaseURL: "http://localhost", Operator: true, Log: log}, api.New(api.Config{Service: s, Log: log}))
}

// ListenOperator opens a Unix socket that only the process's own user and root may open. One that an earlier process
// left behind is replaced.
func ListenOperator(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("operator's socket: %w", err), l.Close())
	}
	return l, nil
}
