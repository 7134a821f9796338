package drivers

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

// kept is one connection that keeps its statements, with a table of numbers from 1 to 3.
func kept(t *testing.T) (*sql.Conn, *keeper) {
	t.Helper()
	db, err := sql.Open("sqlite that keeps statements", "file:"+filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var k *keeper
	if err := c.Raw(func(inner any) error { k = inner.(*keeper); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"CREATE TABLE numbers (n INTEGER PRIMARY KEY)", "INSERT INTO numbers VALUES (1), (2), (3)"} {
		if _, err := c.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return c, k
}

func numbers(t *testing.T, c *sql.Conn, query string, args ...any) (all []int) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

const above = "SELECT n FROM numbers WHERE n > $1 ORDER BY n"

func wants(t *testing.T, got []int, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestAStatementIsPreparedOnce(t *testing.T) {
	c, k := kept(t)
	wants(t, numbers(t, c, above, 1), "[2 3]")
	first := k.kept[above]
	wants(t, numbers(t, c, above, 2), "[3]")
	wants(t, numbers(t, c, above, 3), "[]")
	if first == nil || k.kept[above] != first {
		t.Error("it was prepared again")
	}
}

// SQLite has one cursor for a statement: who asks the same while the rows of the first are read has to get another one.
func TestTheSameIsAskedWhileItsRowsAreRead(t *testing.T) {
	c, _ := kept(t)
	outer, err := c.QueryContext(t.Context(), above, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	seen := 0
	for outer.Next() {
		seen++
		wants(t, numbers(t, c, above, 1), "[2 3]")
	}
	if seen != 3 || outer.Err() != nil {
		t.Errorf("%d rows, %v", seen, outer.Err())
	}
}

func TestRowsThatAreNotReadToTheirEndHoldNothing(t *testing.T) {
	c, _ := kept(t)
	for range 3 {
		var n int
		if err := c.QueryRowContext(t.Context(), above, 0).Scan(&n); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	if _, err := c.ExecContext(t.Context(), "DROP TABLE numbers"); err != nil {
		t.Error(err)
	}
}

func TestAChangedTableIsSeen(t *testing.T) {
	c, _ := kept(t)
	const all = "SELECT * FROM numbers ORDER BY 1"
	columns := func() int {
		rows, err := c.QueryContext(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := columns()
	if _, err := c.ExecContext(t.Context(), "ALTER TABLE numbers ADD COLUMN name TEXT"); err != nil {
		t.Fatal(err)
	}
	if after := columns(); before != 1 || after != 2 {
		t.Errorf("%d columns, then %d", before, after)
	}
}

func TestAfterAnErrorTheSameStatementWorks(t *testing.T) {
	c, k := kept(t)
	const insert = "INSERT INTO numbers VALUES ($1)"
	for _, n := range []int{4, 4, 5} {
		_, err := c.ExecContext(t.Context(), insert, n)
		if (err != nil) != (k.kept[insert] == nil) {
			t.Errorf("%d: %v, kept: %v", n, err, k.kept[insert] != nil)
		}
	}
	wants(t, numbers(t, c, above, 3), "[4 5]")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.QueryContext(gone, above, 0); err == nil {
		t.Error("a query of nobody is answered")
	}
	wants(t, numbers(t, c, above, 4), "[5]")
}

func TestAConnectionKeepsSoMany(t *testing.T) {
	c, k := kept(t)
	for i := range mostKept + 10 {
		numbers(t, c, fmt.Sprintf("SELECT n + %d FROM numbers", i))
	}
	if len(k.kept) != mostKept || k.order.Len() != mostKept {
		t.Errorf("%d and %d are kept", len(k.kept), k.order.Len())
	}
	if k.kept["SELECT n + 9 FROM numbers"] != nil || k.kept["SELECT n + 265 FROM numbers"] == nil {
		t.Error("those used last are not those that are kept")
	}
}

func BenchmarkAKeptStatement(b *testing.B) {
	for name, driver := range map[string]string{"prepared each time": "sqlite", "kept": "sqlite that keeps statements"} {
		b.Run(name, func(b *testing.B) {
			db, err := sql.Open(driver, "file:"+filepath.Join(b.TempDir(), "x.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if _, err := db.Exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY); INSERT INTO numbers VALUES (1), (2), (3)"); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				var n int
				if err := db.QueryRow(above, 2).Scan(&n); err != nil || n != 3 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
