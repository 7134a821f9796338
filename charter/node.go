package charter

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// parser reads one file into one charter and gathers every mistake on the way.
// Its reading methods take a node, report what is wrong with it, and leave the target alone then.
type parser struct {
	c    *Charter
	bits int // how many permissions there are so far, bundles not counted
	errs Errors
	// featured are the features that permissions need; the plans are read after them.
	featured []*yaml.Node
	sold     []*yaml.Node // the features of plans
}

// The most mistakes that are told of one file, and the most items of one list or mapping:
// together they bound the work that a file can ask for.
const (
	maxErrors = 100
	maxItems  = 2000
)

// fail records a mistake at a node.
func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	if len(p.errs) >= maxErrors {
		return
	}
	p.errs = append(p.errs, &Error{File: p.c.file, Line: n.Line, Column: n.Column, Text: oneLine(fmt.Sprintf(format, args...))})
}

// longestText keeps a mistake on the screen, however long the word that it quotes.
const longestText = 400

// oneLine makes a text with words from the file safe to print: short, and without control characters.
func oneLine(text string) string {
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// entry is one key and value of a mapping.
type entry struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
}

// mapping returns the entries of a mapping in the order of the file, without repeated keys and keys that are no text.
func (p *parser) mapping(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping, not %s", what, kindOf(n))
		return nil
	}
	if len(n.Content)/2 > maxItems {
		p.fail(n, "%s has more than %d entries", what, maxItems)
		return nil
	}
	first := map[string]int{}
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, ok := p.text(key)
		if !ok {
			continue
		}
		if line, again := first[name]; again {
			p.fail(key, "%q is here twice; first on line %d", name, line)
			continue
		}
		first[name] = key.Line
		entries = append(entries, entry{name, key, value})
	}
	return entries
}

// fields says how to read each field of a mapping.
type fields map[string]func(*yaml.Node)

// fields reads a mapping whose keys are known and returns the names that were there.
func (p *parser) fields(n *yaml.Node, what string, known fields) []string {
	var seen []string
	for _, e := range p.mapping(n, what) {
		read, ok := known[e.name]
		if !ok {
			names := slices.Sorted(maps.Keys(known))
			p.fail(e.key, "unknown key %q in %s%s", e.name, what, p.orOneOf(e.name, names))
			continue
		}
		seen = append(seen, e.name)
		read(e.value)
	}
	return seen
}

// demand reports the names that an entry of a mapping should have had and has not.
func (p *parser) demand(e entry, seen []string, what string, names ...string) {
	if e.value.Kind != yaml.MappingNode {
		return
	}
	for _, name := range names {
		if !slices.Contains(seen, name) {
			p.fail(e.key, "%s %q has no %s", what, e.name, name)
		}
	}
}

// list returns the items of a list.
func (p *parser) list(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "a list is needed here, not %s", kindOf(n))
		return nil
	}
	if len(n.Content) > maxItems {
		p.fail(n, "the list has more than %d items", maxItems)
		return nil
	}
	return n.Content
}

// oneOrMore returns the items of a list, or the node itself where one text stands for a list of one.
func (p *parser) oneOrMore(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		return []*yaml.Node{n}
	}
	return p.list(n)
}

func (p *parser) text(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		p.fail(n, "a text is needed here, not %s", kindOf(n))
		return "", false
	}
	return n.Value, true
}

// longestTitle keeps titles on a page.
const longestTitle = 200

// title reads a text of one line for people.
func (p *parser) title(n *yaml.Node, to *string) {
	text, ok := p.text(n)
	switch {
	case !ok:
	case strings.TrimSpace(text) == "":
		p.fail(n, "a text is needed here, not an empty one")
	case strings.ContainsAny(text, "\r\n"):
		p.fail(n, "a text of one line is needed here")
	case len(text) > longestTitle:
		p.fail(n, "this text is longer than %d bytes", longestTitle)
	default:
		*to = text
	}
}

var wordForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// word reads a name: lower-case letters, digits and underscores, a letter first, at most 40.
// A wrong one is returned too, for the texts of further errors.
func (p *parser) word(n *yaml.Node, what string) string {
	text, ok := p.text(n)
	if ok && !wordForm.MatchString(text) {
		p.fail(n, "%s %q is not a name of lower-case letters, digits and underscores, a letter first, at most 40", what, text)
	}
	return text
}

// words reads a list of different names.
func (p *parser) words(n *yaml.Node, what string) []string {
	var words []string
	for _, item := range p.list(n) {
		word := p.word(item, what)
		if slices.Contains(words, word) {
			p.fail(item, "%s %q is listed twice", what, word)
			continue
		}
		words = append(words, word)
	}
	return words
}

// choose reads one of a few words.
func choose[T ~string](p *parser, n *yaml.Node, to *T, among ...T) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	if !slices.Contains(among, T(text)) {
		words := make([]string, len(among))
		for i, word := range among {
			words[i] = string(word)
		}
		p.fail(n, "unknown word %q%s", text, p.orOneOf(text, words))
		return
	}
	*to = T(text)
}

func (p *parser) number(n *yaml.Node, to *int64, least int64) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" {
		p.fail(n, "a whole number is needed here, not %s", kindOf(n))
		return
	}
	value, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64)
	if err != nil {
		p.fail(n, "%s is not a decimal number of at most 64 bits", n.Value)
		return
	}
	if value < least {
		p.fail(n, "%d is less than %d, the least there can be", value, least)
		return
	}
	*to = value
}

func (p *parser) flag(n *yaml.Node, to *bool) {
	isTrue, isFalse := strings.EqualFold(n.Value, "true"), strings.EqualFold(n.Value, "false")
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || !isTrue && !isFalse {
		p.fail(n, "true or false is needed here, not %s", kindOf(n))
		return
	}
	*to = isTrue
}

func (p *parser) duration(n *yaml.Node, to *time.Duration) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		p.fail(n, "a duration such as 168h is needed here, not %s", kindOf(n))
		return
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil {
		p.fail(n, "%q is not a duration such as 168h", n.Value)
		return
	}
	if d <= 0 {
		p.fail(n, "duration %q is not greater than zero", n.Value)
		return
	}
	*to = d
}

// kindOf says what a node is, for texts such as "a list is needed here, not a mapping".
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	case "!!timestamp":
		return "the date " + n.Value
	case "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	default:
		return "a value of type " + n.ShortTag()
	}
}

// orOneOf ends an error about an unknown word: with the nearest right one, else with all of them.
func (p *parser) orOneOf(word string, among []string) string {
	if hint := p.didYouMean(word, among); hint != "" {
		return hint
	}
	return "; it is one of " + strings.Join(among, ", ")
}

// didYouMean is didYouMean, but silent once enough mistakes are recorded.
func (p *parser) didYouMean(word string, among []string) string {
	if len(p.errs) >= maxErrors {
		return ""
	}
	return didYouMean(word, among)
}
