// Package captures writes captures as the screen shows them. packetcapture and diagnostic > network
// > tcpdump share it: both show the same table of captures.
package captures

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Status writes everything about one capture.
func Status(w io.Writer, s capture.Status) {
	line := func(label, format string, arguments ...any) { fold(w, label, indent, format, arguments...) }
	line("Capture:", "%s, %s", s.Name, State(s))
	if s.Error != "" {
		line("Error:", "%s", s.Error)
	}
	if s.StartTime.IsZero() {
		line("Planned:", "%s by %s", menu.UTC(s.Start), s.Owner)
	} else {
		line("Started:", "%s by %s", menu.UTC(s.StartTime), s.Owner)
	}
	switch {
	case s.EndTime.IsZero():
	case s.StartTime.IsZero(): // it was planned, and did not begin
		line("Ended:", "%s", menu.UTC(s.EndTime))
	default:
		line("Ended:", "%s, after %s", menu.UTC(s.EndTime),
			menu.FormatDuration(s.EndTime.Sub(s.StartTime).Truncate(time.Second)))
	}
	writtenFiles(w, s)
	line("Packets:", "%s", Packets(s))
	if !s.StartTime.IsZero() && s.PacketsSeen != nil {
		line("On the wire:", "%d packets in and out meanwhile, before the filter", *s.PacketsSeen)
	}
	if s.PacketsNotShown > 0 {
		line("Not shown:", "%d packets to those who watched, too slowly; they are in the file", s.PacketsNotShown)
	}
	if s.FilesRemoved > 0 {
		line("Removed:", "%s (%s, %d packets), to make room for newer ones", Count(int(s.FilesRemoved), "file"),
			Bytes(s.BytesRemoved), s.PacketsRemoved)
	}
	if s.FilesAwaitingExport > 0 {
		line("Copies:", "%s to be copied; none is deleted before", wait(s.FilesAwaitingExport))
	}
	if s.FilesFailedExport > 0 {
		line("Not copied:", "%s", Count(int(s.FilesFailedExport), "file"))
	}
	if s.ExportError != "" {
		line("Copy failed:", "%s", menu.Clean(s.ExportError))
	}
	line("Limits:", "%s", Limits(s.Limits))
	line("Interfaces:", "%s", strings.Join(s.Interfaces, ", "))
	for i, l := range s.InterfacesLeftOut {
		label := "Left out:"
		if i > 0 {
			label = ""
		}
		line(label, "%s (%s)", menu.Clean(l.Interface), menu.Clean(l.Reason))
	}
	if s.SnapLength > 0 && s.SnapLength < capture.MaxSnapLength {
		line("Snap length:", "%d bytes of each packet", s.SnapLength)
	}
	extras(w, s)
	line("Filter:", "%s", Filter(s.Filter))
	filters(w, s)
	line("Management:", "%s", management(s.Management))
	if s.Azure != nil {
		line("Azure:", "%s", menu.Clean(s.Azure.ID))
	}
}

// writtenFiles writes the files of a capture, and those beside them.
func writtenFiles(w io.Writer, s capture.Status) {
	for i, f := range s.Files {
		label := "File:"
		if i > 0 {
			label = ""
		}
		note := ""
		if s.State == capture.Running && i == len(s.Files)-1 {
			note = ", open"
		}
		fold(w, label, indent, "%s (%s, %s%s)", f.Name, Bytes(f.Bytes), Count(int(f.Packets), "packet"), note)
	}
	for i, f := range s.FilesBeside {
		label, stopped := "Beside it:", ""
		if i > 0 {
			label = ""
		}
		if f.Stopped != "" {
			stopped = "; it ended before the capture: " + menu.Clean(f.Stopped)
		}
		fold(w, label, indent, "%s (%s)%s", f.Name, Bytes(f.Bytes), stopped)
	}
}

// management returns in a word or two what happens to the packets of management sessions.
func management(kept bool) string {
	if kept {
		return "kept"
	}
	return "left out"
}

