package guildhall_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// eachDatabaseSite runs a test on a site of one charter on both databases.
func eachDatabaseSite(t *testing.T, run func(*testing.T, *site)) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			run(t, newSite(t, "automation", guildhalltest.OnDatabase(testdb.DSN(t, d))))
		})
	}
}

// repeated are the operations that a person may call and that change something.
func (s *site) repeated() (all []op.Any) {
	for _, o := range guildhall.Operations() {
		if by, ok := s.mayCall(o); ok && o.Info().Method != "GET" && o.Info().Changes() && s.person(by) != nil {
			all = append(all, o)
		}
	}
	return all
}

// TestARepeatIsDoneOnce: every change, repeated with its Idempotency-Key, is done once. The repeat is answered as the
// first call was, without its secrets; where the first call took the caller's right, it is refused. T-102, T-044
func TestARepeatIsDoneOnce(t *testing.T) {
	oneAfterAnother(t)
	eachDatabaseSite(t, func(t *testing.T, s *site) {
		replayed := 0
		for i, o := range s.repeated() {
			key := fmt.Sprintf("Idempotency-Key: key-%d", i)
			if s.repeats(t, o, key) {
				replayed++
			}
			s.mend()
		}
		if replayed < 15 {
			t.Errorf("only %d operations answered a repeat", replayed)
		}
		s.Sound()
	})
}

// repeats calls twice with one key, and then uses the key for other things. It reports whether the repeat was answered.
func (s *site) repeats(t *testing.T, o op.Any, key string) bool {
	t.Helper()
	info := o.Info()
	by, _ := s.mayCall(o)
	fields := s.fill(info, s.acme, by)
	a := request(info, fields, s.called(by.name).Credential).with(key)
	before := rowsNow(t, s.world)
	first, again := s.send(a), s.send(a)
	if !first.ok() || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%s: the first call: %s", info.Name, first.outcome())
	}
	if made := rowsNow(t, s.world) - before; made != 1 {
		t.Errorf("%s: %d rows for two calls with one key", info.Name, made)
	}
	if !again.ok() {
		return false
	}
	if again.header.Get("Idempotent-Replayed") != "true" || again.status != first.status {
		t.Errorf("%s: the repeat: %s, Idempotent-Replayed %q", info.Name, again.outcome(), again.header.Get("Idempotent-Replayed"))
	}
	checkRepeat(t, info.Name, first.body, again.body)
	s.usesKeyOtherwise(t, o, key, a, fields)
	return true
}

// shownOnce are the fields that only the first answer has.
var shownOnce = []string{"secret", "link", "redirect_to", "otpauth_url", "qr"}

// checkRepeat wants the same answer, but for what is shown once.
func checkRepeat(t *testing.T, what, first, again string) {
	t.Helper()
	var was, is map[string]any
	if err := json.Unmarshal([]byte(first), &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(again), &is); err != nil {
		t.Fatal(err)
	}
	for _, name := range shownOnce {
		if secret, shown := was[name].(string); shown && strings.Contains(again, secret) {
			t.Errorf("%s: the repeat shows the secret again", what)
		}
		delete(was, name)
	}
	if was["secret_shown"] == true {
		if is["secret_shown"] != false {
			t.Errorf("%s: the repeat says secret_shown %v", what, is["secret_shown"])
		}
		delete(was, "secret_shown")
		delete(is, "secret_shown")
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Errorf("%s: the repeat tells something else (-first +repeat):\n%s", what, diff)
	}
}

