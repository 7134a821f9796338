package op

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/guildhall/guildhall/decide"
)

// The bounds of watches, so that open pages do not use the server up.
const (
	MaxWatches     = 512 // in all
	MaxWatchesEach = 8   // by one session
)

// watchGrace bounds how long a change waits for the watches that it ends.
const watchGrace = 2 * time.Second

// Watch is a long look of somebody at an organization, such as a live page. It ends in the call that changes a right
// which it rests on, and before that call returns: T-067.
type Watch struct {
	watches *watches
	about   []Fence // what it rests on
	session string
	ctx     context.Context
	cancel  context.CancelFunc
	changed chan struct{}
	over    chan struct{}
	close   func()
}

// watches are those that are open.
type watches struct {
	sync.Mutex
	about   map[Fence]map[*Watch]bool
	session map[string]int
	open    int
	ended   bool // no more may begin
}

// Watch begins a watch of an organization (its id) by somebody who is signed in. It gives no right: whoever watches asks
// for that afterwards, by an operation, and again for each thing that is shown, so that no change can fall in between.
// The error is Limited where too many are open. Close it as soon as nothing more will be shown.
func (s *Service) Watch(ctx context.Context, a *Actor, organization string) (*Watch, error) {
	if a.Kind != UserActor {
		return nil, &Error{Kind: Denied, Code: string(decide.PeopleOnly), Reason: decide.PeopleOnly, Text: "only people watch pages"}
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{watches: &s.watches, session: a.Credential.ID, ctx: ctx, cancel: cancel, changed: make(chan struct{}, 1), over: make(chan struct{}),
		about: []Fence{{FenceSession, a.Credential.ID}, {FenceUser, a.User}, {FenceOrganization, organization}}}
	w.close = sync.OnceFunc(w.leave)
	if err := s.watches.add(w); err != nil {
		cancel()
		return nil, err
	}
	return w, nil
}

// Context ends with the watch: what is read for it is read with this.
func (w *Watch) Context() context.Context { return w.ctx }

// Changed gets a value after something about the organization was recorded or changed. Several changes may be one value.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Close says that nothing more will be shown. A change that ended the watch waits for it.
func (w *Watch) Close() { w.close() }

func (w *Watch) leave() {
	w.cancel()
	w.watches.remove(w)
	close(w.over)
}

func (all *watches) add(w *Watch) error {
	all.Lock()
	defer all.Unlock()
	switch {
	case all.ended:
		return &Error{Kind: Unavailable, Text: "the server is about to end", RetryAfter: time.Second}
	case all.open >= MaxWatches || all.session[w.session] >= MaxWatchesEach:
		return &Error{Kind: Limited, Code: "too_many_watches", Text: "too many live pages are open: close some of them", RetryAfter: time.Minute}
	}
	if all.about == nil {
		all.about, all.session = map[Fence]map[*Watch]bool{}, map[string]int{}
	}
	for _, f := range w.about {
		if all.about[f] == nil {
			all.about[f] = map[*Watch]bool{}
		}
		all.about[f][w] = true
	}
	all.session[w.session]++
	all.open++
	return nil
}

func (all *watches) remove(w *Watch) {
	all.Lock()
	defer all.Unlock()
	for _, f := range w.about {
		if delete(all.about[f], w); len(all.about[f]) == 0 {
			delete(all.about, f)
		}
	}
	if all.session[w.session]--; all.session[w.session] == 0 {
		delete(all.session, w.session)
	}
	all.open--
}

// of are the watches that rest on one of the principals.
func (all *watches) of(principals []Fence) (found []*Watch) {
	all.Lock()
	defer all.Unlock()
	for _, f := range principals {
		for w := range all.about[f] {
			found = append(found, w)
		}
	}
	return found
}

// tell says to whoever watches an organization that something is new.
func (all *watches) tell(organization string) {
	for _, w := range all.of([]Fence{{FenceOrganization, organization}}) {
		select {
		case w.changed <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// endWatches ends watches, and returns when none of them shows anything any more.
func (s *Service) endWatches(ended []*Watch) {
	for _, w := range ended {
		w.cancel()
	}
	if len(ended) == 0 {
		return
	}
	grace := time.NewTimer(watchGrace)
	defer grace.Stop()
	for _, w := range ended {
		select {
		case <-w.over:
		case <-grace.C:
			s.config.Log.LogAttrs(context.Background(), slog.LevelError, "a watch has not ended in time")
			return
		}
	}
}

// EndWatches ends every watch, and lets none begin any more: for a server that is about to end.
func (s *Service) EndWatches() {
	s.watches.Lock()
	s.watches.ended = true
	all := map[*Watch]bool{}
	for _, by := range s.watches.about {
		for w := range by {
			all[w] = true
		}
	}
	s.watches.Unlock()
	ended := make([]*Watch, 0, len(all))
	for w := range all {
		ended = append(ended, w)
	}
	s.endWatches(ended)
}
