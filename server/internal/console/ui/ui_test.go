package ui_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/a-h/templ/parser/v2"
	"github.com/a-h/templ/parser/v2/visitor"
	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/server/internal/console/ui"
)

const nonce = "NONCE"

var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// render returns the HTML of a component with the nonce in its context.
func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var out strings.Builder
	if err := c.Render(ui.WithNonce(context.Background(), nonce), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// with gives a frame its content.
func with(frame, content templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return frame.Render(templ.WithChildren(ctx, content), w)
	})
}

// pages are the frames with every component in one or another of them.
func pages(t *testing.T) map[string]string {
	t.Helper()
	signIn := ui.Hosted(ui.HostedProps{
		Title: "Sign in", Lede: "to Example", Nonce: nonce, Theme: ui.Dark, RequestID: "req_1",
		Brand: ui.Brand{Name: "Example", LogoURL: "/logo.svg"}, Footer: []ui.LinkProps{{Text: "Terms", Href: "/terms"}},
		Flash: &ui.ToastProps{Tone: ui.Bad, Text: "That link has expired."},
	})
	email := ui.Input(ui.InputProps{FieldProps: ui.FieldProps{Name: "email", Label: "E-mail"}, Type: "email", Autocomplete: "email", Required: true, Autofocus: true})
	gone := ui.Hosted(ui.HostedProps{Title: "Error", OwnHeading: true, Nonce: nonce, Brand: ui.Brand{Name: "Example"}})
	return map[string]string{
		"components": render(t, ui.Components(ui.ComponentsProps{BasePath: "/base", Nonce: nonce, Now: noon})),
		"signin":     render(t, with(signIn, email)),
		"failure":    render(t, with(gone, ui.ErrorPage(ui.ErrorPageProps{Status: 500, RequestID: "req_1"}))),
	}
}

// golden compares got with a file that UPDATE=1 rewrites. Hashes of assets are
// left out of it, so that it changes only with the markup.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = regexp.MustCompile(`(/assets/[\w.-]+)\.[0-9a-f]{12}\.`).ReplaceAllString(got, "$1.HASH.")
	got = strings.ReplaceAll(got, "><", ">\n<") + "\n"
	path := filepath.Join("testdata", name+".golden.html")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); UPDATE=1 rewrites it:\n%s", path, diff)
	}
}

func TestPagesLookAsReviewed(t *testing.T) {
	for name, got := range pages(t) {
		golden(t, name, got)
	}
}

// elements calls visit for every element of a document or fragment.
func elements(t *testing.T, text string, visit func(n *html.Node, attrs map[string]string)) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attrs := map[string]string{}
		for _, a := range n.Attr {
			attrs[a.Key] = a.Val
		}
		visit(n, attrs)
	}
}

// TestFiftyRowsFitTheBudget holds a page of 50 members, each with a menu, to
// 14 KB of brotli.
func TestFiftyRowsFitTheBudget(t *testing.T) {
	table := ui.TableProps{Caption: "Members", Columns: []ui.Column{{Title: "Person"}, {Title: "Role"}, {Title: "Last active"}, {Title: "Actions", Acts: true}}}
	for i := range 50 {
		id := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)}))[:20]
		name := id[:6] + " " + id[6:14]
		table.Rows = append(table.Rows, ui.Row{ID: "mem_" + id, Cells: []templ.Component{
			ui.Person(ui.PersonProps{Name: name, Detail: id[:8] + "@acme.test", Href: "/o/acme/settings/team/mem_" + id}),
			ui.Text("Builder"),
			ui.Time(ui.TimeProps{At: noon.Add(-time.Duration(i*i) * time.Minute), Now: noon}),
			ui.Menu(ui.MenuProps{ID: "menu-" + id, Label: "Actions for " + name, Items: []ui.MenuItem{
				{Text: "Change role", Icon: "user-cog", Href: "/o/acme/settings/team/mem_" + id + "/role", Dialog: true},
				{Text: "Remove", Icon: "trash-2", Href: "/o/acme/settings/team/mem_" + id + "/remove", Dialog: true, Danger: true},
			}}),
		}})
	}
	var packed bytes.Buffer
	w := brotli.NewWriter(&packed)
	if _, err := w.Write([]byte(render(t, with(ui.Page(ui.PageProps{Title: "Team"}), ui.Table(table))))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > 14<<10 {
		t.Errorf("%d bytes of brotli, want at most %d", packed.Len(), 14<<10)
	}
	t.Logf("%d bytes of brotli", packed.Len())
}