// usesKeyOtherwise uses a key for another body, as another person, and again after a day.
func (s *site) usesKeyOtherwise(t *testing.T, o op.Any, key string, a ask, fields map[string]any) {
	t.Helper()
	info := o.Info()
	by, _ := s.mayCall(o)
	if other := s.fill(info, s.acme, by); !reflect.DeepEqual(other, fields) {
		got := s.send(request(info, other, by.Credential).with(key))
		if got.status != 422 || got.problem().Code != "idempotency_key_reused" {
			t.Errorf("%s: the key for another body: %s %s", info.Name, got.outcome(), got.body)
		}
	}
	theirs := s.globex.People[s.acme.Owner().Role]
	if fields["session"] == nil && info.Noun() != "signin" && info.Name != federation.JoinDomain.Name { // they are members there
		got := s.send(request(info, s.fill(info, s.globex, s.called("of another")), theirs.Token).with(key))
		if !got.ok() || got.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: the key of another person: %s, Idempotent-Replayed %q", info.Name, got.outcome(), got.header.Get("Idempotent-Replayed"))
		}
		s.mend()
	}
	s.Clock.Advance(op.KeepRepeats)
	s.moved.Store(true) // days go by here, and sessions end with them
	s.mend()
	by, _ = s.mayCall(o)
	got := s.send(request(info, s.fill(info, s.acme, by), s.called(by.name).Credential).with(key))
	if !got.ok() || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%s: the key after a day: %s, Idempotent-Replayed %q", info.Name, got.outcome(), got.header.Get("Idempotent-Replayed"))
	}
}

// TestTwentyRepeatsAtOnceAreDoneOnce: all twenty are answered the same, or refused since the first one took the right.
// T-102
func TestTwentyRepeatsAtOnceAreDoneOnce(t *testing.T) {
	eachDatabaseSite(t, func(t *testing.T, s *site) {
		lines := make([]*line, 20)
		for i := range lines {
			lines[i] = newLine(t, s.line.address)
		}
		for _, o := range s.repeated() {
			info := o.Info()
			by, _ := s.mayCall(o)
			a := request(info, s.fill(info, s.acme, by), s.called(by.name).Credential).with("Idempotency-Key: at-once-" + info.Name)
			before := rowsNow(t, s.world)
			answers := allSend(lines, a)
			if made := rowsNow(t, s.world) - before; made != 1 {
				t.Errorf("%s: %d rows", info.Name, made)
			}
			checkTogether(t, info.Name, answers)
			s.mend()
		}
		s.Sound()
	})
}

