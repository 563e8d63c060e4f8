package captures

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/exports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// rooms are a Table and the rooms below it.
type rooms struct {
	*settings.Settings
	*audit.Log
	*files.Directory
	*exports.Queue
	*Table
	closed bool
}

// roomOptions are what a test chooses of rooms.
type roomOptions struct {
	Dir             string // the data directory; its config.yaml holds
	Hostname        string
	ManagementPorts []uint16
}

// start opens rooms in the order of the appliance, and closes them when the test ends.
func start(t testing.TB, o roomOptions) *rooms {
	t.Helper()
	d, err := open(o, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	d.Begin(audit.Said{})
	d.Recover()
	d.Queue.Start()
	return d
}

func open(o roomOptions, log *slog.Logger) (*rooms, error) {
	d := &rooms{}
	var err error
	if d.Settings, err = settings.Open(settings.Options{
		Dir: o.Dir, Hostname: o.Hostname, ManagementPorts: o.ManagementPorts, Log: log,
	}); err != nil {
		return nil, err
	}
	var lastSign time.Time
	folder := filepath.Join(o.Dir, "audit")
	if info, err := os.Stat(filepath.Join(folder, audit.FileName)); err == nil {
		lastSign = info.ModTime()
	}
	if d.Log, err = audit.Open(audit.Options{Dir: folder, Log: log}); err != nil {
		return nil, err
	}
	rules := d.CaptureRules()
	if d.Directory, err = files.Open(files.Options{
		Path: filepath.Join(o.Dir, "diagnostic"), Log: log, System: d.System,
		QuotaBytes: rules.Quota, DeleteOldest: rules.DeleteOldest,
		ReserveBytes: rules.ReserveBytes, KeepFor: rules.KeepFor,
	}); err != nil {
		return nil, err
	}
	if d.Queue, err = exports.Open(exports.Options{
		Dir: o.Dir, Log: log, OpenFile: d.OpenFile, OpenJoined: func(ctx context.Context, name string) (*os.File, error) { return d.OpenJoined(ctx, name) },
		OpenManifest: func(e capture.Export, copies []capture.Export) (*os.File, error) { return d.OpenManifest(e, copies) }, Hostname: d.Hostname, System: d.System,
		OnDone: func(file string) { d.Released(file) }, OnTargetGone: func(target string) { d.TargetGone(target) },
		OnAgain: func(e capture.Export, user string) { d.ListAgain(e, user) },
	}); err != nil {
		return nil, err
	}
	d.Table, err = Open(Options{
		Dir: o.Dir, Product: "diagsh", LastSign: lastSign,
		Settings: d.Settings, Audit: d.Log, Files: d.Directory, Exports: d.Queue, Log: log,
	})
	return d, err
}

// Close ends the rooms as an appliance does that is told to stop. It may be called more than once.
func (d *rooms) Close(ctx context.Context) error {
	if d.closed {
		return nil
	}
	d.closed = true
	d.Stop()
	return errors.Join(d.Table.Close(ctx), d.Queue.Close(ctx), d.Directory.Close(ctx), d.Log.Close(ctx))
}

// A bed is rooms in a network of its own, with interfaces left and right that are each other's far
// end.
type bed struct {
	*testing.T
	ns *netnstest.Namespace
	d  *rooms
}

func newBed(t *testing.T, o roomOptions) *bed {
	t.Helper()
	b := &bed{T: t, ns: netnstest.New(t)}
	b.ns.Veth(t, "left", "right")
	b.d = start(t, o)
	// One file at a time to a target, so that their order is known.
	if _, err := b.d.SetExportSettings(roomtest.Admin, func(s *capture.ExportSettings) { s.PerTarget = 1 }); err != nil {
		t.Fatal(err)
	}
	return b
}

// ask returns a request for a capture, on right unless the options name interfaces. given are the
// members of the options that count although they are zero.
func ask(name string, o capture.Options, given ...string) capture.Request {
	if o.Interfaces == nil {
		o.Interfaces = []string{"right"}
	}
	return capture.Request{Name: name, Partial: capture.Partial{Options: o, Given: given}}
}

// planned returns a request for a capture that begins at a time.
func planned(name string, at time.Time, iface string) capture.Request {
	r := ask(name, capture.Options{Interfaces: []string{iface}})
	r.Start = at
	return r
}

func (b *bed) start(caller menu.Caller, r capture.Request) (s capture.Status, err error) {
	b.ns.Do(b, func() { s, err = b.d.StartCapture(caller, r) })
	return s, err
}

func (b *bed) mustStart(r capture.Request) capture.Status {
	b.Helper()
	s, err := b.start(roomtest.Admin, r)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// send puts packets on the wire at left.
func send(t *testing.T, ns *netnstest.Namespace, packet []byte, count int) {
	t.Helper()
	frames := ns.Frames(t, "left")
	for range count {
		if err := frames.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
}

// again ends the appliance in order and starts it anew, in the same network.
func (b *bed) again(o roomOptions) {
	b.Helper()
	if err := b.d.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ns.Do(b, func() { b.d = start(b.T, o) })
}

// dead is what kill -9 at this moment would leave of a data directory.
func dead(t *testing.T, dir string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "dead")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// filled makes a capture of the table that has ended, with a file of that many bytes.
func (b *bed) filled(name string, bytes int64, keep bool) string {
	b.Helper()
	request := ask(name, capture.Options{})
	if keep {
		request.Protect = true
	}
	b.mustStart(request)
	s, err := b.d.StopCapture(roomtest.Admin, name)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(b.d.Path(), s.Files[0].Name), bytes); err != nil {
		b.Fatal(err)
	}
	return s.Files[0].Name
}