func TestEveryElementWithHTMXCarriesTheNonce(t *testing.T) {
	found := 0
	for page, text := range pages(t) {
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			for name := range attrs {
				if !strings.HasPrefix(name, "hx-") || name == "hx-nonce" {
					continue
				}
				found++
				if attrs["hx-nonce"] != nonce {
					t.Errorf("%s: <%s> has %s but the nonce %q", page, n.Data, name, attrs["hx-nonce"])
				}
				if strings.HasPrefix(name, "hx-on") || name == "hx-nonce:inherited" {
					t.Errorf("%s: <%s> has %s, which is not used here", page, n.Data, name)
				}
			}
		})
	}
	if found == 0 {
		t.Error("no element with hx-* was found, so nothing was tested")
	}
}

func TestScriptsCarryTheNonceAndComeFromHere(t *testing.T) {
	for page, text := range pages(t) {
		scripts := 0
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			if n.Data != "script" {
				return
			}
			scripts++
			if attrs["nonce"] != nonce || n.FirstChild != nil || !strings.Contains(attrs["src"], "/assets/") {
				t.Errorf("%s: script %v", page, attrs)
			}
		})
		if scripts != 4 {
			t.Errorf("%s: %d scripts, want 4", page, scripts)
		}
	}
}

// T-068
func TestNothingIsInline(t *testing.T) {
	for page, text := range pages(t) {
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			if n.Data == "style" {
				t.Errorf("%s has a <style>", page)
			}
			for name, value := range attrs {
				if name == "style" || strings.HasPrefix(name, "on") {
					t.Errorf("%s: <%s %s=%q>", page, n.Data, name, value)
				}
			}
		})
	}
}

func TestIDsAreUniqueAndReferencesLeadSomewhere(t *testing.T) {
	for page, text := range pages(t) {
		ids := map[string]int{}
		elements(t, text, func(_ *html.Node, attrs map[string]string) {
			if id, ok := attrs["id"]; ok {
				ids[id]++
			}
		})
		for id, count := range ids {
			if count > 1 || id == "" {
				t.Errorf("%s: id %q occurs %d times", page, id, count)
			}
		}
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			for _, name := range []string{"for", "aria-describedby", "aria-labelledby", "popovertarget", "commandfor"} {
				for _, id := range strings.Fields(attrs[name]) {
					if ids[id] == 0 {
						t.Errorf("%s: <%s %s=%q> leads nowhere", page, n.Data, name, attrs[name])
					}
				}
			}
		})
	}
}

func TestControlsHaveNames(t *testing.T) {
	for page, text := range pages(t) {
		labelled := map[string]bool{}
		elements(t, text, func(_ *html.Node, attrs map[string]string) { labelled[attrs["for"]] = true })
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			switch n.Data {
			case "input", "select", "textarea":
				if attrs["type"] != "hidden" && n.Parent.Data != "label" && !labelled[attrs["id"]] {
					t.Errorf("%s: %s %q has no label", page, n.Data, attrs["name"])
				}
			case "button", "a":
				if words(n) == "" {
					t.Errorf("%s: <%s> %v says nothing", page, n.Data, attrs)
				}
			}
		})
	}
}

// words is the text inside a node.
func words(n *html.Node) string {
	var out strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(out.String())
}

func TestSkipLinkIsTheFirstStop(t *testing.T) {
	for page, text := range pages(t) {
		first, main := "", 0
		elements(t, text, func(n *html.Node, attrs map[string]string) {
			switch n.Data {
			case "a", "button", "input", "select", "textarea", "summary":
				if first == "" {
					first = attrs["href"]
				}
			case "main":
				if attrs["id"] == "main" {
					main++
				}
			}
		})
		if first != "#main" || main != 1 {
			t.Errorf("%s: the first stop leads to %q, want #main; %d mains, want 1", page, first, main)
		}
	}
}

