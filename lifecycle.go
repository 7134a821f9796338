package guildhall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// purgeSteps are the steps in which an organization ends for good, in their order. A room that keeps something of
// organizations stands here with a step of its own; what names members, keys or invitations before those of directory.
// Invoices stay, since books are kept for years, and so do the proofs of deleted files.
func purgeSteps() []directory.PurgeStep {
	return slices.Concat([]directory.PurgeStep{
		directory.PurgeRows("items of reviews", "review_items", "review"),
		directory.PurgeRows("reviews", "reviews", "id"),
		directory.PurgeRows("dismissals", "dismissals", "finding"),
		directory.PurgeRows("requests to join", "join_requests", "id"),
		directory.PurgeRows("sign-ins at identity providers", "federated_attempts", "id"),
		directory.PurgeRows("identities", "identities", "connection, issuer, subject"),
		directory.PurgeRows("set-up links", "setup_links", "id"),
		directory.PurgeRows("tests of identity providers", "connection_tests", "connection"),
		directory.PurgeRows("pilots", "connection_pilots", "connection, email_folded"),
		directory.PurgeRows("groups of pilots", "connection_pilot_groups", "connection, group_id"),
		directory.PurgeRows("roles of providers' groups", "connection_roles", "connection, place"),
		directory.PurgeRows("domains of identity providers", "connection_domains", "domain"),
		directory.PurgeRows("answers of identity providers", "saml_assertions", "connection, assertion"),
		directory.PurgeRows("sessions at identity providers", "connection_sessions", "session"),
		directory.PurgeRows("logouts of identity providers", "connection_logouts", "connection, message"),
		directory.PurgeRows("keys of SAML", "saml_keys", "connection"),
		directory.PurgeRows("settings of SAML", "saml_settings", "connection"),
		directory.PurgeRows("identity providers", "connections", "id"),
		directory.PurgeRows("domains", "domains", "id"),
		directory.PurgeRows("errors of directories", "directory_errors", "id"),
		directory.PurgeRows("members of groups", "directory_group_members", "group_id, directory_user"),
		directory.PurgeRows("roles of groups", "directory_mappings", "directory, group_id"),
		directory.PurgeRows("groups of directories", "directory_groups", "id"),
		directory.PurgeRows("people of directories", "directory_users", "id"),
		directory.PurgeRows("directories", "directories", "id"),
		directory.PurgeRows("request log", "requests", "at"),
		{Name: "files", Do: artifacts.End},
		{Name: "subscription at the payment provider", Do: billing.EndAtProvider},
		directory.PurgeRows("subscriptions", "subscriptions", "organization"),
		directory.PurgeRows("billing events", "billing_events", "id"),
		directory.PurgeRows("usage warnings", "usage_warnings", "about"),
		directory.PurgeRows("budgets", "usage_budgets", "id"),
		directory.PurgeRows("usage limits", "usage_limits", "subject"),
		directory.PurgeRows("reservations", "usage_reservations", "id"),
		directory.PurgeRows("usage items", "usage_items", "meter, start, item"),
		directory.PurgeRows("usage readings", "usage_readings", "meter, series"),
		directory.PurgeRows("usage counters", "usage_counters", "meter, start, subject"),
		directory.PurgeRows("usage summaries", "usage_buckets", "meter, grain, start, member, api_key, resource, region, model"),
		directory.PurgeRows("usage log", "usage_log", "id"),
		directory.PurgeRows("usage events", "usage_events", "source, id"),
	}, directory.PurgeSteps())
}

// batchesAtOnce bounds how much of one organization is ended before it is another one's turn.
const batchesAtOnce = 100

// purgeOrganizations goes on with every organization whose grace is over. What fails waits, and is noted in its ledger.
func (h *Hall) purgeOrganizations(ctx context.Context) error {
	var due []string
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = directory.DuePurges(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "deletions"})
	for _, organization := range due {
		if failed := h.purge(ctx, organization); failed != nil {
			err = errors.Join(err, fmt.Errorf("organization %s: %w", organization, failed))
		}
	}
	return err
}

// purge does pieces of one organization's end until it is gone, or one of them fails.
func (h *Hall) purge(ctx context.Context, organization string) error {
	purge, in := directory.PurgeOrganization(nil), directory.PurgeInput{InOrganization: op.InOrganization{Organization: organization}}
	for range batchesAtOnce {
		done, err := purge.Call(ctx, h.service, in)
		if err != nil && ctx.Err() == nil {
			in.Failed = failureOf(err)
			_, noted := purge.Call(ctx, h.service, in)
			return errors.Join(err, noted)
		}
		if err != nil || done.State == "gone" {
			return err
		}
	}
	return nil
}

// recoverOwners carries out every recovery of an owner whose wait is over.
func (h *Hall) recoverOwners(ctx context.Context) error {
	var due []string
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = directory.DueRecoveries(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "owner recoveries"})
	for _, organization := range due {
		in := directory.RecoveryInput{InOrganization: op.InOrganization{Organization: organization}}
		if _, failed := directory.CompleteRecovery.Call(ctx, h.service, in); failed != nil {
			err = errors.Join(err, fmt.Errorf("organization %s: %w", organization, failed))
		}
	}
	return err
}

// failureOf is an error as the ledger keeps it. What the caller of an operation is not told stands in the log.
func failureOf(err error) string {
	text := err.Error()
	return text[:min(len(text), 500)]
}
