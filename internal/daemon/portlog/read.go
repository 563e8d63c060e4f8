package portlog

import (
	"os"

	"diagsh/diag/ports/records"
)

// PortLogFiles returns the log as its files of JSON, for who reads its records.
func (l *Log) PortLogFiles() records.Log { return linesFiles{l} }

// linesFiles are the files of JSON, of this log and earlier ones.
type linesFiles struct{ log *Log }

// Names implements records.Log.
func (f linesFiles) Names() (names []string, err error) {
	sets, err := f.log.stretches()
	for _, s := range sets {
		for _, name := range s.names {
			if linesPattern().MatchString(name) {
				names = append(names, name)
			}
		}
	}
	return names, err
}

// Open implements records.Log.
func (f linesFiles) Open(name string) (*os.File, error) { return f.log.o.Files.Root().Open(name) }

// Changed implements records.Log.
func (f linesFiles) Changed() <-chan struct{} { return f.log.changed.Next() }