// EffectiveFilter returns the filter that the kernel runs for a capture: with addresses for host
// names, and with the part that leaves management sessions out.
func EffectiveFilter(s capture.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The filter of %s in full:\n", s.Name)
	fold(&b, "", indent, "%s", Filter(s.EffectiveFilter))
	return b.String()
}

// Whereabouts returns where the file of a running capture will be, and when.
func Whereabouts(s capture.Status) string {
	if s.Mode == capture.Circular || s.Mode == capture.Ring {
		return "Each file is in /diagnostic (SFTP, SCP) when it is full; show sees it now.\n"
	}
	return "Its file is in /diagnostic (SFTP, SCP) when it ends; show and watch see it now.\n"
}

// LeftOut returns which interfaces a filter cannot be applied to, in words; "" if there are none.
func LeftOut(list []capture.LeftOut) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "Left out: %s (%s).\n", menu.Clean(l.Interface), menu.Clean(l.Reason))
	}
	return b.String()
}

// wait returns how many files wait, in words.
func wait(files int64) string {
	if files == 1 {
		return "1 file waits"
	}
	return fmt.Sprintf("%d files wait", files)
}

// Packets returns the counters in a line, as numbers that add up. Packets that matched the filter
// were received or dropped. The received ones were written, except those that the rest of the line
// counts.
func Packets(s capture.Status) string {
	text := fmt.Sprintf("%d received, %d written, ", s.PacketsReceived, s.PacketsWritten)
	switch dropped := s.PacketsDropped; {
	case dropped == nil:
		text += "it is not known how many the kernel dropped"
	case *dropped > 0:
		text = fmt.Sprintf("%d matched, %s%d dropped by the kernel", *s.PacketsMatched, text, *dropped)
	default:
		text += fmt.Sprintf("%d dropped by the kernel", *dropped)
	}
	if s.PacketsDiscarded > 0 {
		text += fmt.Sprintf(", %d discarded because the disk took no more", s.PacketsDiscarded)
	}
	if s.PacketsBehindLimit > 0 {
		text += fmt.Sprintf(", %d after the limit", s.PacketsBehindLimit)
	}
	return text
}

// extras writes what few captures have.
func extras(w io.Writer, s capture.Status) {
	line := func(is bool, label, format string, arguments ...any) {
		if is {
			fold(w, label+":", indent, format, arguments...)
		}
	}
	line(s.Mode != "" && s.Mode != capture.Single, "Mode", "%s", mode(s))
	line(s.Process != "", "Process", "%s", process(s))
	line(s.HeadersOnly, "Contents", "headers only")
	line(s.Direction == capture.In, "Direction", "packets that come in")
	line(s.Direction == capture.Out, "Direction", "packets that go out")
	line(!s.Promiscuous, "Promiscuous", "no")
	line(s.OnInterfaceGone == capture.GoneWaits, "Interface", "when one is removed the capture waits for it")
	line(s.Precision == capture.Microsecond, "Precision", "microseconds")
	line(s.Processes, "Processes", "kept beside the file; show, summary and watch name them")
	for _, sentence := range blind(s) {
		line(true, "Not seen", "%s", menu.Clean(sentence))
	}
	line(s.Persistent, "Persistent", "resumes when the appliance starts again")
	line(s.Drops, "Drops", "%s", drops(s))
	line(s.Protect, "Protected", "the files are not deleted to make room")
	line(s.Scenario != "", "Scenario", "%s", s.Scenario)
	line(s.Report, "Report", "%s", reportState(s))
	line(!s.Report && s.ReportState != "", "Report", "%s", reportState(s))
	for _, remark := range s.Remarks {
		line(true, "Note", "%s", menu.Clean(remark))
	}
	line(s.Target != "", "Copied to", "%s%s", s.Target, place(s.TargetPath))
	line(s.Rings > 1, "Rings", "%d for each interface", s.Rings)
	line(len(s.CPUs) > 0, "CPUs", "%s", strings.Trim(fmt.Sprint(s.CPUs), "[]"))
	line(s.CaseNumber != "", "Case", "%s%s", s.CaseNumber, notInFile(s, "caseNumber"))
	line(s.Comment != "", "Comment", "%s%s", s.Comment, notInFile(s, "comment"))
}