// allSend sends a request on every line at the same moment.
func allSend(lines []*line, a ask) []answer {
	answers := make([]answer, len(lines))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, l := range lines {
		wg.Go(func() {
			<-start
			answers[i], _ = l.try(a)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// checkTogether wants one first answer and nothing but repeats of it, or refusals of somebody who lost the right by it.
func checkTogether(t *testing.T, what string, answers []answer) {
	t.Helper()
	firsts := 0
	var first string
	for _, a := range answers {
		if a.ok() && a.header.Get("Idempotent-Replayed") == "" {
			firsts++
			first = a.body
		}
	}
	if firsts != 1 {
		t.Errorf("%s: %d of %d were not repeats", what, firsts, len(answers))
	}
	for _, a := range answers {
		switch {
		case a.ok():
			checkRepeat(t, what, first, withSecrets(a, first))
		case a.status != 401 && a.status != 403 && a.status != 404 && a.status != 409 && a.status != 410:
			t.Errorf("%s: %s %s", what, a.outcome(), a.body)
		}
	}
}

// withSecrets is the body of a repeat; the first answer itself is compared with itself, secret and all.
func withSecrets(a answer, first string) string {
	if a.header.Get("Idempotent-Replayed") == "true" {
		return a.body
	}
	var body map[string]any
	_ = json.Unmarshal([]byte(first), &body)
	for _, name := range shownOnce {
		delete(body, name)
	}
	if body["secret_shown"] == true {
		body["secret_shown"] = false
	}
	raw, _ := json.Marshal(body)
	return string(raw)
}

// TestAServiceKeyIsShownInTheFirstAnswerOnly: the operator's repeat has no secret. T-102, T-044
func TestAServiceKeyIsShownInTheFirstAnswerOnly(t *testing.T) {
	s := newSite(t, "automation")
	make := func() credential.NewServiceKey {
		key, err := credential.CreateServiceKey.Call(s.Operator(), s.Service(), credential.CreateServiceKeyInput{Name: "twice"}, op.IdempotencyKey("k"))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first, again := make(), make()
	if !first.SecretShown || first.Secret == "" || again.SecretShown || again.Secret != "" || first.ID != again.ID {
		t.Errorf("got %v %v and %v %v", first.SecretShown, first.ID, again.SecretShown, again.ID)
	}
}

// TestAChangeOfSomethingOldIsRefused: whatever has a version is changed only as it was read, if the caller says so.
func TestAChangeOfSomethingOldIsRefused(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		checked := 0
		for _, o := range guildhall.Operations() {
			info := o.Info()
			by, ok := s.mayCall(o)
			if _, versioned := reflect.New(info.Out).Interface().(op.Versioned); !versioned || !ok || info.Method != "PATCH" {
				continue
			}
			checked++
			a := request(info, s.fill(info, s.acme, by), s.called(by.name).Credential)
			before := rowsNow(t, s.world)
			stale := s.send(a.with(`If-Match: "999999"`))
			if stale.status != 412 || !strings.Contains(stale.body, `"current":{`) || rowsNow(t, s.world) != before {
				t.Errorf("%s of an old version: %s %s", info.Name, stale.outcome(), stale.body)
			}
			etag := s.send(ask{method: "GET", target: a.target, token: a.token}).header.Get("ETag")
			if info.Name == billing.UpdateAccount.Name { // its version is the subscription's
				etag = s.send(ask{method: "GET", target: strings.TrimSuffix(a.target, "billing") + "subscription", token: a.token}).header.Get("ETag")
			}
			if etag == "" { // it has no address of its own: every new one is of the first version
				etag = `"1"`
			}
			if got := s.send(a.with("If-Match: " + etag)); !got.ok() || got.header.Get("ETag") == "" {
				t.Errorf("%s of version %s: %s", info.Name, etag, got.outcome())
			}
			s.mend()
		}
		if checked < 4 {
			t.Errorf("only %d operations", checked)
		}
	})
}

// TestRatesAreToldAndKept: a credential is told what is left to it, is refused when nothing is, and is answered again
// once it has waited. Another one is not touched; no header makes another address. T-101
func TestRatesAreToldAndKept(t *testing.T) {
	s := newSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Limits = op.Limits{PerCredential: op.RateLimit{Times: 5, Per: time.Minute}, PerAddress: op.RateLimit{Times: 40, Per: time.Minute},
			Exempt: func(address string) bool { return address != "127.0.0.1" }}
	}))
	get := ask{method: "GET", target: "/v1/me", token: s.acme.Owner().Token}
	for left := 4; left >= 0; left-- {
		got := s.send(get)
		if want := fmt.Sprintf(`"credential";r=%d;t=%d`, left, 12*(5-left)); !got.ok() || got.header.Get("RateLimit") != want || got.header.Get("RateLimit-Policy") != `"credential";q=5;w=60` {
			t.Errorf("%s, %v; want %s", got.outcome(), rateHeaders(got.header), want)
		}
	}
	refused := s.send(get)
	if refused.status != 429 || refused.header.Get("Retry-After") == "" || !strings.Contains(refused.header.Get("RateLimit"), "r=0;") {
		t.Errorf("the sixth: %s, %v", refused.outcome(), rateHeaders(refused.header))
	}
	if got := s.send(get.with("X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9")); got.status != 429 {
		t.Errorf("with another address said: %s", got.outcome())
	}
	if got := s.send(ask{method: "GET", target: "/v1/me", token: s.globex.Owner().Token}); !got.ok() {
		t.Errorf("another credential: %s", got.outcome())
	}
	s.Clock.Advance(12 * time.Second)
	if got := s.send(get); !got.ok() {
		t.Errorf("after the wait: %s", got.outcome())
	}
	s.refusesAddress(t)
}

// refusesAddress asks as nobody until the address has asked too much.
func (s *site) refusesAddress(t *testing.T) {
	t.Helper()
	for range 40 {
		if got := s.send(ask{method: "GET", target: "/v1/me"}); got.status == 429 {
			return
		}
	}
	t.Error("an address asks without a limit")
}

func rateHeaders(h http.Header) []string {
	return []string{h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("Retry-After")}
}
