package portlog

import (
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
	if begin, ours := o.log.beginOf(name); ours && o.log.writes(begin) {
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
				Take: func() bool { return !o.log.writes(s.begin) },
			})
		}
	}
	return list
}

// began notes which set is being written.
func (l *Log) began(begin time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = begin
	l.o.Tell.Changed(TopicName)
}

// writes reports whether the set of a beginning is being written.
func (l *Log) writes(begin time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.run != nil && l.writing.Equal(begin)
}
