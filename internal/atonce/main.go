// Command atonce chooses, of the tests of some packages, those that do several things at once. It prints arguments of go
// test: their pattern, and the packages that have any.
//
//	go test -race $(go run ./internal/atonce ./directory ./billing)
//
// Such a test starts a goroutine or a server, or runs in parallel, itself or by a function of its package's tests that it
// names. The race detector has no use for the others, which make one call after another. A package that itself begins
// such things is refused: all of its tests are for the detector.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	arguments, err := chosen(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "atonce:", err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(arguments, " "))
}

func chosen(folders []string) ([]string, error) {
	var tests, packages []string
	for _, folder := range folders {
		found, err := atOnce(folder)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			tests, packages = append(tests, found...), append(packages, folder)
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("no test of %s does several things at once", folders)
	}
	return append([]string{"-run", "^(" + strings.Join(tests, "|") + ")$"}, packages...), nil
}

// declared is what the tests of a package declare under a name: several methods may share one.
type declared struct {
	starts bool            // something that runs beside
	names  map[string]bool // everything that it names
}

// atOnce are the names of the tests in a folder that do several things at once, sorted.
func atOnce(folder string) ([]string, error) {
	own, err := declarations(folder, func(file string) bool { return !strings.HasSuffix(file, "_test.go") })
	if err != nil {
		return nil, err
	}
	for name, d := range own {
		if d.starts {
			return nil, fmt.Errorf("%s: %s begins something that runs beside: the race detector is for all its tests", folder, name)
		}
	}
	all, err := declarations(folder, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	if err != nil {
		return nil, err
	}
	for grown := true; grown; {
		grown = false
		for _, d := range all {
			if !d.starts && slices.ContainsFunc(slices.Collect(maps.Keys(d.names)), func(name string) bool { return all[name] != nil && all[name].starts }) {
				d.starts, grown = true, true
			}
		}
	}
	maps.DeleteFunc(all, func(name string, d *declared) bool { return !d.starts || !isTest.MatchString(name) })
	return slices.Sorted(maps.Keys(all)), nil
}

var isTest = regexp.MustCompile(`^(Test|Fuzz|Example)($|[^a-z])`)

// declarations reads those of a folder's files that are wanted.
func declarations(folder string, wanted func(file string) bool) (map[string]*declared, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no package", folder)
	}
	all := map[string]*declared{}
	for _, name := range files {
		if !wanted(name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			for _, name := range namesOf(d) {
				if all[name] == nil {
					all[name] = &declared{names: map[string]bool{}}
				}
				all[name].read(d)
			}
		}
	}
	return all, nil
}

// namesOf are the names of the function or of the variables that a declaration makes.
func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// starters are methods and functions that have something run beside their caller.
var starters = map[string]bool{"Go": true, "Parallel": true, "NewServer": true, "NewTLSServer": true, "NewUnstartedServer": true, "AfterFunc": true}

func (d *declared) read(tree ast.Node) {
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			d.starts = true
		case *ast.SelectorExpr:
			d.starts = d.starts || starters[n.Sel.Name]
		case *ast.Ident:
			d.names[n.Name] = true
		}
		return true
	})
}
