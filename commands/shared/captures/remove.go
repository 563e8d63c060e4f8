package captures

import (
	"fmt"
	"io"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Removed is a capture that was removed.
type Removed struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
	Bytes int64    `json:"bytes"`
	Kept  bool     `json:"filesKept,omitempty"` // the files stay
}

// removedOf returns what is removed with a capture.
func removedOf(s capture.Status) Removed {
	r := Removed{Name: s.Name, Files: []string{}}
	for _, f := range s.Files {
		r.Files = append(r.Files, f.Name)
		r.Bytes += f.Bytes
	}
	return r
}

// RemovedTable writes what was removed.
func RemovedTable(w io.Writer, list []Removed) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There was nothing to remove.")
	}
	for _, r := range list {
		if r.Kept {
			fmt.Fprintf(w, "Removed %s (%s kept, %s).\n", r.Name, Count(len(r.Files), "file"), Bytes(r.Bytes))
			continue
		}
		fmt.Fprintf(w, "Removed %s (%s, %s).\n", r.Name, Count(len(r.Files), "file"), Bytes(r.Bytes))
	}
}

// A deleter is the part of the table of captures that Delete needs.
type deleter interface {
	DeleteCapture(caller menu.Caller, name string) error
}

// Delete removes captures with their files, and yields what was removed.
func Delete(s deleter, caller menu.Caller, list []capture.Status, out *menu.Out[Removed]) error {
	for _, status := range list {
		if err := s.DeleteCapture(caller, status.Name); err != nil {
			return err
		}
		if err := out.Record(removedOf(status)); err != nil {
			return err
		}
	}
	return nil
}

// A forgetter is the part of the table of captures that Forget needs.
type forgetter interface {
	ForgetCapture(caller menu.Caller, name string) error
}

// Forget removes captures and keeps their files, and yields what was removed.
func Forget(s forgetter, caller menu.Caller, list []capture.Status, out *menu.Out[Removed]) error {
	for _, status := range list {
		if err := s.ForgetCapture(caller, status.Name); err != nil {
			return err
		}
		removed := removedOf(status)
		removed.Kept = true
		if err := out.Record(removed); err != nil {
			return err
		}
	}
	return nil
}
