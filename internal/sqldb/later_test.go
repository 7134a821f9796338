package sqldb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// What is run later is there when its transaction was committed, and only then; its error is that of the commit, and leaves
// nothing, nor anything for the next transaction.
func TestWhatIsRunLater(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		exec(t, db, "CREATE TABLE notes (id bigint PRIMARY KEY)")
		const insert = "INSERT INTO notes (id) VALUES ($1)"
		write := func(ids []int, result error) error {
			return db.Write(ctx, func(tx *sqldb.Tx) error {
				for _, id := range ids {
					if err := tx.ExecLater(ctx, insert, id); err != nil {
						return err
					}
				}
				return result
			})
		}
		holds := func(want int) {
			t.Helper()
			if got := count(t, db, "notes"); got != want {
				t.Errorf("%d rows, want %d", got, want)
			}
		}
		if err := write([]int{1, 2}, nil); err != nil {
			t.Fatal(err)
		}
		holds(2)
		no := errors.New("no")
		if err := write([]int{3}, no); !errors.Is(err, no) {
			t.Errorf("an error of the function: %v", err)
		}
		holds(2)
		if _, conflict := sqldb.Conflict(write([]int{4, 1, 5}, nil)); !conflict {
			t.Error("a row that is there already is no conflict")
		}
		holds(2)
		if err := write([]int{6}, nil); err != nil {
			t.Errorf("the next transaction: %v", err)
		}
		holds(3)
		if err := db.Write(ctx, func(tx *sqldb.Tx) error { return tx.ExecLater(ctx, insert, struct{}{}) }); err == nil {
			t.Error("an argument that is no value is taken")
		}
	})
}

// A commit that nobody waits for any longer is left, as others are, with what goes before it in the same message.
func TestWhatIsRunLaterWithACommitThatIsLeft(t *testing.T) {
	_, db := bereft(t, 4)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waits(ctx, t, db, "wait_event = 'SyncRep'", 1)
		cancel()
	}()
	err := db.Write(ctx, func(tx *sqldb.Tx) error { return tx.ExecLater(ctx, "INSERT INTO notes (id) VALUES ($1)", 1) })
	if !errors.Is(err, sqldb.ErrUnknown) {
		t.Errorf("a commit that waits for a standby that is gone: %v, want ErrUnknown", err)
	}
	if got := count(t, db, "notes"); got != 0 {
		t.Errorf("%d changes are seen that no standby has", got)
	}
}
