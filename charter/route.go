package charter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Route is one request of the product, as a proxy in front of it sees it, and what it needs.
type Route struct {
	// Method is an HTTP method in capital letters.
	Method string
	// Pattern is the path: segments that stand for themselves, {variable} for any one segment,
	// and at the end {variable...} for one or more.
	Pattern string
	// Needs is the permission or bundle to hold; "" for a public route.
	Needs Permission
	// On is the single resource that the permission is asked about, such as "workflow:{id}";
	// "" is the organization as a whole.
	On string
	// Public lets everybody through.
	Public bool
	// Line is where the route stands in the file.
	Line int
}

// String returns the route as the file has it: "POST /workflows/{id}/run".
func (r *Route) String() string {
	return r.Method + " " + r.Pattern
}

// organizationVariable is the variable whose value names the organization.
const organizationVariable = "organization"

// methods are what a route can be for.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// longestRoute bounds the work of comparing routes.
const longestRoute = 400

func (p *parser) routes(n *yaml.Node) {
	for _, item := range p.list(n) {
		p.route(item)
	}
	p.c.routes = map[string]*segment{}
	for i := range p.c.Routes {
		p.c.addRoute(&p.c.Routes[i])
	}
}

// route reads one route and keeps it if it is right and no earlier one is for the same requests.
func (p *parser) route(item *yaml.Node) {
	before := len(p.errs)
	r, at := Route{Line: item.Line}, map[string]*yaml.Node{}
	keep := func(name string, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { at[name] = n; read(n) }
	}
	p.fields(item, "a route", fields{
		"route":  keep("route", func(n *yaml.Node) { p.routeRequest(n, &r) }),
		"needs":  keep("needs", func(n *yaml.Node) { r.Needs, _ = p.permission(n) }),
		"on":     keep("on", func(n *yaml.Node) { r.On, _ = p.text(n) }),
		"public": keep("public", func(n *yaml.Node) { p.flag(n, &r.Public) }),
	})
	if len(p.errs) > before || item.Kind != yaml.MappingNode {
		return
	}
	switch {
	case at["route"] == nil:
		p.fail(item, "a route needs a route, such as GET /files/{id}")
	case r.Public == (at["needs"] != nil):
		p.fail(item, "a route needs either needs, with a permission, or public: true")
	case r.Public && at["on"] != nil:
		p.fail(at["on"], "a public route is on nothing")
	case at["on"] == nil || p.routeOn(at["on"], r):
		p.addRoute(at["route"], r)
	}
}

// routeRequest reads a method and a path.
func (p *parser) routeRequest(n *yaml.Node, r *Route) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	method, pattern, _ := strings.Cut(text, " ")
	switch {
	case len(text) > longestRoute:
		p.fail(n, "this route is longer than %d bytes", longestRoute)
	case !slices.Contains(methods, method):
		p.fail(n, "unknown method %q%s", method, p.orOneOf(method, methods))
	case !strings.HasPrefix(pattern, "/"):
		p.fail(n, "path %q does not begin with /", pattern)
	default:
		r.Method, r.Pattern = method, pattern
		p.pattern(n, pattern)
	}
}

// pattern checks the segments of a path.
func (p *parser) pattern(n *yaml.Node, pattern string) {
	segments := segmentsOf(pattern)
	var names []string
	for i, s := range segments {
		last := i == len(segments)-1
		name, kind := variableOf(s)
		switch {
		case s == "" && !last:
			p.fail(n, "path %q has an empty segment", pattern)
		case kind == literal && s != "" && !plainSegment(s):
			p.fail(n, "segment %q is not a variable such as {id}, nor letters, digits and . _ ~ @ - alone, which is all that a route can match", s)
		case kind == literal:
		case !wordForm.MatchString(name):
			p.fail(n, "variable %q is not a name of lower-case letters, digits and underscores, a letter first, at most 40", name)
		case kind == rest && !last:
			p.fail(n, "%s can only be the last segment", s)
		case kind == rest && name == organizationVariable:
			p.fail(n, "%s is more than one segment; an organization is named by one", s)
		case slices.Contains(names, name):
			p.fail(n, "variable %q is in the path twice", name)
		default:
			names = append(names, name)
		}
	}
}

var onForm = regexp.MustCompile(`^([a-z][a-z0-9_]{0,39}):\{([a-z][a-z0-9_]{0,39})\}$`)

// routeOn checks that what a route is on can be asked with its permission, and reports whether it can.
func (p *parser) routeOn(n *yaml.Node, r Route) bool {
	before, form := len(p.errs), onForm.FindStringSubmatch(r.On)
	if form == nil {
		p.fail(n, `on %q is not a resource and a variable, such as "file:{id}"`, r.On)
		return false
	}
	kind, name := form[1], form[2]
	if granted, ok := p.c.Resources[kind]; !ok {
		p.fail(n, "unknown resource %q%s", kind, p.didYouMean(kind, p.c.resourceWords()))
	} else if !slices.Contains(granted, r.Needs) {
		p.fail(n, "resource %q is not listed with %q; add it to resources.%s", kind, r.Needs, kind)
	}
	var names []string
	for _, s := range segmentsOf(r.Pattern) {
		if name, kind := variableOf(s); kind == variable {
			names = append(names, name)
		}
	}
	if !slices.Contains(names, name) {
		p.fail(n, "the path has no variable {%s}%s", name, p.didYouMean(name, names))
	}
	return len(p.errs) == before
}

// resourceWords returns the types of resource as words for error texts.
func (c *Charter) resourceWords() []string {
	var words []string
	for kind := range c.Resources {
		words = append(words, kind)
	}
	slices.Sort(words)
	return words
}

// addRoute keeps a route, unless a request could be for it and an earlier one and neither is more specific.
func (p *parser) addRoute(n *yaml.Node, r Route) {
	for i := range p.c.Routes {
		earlier := &p.c.Routes[i]
		switch compareRoutes(earlier, &r) {
		case equal:
			p.fail(n, "%q is for the same requests as %q on line %d", r.String(), earlier.String(), earlier.Line)
			return
		case overlaps:
			p.fail(n, "%q and %q on line %d are for some requests in common, and neither is more specific", r.String(), earlier.String(), earlier.Line)
			return
		}
	}
	p.c.Routes = append(p.c.Routes, r)
}

// words says what the route lets through: "needs files.edit on file:{id}", "public".
func (r *Route) words() string {
	switch {
	case r.Public:
		return "public"
	case r.On != "":
		return fmt.Sprintf("needs %s on %s", r.Needs, r.On)
	default:
		return fmt.Sprintf("needs %s", r.Needs)
	}
}
