package console

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/usage"
)

func usagePages() []page {
	return []page{
		{"GET /o/{slug}/settings/usage", member, showUsage},
		{"GET /o/{slug}/settings/usage/export", member, exportUsage},
		{"GET /o/{slug}/settings/usage/events", member, exportUsageEvents},
		{"GET /o/{slug}/settings/usage/{meter}", member, showMeter},
	}
}

const readsUsage charter.Permission = "usage.view"

// counts reports whether the charter counts anything.
func (v *visit) counts() bool { return len(v.Service.Charter().Meters) > 0 }

func (v *visit) usageHref(path string) string { return v.org("/settings/usage" + path) }

func (v *visit) usageCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Usage"), Href: v.usageHref("")}
}

// usagePage is what an organization uses: figures of a period, and a chart of any range.
type usagePage struct {
	visit *visit
	usageFigures
	view  usageView
	chart usageChart
}

func showUsage(v *visit) error {
	if !v.counts() {
		return v.page(ui.PageProps{Title: ui.T("Usage"), Crumb: v.settingsCrumb()},
			ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("This product counts nothing yet: its charter has no meters.")}))
	}
	p, err := v.usagePage(v.form.value("meter"))
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Usage"), Lede: ui.T("What %s uses, of how much, and where the period will end.", v.organization.Name), Crumb: v.settingsCrumb(),
		Actions: p.alerts(), Ways: p.view.ways()}, p.show())
}

// usagePage reads what the address asks for. A range that cannot be understood comes back with what is wrong.
func (v *visit) usagePage(meter string) (p usagePage, err error) {
	p = usagePage{visit: v}
	if p.usageFigures, err = v.usageFigures(v.ctx, v.usagePeriod()); err != nil {
		return p, err
	}
	p.view = v.usageView(meter, p.Summary)
	p.chart, err = v.usageChart(p.view)
	if v.again(err) {
		return p, nil
	}
	return p, err
}

// usageFigures are what there is of each meter in a period, and what is left of it.
type usageFigures struct {
	visit *visit
	usage.Summary
	quotas []usage.Quota
}

func (v *visit) usageFigures(ctx context.Context, at time.Time) (f usageFigures, err error) {
	f.visit = v
	if f.Summary, err = usage.GetSummary.Call(ctx, v.Service, usage.GetSummaryInput{InOrganization: v.inOrg(), At: at}); err != nil {
		return f, err
	}
	quotas, err := usage.GetQuotas.Call(ctx, v.Service, usage.GetQuotasInput{InOrganization: v.inOrg()})
	f.quotas = quotas.Quotas
	return f, err
}

// current reports whether the period is the one that goes on.
func (f usageFigures) current() bool { return !f.visit.now.Before(f.From) && f.visit.now.Before(f.To) }

// periodText says from when until when it is.
func (f usageFigures) periodText() string {
	if f.current() {
		return ui.T("This period: %s to %s", onDay(f.From), onDay(f.To))
	}
	return ui.T("The period %s to %s", onDay(f.From), onDay(f.To))
}

// nothing reports whether nothing was used in the period, and in the one before.
func (f usageFigures) nothing() bool {
	for _, m := range f.Meters {
		if m.Quantity != 0 || m.Before != 0 || m.Now != nil && *m.Now != 0 {
			return false
		}
	}
	return true
}

// tile is the figure of one meter.
func (f usageFigures) tile(n int) ui.StatProps {
	m := f.Meters[n]
	used := m.Quantity
	if m.Now != nil {
		used = *m.Now
	}
	t := ui.StatProps{ID: "use-" + m.Meter, Title: m.Title, Href: f.visit.usageHref("/" + m.Meter), Value: amount(used, m.Unit), Exact: exactly(used, m.Unit),
		Lines: f.lines(m, f.quotas[n])}
	if m.Group != m.Title {
		t.Title = ui.T("%s: %s", m.Group, m.Title)
	}
	if of := usageEnd(m); of > 0 {
		percent := percentOf(used, of)
		t.Bar = &ui.BarProps{Percent: percent}
		t.Badge, t.Bar.Tone = usageBadge(m, used, percent)
		for _, mark := range []int64{m.Included, cmp.Or(pointed(m.Soft), 0)} {
			if mark > 0 && mark < of {
				t.Bar.Marks = append(t.Bar.Marks, percentOf(mark, of))
			}
		}
	}
	return t
}

// usageEnd is what a meter's bar ends with: its limit, else what is included; 0: neither.
func usageEnd(m usage.MeterSummary) int64 {
	if m.Limit != nil {
		return *m.Limit
	}
	return m.Included
}

