package captures

import (
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// captureFiles owns the files of the diagnostic directory that are packets, whichever appliance or
// program wrote them.
type captureFiles struct{ table *Table }

var _ files.Owner = captureFiles{}

func (captureFiles) Kind() string { return "captures" }

// Describe implements files.Owner. Only of a file that a capture of headers wrote is it known that
// it holds no packet contents.
func (o captureFiles) Describe() func(string) (files.Facts, bool) {
	headersOnly, flows := o.table.headersOnly(), o.table.flowFiles()
	return func(name string) (files.Facts, bool) {
		if flows[name] {
			return files.Facts{}, true
		}
		ours := headersOnly[name] || strings.HasSuffix(name, ".pcap") || strings.HasSuffix(name, ".pcapng")
		return files.Facts{Payload: !headersOnly[name]}, ours
	}
}

func (o captureFiles) MayRemove(name string) error {
	if o.table.writing(name) {
		return &menu.Error{Code: menu.State, Argument: "file",
			Message: "The file " + name + " is being written by a capture", Hint: "Stop the capture first"}
	}
	return nil
}

func (o captureFiles) Removed(names ...string) {
	o.table.removed(names)
	o.table.saveCaptures()
	o.table.forgetNotes(names...)
	o.table.queue.FilesGone(names...)
}

// Expendable implements files.Owner: the files of captures that have ended, unless they are
// protected or wait for a copy.
func (o captureFiles) Expendable() (list []files.Expendable) {
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if !t.expendable(r) {
			continue
		}
		for _, f := range r.Status.Files {
			list = append(list, files.Expendable{
				Name: f.Name, Of: r.Status.Name, Since: r.Status.EndTime,
				Take: func() bool { return o.take(r, f) },
			})
		}
		for _, f := range r.Status.FilesBeside {
			list = append(list, files.Expendable{
				Name: f.Name, Of: r.Status.Name, Since: r.Status.EndTime,
				Take: func() bool { return t.takeBeside(r, f.Name) },
			})
		}
	}
	return list
}

// take takes an expendable file out of its capture. It reports false if the file went, or became
// needed, since it was listed.
func (o captureFiles) take(r *entry, f capture.FileInfo) bool {
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	known := slices.ContainsFunc(r.Status.Files, func(other capture.FileInfo) bool { return other.Name == f.Name })
	if !known || !t.expendable(r) {
		return false
	}
	t.takeOut(r, f)
	return true
}
