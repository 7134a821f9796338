package testroom

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Must ends the test on an error.
func (r *Room) Must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// Exec runs one statement in a transaction of its own, behind the back of the operations.
func (r *Room) Exec(query string, args ...any) {
	r.T.Helper()
	r.Must(r.DB.Write(r.T.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(r.T.Context(), query, args...)
		return err
	}))
}

// Row reads the one row of a query.
func (r *Room) Row(query string, args []any, into ...any) {
	r.T.Helper()
	r.Must(r.DB.Read(r.T.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(r.T.Context(), query, args...).Scan(into...)
	}))
}

// Number reads the one number of a query.
func (r *Room) Number(query string, args ...any) (n int64) {
	r.T.Helper()
	r.Row(query, args, &n)
	return n
}

// each reads every row of a query with scan.
func (r *Room) each(query string, scan func(rows *sql.Rows) error) {
	r.T.Helper()
	r.Must(r.DB.Read(r.T.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(r.T.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}))
}

// Stored is everything that some columns keep, as text. A column is named as in "detail FROM audit_rows".
func (r *Room) Stored(columns ...string) string {
	r.T.Helper()
	var all strings.Builder
	for _, column := range columns {
		r.each("SELECT "+column, func(rows *sql.Rows) error {
			var field []byte
			err := rows.Scan(&field)
			all.Write(append(field, '\n'))
			return err
		})
	}
	return all.String()
}

// Mails are all mails that wait in the outbox, the oldest first. Anything else in the outbox fails the test.
func (r *Room) Mails() (all []mail.Message) {
	r.T.Helper()
	r.each("SELECT kind, payload FROM outbox ORDER BY id", func(rows *sql.Rows) error {
		var kind string
		var sealed []byte
		if err := rows.Scan(&kind, &sealed); err != nil {
			return err
		}
		payload, err := r.Secrets.Open("outbox:"+kind, sealed)
		if err != nil {
			return err
		}
		var m mail.Message
		err = json.Unmarshal(payload, &m)
		all = append(all, m)
		return err
	})
	return all
}

// Sent are the payloads of a kind of jobs that wait in the outbox, the oldest first.
func (r *Room) Sent(kind string) (all [][]byte) {
	r.T.Helper()
	r.each("SELECT kind, payload FROM outbox ORDER BY id", func(rows *sql.Rows) error {
		var of string
		var sealed []byte
		if err := rows.Scan(&of, &sealed); err != nil || of != kind {
			return err
		}
		payload, err := r.Secrets.Open("outbox:"+kind, sealed)
		all = append(all, payload)
		return err
	})
	return all
}

// Refused fails the test unless err is a refusal with the code, whose text begins with a small letter.
func (r *Room) Refused(what string, err error, code string) *op.Error {
	r.T.Helper()
	var e *op.Error
	if !errors.As(err, &e) {
		r.T.Errorf("%s: got %v, want %s", what, err, code)
		return &op.Error{}
	}
	if got := e.FullCode(); got != code {
		r.T.Errorf("%s: got %s (%v), want %s", what, got, err, code)
	}
	if e.Text == "" || strings.ToLower(e.Text[:1]) != e.Text[:1] {
		r.T.Errorf("%s: the text %q does not begin with a small letter", what, e.Text)
	}
	return e
}

// Works fails the test unless a secret is a living credential. The room serves directory.GetMe.
func (r *Room) Works(what, secret string) {
	r.T.Helper()
	if err := r.shown(r.As(secret)); err != nil {
		r.T.Errorf("%s is refused: %v", what, err)
	}
}

// Dead fails the test unless a secret is nobody's. The room serves directory.GetMe.
func (r *Room) Dead(what, secret string) {
	r.T.Helper()
	r.Refused(what, r.shown(r.As(secret)), "unauthenticated")
}

func (r *Room) shown(ctx context.Context) error {
	_, err := directory.GetMe.Call(ctx, r.Service, directory.GetMeInput{})
	return err
}