func pointed(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// percentOf is how much of something there is, rounded down.
func percentOf(n, of int64) int64 { return int64(float64(n) / float64(of) * 100) }

func usageBadge(m usage.MeterSummary, used, percent int64) (*ui.BadgeProps, ui.Tone) {
	switch {
	case m.Limit != nil && used > *m.Limit:
		return &ui.BadgeProps{Text: ui.T("Over the limit"), Tone: ui.Bad}, ui.Bad
	case m.Limit != nil && percent >= 100:
		return &ui.BadgeProps{Text: ui.T("Limit reached"), Tone: ui.Bad}, ui.Bad
	case m.Soft != nil && used >= *m.Soft:
		return &ui.BadgeProps{Text: ui.T("Past the warning"), Tone: ui.Warn}, ui.Warn
	case m.Limit == nil && percent >= 100:
		return &ui.BadgeProps{Text: ui.T("More than included"), Tone: ui.Info}, ui.Neutral
	case percent >= 80:
		return &ui.BadgeProps{Text: ui.T("%d %% used", percent), Tone: ui.Warn}, ui.Warn
	}
	return nil, ui.Neutral
}

// lines are what stands below a figure.
func (f usageFigures) lines(m usage.MeterSummary, q usage.Quota) (lines []ui.StatLine) {
	say := func(id, text string) { lines = append(lines, ui.StatLine{ID: id, Text: text}) }
	if text := grantText(m); text != "" {
		say("limit", text)
	}
	if f.current() && q.Remaining != nil {
		say("left", leftText(q))
	}
	if m.Now != nil {
		say("mean", ui.T("Mean of the days: %s", amount(m.Quantity, m.Unit)))
	}
	if m.Projected != nil {
		say("projected", ui.T("Expected at the end: %s", rangeText(*m.Projected, func(n int64) string { return amount(n, m.Unit) })))
	}
	say("before", ui.T("The period before: %s", amount(m.Before, m.Unit)))
	if m.Cost != nil && *m.Cost > 0 {
		say("cost", ui.T("Cost so far: %s", f.money(*m.Cost)))
	}
	return lines
}

// grantText says what a plan gives of a meter.
func grantText(m usage.MeterSummary) string {
	text := ""
	switch {
	case m.Limit != nil && m.Included == *m.Limit:
		text = ui.T("of %s, all included", amount(*m.Limit, m.Unit))
	case m.Limit != nil && m.Included == 0:
		text = ui.T("of %s at most", amount(*m.Limit, m.Unit))
	case m.Limit != nil:
		text = ui.T("%s included, %s at most", amount(m.Included, m.Unit), amount(*m.Limit, m.Unit))
	case m.Included > 0:
		text = ui.T("%s included", amount(m.Included, m.Unit))
	}
	if m.Soft != nil && text != "" {
		text += ui.T("; warned from %s", amount(*m.Soft, m.Unit))
	}
	return text
}

func leftText(q usage.Quota) string {
	if q.Reserved > 0 {
		return ui.T("Left: %s; held for work that has begun: %s", amount(*q.Remaining, q.Unit), ui.Number(q.Reserved))
	}
	return ui.T("Left: %s", amount(*q.Remaining, q.Unit))
}

// rangeText writes a forecast: in eight of ten cases it is between two figures.
func rangeText(r usage.Range, write func(int64) string) string {
	if r.Low == r.High {
		return write(r.Expected)
	}
	return ui.T("%s (%s to %s)", write(r.Expected), write(r.Low), write(r.High))
}

func (f usageFigures) money(minor int64) string { return billing.Money(minor, f.Currency) }

// costTable is what each meter costs that has a price. There is none for those who may not see money.
func (f usageFigures) costTable() ui.TableProps {
	t := ui.TableProps{ID: "costs", Caption: ui.T("Cost by meter"), Columns: []ui.Column{{Title: ui.T("Meter")}, {Title: ui.T("Used"), Number: true},
		{Title: ui.T("Included"), Number: true}, {Title: ui.T("Charged"), Number: true}, {Title: ui.T("Cost"), Number: true}, {Title: ui.T("Expected"), Number: true}}}
	row := func(cells ...string) {
		r := ui.Row{}
		for _, text := range cells {
			r.Cells = append(r.Cells, ui.Text(text))
		}
		t.Rows = append(t.Rows, r)
	}
	for _, m := range f.Meters {
		if known, _ := f.visit.Service.Charter().Meter(m.Meter); m.Cost != nil && !known.Price.Free() {
			row(m.Title, amount(m.Quantity, m.Unit), amount(m.Included, m.Unit), amount(max(0, m.Quantity-m.Included), m.Unit), f.money(*m.Cost), f.expected(m.Projects))
		}
	}
	return t
}

// costText is what all meters cost together, and will.
func (f usageFigures) costText() string {
	if f.Projects == nil {
		return ui.T("%s: %s together.", f.periodText(), f.money(pointed(f.Cost)))
	}
	return ui.T("%s: %s together so far. Expected at the end: %s, if use goes on as in the last days; in eight of ten cases it is within the range.", f.periodText(),
		f.money(pointed(f.Cost)), f.expected(f.Projects))
}

func (f usageFigures) expected(r *usage.Range) string {
	if r == nil {
		return ""
	}
	return rangeText(*r, f.money)
}

// costTile is the money of all meters.
func (f usageFigures) costTile() ui.StatProps {
	t := ui.StatProps{ID: "use-cost", Title: ui.T("Cost to date"), Value: f.money(pointed(f.Cost))}
	if f.Projects != nil {
		t.Lines = append(t.Lines, ui.StatLine{ID: "projected", Text: ui.T("Expected at the end: %s", f.expected(f.Projects))})
	}
	t.Lines = append(t.Lines, ui.StatLine{ID: "about", Text: ui.T("Beyond what the plan %s includes.", f.visit.planValue(f.Plan))})
	return t
}

// tiles are all figures; money comes last, for those who may see it.
func (f usageFigures) tiles() (all []ui.StatProps) {
	for n := range f.Meters {
		all = append(all, f.tile(n))
	}
	if f.Cost != nil {
		all = append(all, f.costTile())
	}
	return all
}

// amount writes a figure with its unit; bytes in the greatest unit that it has one of.
func amount(n int64, unit string) string {
	if unit == "bytes" {
		return inBytes(n)
	}
	return ui.T("%s %s", ui.Number(n), unit)
}

// exactly is a figure that amount rounds, whole; empty where it does not.
func exactly(n int64, unit string) string {
	if unit != "bytes" || n < 1000 {
		return ""
	}
	return ui.T("%s %s", ui.Number(n), unit)
}

func inBytes(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB", "EB"}
	x, u := float64(n), 0
	for ; x >= 1000 && u < len(units)-1; u++ {
		x /= 1000
	}
	places := 0
	if u > 0 && x < 100 {
		places = 1
	}
	return ui.T("%s %s", strconv.FormatFloat(x, 'f', places, 64), units[u])
}

// alerts leads to where use ends.
func (p usagePage) alerts() component {
	return ui.Button(ui.ButtonProps{Text: ui.T("Limits and budgets"), Icon: "bell", Href: p.visit.alertsHref("")})
}

// none is shown while nothing was used, with lines that change that.
func (p usagePage) none() component {
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing was used yet. The product's back end records events; this is the first one, with its service key in GUILDHALL_TOKEN:"),
		Docs: ui.LinkProps{Text: ui.T("How usage is recorded"), Href: p.visit.href("/docs/usage")}})
}

