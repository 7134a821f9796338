package signin_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

func (h *hall) device() *testroom.Authenticator {
	return testroom.NewAuthenticator(h.T, settings.BaseURL)
}

// options asks for the options of a new passkey.
func (h *hall) options(ctx context.Context) string {
	h.T.Helper()
	o, err := signin.BeginPasskey.Call(ctx, h.Service, signin.BeginPasskeyInput{})
	h.Must(err)
	return o.Options
}

// asksPasskey asks for the options to use one.
func (h *hall) asksPasskey(ctx context.Context, purpose string) string {
	h.T.Helper()
	o, err := signin.BeginPasskeySignIn.Call(ctx, h.Service, signin.BeginPasskeySignInInput{Purpose: purpose})
	h.Must(err)
	return o.Options
}

// registers adds a device's passkey to the account of whoever calls.
func (h *hall) registers(ctx context.Context, d *testroom.Authenticator) signin.Passkey {
	h.T.Helper()
	p, err := h.creates(ctx, d.Creates(h.options(ctx)))
	h.Must(err)
	return p
}

func (h *hall) creates(ctx context.Context, credential string) (signin.Passkey, error) {
	return signin.CreatePasskey.Call(ctx, h.Service, signin.CreatePasskeyInput{Credential: credential, Name: "Laptop"})
}

func (h *hall) entersBy(ctx context.Context, credential string) (signin.SignedIn, error) {
	return signin.PasskeySignIn.Call(ctx, h.Service, signin.PasskeyProof{Credential: credential, ReturnTo: "/o/acme"})
}

func (h *hall) provesBy(ctx context.Context, credential string) (signin.Verified, error) {
	return signin.VerifyByPasskey.Call(ctx, h.Service, signin.PasskeyProof{Credential: credential})
}

func TestAPasskeyIsAddedAndSignsIn(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		d.Flags |= testroom.BackupEligible
		p := h.registers(h.As(ann.Secret), d)
		if p.Name != "Laptop" || !p.Synced || p.BackedUp || !p.LastUsedAt.IsZero() || len(p.Transports) != 1 {
			h.T.Errorf("registered %+v", p)
		}
		if m := h.lastMail(); m.To != "ann@acme.test" || !strings.Contains(m.Subject, "Passkey added") || !strings.Contains(m.Text, "Laptop") {
			h.T.Errorf("the mail about it: %+v", m)
		}
		d.Flags |= testroom.BackedUp
		in, err := h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Must(err)
		if in.User.ID != ann.User.ID || in.Session.Method != "passkey" || in.ReturnTo != "/o/acme" || in.Created || !in.SecretShown {
			h.T.Errorf("signed in as %+v", in)
		}
		h.Works("the session of the passkey", in.Secret)
		list, err := signin.ListPasskeys.Call(h.As(in.Secret), h.Service, signin.ListPasskeysInput{})
		h.Must(err)
		if len(list.Data) != 1 || !list.Data[0].BackedUp || list.Data[0].LastUsedAt.IsZero() {
			h.T.Errorf("listed %+v", list.Data)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action IN ('passkeys.create', 'signin.passkey') AND outcome = 'ok'", ann.User.ID); n != 2 {
			h.T.Errorf("%d rows in ann's own log, want 2", n)
		}
	})
}

// TestNoOtherAnswerSignsIn: whatever is wrong with an answer, it is told alike, known person or not. T-006, T-056
func TestNoOtherAnswerSignsIn(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		h.registers(h.As(ann.Secret), d)
		good := func() string { return h.asksPasskey(h.Nobody(), "sign_in") }
		for what, answer := range map[string]func() string{
			"a passkey that nobody registered": func() string { x := h.device(); x.Handle = d.Handle; return x.Signs(good()) },
			"another key with its id":          func() string { x := h.device(); x.ID, x.Handle = d.ID, d.Handle; return x.Signs(good()) },
			"another person's handle":          func() string { x := *d; x.Handle = []byte("usr_other"); return x.Signs(good()) },
			"another origin":                   func() string { x := *d; x.Origin = "https://evil.test"; return x.Signs(good()) },
			"a user who is not verified":       func() string { x := *d; x.Flags = 0; return x.Signs(good()) },
			"another eligibility for backups":  func() string { x := *d; x.Flags |= testroom.BackupEligible; return x.Signs(good()) },
			"a challenge to verify":            func() string { return d.Signs(h.asksPasskey(h.As(ann.Secret), "verify")) },
			"a challenge to register": func() string {
				return d.Signs(strings.Replace(h.options(h.As(ann.Secret)), `"rp":`, `"rpId":"accounts.acme.test","rp":`, 1))
			},
			"a challenge of somebody's own": func() string {
				return d.Signs(`{"challenge":"` + strings.Repeat("A", 80) + `","rpId":"accounts.acme.test"}`)
			},
			"a new passkey": func() string { return h.device().Creates(h.options(h.As(ann.Secret))) },
			"no credential": func() string { return `{"type":"public-key"}` },
			"no JSON":       func() string { return "hello" },
		} {
			_, err := h.entersBy(h.Nobody(), answer())
			if e := h.Refused(what, err, "not_found"); e != nil && e.Text != op.ErrNotFound.Text {
				h.T.Errorf("%s is told %q", what, e.Text)
			}
		}
		if n := h.Number("SELECT count(*) FROM sessions WHERE method = 'passkey'"); n != 0 {
			h.T.Errorf("%d sessions began", n)
		}
	})
}

