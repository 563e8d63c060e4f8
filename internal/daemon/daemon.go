package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/diag/names"
	"diagsh/diag/services"
	"diagsh/internal/api"
	"diagsh/internal/config"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/captures"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/certificates"
	"diagsh/internal/daemon/commits"
	"diagsh/internal/daemon/directories"
	"diagsh/internal/daemon/exports"
	"diagsh/internal/daemon/feed"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/people"
	"diagsh/internal/daemon/portlog"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/daemon/scenarios"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/netconf"
)

// Options are what the appliance is started with.
type Options struct {
	Dir          string // the data directory; made if it does not exist
	ConfigFile   string // empty: config.yaml in Dir, if it is there
	AdminKeyFile string // public keys to install for the user admin, in the form of authorized_keys(5); may be empty
	Hostname     string // in prompts and file names; empty: as configured, else the machine's
	Product      string // name and version, as the greeting and capture files say them

	// ManagementPorts are the TCP ports that the appliance itself serves. Captures leave their
	// packets out unless told otherwise.
	ManagementPorts []uint16

	// ServiceCatalogue is the text of the embedded catalogue of services (diag/services).
	ServiceCatalogue []byte

	// DropReasons is the text of the embedded catalogue of reasons for dropping packets (capture/drops).
	DropReasons string

	// Scenarios are the appliance's own scenarios of captures, a file NAME.yaml each.
	Scenarios fs.FS

	HTTPS bool // clients of HTTPS are served

	Log *slog.Logger // nil: discarded

	network netconf.Network // nil: the machine's own
}

// A Daemon is the running appliance. Its methods may be called from any goroutine.
type Daemon struct {
	*settings.Settings
	*feedRoom
	*audit.Log
	*directories.Directories
	*people.People
	*files.Directory
	*commitsRoom
	*certificatesRoom
	*exports.Queue
	*captures.Table
	*portlogRoom
	*reportsRoom
	*scenariosRoom
	*operationsRoom

	dir     string // the data directory
	product string
	https   bool
	log     *slog.Logger
	lock    *os.File

	names *names.Resolver
	ports portsRoom
	drops *drops.Engine

	dropMeanings drops.Meanings

	services     services.Catalogue
	configFolder string
	captured     atomic.Pointer[scenarios.Room] // that is told of captures; nil before it is open

	rooms    []room // that are open, from the ground up
	kept     *applianceLog
	started  time.Time
	lastSign time.Time // when the appliance that ran before was last seen to do something
	stop     context.CancelFunc
	swept    chan struct{} // closed when nothing sweeps any more
	closing  sync.Once
}

var _ api.Appliance = (*Daemon)(nil)

// These rooms are named for what a method of theirs lists. Embedded under another name, they do not
// hide it.
type (
	commitsRoom      = commits.Commits
	certificatesRoom = certificates.Certificates
	feedRoom         = feed.Feed
	portlogRoom      = portlog.Log
	reportsRoom      = reports.Reports
	scenariosRoom    = scenarios.Room
)

// sweepEvery is how often the appliance looks for accounts that have expired and sessions that are
// idle, and brings onto the disk what is not there yet.
const sweepEvery = 5 * time.Second

