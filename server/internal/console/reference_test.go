package console_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// reference are the operations that the reference has, by noun.
func (s *site) reference() map[string][]op.Info {
	all := map[string][]op.Info{}
	for _, o := range s.Service().Operations() {
		if i := o.Info(); i.Noun() != "demo" && !i.Foreign() {
			all[i.Noun()] = append(all[i.Noun()], i)
		}
	}
	return all
}

func TestEveryOperationIsOnTheReferenceWithItsPermission(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for who, b := range map[string]*browser{"nobody": s.browser(), "the owner": s.as(acme.Owner())} {
			index := b.get("/docs/api").links()
			for noun, operations := range s.reference() {
				page := b.get("/docs/api/"+noun).says("/docs/api/"+noun, 200, "Was this helpful?")
				anchors, links, text := page.ids(), page.links(), page.text()
				for _, i := range operations {
					if !anchors[i.Name] || !slices.Contains(index, "/docs/api/"+noun+"#"+i.Name) {
						t.Errorf("as %s: %s is not on its page, or the table does not lead there", who, i.Name)
					}
					for _, says := range []string{i.Summary, i.Path, i.Allow.String()} {
						if !strings.Contains(text, says) {
							t.Errorf("as %s: the page of %s does not say %q", who, i.Name, says)
						}
					}
					s.namesHolders(text, links, i)
				}
			}
		}
	}
}

// namesHolders wants each permission of an operation with a link to it, and the roles that hold it by the charter.
func (s *site) namesHolders(text string, links []string, i op.Info) {
	s.t.Helper()
	for _, p := range i.Allow.Asked() {
		if !slices.Contains(links, "/docs/permissions#"+strings.ReplaceAll(string(p), ".", "-")) {
			s.t.Errorf("%s does not lead to %s", i.Name, p)
		}
		_, holders, _ := strings.Cut(text, string(p)+" is held by ")
		holders, _, _ = strings.Cut(holders, ".")
		for _, role := range s.Charter().Roles() {
			named := slices.Contains(strings.FieldsFunc(holders, func(c rune) bool { return c == ',' || c == ' ' }), role.Title)
			if want := s.Charter().Can(role, p); named != want {
				s.t.Errorf("%s: %s says that %s holds %s: %v, want %v", s.Charter().Name, i.Name, role.Title, p, named, want)
			}
		}
	}
}

func TestTheReferenceSaysWhatAnOperationTakesAndAnswers(t *testing.T) {
	s := newSite(t, "automation")
	s.browser().get("/docs/api/keys").says("/docs/api/keys", 200,
		"expires_at string in the body When it ends: a time (RFC 3339), a duration from now such as 30d, or never (at most 64 characters)",
		"organization string in the path required The organization: its id or its slug",
		"kind string in the body Whether it acts as its creator or as the organization; not said: the first kind of the charter (one of personal, organization)",
		"Idempotency-Key string in the header", "Answer 201", "422 invalid", "secret_shown")
	s.browser().get("/docs/api/members").says("/docs/api/members", 200, "data[].email", "The console lists what is affected and asks",
		"10 minutes old", "With dry_run=true it only says what would happen", "curl", "Go", "TypeScript", "CLI",
		"curl -sS http://localhost/v1/organizations/acme/members/", `guildhall members remove mem_`, "directory.RemoveMember.Call(ctx, hall, directory.EndMemberInput{")
}

// Nothing on the reference is a secret of the reader; what is theirs is the name of their organization.
func TestTheReferenceIsAboutTheReadersOwnOrganization(t *testing.T) {
	s := newSite(t, "gateway")
	globex := s.Organization("globex")
	page := s.as(globex.Owner()).get("/docs/api/keys").says("/docs/api/keys", 200, "/v1/organizations/globex/keys", "--org globex", `Organization: "globex"`, "gld_live_")
	if body := page.Body.String(); strings.Contains(body, globex.Owner().Token) {
		t.Error("the page has the reader's session")
	}
	s.browser().get("/docs/api/keys").says("/docs/api/keys", 200, "/v1/organizations/acme/keys")
}

