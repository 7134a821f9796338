package signin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

func TestAMailedCodeOrLinkSignsInOnce(t *testing.T) {
	inHalls(t, func(h *hall) {
		for name, way := range map[string]func(p proof) signin.Proof{
			"the code": proof.byCode, "the link": proof.byLink,
			"the code, typed in two groups": func(p proof) signin.Proof {
				return signin.Proof{Challenge: p.challenge, Code: " " + p.code[:3] + "-" + p.code[3:]}
			},
		} {
			p := h.asks("Ann@acme.test")
			in, err := h.completes(h.Nobody(), way(p))
			if err != nil {
				h.T.Fatalf("%s: %v", name, err)
			}
			if in.User.Email != "Ann@acme.test" || !in.SecretShown || in.Session.Method != "mail" || in.Organizations != 0 {
				h.T.Errorf("%s signs in as %+v", name, in)
			}
			h.Works("the session that "+name+" began", in.Secret)
			_, err = h.completes(h.Nobody(), p.byCode())
			h.Refused("the code after "+name, err, "proof_used")
			_, err = h.completes(h.Nobody(), p.byLink())
			h.Refused("the link after "+name, err, "proof_used")
		}
		if n := h.Number("SELECT count(*) FROM users"); n != 1 {
			h.T.Errorf("three sign-ins of one person made %d accounts", n)
		}
	})
}

func TestAFirstSignInMakesTheAccountAndItsAuditStream(t *testing.T) {
	inHalls(t, func(h *hall) {
		first, second := h.signsIn("ann@acme.test"), h.signsIn("ANN@Acme.test")
		if !first.Created || second.Created || first.User.ID != second.User.ID || second.User.Email != "ann@acme.test" {
			h.T.Fatalf("signed in first as %+v, then as %+v", first, second)
		}
		rows := func(where string, args ...any) int64 {
			return h.Number("SELECT count(*) FROM audit_rows WHERE "+where, args...)
		}
		if n := rows("stream = $1 AND action = 'signin.complete' AND outcome = 'ok'", first.User.ID); n != 2 {
			h.T.Errorf("ann's stream has %d sign-ins, want 2", n)
		}
		if n := rows("stream = 'instance' AND action = 'signin.begin' AND actor_kind = 'anonymous'"); n != 2 {
			h.T.Errorf("the instance's stream has %d beginnings, want 2", n)
		}
		if n := h.Number("SELECT seq FROM streams WHERE id = $1", first.User.ID); n != 2 {
			h.T.Errorf("ann's stream is at %d, want 2", n)
		}
		if _, err := directory.CreateOrganization.Call(h.As(second.Secret), h.Service, directory.CreateOrganizationInput{Name: "Acme"}); err != nil {
			h.T.Fatal(err)
		}
		if third := h.signsIn("ann@acme.test"); third.Organizations != 1 {
			h.T.Errorf("an owner signs in with %d organizations, want 1", third.Organizations)
		}
	})
}

func TestAProofEndsExactlyAtItsTime(t *testing.T) {
	inHalls(t, func(h *hall) {
		for _, row := range []struct {
			after time.Duration
			alive bool
		}{{15*time.Minute - time.Microsecond, true}, {15 * time.Minute, false}, {15*time.Minute + time.Microsecond, false}} {
			for name, way := range map[string]func(proof) signin.Proof{"code": proof.byCode, "link": proof.byLink} {
				p := h.asks(fmt.Sprintf("ann%d@acme.test", row.after))
				h.After(row.after)
				_, err := h.completes(h.Nobody(), way(p))
				if row.alive && err != nil {
					h.T.Errorf("the %s after %v: %v", name, row.after, err)
				} else if !row.alive {
					h.Refused(fmt.Sprintf("the %s after %v", name, row.after), err, "proof_expired")
				}
			}
		}
	})
}

func TestBeginningAgainEndsTheMailBefore(t *testing.T) {
	inHalls(t, func(h *hall) {
		old, other := h.asks("ann@acme.test"), h.asks("bob@acme.test")
		fresh := h.asks("ANN@acme.test")
		_, err := h.completes(h.Nobody(), old.byCode())
		h.Refused("the old code", err, "proof_used")
		_, err = h.completes(h.Nobody(), old.byLink())
		h.Refused("the old link", err, "proof_used")
		if _, err := h.completes(h.Nobody(), fresh.byLink()); err != nil {
			h.T.Errorf("the new link: %v", err)
		}
		if _, err := h.completes(h.Nobody(), other.byCode()); err != nil {
			h.T.Errorf("the code of somebody else: %v", err)
		}
	})
}

