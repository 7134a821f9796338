package docs

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hit is a section of a page in which every word of a search stands.
type Hit struct {
	Page    Page
	Heading string // of the section; empty: the beginning of the page
	Anchor  string // of the heading; empty: the page itself
	Excerpt string // what stands around the first word
	score   int
}

// maxHits bounds an answer of Search.
const maxHits = 30

// Search finds the sections in which every word stands, the fittest first. Letters of either case are the same.
func Search(query string) (hits []Hit) {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return nil
	}
	for _, p := range pages {
		for _, h := range sections(p) {
			if h.score = h.fits(words); h.score > 0 {
				h.Excerpt = excerpt(h.Excerpt, words[0])
				hits = append(hits, h)
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.score, a.score) })
	return hits[:min(len(hits), maxHits)]
}

// fits counts the words, those of titles and headings for more; 0: one is missing.
func (h Hit) fits(words []string) (score int) {
	title, heading, text := strings.ToLower(h.Page.Title), strings.ToLower(h.Heading), strings.ToLower(h.Excerpt)
	for _, word := range words {
		n := 20*strings.Count(heading, word) + 10*strings.Count(title, word) + min(strings.Count(text, word), 9)
		if n == 0 {
			return 0
		}
		score += n
	}
	return score
}

// sections are the parts of a page by its headings, with the whole text of each as the excerpt.
func sections(p Page) (all []Hit) {
	current, code := Hit{Page: p}, false
	for line := range strings.Lines(string(p.Source)) {
		if strings.HasPrefix(line, "```") {
			code = !code
			continue
		}
		mark, heading, isHeading := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if code || !isHeading || mark != "##" && mark != "###" {
			current.Excerpt += line
			continue
		}
		all = append(all, current)
		current = Hit{Page: p, Heading: strings.ReplaceAll(heading, "`", ""), Anchor: anchor(heading)}
	}
	return append(all, current)
}

// anchor is a heading's id, as GitHub and the console make it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// excerpt is what stands around a word, on one line.
func excerpt(text, word string) string {
	const around = 90
	text = strings.Join(strings.Fields(strings.NewReplacer("|", " ", "`", "", "---", "", "**", "").Replace(text)), " ")
	at := max(0, strings.Index(strings.ToLower(text), word))
	from, to := max(0, min(at-around, len(text))), min(len(text), at+2*around)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	cut := text[from:to]
	if from > 0 {
		cut = "… " + cut
	}
	if to < len(text) {
		cut += " …"
	}
	return cut
}
