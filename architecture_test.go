package guildhall_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/guildhall/guildhall"

// rooms are the domain rooms that the root assembles and the console shows, one a line.
var rooms = []string{
	"notice",
	"credential",
	"directory",
	"scim",
	"audit",
	"signin",
	"billing",
	"governance",
	"feedback",
	"requestlog",
	"usage",
	"artifacts",
	"federation",
}

// arrows say which of the project's packages a room may import, beside the ground (internal/...). Rooms that may
// import op may import decide and charter too; server and its edges are named one by one.
var arrows = map[string][]string{
	"charter":                        {},
	"decide":                         {"charter"},
	"op":                             {"charter", "decide"},
	"notice":                         {"charter", "decide", "op"},
	"credential":                     {"charter", "decide", "op", "notice"},
	"directory":                      {"charter", "decide", "op", "notice", "credential"},
	"scim":                           {"charter", "decide", "op", "directory", "credential"},
	"docs":                           {},
	"check":                          {"charter", "decide"},
	"access":                         {"charter", "decide", "op", "directory", "credential", "check"},
	"audit":                          {"charter", "decide", "op"},
	"artifacts":                      {"charter", "decide", "op"},
	"signin":                         {"charter", "decide", "op", "notice", "directory", "credential"},
	"federation":                     {"charter", "decide", "op", "notice", "directory", "credential", "signin"},
	"feedback":                       {"op", "docs"},
	"billing":                        {"charter", "decide", "op", "notice", "directory", "usage"},
	"billing/stripe":                 {"charter", "op", "billing"},
	"governance":                     {"charter", "decide", "op", "directory", "credential"},
	"requestlog":                     {"charter", "decide", "op", "check"},
	"usage":                          {"charter", "decide", "op"},
	"":                               slices.Concat(rooms, []string{"charter", "decide", "op", "check", "access"}),
	"client":                         {"charter", "decide", "op", "check", "usage"},
	"server":                         {"", "requestlog", "charter", "decide", "op", "access", "server/internal/web", "server/internal/api", "server/internal/gate", "server/internal/console", "server/internal/hooks", "server/internal/scim", "billing/stripe"},
	"server/internal/web":            {"charter", "decide", "op"},
	"server/internal/api":            {"charter", "decide", "op", "server/internal/web"},
	"server/internal/gate":           {"charter", "decide", "op", "access", "check", "server/internal/web"},
	"server/internal/hooks":          {"op", "billing", "billing/stripe", "server/internal/web"},
	"server/internal/scim":           {"op", "scim", "server/internal/web"},
	"server/internal/console":        slices.Concat(rooms, []string{"charter", "decide", "op", "access", "server/internal/web", "server/internal/console/ui", "server/internal/console/assets", "docs"}),
	"server/internal/console/ui":     {"server/internal/console/assets"},
	"cmd/guildhall/internal/cli":     {"charter", "decide", "op", "client"},
	"server/internal/console/assets": {},
}

// groundOf says which ground a room may stand on, where it is not all of it.
var sqlRooms = slices.Concat([]string{""}, rooms, []string{"op", "access", "internal/jobs", "internal/replica", "internal/sqldb", "internal/sqldb/drivers", "internal/testdb", "internal/testdb/cluster", "internal/testhall", "internal/testroom", "guildhalltest"})

// everywhere may import anything: assembly, and what stands in for it in tests.
var everywhere = []string{"cmd/guildhall", "internal/demo", "guildhalltest", "internal/testdb", "internal/testdb/cluster", "internal/testhall", "internal/testinside", "internal/testroom", "test/gateways"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// local is a package's path within the module; false for one of somebody else.
func local(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func ground(path string) bool { return strings.HasPrefix(path, "internal/") }

// TestArrows keeps the rooms apart: who imports what is a decision, written down above.
func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		room, _ := local(p.ImportPath)
		if strings.HasPrefix(room, "examples/") {
			checkExample(t, p)
			continue
		}
		if free(room) {
			continue
		}
		allowed, known := arrows[room]
		if !known && !ground(room) {
			t.Errorf("package %q stands in no room: write its arrows down", room)
			continue
		}
		for _, imported := range p.Imports {
			checkArrow(t, room, imported, allowed)
		}
	}
}

