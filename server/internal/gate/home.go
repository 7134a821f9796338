package gate

import (
	"context"
	"sync"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// organization says which organization a request is about: the one that the route names, else the one that the
// credential is for (which is empty here: Check knows it) or a session counts in alone, else the only one that the person
// belongs to. No header, query or body ever says it.
func (g *Gate) organization(ctx context.Context, f *forwarded) (string, error) {
	if f.match.Organization != "" || f.sender.Kind() != op.UserActor {
		return f.match.Organization, nil
	}
	if begun := f.sender.BegunBy(); begun != "" {
		return begun, nil
	}
	now, session := g.config.Service.Now(), f.sender.ID()
	if home, ok := g.homes.get(session, now); ok {
		return home.named(f)
	}
	home, err := g.homeOf(ctx, f.sender.User())
	if err != nil {
		return "", err
	}
	g.homes.put(session, home, now)
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

// homeOf looks where a person has access now. What is asked is what every role may.
func (g *Gate) homeOf(ctx context.Context, user string) (home, error) {
	ids, _, err := g.config.Access.SearchResources(ctx, access.ResourceSearch{Subject: check.ByUser(user),
		Permission: "organization.view", Type: check.Organization, Limit: 2})
	if err != nil || len(ids) == 0 {
		return home{}, err
	}
	return home{organization: ids[0], several: len(ids) > 1}, nil
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
