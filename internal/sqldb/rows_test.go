package sqldb_test

import (
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestManyRowsAreInsertedInOneStatement(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, "CREATE TABLE counts (owner text NOT NULL, name text NOT NULL, n bigint NOT NULL, PRIMARY KEY (owner, name))")
		exec(t, db, "INSERT INTO counts (owner, name, n) VALUES ('ann', 'a', 1)")
		into := sqldb.Rows{Table: "counts", Same: []string{"owner"}, Columns: []string{"name", "n bigint"}, Then: "ON CONFLICT DO NOTHING RETURNING name, n"}
		got := map[string]int64{}
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			rows, err := tx.InsertRows(t.Context(), into, []byte(`[["a",7],["b",9223372036854775807],["it's \"c\"",-9223372036854775808],["b",3]]`), "ann")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var name string
				var n int64
				if err := rows.Scan(&name, &n); err != nil {
					return err
				}
				got[name] = n
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got["b"] != 9223372036854775807 || got[`it's "c"`] != -9223372036854775808 {
			t.Errorf("inserted %v", got)
		}
		if n := count(t, db, "counts"); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
	})
}