func TestFiveWrongCodesEndACodeButNotItsLink(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("account %v", known), func(t *testing.T) {
			inHalls(t, func(h *hall) {
				if known {
					h.signsIn("ann@acme.test")
				}
				p := h.asks("ann@acme.test")
				for _, want := range []string{"the code is wrong: 4 tries left", "the code is wrong: 3 tries left", "the code is wrong: 2 tries left", "the code is wrong: 1 try left",
					"the code is wrong, and that was the last try: ask for a new mail"} {
					_, err := h.completes(h.Nobody(), p.wrong().byCode())
					if err == nil || err.Error() != want {
						h.T.Errorf("a wrong code answers %v, want %q", err, want)
					}
				}
				_, err := h.completes(h.Nobody(), p.byCode())
				h.Refused("the right code after five wrong ones", err, "no_tries_left")
				if n := h.Number("SELECT count(*) FROM audit_rows WHERE action = 'signin.complete' AND outcome = 'failed'"); n != 5 {
					h.T.Errorf("%d wrong codes are in the audit log, want 5", n)
				}
				if _, err := h.completes(h.Nobody(), p.byLink()); err != nil {
					h.T.Errorf("the link: %v", err)
				}
			})
		})
	}
}

func TestCodesTriedAtOnceGetNoMoreThanFiveTries(t *testing.T) {
	inHalls(t, func(h *hall) {
		p := h.asks("ann@acme.test")
		together(20, func(int) { _, _ = h.completes(h.Nobody(), p.wrong().byCode()) })
		if n := h.Number("SELECT tries FROM challenges WHERE id = $1", p.challenge); n != 5 {
			h.T.Errorf("%d tries were taken, want 5", n)
		}
		_, err := h.completes(h.Nobody(), p.byCode())
		h.Refused("the right code afterwards", err, "no_tries_left")
	})
}

func TestAProofUsedManyTimesAtOnceBeginsOneSession(t *testing.T) {
	inHalls(t, func(h *hall) {
		for _, who := range []string{"new", "known"} {
			p := h.asks("ann@acme.test")
			before := h.Number("SELECT count(*) FROM sessions")
			together(20, func(n int) {
				way := []signin.Proof{p.byCode(), p.byLink()}[n%2]
				if _, err := h.completes(h.Nobody(), way); err != nil && op.AsError(err).Kind == op.Internal {
					h.T.Errorf("a losing call of a %s account: %v", who, err)
				}
			})
			if n := h.Number("SELECT count(*) FROM sessions") - before; n != 1 {
				h.T.Errorf("one proof of a %s account began %d sessions", who, n)
			}
		}
		if n := h.Number("SELECT count(*) FROM users"); n != 1 {
			h.T.Errorf("there are %d accounts, want 1", n)
		}
	})
}

