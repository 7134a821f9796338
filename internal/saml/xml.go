package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	xmlSpace   = "http://www.w3.org/XML/1998/namespace"
	xmlnsSpace = "http://www.w3.org/2000/xmlns/"

	deepest     = 32   // elements within each other
	mostParts   = 1000 // elements in all
	mostAttrs   = 64   // of one element, with its namespaces
	longestName = 128
)

// plainName is a name without a colon, of letters that no two parsers read differently.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// node is an element.
type node struct {
	space, local string // the namespace's own name, not its prefix
	attrs        []attr
	parent       *node
	children     []*node
	text         string // all of the text that stands directly in it
	scope        map[string]string
}

type attr struct{ space, local, value string }

// reader builds a tree. It refuses everything that is not needed and has been used to make two readers disagree.
type reader struct {
	comments bool // they are left out instead of refused: in metadata, which nobody signs in with
	root, at *node
	parts    int
	depth    int
}

// parse reads a document. T-071, T-072, T-075, T-076
func parse(raw []byte) (*node, error) { return (&reader{}).read(raw) }

// parseLoosely reads a document that may have comments.
func parseLoosely(raw []byte) (*node, error) { return (&reader{comments: true}).read(raw) }

func (r *reader) read(raw []byte) (*node, error) {
	switch {
	case len(raw) > MaxDocument && !r.comments:
		return nil, refuse(TooLarge, "the document has more than %d bytes", MaxDocument)
	case !utf8.Valid(raw):
		return nil, refuse(NotXML, "the document is not UTF-8")
	case !r.comments && bytes.Contains(raw, []byte("<![CDATA[")):
		return nil, refuse(CDATA, "the document has a CDATA section")
	}
	d := xml.NewDecoder(bytes.NewReader(raw))
	for first := true; ; first = false {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.take(token, first)
		}
		var refused *Refusal
		if err != nil && !errors.As(err, &refused) {
			err = refuse(NotXML, "the document is no XML: %v", err)
		}
		if err != nil {
			return nil, err
		}
	}
	if r.root == nil || r.at != nil {
		return nil, refuse(NotXML, "the document ends too early")
	}
	return r.root, nil
}

func (r *reader) take(token xml.Token, first bool) error {
	switch t := token.(type) {
	case xml.StartElement:
		return r.start(t)
	case xml.EndElement:
		return r.end(t)
	case xml.CharData:
		return r.characters(string(t))
	case xml.Comment:
		if !r.comments {
			return refuse(Comment, "the document has a comment")
		}
	case xml.ProcInst:
		if !first || t.Target != "xml" {
			return refuse(Instruction, "the document has a processing instruction")
		}
	case xml.Directive:
		return refuse(DTD, "the document has a document type declaration")
	}
	return nil
}

func (r *reader) characters(text string) error {
	if r.at != nil {
		r.at.text += text
		return nil
	}
	if strings.TrimSpace(text) != "" {
		return refuse(NotXML, "there is text outside of the document's element")
	}
	return nil
}

func (r *reader) start(t xml.StartElement) error {
	r.parts++
	r.depth++
	switch {
	case r.at == nil && r.root != nil:
		return refuse(NotXML, "the document has a second element beside the first")
	case r.depth > deepest, !r.comments && r.parts > mostParts, len(t.Attr) > mostAttrs:
		return refuse(TooManyParts, "the document has more parts, or deeper ones, than an answer needs")
	}
	n := &node{parent: r.at}
	if err := n.name(t); err != nil {
		return err
	}
	if r.root == nil {
		r.root = n
	} else {
		r.at.children = append(r.at.children, n)
	}
	r.at = n
	return nil
}

func (r *reader) end(t xml.EndElement) error {
	if r.at == nil {
		return refuse(NotXML, "an element ends that did not begin")
	}
	space, err := r.at.lookUp(t.Name.Space)
	if err != nil || space != r.at.space || t.Name.Local != r.at.local {
		return refuse(NotXML, "an element ends within another")
	}
	r.at = r.at.parent
	r.depth--
	return nil
}

