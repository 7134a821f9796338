package gate

import "strings"

// plainEvaluation is an evaluation in one piece, which its parts point into.
type plainEvaluation struct {
	evaluation
	subject  subject
	action   action
	resource resource
	context  surroundings
}

// scan reads an evaluation of the form that nearly all have: nothing but the members that count, each once, whose texts
// are plain ASCII without a backslash. Of any other body it reports false, and has not decided whether it is an evaluation:
// that is for parse to say. What it accepts, parse accepts as the same.
func (e *plainEvaluation) scan(body string) bool {
	s := scanner{rest: body}
	ok := s.object(func(name string) bool {
		switch {
		case name == "subject" && e.Subject == nil:
			e.Subject = &e.subject
			return s.texts(field{"type", &e.subject.Type}, field{"id", &e.subject.ID})
		case name == "action" && e.Action == nil:
			e.Action = &e.action
			return s.texts(field{"name", &e.action.Name})
		case name == "resource" && e.Resource == nil:
			e.Resource = &e.resource
			return s.resource(&e.resource)
		case name == "context" && e.Context == nil:
			e.Context = &e.context
			return s.texts(field{"address", &e.context.Address}, field{"region", &e.context.Region})
		}
		return false
	})
	s.space()
	return ok && s.rest == ""
}

// scanner reads JSON of a simple form from the beginning of a text.
type scanner struct{ rest string }

// field is a member of an object whose value is a text.
type field struct {
	name string
	to   *string
}

// texts reads an object that has no members but texts, each at most once.
func (s *scanner) texts(fields ...field) bool {
	seen := 0
	return s.object(func(name string) bool {
		for i, f := range fields {
			if f.name == name && seen&(1<<i) == 0 {
				seen |= 1 << i
				return s.text(f.to)
			}
		}
		return false
	})
}

// resource reads the object of a resource, which has another one in it.
func (s *scanner) resource(r *resource) bool {
	var kind, id, properties bool
	return s.object(func(name string) bool {
		switch {
		case name == "type" && !kind:
			kind = true
			return s.text(&r.Type)
		case name == "id" && !id:
			id = true
			return s.text(&r.ID)
		case name == "properties" && !properties:
			properties = true
			return s.texts(field{"organization", &r.Properties.Organization})
		}
		return false
	})
}

// object reads an object, and calls member after the name of each of its members, to read the value.
func (s *scanner) object(member func(name string) bool) bool {
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		var name string
		if !s.text(&name) || !s.next(':') || !member(name) {
			return false
		}
		if !s.next(',') {
			return s.next('}')
		}
	}
}

// text reads a plain text.
func (s *scanner) text(to *string) bool {
	if !s.next('"') {
		return false
	}
	end := strings.IndexByte(s.rest, '"')
	if end < 0 {
		return false
	}
	for i := range end {
		if c := s.rest[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	*to, s.rest = s.rest[:end], s.rest[end+1:]
	return true
}

// next reads one character, and what space is before it.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) space() {
	for s.rest != "" && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}