// checkExample keeps the examples to what everybody else may import too.
func checkExample(t *testing.T, p goPackage) {
	t.Helper()
	for _, imported := range p.Imports {
		if target, ours := local(imported); ours && strings.Contains("/"+target+"/", "/internal/") && !strings.HasPrefix(target, "examples/") {
			t.Errorf("%s imports %s, which no product can", p.ImportPath, target)
		}
	}
}

func free(room string) bool {
	return slices.ContainsFunc(everywhere, func(f string) bool {
		return room == f || strings.HasPrefix(room, f+"/") && f == "cmd/guildhall" && room != "cmd/guildhall/internal/cli"
	})
}

func checkArrow(t *testing.T, room, imported string, allowed []string) {
	t.Helper()
	target, ours := local(imported)
	switch {
	case !ours:
		if (imported == "net/http" || imported == "html/template") && domain(room) {
			t.Errorf("%q imports %s: rooms know no HTTP", room, imported)
		}
	case ground(room) && !ground(target):
		t.Errorf("%q imports %q: the ground imports no room", room, target)
	case target == "internal/sqldb" && !slices.Contains(sqlRooms, room):
		t.Errorf("%q imports the database", room)
	case strings.HasPrefix(target, "internal/test"), target == "guildhalltest":
		t.Errorf("%q imports %q, which is for tests", room, target)
	case !ground(target) && !slices.Contains(allowed, target):
		t.Errorf("%q imports %q: not one of its arrows", room, target)
	}
}

func domain(room string) bool {
	return room == "charter" || room == "decide" || room == "op" || room == "access" || slices.Contains(rooms, room)
}

// tenantTables are the tables whose rows belong to an organization.
var tenantTables = regexp.MustCompile(`(?i)\b(FROM|JOIN|INTO|UPDATE)\s+(` + strings.Join([]string{
	"members",
	"invitations",
	"transfers",
	"api_keys",
	"scoped_tokens",
	"service_accounts",
	"organization_roles",
	"directories",
	"directory_[a-z_]+",
	"dismissals",
	"reviews",
	"review_items",
	"requests",
	"usage_[a-z]+",
	"subscriptions",
	"invoices",
	"provider_invoices",
	"artifacts",
	"artifact_totals",
	"legal_holds",
	"legal_hold_artifacts",
	"retention_acknowledgements",
	"domains",
	"join_requests",
	"connections",
	"connection_[a-z]+",
	"connection_pilot_groups",
	"setup_links",
	"identities",
	"federated_attempts",
	"saml_[a-z]+",
}, "|") + `)\b`)

// namesOrganization is what a query on them has to say.
var namesOrganization = regexp.MustCompile(`organization = |\borganization\b.*VALUES|\(id, organization`)

