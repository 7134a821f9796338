package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/guildhall/guildhall/op"
)

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush sends what was written so far.
func (w *recorder) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap gives http.ResponseController the writer beneath.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logAccess writes one line for a request. It names the route and not the path or the query: those of an invitation
// hold a secret. T-033
func logAccess(r *http.Request, w *recorder, began time.Time) {
	s := stateOf(r)
	if !s.config.Log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	s.config.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes), slog.Duration("took", time.Since(began)),
		slog.String("address", s.address), slog.String("request_id", s.id))
}

// Severity is the level at which to log why an answer could not be given: an error, but for a client that has gone away,
// which breaks off whatever was being done for it and is nobody's fault.
func Severity(ctx context.Context) slog.Level {
	if ctx.Err() != nil {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// recoverPanic answers a panic as an internal error. Once an answer has begun there is nothing left but to break the
// connection, so that nobody takes half an answer for a whole one.
func recoverPanic(w *recorder, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	s := stateOf(r)
	s.config.Log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request_id", s.id),
		slog.String("route", r.Pattern), slog.String("cause", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.config.Refuse(w, r, &op.Error{Kind: op.Internal, Text: "internal error"})
}
