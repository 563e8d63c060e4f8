package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type rollbackService interface {
	changes.Editor
	commitService
	Commits() []config.Commit
	RestoreCommit(caller menu.Caller, number int) error
}

type rollbackconfigArgs struct {
	Number  int          `arg:"number,positional:1,required" ask:"Number of the commit to go back to" min:"0" help:"Number of one of the last ten commits."`
	Confirm menu.Confirm `arg:"confirm" ask:"Roll back the configuration?" help:"Say yes: your pending changes, if there are any, are replaced."`
	Commit  bool         `arg:"commit" ask:"Commit this configuration now?" default:"no" help:"Make it hold at once; else it is pending."`
}

// rollbackconfig returns the command that goes back to the configuration of an earlier commit.
func rollbackconfig(s rollbackService) *menu.Command {
	return menu.Decl[rollbackconfigArgs, config.Change]{
		Name:      "rollbackconfig",
		Help:      "Go back to the configuration of one of the last ten commits.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "configuration/commits/{number}/rollback", List: "changes", Key: "setting", Given: menu.Arguments{"confirm": "yes"}}},
		Ask: func(_ context.Context, _ menu.Caller, a rollbackconfigArgs, q *menu.Question) error {
			earlier := restorable(s.Commits())
			if len(earlier) == 0 {
				return menu.Errorf(menu.State, "There is no earlier configuration to go back to")
			}
			switch q.Name {
			case "number":
				var b strings.Builder
				changes.Commits(&b, earlier)
				q.Text = b.String() + q.Text
			case "confirm":
				q.Text = fmt.Sprintf("Go back to the configuration of commit %d?", a.Number)
			case "commit":
				q.Skip = !bool(a.Confirm)
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a rollbackconfigArgs, name string) error {
			if name != "number" {
				return nil
			}
			return checkRestorable(s.Commits(), a.Number)
		},
		Run: func(_ context.Context, caller menu.Caller, a rollbackconfigArgs, out *menu.Out[config.Change]) error {
			if err := s.RestoreCommit(caller, a.Number); err != nil {
				return err
			}
			view := s.Configuration(caller)
			for _, w := range view.Warnings {
				out.Printf("%s\n", w.Text)
			}
			if a.Commit && len(view.Changes) > 0 {
				done, err := s.CommitConfiguration(caller,
					config.Request{Comment: fmt.Sprintf("Back to commit %d", a.Number)})
				if err != nil {
					return err
				}
				out.Printf("Changes committed: %s\n", menu.UTC(done.Time))
			} else if len(view.Changes) > 0 {
				out.Printf("This is pending: commit makes it hold, clearchanges drops it.\n")
			}
			return out.Records(view.Changes)
		},
		TextTable: func(w io.Writer, list []config.Change) {
			if len(list) == 0 {
				fmt.Fprint(w, "The configuration is that one already.\n")
				return
			}
			changes.Tree(w, list)
		},
	}.Command()
}

// checkRestorable returns an error if the configuration of a commit is not kept. The error names
// the commits whose configurations are.
func checkRestorable(commits []config.Commit, number int) error {
	var numbers []string
	for _, c := range restorable(commits) {
		if c.Number == number {
			return nil
		}
		numbers = append(numbers, fmt.Sprint(c.Number))
	}
	return &menu.Error{Code: menu.NotFound, Argument: "number",
		Message: fmt.Sprintf("There is no earlier configuration of commit %d", number),
		Hint:    "Kept are those of: " + strings.Join(numbers, ", ")}
}

// restorable returns the commits before the last one whose configurations are kept.
func restorable(commits []config.Commit) []config.Commit {
	var list []config.Commit
	for i, c := range commits {
		if i > 0 && c.Kept {
			list = append(list, c)
		}
	}
	return list
}
