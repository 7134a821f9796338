package directory

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// RetentionEffect says what another retention would do to what is stored. It is one of the op.Parts of a service; without
// it a dry run says nothing of files.
type RetentionEffect func(ctx context.Context, r *op.Reader, organization string, days int64) (op.Effect, error)

// checkData wants where and how long data is kept to be what the product has and the plan allows: the default region is
// one of the allowed ones, several regions and retention beyond the default are features.
func checkData(r *op.Reader, was Organization, in UpdateOrganizationInput) error {
	for field, regions := range map[string][]string{"region": sliceOf(in.Region), "allowed_regions": sliceOfAll(in.AllowedRegions)} {
		for _, region := range regions {
			if !slices.Contains(r.Charter.Regions, region) {
				return op.InvalidField(field, "unknown", "%q is not a region of this product: %s", region, strings.Join(r.Charter.Regions, ", "))
			}
		}
	}
	if days := in.RetentionDays; days != nil && *days != was.RetentionDays && (*days == 0 || *days > DefaultRetentionDays) {
		if err := r.DemandFeature("security_controls"); err != nil {
			return err
		}
	}
	return checkRegions(r, was, in)
}

func checkRegions(r *op.Reader, was Organization, in UpdateOrganizationInput) error {
	home, allowed := was.Region, was.AllowedRegions
	if in.Region != nil {
		home = *in.Region
	}
	if in.AllowedRegions != nil {
		allowed = unique(*in.AllowedRegions)
	}
	beside := slices.DeleteFunc(slices.Clone(allowed), func(region string) bool { return region == home })
	if in.AllowedRegions != nil && len(beside) > 0 {
		if err := r.DemandFeature("regions"); err != nil {
			return err
		}
	}
	if in.AllowedRegions != nil && len(allowed) > 0 && !slices.Contains(allowed, home) {
		return op.InvalidField("allowed_regions", "invalid", "allowed_regions has to have the default region %s in it", home)
	}
	return nil
}

// noteData takes the new regions. The default one is always among them, so that only the others are kept.
func noteData(tx *op.Tx, o *Organization, in UpdateOrganizationInput) {
	before := strings.Join(o.AllowedRegions, " ")
	o.allowed = strings.Join(slices.DeleteFunc(slices.Clone(o.AllowedRegions), func(region string) bool { return region == o.Region }), " ")
	if in.AllowedRegions != nil {
		o.allowed = strings.Join(slices.DeleteFunc(unique(*in.AllowedRegions), func(region string) bool { return region == o.Region }), " ")
	}
	o.AllowedRegions = tx.Charter.Residency(o.Plan, o.Region, o.allowed)
	if after := strings.Join(o.AllowedRegions, " "); after != before {
		tx.Changed("allowed_regions", before, after)
	}
}

func sliceOf(one *string) []string {
	if one == nil {
		return nil
	}
	return []string{*one}
}

func sliceOfAll(many *[]string) []string {
	if many == nil {
		return nil
	}
	return *many
}

func unique(list []string) []string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// previewSettings says what other settings would do to what is stored.
func previewSettings(ctx context.Context, r *op.Reader, in UpdateOrganizationInput) (op.Impact, error) {
	was, err := organizationByID(ctx, r, r.Organization())
	if err != nil {
		return op.Impact{}, err
	}
	if err := checkData(r, was, in); err != nil {
		return op.Impact{}, err
	}
	impact := op.Impact{Summary: "nothing that is stored would change", Effects: []op.Effect{}}
	if in.RetentionDays != nil && *in.RetentionDays != was.RetentionDays {
		if effect := op.Part[RetentionEffect](r.Parts); effect != nil {
			e, err := effect(ctx, r, was.ID, *in.RetentionDays)
			if err != nil {
				return impact, err
			}
			impact.Summary = e.Text
			impact.Effects = append(impact.Effects, e)
		}
	}
	regionEffects(was, in, &impact)
	return impact, nil
}

// regionEffects says what a change of regions would do: nothing is moved.
func regionEffects(was Organization, in UpdateOrganizationInput, impact *op.Impact) {
	if in.Region != nil && *in.Region != was.Region {
		impact.Effects = append(impact.Effects, op.Effect{Type: "region", Name: *in.Region, Action: "changes",
			Text: fmt.Sprintf("new work runs in %s; what is stored in %s stays there", *in.Region, was.Region)})
	}
	for _, region := range was.AllowedRegions {
		if in.AllowedRegions != nil && region != was.Region && !slices.Contains(*in.AllowedRegions, region) {
			impact.Effects = append(impact.Effects, op.Effect{Type: "region", Name: region, Action: "ends",
				Text: "nothing new is stored there; what is there stays, until it is deleted"})
		}
	}
	if impact.Summary == "nothing that is stored would change" && len(impact.Effects) > 0 {
		impact.Summary = impact.Effects[0].Text
	}
}

// same reports whether nothing that is kept differs.
func (o Organization) same(other Organization) bool {
	o.AllowedRegions, other.AllowedRegions = nil, nil
	return reflect.DeepEqual(o, other)
}
