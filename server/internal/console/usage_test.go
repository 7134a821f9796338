package console_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

const usagePath = "/o/acme/settings/usage"

// records records events of acme's as the product does.
func (s *site) records(events ...usage.Event) {
	s.t.Helper()
	out, err := usage.Record.Call(op.As(s.t.Context(), op.Caller{System: "product"}), s.Service(), usage.RecordInput{InOrganization: op.InOrganization{Organization: "acme"}, Events: events})
	if err != nil || out.Refused > 0 {
		s.t.Fatalf("%+v, %v", out, err)
	}
}

func TestUsageIsShownWithItsTableAndItsFile(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.get(usagePath).says(usagePath, 200, "Nothing was used yet.", "guildhall usage record executions 120 --org acme", "0 executions", "of 1,000 executions, all included")
	member := acme.People["editor"].Member
	now := s.Clock.Now()
	s.records(usage.Event{Meter: "executions", Value: 120, Member: member, Region: "eu-west-1"}, usage.Event{Meter: "executions", Value: 780, Member: "robot"},
		usage.Event{Meter: "executions", Value: 50, Member: member, At: now.Add(-40 * 24 * time.Hour)}, usage.Event{Meter: "storage_memory", Value: 12_345_678})
	page := b.get(usagePath).says(usagePath, 200, "900 executions", "90 % used", "Left: 100 executions", "12.3 MB", "Executions by day and member", "What changed most", "robot", "+780, new",
		"Cost to date", "USD 0.00")
	email := acme.People["editor"].Email
	if text := page.text(); !strings.Contains(text, email) || strings.Contains(text, member) {
		t.Errorf("the member is not called by name: %s", text)
	}
	// The table has the figures of the drawing, and so has the file.
	table := cells(page, "figures")
	if len(table) != 30 || strings.Join(table[29], "|") != "2 Mar|900|780|120" {
		t.Errorf("the table has %d lines, the last one %v", len(table), table[len(table)-1])
	}
	file := b.get(usagePath + "/export?meter=executions&by=member&range=30d").Body.String()
	lines := strings.Split(strings.TrimSpace(file), "\n")
	if len(lines) != 31 || lines[30] != "2026-03-02T00:00:00Z,900,780,120" || lines[0] != "at,executions,robot,"+email {
		t.Errorf("the file has %d lines: %s ... %s", len(lines), lines[0], lines[len(lines)-1])
	}
	events := b.get(usagePath + "/events?meter=executions&region=eu-west-1").Body.String()
	if strings.Count(events, "\n") != 2 || !strings.Contains(events, ",120,") {
		t.Errorf("the events in eu-west-1 are %s", events)
	}
	b.get(usagePath+"?range=12m&member="+member).says(usagePath+"?range=12m&member="+member, 200, "Executions by month and member", "170 executions from", "Member: "+member)
	b.get(usagePath+"?from=yesterday").says(usagePath+"?from=yesterday", 422, "is not a time")
	b.get(usagePath+"?meter=ai_input_tokens&by=meter").says(usagePath+"?meter=ai_input_tokens&by=meter", 200, "AI tokens by day")
	b.get(usagePath+"/executions").says(usagePath+"/executions", 200, "each 1,000 executions", "USD 1.00", "Events in this range")
	b.get(usagePath+"/nothing").says(usagePath+"/nothing", 404)
}

// cells are the texts of a table's cells.
func cells(s *sight, id string) (rows [][]string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if attrs["id"] != id {
			return
		}
		eachIn(n, func(n *html.Node, _ map[string]string) {
			switch n.Data {
			case "tr":
				rows = append(rows, nil)
			case "td", "th":
				rows[len(rows)-1] = append(rows[len(rows)-1], textOf(n))
			}
		})
	})
	return rows[1:]
}

func TestUsageIsForThoseWhoMaySeeIt(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for role, person := range acme.People {
			holds := mustRole(t, s, role).Holds
			has := func(p charter.Permission) bool { info, _ := s.Charter().Info(p); return holds.Has(info.Bit) }
			page := s.as(person).get(usagePath)
			if (page.Code == 200) != has("usage.view") {
				t.Errorf("%s: %s gets %d", name, role, page.Code)
			}
			if money := strings.Contains(page.Body.String(), s.Charter().Currency+" "); money != has("cost.view") {
				t.Errorf("%s: %s sees money: %v", name, role, money)
			}
		}
	}
}

// listener reads a stream of events over HTTP, as a browser does.
type listener struct {
	t      *testing.T
	events chan string // closed when the stream has ended
	end    context.CancelFunc
}

// served is a site on a listener of its own: a recorder of answers cannot be listened to.
func (s *site) served() *httptest.Server {
	server := httptest.NewServer(s.handler)
	s.t.Cleanup(server.Close)
	return server
}

func listens(t *testing.T, server *httptest.Server, p *guildhalltest.Person, path string) (*listener, int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.AddCookie(&http.Cookie{Name: "guildhall", Value: p.Token})
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, events: make(chan string, 100), end: cancel}
	if answer.StatusCode != 200 {
		_ = answer.Body.Close()
		return nil, answer.StatusCode
	}
	go l.read(answer.Body)
	return l, 200
}

