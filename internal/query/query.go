// Package query reads the line of qualifiers that people type into a search box: actor:ada@acme.test
// -action:audit.list created:>2026-11-01. Lists that have such a box share it, on pages and in the API.
package query

import (
	"fmt"
	"strings"
	"time"
)

// Term is one condition.
type Term struct {
	Field string // one of those that were asked for, or After or Before
	Value string
	Not   bool
	At    int64 // Unix microseconds of After and Before
}

// The fields of what created: says. Neither is ever negated.
const (
	After  = "after"  // not before this time
	Before = "before" // before this time
)

// Parse reads a line whose qualifiers are the fields, and created: with times. A value with spaces stands in double
// quotes; a - in front negates.
func Parse(line string, fields ...string) ([]Term, error) {
	var terms []Term
	for _, word := range words(line) {
		parsed, err := parseWord(word, fields)
		if err != nil {
			return nil, err
		}
		terms = append(terms, parsed...)
	}
	return terms, nil
}

// words cuts a line at its spaces, but not within double quotes, which go.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quoted := false
	for _, c := range line + " " {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			if word.Len() > 0 {
				all = append(all, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(c)
		}
	}
	if word.Len() > 0 {
		all = append(all, strings.TrimSpace(word.String()))
	}
	return all
}

func parseWord(word string, fields []string) ([]Term, error) {
	rest, not := strings.CutPrefix(word, "-")
	field, value, found := strings.Cut(rest, ":")
	switch {
	case !found:
		return nil, fmt.Errorf("put %s: or created: before %q", strings.Join(fields, ":, "), word)
	case value == "":
		return nil, fmt.Errorf("%s: needs a value", field)
	case field == "created" && not:
		return nil, fmt.Errorf("created: takes no - in front: turn the sign of the time around")
	case field == "created":
		return parseCreated(value)
	}
	for _, known := range fields {
		if field == known {
			return []Term{{Field: field, Value: value, Not: not}}, nil
		}
	}
	return nil, fmt.Errorf("of %s: and created: none is called %s", strings.Join(fields, ":, "), field)
}

// parseCreated reads >TIME, >=TIME, <TIME, <=TIME, FROM..TO and a time alone. A day is all of it.
func parseCreated(value string) ([]Term, error) {
	if from, to, isRange := strings.Cut(value, ".."); isRange {
		first, err := created(After, from, false)
		if err != nil {
			return nil, err
		}
		last, err := created(Before, to, true)
		return []Term{first, last}, err
	}
	for _, sign := range []struct {
		text, field string
		whole       bool // from or until the end of what is said
	}{{">=", After, false}, {">", After, true}, {"<=", Before, true}, {"<", Before, false}} {
		if rest, ok := strings.CutPrefix(value, sign.text); ok {
			t, err := created(sign.field, rest, sign.whole)
			return []Term{t}, err
		}
	}
	first, err := created(After, value, false)
	if err != nil {
		return nil, err
	}
	last, err := created(Before, value, true)
	return []Term{first, last}, err
}

// created makes a term about the beginning of a time, or, with end, about its end: a day has 24 hours, a moment one
// microsecond.
func created(field, text string, end bool) (Term, error) {
	at, lasts, err := Time(text)
	if end {
		at = at.Add(lasts)
	}
	return Term{Field: field, Value: at.UTC().Format(time.RFC3339Nano), At: at.UnixMicro()}, err
}

// Time reads RFC 3339 or a day (UTC), and says how long what it names lasts.
func Time(text string) (time.Time, time.Duration, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, 24 * time.Hour, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, 0, fmt.Errorf("%q is not a time such as 2026-11-01 or 2026-11-01T18:00:00Z", text)
	}
	return at, time.Microsecond, nil
}
