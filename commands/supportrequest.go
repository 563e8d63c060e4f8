package commands

import (
	"context"
	"io"

	"diagsh/commands/shared/reports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type supportrequestArgs struct {
	CaseNumber  string    `arg:"casenumber,positional:1" label:"Case number" alias:"case" ask:"Case number (Enter for none yet)" help:"Number of the case at the support."`
	Contact     string    `arg:"contact,required" ask:"Contact: name, telephone or mail address" help:"Whom the support can reach."`
	Description menu.Text `arg:"description,required" ask:"Describe the problem" help:"What is wrong, since when, and what was tried."`
	Files       []string  `arg:"files" ask:"Captures to put into the report, names or numbers separated by commas" help:"Files of the diagnostic directory, separated by commas, or NONE."`
}

// Limits of the texts about a case, in bytes.
const (
	maxCaseText    = 200
	maxDescription = 16 << 10
)

// supportrequest returns the command that makes a report with a description of the problem.
func supportrequest(s reports.Service) *menu.Command {
	return menu.Decl[supportrequestArgs, access.Report]{
		Name: "supportrequest",
		Help: "Make a report for a case at the support.",
		Details: "The report is a file in the diagnostic directory; nothing is sent. Fetch it by SFTP and give it to " +
			"the support.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, caller menu.Caller, _ supportrequestArgs, q *menu.Question) error {
			if q.Name == "files" {
				return reports.ChooseFiles(s, caller, q)
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a supportrequestArgs, name string) error {
			long := map[string]bool{"casenumber": len(a.CaseNumber) > maxCaseText,
				"contact": len(a.Contact) > maxCaseText, "description": len(a.Description) > maxDescription}
			if long[name] {
				return menu.BadArgument(name, "%s is too long", name).
					WithHint("A line has at most %d bytes, the description %d", maxCaseText, maxDescription)
			}
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a supportrequestArgs, out *menu.Out[access.Report]) error {
			request := access.ReportRequest{Case: a.CaseNumber, Contact: a.Contact,
				Description: string(a.Description), Files: a.Files}
			return reports.Create(ctx, s, caller, request, out)
		},
		Text: func(w io.Writer, r access.Report) { reports.Made(w, r) },
	}.Command()
}
