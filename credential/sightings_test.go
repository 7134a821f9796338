package credential_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func TestSightingsWriteWhatWasUsed(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test", ""), h.makesKey("back end")
		acme, err := directory.CreateOrganization.Call(h.As(ann.Secret), h.Service, directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"})
		if err != nil {
			h.T.Fatal(err)
		}
		h.After(time.Hour)
		h.Works("the service key", key.Secret)
		_, err = directory.UpdateOrganization.Call(h.As(ann.Secret), h.Service,
			directory.UpdateOrganizationInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: new("Acme Ltd")})
		if err != nil {
			h.T.Fatal(err)
		}
		h.flush(1, 3)
		want := h.Now().UnixMicro()
		for what, got := range map[string]int64{
			"session":     h.Number("SELECT last_used_at FROM sessions WHERE id = $1", ann.Session),
			"service key": h.Number("SELECT last_used_at FROM service_keys WHERE id = $1", key.ID),
			"member":      h.Number("SELECT last_active_at FROM members WHERE organization = $1", acme.ID),
		} {
			if got != want {
				h.T.Errorf("the %s was last used at %d, want %d", what, got, want)
			}
		}
		h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: ann.Session}}, op.Caller{}, testroom.Monday)
		h.flush(1, 1)
		if got := h.Number("SELECT last_used_at FROM sessions WHERE id = $1", ann.Session); got != want {
			h.T.Errorf("a late sighting moved the session's last use back to %d", got)
		}
		h.flush(0, 0)
	})
}

// flush writes what was gathered and says how many statements that may take.
func (h *hall) flush(least, most int64) {
	h.T.Helper()
	if h.DB.Dialect() == sqldb.PostgreSQL {
		most *= 2 // with how long each waits for others
	}
	before := h.DB.Stats().Statements
	if err := h.sightings.Flush(h.T.Context(), h.DB); err != nil {
		h.T.Fatal(err)
	}
	if n := h.DB.Stats().Statements - before; n < least || n > most {
		h.T.Errorf("the flush ran %d statements, want %d to %d", n, least, most)
	}
}

func TestSightingsAreWrittenInGroups(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		for i := range 500 {
			h.Exec(`INSERT INTO sessions (id, user_id, hash, method, address, agent, created_at, signed_in_at, last_used_at, idle_limit, expires_at, ended_at, recovery_epoch)
				VALUES ($1, $2, $3, 'mail', '', '', 0, 0, 0, 0, 0, 0, 1)`, fmt.Sprintf("ses_%d", i), ann.User, fmt.Appendf(nil, "%d", i))
			h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: fmt.Sprintf("ses_%d", i)}}, op.Caller{}, h.Now())
		}
		h.flush(1, 3)
		if n := h.Number("SELECT count(*) FROM sessions WHERE last_used_at = $1", h.Now().UnixMicro()); n != 501 {
			h.T.Errorf("%d sessions were written, want 501", n)
		}
	})
}

// Whoever never stops changing things holds the row of their session all the time: what others did is written all the same,
// and theirs once nobody holds it. T-052
func TestSightingsDoNotWaitForARowThatIsHeld(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		if h.DB.Dialect() == sqldb.SQLite {
			return // one writer at a time
		}
		ann, bob := h.signsIn("ann@acme.test", ""), h.signsIn("bob@acme.test", "")
		h.After(time.Hour)
		h.Works("ann's session", ann.Secret)
		h.Works("bob's session", bob.Secret)
		used := func(who testroom.SignedIn) int64 {
			return h.Number("SELECT last_used_at FROM sessions WHERE id = $1", who.Session)
		}
		err := h.DB.Write(h.T.Context(), func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(h.T.Context(), "SELECT id FROM sessions WHERE id = $1 FOR SHARE", ann.Session); err != nil {
				return err
			}
			h.flush(1, 20)
			if used(ann) == h.Now().UnixMicro() || used(bob) != h.Now().UnixMicro() {
				h.T.Errorf("while ann's row is held: %d and %d, want bob's alone to be %d", used(ann), used(bob), h.Now().UnixMicro())
			}
			return nil
		})
		if err != nil {
			h.T.Fatal(err)
		}
		h.flush(1, 2)
		if used(ann) != h.Now().UnixMicro() {
			h.T.Errorf("ann's last use is %d afterwards, want %d", used(ann), h.Now().UnixMicro())
		}
	})
}

// T-052
func TestSightingsLoseRatherThanWaitOrGrow(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		down, cancel := context.WithCancel(h.T.Context())
		cancel()
		h.After(time.Hour)
		h.Works("the session", ann.Secret)
		if err := h.sightings.Flush(down, h.DB); err == nil {
			h.T.Error("a flush without a database says that it went well")
		}
		h.Works("the session after a failed flush", ann.Secret)
		h.flush(1, 1)

		for i := range 100_000 {
			h.sightings.Seen(&op.Actor{Kind: op.UserActor, Credential: op.Credential{ID: fmt.Sprintf("ses_%d", i)},
				Principal: decide.Principal{Organization: "org_1", Member: fmt.Sprintf("mem_%d", i)}}, op.Caller{}, h.Now())
		}
		h.flush(1, 20_000/250+3)
	})
}

func TestSightingsOfKeysSayFromWhereAndWithWhat(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "editor")
		k, idle := bo.key("keys.view", "tokens.create"), bo.key("keys.view")
		token := a.holding(k.Secret).token()
		a.flush(1, 9)
		seen := a.Number("SELECT last_active_at FROM members WHERE id = $1", bo.member)
		a.After(time.Minute)
		has(call(a.holding(k.Secret).at("198.51.100.9"), credential.ListKeys, credential.ListKeysInput{InOrganization: bo.in()}))(t)
		has(call(a.holding(token.Secret), credential.ListTokens, credential.ListTokensInput{InOrganization: bo.in()}))(t)
		a.flush(2, 2)
		got := has(a.ada.gets(k.ID))(t)
		if !got.LastUsedAt.Equal(a.Now()) || got.LastAddress != "198.51.100.9" || got.LastAgent != "test/1" || got.Version != 1 {
			t.Errorf("the key was used %v from %s with %s, version %d", got.LastUsedAt, got.LastAddress, got.LastAgent, got.Version)
		}
		if used := a.ada.tokens()[0].LastUsedAt; !used.Equal(a.Now()) {
			t.Errorf("the token was used %v, want now", used)
		}
		if unused := has(a.ada.gets(idle.ID))(t); !unused.LastUsedAt.IsZero() {
			t.Errorf("the other key was used %v, want never", unused.LastUsedAt)
		}
		if now := a.Number("SELECT last_active_at FROM members WHERE id = $1", bo.member); now != seen {
			t.Error("what a key does counts as what its creator does")
		}
	})
}
