package commands

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type sethostnameArgs struct {
	Hostname string `arg:"hostname,positional:1,required" label:"Host name" ask:"Host name of the appliance" help:"A name such as mx1.example.com."`
}

// sethostname returns the command that changes the host name, from the next commit on. A command
// has one role, and hostname is for every role, so this is a command of its own.
func sethostname(s changes.Editor) *menu.Command {
	return menu.Decl[sethostnameArgs, config.Change]{
		Name: "sethostname",
		Help: "Change the appliance's host name.",
		Details: "The name is in prompts and in the names of files. It is pending until commit, and in prompts from " +
			"the next login on.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, _ sethostnameArgs, q *menu.Question) error {
			q.Default = s.Configuration(caller).Candidate[config.Hostname]
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a sethostnameArgs, out *menu.Out[config.Change]) error {
			return changes.Edit(s, caller, out, func(d config.Document) error {
				d.Set(config.Hostname, a.Hostname)
				return nil
			})
		},
		TextTable: changes.Pending,
	}.Command()
}
