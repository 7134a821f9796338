package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/query"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/usage"
)

// usageView is what the address asks a chart to show.
type usageView struct {
	visit       *visit
	span        string // a name of spans; empty: from and until
	from, until time.Time
	granularity string
	meter       charter.Meter
	by          string // a dimension, or byMeter
	filter      usage.Filter
	wrong       bool // the range could not be understood
}

// byMeter puts the meters that belong together beside each other.
const byMeter = "meter"

// spans are the ranges that are one press away.
func spans() [][2]string {
	return [][2]string{{"1h", ui.T("Last hour")}, {"24h", ui.T("24 hours")}, {"7d", ui.T("7 days")}, {"30d", ui.T("30 days")}, {"90d", ui.T("90 days")},
		{"12m", ui.T("12 months")}, {"period", ui.T("This period")}, {"before", ui.T("Period before")}}
}

// usagePeriod is a moment in the period whose figures are shown; the zero time is now.
func (v *visit) usagePeriod() time.Time {
	if v.form.value("range") != "before" {
		return time.Time{}
	}
	s, err := usage.GetSummary.Call(v.ctx, v.Service, usage.GetSummaryInput{InOrganization: v.inOrg()})
	if err != nil {
		return time.Time{} // the page asks again, and says what is wrong
	}
	return s.From.Add(-time.Microsecond)
}

func (v *visit) usageView(meter string, s usage.Summary) usageView {
	view := usageView{visit: v, span: cmp.Or(v.form.value("range"), "30d"), meter: v.Service.Charter().Meters[0]}
	if m, ok := v.Service.Charter().Meter(meter); ok {
		view.meter = m
	}
	view.by = view.grouping(v.form.value("by"))
	for _, d := range view.meter.Dimensions {
		*filterField(&view.filter, d) = v.form.value(string(d))
	}
	view.within(s)
	return view
}

// grouping is what a chart is broken down by: what is wished, else the first that the meter has.
func (u usageView) grouping(wished string) string {
	if wished == byMeter || u.meter.By(charter.Dimension(wished)) {
		return wished
	}
	for _, d := range []charter.Dimension{charter.ByMember, charter.ByKey, charter.ByResource, charter.ByRegion, charter.ByModel} {
		if u.meter.By(d) {
			return string(d)
		}
	}
	return byMeter
}

// filterField is the field of a filter for a dimension.
func filterField(f *usage.Filter, d charter.Dimension) *string {
	switch d {
	case charter.ByMember:
		return &f.Member
	case charter.ByKey:
		return &f.Key
	case charter.ByResource:
		return &f.Resource
	case charter.ByRegion:
		return &f.Region
	}
	return &f.Model
}

// within sets the range.
func (u *usageView) within(s usage.Summary) {
	now := u.visit.now
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	u.until = now
	if u.visit.form.value("from") != "" || u.visit.form.value("until") != "" {
		u.betweenDays(s)
	} else {
		switch u.span {
		case "1h":
			u.from = now.Add(-time.Hour)
		case "24h":
			u.from = now.Add(-24 * time.Hour)
		case "7d":
			u.from = today.AddDate(0, 0, -6)
		case "30d":
			u.from = today.AddDate(0, 0, -29)
		case "90d":
			u.from = today.AddDate(0, 0, -89)
		case "12m":
			u.from = time.Date(now.Year(), now.Month()-11, 1, 0, 0, 0, 0, time.UTC)
		default:
			u.from = s.From
			if s.To.Before(now) {
				u.until = s.To
			}
		}
	}
	if u.granularity = granularityOf(u.until.Sub(u.from)); u.span == "period" || u.span == "before" {
		u.granularity = "day"
	}
}

// end is where the range ends for events; the zero time where it is now.
func (u usageView) end() time.Time {
	if u.until.Equal(u.visit.now) {
		return time.Time{}
	}
	return u.until
}

