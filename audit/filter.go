package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// Filter says which events. What is left out does not matter; everything that is said has to hold.
type Filter struct {
	Query   string `json:"q,omitzero" doc:"The other filters in one line, as in the console: actor: action: target: outcome: created:, with - in front for all others" maxLength:"500" example:"action:keys.revoke created:>2026-11-01"`
	Actor   string `json:"actor,omitzero" doc:"Who: a user's, member's or service key's id, or a member's e-mail address" maxLength:"320"`
	Action  string `json:"action,omitzero" doc:"The operation" maxLength:"81" example:"members.remove"`
	Target  string `json:"target,omitzero" doc:"To what: an id, or a member's e-mail address" maxLength:"320"`
	Outcome string `json:"outcome,omitzero" doc:"How it ended" enum:"ok,unchanged,denied,failed"`
	From    string `json:"after,omitzero" doc:"Not before this time: RFC 3339, or a day (UTC)" maxLength:"40" example:"2026-11-01"`
	Until   string `json:"before,omitzero" doc:"Before this time: RFC 3339, or a day (UTC)" maxLength:"40"`
}

// Term is one condition of a filter.
type Term struct {
	Field string // "actor", "action", "target", "outcome", "after" or "before"
	Value string
	Not   bool
	at    int64 // Unix microseconds of after and before
}

// Terms takes the filter apart. The error says what of it cannot be understood.
func (f Filter) Terms() ([]Term, error) {
	terms, err := Parse(f.Query)
	if err != nil {
		return nil, err
	}
	for _, t := range []Term{{Field: "actor", Value: f.Actor}, {Field: "action", Value: f.Action}, {Field: "target", Value: f.Target},
		{Field: "outcome", Value: f.Outcome}, {Field: "after", Value: f.From}, {Field: "before", Value: f.Until}} {
		if t.Value == "" {
			continue
		}
		if t, err = t.checked(); err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// check says what of the filter cannot be understood.
func (f *Filter) check() []op.FieldError {
	if _, err := Parse(f.Query); err != nil {
		return []op.FieldError{{Pointer: "/q", Code: "invalid", Detail: err.Error()}}
	}
	var wrong []op.FieldError
	for field, value := range map[string]string{"after": f.From, "before": f.Until} {
		if _, _, err := parseTime(value); value != "" && err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/" + field, Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// checked fills in the time of a term about time, and refuses an outcome that there is not.
func (t Term) checked() (Term, error) {
	switch t.Field {
	case "after", "before":
		at, _, err := parseTime(t.Value)
		t.at = at.UnixMicro()
		return t, err
	case "outcome":
		switch op.Outcome(t.Value) {
		case op.OutcomeOK, op.OutcomeUnchanged, op.OutcomeDenied, op.OutcomeFailed:
		default:
			return t, fmt.Errorf("outcome is ok, unchanged, denied or failed, not %q", t.Value)
		}
	}
	return t, nil
}

// Parse reads a line of qualifiers: actor:ada@acme.test -action:audit.list created:>2026-11-01. A value with spaces
// stands in double quotes. The console and the API share it.
func Parse(line string) ([]Term, error) {
	var terms []Term
	for _, word := range words(line) {
		parsed, err := parseWord(word)
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

func parseWord(word string) ([]Term, error) {
	rest, not := strings.CutPrefix(word, "-")
	field, value, found := strings.Cut(rest, ":")
	switch {
	case !found:
		return nil, fmt.Errorf("put actor:, action:, target:, outcome: or created: before %q", word)
	case value == "":
		return nil, fmt.Errorf("%s: needs a value", field)
	case field == "created" && not:
		return nil, fmt.Errorf("created: takes no - in front: turn the sign of the time around")
	case field == "created":
		return parseCreated(value)
	case field == "actor", field == "action", field == "target", field == "outcome":
		t, err := Term{Field: field, Value: value, Not: not}.checked()
		return []Term{t}, err
	}
	return nil, fmt.Errorf("of actor:, action:, target:, outcome: and created: none is called %s", field)
}

// parseCreated reads >TIME, >=TIME, <TIME, <=TIME, FROM..TO and a time alone. A day is all of it.
func parseCreated(value string) ([]Term, error) {
	if from, to, isRange := strings.Cut(value, ".."); isRange {
		first, err := created("after", from, false)
		if err != nil {
			return nil, err
		}
		last, err := created("before", to, true)
		return []Term{first, last}, err
	}
	for _, sign := range []struct {
		text, field string
		whole       bool // from or until the end of what is said
	}{{">=", "after", false}, {">", "after", true}, {"<=", "before", true}, {"<", "before", false}} {
		if rest, ok := strings.CutPrefix(value, sign.text); ok {
			t, err := created(sign.field, rest, sign.whole)
			return []Term{t}, err
		}
	}
	first, err := created("after", value, false)
	if err != nil {
		return nil, err
	}
	last, err := created("before", value, true)
	return []Term{first, last}, err
}

// created makes a term about the beginning of a time, or, with end, about its end: a day has 24 hours, a moment one
// microsecond.
func created(field, text string, end bool) (Term, error) {
	at, lasts, err := parseTime(text)
	if end {
		at = at.Add(lasts)
	}
	return Term{Field: field, Value: at.UTC().Format(time.RFC3339Nano), at: at.UnixMicro()}, err
}

// parseTime reads RFC 3339 or a day (UTC), and says how long what it names lasts.
func parseTime(text string) (time.Time, time.Duration, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, 24 * time.Hour, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, 0, fmt.Errorf("%q is not a time such as 2026-11-01 or 2026-11-01T18:00:00Z", text)
	}
	return at, time.Microsecond, nil
}
