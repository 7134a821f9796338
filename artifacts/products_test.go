package artifacts_test

import (
	"context"
	"slices"
	"testing"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// What is due of a product's own files is due until the product says that it is done, and again the next day.
func TestWhatIsDueIsDueUntilItIsAcknowledged(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		key, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "worker"})
		h.Must(err)
		product := h.As(key.Secret)
		dues := func() map[string]artifacts.Due {
			list, err := artifacts.ListDue.Call(product, h.Service, artifacts.ListDueInput{})
			h.Must(err)
			all := map[string]artifacts.Due{}
			for _, d := range list.Data {
				all[d.Organization] = d
			}
			return all
		}
		acknowledges := func(ctx context.Context, due string) error {
			_, err := artifacts.Acknowledge.Call(ctx, h.Service, artifacts.AcknowledgeInput{Due: due, Files: 3, Bytes: 1000})
			return err
		}
		h.Exec("UPDATE organizations SET retention_days = 0 WHERE id = $1", h.globex)
		a := h.stored("a", "hello")
		hold, err := artifacts.CreateHold.Call(h.As(h.ada.Token), h.Service, artifacts.CreateHoldInput{InOrganization: h.in(), Reason: "x", Artifacts: []string{a.ID}})
		h.Must(err)
		first := dues()
		due := first[h.acme]
		if len(first) != 1 || due.Before.Format("2006-01-02") != "2026-10-03" || len(due.Holds) != 1 || due.Holds[0].ID != hold.ID || !slices.Equal(due.Holds[0].Artifacts, []string{a.ID}) {
			t.Fatalf("due: %+v", first)
		}
		refused(t, acknowledges(h.As(h.ada.Token), due.ID), "service_only")
		refused(t, acknowledges(product, "due_01k9v5x0w3m8q6t2c4h7n0r5sz_20261002"), "not_found")
		refused(t, acknowledges(product, due.ID[:len(due.ID)-8]+"20261004"), "not_due")
		if len(dues()) != 1 {
			t.Error("it is not due any more, and nobody acknowledged it")
		}
		h.Must(acknowledges(product, due.ID))
		refused(t, acknowledges(product, due.ID), "acknowledged")
		if len(dues()) != 0 {
			t.Error("it is due again on the same day")
		}
		h.After(day)
		if next := dues()[h.acme]; !next.Before.Equal(due.Before.Add(day)) {
			t.Errorf("the next day: %+v", next)
		}
		list, err := artifacts.ListAcknowledged.Call(h.As(h.ada.Token), h.Service, artifacts.ListAcknowledgedInput{InOrganization: h.in()})
		h.Must(err)
		if len(list.Data) != 1 || list.Data[0].Files != 3 {
			t.Errorf("acknowledged: %+v", list.Data)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'retention.acknowledge'", h.acme); n != 1 {
			t.Errorf("%d rows in the organization's log", n)
		}
	})
}

// Several regions and long retention come with the plan; where data may be is where it is put.
func TestRegionsAndRetentionFollowThePlan(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		owner := h.As(h.ada.Token)
		changes := func(in directory.UpdateOrganizationInput) (directory.Organization, error) {
			in.InOrganization = h.in()
			return directory.UpdateOrganization.Call(owner, h.Service, in)
		}
		both := []string{"us-east-1", "eu-west-1"}
		_, err := changes(directory.UpdateOrganizationInput{AllowedRegions: &both})
		refused(t, err, "plan_required")
		for _, days := range []int64{0, 31} {
			_, err = changes(directory.UpdateOrganizationInput{RetentionDays: &days})
			refused(t, err, "plan_required")
		}
		alone := []string{"us-east-1"}
		o, err := changes(directory.UpdateOrganizationInput{AllowedRegions: &alone})
		h.Must(err)
		if !slices.Equal(o.AllowedRegions, alone) {
			t.Errorf("allowed %v", o.AllowedRegions)
		}

		h.Exec("UPDATE organizations SET plan = 'business' WHERE id = $1", h.acme)
		_, err = changes(directory.UpdateOrganizationInput{AllowedRegions: &[]string{"eu-west-1"}})
		refused(t, err, "invalid")
		_, err = changes(directory.UpdateOrganizationInput{AllowedRegions: &[]string{"us-east-1", "mars-1"}})
		refused(t, err, "invalid")
		o, err = changes(directory.UpdateOrganizationInput{AllowedRegions: &both, RetentionDays: new(int64(90))})
		h.Must(err)
		if !slices.Equal(o.AllowedRegions, both) || o.RetentionDays != 90 {
			t.Errorf("%+v", o)
		}
		if fenced := h.Fenced(); !slices.Contains(fenced, op.Fence{Kind: op.FenceOrganization, ID: h.acme}) {
			t.Errorf("fenced %v", fenced)
		}
		a, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "eu.txt", Region: "eu-west-1"}, "hello")
		h.Must(err)
		if a.Region != "eu-west-1" {
			t.Errorf("stored in %s", a.Region)
		}
		_, err = h.puts(h.ada.Token, artifacts.PutInput{Name: "us.txt", Region: "us-west-2"}, "hello")
		refused(t, err, "region_not_allowed")

		h.Exec("UPDATE organizations SET plan = 'free' WHERE id = $1", h.acme)
		_, err = h.puts(h.ada.Token, artifacts.PutInput{Name: "eu.txt", Region: "eu-west-1"}, "hello")
		refused(t, err, "region_not_allowed")
		if text, err := h.reads(h.ada.Token, a.ID); err != nil || text != "hello" {
			t.Errorf("what is there is read: %q, %v", text, err)
		}
	})
}

// A dry run of the settings says what is deleted, and deletes nothing.
func TestADryRunOfRetentionSaysNumbers(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		h.stored("a", "hello")
		h.After(10 * day)
		dry := func(in directory.UpdateOrganizationInput) op.Impact {
			in.InOrganization = h.in()
			answer, err := h.Service.Invoke(t.Context(), directory.UpdateOrganization, op.Request{Caller: op.CallerOf(h.As(h.ada.Token)), Input: in, DryRun: true})
			h.Must(err)
			return answer.Output.(op.Impact)
		}
		if got := dry(directory.UpdateOrganizationInput{RetentionDays: new(int64(7))}); got.Summary != "would delete 1 file, 5 bytes, at once" {
			t.Errorf("%+v", got)
		}
		if got := dry(directory.UpdateOrganizationInput{Region: new("eu-west-1")}); len(got.Effects) != 1 || got.Effects[0].Text != "new work runs in eu-west-1; what is stored in us-east-1 stays there" {
			t.Errorf("%+v", got)
		}
		h.Must(h.sweeps())
		if len(h.blobs()) != 1 {
			t.Error("the dry run deleted it")
		}
	})
}