func (l *listener) read(body io.ReadCloser) {
	defer body.Close()
	defer close(l.events)
	for lines := bufio.NewScanner(body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			l.events <- data
		}
	}
}

// next is the next event; empty: the stream has ended.
func (l *listener) next() string {
	l.t.Helper()
	select {
	case data := <-l.events:
		return data
	case <-time.After(10 * time.Second):
		l.t.Fatal("neither an event nor the end")
		return ""
	}
}

func TestAnOpenPageLearnsWhatWasRecorded(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	server := s.served()
	l, _ := listens(t, server, acme.Owner(), usagePath+"/live")
	first := l.next()
	for _, want := range []string{`{"id":"use-executions-value","text":"0 executions"}`, `{"id":"use-executions-bar","width":"0%"}`, `"use-cost-value"`, `"use-at"`} {
		if !strings.Contains(first, want) {
			t.Errorf("the first event has no %s: %s", want, first)
		}
	}
	s.records(usage.Event{Meter: "executions", Value: 250})
	second := l.next()
	if !strings.Contains(second, `{"id":"use-executions-value","text":"250 executions"}`) || !strings.Contains(second, `{"id":"use-executions-bar","width":"25%"}`) ||
		strings.Contains(second, "use-compute_units-value") {
		t.Errorf("the second event is not about the executions alone: %s", second)
	}
	if _, status := listens(t, server, s.SignIn("zoe@globex.test"), usagePath+"/live"); status != 404 {
		t.Errorf("a stranger gets %d", status)
	}
	if _, status := listens(t, server, &guildhalltest.Person{}, usagePath+"/live"); status != 401 {
		t.Errorf("nobody gets %d", status)
	}
}

func TestAnOpenPageTellsNobodyOfMoneyWhoMayNotSeeIt(t *testing.T) {
	s := newSite(t, "gateway")
	acme, server := s.Organization("acme"), s.served()
	for role, sees := range map[charter.RoleID]bool{"owner": true, "reader": false} {
		l, _ := listens(t, server, acme.People[role], usagePath+"/live")
		if got := l.next(); strings.Contains(got, "USD") != sees || !strings.Contains(got, "0 requests") {
			t.Errorf("%s is told %s", role, got)
		}
	}
}

// T-067: the stream ends with the call that ended the right, and not by its next look.
func TestAnOpenPageEndsInTheCallThatEndsTheRight(t *testing.T) {
	viewer := "viewer"
	for what, change := range map[string]func(s *site, owner context.Context, m directory.MemberInput, person *guildhalltest.Person) error{
		"removal": func(s *site, owner context.Context, m directory.MemberInput, _ *guildhalltest.Person) error {
			_, err := directory.RemoveMember.Call(owner, s.Service(), directory.EndMemberInput{MemberInput: m})
			return err
		},
		"suspension": func(s *site, owner context.Context, m directory.MemberInput, _ *guildhalltest.Person) error {
			_, err := directory.SuspendMember.Call(owner, s.Service(), directory.EndMemberInput{MemberInput: m})
			return err
		},
		"another role": func(s *site, owner context.Context, m directory.MemberInput, _ *guildhalltest.Person) error {
			_, err := directory.UpdateMember.Call(owner, s.Service(), directory.UpdateMemberInput{MemberInput: m, Role: &viewer})
			return err
		},
		"sign-out": func(s *site, _ context.Context, _ directory.MemberInput, p *guildhalltest.Person) error {
			_, err := credential.RevokeSession.Call(p.Ctx(), s.Service(), credential.RevokeSessionInput{Session: "current"})
			return err
		},
		"the server's end": func(s *site, _ context.Context, _ directory.MemberInput, _ *guildhalltest.Person) error {
			s.Service().EndWatches()
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t, "automation")
			s.pages.LiveEvery = time.Hour
			acme := s.Organization("acme")
			editor := acme.People["editor"]
			l, _ := listens(t, s.served(), editor, usagePath+"/live")
			l.next()
			s.records(usage.Event{Meter: "executions"})
			l.next() // from now on it rests for an hour, and would not ask
			if err := change(s, acme.Owner().Ctx(), directory.MemberInput{InOrganization: acme.In(), Member: editor.Member}, editor); err != nil {
				t.Fatal(err)
			}
			s.records(usage.Event{Meter: "executions", Value: 250})
			if got := l.next(); got != "" {
				t.Errorf("it goes on: %s", got)
			}
		})
	}
}

func TestASessionHasFewOpenPages(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	server := s.served()
	for range op.MaxWatchesEach {
		l, _ := listens(t, server, acme.Owner(), usagePath+"/live")
		l.next()
	}
	if _, status := listens(t, server, acme.Owner(), usagePath+"/live"); status != 429 {
		t.Errorf("one more gets %d", status)
	}
	if _, status := listens(t, server, acme.People["viewer"], usagePath+"/live"); status != 200 {
		t.Errorf("somebody else gets %d", status)
	}
}
