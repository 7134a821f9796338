package console_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/server/internal/console"
	"github.com/guildhall/guildhall/server/internal/web"
)

// site is a console on a hall of its own.
type site struct {
	*guildhalltest.Hall
	t       *testing.T
	handler http.Handler
	pages   *console.Console
	base    string
}

const host = "http://localhost"

func newSite(t *testing.T, charterName string, options ...guildhalltest.Option) *site {
	return newSiteAt(t, charterName, "", options...)
}

// newSiteAt makes a site whose console stands under a base path.
func newSiteAt(t *testing.T, charterName, base string, options ...guildhalltest.Option) *site {
	t.Helper()
	c, err := charter.Ready(charterName)
	if err != nil {
		t.Fatal(err)
	}
	return siteWith(t, c, base, options...)
}

func siteWith(t *testing.T, c *charter.Charter, base string, options ...guildhalltest.Option) *site {
	t.Helper()
	s := &site{t: t, base: base}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	first := guildhalltest.With(func(c *guildhall.Config) {
		c.Settings = op.Settings{BaseURL: host + base, ReturnTo: []string{"https://product.test/back"}}
	})
	s.Hall = guildhalltest.WithCharter(t, c, append([]guildhalltest.Option{first}, options...)...)
	pages := console.New(console.Config{Service: s.Service(), Access: s.Access(), BaseURL: host + base, BasePath: base, LastUse: s.LastUse, Log: quiet,
		LiveEvery: time.Microsecond, OpenAPI: server.OpenAPI(s.Service()), DocsEditURL: "https://git.test/edit/docs/{page}"})
	s.pages = pages
	s.handler = web.Handler(web.Config{BaseURL: host + base, Refuse: pages.Refuse, Anonymous: console.FromProvider, Now: s.Clock.Now, Log: quiet}, pages)
	return s
}

// browser keeps cookies, follows redirects, and runs no script.
type browser struct {
	site    *site
	cookies map[string]string
	header  http.Header // sent with every request
}

func (s *site) browser() *browser {
	return &browser{site: s, cookies: map[string]string{}, header: http.Header{}}
}

// as is the browser of somebody who is signed in.
func (s *site) as(p *guildhalltest.Person) *browser {
	b := s.browser()
	b.cookies["guildhall"] = p.Token
	return b
}

// sight is an answer, as its reader sees it.
type sight struct {
	*httptest.ResponseRecorder
	t   *testing.T
	url string // after all redirects
	doc *html.Node
}

func (b *browser) get(path string) *sight { b.site.t.Helper(); return b.ask("GET", path, nil) }

func (b *browser) post(path string, form url.Values) *sight {
	b.site.t.Helper()
	return b.ask("POST", path, form)
}

func (b *browser) ask(method, path string, form url.Values) *sight {
	t := b.site.t
	t.Helper()
	for range 5 {
		w := b.send(method, path, form)
		to := w.Header().Get("Location")
		if to == "" || strings.Contains(to, "://") {
			return b.seen(w, path)
		}
		method, path, form = "GET", to, nil
	}
	t.Fatalf("%s leads on and on", path)
	return nil
}

// send sends one request, without the fragment of its address as browsers do, and keeps the cookies of its answer.
func (b *browser) send(method, path string, form url.Values) *httptest.ResponseRecorder {
	path, _, _ = strings.Cut(path, "#")
	r := httptest.NewRequest(method, host+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	for name, values := range b.header {
		r.Header[name] = values
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) seen(w *httptest.ResponseRecorder, path string) *sight {
	t := b.site.t
	t.Helper()
	doc, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	s := &sight{ResponseRecorder: w, t: t, url: path, doc: doc}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && w.Header().Get("Location") == "" && b.header.Get("HX-Request") == "" {
		s.sound(b.site.base)
	}
	return s
}

// submit sends the form of a page that posts to a path, with some of its values changed: name, value, and so on.
func (b *browser) submit(on *sight, action string, changes ...string) *sight {
	b.site.t.Helper()
	values := on.form(action)
	for i := 0; i+1 < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
	}
	return b.post(action, values)
}

// each visits every element.
func (s *sight) each(visit func(n *html.Node, attrs map[string]string)) { eachIn(s.doc, visit) }

func eachIn(root *html.Node, visit func(n *html.Node, attrs map[string]string)) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			attrs := map[string]string{}
			for _, a := range n.Attr {
				attrs[a.Key] = a.Val
			}
			visit(n, attrs)
		}
	}
}

// form gives the values of the form that posts to a path, as the page shows it.
func (s *sight) form(action string) url.Values {
	s.t.Helper()
	var values url.Values
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "form" && attrs["method"] == "post" && attrs["action"] == action && values == nil {
			values = valuesOf(n)
		}
	})
	if values == nil {
		s.t.Fatalf("%s has no form for %s: %s", s.url, action, s.text())
	}
	return values
}

