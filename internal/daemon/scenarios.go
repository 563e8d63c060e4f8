package daemon

import (
	"cmp"
	"path/filepath"
	"time"

	"diagsh/capture"
	"diagsh/diag/ports"
	"diagsh/internal/access"
	"diagsh/internal/daemon/operations"
	"diagsh/internal/daemon/portlog"
	"diagsh/internal/daemon/scenarios"
	"diagsh/internal/menu"
)

// scenariosFolder is a vendor's scenarios, in the folder of the configuration file, if it names no
// other.
const scenariosFolder = "scenarios"

// openScenarios opens what begins captures by scenarios and reports on them, above captures and
// reports.
func (d *Daemon) openScenarios(o Options) (err error) {
	folder := cmp.Or(d.ScenarioFolder(), scenariosFolder)
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(d.configFolder, folder)
	}
	d.scenariosRoom, err = scenarios.Open(scenarios.Options{
		Dir: o.Dir, Own: o.Scenarios, Folder: folder, Captures: d.Table, Files: d.Directory, Reports: d.reportsRoom, PortLog: heldLog{d.portlogRoom},
		CallerOf: d.Present,
		System:   d.System, Tell: d.Teller(capturesTopic), SetAside: d.setAside, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.captured.Store(d.scenariosRoom)
	d.opened(d.scenariosRoom)
	return d.openOperations(o)
}

// operationsRoom is operations.Room by another name than that of a method of it.
type operationsRoom = operations.Room

// openOperations opens what keeps how acts on captures ended, above all that has a part in them.
func (d *Daemon) openOperations(o Options) (err error) {
	d.operationsRoom, err = operations.Open(operations.Options{Dir: o.Dir, Captures: d, SetAside: d.setAside, Log: d.log})
	if err != nil {
		return err
	}
	d.opened(d.operationsRoom)
	return nil
}

// capturesTeller tells those who listen, and the room of scenarios, that captures changed.
func (d *Daemon) capturesTeller() access.Teller {
	tell := d.Teller(capturesTopic)
	return func(names ...string) {
		tell.Changed(names...)
		if room := d.captured.Load(); room != nil {
			room.Captured(names...)
		}
	}
}

// StartCapture begins a capture, by its scenario if it has one. The methods of captures.Table that
// stand here hide the table's.
func (d *Daemon) StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error) {
	return d.scenariosRoom.StartCapture(caller, request)
}

// StopCapture ends a capture.
func (d *Daemon) StopCapture(caller menu.Caller, name string) (capture.Status, error) {
	return d.scenariosRoom.StopCapture(caller, name)
}

// Capture returns the status of a capture, with that of its report.
func (d *Daemon) Capture(name string) (capture.Status, error) { return d.scenariosRoom.Capture(name) }

// Captures returns the status of all captures.
func (d *Daemon) Captures() []capture.Status { return d.scenariosRoom.Captures() }

// A heldLog is the port log as scenarios hold it: with records that a report can have.
type heldLog struct{ *portlog.Log }

// LogRuns implements scenarios.PortLog.
func (l heldLog) LogRuns() (time.Time, bool) {
	s := l.PortLogStatus()
	return s.Start, s.State == ports.LogRunning || s.State == ports.LogPaused
}

// BeginLog implements scenarios.PortLog.
func (l heldLog) BeginLog(caller menu.Caller, persistent bool) error {
	var request ports.LogRequest
	request.Persistent, request.Given = persistent, []string{"persistent"}
	if !l.PortLogSettings().Format.Has(ports.NDJSON) {
		request.Format = ports.BothFormats
	}
	_, err := l.StartPortLog(caller, request)
	return err
}

// EndLog implements scenarios.PortLog.
func (l heldLog) EndLog(caller menu.Caller) error { return l.EndPortLog(caller) }
