package gate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// organization says which organization a request is about: the one that the route names, else the one that the
// credential is for (which is empty here: Check knows it), else the only one that the person belongs to. No header, query
// or body ever says it.
func (g *gate) organization(ctx context.Context, f *forwarded, who access.Identity) (string, error) {
	if f.match.Organization != "" || who.Kind != op.UserActor {
		return f.match.Organization, nil
	}
	now := g.config.Service.Now()
	if home, ok := g.homes.get(who.ID, now); ok {
		return home.named(f)
	}
	home, err := g.homeOf(ctx, f.caller)
	if err != nil {
		return "", err
	}
	g.homes.put(who.ID, home, now)
	return home.named(f)
}

// home is where a person belongs: in one organization, or not in exactly one.
type home struct {
	organization string // empty: none
	several      bool
}

func (h home) named(f *forwarded) (string, error) {
	if !h.several {
		return h.organization, nil
	}
	e := op.Errorf(op.Denied, "organization_unknown", "you belong to several organizations: use an address that names one, or a key of one")
	e.Needs, e.Reason = f.match.Route.Needs, decide.Reason(e.Code)
	return "", e
}

// homeOf asks, as the caller, for the caller's organizations.
func (g *gate) homeOf(ctx context.Context, c op.Caller) (home, error) {
	const list = "organizations.list"
	operation, ok := g.config.Service.Find(list)
	if !ok {
		return home{}, fmt.Errorf("operation %s is not there", list)
	}
	answer, err := g.config.Service.Invoke(ctx, operation, op.Request{Caller: c})
	if err != nil {
		return home{}, err
	}
	raw, err := json.Marshal(answer.Output)
	if err != nil {
		return home{}, err
	}
	var mine belongings
	err = json.Unmarshal(raw, &mine)
	return mine.home(), err
}

// belongings are a person's organizations, as the operation lists them.
type belongings struct {
	Data []struct {
		ID    string `json:"id"`
		State string `json:"state"`
	} `json:"data"`
}

// home is the only organization. One that is about to be deleted does not count beside another.
func (b belongings) home() (h home) {
	active := 0
	for _, o := range b.Data {
		if o.State == "active" {
			active++
		}
		if o.State == "active" || h.organization == "" {
			h.organization = o.ID
		}
	}
	h.several = active > 1
	return h
}

// homes remembers for a moment where sessions belong. It says only what a request is about when it does not say so itself;
// whether it may pass is decided each time, by what holds then.
type homes struct {
	mu    sync.Mutex
	known map[string]knownHome
}

type knownHome struct {
	home
	until time.Time
}

// The bounds of homes: how long somebody who joins a second organization is still taken to be in the first, and for how
// many sessions that is remembered.
const (
	homeLife = 5 * time.Second
	maxHomes = 100_000
)

func (h *homes) get(session string, now time.Time) (home, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.known[session]
	return k.home, ok && now.Before(k.until)
}

func (h *homes) put(session string, at home, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || len(h.known) >= maxHomes {
		h.known = map[string]knownHome{}
	}
	h.known[session] = knownHome{at, now.Add(homeLife)}
}
