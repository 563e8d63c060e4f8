package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"diagsh/assets"
	"diagsh/capture/decode"
	"diagsh/commands"
	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/bpf"
	"diagsh/internal/daemon"
	"diagsh/internal/hostkeys"
	"diagsh/internal/menu"
	"diagsh/internal/privsep"
	"diagsh/internal/spawn"
)

type serveFlags struct {
	data, ssh, https, socket, config, adminKey, log string
	httpsNamed                                      bool // https is not the default
	shell                                           bool
}

// serve runs the appliance until a signal, and returns the exit status.
func serve(args []string) int {
	var f serveFlags
	flags := newFlags("diagsh serve")
	flags.StringVar(&f.data, "data", "/var/lib/diagsh", "")
	flags.StringVar(&f.ssh, "ssh", ":2222", "")
	flags.StringVar(&f.https, "https", httpsAddress, "")
	flags.StringVar(&f.socket, "socket", "", "")
	flags.StringVar(&f.config, "config", "", "")
	flags.StringVar(&f.adminKey, "admin-key", "", "")
	flags.StringVar(&f.log, "log", "", "")
	flags.BoolVar(&f.shell, "shell", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(os.Stdout, assets.ServeUsage)
		return 0
	case err != nil:
		return wrongFlags(flags, err)
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "diagsh serve: unexpected argument %q.\n", flags.Arg(0))
		return exitUsage
	}
	flags.Visit(func(one *flag.Flag) { f.httpsNamed = f.httpsNamed || one.Name == "https" })
	if missing := missingCapabilities(); missing != "" {
		self, _ := os.Executable()
		fmt.Fprintf(os.Stderr, "diagsh serve: It lacks the capabilities %s; run it as root, or give them once with: "+
			"sudo setcap %s+ep %s\n", missing, strings.ReplaceAll(missing, " ", ","), self)
		return exitFailed
	}
	if err := appliance(f); err != nil {
		fmt.Fprintf(os.Stderr, "diagsh serve: %v\n", err)
		return exitFailed
	}
	return 0
}

// missingCapabilities returns the capabilities that capturing needs and this process lacks,
// separated by blanks (capabilities(7)).
func missingCapabilities() string {
	var missing []string
	for _, c := range []struct {
		number uint
		name   string
	}{{unix.CAP_NET_RAW, "cap_net_raw"}, {unix.CAP_NET_ADMIN, "cap_net_admin"}} {
		if !bpf.Capable(c.number) {
			missing = append(missing, c.name)
		}
	}
	return strings.Join(missing, " ")
}

// appliance joins the parts and serves until a signal, or until the user leaves its own shell.
func appliance(f serveFlags) error {
	// The reader and the writer of a capture spend their time in system calls, and so do the
	// commands that read the kernel's tables. Each keeps one of Go's processors until Go's monitor
	// takes it away. With as many processors as CPUs, other goroutines would wait for that: a busy
	// ring overflows, and a long netstat takes a tenth longer.
	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	decode.Trim()
	if err := daemon.MakeDirectory(f.data); err != nil {
		return err
	}
	log, closeLog, err := openLog(f.log)
	if err != nil {
		return err
	}
	defer closeLog()
	sessions, err := spawn.New(spawn.Options{}) // before anything else is started
	if err != nil {
		return err
	}
	network, err := listen(f, log)
	if err != nil {
		return err
	}
	d, err := whenFree(func() (*daemon.Daemon, error) {
		return daemon.Open(daemon.Options{
			Dir: f.data, ConfigFile: f.config, AdminKeyFile: f.adminKey, ManagementPorts: network.ports(),
			Product: product + " " + version, Log: log, ServiceCatalogue: assets.Services, DropReasons: assets.DropReasons,
			Scenarios: assets.Scenarios(), HTTPS: network.https != nil,
		})
	})
	if err != nil {
		return err
	}
	log = d.Logger()
	boundary := api.NewServer(d, commands.Tree(d, runningVersion(d.Hostname())), log)
	d.ReportWith(boundary)
	d.ReadWith(boundary)
	socket, err := whenFree(func() (*net.UnixListener, error) {
		return listenSocket(cmp.Or(f.socket, filepath.Join(f.data, "api.sock")))
	})
	if err != nil {
		return errors.Join(err, d.Close(context.Background()))
	}
	front, err := startFront(f, d, boundary, sessions, network, log)
	if err != nil {
		return errors.Join(err, d.Close(context.Background()))
	}
	err = runUntilEnd(f, d, boundary, socket, network)
	// The front ends first, and with it its sessions, so that no user starts anything more. Then
	// the boundary ends. The captures end last and their files get their names.
	front.Close()
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, boundary.Close(), d.Close(ending))
}

// An appliance that was killed, and its front, have what they hold until the kernel has ended them.
// So what is in use is tried again every retryEvery, for retryFor in all.
const (
	retryFor   = 2 * time.Second
	retryEvery = 20 * time.Millisecond
)

// whenFree calls open until its error is not that another appliance or another program has what it
// opens, or retryFor is over.
func whenFree[T any](open func() (T, error)) (T, error) {
	began := time.Now()
	for {
		opened, err := open()
		if !inUse(err) || time.Since(began) > retryFor {
			return opened, err
		}
		time.Sleep(retryEvery)
	}
}

