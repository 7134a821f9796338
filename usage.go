package guildhall

import (
	"context"
	"errors"
	"fmt"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// Record records what an organization used, by its id: see usage.Record. When it returns without an error, what it calls
// recorded is on disk and counts exactly once. Events without an id get a new one, so a repeat would count again.
func (h *Hall) Record(ctx context.Context, organization string, events ...usage.Event) (usage.Recorded, error) {
	ctx = op.As(ctx, op.Caller{System: "product"})
	return usage.Record.Call(ctx, h.service, usage.RecordInput{InOrganization: op.InOrganization{Organization: organization}, Events: events})
}

// foldUsage tells of thresholds that were reached, adds what was recorded to the buckets, and lets go what is held and past
// its time.
func (h *Hall) foldUsage(ctx context.Context) error {
	err := h.tellThresholds(ctx)
	return errors.Join(err, usage.Fold(ctx, h.db, h.config.Now()), usage.LetGo(ctx, h.db, h.config.Now()))
}

func (h *Hall) tellThresholds(ctx context.Context) error {
	var due []usage.FireInput
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = usage.Due(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "usage"})
	for _, in := range due {
		if _, failed := usage.Fire.Call(ctx, h.service, in); failed != nil {
			err = errors.Join(err, fmt.Errorf("thresholds of %s: %w", in.Organization, failed))
		}
	}
	return err
}