// valuesOf are the values that a form would send.
func valuesOf(form *html.Node) url.Values {
	values := url.Values{}
	eachIn(form, func(n *html.Node, attrs map[string]string) {
		_, checked := attrs["checked"]
		_, disabled := attrs["disabled"]
		switch {
		case disabled || attrs["name"] == "" || (attrs["type"] == "radio" || attrs["type"] == "checkbox") && !checked:
		case n.Data == "input":
			values.Add(attrs["name"], attrs["value"])
		case n.Data == "textarea":
			values.Add(attrs["name"], textOf(n))
		case n.Data == "select":
			values.Add(attrs["name"], selected(n))
		}
	})
	return values
}

func selected(n *html.Node) (value string) {
	eachIn(n, func(o *html.Node, attrs map[string]string) {
		if _, is := attrs["selected"]; is && o.Data == "option" {
			value = attrs["value"]
		}
	})
	return value
}

var spaces = regexp.MustCompile(`\s+`)

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.TrimSpace(spaces.ReplaceAllString(b.String(), " "))
}

// whole is what the page says with its frame.
func (s *sight) whole() string { return textOf(s.doc) }

// text is what the page's main part says.
func (s *sight) text() string {
	text := textOf(s.doc)
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "main" {
			text = textOf(n)
		}
	})
	return text
}

// says fails the test unless the page is at a path, has a status, and says all of this.
func (s *sight) says(path string, status int, all ...string) *sight {
	s.t.Helper()
	if s.url != path || s.Code != status {
		s.t.Fatalf("got %d at %s, want %d at %s: %s", s.Code, s.url, status, path, s.text())
	}
	whole := s.whole()
	for _, want := range all {
		if !strings.Contains(whole, want) {
			s.t.Errorf("%s does not say %q: %s", path, want, whole)
		}
	}
	return s
}

// links are the addresses that the page's links lead to.
func (s *sight) links() (all []string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "a" {
			all = append(all, attrs["href"])
		}
	})
	return all
}

// sound checks what holds on every page.
func (s *sight) sound(base string) {
	s.t.Helper()
	headings, title, first := 0, "", ""
	s.each(func(n *html.Node, attrs map[string]string) {
		switch n.Data {
		case "h1":
			headings++
		case "title":
			title = textOf(n)
		case "a", "button", "input":
			if first == "" {
				first = attrs["class"]
			}
		}
		s.soundElement(base, n, attrs)
	})
	if headings != 1 || title == "" || first != "skip" {
		s.t.Errorf("%s has %d h1, the title %q, and begins with %q", s.url, headings, title, first)
	}
	policy := s.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'nonce-") || strings.Contains(policy, "unsafe") {
		s.t.Errorf("%s has the policy %s", s.url, policy)
	}
	if s.Header().Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s may be kept", s.url)
	}
}

// soundElement refuses inline style and script, script without nonce, and an address outside of the base path.
func (s *sight) soundElement(base string, n *html.Node, attrs map[string]string) {
	s.t.Helper()
	for name, value := range attrs {
		if name == "style" || strings.HasPrefix(name, "on") {
			s.t.Errorf("%s has <%s %s=%q>", s.url, n.Data, name, value)
		}
		local := strings.HasPrefix(value, "/") && slices.Contains([]string{"href", "src", "action", "hx-get"}, name)
		if local && !strings.HasPrefix(value, base+"/") {
			s.t.Errorf("%s leads out of the console: %s=%q", s.url, name, value)
		}
	}
	if n.Data == "script" && attrs["nonce"] == "" {
		s.t.Errorf("%s has a script without nonce", s.url)
	}
}

// A console that knows roles by name would be wrong for every other charter.
func TestNoPageKnowsARole(t *testing.T) {
	sources, err := filepath.Glob("*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range charter.Names() {
		c, err := charter.Ready(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range c.Roles() {
			quoted := regexp.MustCompile(comparedIfNoun(role.ID) + `["` + "`" + `](?i:` + regexp.QuoteMeta(string(role.ID)) + `)["` + "`" + `]`)
			for _, file := range sources {
				source, err := os.ReadFile(file)
				if err != nil || strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") {
					continue
				}
				if found := quoted.Find(source); found != nil {
					t.Errorf("%s names the role %s", file, found)
				}
			}
		}
	}
}

// comparedIfNoun lets the nouns of the trade stand that charters also call roles: they only may not be compared with.
func comparedIfNoun(id charter.RoleID) string {
	if id == "member" || id == "owner" {
		return `(==|!=|case) `
	}
	return ""
}

