package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/docs"
)

// texts are all of the project's texts whose links are checked, from this folder.
func texts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, glob := range []string{"*.md", "decisions/*.md", "../*.md"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
	inline = regexp.MustCompile("`[^`\n]*`")
	link   = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	header = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
)

// TestEveryLinkLeadsSomewhere follows each link to its file and heading.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	followed := 0
	for _, file := range texts(t) {
		for _, found := range link.FindAllStringSubmatch(inline.ReplaceAllString(fenced.ReplaceAllString(read(t, file), ""), ""), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			followed++
			path, fragment, _ := strings.Cut(found[1], "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s leads to %s, which is not there", file, found[1])
			} else if fragment != "" && !slices.Contains(anchors(t, to), fragment) {
				t.Errorf("%s leads to %s: %s has no such heading", file, found[1], to)
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links were followed: the test does not find them", followed)
	}
}

// anchors are the names of a page's headings, as GitHub and the console make them; those of the permissions are made of
// the charter when the page is shown.
func anchors(t *testing.T, file string) []string {
	t.Helper()
	var all []string
	for _, found := range header.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
		all = append(all, anchor(found[1]))
	}
	if filepath.Base(file) != "permissions.md" {
		return all
	}
	for _, name := range charter.Names() {
		c, err := charter.Ready(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range c.Permissions() {
			all = append(all, strings.ReplaceAll(string(info.ID), ".", "-"))
		}
	}
	return all
}

func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestEveryPageIsInTheList: a page that nobody finds is none.
func TestEveryPageIsInTheList(t *testing.T) {
	for _, file := range sources(t) {
		name := strings.TrimSuffix(file, ".md")
		p, ok := docs.Find(name)
		if !ok {
			t.Errorf("%s is not in the list of pages", file)
		} else if p.Title == "" || !strings.HasPrefix(string(p.Source), "# "+p.Title+"\n") {
			t.Errorf("%s does not begin with its title", file)
		}
		if strings.Count("\n"+fenced.ReplaceAllString(string(p.Source), ""), "\n# ") != 1 {
			t.Errorf("%s has not exactly one title", file)
		}
	}
}

// command is a command of ours in a text or in a block that is not run.
var command = regexp.MustCompile("(?m)(?:^|`)guildhall ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(?: --?([a-z-]+))?")

// TestEveryCommandExists asks the program for the help of each command that the documentation names.
func TestEveryCommandExists(t *testing.T) {
	asked := map[string]bool{}
	for _, file := range texts(t) {
		for _, found := range command.FindAllStringSubmatch(read(t, file), -1) {
			noun, verb := found[1], found[2]
			words := noun + " " + verb
			if noun == "charter" || noun == "config" || noun == "serve" || noun == "demo" || noun == "doctor" || noun == "version" {
				words = noun
			}
			if asked[words] || noun == "help" || noun == "completion" {
				continue
			}
			asked[words] = true
			help := exec.Command(binary, append([]string{"help"}, strings.Fields(words)...)...)
			if out, err := help.CombinedOutput(); err != nil || !strings.Contains(string(out), "guildhall") {
				t.Errorf("%s: guildhall %s: %v: %s", file, words, err, out)
			}
		}
	}
	if len(asked) < 20 {
		t.Errorf("only %d commands were found: %v", len(asked), asked)
	}
}

// TestConfigurationIsThatOfTheProgram compares the page with what the program says of its settings.
func TestConfigurationIsThatOfTheProgram(t *testing.T) {
	if read(t, "configuration.md") != read(t, "../cmd/guildhall/testdata/configuration.md") {
		t.Error("docs/configuration.md differs from cmd/guildhall/testdata/configuration.md: copy that one")
	}
}

// Every column of a table has a head, which people who do not see it go by.
func TestEveryTableHasHeads(t *testing.T) {
	for _, page := range texts(t) {
		lines := strings.Split(read(t, page), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "| ---") && slices.Contains(cells(lines[i-1]), "") {
				t.Errorf("%s:%d: a column has no head: %s", page, i, lines[i-1])
			}
		}
	}
}

// cells are those of a line of a table.
func cells(line string) []string {
	all := strings.Split(strings.Trim(line, "|"), "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}
