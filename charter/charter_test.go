package charter_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

func TestReadyMadeChartersLoad(t *testing.T) {
	if diff := cmp.Diff([]string{"automation", "documents", "gateway"}, charter.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, name := range charter.Names() {
		c := ready(t, name)
		if c.Name != name {
			t.Errorf("name of %s = %q", name, c.Name)
		}
		if c.KeyPrefix != "gld" {
			t.Errorf("key prefix of %s = %q, want gld", name, c.KeyPrefix)
		}
		if len(c.Tests) == 0 || len(c.Meters) == 0 || len(c.Plans) == 0 || len(c.Regions) == 0 || len(c.Resources) == 0 {
			t.Errorf("%s has %d tests, %d meters, %d plans, %d regions, %d resources; want some of each",
				name, len(c.Tests), len(c.Meters), len(c.Plans), len(c.Regions), len(c.Resources))
		}
	}
}

func TestReadyRefusesAnUnknownName(t *testing.T) {
	_, err := charter.Ready("autmation")
	wantError(t, err, `unknown charter "autmation"; did you mean "automation"?`)
	if got := charter.Source("../charter"); got != nil {
		t.Errorf("source of a foreign name = %q, want none", got)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "studio.yaml")
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := charter.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "studio" {
		t.Errorf("a charter without a name is called %q, want the file's base name", c.Name)
	}
	if _, err := charter.Load(path + ".missing"); !os.IsNotExist(err) {
		t.Errorf("loading a missing file: %v", err)
	}
}

func TestHashFollowsTheSource(t *testing.T) {
	a, b := parse(t, small), parse(t, small)
	if a.Hash() != b.Hash() || len(a.Hash()) != 64 {
		t.Errorf("hashes of one source: %q and %q, want one of 64 digits", a.Hash(), b.Hash())
	}
	if changed := parse(t, small+"# changed\n"); changed.Hash() == a.Hash() {
		t.Error("a changed source has the same hash")
	}
}

// TestReadersCannotChangeACharter guards what the lists give away: sorting one must not reorder the charter.
func TestReadersCannotChangeACharter(t *testing.T) {
	c := ready(t, "gateway")
	first, owner := c.Permissions()[0].ID, c.OwnerRole()
	c.Permissions()[0].ID = "changed.changed"
	c.Roles()[len(c.Roles())-1] = nil
	if got := c.Permissions()[0].ID; got != first {
		t.Errorf("first permission is now %q", got)
	}
	if c.OwnerRole() != owner {
		t.Error("the owner role is now another")
	}
}

// small is a right charter that the tests of mistakes change one line of.
const small = `product: Studio
key_prefix: stu
permissions:
  files.view: View files
  files.edit: Edit files
roles:
  guest: {title: Guest, grants: [organization.view, files.view]}
  owner: {title: Owner, grants: all}
`

func ready(t *testing.T, name string) *charter.Charter {
	t.Helper()
	c, err := charter.Ready(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, src string) *charter.Charter {
	t.Helper()
	c, err := charter.Parse("studio.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// golden compares a text with a file in testdata; UPDATE=1 rewrites the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
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
		t.Errorf("%s (-want +got; UPDATE=1 accepts):\n%s", file, diff)
	}
}