// Open starts the appliance. Its error is for whoever started it: it names files and lines.
func Open(o Options) (*Daemon, error) {
	if o.Dir == "" {
		return nil, errors.New("no data directory is given")
	}
	d := &Daemon{started: time.Now(), dir: o.Dir, product: o.Product, https: o.HTTPS, log: o.Log, names: names.NewResolver()}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if d.Settings, err = settings.Open(settings.Options{
		Dir: o.Dir, ConfigFile: o.ConfigFile, Hostname: o.Hostname, ManagementPorts: o.ManagementPorts, Log: d.log,
	}); err != nil {
		return nil, err
	}
	if err := d.openServices(o); err != nil {
		return nil, err
	}
	if err := d.openDrops(o); err != nil {
		return nil, err
	}
	if err := d.open(o); err != nil {
		d.release(context.Background())
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop, d.swept = stop, make(chan struct{})
	go d.sweep(ctx)
	said, err := d.kept.saidOfAudit()
	if err != nil {
		d.log.Error("the appliance's log cannot be read as a whole", "error", err)
	}
	d.Begin(said)
	d.startRooms()
	return d, nil
}

// open opens everything in the data directory.
func (d *Daemon) open(o Options) error {
	if err := MakeDirectory(o.Dir); err != nil {
		return err
	}
	if err := d.lockDirectory(o.Dir); err != nil {
		return err
	}
	if err := d.keepLog(filepath.Join(o.Dir, "log")); err != nil {
		return err
	}
	d.lastSign = lastChange(filepath.Join(o.Dir, "audit", audit.FileName), filepath.Join(o.Dir, people.LoginsFile))
	d.feedRoom = feed.New(d.log)
	d.opened(d.feedRoom)
	var err error
	if d.Log, err = audit.Open(audit.Options{Dir: filepath.Join(o.Dir, "audit"), Log: d.log}); err != nil {
		return err
	}
	d.opened(d.Log)
	d.Directories = directories.Open(directories.Options{SignIn: d.SignIn(), Hostname: d.Hostname, Log: d.log})
	d.opened(d.Directories)
	if d.People, err = people.Open(people.Options{
		Dir: o.Dir, AdminKeyFile: o.AdminKeyFile, LastSign: d.lastSign, Settings: d.Settings, Audit: d.Log, Log: d.log,
		Tell: d.Teller(sessionsTopic), TellAccounts: d.Teller(accountsTopic), TellTokens: d.tokensTeller(),
		OnDeleted: func(user string) { d.Drop(user); d.ForgetFilters(user) },
		Directory: d.Directories, SetAside: d.setAside,
	}); err != nil {
		return err
	}
	d.opened(d.People)
	rules := d.CaptureRules()
	d.Directory, err = files.Open(files.Options{
		Path: filepath.Join(o.Dir, "diagnostic"), Log: d.log, System: d.System, Tell: d.Teller(filesTopic),
		QuotaBytes: rules.Quota, DeleteOldest: rules.DeleteOldest, ReserveBytes: rules.ReserveBytes, KeepFor: rules.KeepFor,
	})
	if err != nil {
		return err
	}
	d.opened(d.Directory)
	if err := d.openCommits(o); err != nil {
		return err
	}
	d.openPorts()
	if err := d.openCaptures(o); err != nil {
		return err
	}
	if err := d.openPortLog(o); err != nil {
		return err
	}
	d.reportsRoom, err = reports.Open(reports.Options{Dir: o.Dir, Files: d.Directory, Product: o.Product,
		Hostname: d.Hostname, Tell: d.Teller(reportsTopic), SetAside: d.setAside, Log: d.log})
	if err != nil {
		return err
	}
	if err := d.openScenarios(o); err != nil {
		return err
	}
	d.addTopics()
	return nil
}

// openCommits opens what commits change the machine by, with the certificates that they name, and
// lets what is committed hold.
func (d *Daemon) openCommits(o Options) (err error) {
	if o.network == nil {
		o.network = netconf.Kernel{}
	}
	d.commitsRoom, err = commits.Open(commits.Options{
		Dir: o.Dir, Network: o.network, Log: d.log, Hostname: d.Hostname, SessionOpen: d.SessionOpen,
		System: d.System, SystemFailed: d.SystemFailed, OnApplied: d.applied,
		Fits:  func(wanted, running config.Document) []config.Fault { return d.CheckCertificates(wanted, running) },
		Warns: func(wanted, running config.Document) []config.Warning { return d.CertificateWarnings(wanted, running) },
		Tell:  d.Teller(commitsTopic), TellUser: d.Teller(candidateTopic),
	})
	if err != nil {
		return err
	}
	d.opened(d.commitsRoom)
	committed := d.RunningDocument()
	d.Apply(committed) // a certificate is for the host name that is committed
	d.certificatesRoom, err = certificates.Open(certificates.Options{
		Dir: o.Dir, Log: d.log, Hostname: d.Hostname, System: d.System, SystemFailed: d.SystemFailed,
		Wanted:   func() []string { return d.Values(config.Certificate) },
		SetAside: d.setAside,
	})
	if err != nil {
		return err
	}
	d.opened(d.certificatesRoom)
	d.ApplyCertificates(committed)
	return nil
}

// applied lets what was committed hold.
func (d *Daemon) applied(committed config.Document) {
	d.Apply(committed)
	d.ApplyCertificates(committed)
}

// openJoined opens a copy of a file of packets that says their processes.
func (d *Daemon) openJoined(ctx context.Context, name string) (*os.File, error) {
	return d.OpenJoined(ctx, name)
}

// openManifest opens the list of the files of a capture.
func (d *Daemon) openManifest(e capture.Export, copies []capture.Export) (*os.File, error) {
	return d.OpenManifest(e, copies)
}

// openCaptures opens the queue of copies, and the captures, whose files it copies.
func (d *Daemon) openCaptures(o Options) (err error) {
	d.Queue, err = exports.Open(exports.Options{
		Dir: o.Dir, Log: d.log, OpenFile: d.OpenFile, OpenJoined: d.openJoined, OpenManifest: d.openManifest, Hostname: d.Hostname, System: d.System,
		OnDone: func(file string) { d.Released(file) }, OnTargetGone: func(target string) { d.TargetGone(target) },
		OnAgain: func(e capture.Export, user string) { d.ListAgain(e, user) },
		Tell:    d.Teller(exportsTopic), TellTargets: d.Teller(targetsTopic), SetAside: d.setAside,
	})
	if err != nil {
		return err
	}
	d.opened(d.Queue)
	flows := beside.FlowRecorder{Ports: d.ports}
	d.Table, err = captures.Open(captures.Options{
		Dir: o.Dir, Product: o.Product, LastSign: d.lastSign, Settings: d.Settings, Audit: d.Log, Files: d.Directory, Exports: d.Queue, Log: d.log,
		Tell: d.capturesTeller(), Settled: d.Teller(settingsTopic), Noted: d.Teller(notesTopic),
		SetAside:   d.setAside,
		LiveOwners: flows.Live,
		Beside:     []beside.Recorder{flows, d.dropRecorder(o)},
	})
	if err != nil {
		return err
	}
	d.opened(d.Table)
	return nil
}

// MakeDirectory makes the data directory. Others may pass, to a socket in it, and see no names:
// everything that is made there is for its owner alone. One that all may list or write, such as one that
// an earlier version made or that a disk was mounted on, is put right; one that is not the appliance's
// stays as it is.
func MakeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o711); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(path, "users.json")); err != nil || info.Mode().Perm()&0o066 == 0 {
		return nil
	}
	return os.Chmod(path, info.Mode()&^0o066)
}

