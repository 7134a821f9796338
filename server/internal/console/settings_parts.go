package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// inOrg names the organization of the page to an operation.
func (v *visit) inOrg() op.InOrganization {
	return op.InOrganization{Organization: v.organization.Slug}
}

// settingsCrumb leads to the page above most settings pages.
func (v *visit) settingsCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Account & settings"), Href: v.org("/settings")}
}

func (v *visit) teamCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Team"), Href: v.org("/settings/team")}
}

// asking puts a query behind a path, from names and values; empty values are left out.
func asking(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return withQuery(path, cloned(query))
}

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// cloned is a query without some of its names, and without empty values.
func cloned(query url.Values, without ...string) url.Values {
	kept := url.Values{}
	for name := range query {
		if value := query.Get(name); value != "" {
			kept.Set(name, value)
		}
	}
	for _, name := range without {
		kept.Del(name)
	}
	return kept
}

// pageSize is how many rows a table shows.
const pageSize = 50

// pageOf is the page of a list that the address asks for.
func (v *visit) pageOf() op.Page { return op.Page{Limit: pageSize, Cursor: v.form.value("cursor")} }

// pagerOf leads to the pages before and after. Lists go on by key, so the address remembers the way here: trail holds
// the cursors of the pages before, the first page's being "-".
func pagerOf(path string, query url.Values, next string) ui.Pager {
	var trail []string
	if kept := query.Get("trail"); kept != "" {
		trail = strings.Split(kept, ".")
	}
	turn := func(to string, trail []string) string {
		turned := cloned(query, "cursor", "trail")
		if to != "-" {
			turned.Set("cursor", to)
		}
		if len(trail) > 0 {
			turned.Set("trail", strings.Join(trail, "."))
		}
		return withQuery(path, turned)
	}
	var p ui.Pager
	if last := len(trail) - 1; last >= 0 {
		p.PreviousHref = turn(trail[last], trail[:last])
		p.Text = ui.T("Page %s", strconv.Itoa(len(trail)+1))
	}
	if next != "" {
		cursor := query.Get("cursor")
		if cursor == "" {
			cursor = "-"
		}
		p.NextHref = turn(next, append(trail[:len(trail):len(trail)], cursor))
	}
	return p
}

// maybe shows a moment that there may not be.
func (v *visit) maybe(t *time.Time, otherwise string) component {
	if t == nil {
		return ui.Muted(otherwise)
	}
	return v.at(*t)
}

// zone is the organization's time zone; UTC where it cannot be read.
func (v *visit) zone() *time.Location {
	o, err := directory.GetOrganization.Call(v.ctx, v.Service, directory.GetOrganizationInput{InOrganization: v.inOrg()})
	if err != nil {
		return time.UTC
	}
	at, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return time.UTC
	}
	return at
}

// lastDay is the last day before an end, as a date field shows it; empty without an end.
func lastDay(end *time.Time, zone *time.Location) string {
	if end == nil {
		return ""
	}
	return end.Add(-time.Microsecond).In(zone).Format(time.DateOnly)
}

// endOf is the moment at which the day of a date field is over. What is no date stays as it is: the operation says what
// is wrong with it.
func endOf(day string, zone *time.Location) string {
	at, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return day
	}
	return at.AddDate(0, 0, 1).UTC().Format(time.RFC3339)
}

// roleTitle is what people call the viewer's role.
func (v *visit) roleTitle() string { return v.organization.RoleTitle }

// verb is a main verb of a page: refused with the reason where the viewer may not.
func (v *visit) verb(p charter.Permission, b ui.ButtonProps) ui.ButtonProps {
	if d := v.may(p); !d.Allow {
		b.Refused = refusalText(v, d)
		b.WhyHref = asking(v.org("/settings/access"), "can", string(p))
	}
	return b
}

func refusalText(v *visit, d decide.Decision) string {
	if d.Reason != decide.NoPermission {
		return ui.T("Not now: %s.", strings.ReplaceAll(string(d.Reason), "_", " "))
	}
	return ui.T("Your role, %s, does not include: %s.", v.roleTitle(), permissionOf(v.Service.Charter(), d.Needs).Text)
}

// permissions are permissions as people read them.
func (v *visit) permissions(ids []charter.Permission) []ui.Permission {
	named := make([]ui.Permission, len(ids))
	for i, id := range ids {
		named[i] = permissionOf(v.Service.Charter(), id)
	}
	return named
}

