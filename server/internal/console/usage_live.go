package console

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
	"github.com/guildhall/guildhall/usage"
)

func usageLivePages() []page {
	return []page{{"GET /o/{slug}/settings/usage/live", member, liveUsage}}
}

// eventStream is what a browser asks for that listens to events.
const eventStream = "text/event-stream"

// liveBeat is how often a stream shows that it lives, and asks again whether it may.
const liveBeat = 15 * time.Second

// liveFigures keep the figures of an open page up to date.
type liveFigures struct {
	visit *visit
	ctx   context.Context
	shown map[string]figure // by meter
}

// figure is what a change of a tile is told by. The forecast is none of it: that moves with the clock.
type figure struct{ quantity, used, reserved, cost int64 }

// liveChange is one element of the page as it is now: its text, or its width.
type liveChange struct {
	ID    string `json:"id"`
	Text  string `json:"text,omitzero"`
	Width string `json:"width,omitzero"`
}

// liveUsage tells an open page which figures have changed, at most once in LiveEvery and only when something has. It
// ends in the call that ends the viewer's right: T-067. So the watch comes first, and then the question for the right,
// as the viewer; it is asked again with every look.
func liveUsage(v *visit) error {
	watch, err := v.Service.Watch(v.ctx, &v.actor, v.organization.ID)
	if err != nil {
		return err
	}
	defer watch.Close()
	v.caller.Passive = true
	live := &liveFigures{visit: v, ctx: op.As(watch.Context(), v.caller), shown: map[string]figure{}}
	first, err := live.changes()
	if err != nil {
		return err
	}
	events, stop := web.BeginEvents(watch.Context(), v.w)
	defer stop()
	for err = live.tell(events, first); err == nil; {
		err = live.next(watch, events)
	}
	return nil // nobody is left to be told
}

// next waits for a change or the next beat, and tells of it.
func (l *liveFigures) next(watch *op.Watch, events *web.Events) error {
	beat := time.NewTimer(liveBeat)
	defer beat.Stop()
	select {
	case <-l.ctx.Done():
		return l.ctx.Err()
	case <-watch.Changed():
	case <-beat.C:
	}
	changes, err := l.changes()
	if err != nil {
		return err
	}
	if err := l.tell(events, changes); err != nil {
		return err
	}
	pause := time.NewTimer(l.visit.LiveEvery)
	defer pause.Stop()
	select {
	case <-l.ctx.Done():
	case <-pause.C:
	}
	return l.ctx.Err()
}

// tell sends changes; where there are none, a beat.
func (l *liveFigures) tell(events *web.Events, changes []liveChange) error {
	if len(changes) == 0 {
		return events.Beat()
	}
	data, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	return events.Send("update", data)
}

// changes are what is new since they were last asked for.
func (l *liveFigures) changes() (all []liveChange, err error) {
	l.visit.now = l.visit.Service.Now()
	f, err := l.visit.usageFigures(l.ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	for n, m := range f.Meters {
		now := figureOf(m, f.quotas[n])
		if before, known := l.shown[m.Meter]; known && before == now {
			continue
		}
		l.shown[m.Meter] = now
		all = append(all, changesOf(f.tile(n))...)
	}
	if len(all) > 0 && f.Cost != nil {
		all = append(all, changesOf(f.costTile())...)
	}
	if len(all) > 0 {
		all = append(all, liveChange{ID: "use-at", Text: f.asOf()})
	}
	return all, nil
}

func figureOf(m usage.MeterSummary, q usage.Quota) figure {
	return figure{m.Quantity, q.Used, q.Reserved, pointed(m.Cost)}
}

// changesOf are the parts of a tile.
func changesOf(t ui.StatProps) []liveChange {
	all := []liveChange{{ID: t.ID + "-value", Text: t.Value}}
	if t.Bar != nil {
		all = append(all, liveChange{ID: t.ID + "-bar", Width: t.Bar.Width()})
	}
	for _, line := range t.Lines {
		all = append(all, liveChange{ID: t.ID + "-" + line.ID, Text: line.Text})
	}
	return all
}

// asOf says of when the figures are.
func (f usageFigures) asOf() string {
	return ui.T("As of %s UTC.", f.visit.now.UTC().Format("15:04:05"))
}
