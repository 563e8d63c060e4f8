package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A room is a folder with everything below it. It may import the rooms listed, and third-party packages where that says so.
type room struct {
	name     string
	imports  []string // rooms; a name with /... means that folder and below
	standard bool     // nothing but the standard library beside imports
	why      string
}

// rooms is the plan of docs/architecture.md, section "Arrows". The first room whose name is a prefix of a package's path counts.
var rooms = []room{
	{"internal/menu", nil, true, "the ground floor knows no packet, socket or terminal"},
	{"internal/access", []string{"internal/menu"}, true, "words only"},
	{"internal/config", []string{"internal/menu"}, false, "words and their schema; it changes nothing"},
	{"capture/filter", []string{"capture/filter"}, true, "others import the compiler, so it stands alone"},
	{"capture", []string{"capture"}, false, "the engine knows nothing of the people and commands above it"},
	{"diag", []string{"diag"}, false, "what is true of the host depends on no command"},
	{"assets", nil, true, "only what is embedded"},
	{"commands", []string{"commands", "internal/menu", "internal/access", "internal/config", "internal/netconf", "capture", "diag"}, false, "commands get the daemon's services through interfaces that they declare"},
	{"internal/api", []string{"internal/api", "internal/menu", "internal/access"}, false, "the boundary is handed the tree and the appliance by main"},
	{"internal/daemon", []string{"internal/daemon", "internal/api", "internal/access", "internal/config", "internal/netconf", "capture", "diag", "internal/menu"}, false, "the appliance does not know its commands: main hands the tree to the boundary"},
	{"internal/netconf", []string{"diag"}, false, "it changes what diag reads, for whoever commits"},
	{"shell", []string{"shell", "internal/api", "internal/access", "internal/menu"}, false, "a session can do what the API offers and nothing else"},
	{"internal/front", []string{"internal/front", "internal/access", "internal/menu"}, false, "what faces the network holds no privilege: it asks through the connections that main hands it"},
	{"internal/licenses", []string{"*"}, false, "writes what assets embeds"},
	{"internal/test", []string{"*"}, false, "test benches"},
	{"bench", []string{"*"}, false, "measures everything"},
	{"", []string{"*"}, false, "main joins the parts"},
}

func TestArrows(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != "." || d.Name() == "testdata" || d.Name() == "var" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		checkArrows(t, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkArrows(t *testing.T, file string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	from := roomOf(path.Dir(filepath.ToSlash(file)))
	for _, i := range parsed.Imports {
		target, _ := strconv.Unquote(i.Path.Value)
		ours, isOurs := strings.CutPrefix(target, "diagsh/")
		switch {
		case isOurs && !from.mayImport(ours):
			t.Errorf("%s imports %s: %q may import only %s, because %s", file, target, from.name, strings.Join(from.imports, ", "), from.why)
		case !isOurs && from.standard && strings.Contains(strings.Split(target, "/")[0], "."):
			t.Errorf("%s imports %s: %q is standard library only, because %s", file, target, from.name, from.why)
		}
	}
}

func roomOf(folder string) room {
	for _, r := range rooms {
		if r.name == "" || folder == r.name || strings.HasPrefix(folder, r.name+"/") {
			return r
		}
	}
	panic("the last room takes everything")
}

func (r room) mayImport(target string) bool {
	return slices.ContainsFunc(r.imports, func(allowed string) bool {
		return allowed == "*" || target == allowed || strings.HasPrefix(target, allowed+"/")
	})
}
