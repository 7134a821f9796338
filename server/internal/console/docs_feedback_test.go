package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/op"
)

// answers are what readers said, the latest first.
func (s *site) answers() []feedback.Answer {
	s.t.Helper()
	list, err := feedback.List.Call(op.As(s.t.Context(), op.Caller{Machine: true}), s.Service(), feedback.ListInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	return list.Data
}

func TestEveryPageAsksWhetherItHelped(t *testing.T) {
	s := newSite(t, "automation")
	b := s.browser()
	for _, p := range docs.Pages() {
		page := b.get(addressOf(p)).says(addressOf(p), 200, "Was this helpful?", "Edit this page")
		if !slices.Contains(page.links(), "https://git.test/edit/docs/"+p.Name+".md") {
			t.Errorf("%s does not lead to its file", p.Name)
		}
		bound(t, s, page, "/docs/"+p.Name+"#feedback", "feedback.record")
	}
}

func TestAnAnswerAboutAPageCanBeChanged(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	const form = "/docs/keys#feedback"
	for who, b := range map[string]*browser{"a stranger": s.browser(), "an owner": s.as(acme.Owner())} {
		before := len(s.answers())
		thanks := b.submit(b.get("/docs/keys"), form, "helpful", "false").says(form, 200, "Thank you. You said that this page did not help.", "What is missing or wrong?")
		again := b.submit(thanks, form, "helpful", "true", "comment", "now I see").says(form, 200, "Thank you. You said that this page helped.", "now I see")
		again.ids()
		all := s.answers()
		if len(all) != before+1 || !all[0].Helpful || all[0].Comment != "now I see" {
			t.Errorf("%s: got %+v, want one answer more, changed", who, all)
		}
		b.submit(thanks, form, "helpful", "true", "comment", "now I see") // the reader presses Reload
		if got := s.answers(); len(got) != len(all) {
			t.Errorf("%s: sending it again made another answer", who)
		}
	}
}

func TestAnAnswerThatIsRefusedIsNotLost(t *testing.T) {
	s := newSite(t, "automation")
	b := s.browser()
	const form = "/docs/keys#feedback"
	long := strings.Repeat("long ", 300)
	page := b.submit(b.get("/docs/keys"), form, "helpful", "false", "comment", long).says(form, 422, "expected length", "What is missing or wrong?")
	if got := page.form(form).Get("comment"); got != strings.TrimSpace(long) {
		t.Errorf("what was typed is lost: %q", got)
	}
	b.submit(b.get("/docs/keys"), form, "helpful", "maybe").says(form, 422, "Say yes or no")
	b.submit(b.get("/docs/keys"), form, "helpful", "true", "receipt", "'; DROP").says(form, 422)
	b.post("/docs/nothing", url.Values{"helpful": {"true"}, "page": {"keys"}}).says("/docs/nothing", 404)
	if got := s.answers(); len(got) != 0 {
		t.Errorf("refused answers are kept: %+v", got)
	}
}

// What readers write is shown to themselves alone, and as text. T-068
func TestASentenceIsTextWhereverItIsShown(t *testing.T) {
	s := newSite(t, "automation")
	const form, evil = "/docs/keys#feedback", `</textarea><script>alert(1)</script><img src=x onerror=alert(1)>`
	b := s.browser()
	page := b.submit(b.get("/docs/keys"), form, "helpful", "false", "comment", evil).says(form, 200)
	if body := page.Body.String(); strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
		t.Error("the sentence is markup on the page that thanks for it")
	}
	if body := s.browser().get("/docs/keys").Body.String(); strings.Contains(body, "alert(1)") {
		t.Error("the sentence of one reader is shown to others")
	}
}

func TestTooManyAnswersAreRefusedOnThePage(t *testing.T) {
	s := newSite(t, "automation")
	b := s.browser()
	const form = "/docs/keys#feedback"
	page := b.get("/docs/keys")
	for range feedback.Record.Limit.Times {
		b.submit(page, form, "helpful", "true")
	}
	b.submit(page, form, "helpful", "false").says(form, 429, "Too many requests")
}