func TestAnAnswerOfAPasskeyCountsOnceAndForFiveMinutes(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		h.registers(h.As(ann.Secret), d)
		answer := d.Signs(h.asksPasskey(h.Nobody(), ""))
		var won, refused int
		var lock sync.Mutex
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, err := h.entersBy(h.Nobody(), answer)
				lock.Lock()
				defer lock.Unlock()
				if err == nil {
					won++
				} else if op.AsError(err).FullCode() == "proof_used" {
					refused++
				}
			})
		}
		all.Wait()
		if won != 1 || refused != 4 {
			h.T.Errorf("one answer signed in %d times and was refused %d times, want 1 and 4", won, refused)
		}
		for _, row := range []struct {
			after time.Duration
			want  string
		}{{5*time.Minute - time.Microsecond, ""}, {5 * time.Minute, "proof_expired"}} {
			options := h.asksPasskey(h.Nobody(), "")
			h.After(row.after)
			_, err := h.entersBy(h.Nobody(), d.Signs(options))
			if row.want == "" {
				h.Must(err)
			} else {
				h.Refused("after "+row.after.String(), err, row.want)
			}
		}
		h.Must(signin.Purge(h.T.Context(), h.DB, h.Now().Add(25*time.Hour)))
		if n := h.Number("SELECT count(*) FROM passkey_challenges"); n != 0 {
			h.T.Errorf("%d used challenges are kept for ever", n)
		}
	})
}

// TestACounterThatGoesBackIsRefused: there may be a copy of the key. Counters that stay at zero say nothing.
func TestACounterThatGoesBackIsRefused(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		h.registers(h.As(ann.Secret), d)
		d.Count = 41
		_, err := h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Must(err)
		for _, count := range []uint32{40, 41} {
			d.Count = count - 1
			_, err = h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
			h.Refused("a counter that went back", err, "passkey_copied")
			if m := h.lastMail(); m.To != "ann@acme.test" || !strings.Contains(m.Subject, "refused") {
				h.T.Errorf("the warning: %+v", m)
			}
		}
		if n := h.Number("SELECT sign_count FROM passkeys"); n != 42 {
			h.T.Errorf("the counter is at %d, want 42", n)
		}
		d.Count = 42
		_, err = h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Must(err)
		synced := h.device()
		h.registers(h.As(ann.Secret), synced)
		for range 2 {
			synced.Count = ^uint32(0) // so that it says 0
			_, err = h.entersBy(h.Nobody(), synced.Signs(h.asksPasskey(h.Nobody(), "")))
			h.Must(err)
		}
	})
}

// TestAPasskeyBelongsToOnePerson: two accounts never share a passkey, so neither gets at the other by it. T-026
func TestAPasskeyBelongsToOnePerson(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, bob := h.signsIn("ann@acme.test"), h.signsIn("bob@acme.test")
		d := h.device()
		p := h.registers(h.As(ann.Secret), d)
		_, err := h.creates(h.As(bob.Secret), d.Creates(h.options(h.As(bob.Secret))))
		h.Refused("the passkey of somebody else", err, "passkey_exists")
		_, err = h.creates(h.As(bob.Secret), h.device().Creates(h.options(h.As(ann.Secret))))
		h.Refused("the challenge of another session", err, "invalid")
		one := signin.PasskeyInput{Passkey: p.ID}
		_, err = signin.DeletePasskey.Call(h.As(bob.Secret), h.Service, one)
		h.Refused("deleting somebody else's", err, "not_found")
		_, err = signin.UpdatePasskey.Call(h.As(bob.Secret), h.Service, signin.UpdatePasskeyInput{PasskeyInput: one, Name: "mine"})
		h.Refused("renaming somebody else's", err, "not_found")
		d.Handle = []byte(ann.User.ID)
		in, err := h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Must(err)
		if in.User.ID != ann.User.ID {
			h.T.Errorf("ann's passkey signs %s in", in.User.Email)
		}
	})
}