// name resolves the namespaces of an element and its attributes.
func (n *node) name(t xml.StartElement) error {
	if err := n.declare(t.Attr); err != nil {
		return err
	}
	var err error
	if n.local = t.Name.Local; !plain(n.local) || t.Name.Space != "" && !plain(t.Name.Space) {
		return refuse(OddName, "an element has a name that is none")
	}
	if n.space, err = n.lookUp(t.Name.Space); err != nil {
		return err
	}
	seen := map[[2]string]bool{}
	for _, a := range t.Attr {
		if !plain(a.Name.Local) || a.Name.Space != "" && !plain(a.Name.Space) {
			return refuse(OddName, "an attribute has a name that is none")
		}
		prefixed := [2]string{":" + a.Name.Space, a.Name.Local}
		one := attr{local: a.Name.Local, value: a.Value}
		if declares(a) {
			one.space = xmlnsSpace
		} else if a.Name.Space != "" { // the namespace of an element is not its attributes'
			if one.space, err = n.lookUp(a.Name.Space); err != nil {
				return err
			}
		}
		if whole := [2]string{one.space, one.local}; seen[whole] || seen[prefixed] {
			return refuse(TwiceAttribute, "an element has an attribute twice")
		} else {
			seen[whole], seen[prefixed] = true, true
		}
		if one.space != xmlnsSpace {
			n.attrs = append(n.attrs, one)
		}
	}
	return nil
}

func plain(name string) bool { return len(name) <= longestName && plainName.MatchString(name) }

// declares reports whether an attribute declares a namespace.
func declares(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns"
}

// declare takes the namespaces that an element declares. A relative name, or taking one back, makes canonical forms differ.
func (n *node) declare(attrs []xml.Attr) error {
	if n.parent != nil {
		n.scope = n.parent.scope
	}
	own := map[string]string{}
	for _, a := range attrs {
		if !declares(a) {
			continue
		}
		prefix := a.Name.Local
		if a.Name.Space == "" {
			prefix = ""
		}
		switch {
		case prefix == "xml" || prefix == "xmlns" || a.Value == xmlSpace || a.Value == xmlnsSpace:
			return refuse(OddNamespace, "the document declares a namespace that is reserved")
		case !strings.Contains(a.Value, ":") || strings.ContainsAny(a.Value, " \t\r\n"):
			return refuse(OddNamespace, "the document declares a namespace that is no absolute name: %.100q", a.Value)
		}
		own[prefix] = a.Value
	}
	if len(own) == 0 {
		return nil
	}
	for prefix, space := range n.scope {
		if _, there := own[prefix]; !there {
			own[prefix] = space
		}
	}
	if n.scope = own; len(own) > mostAttrs {
		return refuse(TooManyParts, "the document has too many namespaces")
	}
	return nil
}

// lookUp is the namespace of a prefix.
func (n *node) lookUp(prefix string) (string, error) {
	space, ok := n.scope[prefix]
	switch {
	case ok, prefix == "":
		return space, nil
	case prefix == "xml":
		return xmlSpace, nil
	}
	return "", refuse(OddNamespace, "the document uses a namespace that it does not declare")
}

// is reports whether an element has a name.
func (n *node) is(space, local string) bool { return n.space == space && n.local == local }

// attr is an attribute without a namespace, or empty.
func (n *node) attr(local string) string {
	for _, a := range n.attrs {
		if a.space == "" && a.local == local {
			return a.value
		}
	}
	return ""
}

// all are the elements directly within that have a name.
func (n *node) all(space, local string) (found []*node) {
	for _, c := range n.children {
		if c.is(space, local) {
			found = append(found, c)
		}
	}
	return found
}

// one is the only element directly within that has a name; nil: there is none, or more than one.
func (n *node) one(space, local string) *node {
	if found := n.all(space, local); len(found) == 1 {
		return found[0]
	}
	return nil
}

// value is the text of an element that has nothing but text.
func (n *node) value() (string, bool) {
	if n == nil || len(n.children) > 0 {
		return "", false
	}
	return strings.TrimSpace(n.text), true
}

// walk visits an element and all within.
func (n *node) walk(visit func(*node) error) error {
	if err := visit(n); err != nil {
		return err
	}
	for _, c := range n.children {
		if err := c.walk(visit); err != nil {
			return err
		}
	}
	return nil
}
