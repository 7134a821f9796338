package scim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// column is an attribute that filters may name, as the tables keep it.
type column struct {
	sql    string
	folded bool   // whatever its case, it is the same
	kind   string // "text", "bool", "time", "type", "member"
}

var userColumns = map[string]column{
	"id": {sql: "s.id", kind: "text"}, "username": {"s.user_name_folded", true, "text"}, "externalid": {sql: "s.external_id", kind: "text"},
	"displayname": {"s.display_folded", true, "text"}, "emails": {"s.email_folded", true, "text"}, "emails.value": {"s.email_folded", true, "text"},
	"active": {sql: "s.active", kind: "bool"}, "meta.created": {sql: "s.created_at", kind: "time"},
	"meta.lastmodified": {sql: "s.updated_at", kind: "time"}, "meta.resourcetype": {sql: "User", kind: "type"},
}

var groupColumns = map[string]column{
	"id": {sql: "s.id", kind: "text"}, "displayname": {"s.display_folded", true, "text"}, "externalid": {sql: "s.external_id", kind: "text"},
	"members": {kind: "member"}, "members.value": {kind: "member"}, "meta.created": {sql: "s.created_at", kind: "time"},
	"meta.lastmodified": {sql: "s.updated_at", kind: "time"}, "meta.resourcetype": {sql: "Group", kind: "type"},
}

// query gathers a condition and its values.
type query struct {
	columns map[string]column
	args    []any
}

func (q *query) param(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// where is a filter as SQL. What no column can answer is refused. T-083: every value is a parameter.
func (q *query) where(f *filter) (string, error) {
	switch f.op {
	case "and", "or":
		parts := make([]string, len(f.parts))
		for i, part := range f.parts {
			text, err := q.where(part)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(f.op)+" ") + ")", nil
	case "not":
		text, err := q.where(f.parts[0])
		return "NOT (" + text + ")", err
	case "has":
		return q.within(f.path, f.path.filter)
	}
	if f.path.filter != nil {
		return q.both(f)
	}
	return q.compare(f.path, f)
}

// both is emails[type eq "work"].value eq "x": one address is kept for looking up, and what its type is does not matter.
func (q *query) both(f *filter) (string, error) {
	if f.path.filter.op == "eq" && f.path.filter.path.full() == "type" {
		return q.compare(path{attribute: f.path.attribute, sub: f.path.sub}, f)
	}
	inner, err := q.within(f.path, f.path.filter)
	if err != nil {
		return "", err
	}
	outer, err := q.compare(path{attribute: f.path.attribute, sub: f.path.sub}, f)
	return "(" + inner + " AND " + outer + ")", err
}

// within is the filter in the brackets of a path, about the attribute before them.
func (q *query) within(p path, f *filter) (string, error) {
	moved := moveInto(p.attribute, f)
	if moved == nil {
		return "", invalidFilter("%s[...] cannot be looked for here", p.attribute)
	}
	return q.where(moved)
}

// moveInto gives the comparisons of a filter in brackets their whole paths; what is about the type is left out.
func moveInto(attribute string, f *filter) *filter {
	if len(f.parts) == 0 {
		if f.path.filter != nil || f.path.sub != "" || f.path.attribute == "type" {
			return nil
		}
		return &filter{op: f.op, value: f.value, path: path{attribute: attribute, sub: f.path.attribute}}
	}
	var parts []*filter
	for _, part := range f.parts {
		moved := moveInto(attribute, part)
		switch {
		case moved != nil:
			parts = append(parts, moved)
		case f.op != "and":
			return nil
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &filter{op: f.op, parts: parts}
}

func (q *query) compare(p path, f *filter) (string, error) {
	c, ok := q.columns[p.full()]
	if !ok || p.extension {
		return "", invalidFilter("%s cannot be looked for: only %s can", p.full(), strings.Join(sortedKeys(q.columns), ", "))
	}
	switch c.kind {
	case "bool":
		return q.compareBool(c, f)
	case "time":
		return q.compareTime(c, f)
	case "type":
		return q.compareType(c, f)
	case "member":
		return q.compareMember(f)
	}
	return q.compareText(c, f)
}

func (q *query) compareText(c column, f *filter) (string, error) {
	if f.op == "pr" {
		return c.sql + " <> ''", nil
	}
	text, ok := f.value.(string)
	if !ok {
		return "", invalidFilter("%s is compared with text", f.path.full())
	}
	if c.folded {
		text = strings.ToLower(text)
	}
	like := strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
	switch f.op {
	case "co":
		return c.sql + " LIKE " + q.param("%"+like+"%") + " ESCAPE '!'", nil
	case "sw":
		return c.sql + " LIKE " + q.param(like+"%") + " ESCAPE '!'", nil
	case "ew":
		return c.sql + " LIKE " + q.param("%"+like) + " ESCAPE '!'", nil
	}
	return c.sql + signs[f.op] + q.param(text), nil
}

var signs = map[string]string{"eq": " = ", "ne": " <> ", "gt": " > ", "ge": " >= ", "lt": " < ", "le": " <= "}

func (q *query) compareBool(c column, f *filter) (string, error) {
	if f.op == "pr" {
		return "1 = 1", nil
	}
	value, ok := boolean(f.value)
	if !ok || f.op != "eq" && f.op != "ne" {
		return "", invalidFilter("%s is compared by eq with true or false", f.path.full())
	}
	return c.sql + signs[f.op] + q.param(value), nil
}

func (q *query) compareTime(c column, f *filter) (string, error) {
	if f.op == "pr" {
		return "1 = 1", nil
	}
	text, _ := f.value.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	sign := signs[f.op]
	if err != nil || sign == "" {
		return "", invalidFilter("%s is compared with a time such as \"2027-01-31T18:00:00Z\"", f.path.full())
	}
	return c.sql + sign + q.param(at.UnixMicro()), nil
}

// compareType answers what everything in the list has the same answer to.
func (q *query) compareType(c column, f *filter) (string, error) {
	text, _ := f.value.(string)
	if f.op == "pr" || (f.op == "eq") == strings.EqualFold(text, c.sql) {
		return "1 = 1", nil
	}
	return "1 = 0", nil
}

// compareMember is true of a group that has somebody.
func (q *query) compareMember(f *filter) (string, error) {
	const has = "EXISTS (SELECT 1 FROM directory_group_members gm WHERE gm.organization = s.organization AND gm.group_id = s.id"
	switch f.op {
	case "pr":
		return has + ")", nil
	case "eq":
		return has + " AND gm.directory_user = " + q.param(fmt.Sprint(f.value)) + ")", nil
	}
	return "", invalidFilter("members are compared by eq")
}
