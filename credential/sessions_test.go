package credential_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func (h *hall) sessions(secret string, page op.Page) op.List[credential.Session] {
	h.T.Helper()
	if page.Limit == 0 {
		page.Limit = 25
	}
	list, err := credential.ListSessions.Call(h.As(secret), h.Service, credential.ListSessionsInput{Page: page})
	if err != nil {
		h.T.Fatalf("list sessions: %v", err)
	}
	return list
}

func (h *hall) revokes(secret, session string) (credential.Session, error) {
	return credential.RevokeSession.Call(h.As(secret), h.Service, credential.RevokeSessionInput{Session: session})
}

func TestPeopleSeeTheirOwnLivingSessions(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		phone := h.signsIn("ann@acme.test", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1")
		h.After(time.Minute)
		desk := h.signsIn("ann@acme.test", firefox)
		h.signsIn("bob@acme.test", firefox)

		got := h.sessions(desk.Secret, op.Page{}).Data
		if len(got) != 2 || got[0].ID != desk.Session || got[1].ID != phone.Session {
			h.T.Fatalf("ann sees %+v, want her two sessions, the newest first", got)
		}
		if s := got[0]; !s.Current || s.Device != "Firefox on Linux" || s.Address != "203.0.113.7" || s.Method != "mail" || !s.CreatedAt.Equal(h.Now()) {
			h.T.Errorf("the session at the desk is shown as %+v", s)
		}
		if s := got[1]; s.Current || s.Device != "Safari on iPhone" || !s.ExpiresAt.Equal(testroom.Monday.Add(14*24*time.Hour)) {
			h.T.Errorf("the session of the phone is shown as %+v", s)
		}
		first := h.sessions(desk.Secret, op.Page{Limit: 1})
		if !first.HasMore || first.Data[0].ID != desk.Session {
			h.T.Errorf("the first page of one is %+v", first)
		}
		second := h.sessions(desk.Secret, op.Page{Limit: 1, Cursor: first.NextCursor})
		if second.HasMore || second.Data[0].ID != phone.Session {
			h.T.Errorf("the second page of one is %+v", second)
		}
	})
}

// T-066
func TestAnEndedSessionIsNobodysAtTheVeryNextCall(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		phone, desk := h.signsIn("ann@acme.test", "phone"), h.signsIn("ann@acme.test", "desk")
		bob := h.signsIn("bob@acme.test", "desk")

		ended, err := h.revokes(desk.Secret, phone.Session)
		if err != nil || !ended.EndedAt.Equal(h.Now()) {
			h.T.Fatalf("ann ends the session of her phone: %+v, %v", ended, err)
		}
		h.Dead("the phone's session", phone.Secret)
		h.Works("the desk's session", desk.Secret)
		if got, want := h.Fenced(), []op.Fence{{Kind: op.FenceSession, ID: phone.Session}}; !slices.Equal(got, want) {
			h.T.Errorf("fenced %v, want %v", got, want)
		}
		if _, err := h.revokes(desk.Secret, phone.Session); err != nil {
			h.T.Errorf("ending it again: %v", err)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'sessions.revoke' AND outcome = 'unchanged'", desk.User); n != 1 {
			h.T.Errorf("%d rows say that ending it again changed nothing, want 1", n)
		}

		if _, err := h.revokes(desk.Secret, "current"); err != nil {
			h.T.Fatalf("ann signs out: %v", err)
		}
		h.Dead("the session that signed out", desk.Secret)
		h.Works("bob's session", bob.Secret)
	})
}

func TestNobodyEndsOrSeesAnothersSession(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann, bob := h.signsIn("ann@acme.test", "a"), h.signsIn("bob@acme.test", "b")
		_, foreign := h.revokes(bob.Secret, ann.Session)
		_, missing := h.revokes(bob.Secret, "ses_01k9v5x0w3m8q6t2c4h7n0r5sz")
		h.Refused("ending ann's session as bob", foreign, "not_found")
		if foreign.Error() != missing.Error() {
			h.T.Errorf("a foreign session answers %q and a missing one %q", foreign, missing)
		}
		h.Works("ann's session", ann.Secret)
		_, err := credential.ListSessions.Call(h.T.Context(), h.Service, credential.ListSessionsInput{Page: op.Page{Limit: 1}})
		h.Refused("listing as nobody", err, "unauthenticated")
	})
}