func TestWhoIsNotSignedInIsAskedToAndComesBack(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	s.browser().get("/account/sessions?cursor=x").says("/login?return_to=%2Faccount%2Fsessions%3Fcursor%3Dx", 200, "E-mail address")
	s.browser().post("/account", url.Values{"name": {"Ada"}, "idempotency_key": {"k"}}).
		says("/login?return_to=%2Faccount%3Fname%3DAda", 200)
}

func TestAPathWithoutAPageIsNotFound(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.browser().get("/nothing").says("/nothing", 404, "There is nothing here")
	s.as(acme.Owner()).get("/nothing").says("/nothing", 404, "There is nothing here", "Account & settings")
	s.as(acme.Owner()).post("/orgs", url.Values{}).says("/orgs", 405)
	if allow := s.browser().send("POST", "/orgs", url.Values{}).Header().Get("Allow"); allow != "GET" {
		t.Errorf("allowed is %q", allow)
	}
}

// T-054
func TestAFormOfAnotherSiteIsRefusedOnAPage(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.post("/logout", url.Values{}).says("/logout", 403, "Another site sent this request")
	b.header.Del("Sec-Fetch-Site")
	if got := b.get("/account"); got.Code != 200 {
		t.Errorf("the session ended: %d", got.Code)
	}
}

func TestTheThemeIsKeptAndLeadsBackHereOnly(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.submit(b.get("/account/sessions"), "/theme", "theme", "dark").says("/account/sessions", 200)
	if got := b.get("/account").Body.String(); !strings.Contains(got, `data-theme="dark"`) {
		t.Error("the page is not dark")
	}
	// T-055
	for _, elsewhere := range []string{"https://evil.test/", "//evil.test", "/\\evil.test"} {
		if to := b.send("POST", "/theme", url.Values{"here": {elsewhere}}).Header().Get("Location"); to != "/" {
			t.Errorf("%s leads to %s", elsewhere, to)
		}
	}
}

func TestTheNavigationShowsWhatMayBeRead(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for role, person := range acme.People {
			links := s.as(person).get("/account").links()
			holds := mustRole(t, s, role).Holds
			for permission, href := range map[charter.Permission]string{"members.view": "/o/acme/settings/team", "audit.view": "/o/acme/settings/audit-log"} {
				info, _ := s.Charter().Info(permission)
				if got, want := slices.Contains(links, href), holds.Has(info.Bit); got != want {
					t.Errorf("%s: %s sees %s: %v, want %v", name, role, href, got, want)
				}
			}
		}
	}
}

func mustRole(t *testing.T, s *site, id charter.RoleID) *charter.Role {
	t.Helper()
	role, ok := s.Charter().Role(id)
	if !ok {
		t.Fatalf("no role %s", id)
	}
	return role
}

func TestFormsSendTheFieldsOfTheirOperation(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.submit(b.get("/verify?return_to=%2Faccount"), "/verify")
	visitor := s.browser()
	visitor.submit(visitor.get("/login"), "/login", "email", "zoe@acme.test")
	for _, c := range []struct {
		page      *sight
		action    string
		operation string
	}{
		{visitor.get("/login"), "/login", "signin.begin"},
		{visitor.get("/login/code"), "/login/code", "signin.complete"},
		{visitor.get("/login/code"), "/login", "signin.begin"},
		{visitor.get("/login/link?token=x"), "/login/link", "signin.complete"},
		{b.get("/verify"), "/verify", "signin.begin"},
		{b.get("/verify/code"), "/verify/code", "signin.verify"},
		{b.get("/verify/link?token=x"), "/verify/link", "signin.verify"},
		{b.get("/orgs/new"), "/orgs/new", "organizations.create"},
		{b.get("/account"), "/account", "me.update"},
		{b.get("/account/sessions/end"), "/account/sessions/end", "sessions.revoke_all"},
	} {
		bound(t, s, c.page, c.action, c.operation)
	}
}

// bound checks that every field of a form is one of its operation's input.
func bound(t *testing.T, s *site, page *sight, action, operation string) {
	t.Helper()
	found, ok := s.Service().Find(operation)
	if !ok {
		t.Fatalf("no operation %s", operation)
	}
	fields := jsonFields(found.Info().In)
	for name := range page.form(action) {
		name, _, _ := strings.Cut(name, "/") // a pointer below a field
		if !slices.Contains(fields, name) && !slices.Contains([]string{"idempotency_key", "version", "confirm", "step"}, name) {
			t.Errorf("the form for %s sends %s, which %s does not have: %v", action, name, operation, fields)
		}
	}
}

// jsonFields are the JSON names of a struct's fields, those of embedded structs among them.
func jsonFields(in reflect.Type) (names []string) {
	for i := range in.NumField() {
		f := in.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			names = append(names, jsonFields(f.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}
