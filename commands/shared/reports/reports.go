// Package reports makes and shows reports, for the commands that do so.
package reports

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Service makes and keeps reports.
type Service interface {
	CreateReport(ctx context.Context, caller menu.Caller, request access.ReportRequest,
		progress func(string)) (access.Report, error)
	Reports() []access.Report
	DeleteReport(caller menu.Caller, name string) error
	ListFiles() ([]access.File, error)
}

// parts returns the commands whose output is in a report. The report leaves out those that the
// caller's role may not run, and says so.
func parts() []access.ReportPart {
	part := func(title, path string, arguments ...string) access.ReportPart {
		p := access.ReportPart{Title: title, Path: strings.Fields(path), Arguments: map[string]string{}}
		for i := 0; i+1 < len(arguments); i += 2 {
			p.Arguments[arguments[i]] = arguments[i+1]
		}
		return p
	}
	return []access.ReportPart{
		part("Versions", "version"),
		part("Status", "status"),
		part("Active sockets", "netstat sockets", "numeric", "yes", "protocol", "all", "processes",
			"yes", "details", "yes"),
		part("Network interfaces", "netstat interfaces", "bytes", "yes", "dropped", "yes"),
		part("Routing tables", "netstat routes", "numeric", "yes", "tables", "all"),
		part("Listen queues", "netstat queues", "numeric", "yes"),
		part("Packet traffic", "netstat traffic", "every", "1s", "count", "2"),
		part("ARP cache", "diagnostic network arpshow"),
		part("NDP cache", "diagnostic network ndpshow"),
		part("Listening processes", "tcpservices", "udp", "yes"),
		part("Services", "diagnostic services status"),
		part("Disk usage", "diagnostic disk_usage", "files", "50"),
		part("RAID", "diagnostic raid status"),
		part("Captures", "packetcapture list"),
		part("Configuration", "showconfig"),
		part("Commits", "commitdetail"),
		part("Sessions", "who"),
		part("Logins", "last"),
		part("Audit log", "auditlog", "count", "1000"),
		part("Appliance log", "tail", "log", "appliance", "count", "1000", "follow", "no"),
	}
}

// Create makes a report and yields it.
func Create(ctx context.Context, s Service, caller menu.Caller, request access.ReportRequest,
	out *menu.Out[access.Report]) error {
	request.Parts = parts()
	if len(request.Files) == 1 && strings.EqualFold(request.Files[0], none) {
		request.Files = nil
	}
	report, err := s.CreateReport(ctx, caller, request, func(text string) { out.Progress("%s", text) })
	if err != nil {
		return err
	}
	return out.Record(report)
}

// none is the name that means no captures.
const none = "NONE"

// ChooseFiles offers the captures of the diagnostic directory, the newest first.
func ChooseFiles(s Service, caller menu.Caller, q *menu.Question) error {
	list, err := s.ListFiles()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(f access.File) bool { return isReport(f.Name) || f.Payload && !caller.Payload })
	slices.SortStableFunc(list, func(a, b access.File) int { return b.Modified.Compare(a.Modified) })
	q.Skip, q.Default = len(list) == 0, none
	q.Choices = []menu.Choice{{Value: none, Label: "none", AnyCase: true}}
	for _, f := range list {
		q.Choices = append(q.Choices,
			menu.Choice{Value: f.Name, Label: fmt.Sprintf("%s (%s)", f.Name, captures.Bytes(f.Bytes))})
	}
	q.Open = true // for an unknown file Run returns NotFound
	return nil
}

func isReport(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".html")
}

// Made writes the name of a finished report, and what is missing in it.
func Made(w io.Writer, r access.Report) {
	for _, c := range r.Contents {
		if c.Reason != "" && c.Result != menu.Unsupported.String() { // what this machine does not have is not missing
			fmt.Fprintf(w, "Not whole: %s. %s\n", c.Title, c.Reason)
		}
	}
	fmt.Fprintf(w, "The report is in the diagnostic directory, for SFTP: %s (%s)\n", r.Name, captures.Bytes(r.Bytes))
	fmt.Fprintf(w, "Unpack it and open index.html.")
	if r.Role == menu.Administrator {
		fmt.Fprint(w, " It holds the logs, so only administrators can read it.")
	}
	if r.Payload {
		fmt.Fprint(w, " It may hold packet contents.")
	}
	fmt.Fprintln(w)
}

// Table writes reports as a table.
func Table(w io.Writer, list []access.Report) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There are no reports.")
		return
	}
	t := tables.Table{Head: []string{"REPORT", "MADE (UTC)", "BY", "FOR", "CASE", "CAPTURES", "SIZE"},
		Spare: []string{"FOR", "CAPTURES"}}
	for _, r := range list {
		t.Add(r.Name, tables.Whole(r.Time.UTC().Format("2006-01-02 15:04")), r.Owner, string(r.Role),
			menu.Clean(tables.OrDash(r.Case)), strconv.Itoa(len(r.Files)), tables.Whole(captures.Bytes(r.Bytes)))
	}
	t.Write(w)
}
