package netstat

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/diag/sysctl"
	"diagsh/internal/menu"
)

type sysctlArgs struct {
	Name string `arg:"name,positional:1,bound" help:"How the names of the settings begin, such as net.ipv4.tcp_; net. may be left out."`
}

// A settingRow is a setting of the kernel.
type settingRow struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func sysctlCommand() *menu.Command {
	return menu.Decl[sysctlArgs, settingRow]{
		Name: "sysctl",
		Help: "Settings of the kernel for the network.",
		Details: "The settings below net., as sysctl(8) shows them: a dot in the name of an interface is a slash. Keys, " +
			"which only root reads, are left out. It changes none.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run: func(ctx context.Context, _ menu.Caller, a sysctlArgs, out *menu.Out[settingRow]) error {
			begins := a.Name
			if !strings.HasPrefix(begins, "net.") {
				begins = "net." + begins
			}
			found := false
			err := sysctl.Each(ctx, func(s sysctl.Setting) error {
				if !strings.HasPrefix(s.Name, begins) {
					return nil
				}
				found = true
				return out.Record(settingRow(s))
			})
			if err == nil && !found {
				err = &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no setting whose name begins with " + menu.Quoted(begins),
					Hint: "Leave name out to see all"}
			}
			return err
		},
		Text: settingText,
	}.Command()
}

// settingText writes a setting, or its value line by line, in the form of sysctl.
func settingText(w io.Writer, r settingRow) {
	for line := range strings.SplitSeq(r.Value, "\n") {
		fmt.Fprintln(w, strings.TrimRight(r.Name+" = "+menu.Clean(line), " "))
	}
}