func TestPagesHaveOneMainHeading(t *testing.T) {
	for _, c := range []struct {
		what string
		page templ.Component
	}{
		{"a page with a heading of its own", with(ui.Page(ui.PageProps{Title: "Denied", OwnHeading: true}), ui.ErrorPage(ui.ErrorPageProps{Status: 403}))},
		{"a page", with(ui.Page(ui.PageProps{Title: "Team"}), ui.Text("Nobody."))},
		{"a hosted page", with(ui.Hosted(ui.HostedProps{Title: "Sign in"}), ui.Text("Hello."))},
	} {
		count := 0
		elements(t, render(t, c.page), func(n *html.Node, _ map[string]string) {
			if n.Data == "h1" {
				count++
			}
		})
		if count != 1 {
			t.Errorf("%s: %d h1, want 1", c.what, count)
		}
	}
}

func TestRefusedButtonCanBeReachedAndSaysWhy(t *testing.T) {
	got := render(t, ui.Button(ui.ButtonProps{Text: "Invite", Kind: ui.Primary, Href: "/invite", Refused: "Ask Ada.", WhyHref: "/why"}))
	for _, want := range []string{`type="button"`, `aria-disabled="true"`, `aria-describedby="why-invite"`, `id="why-invite">Ask Ada.<`, `href="/why"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, " disabled") || strings.Contains(got, `"/invite"`) {
		t.Errorf("it is disabled or leads on: %s", got)
	}
}

// T-068
func TestNamesCannotBecomeMarkup(t *testing.T) {
	evil := `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	page := ui.PageProps{
		Title: evil, Nonce: nonce, Viewer: ui.Viewer{Name: evil, Email: evil}, Here: evil, RequestID: evil,
		Organization: ui.Organization{Name: evil, Slug: evil, RoleTitle: evil}, Organizations: []ui.Organization{{Name: evil}, {Name: evil}},
		Flash: &ui.ToastProps{Text: evil, EventHref: "javascript:alert(1)"}, Ways: ui.Ways{Request: evil, Command: evil},
	}
	content := ui.Table(ui.TableProps{Caption: evil, Columns: []ui.Column{{Title: evil}, {Title: evil}}, Rows: []ui.Row{{Cells: []templ.Component{
		ui.Person(ui.PersonProps{Name: evil, Detail: evil, Href: "javascript:alert(1)"}), ui.Code(evil),
	}}}})
	elements(t, render(t, with(ui.Page(page), content)), func(n *html.Node, attrs map[string]string) {
		if n.Data == "img" || n.Data == "script" && attrs["src"] == "" {
			t.Errorf("a name became <%s %v>", n.Data, attrs)
		}
		if strings.Contains(attrs["href"], "javascript:") {
			t.Errorf("a link leads to %q", attrs["href"])
		}
	})
}

func TestRelative(t *testing.T) {
	for _, c := range []struct {
		distance time.Duration
		want     string
	}{
		{0, "just now"},
		{-59 * time.Second, "just now"},
		{-time.Minute, "1 minute ago"},
		{-59*time.Minute - 59*time.Second, "59 minutes ago"},
		{-time.Hour, "1 hour ago"},
		{-23 * time.Hour, "23 hours ago"},
		{-24 * time.Hour, "1 day ago"},
		{-29 * 24 * time.Hour, "29 days ago"},
		{-30 * 24 * time.Hour, "22 Oct 2026"},
		{90 * time.Second, "in 1 minute"},
		{6 * 24 * time.Hour, "in 6 days"},
		{400 * 24 * time.Hour, "26 Dec 2027"},
	} {
		if got := ui.Relative(noon.Add(c.distance), noon, time.UTC); got != c.want {
			t.Errorf("%v from now: got %q, want %q", c.distance, got, c.want)
		}
	}
}

func TestTimeTellsTheMomentToMachinesAndPeople(t *testing.T) {
	oslo := time.FixedZone("CET", 3600)
	got := render(t, ui.Time(ui.TimeProps{At: noon.Add(-2 * time.Hour), Now: noon, Zone: oslo}))
	want := `<time datetime="2026-11-21T10:00:00Z" title="21 Nov 2026, 11:00:00 CET" data-relative>2 hours ago</time>`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestInitials(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Ada Lovelace", "AL"},
		{"ada", "A"},
		{"Cleo de la Cruz-Montgomery", "CM"},
		{"Øystein Ærø", "ØÆ"},
		{"zoe@acme.test", "ZT"},
		{"", "?"},
		{"—", "?"},
	} {
		if got := ui.Initials(c.name); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRefusalSaysWhoCanHelp(t *testing.T) {
	for _, c := range []struct {
		holders []string
		want    string
	}{
		{nil, "An owner can grant it."},
		{[]string{"Ada"}, "Ada can grant it."},
		{[]string{"Ada", "Bo"}, "Ada or Bo can grant it."},
		{[]string{"Ada", "Bo", "Cleo", "Dan", "Eve"}, "Ada, Bo, Cleo or 2 others can grant it."},
	} {
		if got := render(t, ui.WhyBox(ui.WhyBoxProps{Answer: "No.", Holders: c.holders})); !strings.Contains(got, c.want) {
			t.Errorf("holders %v: no %q in %s", c.holders, c.want, got)
		}
	}
}

func TestSortIsSaidAndShown(t *testing.T) {
	got := render(t, ui.Table(ui.TableProps{Columns: []ui.Column{{Title: "Name", SortHref: "?sort=-name", Sort: ui.Ascending}, {Title: "Role", SortHref: "?sort=role"}}}))
	if strings.Count(got, "aria-sort") != 1 || !strings.Contains(got, `aria-sort="ascending"`) {
		t.Errorf("want aria-sort on one column: %s", got)
	}
}

func TestCellsAreLabelledForNarrowScreens(t *testing.T) {
	got := render(t, ui.Table(ui.TableProps{
		Columns: []ui.Column{{Title: "Name"}, {Title: "Role"}, {Title: "Actions", Acts: true}},
		Rows:    []ui.Row{{Cells: []templ.Component{ui.Text("Bo"), ui.Text("Builder"), ui.Text("…")}}},
	}))
	for _, want := range []string{`<th scope="row">Bo</th>`, `data-label="Role">Builder</td>`, `<td class="acts">…</td>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestMatrixChoosesTheRoleShownFirst(t *testing.T) {
	roles := []ui.MatrixRole{{Key: "a", Title: "A"}, {Key: "b", Title: "B"}}
	for _, c := range []struct{ shown, want string }{{"", "a"}, {"b", "b"}} {
		got := render(t, ui.Matrix(ui.MatrixProps{Roles: roles, Shown: c.shown}))
		if want := fmt.Sprintf(`value="%s" checked`, c.want); strings.Count(got, "checked") != 1 || !strings.Contains(got, want) {
			t.Errorf("shown %q: want %s in %s", c.shown, want, got)
		}
	}
}

func TestErrorPageNamesWhatIsMissing(t *testing.T) {
	got := render(t, ui.ErrorPage(ui.ErrorPageProps{
		Status: 403, Permission: ui.Permission{ID: "audit.view", Text: "Read the audit log"},
		Holders: []string{"Ada"}, RequestHref: "/ask", RequestID: "req_1",
	}))
	for _, want := range []string{"403", "Read the audit log", "audit.view", "Ada can grant it.", `href="/ask"`, "req_1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// TestTextsPassTheCatalogue refuses words in a template that are not handed to
// T or N. The page of components is a specimen and has its own.
func TestTextsPassTheCatalogue(t *testing.T) {
	files, err := filepath.Glob("*.templ")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	letter := regexp.MustCompile(`\pL`)
	said := map[string]bool{"title": true, "alt": true, "placeholder": true, "aria-label": true, "data-copied": true}
	for _, file := range files {
		if file == "components.templ" {
			continue
		}
		parsed, err := parser.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		v := visitor.New()
		v.Text = func(n *parser.Text) error {
			if letter.MatchString(n.Value) {
				t.Errorf("%s: %q is not in the catalogue", file, n.Value)
			}
			return nil
		}
		v.ConstantAttribute = func(n *parser.ConstantAttribute) error {
			if said[n.Key.String()] && letter.MatchString(n.Value) {
				t.Errorf("%s: %s=%q is not in the catalogue", file, n.Key, n.Value)
			}
			return nil
		}
		if err := parsed.Visit(v); err != nil {
			t.Fatal(err)
		}
	}
}