// diff shows what an impact gives and takes.
func (v *visit) diff(i op.Impact) ui.DiffProps {
	return ui.DiffProps{Added: v.permissions(i.Gains), Removed: v.permissions(i.Loses)}
}

// affectedBy lists the effects of an impact.
func affectedBy(i op.Impact) []ui.Fact {
	facts := make([]ui.Fact, len(i.Effects))
	for n, e := range i.Effects {
		facts[n] = ui.Fact{Name: effectName(e), Value: ui.Text(e.Text)}
	}
	return facts
}

// effectName says what is affected: its kind, and its name where it has one.
func effectName(e op.Effect) string {
	kind, ok := map[string]string{"session": ui.T("Sessions"), "invitation": ui.T("Invitation"), "transfer": ui.T("Hand-over of ownership"),
		"member": ui.T("Member"), "key": ui.T("Key"), "token": ui.T("Scoped token"), "service_account": ui.T("Service account"), "artifacts": ui.T("Files"), "region": ui.T("Region")}[e.Type]
	switch {
	case !ok:
		return e.Type
	case e.Name == "":
		return kind
	}
	if e.Type == "invitation" || e.Type == "transfer" {
		return ui.T("%s of %s", kind, e.Name)
	}
	return ui.T("%s %s", kind, e.Name)
}

// dryRun asks an operation what it would do.
func (v *visit) dryRun(o op.Any, in any) (op.Impact, error) {
	answer, err := v.Service.Invoke(v.ctx, o, op.Request{Caller: v.caller, Input: in, DryRun: true})
	if err != nil {
		return op.Impact{}, err
	}
	impact, _ := answer.Output.(op.Impact)
	return impact, nil
}

// confirmation is a question before a change: a page of its own, or a dialog over the page that it was asked from.
type confirmation struct {
	visit     *visit
	id, title string
	text      []string  // what will happen, a paragraph each
	affected  []ui.Fact // what is touched, by name
	lost      []ui.Permission
	// impossible says why it cannot happen: there is no button then, but what helps instead.
	impossible string
	helps      []ui.ButtonProps
	fields     component // further fields; nil is none
	action     string    // where the form posts; empty: here
	version    string    // the ETag that it was made from; empty: none
	cancel     string
	submit     ui.ButtonProps
	ways       ui.Ways
	says       []string // fields that the ways to the same say
	wide       bool
}

// nameTyped is the field in which a name is typed, as the last question of what cannot be undone.
func (v *visit) nameTyped(name string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: confirmField, Label: ui.T("Type %s to confirm", name), Error: v.form.error(confirmField)},
		Autocomplete: "off", Required: true}
}

// typed reports whether the name was typed, and says so in the form where it was not.
func (v *visit) typed(name string) bool {
	if v.form.value(confirmField) == name {
		return true
	}
	v.form.say(confirmField, ui.T("type %s to confirm", name))
	return false
}

// ask shows a confirmation.
func (v *visit) ask(c confirmation) error {
	c.visit = v
	d := ui.DialogProps{ID: c.id, Title: c.title, Wide: c.wide, CancelHref: c.cancel}
	if c.impossible == "" {
		if c.action == "" {
			c.action = v.r.URL.Path
		}
		d.Form, d.Submit = &ui.FormProps{Action: c.action, Hidden: v.hidden(c.version)}, []ui.ButtonProps{c.submit}
	}
	return v.box(d, c.ways, c.question())
}

// box shows a dialog over the page that it was asked from, else as a page with its other ways.
func (v *visit) box(d ui.DialogProps, ways ui.Ways, content component) error {
	if ui.Fragment(v.r) {
		return v.dialog(d, content)
	}
	d.Page = true
	return v.page(ui.PageProps{Title: d.Title, OwnHeading: true, Ways: ways}, within(ui.Dialog(d), content))
}

// impossible keeps an error that says why something cannot be done at all, to be shown instead of the form; every other
// error is v.fail's.
func impossible(err error) (string, error) {
	if e := op.AsError(err); e.Kind == op.Conflict || e.Kind == op.Gone {
		return sentence(e.Text), nil
	}
	return "", err
}

// again reports whether a form that was refused is to be shown again; otherwise the error stands.
func (v *visit) again(err error) bool { return err != nil && v.form.refuse(err) }
