package testdb_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestEachGivesAMigratedDatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				var applied int
				if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM goose_db_version").Scan(&applied); err != nil {
					return err
				}
				if applied < 2 {
					t.Errorf("%d rows in the list of migrations", applied)
				}
				_, err := tx.Exec(t.Context(), "CREATE TABLE mine (id text)")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDSNIsForAnotherProcess(t *testing.T) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			db := testdb.Connect(t, testdb.DSN(t, d))
			if got := db.Dialect(); got != d {
				t.Errorf("DSN(%v) names a database of %v", d, got)
			}
		})
	}
}

func TestClusterExitsAsItsCommandDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a command")
	}
	for command, want := range map[string]int{
		`test -n "$GUILDHALL_TEST_POSTGRES"`: 0,
		`exit 7`:                             7,
	} {
		cmd := exec.Command("go", "run", "./cluster", "--", "sh", "-c", command)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds: it is compiled already
		out, err := cmd.CombinedOutput()
		// go run itself exits with 1 whatever its program exited with.
		if failed := err != nil; failed != (want != 0) {
			t.Errorf("%s: error %v\n%s", command, err, out)
		}
	}
}