// betweenDays sets the range to days that people say, both of them within it.
func (u *usageView) betweenDays(s usage.Summary) {
	u.span, u.from = "", s.From
	for _, end := range []struct {
		name string
		set  func(at time.Time, lasts time.Duration)
	}{{"from", func(at time.Time, _ time.Duration) { u.from = at }}, {"until", func(at time.Time, lasts time.Duration) { u.until = at.Add(lasts) }}} {
		text := u.visit.form.value(end.name)
		at, lasts, err := query.Time(text)
		switch {
		case text == "":
		case err != nil:
			u.wrong = true
			u.visit.form.say(end.name, err.Error())
		default:
			end.set(at, lasts)
		}
	}
}

// granularityOf is how long a point is, so that there are enough to see something and not too many to read.
func granularityOf(range_ time.Duration) string {
	switch {
	case range_ <= 2*time.Hour:
		return "minute"
	case range_ <= 3*24*time.Hour:
		return "hour"
	case range_ <= 100*24*time.Hour:
		return "day"
	}
	return "month"
}

// query asks for a meter.
func (u usageView) query(meter string) usage.QueryInput {
	in := usage.QueryInput{InOrganization: u.visit.inOrg(), Meter: meter, From: u.from, To: u.until, Granularity: u.granularity, Filter: u.filter}
	if u.by != byMeter {
		in.By, in.Top = u.by, shownParts
	}
	return in
}

// shownParts is how many values have a colour of their own; the others have one together.
const shownParts = 7

// values are the view as names and values of an address.
func (u usageView) values() []string {
	all := []string{"meter", u.meter.ID, "by", u.by}
	if u.span != "" {
		all = append(all, "range", u.span)
	} else {
		all = append(all, "from", u.visit.form.value("from"), "until", u.visit.form.value("until"))
	}
	for _, d := range u.meter.Dimensions {
		all = append(all, string(d), *filterField(&u.filter, d))
	}
	return all
}

// href is the view at a path, with some of its values changed.
func (u usageView) href(path string, changes ...string) string {
	return asking(path, append(u.values(), changes...)...)
}

func (u usageView) ways() ui.Ways {
	fields := []string{"meter", u.meter.ID, "granularity", u.granularity, "from", u.from.Format(time.RFC3339), "to", u.until.Format(time.RFC3339)}
	if u.by != byMeter {
		fields = append(fields, "by", u.by)
	}
	for _, d := range u.meter.Dimensions {
		fields = append(fields, string(d), *filterField(&u.filter, d))
	}
	return u.visit.same(usage.Query, fields...)
}

// usageChart is what a view found.
type usageChart struct {
	view   usageView
	points []usage.Point // of the whole
	series []usageSeries
	movers []usage.Mover
	total  int64
	before int64
}

// usageSeries is one part of a chart.
type usageSeries struct {
	usage.Part
	title string
}

func (v *visit) usageChart(u usageView) (c usageChart, err error) {
	c.view = u
	if u.wrong {
		return c, nil
	}
	if u.by == byMeter {
		return c, c.readMeters()
	}
	s, err := usage.Query.Call(v.ctx, v.Service, u.query(u.meter.ID))
	if err != nil {
		return c, err
	}
	c.points, c.total, c.before, c.movers = s.Points, s.Quantity, s.Before, s.Movers
	for _, p := range s.Parts {
		c.series = append(c.series, usageSeries{p, u.valueText(p)})
	}
	return c, nil
}

// readMeters reads the meters that are shown under one heading and counted in one unit.
func (c *usageChart) readMeters() error {
	u := c.view
	for _, m := range u.visit.Service.Charter().Meters {
		if m.Group != u.meter.Group || m.Unit != u.meter.Unit || !u.fits(m) {
			continue
		}
		s, err := usage.Query.Call(u.visit.ctx, u.visit.Service, u.query(m.ID))
		if err != nil {
			return err
		}
		c.add(m, s)
	}
	return nil
}

