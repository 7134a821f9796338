package sqldb_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// taking are the statements of a migration that a server of the release before would miss.
var taking = map[string]*regexp.Regexp{
	"takes a table away":                    regexp.MustCompile(`(?i)\bDROP\s+TABLE\b`),
	"takes a column away":                   regexp.MustCompile(`(?i)\bDROP\s+COLUMN\b`),
	"gives something another name":          regexp.MustCompile(`(?i)\bRENAME\b`),
	"makes a column another one":            regexp.MustCompile(`(?i)\bALTER\s+COLUMN\b`),
	"adds a constraint to what is there":    regexp.MustCompile(`(?i)\bADD\s+(CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY)\b`),
	"changes rows that others write":        regexp.MustCompile(`(?i)^\s*(DELETE|TRUNCATE)\b`),
	"adds a column that has to be written":  regexp.MustCompile(`(?is)^\s*ALTER\s+TABLE\s+\w+\s+ADD\s+(COLUMN\s+)?\w+\s+\w+\s.*NOT\s+NULL`),
	"has what is there unique from then on": regexp.MustCompile(`(?i)\bCREATE\s+UNIQUE\s+INDEX\b`),
}

// up are the statements of a migration that are run to apply it.
func up(text string) (statements []string) {
	text, _, _ = strings.Cut(text, "-- +goose Down")
	var plain strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		plain.WriteString(code + "\n")
	}
	for statement := range strings.SplitSeq(plain.String(), ";") {
		if strings.TrimSpace(statement) != "" {
			statements = append(statements, strings.TrimSpace(statement))
		}
	}
	return statements
}

// misses says what a server of the release before would miss after a statement; empty for nothing. made are the tables that
// the release before does not know.
func misses(statement string, made map[string]bool) (why string) {
	if table := onTable.FindStringSubmatch(statement); table != nil && made[table[1]] {
		return ""
	}
	for what, is := range taking {
		if is.MatchString(statement) && !hasDefault.MatchString(statement) {
			why = what
		}
	}
	return why
}

var (
	makes      = regexp.MustCompile(`(?i)^CREATE\s+TABLE\s+(\w+)`)
	onTable    = regexp.MustCompile(`(?is)^(?:ALTER\s+TABLE|CREATE\s+UNIQUE\s+INDEX\s+\w+\s+ON|DELETE\s+FROM)\s+(\w+)`)
	hasDefault = regexp.MustCompile(`(?is)\bADD\b.*\bDEFAULT\b`)
)

// Servers of the release before go on beside one that has migrated: migrations only add, and what they add has a value when
// nobody gives one. Tables that were made since the first release may be changed until the next one. T-108
func TestMigrationsOnlyAdd(t *testing.T) {
	made := map[string]bool{}
	for _, name := range numbered(t)[firstRelease:] {
		text, err := fs.ReadFile(sqldb.Released, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range up(string(text)) {
			if table := makes.FindStringSubmatch(statement); table != nil {
				made[table[1]] = true
			}
			if why := misses(statement, made); why != "" {
				t.Errorf("%s %s: %s", name, why, statement)
			}
		}
	}
}

func TestWhatTakesSomethingAwayIsSeen(t *testing.T) {
	for statement, want := range map[string]bool{
		"ALTER TABLE users ADD COLUMN a text NOT NULL DEFAULT ''":   false,
		"ALTER TABLE users ADD COLUMN a text":                       false,
		"ALTER TABLE users ADD COLUMN a text NOT NULL":              true,
		"ALTER TABLE users DROP COLUMN name":                        true,
		"ALTER TABLE users RENAME COLUMN name TO called":            true,
		"DROP TABLE users":                                          true,
		"CREATE INDEX users_by ON users (name)":                     false,
		"CREATE UNIQUE INDEX users_by ON users (name)":              true,
		"CREATE TABLE hats (id text NOT NULL PRIMARY KEY)":          false,
		"ALTER TABLE made DROP COLUMN name":                         false,
		"ALTER TABLE users ALTER COLUMN name SET NOT NULL":          true,
		"ALTER TABLE users ADD CONSTRAINT named CHECK (name <> '')": true,
		"DELETE FROM users":                                         true,
	} {
		if why := misses(statement, map[string]bool{"made": true}); (why != "") != want {
			t.Errorf("%s: %q", statement, why)
		}
	}
}

// What the first release writes, it writes after every migration since, too, and finds it again: its servers go on while
// one of this release has migrated. T-108
func TestTheFirstReleaseWritesIntoTheTablesOfThisOne(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.MigrateWith(t.Context(), released(t, firstRelease)); err != nil {
			t.Fatal(err)
		}
		columns := columnsOf(t, db)
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		filled(t, db, columns)
		got := contents(t, db, columns)
		before := testdb.Connect(t, testdb.Empty(t, db.Dialect()))
		if err := before.MigrateWith(t.Context(), released(t, firstRelease)); err != nil {
			t.Fatal(err)
		}
		filled(t, before, columns)
		if diff := cmp.Diff(contents(t, before, columns), got); diff != "" {
			t.Errorf("(-written there +written here):\n%s", diff)
		}
	})
}
