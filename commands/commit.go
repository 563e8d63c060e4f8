package commands

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type commitService interface {
	Configuration(caller menu.Caller) config.View
	CommitConfiguration(caller menu.Caller, r config.Request) (config.Commit, error)
}

type commitArgs struct {
	Comment string         `arg:"comment,positional:1" ask:"Comment describing your changes" help:"What was changed and why."`
	Keep    *bool          `arg:"keep" label:"Keep for rollback" ask:"Keep the current configuration for rollback?" default:"yes" help:"Keep what held before, so that rollbackconfig can bring it back."`
	Confirm *time.Duration `arg:"confirm" label:"Take back unless confirmed within" group:"first" unit:"m" min:"1" max:"86400" help:"Minutes until the commit is rolled back by itself, unless you commit once more; a number in JSON is seconds."`
	Merge   *bool          `arg:"merge" label:"On top of others' changes" ask:"Commit your changes on top of it?" default:"no" help:"Commit also where others committed, or another session of yours changed something, since you began."`
}

// commit returns the command that commits the caller's pending changes, all of them or none.
func commit(s commitService) *menu.Command {
	return menu.Decl[commitArgs, config.Commit]{
		Name: "commit",
		Help: "Make your pending changes hold.",
		Details: "All of a commit holds or nothing of it. After `commit confirm 5` the changes are taken back in " +
			"five minutes unless you commit once more: by then you have seen that the appliance can still be " +
			"reached. That happens also when your connection is cut, or the appliance is restarted.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "configuration/commits", Status: 201, Location: "configuration/commits/{number}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, caller menu.Caller, _ commitArgs, q *menu.Question) error {
			return askCommit(s.Configuration(caller), q)
		},
		Check: func(_ context.Context, _ menu.Caller, a commitArgs, name string) error {
			unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
			if name == "comment" && (len(a.Comment) > 200 || strings.ContainsFunc(a.Comment, unprintable)) {
				return menu.BadArgument("comment", "The comment is not right").
					WithHint("It is one line of at most 200 bytes")
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a commitArgs, out *menu.Out[config.Commit]) error {
			view := s.Configuration(caller)
			before := view.Last.Number
			for _, w := range view.Warnings {
				out.Printf("%s\n", w.Text)
			}
			r := config.Request{Comment: strings.TrimSpace(a.Comment), Forget: a.Keep != nil && !*a.Keep,
				Merge: a.Merge != nil && *a.Merge}
			if a.Confirm != nil {
				r.Confirm = *a.Confirm
			}
			done, err := s.CommitConfiguration(caller, r)
			if err != nil {
				return err
			}
			if done.Number == before {
				out.Printf("Confirmed: it is not rolled back any more.\n")
				return out.Record(done)
			}
			if view.Waiting != nil {
				out.Printf("Commit %d is confirmed with this one.\n", view.Waiting.Number)
			}
			out.Printf("Changes committed: %s\n", menu.UTC(done.Time))
			return out.Record(done)
		},
		Text: changes.Commit,
	}.Command()
}

// askCommit prepares a question of commit. It returns an error if there is nothing to commit, and
// skips the question if the commit only confirms an earlier one.
func askCommit(view config.View, q *menu.Question) error {
	switch {
	case len(view.Changes) == 0 && view.Waiting == nil:
		return menu.Errorf(menu.State, "There is nothing to commit")
	case len(view.Changes) == 0:
		q.Skip = true
	case q.Name == "merge" && len(view.Elsewhere) > 0:
		q.Text = changes.Elsewhere(view) + "Commit that too?"
	case q.Name == "merge":
		q.Skip = len(view.Underneath) == 0
		q.Text = fmt.Sprintf("The configuration has changed since you began:\n%s\n%s",
			config.Underneath(view.Underneath), q.Text)
	}
	return nil
}
