package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// app is somebody's authenticator app.
type app struct {
	h      *hall
	secret string
	codes  []string // for recovery
}

// shows is the code of a moment.
func (a app) shows(after time.Duration) string {
	a.h.T.Helper()
	code, err := totp.GenerateCode(a.secret, a.h.Now().Add(after))
	a.h.Must(err)
	return code
}

func (a app) wrong() string {
	for _, code := range []string{"000000", "111111", "222222", "333333"} {
		if code != a.shows(-30*time.Second) && code != a.shows(0) && code != a.shows(30*time.Second) {
			return code
		}
	}
	return ""
}

// setsUp sets an authenticator app up for whoever calls.
func (h *hall) setsUp(ctx context.Context) app {
	h.T.Helper()
	setup, err := signin.BeginTotp.Call(ctx, h.Service, signin.TotpInput{})
	h.Must(err)
	a := app{h: h, secret: setup.Secret}
	done, err := signin.CreateTotp.Call(ctx, h.Service, signin.CodeInput{Code: a.shows(0)})
	h.Must(err)
	a.codes = done.Codes
	h.After(30 * time.Second)
	return a
}

// halfWay proves an address, and wants to be asked for more.
func (h *hall) halfWay(email string) string {
	h.T.Helper()
	in := h.signsIn(email)
	if in.SecondFactor == nil || in.Secret != "" || in.Session.ID != "" || in.SecretShown || in.SecondFactor.Token == "" {
		h.T.Fatalf("%s signed in by mail alone: %+v", email, in)
	}
	return in.SecondFactor.Token
}

func (h *hall) finishes(token, code string) (signin.SignedIn, error) {
	return signin.FinishSignIn.Call(h.Nobody(), h.Service, signin.SecondFactorInput{Token: token, Code: code})
}

func TestAnAuthenticatorAppIsAskedAfterTheMail(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		setup, err := signin.BeginTotp.Call(h.As(ann.Secret), h.Service, signin.TotpInput{})
		h.Must(err)
		if !strings.HasPrefix(setup.URL, "otpauth://totp/") || !strings.Contains(setup.URL, setup.Secret) || !strings.HasPrefix(setup.QR, "data:image/png;base64,") {
			h.T.Errorf("the setup: %+v", setup)
		}
		if in := h.signsIn("ann@acme.test"); in.SecondFactor != nil {
			h.T.Error("a secret that was never confirmed asks for a code")
		}
		a := h.setsUp(h.As(ann.Secret))
		if m := h.lastMail(); m.To != "ann@acme.test" || !strings.Contains(m.Subject, "Authenticator app set up") {
			h.T.Errorf("the mail about it: %+v", m)
		}
		if len(a.codes) != 10 {
			h.T.Errorf("%d recovery codes", len(a.codes))
		}
		for _, secret := range append([]string{a.secret}, a.codes...) {
			if strings.Contains(h.stored()+h.Stored("secret FROM totps", "hash FROM recovery_codes"), secret) {
				h.T.Errorf("%s stands in the database", secret)
			}
		}
		token := h.halfWay("ann@acme.test")
		in, err := h.finishes(token, a.shows(0)[:3]+" "+a.shows(0)[3:])
		h.Must(err)
		if in.User.ID != ann.User.ID || in.Session.Method != "mail+totp" || !in.SecretShown {
			h.T.Errorf("signed in as %+v", in)
		}
		h.Works("the session of both factors", in.Secret)
		_, err = h.finishes(token, a.shows(30*time.Second))
		h.Refused("the sign-in a second time", err, "proof_used")
		if n := h.Number("SELECT count(*) FROM sessions WHERE user_id = $1 AND method = 'mail'", ann.User.ID); n != 2 {
			h.T.Errorf("%d sessions by mail alone, want the 2 from before", n)
		}
	})
}

