package transcript

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"diagsh/internal/menu"
)

// Cover fails for every menu and command of a tree that the transcripts below a folder do not show.
// A menu must be entered in a dialogue of its own transcript. A command must stand in the
// transcripts of its place (CONTRIBUTING.md) four times: typed in a dialogue, as one line, as one
// line with --json, and, if not every role may use it, refused to somebody. A command that writes
// bytes has no output that a transcript could show.
func Cover(t *testing.T, tree *menu.Menu, folder string) {
	t.Helper()
	all := read(t, folder)
	tree.Walk(func(path []string, item menu.Item) {
		name := strings.Join(path, " ")
		here := places(folder, path)
		for _, missing := range all.at(here...).missing(path, item) {
			t.Errorf("%s has no transcript: %s; it belongs in %s", name, missing, here[0])
		}
	})
}

// places are the beginnings of the transcripts' names for a path, the one that it should have
// first. They are in the testdata of the innermost menu that has a folder: the next word, and the
// word of that menu, for several of its commands beside each other.
func places(folder string, path []string) []string {
	n := 0
	dir := folder
	for n < len(path) && isFolder(filepath.Join(dir, path[n])) {
		dir = filepath.Join(dir, path[n])
		n++
	}
	if n == len(path) {
		return []string{filepath.Join(dir, "testdata", menuTranscript)}
	}
	here := []string{filepath.Join(dir, "testdata", path[n])}
	if n > 0 {
		here = append(here, filepath.Join(dir, "testdata", path[n-1]))
	}
	return here
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Lines returns the one-line forms of a command in its transcripts below a folder, but for those of
// several commands.
func Lines(t *testing.T, folder string, path []string) (lines []string) {
	t.Helper()
	for _, s := range read(t, folder).at(places(folder, path)...) {
		for _, line := range s.lines {
			typed, isLine := strings.CutPrefix(line, "$ ")
			own := typed == strings.Join(path, " ") || strings.HasPrefix(typed, strings.Join(path, " ")+" ")
			if s.kind == "line" && isLine && own && !strings.Contains(typed, ";") {
				lines = append(lines, typed)
			}
		}
	}
	return lines
}

// A shown is a section of a transcript file.
type shown struct {
	file string
	section
}

type shownList []shown

// read reads all transcripts below a folder.
func read(t *testing.T, folder string) (list shownList) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txtar" {
			return err
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		for _, f := range archive.Files {
			s, err := parseSection(f)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			list = append(list, shown{path, s})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// at are the sections of PLACE.txtar and of PLACE-*.txtar, of several places.
func (l shownList) at(places ...string) (here shownList) {
	for _, s := range l {
		name := strings.TrimSuffix(s.file, ".txtar")
		if slices.ContainsFunc(places, func(place string) bool { return name == place || strings.HasPrefix(name, place+"-") }) {
			here = append(here, s)
		}
	}
	return here
}

// missing says what is not shown of an item.
func (l shownList) missing(path []string, item menu.Item) (what []string) {
	want := func(ok bool, text string) {
		if !ok {
			what = append(what, text)
		}
	}
	want(slices.ContainsFunc(l, func(s shown) bool { return s.dialogue(path) }), "no dialogue")
	if _, isMenu := item.(*menu.Menu); isMenu {
		return what
	}
	line := func(json bool, end string) bool {
		return slices.ContainsFunc(l, func(s shown) bool { return s.line(path, json, end) })
	}
	if item.(*menu.Command).Shape != menu.Bytes { // whose output is no text: tests of their own look at it
		// What no machine of ours can do says so everywhere in the same way (6).
		want(line(false, "= 0") || line(false, "= 6"), "no line that succeeds")
		want(line(true, "= 0") || line(true, "= 6"), "no line with --json that succeeds")
	}
	if item.Required() != menu.ReadOnly {
		want(line(false, "= 3"), "no refusal (= 3)")
	}
	return what
}

// dialogue reports whether the item is typed at a prompt, in its menu or by its whole path.
func (s shown) dialogue(path []string) bool {
	if s.kind != "dialogue" {
		return false
	}
	return slices.ContainsFunc(inputs(s.lines), func(in input) bool {
		words := strings.Fields(strings.ToLower(in.written))
		whole := len(words) >= len(path) && slices.Equal(words[:len(path)], path)
		return whole || len(words) > 0 && words[0] == path[len(path)-1]
	})
}

// line reports whether the item stands in a one-line form, for JSON or for people, with a certain
// end.
func (s shown) line(path []string, json bool, end string) bool {
	if s.kind != "line" {
		return false
	}
	for i, line := range s.lines {
		typed, ok := strings.CutPrefix(line, "$ "+strings.Join(path, " "))
		if !ok || typed != "" && typed[0] != ' ' && typed[0] != ';' || strings.Contains(typed, "--json") != json {
			continue
		}
		last := i
		for last+1 < len(s.lines) && !strings.HasPrefix(s.lines[last+1], "$ ") {
			last++
		}
		if s.lines[last] == end {
			return true
		}
	}
	return false
}