func together(n int, do func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// answer is a begin's answer as JSON, without what is random, and the number of statements that it took.
func (h *hall) answer(email string) (string, int64) {
	h.T.Helper()
	before := h.DB.Stats().Statements
	c := h.begins(h.Nobody(), signin.BeginSignInInput{Email: email})
	took := h.DB.Stats().Statements - before
	if !strings.HasPrefix(c.ID, "chl_") || len(c.ID) != 30 {
		h.T.Errorf("the challenge's id is %q", c.ID)
	}
	c.ID = "chl_"
	raw, err := json.Marshal(c)
	if err != nil {
		h.T.Fatal(err)
	}
	return string(raw), took
}

// T-006
func TestAnUnknownAddressGetsTheSameAnswerForTheSameWork(t *testing.T) {
	for _, create := range []charter.Creators{charter.AnyoneCreates, charter.ServiceCreates} {
		t.Run(string(create), func(t *testing.T) {
			inHallsOf(t, create, func(h *hall) {
				h.Exec("INSERT INTO users (id, email, email_folded, name, time_zone, version, created_at, updated_at) VALUES ('usr_1', 'amy@acme.test', 'amy@acme.test', '', '', 1, 0, 0)")
				known, knownTook := h.answer("amy@acme.test")
				unknown, unknownTook := h.answer("ann@acme.test")
				if known != unknown {
					h.T.Errorf("a known address answers %s, an unknown one %s", known, unknown)
				}
				if knownTook != unknownTook {
					h.T.Errorf("a known address takes %d statements, an unknown one %d", knownTook, unknownTook)
				}
				if n := len(h.Mails()); n != 2 {
					h.T.Errorf("%d mails were sent, want one to each", n)
				}
				if n := h.Number("SELECT count(DISTINCT detail) FROM audit_rows WHERE action = 'signin.begin'"); n != 1 {
					h.T.Errorf("the audit log tells the two apart in %d ways", n)
				}
			})
		})
	}
}

func TestWhereOnlyTheProductMakesAccountsAStrangerIsToldByMail(t *testing.T) {
	inHallsOf(t, charter.ServiceCreates, func(h *hall) {
		c := h.begins(h.Nobody(), signin.BeginSignInInput{Email: "eve@acme.test"})
		p, m := h.proof(c), h.lastMail()
		if p.code != "" || p.token != "" || m.To != "eve@acme.test" || !strings.Contains(m.Text, "There is no account for it") {
			h.T.Errorf("the stranger gets %+v", m)
		}
		h.Exec("INSERT INTO organizations (id, slug, name, time_zone, region, retention_days, plan, seats, state, version, created_at, updated_at) VALUES ('org_1', 'acme', 'Acme', '', '', 0, '', 0, 'active', 1, 0, 0)")
		invite := func(id, email string, until time.Time) {
			h.Exec(`INSERT INTO invitations (id, organization, email, email_folded, role, state, needs_approval, message, token_hash, invited_by, member_ends_at,
					expires_at, sent_at, sends_today, delivery, delivery_error, mail, accepted_member, settled_at, version, created_at)
				VALUES ($1, 'org_1', $2, $2, 'viewer', 'pending', false, '', $3, '', 0, $4, 0, 0, 'sent', '', '', '', 0, 1, 0)`, id, email, []byte(id), until.UnixMicro())
		}
		invite("inv_1", "bob@acme.test", h.Now().Add(time.Hour))
		invite("inv_2", "late@acme.test", h.Now())
		if in := h.signsIn("bob@acme.test"); !in.Created {
			h.T.Errorf("somebody invited signs in as %+v", in)
		}
		if p := h.asks("late@acme.test"); p.token != "" {
			h.T.Error("an invitation that has expired still opens an account")
		}
	})
}

// T-036
func TestAnAddressGetsTenMailsAnHour(t *testing.T) {
	inHalls(t, func(h *hall) {
		var last proof
		for range 10 {
			last = h.asks("ann@acme.test")
		}
		eleventh := h.begins(h.Nobody(), signin.BeginSignInInput{Email: "ann@acme.test"})
		if n := len(h.Mails()); n != 10 {
			h.T.Errorf("%d mails within an hour, want 10", n)
		}
		if eleventh.Email != "a••@acme.test" || !eleventh.ExpiresAt.Equal(h.Now().Add(15*time.Minute)) {
			h.T.Errorf("the eleventh is answered %+v, want what the others were", eleventh)
		}
		h.asks("bob@acme.test")
		if _, err := h.completes(h.Nobody(), last.byCode()); err != nil {
			h.T.Errorf("the code of the tenth mail: %v", err)
		}
		h.After(time.Hour)
		h.signsIn("ann@acme.test")
	})
}

func TestAClientBeginsSixtyTimesAnHour(t *testing.T) {
	inHalls(t, func(h *hall) {
		for n := range 60 {
			h.begins(h.Nobody(), signin.BeginSignInInput{Email: fmt.Sprintf("u%d@acme.test", n)})
		}
		_, err := signin.BeginSignIn.Call(h.Nobody(), h.Service, signin.BeginSignInInput{Email: "ann@acme.test"})
		h.Refused("the sixty-first", err, "limited")
		h.After(time.Minute)
		h.asks("ann@acme.test")
	})
}

func TestGuessingEverNewCodesEndsWithTheLinkAlone(t *testing.T) {
	inHalls(t, func(h *hall) {
		for range 5 {
			p := h.asks("ann@acme.test")
			for range 5 {
				_, _ = h.completes(h.Nobody(), p.wrong().byCode())
			}
		}
		p := h.asks("ann@acme.test")
		if p.code != "" || p.token == "" {
			h.T.Errorf("after 25 wrong codes the mail has the code %q and the link %q", p.code, p.token)
		}
		for _, code := range []string{"000000", "123456"} {
			_, err := h.completes(h.Nobody(), signin.Proof{Challenge: p.challenge, Code: code})
			h.Refused("any code", err, "no_tries_left")
		}
		if _, err := h.completes(h.Nobody(), p.byLink()); err != nil {
			h.T.Errorf("the link: %v", err)
		}
		if bob := h.asks("bob@acme.test"); bob.code == "" {
			h.T.Error("somebody else gets no code either")
		}
		h.After(day)
		if p := h.asks("ann@acme.test"); p.code == "" {
			h.T.Error("a day later there is still no code")
		}
	})
}

const day = 24 * time.Hour

// T-033, T-044, T-050
func TestSecretsOfASignInAreStoredNowhere(t *testing.T) {
	inHalls(t, func(h *hall) {
		p := h.asks("ann@acme.test")
		q := h.asks("bob@acme.test")
		in, err := h.completes(h.Nobody(), p.byCode())
		if err != nil {
			h.T.Fatal(err)
		}
		text := h.stored()
		for _, secret := range []string{p.token, q.token, in.Secret, `"` + p.code + `"`} {
			if strings.Contains(text, secret) {
				h.T.Errorf("%q is stored", secret)
			}
		}
		if !strings.Contains(text, p.challenge) || len(p.token) < 22 { // 22 letters of base62 have more than 128 bits
			h.T.Errorf("the search misses what is stored, or %q is short", p.token)
		}
		if printed := fmt.Sprintf("%+v %v", in.Session, in.Session.Secret); strings.Contains(printed, in.Secret) {
			h.T.Error("a session prints its secret")
		}
		raw, err := json.Marshal(in.Session)
		if err != nil || strings.Contains(string(raw), in.Secret) {
			h.T.Errorf("a session as JSON has its secret: %v", err)
		}
	})
}

// T-044
func TestARepeatedSignInDoesNotShowTheSecretAgain(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		p := h.asks("ann@acme.test")
		again := func() signin.SignedIn {
			out, err := signin.CompleteSignIn.Call(h.As(ann.Secret), h.Service, signin.CompleteSignInInput{Proof: p.byLink()}, op.IdempotencyKey("k"))
			if err != nil {
				h.T.Fatal(err)
			}
			return out
		}
		first := again()
		// The proof is used up, so even the repeat is refused; had it been answered, it would be without the secret.
		_, err := signin.CompleteSignIn.Call(h.As(ann.Secret), h.Service, signin.CompleteSignInInput{Proof: p.byLink()}, op.IdempotencyKey("k"))
		h.Refused("the repeat", err, "proof_used")
		if strings.Contains(h.stored(), first.Secret) {
			h.T.Error("the secret is kept for the repeat")
		}
		if kept, ok := first.WithoutSecret().(signin.SignedIn); !ok || kept.Secret != "" || kept.SecretShown {
			h.T.Errorf("what is kept for a repeat is %+v", kept)
		}
	})
}

