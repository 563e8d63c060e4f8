package commands

import (
	"context"
	"io"
	"strconv"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// commitlist returns the command that lists the last commits, the newest first.
func commitlist(s commitsService) *menu.Command {
	return menu.Decl[menu.NoArgs, config.Commit]{
		Name:      "commitlist",
		Help:      "List the last commits, with what each changed.",
		Details:   "The newest comes first; its configuration holds. `rollbackconfig` goes back to one that is kept, and `commitdetail` says until when a commit is to be confirmed.",
		Role:      menu.Operator,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "configuration/commits", Tagged: true, List: "commits", Key: "number"}},
		Topic:     "commits",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[config.Commit]) error {
			return out.Records(s.Commits())
		},
		TextTable: commitTable,
	}.Command()
}

func commitTable(w io.Writer, list []config.Commit) {
	t := tables.Table{Head: []string{"COMMIT", "COMMITTED ON", "USER", "STATE", "CHANGED", "COMMENT"}}
	for i, c := range list {
		var changed []string
		for _, change := range c.Changes {
			changed = append(changed, change.Setting)
		}
		t.Add(strconv.Itoa(c.Number), tables.Whole(menu.UTC(c.Time)), c.User, commitState(i == 0, c), strings.Join(changed, ", "), c.Comment)
	}
	t.Write(w)
}

// commitState says in words what has become of a commit.
func commitState(holds bool, c config.Commit) string {
	switch {
	case c.Until != nil:
		return "to be confirmed"
	case holds:
		return "holds"
	case c.Kept:
		return "kept"
	}
	return "not kept"
}
