package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/menu"
)

// needed returns the files of captures whose reports are due or are being made. Until then no other
// capture takes their place on the disk.
func (r *Room) needed() (names []string) {
	for _, s := range r.Captures() {
		switch s.ReportState {
		case "":
			if !s.Report { // else it ended before its job was noted
				continue
			}
		case capture.ReportMade, capture.ReportFailed:
			continue
		}
		names = append(names, s.FileNames()...)
	}
	return names
}

// makeReports makes the reports that are due, one after the other.
func (r *Room) makeReports() {
	for j, s := range r.look() {
		if r.ctx.Err() != nil || r.boundaryOf() == nil {
			return
		}
		if r.ended(s) {
			r.makeIfDue(j, s)
		}
	}
}

// makeIfDue makes the report of a job that is due. One that is being made for a user is not, nor that
// of a capture that was deleted meanwhile; one that a death of the appliance left half made is.
func (r *Room) makeIfDue(j *job, s capture.Status) {
	if r.occupy(r.ctx) != nil {
		return
	}
	defer r.release()
	r.mu.Lock()
	due := (j.Report == capture.ReportWaits || j.Report == capture.ReportMaking) && j.Read && slices.Contains(r.jobs, j)
	r.mu.Unlock()
	if !due {
		return
	}
	caller, err := r.callerOf(j)
	var report access.Report
	if err == nil {
		report, err = r.makeReport(r.ctx, caller, j, s, func(string) {})
	} else {
		r.failed(j, err)
	}
	switch {
	case r.ctx.Err() != nil: // the next start makes it
	case err != nil:
		r.o.System(s.Name, "The report of the capture "+s.Name+" could not be made: "+sentence(err), nil)
	default:
		r.o.System(s.Name, "The report of the capture "+s.Name+" was made", map[string]string{"file": report.Name})
	}
}

// occupy waits until no report is being made. Who got no error calls release.
func (r *Room) occupy(ctx context.Context) error {
	select {
	case r.making <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Room) release() { <-r.making }

// ReportCapture makes the report of a capture that has ended, for the caller. A capture that no
// report was asked for has no tables of its beginning.
func (r *Room) ReportCapture(ctx context.Context, caller menu.Caller, name string, progress func(string)) (access.Report, error) {
	s, err := r.o.Captures.Capture(name)
	if err != nil {
		return access.Report{}, err
	}
	if !r.ended(s) {
		return access.Report{}, &menu.Error{Code: menu.State, Argument: "name",
			Message: "The capture " + menu.Quoted(name) + " has not ended", Hint: "Stop it first, or begin it with report yes"}
	}
	r.look()
	j, err := r.whenRead(ctx, name)
	if err != nil {
		return access.Report{}, err
	}
	if j == nil {
		j = &job{Capture: name, Caller: ownerOf(caller), Begun: s.StartTime, Folder: "none", Read: true}
		if err := r.begin(j, s); err != nil {
			return access.Report{}, menu.Failing("make the report", err)
		}
	}
	if err := r.occupy(ctx); err != nil {
		return access.Report{}, err
	}
	defer r.release()
	return r.makeReport(ctx, caller, j, s, progress)
}

// whenRead returns the job of a capture that has ended when its tables are read, nil if it has none.
func (r *Room) whenRead(ctx context.Context, name string) (*job, error) {
	r.wake()
	for {
		next := r.changed.Next()
		r.mu.Lock()
		j := r.find(name)
		done := j == nil || j.Read
		r.mu.Unlock()
		if done {
			return j, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ctx.Done():
			return nil, menu.Errorf(menu.State, "The appliance is being stopped")
		}
	}
}

// makeReport makes the report of a job. Called when no other one is being made. A user who
// interrupts it changes nothing of what is known of an earlier one, or of one that is due.
func (r *Room) makeReport(ctx context.Context, caller menu.Caller, j *job, s capture.Status, progress func(string)) (access.Report, error) {
	r.mu.Lock()
	before, reason := j.Report, j.ReportError
	r.mu.Unlock()
	r.change(j, func() { j.Report, j.ReportError = capture.ReportMaking, "" })
	b := r.bundle(ctx, caller, j, s)
	report, err := r.o.Reports.CreateBundle(ctx, caller, b, progress)
	switch {
	case r.ctx.Err() != nil:
	case err != nil && ctx.Err() != nil:
		r.change(j, func() { j.Report, j.ReportError = before, reason })
		r.wakeMaker()
	case err != nil:
		r.failed(j, err)
	default:
		r.change(j, func() { j.Report, j.ReportFile = capture.ReportMade, report.Name })
	}
	return report, err
}

// failed notes that there is no report, and why.
func (r *Room) failed(j *job, err error) {
	r.change(j, func() { j.Report, j.ReportError = capture.ReportFailed, sentence(err) })
}

// Stem returns what the names of all files of a capture begin with.
func Stem(s capture.Status) string {
	if len(s.Files) == 0 {
		return s.Name + s.StartTime.UTC().Format("-20060102-150405")
	}
	stem := strings.TrimSuffix(s.Files[0].Name, path.Ext(s.Files[0].Name))
	if s.Mode == capture.Ring || s.Mode == capture.Circular {
		if i := strings.LastIndexByte(stem, '-'); i > 0 {
			stem = stem[:i]
		}
	}
	return stem
}

// besideNotes say what the files beside a capture are, by their kinds.
var besideNotes = map[string]string{
	"flows": "which process was at an end of each conversation, and when; a line of JSON each",
	"drops": "packets that the kernel dropped meanwhile, with the reasons as comments",
}

// bundle says what is in the report of a capture.
func (r *Room) bundle(ctx context.Context, caller menu.Caller, j *job, s capture.Status) reports.Bundle {
	stem := Stem(s)
	b := reports.Bundle{Stem: stem + "-report", Title: "Capture " + s.Name, Case: s.CaseNumber, Description: s.Comment, Rows: [][2]string{
		{"Began", menu.UTC(s.StartTime)}, {"Ended", menu.UTC(s.EndTime)}, {"Why it ended", s.StopReason.Text()}, {"By", s.Owner},
		{"Interfaces", strings.Join(s.Interfaces, ", ")}, {"Filter", s.Filter}, {"Scenario", s.Scenario}, {"Case", s.CaseNumber}, {"Comment", s.Comment},
		{"Packets", fmt.Sprint(s.PacketsWritten)}, {"Not done", strings.Join(r.remarks(j), ". ")},
	}}
	packets := reports.Section{Title: "Packets", Note: "Wireshark opens these files."}
	for _, f := range s.Files {
		packets.Members = append(packets.Members, reports.Member{Name: "packets/" + f.Name, File: f.Name,
			Note: fmt.Sprintf("%d packets, %s", f.Packets, menu.Size(f.Bytes))})
	}
	if s.FilesRemoved > 0 {
		packets.Note += fmt.Sprintf(" %d older files were deleted to make room for newer ones.", s.FilesRemoved)
	}
	for _, f := range s.FilesBeside {
		note := besideNotes[f.Kind]
		if f.Stopped != "" {
			note += "; it ended before the capture: " + f.Stopped
		}
		packets.Members = append(packets.Members, reports.Member{Name: "packets/" + f.Name, File: f.Name, Note: note})
	}
	b.Sections = append(b.Sections, packets, r.overview(ctx, caller, s))
	if log := r.portLog(caller, s); len(log.Members) > 0 || j.PortLog {
		b.Sections = append(b.Sections, log)
	}
	r.mu.Lock()
	before, after := slices.Clone(j.Before), slices.Clone(j.After)
	r.mu.Unlock()
	if len(before)+len(after) > 0 {
		b.Sections = append(b.Sections, r.differences(j, before, after), r.tables(j, "Tables when it began", before), r.tables(j, "Tables after its end", after))
	}
	return b
}

func (r *Room) remarks(j *job) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(j.Remarks)
}