func TestACodeOfTheAppCountsOnceAndForAStepAround(t *testing.T) {
	inHalls(t, func(h *hall) {
		a := h.setsUp(h.As(h.signsIn("ann@acme.test").Secret))
		h.After(time.Hour)
		for _, row := range []struct {
			what  string
			after time.Duration
			good  bool
		}{{"two steps ago", -time.Minute, false}, {"one step ago", -30 * time.Second, true}, {"now", 0, true}, {"now, once more", 0, false},
			{"one step ago, after now", -30 * time.Second, false}, {"one step ahead", 30 * time.Second, true}, {"two steps ahead", time.Minute, false}} {
			_, err := h.finishes(h.halfWay("ann@acme.test"), a.shows(row.after))
			if row.good && err != nil {
				h.T.Errorf("the code of %s: %v", row.what, err)
			} else if !row.good {
				h.Refused("the code of "+row.what, err, "wrong_code")
			}
		}
	})
}

// TestCodesOfAnAppCannotBeGuessed: five a sign-in and twenty-five a day, however often somebody begins anew. T-048
func TestCodesOfAnAppCannotBeGuessed(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		a := h.setsUp(h.As(ann.Secret))
		var token string
		for range 5 {
			h.After(time.Hour) // an address gets ten mails within one
			token = h.halfWay("ann@acme.test")
			for range 5 {
				_, err := h.finishes(token, a.wrong())
				h.Refused("a wrong code", err, "wrong_code")
			}
			_, err := h.finishes(token, a.shows(0))
			h.Refused("the right code after five wrong ones", err, "no_tries_left")
		}
		token = h.halfWay("ann@acme.test")
		_, err := h.finishes(token, a.shows(0))
		h.Refused("the right code after twenty-five wrong ones", err, "no_tries_left")
		_, err = signin.VerifyByTotp.Call(h.As(ann.Secret), h.Service, signin.VerifyCodeInput{Code: a.shows(0)})
		h.Refused("verifying after twenty-five wrong ones", err, "no_tries_left")
		if in, err := h.finishes(token, a.codes[0]); err != nil || in.Session.Method != "mail+recovery_code" {
			h.T.Errorf("a recovery code: %+v, %v", in, err)
		}
		h.After(23 * time.Hour)
		if _, err := h.finishes(h.halfWay("ann@acme.test"), a.shows(0)); err != nil {
			h.T.Errorf("the day after: %v", err)
		}
	})
}

func TestARecoveryCodeCountsOnceAndIsMailed(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, bob := h.signsIn("ann@acme.test"), h.signsIn("bob@acme.test")
		a, b := h.setsUp(h.As(ann.Secret)), h.setsUp(h.As(bob.Secret))
		_, err := h.finishes(h.halfWay("ann@acme.test"), b.codes[0])
		h.Refused("somebody else's recovery code", err, "wrong_code")
		in, err := h.finishes(h.halfWay("ann@acme.test"), " "+strings.ToUpper(a.codes[3]))
		h.Must(err)
		if in.Session.Method != "mail+recovery_code" {
			h.T.Errorf("signed in by %s", in.Session.Method)
		}
		if m := h.lastMail(); m.To != "ann@acme.test" || !strings.Contains(m.Subject, "recovery code was used") || !strings.Contains(m.Text, "9 left") {
			h.T.Errorf("the warning: %+v", m)
		}
		_, err = h.finishes(h.halfWay("ann@acme.test"), a.codes[3])
		h.Refused("the same once more", err, "wrong_code")
		status, err := signin.GetTotp.Call(h.As(in.Secret), h.Service, signin.TotpInput{})
		h.Must(err)
		if !status.Enabled || status.RecoveryCodesLeft != 9 {
			h.T.Errorf("it stands at %+v", status)
		}
		fresh, err := signin.NewRecoveryCodes.Call(h.As(in.Secret), h.Service, signin.TotpInput{})
		h.Must(err)
		_, err = h.finishes(h.halfWay("ann@acme.test"), a.codes[4])
		h.Refused("one of those before", err, "wrong_code")
		_, err = h.finishes(h.halfWay("ann@acme.test"), fresh.Codes[9])
		h.Must(err)
	})
}

