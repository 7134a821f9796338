package console_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/op"
)

// ways are the request and the command at the foot of a page.
func (s *sight) ways() (lines []string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "details" && attrs["class"] == "ways" {
			eachIn(n, func(code *html.Node, _ map[string]string) {
				if code.Data == "code" {
					lines = append(lines, textOf(code))
				}
			})
		}
	})
	return lines
}

func TestEveryPageTellsARequestAndACommandThatExist(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b, admin := s.as(acme.Owner()), acme.People["admin"].Member
	paths := []string{"/o/acme/settings/audit-log?q=action%3Amembers.update+outcome%3Aok&before=2027-01-01", "/o/acme/settings/team?role=reader&sort=-joined"}
	for path := range organizationPages {
		if !strings.Contains(path, "csv") && !strings.Contains(path, "export") {
			paths = append(paths, path)
		}
	}
	for _, verb := range append(memberVerbs, "") {
		paths = append(paths, strings.TrimSuffix("/o/acme/settings/team/"+admin+"/"+verb, "/"))
	}
	for _, path := range paths {
		tellsWays(t, b, path)
	}
}

// tellsWays fails unless a page tells a request and a command that are of one operation.
func tellsWays(t *testing.T, b *browser, path string) {
	t.Helper()
	lines := b.get(path).ways()
	if len(lines) != 2 {
		t.Errorf("%s tells %q", path, lines)
		return
	}
	request, command := operationOfRequest(b.site, lines[0]), operationOfCommand(t, b.site, lines[1])
	if request == "" || request != command {
		t.Errorf("%s tells %q and %q, which are %q and %q", path, lines[0], lines[1], request, command)
	}
}

// operationOfRequest is the name of the operation that a line of a request runs.
func operationOfRequest(s *site, line string) string {
	method, rest, _ := strings.Cut(line, " ")
	path, _, _ := strings.Cut(strings.SplitN(rest, " ", 2)[0], "?")
	return firstOf(s, func(i op.Info) bool {
		route := regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(i.Path), `[a-z][a-z0-9_]+`)
		return i.Method == method && regexp.MustCompile("^"+route+"$").MatchString(path)
	})
}

// operationOfCommand is the name of the operation that a command runs; its flags have to be fields.
func operationOfCommand(t *testing.T, s *site, line string) string {
	t.Helper()
	words := strings.Fields(line)
	return firstOf(s, func(i op.Info) bool {
		if words[0] != "guildhall" || words[1] != strings.ReplaceAll(i.Noun(), "_", "-") || words[2] != strings.ReplaceAll(i.Verb(), "_", "-") {
			return false
		}
		for _, word := range words[3:] {
			flag, is := strings.CutPrefix(word, "--")
			if is && flag != "org" && !slices.Contains(jsonFields(i.In), strings.ReplaceAll(flag, "-", "_")) {
				t.Errorf("%q has the flag %s, which %s does not", line, flag, i.Name)
			}
		}
		return true
	})
}

func firstOf(s *site, is func(op.Info) bool) string {
	for _, o := range s.Service().Operations() {
		if is(o.Info()) {
			return o.Info().Name
		}
	}
	return ""
}
