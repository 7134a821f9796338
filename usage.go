package guildhall

import (
	"context"
	"errors"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// Record records what an organization used, by its id: see usage.Record. When it returns without an error, what it calls
// recorded is on disk and counts exactly once. Events without an id get a new one, so a repeat would count again.
func (h *Hall) Record(ctx context.Context, organization string, events ...usage.Event) (usage.Recorded, error) {
	ctx = op.As(ctx, op.Caller{System: "product"})
	return usage.Record.Call(ctx, h.service, usage.RecordInput{InOrganization: op.InOrganization{Organization: organization}, Events: events})
}

// countUse counts what an answer of a check uses up, where its meter has such dimensions for the member, key, resource and
// region that the answer is about.
func (h *Hall) countUse(ctx context.Context, by check.Who, on check.Resource, n check.Count) (left *int64, ok bool, err error) {
	m, _ := h.config.Charter.Meter(n.Meter)
	in := usage.ConsumeInput{InOrganization: op.InOrganization{Organization: by.Organization.String()}, Meter: m.ID, Amount: n.Amount, ID: n.ID, Source: "check"}
	for _, d := range m.Dimensions {
		switch d {
		case charter.ByMember:
			in.Member = by.Member.String()
		case charter.ByKey:
			in.Key = keyOf(by)
		case charter.ByResource:
			in.Resource = resourceOf(on)
		case charter.ByRegion:
			in.Region = by.Region
		}
	}
	counted, err := usage.Consume.Call(op.As(ctx, op.Caller{System: "checks"}), h.service, in)
	if told := op.AsError(err); err != nil && told.Kind == op.Limited {
		return nil, false, nil
	}
	return counted.Remaining, err == nil, err
}

// keyOf is the API key of an answer, if one asked.
func keyOf(by check.Who) string {
	if by.Kind == string(op.UserActor) {
		return ""
	}
	return by.Credential.String()
}

func resourceOf(on check.Resource) string {
	if on.Type == check.Organization {
		return ""
	}
	return on.Type + ":" + on.ID
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
