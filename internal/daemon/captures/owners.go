package captures

import (
	"errors"

	"diagsh/capture/owners"
	"diagsh/capture/replay"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
)

// Owners returns who had the conversations of a capture, by its name or that of one of its files. It
// is nil if nobody kept that. Of a capture that runs it has what is on the disk so far.
func (t *Table) Owners(name string) (*owners.Table, error) {
	file, ok := t.flowsOf(name)
	if !ok {
		return nil, nil
	}
	f, err := t.openWritten(file)
	var missing *menu.Error
	switch {
	case errors.Is(err, replay.ErrEmpty), errors.As(err, &missing) && missing.Code == menu.NotFound:
		return nil, nil // it was deleted, or nothing is in it yet
	case err != nil:
		return nil, err
	}
	defer f.Close()
	table, err := t.flowReader.Read(f)
	if err != nil {
		return nil, menu.Failing("read the table of flows", err)
	}
	return table, nil
}

// flowsOf returns the name of the table of flows beside the capture of a name, or of a file's name.
func (t *Table) flowsOf(name string) (file string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if r.Status.Name == name && !r.Forgotten || r.has(name) {
			return beside.Name(r.File, beside.Flows), r.Spec.Processes
		}
	}
	return "", false
}

// flowsRevision returns what tells one state of the table of flows of a file from another, "" if it
// has none.
func (t *Table) flowsRevision(file string) string {
	flows, ok := t.flowsOf(file)
	if !ok {
		return ""
	}
	info, err := t.root.Lstat(flows)
	if err != nil {
		return ""
	}
	return beside.Revision(info)
}

// LiveOwners returns a table of who has conversations from now on, until stop is called.
func (t *Table) LiveOwners() (*owners.Table, func(), error) {
	table, stop, err := t.liveOwners()
	if err != nil {
		return nil, nil, menu.Failing("watch the sockets", err)
	}
	return table, stop, nil
}
