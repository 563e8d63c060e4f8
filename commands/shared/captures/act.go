package captures

import (
	"diagsh/capture"
	"diagsh/internal/menu"
)

// A table is what ending and deleting need of the table of captures.
type table interface {
	Captures() []capture.Status
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	DeleteCapture(caller menu.Caller, name string) error
}

// Stop ends the capture of a name; without a name, the only one that is active.
func Stop(s table, caller menu.Caller, name string) (capture.Status, error) {
	name, err := onlyActive(s.Captures(), name)
	if err != nil {
		return capture.Status{}, err
	}
	return s.StopCapture(caller, name)
}

// Delete removes captures with their files, and yields what went.
func Delete(s table, caller menu.Caller, list []capture.Status, out *menu.Out[Removed]) error {
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
