package signin_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

const (
	product = "https://app.acme.test/signed-in"
	state   = "3q2-7w+/=&A?b"
)

// backEnd is the product's own, with a service key.
func (h *hall) backEnd() (key string) {
	h.T.Helper()
	made, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "back end"})
	h.Must(err)
	return made.Secret
}

// handsOff hands a person on, and gives the code of the address that the browser is sent to.
func (h *hall) handsOff(session string) (code string) {
	h.T.Helper()
	out, err := signin.HandOff.Call(h.As(session), h.Service, signin.HandOffInput{ReturnTo: product, State: state})
	h.Must(err)
	to, err := url.Parse(out.RedirectTo)
	h.Must(err)
	if !strings.HasPrefix(out.RedirectTo, product+"?") || to.Query().Get("state") != state || !out.SecretShown {
		h.T.Fatalf("the browser is sent to %+v", out)
	}
	return to.Query().Get("code")
}

func (h *hall) exchanges(as string, in signin.ExchangeInput) (signin.Exchanged, error) {
	return signin.Exchange.Call(h.As(as), h.Service, in)
}

func TestTheProductLearnsWhoCameAndGetsASession(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		made, err := directory.CreateOrganization.Call(h.As(ann.Secret), h.Service, directory.CreateOrganizationInput{Name: "Acme"})
		h.Must(err)
		code := h.handsOff(ann.Secret)
		got, err := h.exchanges(key, signin.ExchangeInput{Code: code, State: state, ReturnTo: product})
		h.Must(err)
		if got.User.ID != ann.User.ID || got.User.Email != "ann@acme.test" || !got.SecretShown {
			h.T.Errorf("got %+v", got)
		}
		if len(got.Organizations) != 1 || got.Organizations[0].ID != made.ID || got.Organizations[0].Role != "owner" {
			h.T.Errorf("got organizations %+v", got.Organizations)
		}
		h.Works("the product's session", got.Secret)
		h.Works("the browser's session", ann.Secret)
		mine, err := credential.ListSessions.Call(h.As(ann.Secret), h.Service, credential.ListSessionsInput{})
		h.Must(err)
		shown := slices.IndexFunc(mine.Data, func(s credential.Session) bool { return s.ID == got.Session })
		if shown < 0 || mine.Data[shown].Device != "app.acme.test" || mine.Data[shown].Method != "handoff" {
			h.T.Errorf("ann sees her sessions as %+v", mine.Data)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action IN ('sessions.handoff', 'sessions.exchange')", ann.User.ID); n != 2 {
			h.T.Errorf("ann's stream has %d rows about it, want 2", n)
		}
		if kept := h.stored(); strings.Contains(kept, code) || strings.Contains(kept, got.Secret) {
			h.T.Error("a secret is kept")
		}
	})
}

// T-056
func TestACodeIsForItsOwnBrowserAndProduct(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		for name, in := range map[string]signin.ExchangeInput{
			"another browser's state": {State: "other"},
			"a state cut short":       {State: state[:5]},
			"another product":         {State: state, ReturnTo: "https://app.acme.test/"},
		} {
			in.Code = h.handsOff(ann.Secret)
			_, err := h.exchanges(key, in)
			h.Refused(name, err, "code_mismatch")
			_, err = h.exchanges(key, signin.ExchangeInput{Code: in.Code, State: state, ReturnTo: product})
			h.Refused(name+", and then the right one", err, "code_used")
		}
		if n := h.Number("SELECT count(*) FROM sessions"); n != 1 {
			h.T.Errorf("there are %d sessions, want ann's alone", n)
		}
		_, err := h.exchanges(key, signin.ExchangeInput{Code: h.handsOff(ann.Secret)})
		h.Refused("no state", err, "invalid")
		for _, wrong := range []string{"", "a b", "a\nb", "ä", strings.Repeat("x", 257)} {
			_, err := signin.HandOff.Call(h.As(ann.Secret), h.Service, signin.HandOffInput{ReturnTo: product, State: wrong})
			h.Refused(fmt.Sprintf("the state %q", wrong), err, "invalid")
		}
	})
}

func TestACodeEndsExactlyAtItsTime(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		for _, row := range []struct {
			after time.Duration
			alive bool
		}{{time.Minute - time.Microsecond, true}, {time.Minute, false}, {time.Hour, false}} {
			code := h.handsOff(ann.Secret)
			h.After(row.after)
			_, err := h.exchanges(key, signin.ExchangeInput{Code: code, State: state})
			if row.alive && err != nil {
				h.T.Errorf("after %v: %v", row.after, err)
			} else if !row.alive {
				h.Refused(fmt.Sprintf("after %v", row.after), err, "code_expired")
			}
		}
		code := h.handsOff(ann.Secret)
		_, err := credential.RevokeSession.Call(h.As(ann.Secret), h.Service, credential.RevokeSessionInput{Session: "current"})
		h.Must(err)
		_, err = h.exchanges(key, signin.ExchangeInput{Code: code, State: state})
		h.Refused("after signing out", err, "code_expired")
	})
}

