package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/services"
	"diagsh/internal/test/disktest"
)

// A portRow is a line of PR-PORTS as the page about Port Reporter has it: date, time, protocol,
// local port, local IP address, remote port, remote IP address, process ID, module, user context.
type portRow struct {
	at            time.Time
	protocol      string
	local, remote netip.AddrPort
	pid           int
	module, user  string
}

// parsePorts is written from that table alone: it knows ten columns and nothing of those behind
// them.
func parsePorts(text string) (rows []portRow, err error) {
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		columns := split(line)
		if !whole || len(columns) < 10 {
			return rows, fmt.Errorf("line %d has %d columns: %q", len(rows)+1, len(columns), line)
		}
		var r portRow
		var errs [5]error
		r.at, errs[0] = time.ParseInLocation("2006-01-02 15:04:05", columns[0]+" "+columns[1], time.UTC)
		r.protocol, r.module, r.user = columns[2], columns[8], columns[9]
		end := func(address, port string) (netip.AddrPort, error) {
			a, err := netip.ParseAddr(address)
			n, e := strconv.ParseUint(port, 10, 16)
			return netip.AddrPortFrom(a, uint16(n)), errors.Join(err, e)
		}
		r.local, errs[1] = end(columns[4], columns[3])
		r.remote, errs[2] = end(columns[6], columns[5])
		r.pid, errs[3] = strconv.Atoi(columns[7])
		if r.protocol != "TCP" && r.protocol != "UDP" {
			errs[4] = fmt.Errorf("the protocol %q", r.protocol)
		}
		if err := errors.Join(errs[:]...); err != nil {
			return rows, fmt.Errorf("line %d: %w", len(rows)+1, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// split cuts a line at its commas, but for those in quotes.
func split(line string) (columns []string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"' && quoted && i+1 < len(line) && line[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			columns = append(columns, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(columns, b.String())
}

// A bench is a set in a folder.
type bench struct {
	*Reporter
	set    *Set
	folder string
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func newBench(t *testing.T, folder string, edit func(*Options)) *bench {
	t.Helper()
	b := &bench{folder: folder}
	o := Options{Product: "diagsh 1", Hostname: func() string { return "mx1" }, Zone: time.UTC, Bytes: 5 << 20, Grew: func() {}, Log: slog.New(slog.DiscardHandler),
		Create: func(name string) (*os.File, error) {
			return os.OpenFile(filepath.Join(b.folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		},
		Remove: func(name string) error { return os.Remove(filepath.Join(b.folder, name)) },
		Status: func() (ports.Status, bool) {
			return ports.Status{Tier: ports.WithoutAccept, Cgroup: "/", Blind: []string{"There is no tracefs."}}, true
		},
		Services: func() (services.Catalogue, error) { return nil, nil },
	}
	if edit != nil {
		edit(&o)
	}
	b.Reporter = New(o)
	var err error
	if b.set, err = b.Begin(noon); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.set.Close()
		b.Wait(context.Background())
	})
	return b
}

// whole ends the set.
func (b *bench) whole(t *testing.T) {
	t.Helper()
	b.must(t, b.set.Close())
	b.must(t, b.Wait(t.Context()))
}

func (b *bench) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the contents of a file.
func (b *bench) read(t *testing.T, kind string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.folder, "PR-"+kind+"-2026-11-30T12-00-00.log"))
	b.must(t, err)
	return string(text)
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// What is written is what a parser of the original's ten columns reads, whatever names hold.
func TestTenColumns(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	sent, received, seconds := uint64(12), uint64(1<<40), 0.25
	records := []ports.Record{
		{Event: ports.Listening, Protocol: ports.TCP, LocalAddress: addr("0.0.0.0"), LocalPort: 22,
			Process: ports.Process{PID: 1 << 30, Name: "sshd", Exe: "/usr/sbin/sshd", User: "root"}},
		{Event: ports.Connected, Protocol: ports.TCP, LocalAddress: addr("2001:db8::1"), LocalPort: 40000,
			RemoteAddress: addr("2001:db8::2"), RemotePort: 443,
			Process: ports.Process{PID: 1<<30 + 1, Name: "a,b", Exe: `/opt/two, "three"`, UID: 7, User: `d"oe, j`}},
		{Event: ports.Closed, Protocol: ports.UDP, LocalAddress: addr("192.0.2.1"), LocalPort: 53, BytesSent: &sent,
			BytesReceived: &received, Seconds: &seconds, OpenedBy: 5, Reason: "closed, while",
			Process: ports.Process{PID: 1<<30 + 2, Name: "two\nlines\r\x1b[2J", Exe: "/x/\xff\xfe\n,end", User: " lead"}},
		{Event: ports.Rejected, Protocol: ports.TCP, LocalAddress: addr("192.0.2.1"), LocalPort: 23,
			RemoteAddress: addr("198.51.100.9"), RemotePort: 65535},
	}
	for i := range records {
		records[i].Time = noon.Add(time.Duration(i) * time.Second)
	}
	// It had no lines for these.
	others := []ports.Record{{Time: noon, Event: ports.Began, Reason: "host mx1"}, {Time: noon, Event: ports.Gap, Lost: 7, Reason: "the disk did not keep up"},
		{Time: noon, Event: ports.Opened, Protocol: ports.ICMP, Process: ports.Process{PID: 1 << 30, Name: "ping"}}, {Time: noon, Event: ports.Ended}}
	b.must(t, b.set.Write(append(others, records...)))
	text := b.read(t, "PORTS") // while it grows
	rows, err := parsePorts(text)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Second) }
	none := netip.MustParseAddrPort("0.0.0.0:0")
	want := []portRow{
		{at(0), "TCP", netip.MustParseAddrPort("0.0.0.0:22"), none, 1 << 30, "sshd", "root"},
		{at(1), "TCP", netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:443"), 1<<30 + 1, `two, "three"`, `d"oe, j`},
		{at(2), "UDP", netip.MustParseAddrPort("192.0.2.1:53"), none, 1<<30 + 2, `\xff\xfe\x0a,end`, " lead"},
		{at(3), "TCP", netip.MustParseAddrPort("192.0.2.1:23"), netip.MustParseAddrPort("198.51.100.9:65535"), 0, "", ""},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("%+v, want %+v", rows, want)
	}

	// Ours are the columns behind these.
	ours := split(strings.Split(text, "\n")[2])
	member := map[string]string{}
	for i, name := range Columns {
		member[name] = ours[i]
	}
	for name, want := range map[string]string{"event": "close", "bytes sent": "12", "bytes received": "1099511627776", "seconds": "0.25",
		"opened by": "5", "accepted by": "", "reason": "closed, while", "process": `two\x0alines\x0d\x1b[2J`,
		"timestamp": "2026-11-30T12:00:02Z", "UID": "0", "state": ""} {
		if member[name] != want {
			t.Errorf("%s is %q, want %q", name, member[name], want)
		}
	}
	b.whole(t)
	_, pids, _ := strings.Cut(b.read(t, "PIDS"), "\n\n") // behind the head
	if !strings.HasPrefix(pids, "Records are missing at 2026-11-30 12:00:00\n  Events:    7\n  Why:       the disk did not keep up\n\n") {
		t.Errorf("the gap is %.200q", pids)
	}
	if len(ours) != len(Columns) {
		t.Errorf("%d columns, %d are named", len(ours), len(Columns))
	}
}

func many(n int, at time.Time) []ports.Record {
	list := make([]ports.Record, n)
	for i := range list {
		list[i] = ports.Record{Time: at, Event: ports.Rejected, Protocol: ports.TCP, LocalAddress: addr("192.0.2.1"), LocalPort: uint16(i + 1)}
	}
	return list
}

// A set has one time in its three names, and takes no other one's files.
func TestBegin(t *testing.T) {
	b := newBench(t, t.TempDir(), func(o *Options) { o.Zone = time.FixedZone("there", 2*3600) })
	want := []string{"PR-INITIAL-2026-11-30T14-00-00.log", "PR-PORTS-2026-11-30T14-00-00.log", "PR-PIDS-2026-11-30T14-00-00.log"}
	there := func() (names []string) {
		entries, err := os.ReadDir(b.folder)
		b.must(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	sorted := slices.Sorted(slices.Values(want))
	if got := b.Names(noon); !slices.Equal(got, want) || !slices.Equal(there(), sorted) {
		t.Errorf("%q, and there are %q, want %q", got, there(), want)
	}
	os.Remove(filepath.Join(b.folder, want[0]))
	if _, err := b.Begin(noon); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one of that time: %v", err)
	}
	if got := there(); !slices.Equal(got, sorted[1:]) {
		t.Errorf("what could not begin left %q", got)
	}
}

// The sizes that a set tells are those of its files.
func TestBytes(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	b.must(t, b.set.Write(many(1000, noon)))
	b.whole(t)
	sizes := map[string]int64{}
	for _, kind := range kinds {
		sizes[kind] = int64(len(b.read(t, kind)))
	}
	largest, all := b.set.Bytes()
	if sizes["INITIAL"] == 0 || largest != max(sizes["PORTS"], sizes["PIDS"]) || all != sizes["INITIAL"]+sizes["PORTS"]+sizes["PIDS"] {
		t.Errorf("%d of %d, the files have %v", largest, all, sizes)
	}
}

// Files that are full say of further processes what is short.
func TestFullFiles(t *testing.T) {
	b := newBench(t, t.TempDir(), func(o *Options) { o.Bytes = 1 })
	exe, err := os.Executable()
	b.must(t, err)
	now := time.Now()
	for _, uid := range []uint32{0, 1} {
		b.must(t, b.set.Write([]ports.Record{{Time: now, Event: ports.Opened, Protocol: ports.UDP, Process: ports.Process{PID: os.Getpid(), Exe: exe, UID: uid}}}))
	}
	b.whole(t)
	for _, kind := range []string{"INITIAL", "PIDS"} {
		text := b.read(t, kind)
		if !strings.Contains(text, exe) || !strings.Contains(text, "The file is full") || strings.Count(text, "Modules:") > 1 {
			t.Errorf("%s has\n%s", kind, text)
		}
	}
}

// What is read of processes and of the machine keeps nobody who writes records waiting.
func TestWriteWaitsForNoProcess(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, t.TempDir(), func(o *Options) {
		o.Services = func() (services.Catalogue, error) { <-release; return nil, nil }
	})
	b.must(t, b.set.Write(many(10, noon)))
	rows, err := parsePorts(b.read(t, "PORTS"))
	if err != nil || len(rows) != 10 {
		t.Errorf("%d lines, %v", len(rows), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.must(t, b.set.Close())
	if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v before it is whole", err)
	}
	close(release)
	b.must(t, b.Wait(t.Context()))
}

// PR-PIDS has each process once, with what /proc says of it. Of one that ended only the record's
// words are there, and a number that another process has by now is nobody's.
func TestPIDs(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	exe, err := os.Executable()
	b.must(t, err)
	own := ports.Process{PID: os.Getpid(), Name: "reporter.test", Exe: exe, UID: uint32(os.Geteuid())}
	child := exec.Command("true")
	b.must(t, child.Run())
	gone := ports.Process{PID: child.Process.Pid, Name: "true\n", Exe: "/usr/bin/true", User: "ann", UID: 1000}
	other := ports.Process{PID: os.Getpid(), Name: "another", Exe: "/usr/bin/another"}
	now := time.Now()
	early := own
	early.UID++ // another key
	var list []ports.Record
	for _, p := range []ports.Process{own, own, gone, other, gone} {
		list = append(list, ports.Record{Time: now, Event: ports.Opened, Protocol: ports.UDP, Process: p})
	}
	list = append(list, ports.Record{Time: noon.AddDate(-20, 0, 0), Event: ports.Opened, Protocol: ports.UDP, Process: early},
		ports.Record{Time: now, Event: ports.Rejected})
	b.must(t, b.set.Write(list))
	b.whole(t)
	blocks := strings.SplitAfter(strings.TrimSuffix(b.read(t, "PIDS"), "\n\n"), "\n\n")
	if head := blocks[0]; !strings.HasPrefix(head, "Processes of PR-PORTS-") || !strings.Contains(head, "\n  Host:      mx1\n") {
		t.Errorf("the head is %q", head)
	}
	blocks = blocks[1:]
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of 4: %q", len(blocks), blocks)
	}
	for _, want := range []string{fmt.Sprintf("Process %d, first seen ", os.Getpid()), "  File:      " + exe + "\n",
		fmt.Sprintf("  Parent:    %d\n", os.Getppid()), "  Started:   ", "  Cgroup:    /", "  Arguments: ", "  Modules:\n    0x0000"} {
		if !strings.Contains(blocks[0], want) {
			t.Errorf("our block lacks %q: %s", want, blocks[0])
		}
	}
	for i, wants := range map[int][]string{1: {`Name:      true\x0a`, "User:      ann (1000)"}, 2: {"another"}, 3: {exe}} {
		for _, want := range append(wants, "It ended before it could be read.") {
			if !strings.Contains(blocks[i], want) || strings.Contains(blocks[i], "Modules:") {
				t.Errorf("block %d lacks %q: %s", i, want, blocks[i])
			}
		}
	}
}

// PR-INITIAL says what the machine is and which sockets and processes it has.
func TestInitial(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	watches := false
	b := newBench(t, t.TempDir(), func(o *Options) {
		status := o.Status
		o.Status = func() (ports.Status, bool) {
			known, _ := status()
			return known, watches
		}
		o.Services = func() (services.Catalogue, error) {
			comm, err := os.ReadFile("/proc/self/comm")
			return services.Catalogue{{Name: "tests", Description: "The tests.", Processes: []string{strings.TrimSpace(string(comm))}}}, err
		}
	})
	watches = true // the engine begins after the files
	b.must(t, b.set.Write([]ports.Record{{Time: noon, Event: ports.Began}}))
	b.whole(t)
	text := b.read(t, "INITIAL")
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	b.must(t, err)
	for _, want := range []string{"by diagsh 1\n", "  Begun:     2026-11-30 12:00:00 ", "  Host:      mx1\n", "  Kernel:    Linux " + strings.TrimSpace(string(release)),
		"  Clock:     ", "  Tier:      B, ", "There is no tracefs.", "Columns of PR-PORTS-2026-11-30T12-00-00.log:\ndate,time,protocol,",
		fmt.Sprintf("\nProcess %d\n  File:      %s\n", os.Getpid(), os.Args[0]), "Process 1\n", "tests: The tests. (process "} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	row := ""
	for line := range strings.Lines(text) {
		if strings.Contains(line, l.Addr().String()) {
			row = line
		}
	}
	if f := strings.Fields(row); len(f) != 8 || f[0] != "tcp4" || f[4] != "*:*" && f[4] != "[*]:*" || f[5] != "LISTEN" || !strings.HasPrefix(f[6], fmt.Sprint(os.Getpid(), "/")) {
		t.Errorf("our listener is in %q", row)
	}
	if t.Failed() {
		t.Logf("%.3000s", text)
	}
}

// A full disk leaves whole lines, says so, and lines go on when there is room again.
func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	disktest.Tmpfs(t, folder, "256k")
	b := newBench(t, folder, nil)
	ballast := filepath.Join(folder, "ballast")
	b.must(t, os.WriteFile(ballast, make([]byte, 64<<10), 0o600))
	var err error
	for n := 0; err == nil && n < 100; n++ {
		err = b.set.Write(many(100, noon))
	}
	if err == nil {
		t.Fatal("the disk is never full")
	}
	before, err := parsePorts(b.read(t, "PORTS"))
	b.must(t, err)
	b.must(t, os.Remove(ballast))
	b.must(t, b.set.Write(many(1, noon)))
	after, err := parsePorts(b.read(t, "PORTS"))
	if err != nil || len(after) != len(before)+1 {
		t.Errorf("%d lines after %d, %v", len(after), len(before), err)
	}
}

// What is written in the background stops at each step until who bounds the log has looked at it, and
// PR-INITIAL lists no more sockets than the file may have.
func TestBackgroundWaits(t *testing.T) {
	var sockets []net.Listener
	for range 400 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, l)
	}
	defer func() {
		for _, l := range sockets {
			l.Close()
		}
	}()
	looks := make(chan struct{})
	b := newBench(t, t.TempDir(), func(o *Options) {
		o.Bytes = 16 << 10
		o.Grew = func() { looks <- struct{}{} }
	})
	b.must(t, b.set.Write([]ports.Record{{Event: ports.Listening, Protocol: ports.TCP, Time: noon}}))
	whole := make(chan struct{})
	go func() {
		defer close(whole)
		b.whole(t)
	}()
	var before int64
	for steps := 0; ; steps++ {
		select {
		case <-looks:
			_, now := b.set.Bytes()
			if now-before > 2*growStep {
				t.Errorf("it grew from %d to %d at once", before, now)
			}
			before = now
			continue
		case <-whole:
		}
		break
	}
	text := b.read(t, "INITIAL")
	if !strings.Contains(text, " more\n") {
		t.Errorf("PR-INITIAL has all sockets:\n%s", text)
	}
}
