package charter

import "strings"

// Match is the route that a request is for.
type Match struct {
	Route *Route
	// Organization is the value of the path's {organization}, an id or a slug; "": the path names none.
	Organization string
	// Resource is the single resource that the permission is asked about, "workflow:wf_1"; "" is the organization as a whole.
	Resource string
}

// Match finds the route that a request is for: the most specific one, as net/http finds it. The path is the raw one as it
// was sent, without the query. Whatever two programs could read differently matches nothing: a path that is empty or does
// not begin with a slash, an empty segment, a segment . or .., a percent sign, and any byte but letters, digits and . _ ~ @ -
// between slashes. A method is compared exactly, and HEAD is asked as GET where no route is for HEAD.
func (c *Charter) Match(method, path string) (Match, bool) {
	if !canonical(path) {
		return Match{}, false
	}
	e := c.routes[method].find(path[1:])
	if e == nil && method == "HEAD" {
		e = c.routes["GET"].find(path[1:])
	}
	if e == nil {
		return Match{}, false
	}
	return e.match(path[1:]), true
}

// longestSegment is how long a segment of a path can be: ids are shorter, attacks are not.
const longestSegment = 200

// canonical reports whether a path has one reading only.
func canonical(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for left := path[1:]; left != ""; {
		var s string
		s, left, _ = strings.Cut(left, "/")
		if !plainSegment(s) {
			return false
		}
	}
	return true
}

// plainSegment reports whether a segment is 1 to 200 letters, digits and . _ ~ @ -, and neither . nor .. .
func plainSegment(s string) bool {
	if s == "" || len(s) > longestSegment || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain are the bytes that a segment of a path can have.
var plain = func() (table [256]bool) {
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~@-") {
		table[b] = true
	}
	return table
}()

// segmentKind says what a segment of a pattern stands for.
type segmentKind int

const (
	literal  segmentKind = iota // itself; an empty one is a slash at the end
	variable                    // any one segment
	rest                        // one or more segments
)

// segmentsOf splits a path that begins with a slash: "/a/{b}/" has the segments a, {b} and an empty one.
func segmentsOf(pattern string) []string {
	return strings.Split(pattern[1:], "/")
}

// variableOf returns the name of a segment that is a variable, and what the segment stands for.
func variableOf(s string) (string, segmentKind) {
	name, open := strings.CutPrefix(s, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !open || !closed {
		return "", literal
	}
	if short, ok := strings.CutSuffix(name, "..."); ok {
		return short, rest
	}
	return name, variable
}

// segment is a place in the tree of one method's patterns: what can come next, the more specific first.
type segment struct {
	literals map[string]*segment
	variable *segment
	rest     *end
	end      *end // what ends here
}

// end is a route with what its match needs.
type end struct {
	route        *Route
	organization int    // which segment is the organization; -1: none
	resource     int    // which segment is the resource's id; -1: none
	kind         string // the resource's type, with its colon
}

// addRoute puts a route into the tree. No two are for the same requests: Parse has seen to it.
func (c *Charter) addRoute(r *Route) {
	e := &end{route: r, organization: -1, resource: -1}
	kind, on, _ := strings.Cut(r.On, ":")
	at := c.routes[r.Method]
	if at == nil {
		at = &segment{}
		c.routes[r.Method] = at
	}
	for i, s := range segmentsOf(r.Pattern) {
		name, what := variableOf(s)
		if what == rest {
			at.rest = e
			return
		}
		if what == variable && name == organizationVariable {
			e.organization = i
		}
		if what == variable && s == on {
			e.resource, e.kind = i, kind+":"
		}
		at = at.next(s, what)
	}
	at.end = e
}

// next returns the place after a segment of a pattern, and makes it if it is new.
func (at *segment) next(s string, what segmentKind) *segment {
	if what == variable {
		if at.variable == nil {
			at.variable = &segment{}
		}
		return at.variable
	}
	if at.literals == nil {
		at.literals = map[string]*segment{}
	}
	if at.literals[s] == nil {
		at.literals[s] = &segment{}
	}
	return at.literals[s]
}

// find returns the most specific route for what is left of a canonical path, its leading slash cut off; nil: none.
// No place is asked twice, so the work is bounded by the number of routes whatever the path.
func (at *segment) find(path string) *end {
	if at == nil {
		return nil
	}
	s, left, more := strings.Cut(path, "/")
	if next := at.literals[s]; next != nil {
		if e := next.after(left, more); e != nil {
			return e
		}
	}
	if s != "" && at.variable != nil {
		if e := at.variable.after(left, more); e != nil {
			return e
		}
	}
	if at.rest != nil && path != "" && path[len(path)-1] != '/' {
		return at.rest
	}
	return nil
}

// after returns the route for what follows a segment; without a slash after it, that is the one that ends here.
func (at *segment) after(left string, more bool) *end {
	if more {
		return at.find(left)
	}
	return at.end
}

// match takes from a path what the route names.
func (e *end) match(path string) Match {
	m := Match{Route: e.route}
	if e.organization >= 0 {
		m.Organization = segmentAt(path, e.organization)
	}
	if e.resource >= 0 {
		m.Resource = e.kind + segmentAt(path, e.resource)
	}
	return m
}

// segmentAt returns the i-th segment of a path, its leading slash cut off.
func segmentAt(path string, i int) string {
	for range i {
		_, path, _ = strings.Cut(path, "/")
	}
	s, _, _ := strings.Cut(path, "/")
	return s
}
