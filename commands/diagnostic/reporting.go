package diagnostic

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/reports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// reporting returns diagnostic > reporting: bundles for a support engineer.
func reporting(s reports.Service) *menu.Menu {
	return &menu.Menu{
		Name: "reporting",
		Help: "Reporting Utilities.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			reports.Table(w, s.Reports())
			return nil
		},
		Items: []menu.Item{
			reportNew(s),
			reportList(s),
			reportDelete(s),
		},
	}
}

type reportNewArgs struct {
	Files []string `arg:"files" ask:"Captures to put into the report, names or numbers separated by commas" help:"Files of the diagnostic directory, separated by commas, or NONE."`
}

func reportNew(s reports.Service) *menu.Command {
	return menu.Decl[reportNewArgs, access.Report]{
		Name: "new",
		Help: "Make a report: network, services, configuration and logs in one file.",
		Details: "The file is a .tar.gz with an index.html to begin with; SFTP fetches it. What your role may not " +
			"see is left out. It holds no secrets of the configuration.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "POST", Path: "reports", Status: 201, Location: "files/{name}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, caller menu.Caller, _ reportNewArgs, q *menu.Question) error {
			return reports.ChooseFiles(s, caller, q)
		},
		Run: func(ctx context.Context, caller menu.Caller, a reportNewArgs, out *menu.Out[access.Report]) error {
			return reports.Create(ctx, s, caller, access.ReportRequest{Files: a.Files}, out)
		},
		Text: reports.Made,
	}.Command()
}

func reportList(s reports.Service) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Report]{
		Name:      "list",
		Help:      "List the reports.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "reports", List: "reports", Key: "name"}, {Method: "GET", Path: "reports/{name}", Key: "name", Pick: true, Help: "Show one report."}},
		Topic:     "reports",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.Report]) error {
			return out.Records(s.Reports())
		},
		TextTable: reports.Table,
	}.Command()
}

type reportDeleteArgs struct {
	Name    string       `arg:"name,positional:1,required" ask:"Report to delete, or ALL" help:"File name of the report, or ALL of them."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it?" help:"Say yes: the file is removed."`
}

func reportDelete(s reports.Service) *menu.Command {
	return menu.Decl[reportDeleteArgs, access.Report]{
		Name:      "delete",
		Help:      "Delete reports.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "reports/{name}", Status: 204}},
		Hidden:    func(context.Context) bool { return len(s.Reports()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, a reportDeleteArgs, q *menu.Question) error {
			if q.Name == "confirm" {
				chosen, err := reportsNamed(s, a.Name)
				q.Text = fmt.Sprintf("Delete %s?", a.Name)
				if len(chosen) > 1 {
					q.Text = fmt.Sprintf("Delete %d reports?", len(chosen))
				}
				return err
			}
			for _, r := range s.Reports() {
				q.Choices = append(q.Choices, menu.Choice{Value: r.Name})
			}
			q.Choices = append(q.Choices, menu.Choice{Value: allReports, Label: "ALL reports", AnyCase: true})
			q.Open = true
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a reportDeleteArgs, out *menu.Out[access.Report]) error {
			chosen, err := reportsNamed(s, a.Name)
			if err != nil {
				return err
			}
			for _, report := range chosen {
				if err := s.DeleteReport(caller, report.Name); err != nil {
					return err
				}
				if err := out.Record(report); err != nil {
					return err
				}
			}
			return nil
		},
		Text: func(w io.Writer, r access.Report) { fmt.Fprintf(w, "%s was deleted.\n", r.Name) },
	}.Command()
}

// allReports is the name that means every report.
const allReports = "ALL"

func reportsNamed(s reports.Service, name string) ([]access.Report, error) {
	list := s.Reports()
	if name == allReports {
		return list, nil
	}
	for _, r := range list {
		if r.Name == name {
			return []access.Report{r}, nil
		}
	}
	return nil, &menu.Error{Code: menu.NotFound, Argument: "name",
		Message: fmt.Sprintf("There is no report %q", menu.Clean(name))}
}