func TestAPasskeyIsRenamedAndRemoved(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		p := h.registers(h.As(ann.Secret), d)
		one := signin.PasskeyInput{Passkey: p.ID}
		renamed, err := signin.UpdatePasskey.Call(h.As(ann.Secret), h.Service, signin.UpdatePasskeyInput{PasskeyInput: one, Name: " Phone "})
		h.Must(err)
		if renamed.Name != "Phone" || renamed.Version != 2 {
			h.T.Errorf("renamed to %+v", renamed)
		}
		h.After(11 * time.Minute)
		_, err = signin.DeletePasskey.Call(h.browser(ann.Secret), h.Service, one)
		h.Refused("removing with an old sign-in", err, "verification_required")
		_, err = h.creates(h.browser(ann.Secret), h.device().Creates(h.options(h.browser(ann.Secret))))
		h.Refused("adding with an old sign-in", err, "verification_required")
		_, err = signin.DeletePasskey.Call(h.As(ann.Secret), h.Service, one)
		h.Must(err)
		if m := h.lastMail(); !strings.Contains(m.Subject, "Passkey removed") {
			h.T.Errorf("the mail about it: %+v", m)
		}
		_, err = h.entersBy(h.Nobody(), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Refused("a removed passkey", err, "not_found")
		if kept := h.Stored("detail FROM audit_rows", "id FROM audit_subjects"); strings.Contains(kept, "Phone") || strings.Contains(kept, "Laptop") {
			h.T.Error("the log keeps what the person called their device, outside of what is erased with them")
		}
	})
}

// TestAPasskeyVerifies: the session gets a new secret, and is fresh; only an own passkey that this session asked for counts.
func TestAPasskeyVerifies(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, bob := h.signsIn("ann@acme.test"), h.signsIn("bob@acme.test")
		mine, his := h.device(), h.device()
		h.registers(h.As(ann.Secret), mine)
		h.registers(h.As(bob.Secret), his)
		h.After(time.Hour)
		_, err := dangerous.Call(h.browser(ann.Secret), h.Service, struct{}{})
		h.Refused("an old sign-in", err, "verification_required")
		options := h.asksPasskey(h.browser(ann.Secret), "verify")
		if !strings.Contains(options, `"allowCredentials":[{`) {
			h.T.Errorf("the options name no passkey: %s", options)
		}
		_, err = h.provesBy(h.browser(ann.Secret), his.Signs(options))
		h.Refused("somebody else's passkey", err, "not_found")
		_, err = h.provesBy(h.browser(ann.Secret), mine.Signs(h.asksPasskey(h.browser(bob.Secret), "verify")))
		h.Refused("the challenge of another session", err, "not_found")
		_, err = h.provesBy(h.browser(ann.Secret), mine.Signs(h.asksPasskey(h.Nobody(), "sign_in")))
		h.Refused("a challenge to sign in", err, "not_found")
		mine.Handle = nil // authenticators need not say it when they are told which passkey
		out, err := h.provesBy(h.browser(ann.Secret), mine.Signs(options))
		h.Must(err)
		if out.Session.ID != ann.Session.ID || out.Secret == ann.Secret {
			h.T.Errorf("verified %+v", out)
		}
		h.Dead("the secret before", ann.Secret)
		if _, err := dangerous.Call(h.browser(out.Secret), h.Service, struct{}{}); err != nil {
			h.T.Errorf("after it: %v", err)
		}
		_, err = signin.BeginPasskeySignIn.Call(h.Nobody(), h.Service, signin.BeginPasskeySignInInput{Purpose: "verify"})
		h.Refused("verifying nobody", err, "unauthenticated")
	})
}

func TestPasskeysNeedAHostName(t *testing.T) {
	inHalls(t, func(h *hall) {
		h.Serve(op.Config{Operations: signin.Operations(), Settings: op.Settings{BaseURL: "http://127.0.0.1:8080"}, Fence: h.Fence})
		_, err := signin.BeginPasskeySignIn.Call(h.Nobody(), h.Service, signin.BeginPasskeySignInInput{})
		h.Refused("passkeys at an address", err, "passkeys_unavailable")
	})
}

func TestThereAreSoManyPasskeys(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		for range 25 {
			h.registers(h.As(ann.Secret), h.device())
		}
		_, err := h.creates(h.As(ann.Secret), h.device().Creates(h.options(h.As(ann.Secret))))
		h.Refused("one too many", err, "too_many_passkeys")
	})
}

// TestASignInReplacesTheBrowsersSession: by passkey and by second factor, as by mail. T-053
func TestASignInReplacesTheBrowsersSession(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		d := h.device()
		h.registers(h.As(ann.Secret), d)
		h.Most = 10 // a sign-in, beside which a session ends and a mail warns
		second, err := h.entersBy(h.browser(ann.Secret), d.Signs(h.asksPasskey(h.Nobody(), "")))
		h.Must(err)
		h.Dead("the session before", ann.Secret)
		a := h.setsUp(h.As(second.Secret))
		third, err := signin.FinishSignIn.Call(h.browser(second.Secret), h.Service, signin.SecondFactorInput{Token: h.halfWay("ann@acme.test"), Code: a.shows(0)})
		h.Must(err)
		h.Dead("the session of the passkey", second.Secret)
		_, err = signin.FinishSignIn.Call(h.browser(third.Secret), h.Service, signin.SecondFactorInput{Token: h.halfWay("ann@acme.test"), Code: a.codes[0]})
		h.Must(err)
		h.Dead("the session of the app", third.Secret)
	})
}
