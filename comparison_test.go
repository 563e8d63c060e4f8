package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"diagsh/commands"
	"diagsh/internal/menu"
)

// TestComparison fails for a word of COMPARISON.md that diagsh does not know. The column "here"
// names a command, a menu, or arguments of packetcapture start.
func TestComparison(t *testing.T) {
	text, err := os.ReadFile("COMPARISON.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := commands.Tree(nil, commands.Version{})
	all := func(menu.Item) bool { return true }
	quoted := regexp.MustCompile("`([a-z][^`]*)`")
	known := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 2 {
			continue
		}
		for _, words := range quoted.FindAllStringSubmatch(cells[1], -1) {
			if tree.Find(strings.Fields(words[1])) != nil {
				known++
				continue
			}
			_, err := tree.Parse(nil, words[1], false, all)
			if err != nil {
				_, err = tree.Parse(nil, "packetcapture start "+words[1], false, all)
			}
			if err != nil {
				t.Errorf("%s: %v", words[1], err)
				continue
			}
			known++
		}
	}
	if known < 40 {
		t.Errorf("only %d commands were found", known)
	}
}

// TestLinesOfPages fails for a line in backquotes, on a page other than the generated ones, that
// begins with a word of the top menu and is no menu, no command and no line that is understood.
func TestLinesOfPages(t *testing.T) {
	tree := commands.Tree(nil, commands.Version{})
	all := func(menu.Item) bool { return true }
	quoted := regexp.MustCompile("`([a-z][^`>\n]*)`")
	// Words in capitals stand for values.
	values := strings.NewReplacer("HOST", "h.example", "NAME", "n1", "PORT", "25")
	known := 0
	for _, page := range pages(t) {
		if page == referenceFile || page == "CHANGELOG.md" || page == "COMPARISON.md" {
			continue
		}
		for _, words := range quoted.FindAllStringSubmatch(read(t, page), -1) {
			path := strings.Fields(words[1])
			if tree.Find(path[:1]) == nil {
				continue
			}
			known++
			if tree.Find(path) != nil || words[1] == "commit confirm" {
				continue
			}
			if _, err := tree.Parse(nil, values.Replace(words[1]), false, all); err != nil {
				t.Errorf("%s: `%s`: %v", page, words[1], err)
			}
		}
	}
	if known < 60 {
		t.Errorf("only %d lines were found", known)
	}
}