// T-034
func TestLinksBeginWithTheConfiguredAddressWhateverARequestSays(t *testing.T) {
	inHalls(t, func(h *hall) {
		ctx := op.As(h.T.Context(), op.Caller{Address: "evil.test", Agent: "https://evil.test", RequestID: "evil.test"})
		h.begins(ctx, signin.BeginSignInInput{Email: "ann@acme.test", ReturnTo: "https://evil.test/"})
		m := h.lastMail()
		for name, body := range map[string]string{"text": m.Text, "HTML": m.HTML} {
			if !strings.Contains(body, "https://accounts.acme.test/login/link?token=") || strings.Contains(body, "evil") {
				h.T.Errorf("the %s is %s", name, body)
			}
		}
	})
}

// T-035
func TestNothingThatSomebodySendsIsInAMail(t *testing.T) {
	inHalls(t, func(h *hall) {
		for _, email := range []string{"", "ann", "ann@acme.test\r\nBcc: eve@evil.test", "ann@acme.test\nSubject: x", "ann@acme.test,eve@evil.test", "ann@acme.test eve@evil.test",
			"a\u202enn@acme.test", "ann@acme.test\x00", "<script>@acme.test", "\"ann\r\n\"@acme.test", "ann@[127.0.0.1]", "ann@acme.test>", "ann@@acme.test"} {
			_, err := signin.BeginSignIn.Call(h.Nobody(), h.Service, signin.BeginSignInInput{Email: email})
			h.Refused(fmt.Sprintf("the address %q", email), err, "invalid")
		}
		if n := len(h.Mails()); n != 0 {
			h.T.Fatalf("%d mails were sent to no address", n)
		}
		h.begins(h.Nobody(), signin.BeginSignInInput{Email: "Eve <b>http://evil.test</b> <ann&co@acme.test>"})
		m := h.lastMail()
		if m.To != "ann&co@acme.test" || strings.Contains(m.Subject+m.Text+m.HTML, "evil") {
			h.T.Errorf("the mail is %+v", m)
		}
		if !strings.Contains(m.HTML, "Work &lt;b&gt;&amp; flow") || strings.ContainsAny(m.Subject, "\r\n") {
			h.T.Errorf("the product's name stands in the mail as %s", m.HTML)
		}
	})
}

