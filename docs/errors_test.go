package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// allowed are the reasons of a yes: they are no errors.
var allowed = []string{"role", "own", "power"}

// TestEveryCodeIsExplained finds every code that the program can answer in its source, and wants an entry for each: the
// type of an error leads there. Codes of single fields stand in a table of their own.
func TestEveryCodeIsExplained(t *testing.T) {
	c := collect(t)
	for kind := op.Internal; kind <= op.Unavailable; kind++ {
		c.codes[kind.String()] = "op.ErrorKind"
	}
	for _, state := range []directory.InvitationState{directory.Accepted, directory.Declined, directory.Cancelled, directory.Expired} {
		c.codes["invitation_"+string(state)] = "directory.InvitationState"
	}
	if len(c.codes) < 60 || len(c.fields) < 8 {
		t.Fatalf("found %d codes and %d of fields: the test does not look where they are", len(c.codes), len(c.fields))
	}
	page := read(t, "errors.md")
	entries := anchors(t, "errors.md")
	for code, where := range c.codes {
		if !slices.Contains(entries, code) && !slices.Contains(allowed, code) {
			t.Errorf("%s answers %q, which has no entry in docs/errors.md", where, code)
		}
	}
	for code, where := range c.fields {
		if !strings.Contains(page, "\n| `"+code+"` |") {
			t.Errorf("%s answers %q for a field, which is not in the table of docs/errors.md", where, code)
		}
	}
	for _, found := range header.FindAllStringSubmatch(page, -1) {
		if name, ok := strings.CutPrefix(found[0], "### "); ok && c.codes[name] == "" {
			t.Errorf("docs/errors.md explains %q, which nothing answers", name)
		}
	}
}

// codes are what was found, each with where.
type codes struct {
	t             *testing.T
	set           *token.FileSet
	codes, fields map[string]string
	constants     map[string]string // of the file's package
}

func collect(t *testing.T) *codes {
	t.Helper()
	c := &codes{t: t, set: token.NewFileSet(), codes: map[string]string{}, fields: map[string]string{}}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "node_modules" || d.Name() == "examples" || strings.HasPrefix(d.Name(), ".") && path != ".." || strings.HasPrefix(d.Name(), "test") {
			return fs.SkipDir
		}
		c.folder(path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// folder reads the Go files of one package, constants first.
func (c *codes) folder(path string) {
	names, err := filepath.Glob(filepath.Join(path, "*.go"))
	if err != nil {
		c.t.Fatal(err)
	}
	var files []*ast.File
	c.constants = map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(c.set, name, nil, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		files = append(files, file)
		ast.Inspect(file, c.constant)
	}
	for _, file := range files {
		ast.Inspect(file, c.found)
	}
}

// constant notes text constants by their names, and the reasons of decisions.
func (c *codes) constant(n ast.Node) bool {
	spec, ok := n.(*ast.ValueSpec)
	if !ok || len(spec.Names) != len(spec.Values) {
		return true
	}
	for i, name := range spec.Names {
		text, isText := literal(spec.Values[i])
		if !isText {
			continue
		}
		c.constants[name.Name] = text
		if kind, isNamed := spec.Type.(*ast.Ident); isNamed && kind.Name == "Reason" {
			c.codes[text] = c.set.Position(spec.Pos()).String()
		}
	}
	return true
}

// found notes the codes of errors: Errorf and InvalidField with their code, Code: in a literal of Error or FieldError, and
// what is assigned to a Code.
func (c *codes) found(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		switch {
		case nameOf(n.Fun) == "Errorf" && len(n.Args) > 2:
			c.note(c.codes, n.Args[1])
		case nameOf(n.Fun) == "InvalidField" && len(n.Args) > 2:
			c.note(c.fields, n.Args[1])
		}
	case *ast.CompositeLit:
		c.composite(n)
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if selector, ok := to.(*ast.SelectorExpr); ok && selector.Sel.Name == "Code" && i < len(n.Rhs) {
				c.note(c.codes, n.Rhs[i])
			}
		}
	}
	return true
}

func (c *codes) composite(n *ast.CompositeLit) {
	into := map[string]map[string]string{"Error": c.codes, "FieldError": c.fields}[nameOf(n.Type)]
	if list, ok := n.Type.(*ast.ArrayType); ok && nameOf(list.Elt) == "FieldError" {
		for _, item := range n.Elts {
			if literal, ok := item.(*ast.CompositeLit); ok {
				c.elements(c.fields, literal)
			}
		}
	}
	if into != nil {
		c.elements(into, n)
	}
}

// elements notes the code of a literal, with or without the names of its fields.
func (c *codes) elements(into map[string]string, n *ast.CompositeLit) {
	for i, e := range n.Elts {
		pair, named := e.(*ast.KeyValueExpr)
		switch {
		case named && nameOf(pair.Key) == "Code":
			c.note(into, pair.Value)
		case !named && i == 1: // pointer, code, detail
			c.note(into, e)
		}
	}
}

// note notes an expression that is a text or the name of one.
func (c *codes) note(into map[string]string, e ast.Expr) {
	text, ok := literal(e)
	if name, isName := e.(*ast.Ident); isName && !ok {
		text = c.constants[name.Name]
	}
	if text != "" {
		into[text] = c.set.Position(e.Pos()).String()
	}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
