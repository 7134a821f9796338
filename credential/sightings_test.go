package credential_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

func TestSightingsWriteWhatWasUsed(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test", ""), h.makesKey("back end")
		acme, err := directory.CreateOrganization.Call(h.as(ann.Secret), h.service, directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"})
		if err != nil {
			h.t.Fatal(err)
		}
		h.after(time.Hour)
		h.works("the service key", key.Secret)
		_, err = directory.UpdateOrganization.Call(h.as(ann.Secret), h.service,
			directory.UpdateOrganizationInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: new("Acme Ltd")})
		if err != nil {
			h.t.Fatal(err)
		}
		h.flush(1, 3)
		want := h.now.UnixMicro()
		for what, got := range map[string]int64{
			"session":     h.number("SELECT last_used_at FROM sessions WHERE id = $1", ann.Session),
			"service key": h.number("SELECT last_used_at FROM service_keys WHERE id = $1", key.ID),
			"member":      h.number("SELECT last_active_at FROM members WHERE organization = $1", acme.ID),
		} {
			if got != want {
				h.t.Errorf("the %s was last used at %d, want %d", what, got, want)
			}
		}
		h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: ann.Session}}, op.Caller{}, monday)
		h.flush(1, 1)
		if got := h.number("SELECT last_used_at FROM sessions WHERE id = $1", ann.Session); got != want {
			h.t.Errorf("a late sighting moved the session's last use back to %d", got)
		}
		h.flush(0, 0)
	})
}

// flush writes what was gathered and says how many statements that may take.
func (h *hall) flush(least, most int64) {
	h.t.Helper()
	before := h.db.Stats().Statements
	if err := h.sightings.Flush(h.t.Context(), h.db); err != nil {
		h.t.Fatal(err)
	}
	if n := h.db.Stats().Statements - before; n < least || n > most {
		h.t.Errorf("the flush ran %d statements, want %d to %d", n, least, most)
	}
}

func TestSightingsAreWrittenInGroups(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		for i := range 500 {
			h.exec(`INSERT INTO sessions (id, user_id, hash, method, address, agent, created_at, signed_in_at, last_used_at, idle_limit, expires_at, ended_at, recovery_epoch)
				VALUES ($1, $2, $3, 'mail', '', '', 0, 0, 0, 0, 0, 0, 1)`, fmt.Sprintf("ses_%d", i), ann.User, fmt.Appendf(nil, "%d", i))
			h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: fmt.Sprintf("ses_%d", i)}}, op.Caller{}, h.now)
		}
		h.flush(1, 3)
		if n := h.number("SELECT count(*) FROM sessions WHERE last_used_at = $1", h.now.UnixMicro()); n != 501 {
			h.t.Errorf("%d sessions were written, want 501", n)
		}
	})
}

// T-052
func TestSightingsLoseRatherThanWaitOrGrow(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		down, cancel := context.WithCancel(h.t.Context())
		cancel()
		h.after(time.Hour)
		h.works("the session", ann.Secret)
		if err := h.sightings.Flush(down, h.db); err == nil {
			h.t.Error("a flush without a database says that it went well")
		}
		h.works("the session after a failed flush", ann.Secret)
		h.flush(1, 1)

		for i := range 100_000 {
			h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: fmt.Sprintf("ses_%d", i)},
				Principal: decide.Principal{Organization: "org_1", Member: fmt.Sprintf("mem_%d", i)}}, op.Caller{}, h.now)
		}
		h.flush(1, 20_000/250+3)
	})
}
