package drivers

import (
	"container/list"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
)

const (
	// mostKept is how many statements a connection keeps. One takes some 10 kB.
	mostKept = 256
	// longestKept is how many bytes the text of one may have. Longer ones are lists, of another length each time.
	longestKept = 8 << 10
)

// sqlite is the driver of SQLite, but that a connection keeps the statements that it has prepared. To parse and to plan
// one takes longer than most take to run, and the texts are few. SQLite itself prepares one again whose tables have changed.
type sqlite struct{ driver.Driver }

// registered is the driver that its package has registered.
func registered(name string) driver.Driver {
	db, err := sql.Open(name, "")
	if err != nil {
		panic(err) // its package is linked above
	}
	defer db.Close()
	return db.Driver()
}

// Open is the driver's.
func (d sqlite) Open(name string) (driver.Conn, error) {
	made, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	c, ok := made.(sqliteConn)
	if !ok {
		return nil, fmt.Errorf("a connection of SQLite is a %T", made)
	}
	return &keeper{sqliteConn: c, kept: map[string]*list.Element{}}, nil
}

// sqliteConn is what a connection of that driver can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStatement is what a statement of that driver can do.
type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keeper is a connection that keeps its statements. As every connection, it serves one caller at a time.
type keeper struct {
	sqliteConn
	kept  map[string]*list.Element
	order list.List // of *statement; the one used last is the first
}

// statement is one that was prepared. While somebody reads its rows it is busy: SQLite has one cursor for it.
type statement struct {
	sqliteStatement
	text string
	busy bool
}

// ExecContext is the connection's.
func (k *keeper) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := k.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.sqliteConn.ExecContext(ctx, query, args)
	}
	result, err := s.ExecContext(ctx, args)
	if err != nil {
		k.drop(s)
	}
	return result, err
}

// QueryContext is the connection's.
func (k *keeper) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := k.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		k.drop(s)
		return nil, err
	}
	s.busy = true
	return &keptRows{Rows: rows, keeper: k, of: s}, nil
}

// Close closes the connection, and its statements before.
func (k *keeper) Close() error {
	for k.order.Len() > 0 {
		k.drop(k.order.Front().Value.(*statement))
	}
	return k.sqliteConn.Close()
}

// statement gives the prepared statement of a text: nil where none is kept, or somebody reads its rows.
func (k *keeper) statement(ctx context.Context, text string) (*statement, error) {
	if e, found := k.kept[text]; found {
		k.order.MoveToFront(e)
		if s := e.Value.(*statement); !s.busy {
			return s, nil
		}
		return nil, nil
	}
	if !repeats(text) {
		return nil, nil
	}
	made, err := k.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	inner, ok := made.(sqliteStatement)
	if !ok {
		return nil, fmt.Errorf("a statement of SQLite is a %T", made)
	}
	s := &statement{sqliteStatement: inner, text: text}
	k.kept[text] = k.order.PushFront(s)
	k.trim()
	return s, nil
}

// repeats reports whether a statement is worth keeping: it reads or changes rows, and its text is no long list.
func repeats(text string) bool {
	if len(text) > longestKept {
		return false
	}
	word := strings.TrimSpace(text)
	if end := strings.IndexAny(word, " \t\n"); end > 0 {
		word = word[:end]
	}
	switch strings.ToUpper(word) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
		return true
	}
	return false
}

// trim drops those that were used longest ago.
func (k *keeper) trim() {
	for e := k.order.Back(); e != nil && k.order.Len() > mostKept; {
		s, before := e.Value.(*statement), e.Prev()
		if !s.busy {
			k.drop(s)
		}
		e = before
	}
}

// drop forgets a statement. What it did has been answered: an error of closing it repeats the one of its last run.
func (k *keeper) drop(s *statement) {
	if e, found := k.kept[s.text]; found && e.Value == s {
		k.order.Remove(e)
		delete(k.kept, s.text)
	}
	_ = s.Close()
}

// keptRows are the rows of a statement that is kept.
type keptRows struct {
	driver.Rows
	keeper *keeper
	of     *statement
}

// Close is the rows'.
func (r *keptRows) Close() error {
	err := r.Rows.Close()
	r.of.busy = false
	if err != nil {
		r.keeper.drop(r.of)
	}
	return err
}