// fits reports whether a meter has all that is filtered by.
func (u usageView) fits(m charter.Meter) bool {
	return m.ID == u.meter.ID || !slices.ContainsFunc(u.meter.Dimensions, func(d charter.Dimension) bool { return *filterField(&u.filter, d) != "" && !m.By(d) })
}

func (c *usageChart) add(m charter.Meter, s usage.Series) {
	c.series = append(c.series, usageSeries{usage.Part{Value: m.ID, Quantity: s.Quantity, Before: s.Before, Points: s.Points}, m.Title})
	if s.Quantity != s.Before {
		c.movers = append(c.movers, usage.Mover{Value: m.ID, Name: m.Title, Quantity: s.Quantity, Before: s.Before, Change: s.Quantity - s.Before})
	}
	c.total, c.before = c.total+s.Quantity, c.before+s.Before
	if c.points == nil {
		c.points = make([]usage.Point, len(s.Points))
	}
	for n, p := range s.Points {
		c.points[n] = usage.Point{At: p.At, Quantity: c.points[n].Quantity + p.Quantity}
	}
}

// valueText is what people call a value of the dimension.
func (u usageView) valueText(p usage.Part) string {
	switch {
	case p.Others:
		return ui.T("All others")
	case p.Name != "":
		return p.Name
	case p.Value == "":
		return ui.T("No %s said", u.by)
	}
	return p.Value
}

// adds reports whether the parts of a meter make up the whole.
func (u usageView) adds() bool {
	return u.meter.Kind != charter.Maximum && u.meter.Kind != charter.Unique
}

// figure is an amount without its unit, where that goes without saying.
func (u usageView) figure(n int64) string {
	if u.meter.Unit == "bytes" {
		return inBytes(n)
	}
	return ui.Number(n)
}

func (u usageView) amount(n int64) string { return amount(n, u.meter.Unit) }

// only is the chart of one value alone; empty where there is none.
func (u usageView) only(s usageSeries) string {
	switch {
	case u.by == byMeter:
		return u.visit.usageHref("/" + s.Value)
	case s.Others || s.Value == "":
		return ""
	}
	return u.href(u.visit.r.URL.Path, u.by, s.Value)
}

// drawn is the chart as it is drawn. Parts that do not make up the whole are in the table only.
func (c usageChart) drawn() ui.ChartProps {
	u := c.view
	p := ui.ChartProps{ID: "chart", Title: c.title(), Desc: c.sentence(), Tick: u.figure}
	for n, point := range c.points {
		p.Buckets = append(p.Buckets, ui.Bucket{Label: u.label(point.At), Text: c.bucketText(n)})
	}
	if !u.adds() || len(c.series) == 0 {
		p.Series = []ui.Series{{Name: u.meter.Title, Total: u.amount(c.total), Points: figuresOf(c.points)}}
		return p
	}
	for _, s := range c.series {
		p.Series = append(p.Series, ui.Series{Name: s.title, Href: u.only(s), Total: u.amount(s.Quantity), Points: figuresOf(s.Points)})
	}
	return p
}

func figuresOf(points []usage.Point) []int64 {
	all := make([]int64, len(points))
	for n, p := range points {
		all[n] = p.Quantity
	}
	return all
}

// bucketText says what was in a bucket, by its greatest parts.
func (c usageChart) bucketText(n int) string {
	text := ui.T("%s: %s", c.view.label(c.points[n].At), c.view.amount(c.points[n].Quantity))
	if len(c.series) < 2 {
		return text
	}
	for _, s := range c.series {
		if q := s.Points[n].Quantity; q != 0 {
			text += ui.T("\n%s: %s", s.title, ui.Number(q))
		}
	}
	return text
}

// label is a bucket's time, as short as it can be said.
func (u usageView) label(at time.Time) string {
	switch u.granularity {
	case "minute":
		return at.Format("15:04")
	case "hour":
		return at.Format("2 Jan 15:04")
	case "day":
		return at.Format("2 Jan")
	}
	return at.Format("Jan 2006")
}

