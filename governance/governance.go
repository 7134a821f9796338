// Package governance keeps an eye on who has access: findings say what good practice would change, each with the one
// operation that mends it, and access reviews ask people about every member or key and apply what they decide.
//
// It changes memberships and keys only through the plain functions of directory and credential, so that every rule of a
// removal, a change of role or a revocation holds here too.
package governance

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of this room.
func Operations() []op.Any {
	return []op.Any{
		ListFindings, DismissFinding, RestoreFinding,
		StartReview, ListReviews, GetReview, ListItems, Decide, DecideMany, CompleteReview, CancelReview, RepeatReview, RemindReview, ReportReview,
	}
}

const day = 24 * time.Hour

// found is the error of a scan, op.ErrNotFound for none.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}

// rowsOf reads every row of a query.
func rowsOf[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// when turns stored microseconds into a time, or nil for 0.
func when(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}

// nameOf is what somebody is called where one name is shown. Whoever was erased has neither name nor address.
func nameOf(name, email string) string { return cmp.Or(name, email, "somebody who was erased") }

// until reads when something ends, in Unix microseconds: a time of RFC 3339, or a number of days from now such as 90d.
func until(text string, now time.Time) (int64, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(number, 10, 15); err == nil && n > 0 {
			return now.Add(time.Duration(n) * day).UnixMicro(), nil
		}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as 2027-01-31T18:00:00Z, nor a number of days such as 90d", text)
	}
	return at.UnixMicro(), nil
}

// checkUntil says what is wrong with the form of a time.
func checkUntil(field, text string) []op.FieldError {
	if _, err := until(text, time.Time{}); err != nil {
		return []op.FieldError{{Pointer: "/" + field, Code: "invalid", Detail: err.Error()}}
	}
	return nil
}

// sendMail puts a mail into the outbox. A user whom the product made without an address gets none.
func sendMail(tx *op.Tx, m mail.Message) {
	if m.To == "" {
		return
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic("mail: " + err.Error()) // four strings always marshal
	}
	tx.Send("mail", raw)
}
