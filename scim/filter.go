package scim

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// The bounds of a filter: what directories send has a handful of words.
const (
	maxFilter = 2000 // bytes
	maxDepth  = 12   // parentheses and nots within each other
	maxTerms  = 40
)

// filter is a parsed filter (RFC 7644, section 3.4.2.2): one comparison, or others combined.
type filter struct {
	op    string // "and", "or", "not", "has" (a path with a filter of its own in brackets), or an operator such as "eq"
	parts []*filter
	path  path
	value any // text, bool, float64 or nil
}

// path names an attribute: "name.givenName", "emails[type eq \"work\"].value". Names are in lower case.
type path struct {
	attribute string // without the schema's name; "" only for a whole extension
	extension bool   // it is the enterprise extension's
	filter    *filter
	sub       string
}

// full is the path without its filter.
func (p path) full() string {
	if p.sub == "" {
		return p.attribute
	}
	return p.attribute + "." + p.sub
}

// parser reads filters and paths, from left to right.
type parser struct {
	text  string
	at    int
	terms int
}

type syntaxError struct{ text string }

func (e *syntaxError) Error() string { return e.text }

func (p *parser) wrong(format string, args ...any) error {
	return &syntaxError{fmt.Sprintf(format, args...) + fmt.Sprintf(" at byte %d", p.at)}
}

// parseFilter reads a filter.
func parseFilter(text string) (*filter, error) {
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return nil, invalidFilter("a filter is UTF-8 and has at most %d bytes", maxFilter)
	}
	p := &parser{text: text}
	f, err := p.either(0)
	if err == nil && p.peek() != 0 {
		err = p.wrong("there is something after the filter")
	}
	if err != nil {
		return nil, invalidFilter("%v", err)
	}
	return f, nil
}

// parsePath reads the path of a PATCH operation.
func parsePath(text string) (path, error) {
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return path{}, invalidPath("a path is UTF-8 and has at most %d bytes", maxFilter)
	}
	p := &parser{text: text}
	found, err := p.path(0)
	if err == nil && p.peek() != 0 {
		err = p.wrong("there is something after the path")
	}
	if err != nil {
		return path{}, invalidPath("%v", err)
	}
	return found, nil
}

func invalidFilter(format string, args ...any) error {
	return op.Errorf(op.Malformed, "invalid_filter", format, args...)
}

func invalidPath(format string, args ...any) error {
	return op.Errorf(op.Malformed, "invalid_path", format, args...)
}

// peek is the next byte that is no space; 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// word takes a keyword or operator if it is next.
func (p *parser) word(w string) bool {
	p.peek()
	end := p.at + len(w)
	if end > len(p.text) || !strings.EqualFold(p.text[p.at:end], w) || end < len(p.text) && nameByte(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '$'
}

// either reads parts with or between them, which binds less than and.
func (p *parser) either(depth int) (*filter, error) { return p.joined("or", depth, p.both) }

func (p *parser) both(depth int) (*filter, error) { return p.joined("and", depth, p.term) }

func (p *parser) joined(by string, depth int, part func(int) (*filter, error)) (*filter, error) {
	if depth > maxDepth {
		return nil, p.wrong("the filter is nested deeper than %d", maxDepth)
	}
	first, err := part(depth)
	if err != nil {
		return nil, err
	}
	all := []*filter{first}
	for p.word(by) {
		next, err := part(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, nil
	}
	return &filter{op: by, parts: all}, nil
}

// term reads one comparison, or a filter in parentheses.
func (p *parser) term(depth int) (*filter, error) {
	if p.terms++; p.terms > maxTerms {
		return nil, p.wrong("the filter has more than %d terms", maxTerms)
	}
	not := p.word("not")
	if p.peek() == '(' {
		p.at++
		f, err := p.either(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ')' {
			return nil, p.wrong("a ) is missing")
		}
		p.at++
		if not {
			f = &filter{op: "not", parts: []*filter{f}}
		}
		return f, nil
	}
	if not {
		return nil, p.wrong("not stands before parentheses")
	}
	return p.comparison(depth)
}

var operators = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

func (p *parser) comparison(depth int) (*filter, error) {
	at, err := p.path(depth)
	if err != nil {
		return nil, err
	}
	if p.word("pr") {
		return &filter{op: "pr", path: at}, nil
	}
	for _, o := range operators {
		if p.word(o) {
			value, err := p.value()
			return &filter{op: o, path: at, value: value}, err
		}
	}
	if at.filter != nil && at.sub == "" {
		return &filter{op: "has", path: at}, nil
	}
	return nil, p.wrong("an operator is missing: one of pr, %s", strings.Join(operators, ", "))
}

// value reads a JSON text, number, true, false or null. Entra writes True and False.
func (p *parser) value() (any, error) {
	for _, literal := range []struct {
		word  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if p.word(literal.word) {
			return literal.value, nil
		}
	}
	var from int
	if p.peek() == '"' {
		from = p.at
		for p.at++; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
			if p.text[p.at] == '\\' {
				p.at++
			}
		}
		p.at = min(p.at+1, len(p.text))
	} else {
		from = p.at
		for p.at < len(p.text) && (nameByte(p.text[p.at]) || p.text[p.at] == '.' || p.text[p.at] == '+') {
			p.at++
		}
	}
	var value any
	if err := json.Unmarshal([]byte(p.text[from:p.at]), &value); err != nil {
		return nil, p.wrong("the value is no text in quotation marks, no number, true, false or null")
	}
	return value, nil
}

// path reads an attribute's path. The name of a schema before it goes away.
func (p *parser) path(depth int) (path, error) {
	var found path
	p.peek()
	rest := strings.ToLower(p.text[p.at:])
	switch {
	case strings.HasPrefix(rest, strings.ToLower(enterpriseSchema)):
		p.at += len(enterpriseSchema)
		if found.extension = true; p.at == len(p.text) {
			return found, nil
		}
		if c := p.text[p.at]; c != ':' && c != '.' {
			return found, p.wrong("a : is missing after the name of the schema")
		}
		p.at++
	case strings.HasPrefix(rest, strings.ToLower(userSchema)+":"):
		p.at += len(userSchema) + 1
	case strings.HasPrefix(rest, strings.ToLower(groupSchema)+":"):
		p.at += len(groupSchema) + 1
	case strings.HasPrefix(rest, "urn:"): // a schema that we do not know: nothing of it is kept
		found.attribute, p.at = "urn:", len(p.text)
		return found, nil
	}
	var err error
	if found.attribute, err = p.name(); err != nil {
		return found, err
	}
	if p.at < len(p.text) && p.text[p.at] == '[' {
		p.at++
		if found.filter, err = p.either(depth + 1); err != nil {
			return found, err
		}
		if p.peek() != ']' {
			return found, p.wrong("a ] is missing")
		}
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		found.sub, err = p.name()
	}
	return found, err
}

func (p *parser) name() (string, error) {
	from := p.at
	for p.at < len(p.text) && nameByte(p.text[p.at]) {
		p.at++
	}
	if from == p.at {
		return "", p.wrong("the name of an attribute is missing")
	}
	return strings.ToLower(p.text[from:p.at]), nil
}
