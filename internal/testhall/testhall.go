// Package testhall gives tests of edges and clients a service with a few operations on notes, one of every shape: lists,
// versions, dry runs, secrets, public ones and streams. The notes are kept in memory, everything else runs through the
// real pipeline on a real database.
package testhall

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Hall is a service with two organizations, acme and globex. Ada owns acme, Vic views it, Glen owns globex.
type Hall struct {
	Service  *op.Service
	Ada, Vic string // credentials
	Glen     string
	Now      func() time.Time

	mu    sync.Mutex
	notes map[string]Note
	made  int
	users map[secret.Hash]person
}

type person struct{ user, organization, slug, role string }

// Start is the moment at which a hall's clock stands.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// New makes a hall on a migrated database; change may alter the service's configuration.
func New(t testing.TB, db *sqldb.DB, change func(*op.Config)) *Hall {
	t.Helper()
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	h := &Hall{notes: map[string]Note{}, users: map[secret.Hash]person{}, Now: func() time.Time { return Start }}
	h.Ada = h.signIn(person{"usr_ada", "org_acme", "acme", "owner"})
	h.Vic = h.signIn(person{"usr_vic", "org_acme", "acme", "viewer"})
	h.Glen = h.signIn(person{"usr_glen", "org_globex", "globex", "owner"})
	h.notes["note_1"] = Note{ID: "note_1", Organization: "org_acme", Text: "first", Version: 1}
	h.notes["note_2"] = Note{ID: "note_2", Organization: "org_acme", Text: "second", Version: 1}
	h.notes["note_9"] = Note{ID: "note_9", Organization: "org_globex", Text: "theirs", Version: 1}
	config := op.Config{DB: db, Charter: c, Secrets: secret.NewRing(), Operations: h.operations(), Load: h.load,
		Holders: holders, Now: func() time.Time { return h.Now() }, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&config)
	}
	if h.Service, err = op.New(config); err != nil {
		t.Fatal(err)
	}
	foundStreams(t, db)
	return h
}

func foundStreams(t testing.TB, db *sqldb.DB) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, id := range []string{"org_acme", "org_globex", "usr_ada", "usr_vic", "usr_glen", op.InstanceStream} {
			if _, err := tx.Exec(t.Context(), "INSERT INTO streams (id, seq, at) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (h *Hall) signIn(p person) string {
	token := secret.New(nil, "gld", "ses")
	h.users[token.Hash()] = p
	return token.Reveal()
}

// load is op.Load over the hall's people.
func (h *Hall) load(_ context.Context, r *op.Reader, w op.Who) (op.Actor, error) {
	if w.Kind == "operator" || w.Kind == "system" {
		power := decide.Principal{Power: decide.Operator, Organization: organizationOf(w.Organization)}
		return op.Actor{Kind: op.OperatorActor, ID: "operator", Principal: power}, nil
	}
	p, ok := h.users[w.Hash]
	if !ok {
		return op.Actor{}, op.ErrUnauthenticated
	}
	a := op.Actor{Kind: op.UserActor, ID: p.user, User: p.user, Credential: op.Credential{ID: "ses_" + p.user, SignedInAt: w.Now}}
	a.Principal.User = p.user
	if w.Organization == p.organization || w.Organization == p.slug {
		role, _ := r.Charter.Role(charter.RoleID(p.role))
		a.Principal = decide.Principal{User: p.user, Member: "mem_" + p.user[4:], Organization: p.organization,
			Role: role.ID, Owner: role.Owner, Holds: role.Holds, Standing: decide.Active}
	}
	return a, nil
}

func organizationOf(named string) string {
	switch named {
	case "acme", "org_acme":
		return "org_acme"
	case "globex", "org_globex":
		return "org_globex"
	}
	return ""
}

func holders(context.Context, *op.Reader, charter.Permission) ([]op.Holder, error) {
	return []op.Holder{{Member: "mem_ada", Name: "Ada", Role: "owner"}}, nil
}