// A LockedError says that another appliance has the data directory. One that was killed has it until
// the kernel has taken its memory away.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string { return "another appliance is running with the data in " + e.Dir }

// lockDirectory makes sure that no other appliance uses the data directory. The kernel lets the
// lock go with the process.
func (d *Daemon) lockDirectory(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return &LockedError{dir}
		}
		return err
	}
	d.lock = f
	return nil
}

// lastChange is the latest moment at which one of these files was changed.
func lastChange(paths ...string) (last time.Time) {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// Started is when the appliance was started.
func (d *Daemon) Started() time.Time { return d.started }

// ServesHTTPS reports whether clients of HTTPS are served.
func (d *Daemon) ServesHTTPS() bool { return d.https }

// sweep does what has to be done again and again.
func (d *Daemon) sweep(ctx context.Context) {
	defer close(d.swept)
	ticks := time.NewTicker(sweepEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		d.sweepRooms(time.Now())
	}
}

// Close ends all sessions and captures and stops the appliance. Captures are given until ctx ends
// to finish their files; those that take longer are finished by the next start. It may be called
// more than once.
func (d *Daemon) Close(ctx context.Context) error {
	var err error
	d.closing.Do(func() {
		d.stopRooms()
		d.stop()
		select {
		case <-d.swept:
		case <-ctx.Done():
			err = errors.New("the rooms are still being swept")
		}
		err = errors.Join(err, d.release(ctx))
	})
	return err
}

// release closes what is open.
func (d *Daemon) release(ctx context.Context) error {
	errs := []error{d.closeRooms(ctx)}
	if d.kept != nil {
		errs = append(errs, d.kept.close())
	}
	if d.lock != nil {
		// A child that is just being started still has the descriptor, and with it the lock, until
		// it is another program (flock(2)).
		errs = append(errs, unix.Flock(int(d.lock.Fd()), unix.LOCK_UN), d.lock.Close())
	}
	return errors.Join(errs...)
}
