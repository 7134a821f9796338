package op

import (
	"context"
	"strconv"
	"strings"
)

// insert builds one INSERT of several rows.
type insert struct {
	table   string
	columns []string
	args    []any
}

func newInsert(table string, columns ...string) *insert {
	return &insert{table: table, columns: columns}
}

func (i *insert) row(values ...any) { i.args = append(i.args, values...) }

func (i *insert) exec(ctx context.Context, tx *Tx) error {
	_, err := tx.Exec(ctx, i.query(), i.args...)
	return err
}

// execLater is exec, with the commit: see sqldb.
func (i *insert) execLater(ctx context.Context, tx *Tx) error {
	if tx.call == nil || !tx.call.writing {
		return errReadOnly
	}
	return tx.sql.ExecLater(ctx, i.query(), i.args...)
}

func (i *insert) query() string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + i.table + " (" + strings.Join(i.columns, ", ") + ") VALUES ")
	for n := range i.args {
		switch {
		case n == 0:
			b.WriteString("(")
		case n%len(i.columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(n+1))
	}
	b.WriteString(")")
	return b.String()
}
