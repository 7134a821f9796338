package sqldb_test

import (
	"sync"
	"testing"
	"testing/fstest"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// eachEmpty runs test with a database of each kind that has no tables.
func eachEmpty(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) { test(t, testdb.Connect(t, testdb.Empty(t, d))) })
	}
}

func migrations(texts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, text := range texts {
		files[string('1'+rune(i))+"_step.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	return files
}

func TestMigrateTwiceIsMigrateOnce(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		for range 2 {
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// T-108
func TestAMigrationThatFailsLeavesTheOneBefore(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		broken := migrations("CREATE TABLE a (id text);", "CREATE TABLE b (id text);\nINSERT INTO nowhere (id) VALUES ('x');")
		if err := db.MigrateWith(t.Context(), broken); err == nil {
			t.Fatal("a broken migration succeeds")
		}
		if got := count(t, db, "a"); got != 0 {
			t.Errorf("%d rows in the table of the first migration", got)
		}
		// Had the broken one left its table, the mended one could not make it.
		mended := migrations("CREATE TABLE a (id text);", "CREATE TABLE b (id text);")
		if err := db.MigrateWith(t.Context(), mended); err != nil {
			t.Fatal(err)
		}
		if got := count(t, db, "b"); got != 0 {
			t.Errorf("%d rows in the table of the second migration", got)
		}
	})
}

func TestSeveralServersMigrateAtOnce(t *testing.T) {
	dsn := testdb.Empty(t, sqldb.PostgreSQL)
	steps := migrations("CREATE TABLE a (id text);\nINSERT INTO a (id) VALUES ('once');")
	var wg sync.WaitGroup
	servers := []*sqldb.DB{testdb.Connect(t, dsn), testdb.Connect(t, dsn), testdb.Connect(t, dsn)}
	for _, server := range servers {
		wg.Go(func() {
			if err := server.MigrateWith(t.Context(), steps); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := count(t, servers[0], "a"); got != 1 {
		t.Errorf("the migration ran %d times, want once", got)
	}
}
