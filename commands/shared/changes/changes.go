// Package changes shows the configuration and what is pending, for the commands that change it.
package changes

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// An Editor keeps each user's pending changes.
type Editor interface {
	Configuration(caller menu.Caller) config.View
	EditConfiguration(caller menu.Caller, edit func(config.Document) error) error
}

// Edit changes the caller's pending configuration. It writes the warnings about the change and
// yields the changes that were not pending before.
func Edit(s Editor, caller menu.Caller, out *menu.Out[config.Change], edit func(config.Document) error) error {
	return Yield(s, caller, out, func() error { return s.EditConfiguration(caller, edit) })
}

// Yield is Edit for a change that the caller makes in another way.
func Yield(s Editor, caller menu.Caller, out *menu.Out[config.Change], change func() error) error {
	before := s.Configuration(caller)
	if err := change(); err != nil {
		return err
	}
	after := s.Configuration(caller)
	out.Printf("%s", menu.Text(Elsewhere(before)))
	changes := config.Changes(before.Candidate, after.Candidate)
	for _, w := range after.Warnings {
		if slices.ContainsFunc(changes, func(c config.Change) bool { return c.Path == w.Path }) {
			out.Printf("%s\n", w.Text)
		}
	}
	for i, c := range changes {
		changes[i].TakenBack = c.After == after.Running[c.Path]
	}
	return out.Records(changes)
}

// Elsewhere returns in words what other sessions of the same user have changed since this one did,
// "" if nothing.
func Elsewhere(view config.View) string {
	if len(view.Elsewhere) == 0 {
		return ""
	}
	return "Another session of yours has changed since:\n" + config.ChangeLines(view.Elsewhere) + "\n\n"
}

// Pending writes changes, and that they are pending.
func Pending(w io.Writer, changes []config.Change) {
	if len(changes) == 0 {
		fmt.Fprint(w, "It was so already; nothing has changed.\n")
		return
	}
	for _, c := range changes {
		fmt.Fprintf(w, "%s\n", c)
	}
	if !slices.ContainsFunc(changes, func(c config.Change) bool { return !c.TakenBack }) {
		fmt.Fprint(w, "It is as it was committed: nothing of this is pending any more.\n")
		return
	}
	fmt.Fprint(w, "This is pending: commit makes it hold, clearchanges drops it.\n")
}

// Tree writes changes as a tree, the settings of an object below its name.
func Tree(w io.Writer, changes []config.Change) {
	var section, name string
	for _, c := range changes {
		indent := ""
		if c.Path.Name != "" {
			if c.Path.Section != section {
				fmt.Fprintf(w, "%s\n", c.Path.Section)
				name = ""
			}
			if c.Path.Name != name {
				fmt.Fprintf(w, "  %s\n", c.Path.Name)
			}
			indent = "    "
		}
		section, name = c.Path.Section, c.Path.Name
		fmt.Fprintf(w, "%s%s: %s -> %s\n", indent, c.Path.Word(), orNotSet(c.Before), orNotSet(c.After))
	}
}

func orNotSet(value string) string {
	if value == "" {
		return "not set"
	}
	return strings.ReplaceAll(value, "\n", " / ")
}

// Commit writes a commit with what it changed.
func Commit(w io.Writer, c config.Commit) {
	fmt.Fprintf(w, "Commit %d at %s by %s\n", c.Number, menu.UTC(c.Time), c.User)
	if c.Comment != "" {
		tables.Line(w, len("Comment: "), "Comment: %s", c.Comment)
	}
	if c.Until != nil {
		fmt.Fprintf(w, "Rolled back at %s unless it is confirmed with: commit\n", menu.UTC(*c.Until))
	}
	for _, change := range c.Changes {
		fmt.Fprintf(w, "  %s\n", change)
	}
}

// Commits writes commits as a table.
func Commits(w io.Writer, list []config.Commit) {
	t := tables.Table{Head: []string{"COMMIT", "COMMITTED ON", "USER", "COMMENT"}}
	for _, c := range list {
		t.Add(strconv.Itoa(c.Number), tables.Whole(menu.UTC(c.Time)), c.User, c.Comment)
	}
	t.Write(w)
}
