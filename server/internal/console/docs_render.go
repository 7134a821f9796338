package console

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"unicode"

	"github.com/a-h/templ"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// renderedDoc is a page of the documentation as HTML, with the headings that its list of contents shows.
type renderedDoc struct {
	html     string
	headings []docHeading
}

// docHeading is a heading of the second level.
type docHeading struct{ id, text string }

// markdown reads the documentation: tables beside CommonMark, and no HTML of its own.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(docNodes{}, 100))),
)

// renderDoc makes HTML of a page whose links lead below base.
func renderDoc(base string, source []byte) (renderedDoc, error) {
	var out renderedDoc
	doc := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(headingIDs{}))))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			n.Destination = []byte(docLink(base, string(n.Destination)))
		case *ast.Heading:
			if n.Level == 2 {
				id, _ := n.AttributeString("id")
				named, _ := id.([]byte)
				out.headings = append(out.headings, docHeading{string(named), plainText(n, source)})
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return out, err
	}
	var b bytes.Buffer
	err = markdown.Renderer().Render(&b, source, doc)
	out.html = b.String()
	return out, err
}

// plainText is what a node says, without its marks.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			b.Write(t.Value(source))
		} else {
			b.WriteString(plainText(child, source))
		}
	}
	return b.String()
}

// docLink turns the link to another file into the address of its page. Other links stay.
func docLink(base, to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Path == "" || !strings.HasSuffix(u.Path, ".md") {
		return to
	}
	name := strings.TrimSuffix(u.Path, ".md")
	address := base + "/docs"
	if name != docs.Index {
		address += "/" + name
	}
	if u.Fragment != "" {
		address += "#" + u.Fragment
	}
	return address
}

// headingIDs names headings as GitHub does, so that a link works there and here: letters, digits, hyphens and
// underscores, in lower case.
type headingIDs map[string]bool

// Generate makes the id of a heading; one that is taken gets a number behind it.
func (ids headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(string(value)))
	for ids[id] {
		id += "-1"
	}
	ids[id] = true
	return []byte(id)
}

// Put keeps an id from being given to another heading.
func (ids headingIDs) Put(value []byte) { ids[string(value)] = true }

// docNodes draws blocks of code by our components, and tables so that a narrow screen can move them.
type docNodes struct{}

// RegisterFuncs names the nodes that are drawn here.
func (docNodes) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, drawCode)
	r.Register(tables.KindTable, drawTable)
}

// drawCode shows commands with a button to copy them, and everything else as it stands.
func drawCode(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block, _ := n.(*ast.FencedCodeBlock)
	code := strings.TrimRight(string(block.Lines().Value(source)), "\n")
	drawn := docAnswer(code)
	if title, ok := codeTitles[string(block.Language(source))]; ok {
		drawn = ui.CodeBox(ui.CodeBoxProps{Samples: []ui.Sample{{Title: title, Code: code}}})
	}
	return ast.WalkContinue, drawn.Render(context.Background(), w)
}

// codeTitles are the languages of what people copy.
var codeTitles = map[string]string{"sh": "Shell", "console": "Shell", "yaml": "YAML", "nginx": "nginx", "go": "Go"}

func drawTable(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		return ast.WalkContinue, write(w, `<div class="scroll" tabindex="0" role="group" aria-label="`+templ.EscapeString(ui.T("Table"))+`"><table>`)
	}
	return ast.WalkContinue, write(w, "</table></div>\n")
}

func write(w util.BufWriter, html string) error {
	_, err := w.WriteString(html)
	return err
}
