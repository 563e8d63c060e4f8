package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"diagsh/commands"
	"diagsh/internal/menu"
)

var update = flag.Bool("update", false, "write docs/reference.md")

const referenceFile = "docs/reference.md"

// TestReference compares docs/reference.md with the tree of commands.
func TestReference(t *testing.T) {
	want := reference(commands.Tree(nil, commands.Version{}))
	if *update {
		if err := os.MkdirAll("docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tree of commands says: run make reference", referenceFile)
	}
}

// reference returns the text of docs/reference.md.
func reference(tree *menu.Menu) string {
	var b strings.Builder
	b.WriteString(`# The commands

Written by ` + "`make reference`" + ` from the tree of commands; do not edit.

A command is reached by its path: word by word in the menus, as one line at the top prompt, by ` + "`ssh HOST 'LINE'`" + ` or
` + "`diagsh -c 'LINE'`" + `, and as ` + "`POST /v1/run/PATH`" + ` with the arguments as a JSON object. In a line, what stands in brackets may be left out;
an argument whose keyword stands in brackets may come first without it. ` + "`--json`" + ` anywhere in the line gives JSON:
a table is one array, an object one object, a stream one object a line.

`)
	for _, n := range tree.Nodes() {
		writeNode(&b, tree, n)
	}
	return b.String()
}

func writeNode(b *strings.Builder, tree *menu.Menu, n menu.Node) {
	path := strings.Fields(n.Path)
	fmt.Fprintf(b, "%s %s\n\n%s", strings.Repeat("#", min(len(path)+1, 6)), strings.Join(path, " > "), n.Help)
	for _, text := range []string{n.Details, n.Terminal} {
		if text != "" {
			fmt.Fprintf(b, " %s", text)
		}
	}
	b.WriteString("\n\n")
	command, ok := tree.Find(path).(*menu.Command)
	if !ok {
		return
	}
	fmt.Fprintf(b, "- For: %s\n- Line: `%s`\n- JSON: %s", n.Role, command.Synopsis(path), n.Output)
	if len(n.Members) > 0 {
		fmt.Fprintf(b, " of `%s`", strings.Join(n.Members, ", "))
	}
	for i, r := range n.Resources {
		b.WriteString([...]string{"\n- REST: ", ", "}[min(i, 1)])
		fmt.Fprintf(b, "`%s /v1/%s`", r.Method, r.Path)
	}
	b.WriteString("\n\n")
	if len(n.Params) == 0 {
		return
	}
	b.WriteString("| Argument | Type | |\n|---|---|---|\n")
	for _, p := range n.Params {
		kind := typeOf(p)
		if from := command.PipedNote(&p); from != "" {
			kind += "; " + from
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", p.Name, kind, strings.ReplaceAll(p.Help, "|", "\\|")+also(p))
	}
	b.WriteString("\n")
}

// also returns the former names of a parameter.
func also(p menu.Param) string {
	var names []string
	for _, a := range p.Aliases {
		names = append(names, "`"+a.Name+"`")
	}
	if names == nil {
		return ""
	}
	return " Also " + strings.Join(names, ", ") + "."
}

// typeOf returns the words for the values that a parameter takes.
func typeOf(p menu.Param) string {
	text := p.Type
	if len(p.Choices) > 0 {
		text = strings.Join(p.Choices, ", ")
	}
	if p.Type == "size" && p.Unit != "" {
		text += " in " + p.Unit
	}
	if p.After {
		text += ", or duration from now"
	}
	if bounds := p.Range(); bounds != "" {
		text += " " + bounds
	}
	if p.Limit {
		text += " or unlimited"
	}
	switch {
	case p.Type == "confirm":
		text += "; a line must say it, a dialogue asks"
	case p.Default != "":
		text += "; " + p.Default + " if not given"
	}
	if p.Required {
		text += "; required"
	}
	return text
}