func (c usageChart) title() string {
	if c.view.by == byMeter {
		return ui.T("%s by %s", c.view.meter.Group, c.view.granularity)
	}
	return ui.T("%s by %s and %s", c.view.meter.Title, c.view.granularity, c.view.by)
}

// sentence says what there is to see.
func (c usageChart) sentence() string {
	text := ui.T("%s from %s to %s (UTC); %s in as long a time before.", c.view.amount(c.total), onDay(c.view.from.UTC()), onDay(c.view.until.UTC()), c.view.amount(c.before))
	if len(c.series) > 1 {
		text += " " + ui.T("Most: %s, %s.", c.series[0].title, c.view.amount(c.series[0].Quantity))
	}
	if !c.view.adds() {
		text += " " + ui.T("Parts of it do not add up: the chart shows the whole.")
	}
	return text
}

// empty reports whether there is nothing to draw.
func (c usageChart) empty() bool {
	return !slices.ContainsFunc(c.points, func(p usage.Point) bool { return p.Quantity != 0 })
}

// table has the same figures as the chart.
func (c usageChart) table() ui.TableProps {
	t := ui.TableProps{ID: "figures", Caption: c.title(), Columns: []ui.Column{{Title: ui.T("From (UTC)")}}}
	whole := len(c.series) != 1 || !c.view.adds()
	if whole {
		t.Columns = append(t.Columns, ui.Column{Title: ui.T("Together"), Number: true})
	}
	for _, s := range c.series {
		t.Columns = append(t.Columns, ui.Column{Title: s.title, Number: true})
	}
	for n, p := range c.points {
		r := ui.Row{Cells: []templ.Component{ui.Text(c.view.label(p.At))}}
		if whole {
			r.Cells = append(r.Cells, ui.Text(ui.Number(p.Quantity)))
		}
		for _, s := range c.series {
			r.Cells = append(r.Cells, ui.Text(ui.Number(s.Points[n].Quantity)))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// moversTable is what changed most against the range before.
func (c usageChart) moversTable() ui.TableProps {
	u := c.view
	t := ui.TableProps{ID: "movers", Caption: ui.T("What changed most"), Columns: []ui.Column{{Title: u.byTitle(u.by)}, {Title: ui.T("Before"), Number: true},
		{Title: ui.T("Now"), Number: true}, {Title: ui.T("Change"), Number: true}}}
	for _, m := range c.movers {
		s := usageSeries{Part: usage.Part{Value: m.Value, Name: m.Name}}
		name := ui.Text(u.valueText(s.Part))
		if href := u.only(s); href != "" {
			name = ui.Link(ui.LinkProps{Text: u.valueText(s.Part), Href: href})
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{name, ui.Text(u.amount(m.Before)), ui.Text(u.amount(m.Quantity)), ui.Text(u.changeText(m))}})
	}
	return t
}

// changeText is how much more or less there is, and in percent where there was something.
func (u usageView) changeText(m usage.Mover) string {
	sign, change := "+", m.Change
	if change < 0 {
		sign, change = "−", -change
	}
	if m.Before <= 0 {
		return ui.T("%s%s, new", sign, u.figure(change))
	}
	return ui.T("%s%s (%s%s %%)", sign, u.figure(change), sign, ui.Number(percentOf(change, m.Before)))
}

// byTitle is a grouping as a heading.
func (u usageView) byTitle(by string) string {
	return map[string]string{byMeter: ui.T("Meter"), "member": ui.T("Member"), "key": ui.T("API key"), "resource": ui.T("Resource"), "region": ui.T("Region"), "model": ui.T("Model")}[by]
}

// tabs are the ranges.
func (u usageView) tabs() ui.TabsProps {
	t := ui.TabsProps{Label: ui.T("Range")}
	for _, s := range spans() {
		t.Tabs = append(t.Tabs, ui.Tab{Text: s[1], Href: u.href(u.visit.r.URL.Path, "range", s[0], "from", "", "until", ""), Current: u.span == s[0]})
	}
	return t
}

// filters are what narrows the chart.
func (u usageView) filters() ui.FilterBarProps {
	path := u.visit.r.URL.Path
	bar := ui.FilterBarProps{Action: path, ClearHref: asking(path, "meter", u.visit.form.value("meter"), "by", u.visit.form.value("by"), "range", u.span)}
	for _, d := range u.meter.Dimensions {
		if value := *filterField(&u.filter, d); value != "" {
			bar.Chips = append(bar.Chips, ui.Chip{Text: ui.T("%s: %s", u.byTitle(string(d)), value), RemoveHref: u.href(path, string(d), "")})
		}
	}
	return bar
}

// meterSelect chooses the meter.
func (u usageView) meterSelect() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "meter", Label: ui.T("Meter")}, Value: u.meter.ID}
	for _, m := range u.visit.Service.Charter().Meters {
		text := m.Title
		if m.Group != m.Title {
			text = ui.T("%s: %s", m.Group, m.Title)
		}
		s.Options = append(s.Options, ui.Option{Value: m.ID, Text: text})
	}
	return s
}