func TestEndingAllSessionsKeepsTheCurrentOneOnlyIfAsked(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		desk, phone, bob := h.signsIn("ann@acme.test", ""), h.signsIn("ann@acme.test", ""), h.signsIn("bob@acme.test", "")
		all := func(keep bool) int {
			h.T.Helper()
			out, err := credential.RevokeSessions.Call(h.As(desk.Secret), h.Service, credential.RevokeSessionsInput{KeepCurrent: keep})
			if err != nil {
				h.T.Fatalf("ending all: %v", err)
			}
			return out.Ended
		}
		if got := all(true); got != 1 {
			h.T.Errorf("ended %d sessions, want the phone's", got)
		}
		h.Dead("the phone's session", phone.Secret)
		h.Works("the desk's session", desk.Secret)
		if got := all(false); got != 1 {
			h.T.Errorf("ended %d sessions, want the desk's", got)
		}
		h.Dead("the desk's session", desk.Secret)
		h.Works("bob's session", bob.Secret)
		fenced := map[op.Fence]bool{}
		for _, f := range h.Fenced() {
			fenced[f] = true
		}
		for _, f := range []op.Fence{{Kind: op.FenceSession, ID: phone.Session}, {Kind: op.FenceSession, ID: desk.Session}, {Kind: op.FenceUser, ID: desk.User}} {
			if !fenced[f] {
				h.T.Errorf("%v is not fenced", f)
			}
		}
	})
}

func TestASessionEndsAtItsLimits(t *testing.T) {
	const moment = time.Microsecond
	for _, row := range []struct {
		name     string
		settings op.Settings
		used     []time.Duration // when it is used and that is written, after sign-in
		at       time.Duration
		alive    bool
	}{
		{"unused, just before the idle limit", op.Settings{}, nil, 14*24*time.Hour - moment, true},
		{"unused, at the idle limit", op.Settings{}, nil, 14 * 24 * time.Hour, false},
		{"used in between, past the first idle limit", op.Settings{}, []time.Duration{10 * 24 * time.Hour}, 20 * 24 * time.Hour, true},
		{"used in between, at the second idle limit", op.Settings{}, []time.Duration{10 * 24 * time.Hour}, 24 * 24 * time.Hour, false},
		{"used all the time, just before its longest life", op.Settings{}, []time.Duration{10 * 24 * time.Hour, 20 * 24 * time.Hour}, 30*24*time.Hour - moment, true},
		{"used all the time, at its longest life", op.Settings{}, []time.Duration{10 * 24 * time.Hour, 20 * 24 * time.Hour}, 30 * 24 * time.Hour, false},
		{"without an idle limit, just before its longest life", op.Settings{SessionIdle: -1, SessionLife: 90 * 24 * time.Hour}, nil, 90*24*time.Hour - moment, true},
		{"without an idle limit, at its longest life", op.Settings{SessionIdle: -1, SessionLife: 90 * 24 * time.Hour}, nil, 90 * 24 * time.Hour, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			inHalls(t, row.settings, func(h *hall) {
				s := h.signsIn("ann@acme.test", "")
				for _, at := range row.used {
					h.MoveTo(testroom.Monday.Add(at))
					h.Works("the session in between", s.Secret)
					if err := h.sightings.Flush(h.T.Context(), h.DB); err != nil {
						h.T.Fatal(err)
					}
				}
				h.MoveTo(testroom.Monday.Add(row.at))
				if row.alive {
					h.Works("the session", s.Secret)
				} else {
					h.Dead("the session", s.Secret)
				}
				var living int
				err := h.Service.Snapshot(h.T.Context(), func(r *op.Reader) (err error) {
					living, err = credential.CountSessions(h.T.Context(), r, s.User)
					return err
				})
				if err != nil || (living == 1) != row.alive {
					h.T.Errorf("counted %d living sessions (%v), alive is %v", living, err, row.alive)
				}
			})
		})
	}
}

