// Package hooks takes in what payment providers send.
package hooks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Stripe takes Stripe's events in. It answers 200 to what was taken in and to what is none of ours, 400 to what Stripe
// did not sign, and 503 where it could not be done now: Stripe sends it again then.
func Stripe(service *op.Service, provider *stripe.Provider, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.Default()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			web.Problem(w, r, &op.Error{Kind: op.WrongMethod, Text: "events are sent by POST"})
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, op.MaxBody)) // as it was sent: it is what was signed
		if err != nil {
			web.Problem(w, r, &op.Error{Kind: op.TooLarge, Text: "the body ended early, or is larger than an event"})
			return
		}
		event, err := provider.Hear(body, r.Header.Get("Stripe-Signature"))
		if err == nil {
			err = hear(r, service, event)
			log.LogAttrs(r.Context(), slog.LevelInfo, "stripe event", slog.String("event", event.ID), slog.String("type", event.Type), slog.Any("error", err))
		}
		if err != nil {
			web.Problem(w, r, problem(err))
			return
		}
		w.WriteHeader(http.StatusOK)
	})
}

// hear reads back how it stands with whoever an event is about, if that is somebody whom we know.
func hear(r *http.Request, service *op.Service, e stripe.Event) error {
	if e.Customer == "" {
		return nil
	}
	in := billing.SyncInput{Event: e.ID, Customer: e.Customer}
	err := service.Snapshot(r.Context(), func(reader *op.Reader) (err error) {
		in.Organization, err = billing.OrganizationOf(r.Context(), reader, e.Customer)
		return err
	})
	if errors.Is(err, op.ErrNotFound) {
		in.Organization, err = e.Organization, nil
	}
	if err != nil || in.Organization == "" {
		return err
	}
	caller := web.Caller(r)
	err = billing.Sync(op.As(context.WithoutCancel(r.Context()), op.Caller{System: stripe.Name, Address: caller.Address, RequestID: caller.RequestID}), service, in)
	if e := problem(err); e != nil && (e.Kind == op.NotFound || e.Kind == op.Conflict) {
		return nil // the organization is gone, or is not at Stripe: no repeat changes that
	}
	return err
}

func problem(err error) *op.Error {
	var e *op.Error
	if err == nil || errors.As(err, &e) {
		return e
	}
	return &op.Error{Kind: op.Internal, Text: "internal error"}
}
