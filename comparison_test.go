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
