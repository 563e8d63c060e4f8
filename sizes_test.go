package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The limits of what a reader can hold in mind: a file is about one thing, a function does one.
const (
	maxFileLines     = 500
	maxFunctionLines = 60
	maxPackageLines  = 3500 // without tests
)

// longFunctions are longer for a reason: a table, or a machine whose instructions read best one
// after the other.
var longFunctions = map[string]string{
	"capture/filter Program.run": "a virtual machine",
	"capture/filter keyword":     "a table of words",
	"capture/headers walk.link":  "a table of link types",
}

// longPackages are larger for a reason.
var longPackages = map[string]string{
	"capture/filter": "one language: scanner, grammar, code and optimizer know each other",
	"commands":       "the top menu: a file a command, which do not know each other",
}

// TestSizes fails for a file, function or package that is too large, and for an exception that is
// no longer needed.
func TestSizes(t *testing.T) {
	needed := map[string]bool{}
	packages := map[string]int{}
	for file, text := range goFiles(t) {
		lines := bytes.Count(text, []byte("\n"))
		if lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: what two subjects has it?", file, lines, maxFileLines)
		}
		if !strings.HasSuffix(file, "_test.go") {
			packages[path.Dir(file)] += lines
		}
		if strings.HasSuffix(file, "_test.go") {
			continue // a test is a story that is told in its order
		}
		for name, lines := range functions(t, file, text) {
			if lines <= maxFunctionLines {
				continue
			}
			if longFunctions[name] == "" {
				t.Errorf("%s: %s has %d lines, more than %d", file, name, lines, maxFunctionLines)
			}
			needed[name] = true
		}
	}
	for folder, lines := range packages {
		if lines <= maxPackageLines {
			continue
		}
		if longPackages[folder] == "" {
			t.Errorf("%s has %d lines without its tests, more than %d", folder, lines, maxPackageLines)
		}
		needed[folder] = true
	}
	for _, exceptions := range []map[string]string{longFunctions, longPackages} {
		for name := range exceptions {
			if !needed[name] {
				t.Errorf("%s may be larger, and is not", name)
			}
		}
	}
}

// functions returns the lines of each function of a file, by folder, receiver and name.
func functions(t *testing.T, file string, text []byte) map[string]int {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			kind := f.Recv.List[0].Type
			if star, ok := kind.(*ast.StarExpr); ok {
				kind = star.X
			}
			if generic, ok := kind.(*ast.IndexExpr); ok {
				kind = generic.X
			}
			if id, ok := kind.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		lines[path.Dir(file)+" "+name] = set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
	}
	return lines
}

// goFiles returns our Go files by name.
func goFiles(t *testing.T) map[string][]byte {
	files := map[string][]byte{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() != "." && strings.HasPrefix(d.Name(), ".") ||
				slices.Contains([]string{"testdata", "var", "bin", "third_party"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(file, ".go") {
			text, err := os.ReadFile(file)
			files[filepath.ToSlash(file)] = text
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