// place returns where at a target a file goes, "" if its name says it.
func place(path string) string {
	if path == "" {
		return ""
	}
	return " as " + path
}

// reportState returns how far the report of a capture is, in words.
func reportState(s capture.Status) string {
	switch s.ReportState {
	case capture.ReportMade:
		return s.ReportFile
	case capture.ReportMaking:
		return "being made"
	case capture.ReportFailed:
		return "none: " + menu.Clean(s.ReportError)
	}
	return "made when the capture ends"
}

// process returns whose packets a capture takes, and how many processes that are.
func process(s capture.Status) string {
	text := menu.Clean(s.Process) + " and what it starts"
	switch n := s.ProcessesFollowed; {
	case n == nil:
	case *n == 0:
		text += "; none runs, it is waited for"
	case *n == 1:
		text += "; 1 process now"
	default:
		text += fmt.Sprintf("; %d processes now", *n)
	}
	if n := s.ProcessesNoRoom; n > 0 {
		text += fmt.Sprintf("; packets are missing: no room in the kernel for %d of its processes, sockets and ports", n)
	}
	return text
}

// blind returns what the processes of a capture are not known for, a sentence each.
func blind(s capture.Status) (list []string) {
	for _, f := range s.FilesBeside {
		list = append(list, f.Blind...)
	}
	return list
}

// Unseen says what the processes of a capture that began are not known for, "" if they are for all.
func Unseen(s capture.Status) string {
	list := blind(s)
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	fold(&b, "Not seen:", indent, "%s", menu.Clean(list[0]))
	if len(list) > 1 {
		b.WriteString("Its status says what else is not seen of processes.\n")
	}
	return b.String()
}

// Awaited says that the process of a capture does not run yet, "" if it does.
func Awaited(s capture.Status) string {
	if n := s.ProcessesFollowed; n == nil || *n > 0 {
		return ""
	}
	return "No process " + menu.Clean(s.Process) + " runs: the capture takes its packets from its start on.\n"
}

// notInFile returns the remark after a text that the file does not contain, or "".
func notInFile(s capture.Status, member string) string {
	if !slices.Contains(s.NotInFile, member) {
		return ""
	}
	return fmt.Sprintf(" (not in the file: %s has no place for it)", s.Format)
}

// mode returns in words how the capture spreads over files.
func mode(s capture.Status) string {
	if s.Mode != capture.Ring {
		return string(s.Mode)
	}
	var parts []string
	if n := s.Rotation.FileBytes; n > 0 {
		parts = append(parts, "a file every "+Bytes(n))
	}
	if n := s.Rotation.FileSeconds; n > 0 {
		parts = append(parts, "a file every "+menu.FormatDuration(time.Duration(n)*time.Second))
	}
	kept := "all kept"
	if n := s.Rotation.KeepFiles; n > 0 {
		kept = fmt.Sprintf("the last %d kept", n)
	}
	return "ring, " + strings.Join(append(parts, kept), ", ")
}

// Statuses writes several captures with a blank line between them.
func Statuses(w io.Writer, list []capture.Status) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There is no capture.")
	}
	for i, s := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		Status(w, s)
	}
}

// Table writes one line for each capture.
func Table(w io.Writer, list []capture.Status) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There is no capture.")
		return
	}
	rows := [][]string{{"NAME", "STATE", "STARTED (UTC)", "PACKETS", "SIZE", "OWNER"}}
	for _, s := range list {
		started := "-"
		if !s.StartTime.IsZero() {
			started = s.StartTime.UTC().Format("2006-01-02 15:04")
		}
		rows = append(rows, []string{s.Name, inAWord(s), started, fmt.Sprint(s.PacketsWritten),
			Bytes(s.BytesWritten) + besides(s), s.Owner})
	}
	fitted(w, rows, "OWNER", "STARTED (UTC)", "SIZE")
}

