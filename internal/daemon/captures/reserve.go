package captures

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
)

// reserve takes a name for a capture and writes that it is about to run. So its file is known even
// if the appliance dies in the next moment. The caller ends the task that this adds to t.tasks.
func (t *Table) reserve(spec capture.Spec, caller menu.Caller, expression string, interfaces []capture.Interface) (
	*entry, error) {
	spec.Format = spec.FileFormat(len(interfaces))
	r := &entry{Payload: !spec.HeadersOnly, busy: true, Spec: spec, Status: spec.Status()}
	s := &r.Status
	s.State, s.EffectiveFilter, s.StartTime, s.Owner = capture.Running, expression, time.Now(), caller.User
	s.Interfaces = nil
	for _, i := range interfaces {
		s.Interfaces = append(s.Interfaces, i.Name)
	}
	if err := t.add(r); err != nil {
		return nil, err
	}
	if err := t.save(); err != nil {
		t.drop(r)
		t.tasks.Done()
		return nil, err
	}
	return r, nil
}

// add puts a capture into the table, with a name and a name for its file.
func (t *Table) add(r *entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.mayRun(); err != nil {
		return err
	}
	s := &r.Status
	if s.Name == "" {
		s.Name = t.nextName()
	} else if _, taken := t.find(s.Name); taken {
		return &menu.Error{Code: menu.State, Argument: "name", Message: "There is a capture " + s.Name + " already",
			Hint: "Choose another name, or delete that one"}
	}
	r.Spec.Name = s.Name
	r.File = t.freeFileName(t.settings.Hostname(), s.Name, s.StartTime, s.Format)
	t.entries = append(t.entries, r)
	t.tasks.Add(1)
	t.tell.Changed(s.Name)
	return nil
}

// mayRun returns an error for users unless one more capture may run. Called with the lock held.
func (t *Table) mayRun() error {
	if t.closed {
		return menu.Errorf(menu.State, "The appliance is stopping")
	}
	running := 0
	for _, other := range t.entries {
		if !other.ended() {
			running++
		}
	}
	if running >= t.settings.CaptureRules().Running {
		return menu.Errorf(menu.State, "%d captures are running, which is the most", running).
			WithHint("Stop one of them first")
	}
	return nil
}

// drop takes a capture out of the table.
func (t *Table) drop(r *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = slices.DeleteFunc(t.entries, func(other *entry) bool { return other == r })
	t.rest(r)
	t.tell.Changed(r.Status.Name)
}

// nextName returns capture-N, with the number after the highest in the table. Called with the lock
// held.
func (t *Table) nextName() string {
	const prefix = "capture-"
	highest := 0
	for _, r := range t.entries {
		if digits, ok := strings.CutPrefix(r.Status.Name, prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > highest && n < 1<<30 {
				highest = n
			}
		}
	}
	return prefix + strconv.Itoa(highest+1)
}

// freeFileName returns HOST-NAME-YYYYMMDD-HHMMSS, in UTC, with the extension of the format. If a
// file of that name exists, it takes the next free second: a number after the name would make the
// file a part of the other capture. Called with the lock held.
func (t *Table) freeFileName(host, name string, now time.Time, format capture.Format) string {
	for {
		file := host + "-" + name + "-" + now.UTC().Format("20060102-150405") + format.Extension()
		if !t.taken(file) {
			return file
		}
		now = now.Add(time.Second)
	}
}

// taken reports whether a file, finished or being written, or a capture has this file name. Called
// with the lock held.
func (t *Table) taken(file string) bool {
	for _, name := range append(beside.Names(file), file, capture.NumberedName(file, 1)) {
		for _, name := range []string{name, capture.PartName(name)} {
			if _, err := t.root.Lstat(name); err == nil {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.entries, func(r *entry) bool { return r.File == file })
}
