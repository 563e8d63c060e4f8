package portlog

import (
	"slices"
	"time"

	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// logFiles owns the files of the diagnostic directory that are of a port log, whichever appliance
// wrote them.
type logFiles struct{ log *Log }

var _ files.Owner = logFiles{}

func (logFiles) Kind() string { return "port logs" }

// Describe implements files.Owner. No file of the log has packet contents.
func (o logFiles) Describe() func(string) (files.Facts, bool) {
	return func(name string) (files.Facts, bool) {
		_, ours := o.log.beginOf(name)
		return files.Facts{}, ours
	}
}

func (o logFiles) MayRemove(name string) error {
	if o.log.writes(name) {
		return &menu.Error{Code: menu.State, Argument: "file",
			Message: "The file " + name + " is being written by the port log", Hint: "Stop the port log first"}
	}
	return nil
}

func (logFiles) Removed(...string) {}

// Expendable implements files.Owner: the sets that are finished. The log bounds them anyway.
func (o logFiles) Expendable() (list []files.Expendable) {
	sets, err := o.log.stretches()
	if err != nil {
		o.log.o.Log.Error("the files of the port log cannot be listed", "error", err)
	}
	for _, s := range sets {
		for _, name := range s.names {
			list = append(list, files.Expendable{
				Name: name, Of: TopicName, Since: s.last,
				Take: func() bool { return !o.log.writes(name) },
			})
		}
	}
	return list
}

// A present is the set that is being written: when it begins, and the names that its files have.
type present struct {
	begin time.Time
	names []string
}

// began notes which set is being written.
func (l *Log) began(p present) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = p
	l.o.Tell.Changed(TopicName)
}

// present returns the set that is being written. Without one it has no names, and would begin now,
// or a little later, as the clock may have been set back a little.
func (l *Log) present() present {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run == nil {
		return present{begin: time.Now().Add(littleBack)}
	}
	return l.writing
}

// writes reports whether a file is being written.
func (l *Log) writes(name string) bool { return slices.Contains(l.present().names, name) }
