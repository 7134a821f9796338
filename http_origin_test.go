package guildhall_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// sessionCookie is the name of the cookie over https.
const sessionCookie = "__Host-guildhall"

// TestAnotherSiteMakesNobodyChangeAnything: whatever changes something is refused in a browser that another site made
// send it, and is done for the own site. T-054
func TestAnotherSiteMakesNobodyChangeAnything(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		tried := 0
		for _, o := range guildhall.Operations() {
			info := o.Info()
			by, ok := s.mayCall(o)
			if !ok || info.Method == "GET" || s.person(by) == nil {
				continue
			}
			tried++
			s.refusesOrigins(t, info, by)
			s.obeysOwnOrigin(t, o, by)
		}
		if tried < 15 {
			t.Errorf("only %d operations", tried)
		}
		s.Sound()
	})
}

// foreign are what browsers send with a request that another site caused.
var foreign = map[string][]string{
	"another origin":              {"Origin: https://evil.test"},
	"no origin to name":           {"Origin: null"},
	"the same host by http":       {"Origin: http://evil.test:80"},
	"a longer name":               {"Origin: https://guildhall.test.evil.test"},
	"another port":                {"Origin: https://guildhall.test:8443"},
	"cross-site":                  {"Sec-Fetch-Site: cross-site"},
	"a neighbour":                 {"Sec-Fetch-Site: same-site"},
	"cross-site, own origin said": {"Sec-Fetch-Site: cross-site", "Origin: https://evil.test", "X-Forwarded-Host: evil.test"},
}

func (s *site) refusesOrigins(t *testing.T, info op.Info, by caller) {
	t.Helper()
	a := request(info, s.fill(info, s.acme, by), "").with("Cookie: " + sessionCookie + "=" + s.called(by.name).Credential)
	for name, headers := range foreign {
		s.seen.take()
		before := s.Stats().Writes
		got := s.send(a.with(headers...))
		if got.status != 403 || got.problem().Code != "cross_origin" {
			t.Errorf("%s from %s: %s, want 403", info.Name, name, got.outcome())
		}
		if ran := s.seen.take(); len(ran) != 0 || s.Stats().Writes != before {
			t.Errorf("%s from %s ran", info.Name, name)
		}
	}
}

// obeysOwnOrigin wants every way in which the own pages send a form to work. Each call gets things of its own.
func (s *site) obeysOwnOrigin(t *testing.T, o op.Any, by caller) {
	t.Helper()
	for name, headers := range map[string][]string{
		"the own origin": {"Origin: " + guildhalltest.BaseURL}, "same-origin": {"Sec-Fetch-Site: same-origin"},
		"the own origin, same-origin": {"Origin: " + guildhalltest.BaseURL, "Sec-Fetch-Site: same-origin"},
		"what is no browser":          nil,
	} {
		info := o.Info()
		person := s.person(s.called(by.name))
		fields := s.fill(info, s.acme, s.called(by.name))
		s.Clock.Advance(10 * time.Minute)                                // an address gets so many mails within an hour
		person.Token = s.SignIn(person.Email).Token                      // a browser's session has to be fresh for some
		if info.Name == "signin.verify" || fields["credential"] != nil { // a proof is of one session, or ends soon
			fields = s.fill(info, s.acme, s.called(by.name))
		}
		if info.Name == "sessions.revoke" {
			fields["session"] = s.sessionOf(person)
		}
		got := s.send(request(info, fields, "").with(append([]string{"Cookie: " + sessionCookie + "=" + person.Token}, headers...)...))
		if !got.ok() {
			t.Errorf("%s from %s: %s %s", info.Name, name, got.outcome(), got.body)
		}
		s.mend()
	}
}

// TestNoAnswerIsForAnotherSite: no answer lets another site's script read it. T-054
func TestNoAnswerIsForAnotherSite(t *testing.T) {
	s := newSite(t, "automation")
	for _, o := range guildhall.Operations() {
		info := o.Info()
		a := request(info, s.fields(info, s.acme), "").with("Cookie: "+sessionCookie+"="+s.acme.Owner().Token, "Origin: https://evil.test")
		for _, method := range []string{info.Method, "OPTIONS"} {
			a.method = method
			got := s.send(a.with("Access-Control-Request-Method: " + info.Method))
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s by %s: %s", info.Name, method, name)
				}
			}
			if want := got.header.Get("Cross-Origin-Resource-Policy"); want != "same-origin" {
				t.Errorf("%s by %s: Cross-Origin-Resource-Policy %q", info.Name, method, want)
			}
		}
	}
}

// letters are whole mails, as they are handed to be sent.
type letters struct {
	next  mail.Sender
	mu    sync.Mutex
	all   []mail.Message
	fails error // of every mail from now on
}

