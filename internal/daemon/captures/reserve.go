package captures

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// reserve takes a name and writes down that the capture is about to run, so that its file is known even if the appliance dies in
// the next moment. Whoever reserves ends the task that this adds.
func (t *Table) reserve(spec capture.Spec, caller menu.Caller, expression string, interfaces []capture.Interface) (*entry, error) {
	spec.Format = spec.FileFormat(len(interfaces))
	r := &entry{Payload: !spec.HeadersOnly, busy: true, Spec: spec, Status: spec.Status()}
	s := &r.Status
	s.State, s.EffectiveFilter, s.StartTime, s.Owner, s.Interfaces = capture.Running, expression, time.Now(), caller.User, nil
	for _, i := range interfaces {
		r.Status.Interfaces = append(r.Status.Interfaces, i.Name)
	}
	if err := t.add(r); err != nil {
		return nil, err
	}
	if err := t.keep(); err != nil {
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
	if err := t.room(); err != nil {
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
	t.records = append(t.records, r)
	t.tasks.Add(1)
	return nil
}

// room tells whether one more capture may run.
func (t *Table) room() error {
	if t.closed {
		return menu.Errorf(menu.State, "The appliance is stopping")
	}
	running := 0
	for _, other := range t.records {
		if !other.ended() {
			running++
		}
	}
	if running >= t.settings.CaptureRules().Running {
		return menu.Errorf(menu.State, "%d captures are running, which is the most", running).WithHint("Stop one of them first")
	}
	return nil
}

// drop takes a capture out of the table.
func (t *Table) drop(r *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = slices.DeleteFunc(t.records, func(other *entry) bool { return other == r })
}

// nextName is capture-N with the number after the highest in the table.
func (t *Table) nextName() string {
	const prefix = "capture-"
	highest := 0
	for _, r := range t.records {
		if digits, ok := strings.CutPrefix(r.Status.Name, prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > highest && n < 1<<30 {
				highest = n
			}
		}
	}
	return prefix + strconv.Itoa(highest+1)
}

// freeFileName is HOST-NAME-YYYYMMDD-HHMMSS in UTC with its extension. A capture that follows another of its name within the
// second gets the next free second: a number behind that would say that it is a part of the other.
func (t *Table) freeFileName(host, name string, now time.Time, format capture.Format) string {
	for {
		file := host + "-" + name + "-" + now.UTC().Format("20060102-150405") + format.Extension()
		if !t.taken(file) {
			return file
		}
		now = now.Add(time.Second)
	}
}

func (t *Table) taken(file string) bool {
	for _, name := range []string{file, capture.NumberedName(file, 1)} {
		for _, name := range []string{name, capture.PartName(name)} {
			if _, err := t.root.Lstat(name); err == nil {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.records, func(r *entry) bool { return r.File == file })
}
