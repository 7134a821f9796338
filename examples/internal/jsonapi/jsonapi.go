// Package jsonapi is the little that the Go examples share: JSON in, JSON out, and errors as problem details (RFC 9457).
// None of it is about Guildhall.
package jsonapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json"
)

// Handler answers a request with a value, which is written as JSON, or with an error. A nil value is 204.
type Handler func(r *http.Request) (any, error)

// Answer is a value with another status than 200.
type Answer struct {
	Status int
	Body   any
}

// Created answers that something was made.
func Created(body any) (any, error) { return Answer{http.StatusCreated, body}, nil }

// maxBody bounds what a request may send.
const maxBody = 1 << 20

// ServeHTTP answers a request.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	body, err := h(r)
	if err != nil {
		Refuse(w, r, err)
		return
	}
	status := http.StatusOK
	if a, ok := body.(Answer); ok {
		status, body = a.Status, a.Body
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, mediaType string, body any) {
	raw, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		panic("jsonapi: " + err.Error()) // only values of the product's own types are written
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}

// Error is an error that the caller is told.
type Error struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Text   string `json:"detail"`
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// ErrNotFound answers for what does not exist, and for what belongs to another organization: nobody learns which.
var ErrNotFound = &Error{http.StatusNotFound, "not_found", "not found"}

// Malformed says that a request cannot be read.
func Malformed(format string, args ...any) error {
	return &Error{http.StatusBadRequest, "malformed", fmt.Sprintf(format, args...)}
}

// Invalid says what is wrong with a request's content.
func Invalid(format string, args ...any) error {
	return &Error{http.StatusUnprocessableEntity, "invalid", fmt.Sprintf(format, args...)}
}

// Conflict says what stands against a request.
func Conflict(format string, args ...any) error {
	return &Error{http.StatusConflict, "conflict", fmt.Sprintf(format, args...)}
}

// Refuse writes an error as problem details. One that is no *Error is written to the log, and the caller learns nothing
// of it.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = &Error{http.StatusInternalServerError, "internal", "internal error"}
	}
	write(w, e.Status, "application/problem+json", e)
}

// Read reads a request's body, which has to be one JSON object without fields that in does not have.
func Read(r *http.Request, in any) error {
	err := json.UnmarshalRead(r.Body, in, json.RejectUnknownMembers(true))
	if err != nil {
		return Malformed("the body is not what is expected: %v", err)
	}
	return nil
}