// inUse reports whether an error is that an address, a socket or a data directory is in use.
func inUse(err error) bool {
	var locked *daemon.LockedError
	var answers *socketInUseError
	return errors.Is(err, syscall.EADDRINUSE) || errors.As(err, &locked) || errors.As(err, &answers)
}

// A socketInUseError says that an appliance answers on the socket.
type socketInUseError struct{ path string }

func (e *socketInUseError) Error() string { return "another appliance already runs on " + e.path }

// openLog opens the appliance's own log: a file, or standard error.
func openLog(path string) (log *slog.Logger, end func() error, err error) {
	to, end := os.Stderr, func() error { return nil }
	if path != "" {
		if to, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, nil, err
		}
		end = to.Close
	}
	return slog.New(slog.NewTextHandler(to, nil)), end, nil
}

// startFront starts the process that listens on the network. It takes the listeners over and closes
// them.
func startFront(f serveFlags, d *daemon.Daemon, boundary *api.Server, sessions *spawn.Spawner,
	network listeners, log *slog.Logger) (*spawn.Front, error) {
	defer network.close()
	keys, err := hostkeys.Open(filepath.Join(f.data, "hostkeys"), log)
	if err != nil {
		return nil, err
	}
	handed, err := network.handed()
	if err != nil {
		return nil, err
	}
	return spawn.StartFront(spawn.FrontOptions{
		Listeners: handed,
		Control:   privsep.ControlPair,
		Monitor: func() spawn.Monitor {
			return privsep.NewMonitor(privsep.Options{
				Logins:       d,
				Boundary:     sessionBoundary{boundary},
				Spawner:      spawner{sessions},
				HostKeys:     keys,
				Certificates: d,
				Log:          log,
			})
		},
		Log: log,
	}), nil
}

// A spawner is spawn's spawner with the result that privsep declares.
type spawner struct{ *spawn.Spawner }

func (s spawner) Start(program access.Program, connection *os.File) (privsep.Child, error) {
	process, err := s.Spawner.Start(program, connection)
	if err != nil {
		return nil, err
	}
	return process, nil
}

// A sessionBoundary is the boundary with the result that privsep declares.
type sessionBoundary struct{ *api.Server }

func (b sessionBoundary) Files(session string) privsep.Files { return b.Server.Files(session) }

// runUntilEnd serves until a signal, until the user leaves the appliance's own shell, or until the
// boundary fails.
func runUntilEnd(f serveFlags, d *daemon.Daemon, boundary *api.Server, socket *net.UnixListener, network listeners) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- boundary.Serve(socket) }()
	announce(d, network)
	systemd.SdNotify(false, systemd.SdNotifyReady)
	go tellSystemd(ctx, d, int(portOf(network.ssh)))
	if f.shell && term.IsTerminal(0) && term.IsTerminal(1) {
		signal.Ignore(syscall.SIGINT) // Ctrl-C is the shell's
		err = ownShell(ctx, boundary)
	} else {
		select {
		case <-ctx.Done():
		case err = <-ended:
		}
	}
	systemd.SdNotify(false, systemd.SdNotifyStopping)
	return err
}

// announce prints how to log in. It shows the first password on a terminal only, because anything
// else that standard output may be, such as the journal, would keep it.
func announce(d *daemon.Daemon, network listeners) {
	fmt.Printf("diagsh %s is running. Log in with:\n\n    ssh -p %d admin@localhost\n", version, portOf(network.ssh))
	if network.https != nil {
		fmt.Printf("    %s\n\nThe certificate's fingerprint is SHA256 %s\n", network.page(), d.CertificateFingerprint())
	}
	fmt.Println()
	password, file := d.FirstPassword(), d.FirstPasswordFile()
	switch {
	case password != "" && file != "" && term.IsTerminal(1):
		fmt.Printf("The first password of admin is: %s\nIt is in %s until the first login with it; change it "+
			"with passwd.\n\n", password, file)
	case file != "":
		fmt.Printf("The first password of admin is in %s until the first login with it; change it with passwd.\n\n",
			file)
	}
}

// ownShell opens the menus on this terminal and returns when the user leaves them. The menus run in
// a session process with a connection of its own. The socket would not do: it knows callers by
// their user, and an appliance that is not root shares its user with the sessions of all accounts.
func ownShell(ctx context.Context, boundary *api.Server) error {
	connection, err := boundary.OwnConnection()
	if err != nil {
		return err
	}
	defer connection.Close()
	c := exec.CommandContext(ctx, "/proc/self/exe", "session")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	for _, name := range []string{"TERM", "LANG", "LC_CTYPE", "LC_ALL"} {
		c.Env = append(c.Env, name+"="+os.Getenv(name))
	}
	c.ExtraFiles = []*os.File{connection}
	err = c.Run()
	var status *exec.ExitError
	if errors.As(err, &status) {
		return nil
	}
	return err
}

// listenSocket listens on the appliance's own socket. Every user may connect: the boundary decides
// by the peer that the kernel names (SO_PEERCRED in unix(7)). A socket file outlives its server, so
// one that no process answers on is replaced. One in use is an error.
func listenSocket(path string) (*net.UnixListener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, &socketInUseError{path}
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%s exists and is no socket; name another one with --socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o666)
}

func runningVersion(host string) commands.Version {
	b := thisBuild()
	v := commands.Version{Product: product, Version: version, Commit: b.source, CommitTime: b.time,
		Go: runtime.Version(), Hostname: host, Licenses: menu.Text(assets.Licenses)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		v.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return v
}