// T-053
func TestAStepUpGivesTheSessionAnotherSecret(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		before := h.signsIn("ann@acme.test", "")
		h.After(time.Hour)
		after, err := stepUp.Call(h.As(before.Secret), h.Service, struct{}{})
		if err != nil {
			h.T.Fatal(err)
		}
		h.Dead("the secret before", before.Secret)
		h.Works("the new secret", after.Secret)
		s := h.sessions(after.Secret, op.Page{}).Data
		if len(s) != 1 || s[0].ID != before.Session || !s[0].SignedInAt.Equal(h.Now()) || !s[0].CreatedAt.Equal(testroom.Monday) {
			h.T.Errorf("after the step-up ann has %+v, want the same session, signed in now", s)
		}
	})
}

// T-024
func TestARoleIsReadAtEveryCallAndNotFromTheSession(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		acme, err := directory.CreateOrganization.Call(h.As(ann.Secret), h.Service, directory.CreateOrganizationInput{Name: "Acme", Slug: "acme"})
		if err != nil {
			h.T.Fatal(err)
		}
		renames := func() error {
			_, err := directory.UpdateOrganization.Call(h.As(ann.Secret), h.Service,
				directory.UpdateOrganizationInput{InOrganization: op.InOrganization{Organization: acme.ID}, Name: new("Acme Ltd")})
			return err
		}
		if err := renames(); err != nil {
			h.T.Fatalf("the owner renames: %v", err)
		}
		h.Exec("UPDATE members SET role = 'viewer' WHERE organization = $1 AND user_id = $2", acme.ID, ann.User)
		h.Refused("renaming as a viewer, in the same session", renames(), "denied")
		h.Exec("UPDATE members SET status = 'removed' WHERE organization = $1 AND user_id = $2", acme.ID, ann.User)
		h.Refused("renaming as a stranger, in the same session", renames(), "not_found")
	})
}

// T-109
func TestCredentialsOlderThanARestoreAreDead(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", "")
		key := h.makesKey("back end")
		h.Exec("UPDATE instance SET recovery_epoch = recovery_epoch + 1")
		h.Dead("the session of before", ann.Secret)
		h.Dead("the service key of before", key.Secret)
		h.Works("a session of afterwards", h.signsIn("ann@acme.test", "").Secret)
	})
}

// T-044, T-050
func TestASessionsSecretIsStoredAndPrintedNowhere(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		ann := h.signsIn("ann@acme.test", firefox)
		if _, err := h.revokes(ann.Secret, "current"); err != nil {
			h.T.Fatal(err)
		}
		again := h.signsIn("ann@acme.test", firefox)
		listed, err := json.Marshal(h.sessions(again.Secret, op.Page{}))
		if err != nil {
			h.T.Fatal(err)
		}
		for _, text := range []string{h.stored(), string(listed)} {
			if strings.Contains(text, ann.Secret) || strings.Contains(text, again.Secret) {
				h.T.Errorf("a session's secret is in %.200s", text)
			}
		}
		if !strings.Contains(h.stored(), "Firefox") {
			h.T.Error("the search found nothing that is stored")
		}
	})
}

func TestDeviceSaysInFewWordsWhatItRunsOn(t *testing.T) {
	for agent, want := range map[string]string{
		firefox: "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15":         "Safari on macOS",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36":                  "Chrome on Android",
		"curl/8.5.0":                       "curl",
		"acme-backend/2.1 (+https://acme)": "acme-backend",
		"":                                 "unknown device",
		"\x00\u202e\n":                     "unknown device",
		strings.Repeat("x", 500):           strings.Repeat("x", 40),
	} {
		if got := credential.Device(agent); got != want {
			t.Errorf("Device(%q) = %q, want %q", agent, got, want)
		}
	}
}
