// Command threats counts the known attacks and faults (T-001 to T-112) that have a test: a test file names those that
// it answers in a comment.
//
//	go run ./internal/threats          # the count, and the rows without a test
//	go run ./internal/threats -where   # each row with the files that name it
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rows is how many attacks are known; a new one gets the next number.
const rows = 112

func main() {
	where := flag.Bool("where", false, "list the files of each row")
	flag.Parse()
	if err := run(os.Stdout, ".", *where); err != nil {
		fmt.Fprintln(os.Stderr, "threats:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, root string, where bool) error {
	found, err := scan(root)
	if err != nil {
		return err
	}
	var without []string
	for n := 1; n <= rows; n++ {
		id := fmt.Sprintf("T-%03d", n)
		files := found[id]
		if len(files) == 0 {
			without = append(without, id)
		} else if where {
			fmt.Fprintf(w, "%s  %s\n", id, strings.Join(files, " "))
		}
	}
	fmt.Fprintf(w, "%d/%d rows have tests\n", rows-len(without), rows)
	if len(without) > 0 {
		fmt.Fprintf(w, "without: %s\n", strings.Join(without, " "))
	}
	return nil
}

var (
	id      = regexp.MustCompile(`T-\d{3}`)
	span    = regexp.MustCompile(`T-(\d{3}) to T-(\d{3})`)
	isTest  = regexp.MustCompile(`(_test\.go|\.test\.m?js|\.spec\.m?js)$`)
	comment = regexp.MustCompile(`//.*T-\d{3}.*`)
)

// scan finds which test files name which row.
func scan(root string) (map[string][]string, error) {
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !isTest.MatchString(path):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, line := range comment.FindAllString(string(text), -1) {
			for _, row := range rowsIn(line) {
				if !slices.Contains(found[row], path) {
					found[row] = append(found[row], path)
				}
			}
		}
		return err
	})
	return found, err
}

// rowsIn are the rows that a comment names, "T-001 to T-003" with those between.
func rowsIn(line string) []string {
	all := id.FindAllString(line, -1)
	for _, m := range span.FindAllStringSubmatch(line, -1) {
		var from, to int
		fmt.Sscan(strings.TrimLeft(m[1], "0"), &from)
		fmt.Sscan(strings.TrimLeft(m[2], "0"), &to)
		for n := from; n <= to; n++ {
			all = append(all, fmt.Sprintf("T-%03d", n))
		}
	}
	return all
}