// TestTheSecondFactorVerifies: it makes the sign-in fresh, and a mail alone does not where there is one.
func TestTheSecondFactorVerifies(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		_, err := signin.VerifyByTotp.Call(h.As(ann.Secret), h.Service, signin.VerifyCodeInput{Code: "123456"})
		h.Refused("without an app", err, "not_found")
		a := h.setsUp(h.As(ann.Secret))
		h.After(time.Hour)
		p := h.proof(h.begins(h.browser(ann.Secret), signin.BeginSignInInput{Purpose: "verify"}))
		_, err = h.verifies(h.browser(ann.Secret), p.byCode())
		h.Refused("a mail alone", err, "second_factor_required")
		_, err = signin.DeleteTotp.Call(h.browser(ann.Secret), h.Service, signin.TotpInput{})
		h.Refused("removing it with an old sign-in", err, "verification_required")
		_, err = signin.NewRecoveryCodes.Call(h.browser(ann.Secret), h.Service, signin.TotpInput{})
		h.Refused("new recovery codes with an old sign-in", err, "verification_required")
		out, err := signin.VerifyByTotp.Call(h.browser(ann.Secret), h.Service, signin.VerifyCodeInput{Code: a.shows(0), ReturnTo: "/account"})
		h.Must(err)
		if out.ReturnTo != "/account" || out.Session.ID != ann.Session.ID {
			h.T.Errorf("verified %+v", out)
		}
		h.Dead("the secret before", ann.Secret)
		_, err = signin.DeleteTotp.Call(h.browser(out.Secret), h.Service, signin.TotpInput{})
		h.Must(err)
		if in := h.signsIn("ann@acme.test"); in.SecondFactor != nil {
			h.T.Error("a removed app asks for a code")
		}
		h.After(time.Hour)
		_, err = signin.BeginTotp.Call(h.browser(out.Secret), h.Service, signin.TotpInput{})
		h.Refused("setting one up with an old sign-in", err, "verification_required")
	})
}

func TestASignInThatWaitsEnds(t *testing.T) {
	inHalls(t, func(h *hall) {
		a := h.setsUp(h.As(h.signsIn("ann@acme.test").Secret))
		token := h.halfWay("ann@acme.test")
		h.After(10 * time.Minute)
		_, err := h.finishes(token, a.shows(0))
		h.Refused("after ten minutes", err, "proof_expired")
		_, err = h.finishes(strings.Repeat("0", 27), a.shows(0))
		h.Refused("a token that nobody was given", err, "not_found")
		_, err = h.finishes("hello", a.shows(0))
		h.Refused("what is no token", err, "not_found")
		_, err = signin.BeginTotp.Call(h.As(h.passes(a)), h.Service, signin.TotpInput{})
		h.Refused("a second app", err, "totp_exists")
		h.Must(signin.Purge(h.T.Context(), h.DB, h.Now().Add(25*time.Hour)))
		if n := h.Number("SELECT count(*) FROM second_steps"); n != 0 {
			h.T.Errorf("%d sign-ins are kept for ever", n)
		}
		var broken []string
		h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) (err error) { broken, err = signin.Broken(h.T.Context(), r); return err }))
		if len(broken) != 0 {
			h.T.Errorf("broken: %v", broken)
		}
		h.Exec("DELETE FROM totps")
		h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) (err error) { broken, err = signin.Broken(h.T.Context(), r); return err }))
		if len(broken) != 10 {
			h.T.Errorf("ten recovery codes without an app: %v", broken)
		}
	})
}

// passes signs ann in with both factors.
func (h *hall) passes(a app) string {
	h.T.Helper()
	in, err := h.finishes(h.halfWay("ann@acme.test"), a.shows(0))
	h.Must(err)
	return in.Secret
}