func (l *letters) Send(ctx context.Context, m mail.Message) error {
	l.mu.Lock()
	l.all = append(l.all, m)
	fails := l.fails
	l.mu.Unlock()
	if fails != nil {
		return fails
	}
	return l.next.Send(ctx, m)
}

func (l *letters) take() []mail.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// kept keeps every mail of a hall on its way.
func (l *letters) kept() guildhalltest.Option {
	return guildhalltest.With(func(c *guildhall.Config) { l.next, c.Mail = c.Mail, l })
}

// poisoned are the ways to say that this server is another one.
var poisoned = map[string]func(ask) ask{
	"Host":                     func(a ask) ask { a.host = "evil.test"; return a },
	"Host with a port":         func(a ask) ask { a.host = "guildhall.test:evil.test"; return a },
	"Host with the right name": func(a ask) ask { a.host = "guildhall.test.evil.test"; return a },
	"Host with a user":         func(a ask) ask { a.host = "guildhall.test@evil.test"; return a },
	"two Hosts":                sent("Host: evil.test"),
	"X-Forwarded-Host":         sent("X-Forwarded-Host: evil.test"),
	"X-Forwarded-Host twice":   sent("X-Forwarded-Host: guildhall.test", "X-Forwarded-Host: evil.test"),
	"Forwarded":                sent("Forwarded: for=192.0.2.60;proto=http;host=evil.test"),
	"X-Forwarded-Server":       sent("X-Forwarded-Server: evil.test", "X-Forwarded-Proto: http", "X-Forwarded-Port: 81"),
	"X-Host":                   sent("X-Host: evil.test", "X-HTTP-Host-Override: evil.test", "X-Original-Host: evil.test"),
	"a whole URL":              func(a ask) ask { a.target = "http://evil.test" + a.target; return a },
	"Referer and Origin":       sent("Referer: https://evil.test/x", "X-Original-URL: https://evil.test/", "X-Forwarded-Prefix: //evil.test"),
	"X-Forwarded-Host of a proxy": sent("X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "X-Forwarded-Host: evil.test:443",
		"X-ProxyUser-Ip: 127.0.0.1"),
}

// TestLinksInMailsBeginWithTheConfiguredAddress: whatever a request says of its host, on every operation that sends a
// mail. T-034
func TestLinksInMailsBeginWithTheConfiguredAddress(t *testing.T) {
	oneAfterAnother(t)
	post := &letters{}
	s := newSite(t, "automation", post.kept())
	var senders []string
	for _, o := range guildhall.Operations() {
		by, ok := s.mayCall(o)
		if !ok || o.Info().Method == "GET" {
			continue
		}
		if mails := s.mailsOf(o, by, post, poisoned["X-Forwarded-Host"]); len(mails) == 0 {
			continue
		}
		senders = append(senders, o.Info().Name)
		for name, poison := range poisoned {
			for _, m := range s.mailsOf(o, by, post, poison) {
				checkLinks(t, o.Info().Name+" with "+name, m)
			}
		}
	}
	for _, want := range []string{"invitations.create", "invitations.create_many", "invitations.resend", "invitations.update", "signin.begin", "ownership.transfer"} {
		if !slices.Contains(senders, want) {
			t.Errorf("%s sent no mail, of %q", want, senders)
		}
	}
}

// mailsOf calls an operation with a changed request, and gives the mails that it sent.
func (s *site) mailsOf(o op.Any, by caller, post *letters, change func(ask) ask) []mail.Message {
	s.world.t.Helper()
	info := o.Info()
	s.mend()
	defer s.mend()
	s.Clock.Advance(10 * time.Minute) // an address gets so many mails within an hour
	a := request(info, s.fill(info, s.acme, s.called(by.name)), s.called(by.name).Credential)
	if err := s.RunDue(s.world.t.Context()); err != nil {
		s.world.t.Fatal(err)
	}
	post.take()
	got := s.send(change(a))
	if !got.ok() && got.status != 400 {
		s.world.t.Errorf("%s: %s %s", info.Name, got.outcome(), got.body)
	}
	if err := s.RunDue(s.world.t.Context()); err != nil {
		s.world.t.Fatal(err)
	}
	return post.take()
}

// checkLinks wants every address in a mail to begin with the base URL, and no trace of another host.
func checkLinks(t *testing.T, what string, m mail.Message) {
	t.Helper()
	for _, text := range []string{m.Text, m.HTML} {
		text = strings.ReplaceAll(text, "https://docs.example.com", "") // the charter's own link, which no request says
		if n := strings.Count(text, "://"); n != strings.Count(text, guildhalltest.BaseURL+"/") || strings.Contains(text, "evil") {
			t.Errorf("%s: the mail to %s:\n%s", what, m.To, text)
		}
	}
	if !strings.Contains(m.Text, guildhalltest.BaseURL+"/") {
		t.Errorf("%s: no link in the mail to %s", what, m.To)
	}
}
