package console

import (
	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/usage"
)

// meterPage is everything about one meter.
type meterPage struct {
	usagePage
	events  op.List[usage.Kept]
	members map[string]string // names by id
}

func showMeter(v *visit) error {
	m, ok := v.Service.Charter().Meter(v.r.PathValue("meter"))
	if !ok {
		return op.ErrNotFound
	}
	p := meterPage{}
	var err error
	if p.usagePage, err = v.usagePage(m.ID); err != nil {
		return err
	}
	page := v.pageOf()
	page.Limit = 20
	if p.events, err = usage.ListEvents.Call(v.ctx, v.Service, usage.ListEventsInput{InOrganization: v.inOrg(), Page: page, Meter: m.ID, From: p.view.from, To: p.view.end()}); err != nil {
		return err
	}
	if p.members, err = v.memberNames(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: m.Title, Lede: meterText(m), Crumb: v.usageCrumb(), Actions: p.alerts(), Ways: p.view.ways()}, p.showMeter())
}

// meterText says how events become a figure.
func meterText(m charter.Meter) string {
	switch m.Kind {
	case charter.Counter:
		return ui.T("Counts %s: an event counts one, unless it says how many.", m.Unit)
	case charter.Sum:
		return ui.T("Adds up how many %s the events say.", m.Unit)
	case charter.Gauge:
		return ui.T("The last reading of %s stands. The quantity of a period is the mean of the readings at the end of its days.", m.Unit)
	case charter.Unique:
		return ui.T("Counts different %s: each counts once in a period.", m.Unit)
	}
	return ui.T("The greatest number of %s in a period.", m.Unit)
}

// tileOf is the meter's figure.
func (p meterPage) tileOf() ui.StatProps {
	for n, m := range p.Meters {
		if m.Meter == p.view.meter.ID {
			t := p.tile(n)
			t.Href = ""
			return t
		}
	}
	return ui.StatProps{}
}

// price says what a unit beyond the included ones costs, for those who see money.
func (p meterPage) price() ui.TableProps {
	t := ui.TableProps{ID: "price", Caption: ui.T("Price"), Columns: []ui.Column{{Title: ui.T("Beyond what is included")}, {Title: ui.T("Price"), Number: true}}}
	for _, l := range p.visit.priceLines(p.view.meter, p.Currency) {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(l[0]), ui.Text(l[1])}})
	}
	return t
}

// eventTable lists the events of the range, the latest first.
func (p meterPage) eventTable() ui.TableProps {
	t := ui.TableProps{ID: "events", Caption: ui.T("Events"), Columns: []ui.Column{{Title: ui.T("Event")}, {Title: ui.T("Used")}, {Title: ui.T("Value"), Number: true}, {Title: ui.T("For")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No event in this range.")}),
		Pager: pagerOf(p.visit.r.URL.Path, p.visit.form.values, p.events.NextCursor)}
	for _, e := range p.events.Data {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Code(e.ID), p.visit.at(e.At), ui.Text(ui.Number(e.Value)), p.aboutEvent(e)}})
	}
	return t
}

// aboutEvent says for whom and what an event was.
func (p meterPage) aboutEvent(e usage.Kept) component {
	parts := []component{}
	if name := p.members[e.Member]; name != "" {
		parts, e.Member = append(parts, ui.Text(name)), ""
	}
	for _, part := range []string{e.Member, e.Key, e.Resource, e.Region, e.Model} {
		if part != "" {
			parts = append(parts, ui.Code(part))
		}
	}
	if e.Corrects != "" {
		parts = append(parts, ui.Text(ui.T("corrects")), ui.Code(e.Corrects))
	}
	return ui.Join(parts...)
}

// priceLines are a price in words, each line with its amount.
func (v *visit) priceLines(m charter.Meter, currency string) (lines [][2]string) {
	money := func(minor int64) string { return billing.Money(minor, currency) }
	switch p := m.Price; p.Model {
	case charter.PerUnit:
		return [][2]string{{ui.T("each %s", amount(p.Per, m.Unit)), money(p.Amount)}}
	case charter.Package:
		return [][2]string{{ui.T("each %s that are begun", amount(p.Per, m.Unit)), money(p.Amount)}}
	case charter.Flat:
		return [][2]string{{ui.T("any quantity, once"), money(p.Amount)}}
	case charter.Tiered:
		for _, t := range p.Tiers {
			text := ui.T("beyond that, each %s", amount(t.Per, m.Unit))
			if t.UpTo != charter.Unlimited {
				text = ui.T("up to %s, each %s", amount(t.UpTo, m.Unit), amount(t.Per, m.Unit))
			}
			if t.Flat > 0 {
				text += ui.T(", and once %s", money(t.Flat))
			}
			lines = append(lines, [2]string{text, money(t.Amount)})
		}
		return lines
	}
	return [][2]string{{ui.T("any quantity"), ui.T("nothing")}}
}