func TestACodeThatComesTwiceEndsTheSession(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		in := signin.ExchangeInput{Code: h.handsOff(ann.Secret), State: state}
		first, err := h.exchanges(key, in)
		h.Must(err)
		other, err := h.exchanges(key, signin.ExchangeInput{Code: h.handsOff(ann.Secret), State: state})
		h.Must(err)
		h.Fenced()
		_, err = h.exchanges(key, in)
		h.Refused("the code again", err, "code_used")
		if want := []op.Fence{{Kind: op.FenceSession, ID: first.Session}}; !slices.Equal(h.Fenced(), want) {
			h.T.Errorf("the session is not fenced")
		}
		h.Dead("the session of the code", first.Secret)
		h.Works("the session of another code", other.Secret)
		h.Works("the browser's session", ann.Secret)
	})
}

func TestManyBringOneCode(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		in := signin.ExchangeInput{Code: h.handsOff(ann.Secret), State: state}
		var all sync.WaitGroup
		won := make(chan string, 10)
		for range cap(won) {
			all.Go(func() {
				if got, err := h.exchanges(key, in); err == nil {
					won <- got.Secret
				}
			})
		}
		all.Wait()
		if close(won); len(won) != 1 {
			h.T.Fatalf("%d exchanges of one code went well, want 1", len(won))
		}
		h.Dead("the session of a code that came ten times", <-won)
	})
}

func TestARepeatOfAnExchangeIsNoSecondUse(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		in := signin.ExchangeInput{Code: h.handsOff(ann.Secret), State: state}
		first, err := signin.Exchange.Call(h.As(key), h.Service, in, op.IdempotencyKey("one"))
		h.Must(err)
		again, err := signin.Exchange.Call(h.As(key), h.Service, in, op.IdempotencyKey("one"))
		h.Must(err)
		if again.Session != first.Session || again.SecretShown || again.Secret != "" {
			h.T.Errorf("a repeat is answered %+v", again)
		}
		h.Works("the session", first.Secret)
	})
}

func TestWhoHandsOffAndWhoExchanges(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann, key := h.signsIn("ann@acme.test"), h.backEnd()
		in := signin.ExchangeInput{Code: h.handsOff(ann.Secret), State: state}
		_, err := h.exchanges(ann.Secret, in)
		h.Refused("a person exchanges", err, "service_only")
		_, err = signin.Exchange.Call(h.Nobody(), h.Service, in)
		h.Refused("nobody exchanges", err, "unauthenticated")
		got, err := h.exchanges(key, in)
		h.Must(err)

		on := signin.HandOffInput{ReturnTo: product, State: state}
		_, err = signin.HandOff.Call(h.As(got.Secret), h.Service, on)
		h.Refused("a product hands on what it was handed", err, "handed_off")
		_, err = signin.HandOff.Call(h.As(key), h.Service, on)
		h.Refused("a back end hands itself on", err, "people_only")
		_, err = signin.HandOff.Call(h.Nobody(), h.Service, on)
		h.Refused("nobody hands themselves on", err, "unauthenticated")
		for _, code := range []string{"x", strings.Repeat("0", len(in.Code)), in.Code[1:] + "0"} {
			_, err = h.exchanges(key, signin.ExchangeInput{Code: code, State: state})
			h.Refused("the code "+code, err, "not_found")
		}
	})
}

// T-055
func TestNobodyIsHandedElsewhere(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		for _, address := range append(slices.Clone(elsewhere), "/", "/o/acme", product+"/", product+"?", product+"#", strings.ToUpper(product)) {
			if address == product || !utf8.ValidString(address) { // listed here, or nothing that JSON can say
				continue
			}
			out, err := signin.HandOff.Call(h.As(ann.Secret), h.Service, signin.HandOffInput{ReturnTo: address, State: state})
			if err == nil || op.AsError(err).Kind != op.Invalid && op.AsError(err).Kind != op.Malformed {
				h.T.Errorf("%q: handed to %q, %v", address, out.RedirectTo, err)
			}
		}
		if n := h.Number("SELECT count(*) FROM handoffs"); n != 0 {
			h.T.Errorf("%d codes were made", n)
		}
	})
}

func TestOldHandOffsAreForgotten(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		h.handsOff(ann.Secret)
		h.After(24 * time.Hour)
		h.Must(signin.Purge(h.T.Context(), h.DB, h.Now()))
		kept := h.Number("SELECT count(*) FROM handoffs")
		h.After(time.Minute)
		h.Must(signin.Purge(h.T.Context(), h.DB, h.Now()))
		if left := h.Number("SELECT count(*) FROM handoffs"); kept != 1 || left != 0 {
			h.T.Errorf("a day after its end %d are kept, and then %d; want 1, and then 0", kept, left)
		}
	})
}