func TestOperationsAreFoundByTheirWords(t *testing.T) {
	s := newSite(t, "automation")
	page := s.browser().get("/docs/api?q=REMOVE+member").says("/docs/api?q=REMOVE+member", 200, "operations have these words")
	links := page.links()
	if !slices.Contains(links, "/docs/api/members#members.remove") || slices.Contains(links, "/docs/api/keys#keys.create") {
		t.Errorf("the filter leaves %v", links)
	}
	s.browser().get("/docs/api?q=%3Cscript%3E").says("/docs/api?q=%3Cscript%3E", 200, "0 operations have these words")
}

// referenceBudget is what a page of the reference weighs at most, packed.
const referenceBudget = 30 << 10

func TestAPageOfTheReferenceIsLight(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.as(s.Organization("acme").Owner())
	heaviest, which := 0, ""
	for noun := range s.reference() {
		if size := packed(t, owner.get("/docs/api/"+noun).Body.Bytes()); size > heaviest {
			heaviest, which = size, noun
		}
	}
	index := packed(t, owner.get("/docs/api").Body.Bytes())
	t.Logf("the heaviest page is %s with %d bytes; the first has %d", which, heaviest, index)
	if max(heaviest, index) > referenceBudget {
		t.Errorf("a page has %d bytes, at most %d are allowed", max(heaviest, index), referenceBudget)
	}
}

func packed(t *testing.T, body []byte) int {
	t.Helper()
	var b bytes.Buffer
	w := brotli.NewWriterLevel(&b, 5)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestTheReferenceIsThereAsMarkdown(t *testing.T) {
	s := newSite(t, "automation")
	w := s.browser().send("GET", "/docs/api/keys.md", nil)
	for _, want := range []string{"# Keys\n", "## keys.create\n", "- `keys.create` is held by: Editor, Owner", "| `name` | body | string |", "```sh\ncurl -sS"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	if w := s.browser().send("GET", "/docs/api/nothing.md", nil); w.Code != 404 {
		t.Errorf("a noun that is none: %d", w.Code)
	}
	index := s.browser().send("GET", "/docs/llms.txt", nil).Body.String()
	for noun := range s.reference() {
		if !strings.Contains(index, host+"/docs/api/"+noun+".md): ") {
			t.Errorf("llms.txt lacks %s", noun)
		}
	}
	for _, found := range regexp.MustCompile(`\(`+host+`([^)]*)\)`).FindAllStringSubmatch(index, -1) {
		if found[1] != "/openapi.json" && s.browser().send("GET", found[1], nil).Code != 200 {
			t.Errorf("llms.txt leads to %s, which is not there", found[1])
		}
	}
}

// TestGoExamplesNameWhatIsThere compares the variable that each Go example calls with the rooms' sources.
func TestGoExamplesNameWhatIsThere(t *testing.T) {
	declared := declaredOperations(t)
	s := newSite(t, "automation")
	checked := 0
	for noun, operations := range s.reference() {
		page := s.browser().get("/docs/api/" + noun).text()
		for _, i := range operations {
			name, ok := declared[i.Name]
			if i.Name == "organizations.purge" { // it is made with the steps of the rooms
				continue
			}
			if !ok {
				t.Errorf("%s is declared nowhere", i.Name)
			}
			checked++
			if !strings.Contains(page, name+".Call(ctx, hall,") && !strings.Contains(page, "hall.Stream(ctx, "+name+",") {
				t.Errorf("the Go example of %s does not call %s: name the variable by the verb and its noun", i.Name, name)
			}
		}
	}
	if checked < 70 {
		t.Errorf("only %d examples were looked at", checked)
	}
}

// declaredOperations are the variables of all operations in the source, by their operations' names.
func declaredOperations(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob("../../../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if operation := operationName(spec.Values[0]); operation != "" {
					found[operation] = file.Name.Name + "." + spec.Names[0].Name
				}
			}
			return true
		})
	}
	return found
}

// operationName is the name in &op.Op[In, Out]{Name: "keys.create"}; empty for anything else.
func operationName(e ast.Expr) string {
	pointer, ok := e.(*ast.UnaryExpr)
	if !ok {
		return ""
	}
	literal, ok := pointer.X.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, isName := pair.Key.(*ast.Ident)
		if value, isText := pair.Value.(*ast.BasicLit); isName && isText && key.Name == "Name" {
			text, _ := strconv.Unquote(value.Value)
			return text
		}
	}
	return ""
}
