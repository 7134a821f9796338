package sqldb

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// Rows says how InsertRows writes many rows in one statement.
type Rows struct {
	Table string
	// Columns are "name" for text, or "name bigint". The first ones are the same in every row: those of Same.
	Same, Columns []string
	// Then is the statement's end: "ON CONFLICT (...) DO NOTHING RETURNING id".
	Then string
}

// InsertRows inserts any number of rows in one statement, from a JSON array of arrays that has each row's Columns in
// order; same are the values of Same. One argument for all rows is many times faster than one for each field, on both
// databases: their drivers take the time of a row for every few arguments. The caller closes the rows.
func (t *Tx) InsertRows(ctx context.Context, into Rows, rows []byte, same ...any) (*sql.Rows, error) {
	return t.Query(ctx, into.statement(t.dialect), append(same, string(rows))...)
}

func (r Rows) statement(d Dialect) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + r.Table + " (")
	for i, column := range append(append([]string{}, r.Same...), r.Columns...) {
		if i > 0 {
			b.WriteString(", ")
		}
		name, _, _ := strings.Cut(column, " ")
		b.WriteString(name)
	}
	b.WriteString(") SELECT ")
	for i, column := range r.Same {
		b.WriteString(cast("$"+strconv.Itoa(i+1), column, d) + ", ")
	}
	for i, column := range r.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(cast("value->>"+strconv.Itoa(i), column, d))
	}
	list := "$" + strconv.Itoa(len(r.Same)+1)
	if d == SQLite {
		b.WriteString(" FROM json_each(" + list + ") WHERE true ")
	} else {
		b.WriteString(" FROM json_array_elements(" + list + "::json) ")
	}
	b.WriteString(r.Then)
	return b.String()
}

// cast gives an expression its column's type where the database does not by itself.
func cast(expression, column string, d Dialect) string {
	_, kind, typed := strings.Cut(column, " ")
	switch {
	case d == SQLite:
		return expression
	case !typed:
		return "(" + expression + ")::text"
	}
	return "(" + expression + ")::" + kind
}
