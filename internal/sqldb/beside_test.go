package sqldb_test

import (
	"path/filepath"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestADatabaseIsReadBesideItsServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hall.db")
	serving := testdb.Connect(t, path)
	exec(t, serving, "CREATE TABLE there (id text)")
	exec(t, serving, "INSERT INTO there VALUES ('a')")
	for _, dsn := range []string{path, "sqlite:" + path} {
		db, err := sqldb.OpenBeside(t.Context(), dsn)
		if err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		exec(t, serving, "INSERT INTO there VALUES ('b')")
		var n int
		if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM there").Scan(&n)
		}); err != nil || n < 2 {
			t.Errorf("%s: read %d rows, %v", dsn, n, err)
		}
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), "INSERT INTO there VALUES ('c')")
			return err
		}); err == nil {
			t.Errorf("%s: it wrote", dsn)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := sqldb.OpenBeside(t.Context(), filepath.Join(t.TempDir(), "none.db")); err == nil {
		t.Error("a file that is not there was opened")
	}
}