// bySelect chooses what the chart is broken down by.
func (u usageView) bySelect() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "by", Label: ui.T("By")}, Value: u.by, Options: []ui.Option{{Value: byMeter, Text: u.byTitle(byMeter)}}}
	for _, d := range u.meter.Dimensions {
		s.Options = append(s.Options, ui.Option{Value: string(d), Text: u.byTitle(string(d))})
	}
	return s
}

// narrowing are the fields of the filter, a text or a choice each.
func (u usageView) narrowing() (all []component) {
	members, err := u.visit.memberNames()
	if err != nil {
		members = nil // the field takes an id then
	}
	for _, d := range u.meter.Dimensions {
		value := *filterField(&u.filter, d)
		field := ui.FieldProps{Name: string(d), Label: u.byTitle(string(d))}
		switch {
		case d == charter.ByMember && len(members) > 0:
			all = append(all, ui.Select(ui.SelectProps{FieldProps: field, Value: value, Options: chosenFrom(ui.T("All members"), members, value)}))
		case d == charter.ByRegion && len(u.visit.Service.Charter().Regions) > 0:
			all = append(all, ui.Select(ui.SelectProps{FieldProps: field, Value: value, Options: chosenFrom(ui.T("All regions"), named(u.visit.Service.Charter().Regions), value)}))
		default:
			all = append(all, ui.Input(ui.InputProps{FieldProps: field, Value: value, MaxLength: "128"}))
		}
	}
	return all
}

func named(all []string) map[string]string {
	names := map[string]string{}
	for _, one := range all {
		names[one] = one
	}
	return names
}

// chosenFrom are options by their names, the one for everything first. What is chosen is among them.
func chosenFrom(everything string, names map[string]string, chosen string) []ui.Option {
	var options []ui.Option
	for value, text := range names {
		options = append(options, ui.Option{Value: value, Text: text})
	}
	if _, known := names[chosen]; !known && chosen != "" {
		options = append(options, ui.Option{Value: chosen, Text: chosen})
	}
	slices.SortFunc(options, func(x, y ui.Option) int { return cmp.Or(cmp.Compare(x.Text, y.Text), cmp.Compare(x.Value, y.Value)) })
	return append([]ui.Option{{Text: everything}}, options...)
}

func (u usageView) dayField(name, label string) ui.InputProps {
	value := u.visit.form.value(name)
	if _, err := time.Parse(time.DateOnly, value); err != nil {
		value = "" // browsers have no place for anything else
	}
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Error: u.visit.form.error(name)}, Type: "date", Value: value}
}

// narrowed reports whether the filters are in use, and so shown open.
func (u usageView) narrowed() bool { return u.filter != (usage.Filter{}) || u.span == "" }
