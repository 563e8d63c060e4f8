// Command scaffold writes the skeleton of a command of the tree: its file, its line in the menu and
// its transcript.
//
//	go run ./internal/scaffold 'diagnostic network routeget'
//
// The skeleton builds and passes the tree's tests, but for its transcript, which says what is not
// written yet.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

func main() {
	if len(os.Args) != 2 {
		fail(errors.New(`give the path of the new command: make new COMMAND='diagnostic network routeget'`))
	}
	c, err := newCommand(".", strings.Fields(os.Args[1]))
	if err != nil {
		fail(err)
	}
	written, err := c.write()
	if err != nil {
		fail(err)
	}
	for _, file := range written {
		fmt.Println(file)
	}
	fmt.Printf("Write %s and its transcript, then: make reference menus\n", c.word)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "scaffold:", err)
	os.Exit(1)
}

// A command is one that is to be written.
type command struct {
	folder string   // of its menu
	path   []string // words
	word   string   // the last of them
	pkg    string
	name   string // of its function, and the beginning of its types'
}

var keyword = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// newCommand checks that a command can be added below root.
func newCommand(root string, path []string) (command, error) {
	if len(path) == 0 {
		return command{}, errors.New("the path has no word")
	}
	c := command{path: path, word: path[len(path)-1], folder: filepath.Join(root, "commands")}
	for _, word := range path {
		if !keyword.MatchString(word) {
			return c, fmt.Errorf("%q is no keyword: small letters, digits and underscores, a letter first", word)
		}
	}
	for i, word := range path[:len(path)-1] {
		below := filepath.Join(c.folder, word)
		if exists(below + ".go") {
			return c, fmt.Errorf("the menu %s is one file: add the command to %s.go", strings.Join(path[:i+1], " > "), below)
		}
		if !exists(filepath.Join(below, "menu.go")) {
			return c, fmt.Errorf("there is no menu %s", strings.Join(path[:i+1], " > "))
		}
		c.folder = below
	}
	if exists(filepath.Join(c.folder, c.word)) || exists(filepath.Join(c.folder, c.word+".go")) {
		return c, fmt.Errorf("%s exists", filepath.Join(c.folder, c.word))
	}
	names, pkg, err := declared(c.folder)
	if err != nil {
		return c, err
	}
	c.pkg, c.name = pkg, camel(c.word)
	if names[c.name] || token.IsKeyword(c.name) {
		c.name += "Command"
	}
	return c, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// camel writes a keyword as a Go name: disk_usage is diskUsage.
func camel(word string) string {
	parts := strings.Split(word, "_")
	for i, p := range parts {
		if i > 0 && p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

// declared returns the names of a package's declarations and imports, and its own.
func declared(folder string) (names map[string]bool, pkg string, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, "", err
	}
	names = map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return nil, "", err
		}
		pkg = parsed.Name.Name
		for _, d := range parsed.Decls {
			for _, name := range namesOf(d) {
				names[name] = true
			}
		}
		for _, i := range parsed.Imports {
			names[strings.Trim(filepath.Base(i.Path.Value), `"`)] = true
		}
	}
	return names, pkg, nil
}

func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// write writes the three skeletons and returns the files.
func (c command) write() ([]string, error) {
	menu := filepath.Join(c.folder, "menu.go")
	source, err := os.ReadFile(menu)
	if err != nil {
		return nil, err
	}
	if source, err = withItem(source, c.name+"(),"); err != nil {
		return nil, fmt.Errorf("%s: %w", menu, err)
	}
	file := filepath.Join(c.folder, c.word+".go")
	transcript := filepath.Join(c.folder, "testdata", c.word+".txtar")
	for _, f := range []struct {
		name string
		text *template.Template
	}{{file, fileText}, {transcript, transcriptText}} {
		var b bytes.Buffer
		if err := f.text.Execute(&b, c); err != nil {
			return nil, err
		}
		if err := os.WriteFile(f.name, b.Bytes(), 0o644); err != nil {
			return nil, err
		}
	}
	return []string{file, menu, transcript}, os.WriteFile(menu, source, 0o644)
}

// withItem adds a line at the end of a menu's Items.
func withItem(source []byte, line string) ([]byte, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, 0)
	if err != nil {
		return nil, err
	}
	end := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		member, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, named := member.Key.(*ast.Ident)
		items, listed := member.Value.(*ast.CompositeLit)
		if named && listed && key.Name == "Items" {
			end = files.Position(items.Rbrace).Offset
		}
		return end == 0
	})
	if end == 0 {
		return nil, errors.New("there is no list Items")
	}
	return format.Source(bytes.Join([][]byte{source[:end], []byte(line + "\n"), source[end:]}, nil))
}

// Words are the path as a line has it.
func (c command) Words() string { return strings.Join(c.path, " ") }

func (c command) Word() string    { return c.word }
func (c command) Name() string    { return c.name }
func (c command) Package() string { return c.pkg }
func (c command) Folder() string  { return filepath.ToSlash(c.folder) }

var fileText = template.Must(template.New("").Parse(`package {{.Package}}

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/menu"
)

type {{.Name}}Args struct {
	Name string ` + "`" + `arg:"name,positional:1" help:"Not written yet."` + "`" + `
}

// A {{.Name}}Record is what {{.Word}} yields.
type {{.Name}}Record struct {
	Name string ` + "`" + `json:"name"` + "`" + `
}

func {{.Name}}() *menu.Command {
	return menu.Decl[{{.Name}}Args, {{.Name}}Record]{
		Name:  "{{.Word}}",
		Help:  "Not written yet.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Run: func(context.Context, menu.Caller, {{.Name}}Args, *menu.Out[{{.Name}}Record]) error {
			return menu.Errorf(menu.Failed, "{{.Word}} is not written yet")
		},
		Text: func(w io.Writer, r {{.Name}}Record) { fmt.Fprintln(w, r.Name) },
	}.Command()
}
`))

var transcriptText = template.Must(template.New("").Parse(`{{.Word}} is not written yet. When it is: go test ./{{.Folder}} -run TestTranscripts/{{.Word}} -update

-- dialogue as op --
mx1> {{.Words}}
What {{.Word}} shows.
mx1>
-- line as op --
$ {{.Words}}
What {{.Word}} shows.
= 0
$ {{.Words}} --json
{"name":"what {{.Word}} yields"}
= 0
-- line as ro --
$ {{.Words}}
! diagsh: The role readonly may not do this. It needs the role operator.
= 3
`))
