package guildhall_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// keptWithTheSlug are the tables with a column organization whose rows no step of a purge deletes by its table, each with
// the reason.
var keptWithTheSlug = map[string]string{
	"outbox":                     "effects are forgotten after a month, and their payloads when they are done",
	"slugs":                      "a slug is never given to another organization",
	"members":                    "the rows stay for those that name them, without the person's name: purgeMembers",
	"artifacts":                  "the rows stay as the proofs that the files are gone: artifacts.End",
	"artifact_totals":            "what legal holds keep is counted on",
	"legal_holds":                "they keep files of an organization that is gone, too",
	"legal_hold_artifacts":       "they keep files of an organization that is gone, too",
	"retention_acknowledgements": "they are the proofs of what the product deleted",
	"purge_steps":                "it is the ledger of the purge",
	"sessions":                   "they are the person's, end by themselves, and gave access to what is gone alone",
	"invoices":                   "books are kept for years",
	"provider_invoices":          "books are kept for years",
}

// purgedTable is a step that deletes the rows of a table.
var purgedTable = regexp.MustCompile(`PurgeRows\("[^"]+", "(\w+)"`)

// TestEveryTableOfOrganizationsIsPurgedOrKeptForAReason looks at the tables that there are: a new one with a column
// organization needs a step in purgeSteps, or a reason.
func TestEveryTableOfOrganizationsIsPurgedOrKeptForAReason(t *testing.T) {
	purged := map[string]bool{}
	for _, file := range []string{"lifecycle.go", "directory/purge.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range purgedTable.FindAllStringSubmatch(string(text), -1) {
			purged[step[1]] = true
		}
	}
	tables := organizationTables(t)
	for table := range tables {
		if _, kept := keptWithTheSlug[table]; purged[table] == kept {
			t.Errorf("%s: a step deletes its rows: %v, and there is a reason to keep them: %v; one of the two has to be", table, purged[table], kept)
		}
	}
	for table := range keptWithTheSlug {
		if !tables[table] {
			t.Errorf("there is no table %s with a column organization", table)
		}
	}
	for table := range purged {
		if !tables[table] {
			t.Errorf("a step deletes the rows of %s, which has no column organization", table)
		}
	}
}

// organizationTables are the tables of a migrated database that have a column organization.
func organizationTables(t *testing.T) map[string]bool {
	t.Helper()
	db := openBeside(t, testdb.DSN(t, sqldb.SQLite))
	rows, err := db.QueryContext(t.Context(), `SELECT t.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name = 'organization'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables[name] = true
	}
	if err := rows.Err(); err != nil || len(tables) < 20 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	return tables
}