// T-097
func TestAMailGoesToTheAddressThatTheAccountHas(t *testing.T) {
	inHalls(t, func(h *hall) {
		h.signsIn("ann@acme.test")
		h.begins(h.Nobody(), signin.BeginSignInInput{Email: "ANN@ACME.TEST"})
		if got := h.lastMail().To; got != "ann@acme.test" {
			h.T.Errorf("the mail goes to %s", got)
		}
	})
}

// T-053
func TestSigningInEndsTheSessionThatTheBrowserHad(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		for who, email := range map[string]string{"the same person": "ann@acme.test", "somebody else": "bob@acme.test"} {
			before := h.signsIn("ann@acme.test")
			h.signsIn("bob@acme.test")
			h.Fenced() // what was before
			after, err := h.completes(h.browser(before.Secret), h.asks(email).byLink())
			if err != nil {
				h.T.Fatal(err)
			}
			h.Dead("the browser's session after "+who+" signed in", before.Secret)
			h.Works("the new session of "+who, after.Secret)
			if got, want := h.Fenced(), []op.Fence{{Kind: op.FenceSession, ID: before.Session.ID}}; !slices.Equal(got, want) {
				h.T.Errorf("fenced %v, want %v", got, want)
			}
		}
		h.Works("ann's session elsewhere", ann.Secret)
	})
}

func TestOnlyAnAllowedAddressIsGoneBackTo(t *testing.T) {
	inHalls(t, func(h *hall) {
		for asked, want := range map[string]string{
			"/o/acme?tab=team": "/o/acme?tab=team", "https://app.acme.test/signed-in": "https://app.acme.test/signed-in",
			"//evil.test": "", "https://evil.test/": "", "": "",
		} {
			c := h.begins(h.Nobody(), signin.BeginSignInInput{Email: "ann@acme.test", ReturnTo: asked})
			in, err := h.completes(h.Nobody(), h.proof(c).byCode())
			if err != nil || in.ReturnTo != want {
				h.T.Errorf("return_to %q leads to %q (%v), want %q", asked, in.ReturnTo, err, want)
			}
		}
	})
}

func TestAProofIsSaidInOneWay(t *testing.T) {
	inHalls(t, func(h *hall) {
		p := h.asks("ann@acme.test")
		for name, row := range map[string]struct {
			proof signin.Proof
			want  string
		}{
			"nothing":                  {signin.Proof{}, "invalid"},
			"a code without challenge": {signin.Proof{Code: p.code}, "invalid"},
			"a challenge without code": {signin.Proof{Challenge: p.challenge}, "invalid"},
			"a code of five digits":    {signin.Proof{Challenge: p.challenge, Code: "12345"}, "invalid"},
			"digits of another script": {signin.Proof{Challenge: p.challenge, Code: "１２３４５６"}, "invalid"},
			"both":                     {signin.Proof{Token: p.token, Challenge: p.challenge, Code: p.code}, "invalid"},
			"an unknown token":         {signin.Proof{Token: strings.Repeat("a", 27)}, "not_found"},
			"no token at all":          {signin.Proof{Token: "x"}, "not_found"},
			"an unknown challenge":     {signin.Proof{Challenge: "chl_none", Code: p.code}, "not_found"},
			"the id as a token":        {signin.Proof{Token: p.challenge}, "not_found"},
		} {
			_, err := h.completes(h.Nobody(), row.proof)
			h.Refused(name, err, row.want)
		}
		if n := h.Number("SELECT tries FROM challenges"); n != 0 {
			h.T.Errorf("malformed proofs took %d tries", n)
		}
		if _, err := h.completes(h.Nobody(), p.byCode()); err != nil {
			h.T.Errorf("the right proof afterwards: %v", err)
		}
	})
}