// firstEvent records one, by command line and by HTTP.
func (p usagePage) firstEvent() ui.CodeBoxProps {
	meter := p.view.meter.ID
	return ui.CodeBoxProps{ID: "first-event", Samples: []ui.Sample{
		{Title: "guildhall", Code: "guildhall usage record " + quoted(meter) + " 120 --org " + quoted(p.visit.organization.Slug)},
		{Title: "curl", Code: "curl -sS " + p.visit.BaseURL + "/v1/organizations/" + p.visit.organization.Slug + "/usage/events \\\n" +
			"  -H \"Authorization: Bearer $GUILDHALL_TOKEN\" -H 'Content-Type: application/json' \\\n" +
			"  -d '{\"meter\": \"" + meter + "\", \"value\": 120}'"}}}
}

func exportUsage(v *visit) error {
	view, err := v.usageViewAlone()
	if err != nil {
		return err
	}
	return v.download(usage.ExportQuery, view.query(view.meter.ID))
}

func exportUsageEvents(v *visit) error {
	view, err := v.usageViewAlone()
	if err != nil {
		return err
	}
	return v.download(usage.ExportEvents, usage.ExportInput{InOrganization: v.inOrg(), Meter: view.meter.ID, From: view.from, To: view.end(), Filter: view.filter})
}

// usageViewAlone is what the address asks for, without the page around it.
func (v *visit) usageViewAlone() (usageView, error) {
	if !v.counts() {
		return usageView{}, op.ErrNotFound
	}
	f, err := v.usageFigures(v.ctx, v.usagePeriod())
	if err != nil {
		return usageView{}, err
	}
	return v.usageView(v.form.value("meter"), f.Summary), nil
}