// besides returns for a table which files there are beside those of packets, or "".
func besides(s capture.Status) (text string) {
	for _, f := range s.FilesBeside {
		text += " +" + f.Kind
	}
	return text
}

// inAWord returns the state of a capture for a table: for how long it runs, or why it ended.
func inAWord(s capture.Status) string {
	switch {
	case s.State == capture.NotStarted:
		return "planned"
	case s.State == capture.Running || s.StopReason == "":
		return State(s)
	}
	return reason(s.StopReason)
}

// Brief writes the Status of a menu: the captures that run, and the settings.
func Brief(w io.Writer, list []capture.Status, settings capture.Settings) {
	running := 0
	for _, s := range list {
		if s.State != capture.Running {
			continue
		}
		running++
		fold(w, "Capture:", briefly, "%s, %s (%s, %s)", s.Name, State(s), Bytes(s.BytesWritten),
			Count(int(s.PacketsWritten), "packet"))
	}
	if running == 0 {
		last := ""
		planned := ""
		for _, s := range list {
			switch {
			case s.State == capture.NotStarted:
				planned += fmt.Sprintf("; %s %s", s.Name, State(s))
			case last == "":
				last = fmt.Sprintf("; last: %s, %s", s.Name, State(s))
			}
		}
		fold(w, "Capture:", briefly, "none running%s%s", last, planned)
	}
	only := ""
	if len(settings.Filters) > 0 {
		only += " | filters " + menu.Clean(settings.Filters.String())
	}
	if settings.Process != "" {
		only += " | process\u00a0" + unbroken(menu.Clean(settings.Process))
	}
	if settings.Scenario != "" {
		only += " | scenario\u00a0" + settings.Scenario
	}
	fold(w, "Settings:", briefly, "filter %s | interfaces %s%s | %s | management\u00a0%s", Filter(settings.Filter),
		strings.Join(settings.Interfaces, ", "), only, unbroken(Limits(settings.Limits)),
		unbroken(management(settings.Management)))
}

// State returns for how long a capture runs, or why it ended.
func State(s capture.Status) string {
	switch s.State {
	case capture.NotStarted:
		return "begins at " + menu.UTC(s.Start)
	case capture.Running:
		return "running " + menu.FormatDuration(time.Since(s.StartTime).Truncate(time.Second))
	case capture.Stopped, capture.Error:
		if s.StopReason == capture.StoppedByUser {
			return reason(s.StopReason)
		}
		if s.StopReason != "" {
			return strings.ToLower(string(s.State)) + " (" + reason(s.StopReason) + ")"
		}
	}
	return strings.ToLower(string(s.State))
}

// reason returns a StopReason in words: StoppedByUser as "stopped by user".
func reason(r capture.StopReason) string {
	var b strings.Builder
	for i, c := range string(r) {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	return b.String()
}

// Filter returns a filter as it is shown, "none" if it is empty.
func Filter(expression string) string {
	if expression == "" {
		return "none"
	}
	return menu.Clean(expression)
}

// Limits returns limits in words.
func Limits(l capture.Limits) string {
	var parts []string
	if l.SizeBytes > 0 {
		parts = append(parts, "size "+menu.Size(l.SizeBytes).String())
	} else {
		parts = append(parts, "size unlimited")
	}
	if l.DurationSeconds > 0 {
		parts = append(parts, "duration "+menu.FormatDuration(time.Duration(l.DurationSeconds)*time.Second))
	}
	if l.Packets > 0 {
		parts = append(parts, fmt.Sprintf("%d packets", l.Packets))
	}
	if l.Files > 0 {
		parts = append(parts, Count(int(l.Files), "file"))
	}
	return strings.Join(parts, ", ")
}

// Bytes returns a size in the largest fitting unit: 118 KB.
func Bytes(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if n >= 10*u.bytes {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