func TestPurgeDeletesWhatIsLongOver(t *testing.T) {
	inHalls(t, func(h *hall) {
		h.asks("ann@acme.test")
		h.After(day)
		h.asks("bob@acme.test")
		h.After(15 * time.Minute)
		if err := signin.Purge(h.T.Context(), h.DB, h.Now().Add(-time.Microsecond)); err != nil {
			h.T.Fatal(err)
		}
		if n := h.Number("SELECT count(*) FROM challenges"); n != 2 {
			h.T.Errorf("%d challenges are left within the day, want 2", n)
		}
		if err := signin.Purge(h.T.Context(), h.DB, h.Now()); err != nil {
			h.T.Fatal(err)
		}
		if n := h.Number("SELECT count(*) FROM challenges WHERE email = 'bob@acme.test'"); n != 1 || h.Number("SELECT count(*) FROM challenges") != 1 {
			h.T.Errorf("%d of bob's challenges are left, want his alone", n)
		}
	})
}

// asksToVerify begins a step-up of a session.
func (h *hall) asksToVerify(ctx context.Context) proof {
	h.T.Helper()
	return h.proof(h.begins(ctx, signin.BeginSignInInput{Purpose: "verify", ReturnTo: "/o/acme/danger"}))
}

// T-053, T-112
func TestVerifyingMakesTheSessionFreshAndItsSecretNew(t *testing.T) {
	inHalls(t, func(h *hall) {
		ann := h.signsIn("ann@acme.test")
		acts := func(secret string) error {
			_, err := dangerous.Call(h.browser(secret), h.Service, struct{}{})
			return err
		}
		if err := acts(ann.Secret); err != nil {
			h.T.Fatalf("just after signing in: %v", err)
		}
		h.After(11 * time.Minute)
		h.Refused("acting 11 minutes later", acts(ann.Secret), "verification_required")
		p := h.asksToVerify(h.browser(ann.Secret))
		if m := h.lastMail(); m.To != "ann@acme.test" || !strings.Contains(m.Text, "https://accounts.acme.test/verify/link?token=") {
			h.T.Errorf("the mail to verify is %+v", m)
		}
		_, err := h.verifies(h.browser(ann.Secret), p.wrong().byCode())
		h.Refused("a wrong code", err, "wrong_code")
		h.Fenced() // what was before
		out, err := h.verifies(h.browser(ann.Secret), p.byCode())
		if err != nil || !out.SecretShown || out.ReturnTo != "/o/acme/danger" || out.Session.ID != ann.Session.ID {
			h.T.Fatalf("verified %+v, %v", out, err)
		}
		if err := acts(out.Secret); err != nil {
			h.T.Errorf("acting afterwards: %v", err)
		}
		h.Dead("the secret before", ann.Secret)
		if got, want := h.Fenced(), []op.Fence{{Kind: op.FenceSession, ID: ann.Session.ID}}; !slices.Equal(got, want) {
			h.T.Errorf("fenced %v, want %v", got, want)
		}
		list, err := credential.ListSessions.Call(h.As(out.Secret), h.Service, credential.ListSessionsInput{Page: op.Page{Limit: 10}})
		if err != nil || len(list.Data) != 1 {
			h.T.Errorf("ann has the sessions %+v (%v), want the one", list.Data, err)
		}
	})
}

func TestAProofIsGoodForItsSessionAndPurposeOnly(t *testing.T) {
	inHalls(t, func(h *hall) {
		desk, phone, bob := h.signsIn("ann@acme.test"), h.signsIn("ann@acme.test"), h.signsIn("bob@acme.test")
		p := h.asksToVerify(h.browser(desk.Secret))
		for name, way := range map[string]signin.Proof{"code": p.byCode(), "link": p.byLink()} {
			_, err := h.verifies(h.browser(phone.Secret), way)
			h.Refused("ann's other session using the "+name, err, "not_found")
			_, err = h.verifies(h.browser(bob.Secret), way)
			h.Refused("bob using the "+name, err, "not_found")
			_, err = h.verifies(h.Nobody(), way)
			h.Refused("nobody using the "+name, err, "unauthenticated")
			_, err = h.completes(h.Nobody(), way)
			h.Refused("signing in with the "+name, err, "not_found")
		}
		toSignIn := h.asks("ann@acme.test")
		_, err := h.verifies(h.browser(desk.Secret), toSignIn.byLink())
		h.Refused("verifying with a link to sign in", err, "not_found")
		if _, err := h.verifies(h.browser(desk.Secret), p.byLink()); err != nil {
			h.T.Errorf("the session itself: %v", err)
		}
		_, err = signin.BeginSignIn.Call(h.Nobody(), h.Service, signin.BeginSignInInput{Purpose: "verify"})
		h.Refused("asking to verify as nobody", err, "unauthenticated")
	})
}
