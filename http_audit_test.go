package guildhall_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// busy is a site where every operation was called as one who may and one who may not, on an SQLite file that the test
// opens beside the hall.
func busy(t *testing.T, options ...guildhalltest.Option) (*site, *sql.DB) {
	t.Helper()
	oneAfterAnother(t)
	path := filepath.Join(t.TempDir(), "hall.db")
	s := newSite(t, "automation", append(options, guildhalltest.OnDatabase("sqlite:"+path))...)
	for _, o := range guildhall.Operations() {
		for _, name := range []string{"viewer", "owner", "service key"} {
			s.call(o, s.called(name))
			s.mend()
		}
	}
	if err := s.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	beside, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	return s, beside
}

// TestAChangedByteOfTheLogIsFound: after every operation was called the log is sound. Then somebody with the file changes
// one byte after the other, anywhere in it, and the doctor finds each. T-092, T-095
func TestAChangedByteOfTheLogIsFound(t *testing.T) {
	s, beside := busy(t)
	s.Sound()
	tries := 20
	if testing.Short() {
		tries = 3
	}
	random := rand.New(rand.NewPCG(1, 92))
	for table, columns := range map[string][]string{
		"audit_rows": {"seq", "at", "id", "action", "actor_kind", "actor", "credential", "on_behalf", "outcome", "times", "reason",
			"request_id", "detail", "leaf"},
		"audit_subjects": {"seq", "n", "type", "id", "body", "salt", "commitment"},
	} {
		for _, column := range columns {
			for range tries {
				s.findsByte(t, beside, random, table, column)
			}
		}
	}
	s.findsMissingRows(t, beside, random)
	s.Sound()
}

// findsByte changes a byte of a column in a random row, and changes it back.
func (s *site) findsByte(t *testing.T, beside *sql.DB, random *rand.Rand, table, column string) {
	t.Helper()
	var row int64
	var value any
	pick := fmt.Sprintf("SELECT rowid, %s FROM %s ORDER BY rowid LIMIT 1 OFFSET %d %% (SELECT count(*) FROM %s)", column, table, random.Int32(), table)
	if err := beside.QueryRow(pick).Scan(&row, &value); err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprintf("UPDATE %s SET %s = $1 WHERE rowid = $2", table, column)
	if _, err := beside.Exec(set, bytewise(random, value), row); err != nil {
		if strings.Contains(err.Error(), "UNIQUE") {
			return // there is such a row already: the database itself refuses
		}
		t.Fatal(err)
	}
	s.finds(t, fmt.Sprintf("%s.%s of row %d, which was %v", table, column, row, value))
	if _, err := beside.Exec(set, value, row); err != nil {
		t.Fatal(err)
	}
}

// bytewise is a value with one byte changed, or with one more if there is none.
func bytewise(random *rand.Rand, value any) any {
	switch value := value.(type) {
	case int64:
		return value ^ 1<<random.IntN(40)
	case string:
		return string(otherByte(random, []byte(value), 'a'+byte(random.IntN(26))))
	case []byte:
		return otherByte(random, append([]byte{}, value...), byte(random.IntN(256)))
	}
	return value
}

func otherByte(random *rand.Rand, text []byte, by byte) []byte {
	if len(text) == 0 {
		return []byte{by}
	}
	i := random.IntN(len(text))
	if text[i] == by {
		by ^= 1
	}
	text[i] = by
	return text
}

// finds wants the doctor to find something.
func (s *site) finds(t *testing.T, what string) {
	t.Helper()
	broken, err := s.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(broken) == 0 {
		t.Errorf("not found: %s", what)
	}
}

// findsMissingRows takes rows out of the middle and off the end of streams, and puts them back.
func (s *site) findsMissingRows(t *testing.T, beside *sql.DB, random *rand.Rand) {
	t.Helper()
	for range 5 {
		var row int64
		pick := fmt.Sprintf("SELECT rowid FROM audit_rows ORDER BY rowid LIMIT 1 OFFSET %d %% (SELECT count(*) FROM audit_rows)", random.Int32())
		if err := beside.QueryRow(pick).Scan(&row); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			"CREATE TABLE taken AS SELECT * FROM audit_rows WHERE rowid = $1",
			"DELETE FROM audit_rows WHERE rowid = $1",
		} {
			if _, err := beside.Exec(statement, row); err != nil {
				t.Fatal(err)
			}
		}
		s.finds(t, fmt.Sprintf("the missing row %d", row))
		for _, statement := range []string{"INSERT INTO audit_rows SELECT * FROM taken", "DROP TABLE taken"} {
			if _, err := beside.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// erasureInput names what is erased of the log: an id.
type erasureInput struct {
	Subject string `json:"subject"`
}

// erased is the output of an erasure.
type erased struct {
	Subject string `json:"subject"`
}

// erasure is an operation of this test: it erases what the log keeps about somebody.
var erasure = &op.Op[erasureInput, erased]{
	Name: "log.erase", Route: "POST /v1/log/erase", Summary: "Erase", Kind: op.Write, Scope: op.Instance, Allow: op.ByOperator,
	Do: func(ctx context.Context, tx *op.Tx, in erasureInput) (erased, error) {
		return erased(in), audit.Erase(ctx, tx, in.Subject)
	},
}

// TestErasingAPersonLeavesTheLogSound: nothing in the log names the person any more, and every stream still verifies.
// T-095
func TestErasingAPersonLeavesTheLogSound(t *testing.T) {
	s, beside := busy(t, guildhalltest.With(func(c *guildhall.Config) { c.Extra = append(c.Extra, erasure) }))
	editor := s.acme.People["editor"]
	rows, err := beside.Query("SELECT DISTINCT id FROM audit_subjects WHERE body LIKE '%' || $1 || '%'", editor.Email)
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, id)
	}
	if err := rows.Close(); err != nil || len(subjects) < 2 {
		t.Fatalf("the log names the editor as %q: %v", subjects, err)
	}
	for _, subject := range subjects {
		s.operator(erasure.Call(s.Operator(), s.Service(), erasureInput{Subject: subject}))
	}
	var left int
	if err := beside.QueryRow(`SELECT (SELECT count(*) FROM audit_subjects WHERE body LIKE '%' || $1 || '%')
		+ (SELECT count(*) FROM audit_rows WHERE detail LIKE '%' || $1 || '%' OR reason LIKE '%' || $1 || '%')`, editor.Email).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d texts still name %s", left, editor.Email)
	}
	s.Sound()
}