// wholeInstance are the queries that are about a person or the installation and not about one organization, by a
// piece of their text, each with the reason.
var wholeInstance = map[string]string{
	"FROM domains d JOIN organizations o ON o.id = d.organization AND o.state":     "a verified domain leads to its one organization",
	"UPDATE domains SET checked_at = $1":                                           "scheduled work on what it has just looked at",
	"WHERE d.state = 'verified' AND d.checked_at":                                  "scheduled work on all organizations",
	"FROM domains d JOIN connections c ON c.organization":                          "a verified domain leads to its one organization",
	"UPDATE connection_tests SET answer = ''":                                      "scheduled work on all organizations",
	"WHERE c.id = $1 AND c.state = 'on'":                                           "a chosen provider leads to its organization",
	"WHERE o.slug = $1 AND c.state = 'on'":                                         "a slug is one organization's",
	"WHERE a.state_hash = $1":                                                      "a sign-in's state is the proof, and names its organization",
	"DELETE FROM federated_attempts WHERE expires_at":                              "scheduled work on all organizations",
	"SELECT 'connection ' || c.id || ' speaks SAML":                                "the doctor reads everything",
	"WHERE c.kind = 'saml' ORDER BY c.id":                                          "the doctor reads everything",
	"SELECT n.connection, 'is for the domain of":                                   "the doctor reads everything",
	"FROM saml_settings s JOIN connections c ON c.id = s.connection":               "scheduled work on all organizations",
	"INSERT INTO saml_settings (connection, organization":                          "it names the organization among its columns",
	"DELETE FROM saml_assertions WHERE expires_at":                                 "scheduled work on all organizations",
	"FROM domains d\n":                                                             "the doctor reads everything",
	"DELETE FROM requests WHERE (organization, at, id) IN":                         "scheduled work on all organizations",
	"SELECT DISTINCT organization FROM usage_log":                                  "scheduled work on all organizations",
	"SELECT DISTINCT organization, meter FROM usage_reservations WHERE expires_at": "scheduled work on all organizations",
	"UPDATE members SET sort_name":                                                 "a person's name changes in all their organizations",
	"WHERE m.user_id = $1 AND m.status <> 'removed' AND (m.ends_at":                "a person's own organizations",
	"SELECT role, count(*) FROM members WHERE status":                              "the doctor reads everything",
	"WHERE m.user_id = u.id AND m.status <> 'removed'":                             "how many organizations a person has",
	"(w.member IN (SELECT id FROM members WHERE user_id":                           "what ends with a person, in all their organizations",
	"SELECT id, ends_at FROM members WHERE role":                                   "the doctor reads everything",
	"FROM members WHERE ends_at <> 0 AND ends_at <=":                               "scheduled work on all organizations",
	"(SELECT COALESCE(min(NULLIF(o.session_life":                                   "a session lasts no longer than the person's organizations allow",
	"WHERE m.user_id = $1 AND m.break_glass":                                       "the organizations that a person may enter past their policy",
	"FROM organizations o WHERE o.sso_enforced AND":                                "the doctor reads everything",
	"token_hash =":        "an invitation's token is the proof, and names its organization",
	"link_hash =":         "an invitation's link is the proof, and names its organization",
	"SET delivery =":      "the mail's own job names the invitation",
	"SET last_active_at":  "last-seen times are gathered and written in groups",
	"i.email_folded = $1": "a person's own invitations",
	"SELECT organization FROM members WHERE user_id = $1": "a person's own organizations",
	"SET budget_used =":                                       "a token's own count of requests, taken by its id",
	"FROM usage_log ORDER BY id":                              "scheduled work on all organizations, and the doctor",
	"DELETE FROM usage_log WHERE id IN":                       "scheduled work on what it has just read",
	"DELETE FROM usage_buckets WHERE grain IN":                "scheduled work on all organizations",
	"SELECT organization, meter, ":                            "the doctor reads everything",
	"SELECT organization, role, 'a directory' AS giver":       "roles that are given, which whoever asks compares with an organization",
	"WHERE d.token_hash = $1":                                 "a directory's token is the proof, and names its organization",
	"DELETE FROM connection_sessions WHERE user_id = $1":      "what ends with a person, in all their organizations",
	"WHERE p.session = $1 AND p.user_id = $2":                 "a person's own session",
	"DELETE FROM connection_sessions WHERE session IN":        "scheduled work on all organizations",
	"DELETE FROM connection_logouts WHERE expires_at":         "scheduled work on all organizations",
	"WHERE c.id = $1 AND c.kind <> ''":                        "a provider that calls us leads to its organization",
	"DELETE FROM identities WHERE user_id = $1":               "what ends with a person, in all their organizations",
	"DELETE FROM connection_pilots WHERE email_folded = $1":   "what ends with a person, in all their organizations",
	"answer = '' WHERE email_folded = $1":                     "what ends with a person, in all their organizations",
	"DELETE FROM join_requests WHERE user_id = $1":            "what ends with a person, in all their organizations",
	"DELETE FROM directory_users WHERE user_id = $1":          "what ends with a person, in all their organizations",
	"FROM directory_users s WHERE s.user_id":                  "what ends with a person, in all their organizations",
	"FROM directory_users s LEFT JOIN members":                "the doctor reads everything",
	"WHERE m.managed_by <> ''":                                "the doctor reads everything",
	"WHERE k.hash = $1":                                       "a key's secret is the proof, and names its organization",
	"WHERE t.hash = $1":                                       "a token's secret is the proof, and names its organization",
	"INSERT INTO review_items (organization, review, subject": "its rows come from a query that names the organization",
	"SELECT r.id FROM reviews r WHERE (r.state":               "the doctor reads everything",
	"SELECT i.subject FROM review_items i WHERE":              "the doctor reads everything",
	"SELECT d.finding FROM dismissals d":                      "the doctor reads everything",
	"WHERE customer = $1":                                     "a provider names its own customer, which leads to the organization",
	"WHERE state = 'uploading' AND gone_at = 0":               "scheduled work on all organizations",
	"WHERE state IN ('deleted', 'abandoned')":                 "scheduled work on all organizations",
	"WHERE state = 'stored' ORDER BY id DESC LIMIT $1":        "the doctor reads everything",
	"FROM invoices v ORDER BY v.number":                       "the doctor reads everything",
	"SELECT COUNT(*) FROM invoices":                           "the doctor reads everything",
	"SELECT v.organization, v.state, v.lines":                 "the doctor reads everything",
	"SELECT s.organization, s.credit":                         "the doctor reads everything",
	"WHERE s.closes_at > s.period_end":                        "the doctor reads everything",
}

