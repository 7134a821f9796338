package directory

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// conditions gathers the WHERE of a list. Each condition is written with ? for its value, which may stand several times.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(text string, value any) {
	c.args = append(c.args, value)
	c.parts = append(c.parts, strings.ReplaceAll(text, "?", "$"+strconv.Itoa(len(c.args))))
}

// param adds a value without a condition and gives its name.
func (c *conditions) param(value any) string {
	c.args = append(c.args, value)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *conditions) where() string { return strings.Join(c.parts, " AND ") }

// contains is a LIKE pattern for text anywhere; its escape character is !.
func contains(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}

// when turns stored microseconds into a time, or nil for 0, which means never.
func when(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}

// missing is the error of a row that was looked for: op.ErrNotFound where there is none.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}
