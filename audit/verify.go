package audit

import (
	"bytes"
	"context"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// Problem is something in a stream that is not as it was written.
type Problem struct {
	Stream   string
	Sequence int64 // of the row, or of the first one that is missing
	Text     string
}

// String says the problem in a line.
func (p Problem) String() string {
	return fmt.Sprintf("audit log %s, row %d: %s", p.Stream, p.Sequence, p.Text)
}

// Verify reads a whole stream and proves it: every row's hash, every commitment to what is kept apart (but for the
// erased, of whom only the commitment is left), no sequence number missing, no time before the one before.
func Verify(ctx context.Context, r *op.Reader, stream string) ([]Problem, error) {
	v := &verifier{stream: stream}
	for {
		rows, err := v.rows(ctx, r)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		if err := v.subjects(ctx, r, rows); err != nil {
			return nil, err
		}
		for i := range rows {
			v.prove(&rows[i])
		}
	}
	return v.problems, v.head(ctx, r)
}

// Broken verifies every stream, and says each problem in a line.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	streams, err := allStreams(ctx, r)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, stream := range streams {
		problems, err := Verify(ctx, r, stream)
		if err != nil {
			return nil, err
		}
		for _, p := range problems {
			lines = append(lines, p.String())
		}
	}
	return lines, nil
}

func allStreams(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT id FROM streams ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var streams []string
	for rows.Next() {
		var stream string
		if err := rows.Scan(&stream); err != nil {
			return nil, err
		}
		streams = append(streams, stream)
	}
	return streams, rows.Err()
}

// verifyPage is how many rows are held in memory at once.
const verifyPage = 500

type verifier struct {
	stream   string
	seq, at  int64 // of the last row
	problems []Problem
}

// stored is a row as it is stored.
type stored struct {
	op.Row
	leaf  []byte
	wrong []string
}

func (v *verifier) report(seq int64, format string, args ...any) {
	v.problems = append(v.problems, Problem{v.stream, seq, fmt.Sprintf(format, args...)})
}

// rows reads the next page.
func (v *verifier) rows(ctx context.Context, r *op.Reader) ([]stored, error) {
	rows, err := r.Query(ctx, `SELECT stream, seq, at, id, action, actor_kind, actor, credential, on_behalf, outcome, times, reason,
		request_id, detail, leaf FROM audit_rows WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3`, v.stream, v.seq, verifyPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []stored
	for next := v.seq + 1; rows.Next(); next++ {
		var s stored
		if err := rows.Scan(&s.Stream, &s.Seq, &s.At, &s.ID, &s.Action, &s.ActorKind, &s.Actor, &s.Credential, &s.OnBehalf,
			&s.Outcome, &s.Times, &s.Reason, &s.RequestID, &s.Detail, &s.leaf); err != nil {
			return nil, err
		}
		if s.Seq != next {
			v.report(next, "rows are missing before row %d", s.Seq)
			next = s.Seq
		}
		page = append(page, s)
	}
	return page, rows.Err()
}

// subjects reads what is kept apart about the rows of a page, and checks each commitment.
func (v *verifier) subjects(ctx context.Context, r *op.Reader, page []stored) error {
	at := map[int64]*stored{}
	for i := range page {
		at[page[i].Seq] = &page[i]
	}
	rows, err := r.Query(ctx, `SELECT seq, n, type, id, body, salt, commitment FROM audit_subjects
		WHERE stream = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq, n`, v.stream, page[0].Seq, page[len(page)-1].Seq)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var n int
		var c op.Commitment
		var text string
		var salt []byte
		if err := rows.Scan(&seq, &n, &c.Type, &c.ID, &text, &salt, &c.Hash); err != nil {
			return err
		}
		row := at[seq]
		if row == nil {
			v.report(seq, "something is kept about a row that is missing")
			continue
		}
		if n != len(row.Subjects) {
			row.wrong = append(row.wrong, "one of its actor and targets is missing")
		}
		erased := text == "" && len(salt) == 0
		if !erased && !bytes.Equal(op.Commit(salt, text), c.Hash) {
			row.wrong = append(row.wrong, fmt.Sprintf("what is kept about %s %s was changed", c.Type, c.ID))
		}
		row.Subjects = append(row.Subjects, c)
	}
	return rows.Err()
}

// prove checks one row, and that it follows the one before.
func (v *verifier) prove(s *stored) {
	for _, wrong := range s.wrong {
		v.report(s.Seq, "%s", wrong)
	}
	if !bytes.Equal(s.Leaf(), s.leaf) {
		v.report(s.Seq, "the row was changed: its hash is another one")
	}
	if s.At < v.at {
		v.report(s.Seq, "its time is before that of the row before")
	}
	v.seq, v.at = s.Seq, s.At
}

// head checks that the stream ends where its counter says: rows cut off at the end are missing too.
func (v *verifier) head(ctx context.Context, r *op.Reader) error {
	var seq, at int64
	if err := r.QueryRow(ctx, "SELECT seq, at FROM streams WHERE id = $1", v.stream).Scan(&seq, &at); err != nil {
		return err
	}
	if seq != v.seq {
		v.report(v.seq+1, "the log has %d rows and should have %d", v.seq, seq)
	} else if seq > 0 && at != v.at {
		v.report(v.seq, "the log ends at another time than its last row")
	}
	return nil
}