// TestEveryQueryNamesItsOrganization refuses SQL on an organization's table without the organization in its text. T-004.
func TestEveryQueryNamesItsOrganization(t *testing.T) {
	queries := 0
	for file, text := range stringLiterals(t) {
		for _, q := range text {
			if !tenantTables.MatchString(q) {
				continue
			}
			queries++
			if !namesOrganization.MatchString(q) && !excused(q) {
				t.Errorf("%s: a query on an organization's table does not name the organization:\n%s", file, q)
			}
		}
	}
	if queries < 20 {
		t.Fatalf("found only %d queries: the test does not look where the SQL is", queries)
	}
}

func excused(q string) bool {
	for piece := range wholeInstance {
		if strings.Contains(q, piece) {
			return true
		}
	}
	return false
}

var looksLikeSQL = regexp.MustCompile(`(?s)^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s.*\b(FROM|INTO|SET)\b`)

// TestSQLStaysInItsRooms finds SQL outside the rooms that may have it.
func TestSQLStaysInItsRooms(t *testing.T) {
	for file, texts := range stringLiterals(t) {
		room := filepath.ToSlash(filepath.Dir(file))
		if room == "." || slices.Contains(sqlRooms[1:], room) || strings.HasPrefix(room, "examples/") || room == "bench" {
			continue
		}
		for _, text := range texts {
			if looksLikeSQL.MatchString(text) {
				t.Errorf("%s has SQL: %q", file, text)
			}
		}
	}
}

// TestRootHasNoSQL: the root assembles rooms, and asks the database nothing itself.
func TestRootHasNoSQL(t *testing.T) {
	for file, texts := range stringLiterals(t) {
		for _, text := range texts {
			if filepath.Dir(file) == "." && looksLikeSQL.MatchString(text) {
				t.Errorf("%s has SQL: %q", file, text)
			}
		}
	}
}

// stringLiterals are the string literals of every Go file that is no test, by file; concatenations as one text.
func stringLiterals(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_templ.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found[path], err = literalsOf(path, src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func literalsOf(path string, src []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
	if err != nil {
		return nil, err
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if text := joined(n); text != "" {
				all = append(all, text)
				return false
			}
		case *ast.BasicLit:
			all = append(all, joined(n))
		}
		return true
	})
	return all, nil
}

// joined is the text of a literal, or of a sum of literals and whatever stands between them.
func joined(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return joined(e.X) + " " + joined(e.Y)
		}
	}
	return ""
}
