package console

import (
	"slices"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// Where data is and how long it is kept is changed in two steps: what would happen is shown with numbers first.

// regionsField is the field of the regions that are allowed. An empty value of it says that the form has it.
const regionsField = "allowed_regions"

// chosenRegions are the regions that a form allows, its default one among them; nil: the form does not say.
func (v *visit) chosenRegions(home *string) *[]string {
	if !v.form.values.Has(regionsField) {
		return nil
	}
	all := slices.DeleteFunc(slices.Clone(v.form.values[regionsField]), func(region string) bool { return region == "" })
	if home != nil && len(all) > 0 && !slices.Contains(all, *home) {
		all = append(all, *home)
	}
	return &all
}

// askGeneral shows what new settings would do, before it is done.
func (v *visit) askGeneral(impact op.Impact) error {
	hidden := []ui.Hidden{{Name: stepField, Value: "save"}}
	kept := cloned(v.form.values, keyField, versionField, stepField)
	for name := range kept {
		for _, value := range v.form.values[name] {
			hidden = append(hidden, ui.Hidden{Name: name, Value: value})
		}
	}
	slices.SortFunc(hidden, func(a, b ui.Hidden) int { return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value) })
	return v.ask(confirmation{id: "change-settings", title: ui.T("Change where and how long data is kept"), cancel: v.form.backTo(v.r), version: v.form.value(versionField),
		text: []string{ui.T("Nothing is changed until you save.")}, affected: affectedBy(impact), fields: ui.HiddenFields(hidden),
		submit: ui.ButtonProps{Text: ui.T("Save these settings"), Kind: ui.Danger}, ways: v.same(directory.UpdateOrganization, "retention_days", v.form.value("retention_days"))})
}

// ofPlan marks the field that the plan does not allow; false: the error is another one.
func (v *visit) ofPlan(err error) bool {
	e := op.AsError(err)
	if err == nil || e.Kind != op.PlanRequired {
		return false
	}
	field := "retention_days"
	if e.Refers["feature"] == "regions" {
		field = regionsField
	}
	v.form.say(field, e.Text)
	v.form.status = e.Kind.Status()
	return true
}

// regionBoxes are the regions to allow. Without the feature there is the default one alone, and the others say which
// plan has them.
func (p generalPage) regionBoxes() (boxes []ui.CheckboxProps) {
	lock, locked := p.visit.locked("regions")
	allowed := p.organization.AllowedRegions
	if chosen := p.visit.chosenRegions(nil); chosen != nil {
		allowed = *chosen
	}
	for n, region := range p.visit.Service.Charter().Regions {
		box := ui.CheckboxProps{FieldProps: ui.FieldProps{Name: regionsField, ID: "f-allowed-regions-" + region, Label: region}, Value: region, Checked: slices.Contains(allowed, region)}
		if locked {
			box.Refused = ui.T("With the plan %s", lock.plan)
		}
		if region == p.organization.Region {
			box.Refused, box.Checked = ui.T("The default region is always allowed."), true
		}
		if n == 0 {
			box.Error = p.visit.form.error(regionsField)
		}
		boxes = append(boxes, box)
	}
	return boxes
}

// retentionHint says what can be set, and which plan has more.
func (p generalPage) retentionHint() string {
	hint := ui.T("Artifacts are deleted after so many days. 0 keeps them for ever.")
	if lock, locked := p.visit.locked("security_controls"); locked {
		hint += " " + ui.T("More than %d days, and for ever, come with the plan %s.", directory.DefaultRetentionDays, lock.plan)
	}
	return hint
}

// dataLocks are the features of these settings that the plan lacks.
func (p generalPage) dataLocks() []lock {
	features := []string{"security_controls"}
	if len(p.visit.Service.Charter().Regions) > 1 {
		features = append(features, "regions")
	}
	return p.visit.locks(features...)
}
