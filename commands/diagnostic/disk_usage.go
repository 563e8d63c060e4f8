package diagnostic

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/diag/disks"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A usageService knows what is in the diagnostic directory.
type usageService interface {
	DirectoryUse() (access.DiskUse, error)
}

type diskUsageArgs struct {
	Files int `arg:"files" default:"10" min:"0" max:"1000" help:"Number of largest files to show."`
}

// A diskUsage is all that the command shows.
type diskUsage struct {
	FileSystems []disks.FileSystem `json:"fileSystems"`
	Diagnostic  access.DiskUse     `json:"diagnosticDirectory"`
}

// diskUsageCommand returns diagnostic > disk_usage.
func diskUsageCommand(s usageService) *menu.Command {
	return menu.Decl[diskUsageArgs, diskUsage]{
		Name:    "disk_usage",
		Help:    "Check Disk Usage.",
		Details: "Captures end before less of the disk is free than the reserve.",
		Role:    menu.ReadOnly,
		Shows:   true,
		Shape:   menu.Object,
		Run: func(ctx context.Context, _ menu.Caller, a diskUsageArgs, out *menu.Out[diskUsage]) error {
			list, err := disks.List(ctx)
			if err != nil {
				return err
			}
			usage, err := s.DirectoryUse()
			if err != nil {
				return err
			}
			usage.Largest = usage.Largest[:min(a.Files, len(usage.Largest))]
			return out.Record(diskUsage{list, usage})
		},
		Text: diskUsageText,
	}.Command()
}

func diskUsageText(w io.Writer, u diskUsage) {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "Size\tUsed\tAvail\tUse%\tInodes\t  Mounted on (device, type)")
	for _, f := range u.FileSystems {
		what := fmt.Sprintf("  %s (%s, %s)", menu.Clean(f.Mount), menu.Clean(f.Device), menu.Clean(f.Type))
		if f.ReadOnly {
			what += " read-only"
		}
		if f.Unreachable {
			fmt.Fprintf(t, "-\t-\t-\t-\t-\t%s does not answer\n", what)
			continue
		}
		inodes := "-"
		if f.Inodes > 0 {
			inodes = fmt.Sprintf("%d%%", (f.InodesUsed*100+f.Inodes-1)/f.Inodes)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d%%\t%s\t%s\n", captures.Bytes(int64(f.Bytes)), captures.Bytes(int64(f.Used)),
			captures.Bytes(int64(f.Available)), f.UsedPercent(), inodes, what)
	}
	t.Flush()
	for line := range strings.Lines(table.String()) {
		tables.Line(w, 8, "%s", strings.TrimSuffix(line, "\n"))
	}
	d := u.Diagnostic
	fmt.Fprintf(w, "\nDiagnostic directory: %s, %s\n", captures.Count(d.Files, "file"), captures.Bytes(d.Bytes))
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, k := range d.Kinds {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", k.Kind, captures.Count(k.Files, "file"), captures.Bytes(k.Bytes))
	}
	t.Flush()
	fmt.Fprintf(w, "Its disk: %s free, %s in reserve\n", captures.Bytes(d.FreeBytes), captures.Bytes(d.ReserveBytes))
	if d.QuotaBytes > 0 {
		fmt.Fprintf(w, "Its quota: %s\n", captures.Bytes(d.QuotaBytes))
	}
	if len(d.Largest) == 0 {
		return
	}
	fmt.Fprintln(w, "\nLargest files:")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range d.Largest {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", captures.Bytes(f.Bytes), menu.UTC(f.Modified), f.Name)
	}
	t.Flush()
}
