package charter

// relation is how the requests of one route are to those of another.
type relation int

const (
	equal relation = iota
	narrower
	wider
	overlaps
	disjoint
)

// and is the relation of two routes that differ in two ways: as net/http combines method and path, and segment and segment.
func (a relation) and(b relation) relation {
	switch {
	case a == disjoint || b == disjoint:
		return disjoint
	case a == equal || a == b:
		return b
	case b == equal:
		return a
	default:
		return overlaps
	}
}

// compareRoutes says how the requests of a are to those of b. HEAD is asked as GET where it has no route of its own,
// so a route for HEAD is a narrower one for GET.
func compareRoutes(a, b *Route) relation {
	method := equal
	switch {
	case a.Method == b.Method:
	case a.Method == "HEAD" && b.Method == "GET":
		method = narrower
	case a.Method == "GET" && b.Method == "HEAD":
		method = wider
	default:
		return disjoint
	}
	return method.and(comparePaths(segmentsOf(a.Pattern), segmentsOf(b.Pattern)))
}

// comparePaths says how the paths of one pattern are to those of another, segment by segment.
func comparePaths(a, b []string) relation {
	so := equal
	for len(a) > 0 && len(b) > 0 && so != disjoint {
		_, kindA := variableOf(a[0])
		_, kindB := variableOf(b[0])
		switch {
		case kindA == rest && kindB == rest:
			return so
		case kindA == rest && b[len(b)-1] == "", kindB == rest && a[len(a)-1] == "":
			return disjoint
		case kindA == rest:
			return so.and(wider)
		case kindB == rest:
			return so.and(narrower)
		}
		so = so.and(compareSegments(a[0], kindA, b[0], kindB))
		a, b = a[1:], b[1:]
	}
	if len(a) != len(b) {
		return disjoint
	}
	return so
}

// compareSegments says how what one segment stands for is to what another does. An empty one is a slash at the end.
func compareSegments(a string, kindA segmentKind, b string, kindB segmentKind) relation {
	switch {
	case kindA == literal && kindB == literal && a != b, a == "" && kindB == variable, b == "" && kindA == variable:
		return disjoint
	case kindA == kindB:
		return equal
	case kindA == literal:
		return narrower
	default:
		return wider
	}
}
