package audit

import (
	"fmt"

	"github.com/guildhall/guildhall/internal/query"
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

// Terms takes the filter apart. The error says what of it cannot be understood.
func (f Filter) Terms() ([]query.Term, error) {
	terms, err := Parse(f.Query)
	if err != nil {
		return nil, err
	}
	for _, t := range []query.Term{{Field: "actor", Value: f.Actor}, {Field: "action", Value: f.Action}, {Field: "target", Value: f.Target},
		{Field: "outcome", Value: f.Outcome}, {Field: "after", Value: f.From}, {Field: "before", Value: f.Until}} {
		if t.Value == "" {
			continue
		}
		if t, err = checked(t); err != nil {
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
		if _, _, err := query.Time(value); value != "" && err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/" + field, Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// checked fills in the time of a term about time, and refuses an outcome that there is not.
func checked(t query.Term) (query.Term, error) {
	switch t.Field {
	case query.After, query.Before:
		at, _, err := query.Time(t.Value)
		t.At = at.UnixMicro()
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

// Parse reads a line of qualifiers: actor:ada@acme.test -action:audit.list created:>2026-11-01.
func Parse(line string) ([]query.Term, error) {
	terms, err := query.Parse(line, "actor", "action", "target", "outcome")
	for i := 0; i < len(terms) && err == nil; i++ {
		terms[i], err = checked(terms[i])
	}
	return terms, err
}