// overview has the status of a capture and what its packets are, as commands say it.
func (r *Room) overview(ctx context.Context, caller menu.Caller, s capture.Status) reports.Section {
	section := reports.Section{Title: "Overview"}
	for _, c := range []struct{ name, title, line string }{
		{"status", "Status of the capture", "packetcapture status " + s.Name + " detail yes"},
		{"summary", "Summary of the packets", "packetcapture summary " + s.Name},
		{"conversations", "Conversations", "packetcapture flows " + s.Name + " count 1000"},
	} {
		kept := &keeper{}
		one, cancel := context.WithTimeout(ctx, tableTime)
		role, err := r.boundaryOf().RunLineWithin(one, caller, c.line, kept)
		cancel()
		if err != nil && kept.text.Len() == 0 && kept.records == 0 {
			section.Members = append(section.Members, reports.Member{Title: c.title, Note: sentence(err)})
			continue
		}
		text := []byte(menu.CleanLines(kept.text.String()))
		section.Members = append(section.Members, content(c.name+".txt", c.title, c.line, role, text), content(c.name+".json", c.title+", JSON", c.line, role, kept.all()))
	}
	return section
}

// content is a member whose content is there.
func content(name, title, note string, role menu.Role, text []byte) reports.Member {
	return reports.Member{Name: name, Title: title, Note: note, Role: role, Open: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
	}}
}

// tables are what the tables said at one moment.
func (r *Room) tables(j *job, title string, list []reading) reports.Section {
	section := reports.Section{Title: title}
	if len(list) == 0 {
		section.Note = "They were not read: nobody asked for them, or the capture had ended before it was possible."
	}
	for _, one := range list {
		note := fmt.Sprintf("%s; %s", one.Line, one.Time.Format("15:04:05.000"))
		if one.Reason != "" {
			note += "; " + one.Reason
		}
		if one.Text == "" && one.Data == "" {
			section.Members = append(section.Members, reports.Member{Title: one.Title, Note: cmp.Or(one.Reason, "it said nothing")})
		}
		for _, f := range []struct{ name, title string }{{one.Text, one.Title}, {one.Data, one.Title + ", JSON"}} {
			if f.name != "" {
				section.Members = append(section.Members, reports.Member{Name: titled(f.name, one.Title), Title: f.title, Note: note, Role: one.Role,
					Open: func() (io.ReadCloser, int64, error) { return r.openSized(j, f.name) }})
			}
		}
	}
	return section
}

// titled is the name of a file of a table, 01.txt, with its title in it.
func titled(name, title string) string {
	word := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, title)
	end := path.Ext(name)
	return strings.TrimSuffix(name, end) + "-" + word[:min(len(word), 60)] + end
}

// openSized opens what a table said, with its size.
func (r *Room) openSized(j *job, name string) (io.ReadCloser, int64, error) {
	f, err := r.open(j, name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
