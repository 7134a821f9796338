package sqldb_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// released are the migrations of this program up to a number.
func released(t *testing.T, last int) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range numbered(t) {
		if numberOf(t, name) > last {
			continue
		}
		text, err := fs.ReadFile(sqldb.Released, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

// numbered are the names of the released migrations, in their order.
func numbered(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(sqldb.Released, "*.sql")
	if err != nil || len(names) < 2 {
		t.Fatalf("%q %v", names, err)
	}
	slices.Sort(names)
	return names
}

func numberOf(t *testing.T, name string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(name, "%05d_", &n); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// firstRelease is the number of the last migration of the first release, which filled is made for.
const firstRelease = 2

// filled are rows that the first release writes, which names the columns that it knows: into each table that others name,
// and some that nobody names.
func filled(t *testing.T, db *sqldb.DB, columns map[string][]string) {
	t.Helper()
	hash := func(n byte) []byte { return slices.Repeat([]byte{n}, 32) }
	for _, row := range []struct {
		table  string
		values []any
	}{
		{"instance", []any{"instance", 1, false, "automation", 10}},
		{"streams", []any{"org_1", 1, 10}},
		{"audit_rows", []any{"org_1", 1, 10, "evt_1", "organizations.create", "user", "usr_1", "ses_1", "", "ok", 1, "", "req_1", "{}", hash(1)}},
		{"audit_subjects", []any{"org_1", 1, 0, "user", "usr_1", `{"name":"Ada"}`, hash(2), hash(3)}},
		{"idempotency", []any{"usr_1", "members.update", "key-1", hash(4), "{}", 10}},
		{"outbox", []any{"job_1", "mail", "org_1", hash(5), 10, 0, 0, "waiting", "", 10}},
		{"users", []any{"usr_1", "u-1", "Ada@acme.test", "ada@acme.test", "Ada", "Europe/Berlin", 3, 10, 20, 0}},
		{"users", []any{"usr_2", nil, "bo@acme.test", "bo@acme.test", "", "", 1, 10, 10, 0}},
		{"organizations", []any{"org_1", nil, "acme", "Acme", "", "", 30, "free", 5, "active", 1, 10, 10}},
		{"slugs", []any{"acme", "org_1", 10}},
		{"members", []any{"mem_1", "org_1", "usr_1", "owner", "active", "ada", 0, 10, 10, 0, 1}},
		{"members", []any{"mem_2", "org_1", "usr_2", "viewer", "removed", "bo", 0, 10, 10, 15, 2}},
		{"invitations", []any{"inv_1", "org_1", "cy@acme.test", "cy@acme.test", "editor", "pending", false, "", hash(6), nil, "mem_1", 0, 99, 10, 1,
			"queued", "", "job_1", "", 0, 1, 10}},
		{"transfers", []any{"trf_1", "org_1", "mem_1", "mem_2", "cancelled", 99, 10, 11}},
		{"sessions", []any{"ses_1", "usr_1", hash(7), "link", "192.0.2.1", "test", 10, 10, 10, 100, 1000, 0, 1}},
		{"organization_roles", []any{"rol_1", "org_1", "Press", "press", "", "organization.view", 1, "mem_1", 10, 10}},
	} {
		marks := make([]string, len(row.values))
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		exec(t, db, "INSERT INTO "+row.table+" ("+strings.Join(columns[row.table], ", ")+") VALUES ("+strings.Join(marks, ", ")+")", row.values...)
	}
}

// contents are all rows of what filled wrote, by the columns that there were.
func contents(t *testing.T, db *sqldb.DB, columns map[string][]string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	read(t, db, func(tx *sqldb.Tx) error {
		for _, table := range slices.Sorted(maps.Keys(columns)) {
			rows, err := rowsOf(t, tx, "SELECT "+strings.Join(columns[table], ", ")+" FROM "+table, len(columns[table]))
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			all[table] = rows
		}
		return nil
	})
	return all
}

func rowsOf(t *testing.T, tx *sqldb.Tx, query string, columns int) (all []string, err error) {
	rows, err := tx.Query(t.Context(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		values := make([]any, columns)
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		var b strings.Builder
		for _, v := range values {
			fmt.Fprintf(&b, "%v|", *v.(*any))
		}
		all = append(all, b.String())
	}
	slices.Sort(all)
	return all, rows.Err()
}

// columnsOf are the columns of the tables that have rows.
func columnsOf(t *testing.T, db *sqldb.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	read(t, db, func(tx *sqldb.Tx) error {
		for _, table := range []string{"instance", "streams", "audit_rows", "audit_subjects", "idempotency", "outbox", "users", "organizations",
			"slugs", "members", "invitations", "transfers", "sessions", "organization_roles"} {
			rows, err := tx.Query(t.Context(), "SELECT * FROM "+table)
			if err != nil {
				return err
			}
			all[table], err = rows.Columns()
			rows.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

// What the first release wrote is all there after every migration since, whichever of them fails in its midst, and is
// taken up again. T-108
func TestEveryReleasedMigrationCanFailAndIsTakenUpAgain(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.MigrateWith(t.Context(), released(t, firstRelease)); err != nil {
			t.Fatal(err)
		}
		columns := columnsOf(t, db)
		filled(t, db, columns)
		want := contents(t, db, columns)
		for _, name := range numbered(t)[firstRelease:] {
			files := released(t, numberOf(t, name))
			files[name] = breaking(files[name])
			if err := db.MigrateWith(t.Context(), files); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version:%d", numberOf(t, name))) {
				t.Fatalf("%s, broken: %v", name, err)
			}
			if diff := cmp.Diff(want, contents(t, db, columns)); diff != "" {
				t.Errorf("%s failed and changed (-before +after):\n%s", name, diff)
			}
			if err := db.MigrateWith(t.Context(), released(t, numberOf(t, name))); err != nil {
				t.Fatalf("%s, taken up again: %v", name, err)
			}
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, contents(t, db, columns)); diff != "" {
			t.Errorf("what the first release wrote (-before +after):\n%s", diff)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// breaking is a migration whose last statement fails.
func breaking(file *fstest.MapFile) *fstest.MapFile {
	up, down, found := strings.Cut(string(file.Data), "-- +goose Down")
	up += "\nINSERT INTO nowhere (id) VALUES ('x');\n"
	if found {
		up += "\n-- +goose Down" + down
	}
	return &fstest.MapFile{Data: []byte(up)}
}

// T-108
func TestAMigrationBelowTheNewestIsRefused(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		files := migrations("CREATE TABLE a (id text);", "CREATE TABLE b (id text);", "CREATE TABLE c (id text);")
		late := files["2_step.sql"]
		delete(files, "2_step.sql")
		if err := db.MigrateWith(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		files["2_step.sql"] = late
		err := db.MigrateWith(t.Context(), files)
		if err == nil || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "number above") {
			t.Errorf("got %v", err)
		}
		for _, table := range []string{"a", "c"} {
			if got := count(t, db, table); got != 0 {
				t.Errorf("%s: %d rows", table, got)
			}
		}
		if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var n int
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM b").Scan(&n)
		}); err == nil {
			t.Error("it was applied")
		}
	})
}
