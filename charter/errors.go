package charter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a charter file and where it stands.
// Line and Column count from 1; what concerns the whole file stands at 1:1.
type Error struct {
	File   string
	Line   int
	Column int
	Text   string
}

// Error returns "file:line:column: text", the form that editors jump to.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Errors is every mistake found in a charter file, in the order of the file.
type Errors []*Error

// Error returns the mistakes, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// orNil returns the errors in the order of the file, and nil where there are none.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return es
}

// longestWord bounds the work of Nearest; no name of a charter is longer.
const longestWord = 80

// Nearest returns the word of among that word was most likely meant to be, and "" when nothing is near.
// Of several equally near ones it returns the first.
func Nearest(word string, among []string) string {
	if word == "" || len(word) > longestWord {
		return ""
	}
	folded := strings.ToLower(word)
	best, least := "", longestWord
	for _, candidate := range among {
		if len(candidate) > longestWord {
			continue
		}
		// A third of the letters may be wrong, and one letter of a short word.
		tolerated := max(1, max(len(word), len(candidate))/3)
		if d := distance(folded, strings.ToLower(candidate)); d <= tolerated && d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with a neighbour to make a into b.
func distance(a, b string) int {
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}

// didYouMean returns the end of an error about an unknown name: the nearest right one, or nothing.
func didYouMean(word string, among []string) string {
	near := Nearest(word, among)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}
