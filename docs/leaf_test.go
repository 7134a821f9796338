package docs_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/guildhall/guildhall/internal/sqldb/drivers"
)

// TestALeafIsRecomputedAsThePageSays follows docs/audit-log.md to the letter, without the project's own code, on every
// row of a demo's database.
func TestALeafIsRecomputedAsThePageSays(t *testing.T) {
	dir := t.TempDir()
	d := startDemoIn(t, dir)
	d.stop()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "guildhall-data", "guildhall.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT stream, seq, at, id, action, actor_kind, actor, credential, on_behalf, outcome, times, reason, request_id,
		detail, leaf FROM audit_rows ORDER BY stream, seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	proved := 0
	for ; rows.Next(); proved++ {
		var stream, id, action, kind, actor, credential, behalf, outcome, reason, request, detail string
		var seq, at, times int64
		var leaf []byte
		if err := rows.Scan(&stream, &seq, &at, &id, &action, &kind, &actor, &credential, &behalf, &outcome, &times, &reason, &request,
			&detail, &leaf); err != nil {
			t.Fatal(err)
		}
		text := []any{1, stream, seq, at, id, action, kind, actor, credential, behalf, outcome, times, reason, request, detail}
		sum := sha256.Sum256(append([]byte{0}, plainJSON(t, append(text, commitments(t, db, stream, seq)...))...))
		if !bytes.Equal(sum[:], leaf) {
			t.Errorf("%s, row %d (%s): the leaf is %x, and the page's recipe gives %x", stream, seq, action, leaf, sum)
		}
	}
	if err := rows.Err(); err != nil || proved < 20 {
		t.Errorf("%d rows were proved: %v", proved, err)
	}
}

// commitments are the last parts of a row's text, recomputed from what is kept apart.
func commitments(t *testing.T, db *sql.DB, stream string, seq int64) (parts []any) {
	t.Helper()
	rows, err := db.Query("SELECT type, id, body, salt FROM audit_subjects WHERE stream = ? AND seq = ? ORDER BY n", stream, seq)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, id, body string
		var salt []byte
		if err := rows.Scan(&kind, &id, &body, &salt); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(append(salt, body...))
		parts = append(parts, []string{kind, id, base64.StdEncoding.EncodeToString(sum[:])})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return parts
}

// plainJSON writes JSON that escapes nothing but what has to be.
func plainJSON(t *testing.T, value any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// stop ends the demo, so that its database can be read.
func (d *demo) stop() {
	d.t.Helper()
	if err := endProcess(d.process); err != nil {
		d.t.Fatalf("the demo ended with %v", err)
	}
	d.process = nil
}

// endProcess interrupts a process and waits for it.
func endProcess(p *exec.Cmd) error {
	if err := p.Process.Signal(interrupt); err != nil {
		return err
	}
	return p.Wait()
}
