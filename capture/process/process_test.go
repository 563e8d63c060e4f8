package process_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/process"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// A bed is two machines, near and far, on an Ethernet. The capture is on the near one.
type bed struct {
	testing.TB
	near, far *netnstest.Namespace
	python    string // an interpreter
	wanted    string // the same, by another name
	home      string // of its library
}

// wanted is a name that no process of another run of these tests has.
var wanted = fmt.Sprintf("wanted%d", os.Getpid())

const (
	nearAddress, farAddress   = "192.0.2.1", "192.0.2.2"
	nearAddress6, farAddress6 = "2001:db8::1", "2001:db8::2"
)

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{TB: t, near: netnstest.New(t), far: netnstest.New(t)}
	netnstest.Ethernet(t, b.near, "net0", b.far, "net0", 0)
	b.near.Address(t, "net0", nearAddress+"/24", nearAddress6+"/64")
	b.far.Address(t, "net0", farAddress+"/24", farAddress6+"/64")
	// What is in PATH may be a script that looks for an interpreter.
	where, err := exec.Command(netnstest.Tool(t, "python3"), "-c",
		"import os, sys; print(os.path.realpath(sys.executable)); print(sys.prefix)").Output()
	if err != nil {
		t.Fatal(err)
	}
	b.python, b.home, _ = strings.Cut(strings.TrimSpace(string(where)), "\n")
	text, err := os.ReadFile(b.python)
	if err != nil {
		t.Fatal(err)
	}
	b.wanted = filepath.Join(t.TempDir(), wanted)
	if err := os.WriteFile(b.wanted, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// A peer is a process that does what the test says.
type peer struct {
	testing.TB
	command *exec.Cmd
	in      io.Writer
	out     *bufio.Reader
}

// interpreter has a process run the lines that it reads, each of which answers by a line.
const interpreter = `
import sys, os, socket, struct, subprocess, threading, time
from socket import *
def tcp(to, family=AF_INET):
    s = socket(family, SOCK_STREAM); s.connect(to); return s
def listener(at, family=AF_INET):
    s = socket(family, SOCK_STREAM); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); s.bind(at); s.listen(64); return s
def udp(at=None, family=AF_INET):
    s = socket(family, SOCK_DGRAM); s.settimeout(20)
    if at: s.bind(at)
    return s
def port(s): return s.getsockname()[1]
def talk(s):
    s.sendall(b'x' * 3000); s.shutdown(SHUT_WR)
    while s.recv(65536): pass
    s.close()
def echo(s):
    while True:
        b = s.recv(65536)
        if not b: break
        s.sendall(b)
    s.close()
def server(at, family=AF_INET):
    l = listener(at, family)
    def run():
        while True:
            c, _ = l.accept()
            threading.Thread(target=echo, args=(c,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
    return l
def udpserver(at, family=AF_INET):
    s = udp(at, family); s.settimeout(None)
    def run():
        while True:
            b, a = s.recvfrom(65536); s.sendto(b, a)
    threading.Thread(target=run, daemon=True).start()
    return s
def rounds(s, to):
    s.sendto(b'y' * 100, to); s.recvfrom(65536)
me = dict(globals())
for line in sys.stdin:
    answer = ''
    me['answer'] = ''
    exec(line.rstrip('\n').replace('\\n', '\n'), me)
    print(me['answer'], flush=True)
`

func (b *bed) peer(ns *netnstest.Namespace, program string) *peer {
	b.Helper()
	p := &peer{TB: b.TB}
	ns.Do(b, func() {
		p.command = exec.Command(program, "-c", interpreter)
		p.command.Stderr, p.command.Env = os.Stderr, append(os.Environ(), "PYTHONHOME="+b.home)
		in, err := p.command.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := p.command.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		p.in, p.out = in, bufio.NewReader(out)
		if err := p.command.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { in.Close(); p.command.Process.Kill(); p.command.Wait() })
	})
	return p
}

// do runs statements and returns their answer, which is a list of what is between blanks.
func (p *peer) do(format string, arguments ...any) []string {
	p.Helper()
	text := strings.ReplaceAll(fmt.Sprintf(format, arguments...), "\n", `\n`)
	if _, err := fmt.Fprintln(p.in, text); err != nil {
		p.Fatal(err)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		p.Fatalf("%s: %v", text, err)
	}
	return strings.Fields(answer)
}

// A recording is the packets of a source.
type recording struct {
	testing.TB
	source  capture.Source
	asked   atomic.Bool // to end
	packets chan []packet
}

// A packet is what two sockets see alike; their times differ.
type packet struct {
	position uint32 // of the interface
	data     string
}

// record captures on the near machine; process may be empty.
func (b *bed) record(process string, interfaces ...string) *recording {
	b.Helper()
	r, err := b.tryRecord(afpacket.Options{RingBytes: 64 << 20, Process: process}, interfaces...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bed) tryRecord(o afpacket.Options, interfaces ...string) (*recording, error) {
	b.Helper()
	r := &recording{TB: b.TB, packets: make(chan []packet, 1)}
	var err error
	b.near.Do(b, func() {
		list, e := afpacket.Resolve(interfaces)
		if e != nil {
			b.Fatal(e)
		}
		var taps []capture.Tap
		for _, i := range list {
			taps = append(taps, capture.Tap{Interface: i, SnapLength: capture.MaxSnapLength})
		}
		r.source, err = o.Open(taps)
	})
	if err != nil {
		return nil, err
	}
	go r.read()
	b.Cleanup(func() {
		if !r.asked.Load() {
			r.stop()
		}
		r.source.Close()
	})
	return r, nil
}

// read reads packets until stop asks it to end.
func (r *recording) read() {
	var list []packet
	defer func() { r.packets <- list }()
	batch := make([]capture.Packet, 256)
	for finished := false; ; {
		if !finished && r.asked.Load() {
			finished = true
			if err := r.source.Finish(); err != nil {
				r.Error(err)
				return
			}
		}
		n, err := r.source.Read(batch, time.Time{})
		for _, p := range batch[:n] {
			list = append(list, packet{p.Interface, string(p.Data)})
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil && !errors.Is(err, capture.ErrInterfacesChanged) {
			r.Error(err)
			return
		}
	}
}

// stop ends a recording and returns what it has.
func (r *recording) stop() []packet {
	r.Helper()
	r.asked.Store(true)
	r.source.Wake()
	list := <-r.packets
	for _, c := range r.source.Counters() {
		if c.Dropped > 0 {
			r.Fatalf("%d packets were dropped", c.Dropped)
		}
	}
	return list
}

// An owner is what the test knows of the ports of the process.
type owner map[string]bool

func (o owner) add(protocol string, ports ...string) {
	for _, p := range ports {
		o[protocol+p] = true
	}
}

// has reports whether a packet has a port of the process at either end, or is an error about one.
// Those whose data is of the letter f are fragments of its.
func (o owner) has(p packet) bool {
	if strings.Contains(p.data, strings.Repeat("f", 100)) {
		return true
	}
	decoded := gopacket.NewPacket([]byte(p.data), layers.LayerTypeEthernet, gopacket.Default)
	if l, ok := decoded.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
		return o[fmt.Sprintf("tcp%d", l.SrcPort)] || o[fmt.Sprintf("tcp%d", l.DstPort)]
	}
	if l, ok := decoded.Layer(layers.LayerTypeUDP).(*layers.UDP); ok {
		return o[fmt.Sprintf("udp%d", l.SrcPort)] || o[fmt.Sprintf("udp%d", l.DstPort)]
	}
	if l, ok := decoded.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok && len(l.Payload) >= 28 {
		return o[fmt.Sprintf("udp%d", int(l.Payload[20])<<8|int(l.Payload[21]))]
	}
	return false
}

func describe(p packet) string {
	decoded := gopacket.NewPacket([]byte(p.data), layers.LayerTypeEthernet, gopacket.Default)
	text := fmt.Sprint(p.position)
	for _, l := range decoded.Layers() {
		if f, ok := l.(interface{ TransportFlow() gopacket.Flow }); ok {
			text += " " + f.TransportFlow().String()
		}
		switch l := l.(type) {
		case *layers.IPv4:
			text += fmt.Sprintf(" %s id %d frag %d %s", l.NetworkFlow(), l.Id, l.FragOffset, l.Flags)
		case *layers.IPv6:
			text += " " + l.NetworkFlow().String()
		case *layers.TCP:
			text += fmt.Sprintf(" tcp syn %v ack %v fin %v rst %v", l.SYN, l.ACK, l.FIN, l.RST)
		case *layers.UDP:
			text += " udp"
		case *layers.ICMPv4:
			text += " " + l.TypeCode.String()
		}
	}
	return text
}

// compare fails the test unless the one recording has exactly those packets of the other that are
// the owner's.
func compare(t testing.TB, all, some []packet, o owner) {
	t.Helper()
	left := make(map[packet]int)
	others := 0
	for _, p := range all {
		if o.has(p) {
			left[p]++
		} else {
			others++
		}
	}
	ours := len(all) - others
	for _, p := range some {
		if left[p] == 0 {
			t.Errorf("captured, and not of the process: %s", describe(p))
		}
		if left[p]--; left[p] == 0 {
			delete(left, p)
		}
	}
	var missing []packet
	for p, n := range left {
		if n > 0 {
			missing = append(missing, p)
		}
	}
	for _, p := range missing {
		t.Errorf("of the process, and not captured: %s", describe(p))
	}
	t.Logf("%d packets of the process, %d captured, %d missing; %d packets of others", ours, len(some), len(missing), others)
	if ours == 0 || others == 0 {
		t.Error("the test says nothing")
	}
}

// noise has a process talk until the function is called. Its ports are below those that the kernel
// chooses: two processes may have the same port there, each with another end, and the test tells
// packets by ports.
func noise(p *peer) (stop func()) {
	p.do(`
go = True
own = 10000
def mine(kind, to):
    global own
    own += 1
    s = socket(AF_INET, kind); s.settimeout(20); s.bind(('', own))
    if kind == SOCK_STREAM: s.connect(to)
    return s
def run():
    while go and own < 30000:
        talk(mine(SOCK_STREAM, ('%[1]s', 7000))); talk(mine(SOCK_STREAM, ('127.0.0.1', 7100)))
        for size, to in (100, ('%[1]s', 7001)), (100, ('127.0.0.1', 7101)), (4000, ('%[1]s', 7001)):
            s = mine(SOCK_DGRAM, to); s.sendto(b'n' * size, to); s.recvfrom(65536); s.close()
noisy = threading.Thread(target=run); noisy.start()`, farAddress)
	return func() { p.do("go = False; noisy.join()") }
}

// start makes the machines talk: the far one serves, and another process of the near one, too.
func (b *bed) start() (far, other *peer) {
	far, other = b.peer(b.far, b.python), b.peer(b.near, b.python)
	far.do("server(('0.0.0.0', 7000)); server(('::', 7002), AF_INET6); udpserver(('0.0.0.0', 7001)); udpserver(('::', 7003), AF_INET6)")
	other.do("server(('127.0.0.1', 7100)); udpserver(('127.0.0.1', 7101))")
	return far, other
}

// work is what the process does while it is captured. It returns its ports.
func (b *bed) work(p, far, other *peer, o owner) {
	b.Helper()
	o.add("tcp", p.do("s = tcp(('%s', 7000)); answer = port(s); talk(s)", farAddress)...)
	o.add("tcp", p.do("s = tcp(('%s', 7002), AF_INET6); answer = port(s); talk(s)", farAddress6)...)
	o.add("tcp", p.do("s = tcp(('::ffff:%s', 7000), AF_INET6); answer = port(s); talk(s)", farAddress)...)
	o.add("tcp", p.do("s = tcp(('127.0.0.1', 7100)); answer = port(s); talk(s)")...)
	o.add("tcp", p.do("s = socket(); s.bind(('0.0.0.0', 0)); answer = port(s); e = s.connect_ex(('%s', 9)); s.close()", farAddress)...)
	o.add("udp", p.do("s = udp(); s.connect(('%s', 7001)); answer = port(s); s.send(b'z'); s.recv(9); s.close()", farAddress)...)
	o.add("udp", p.do("s = udp(); rounds(s, ('%s', 7001)); answer = port(s); s.close()", farAddress)...)
	o.add("udp", p.do("s = udp(family=AF_INET6); rounds(s, ('%s', 7003)); answer = port(s); s.close()", farAddress6)...)
	o.add("udp", p.do("s = udp(); rounds(s, ('127.0.0.1', 7101)); answer = port(s); s.close()")...)
	// The port is closed there: ICMP says so.
	o.add("udp", p.do("s = udp(); s.connect(('%s', 9)); answer = port(s); s.send(b'z')\ntry: s.recv(9)\nexcept OSError: pass\ns.close()", farAddress)...)
	// A large datagram is sent, and answered, in fragments. An answer comes from another port.
	o.add("udp", p.do("s = udp(); s.sendto(b'f' * 4000, ('%s', 7001)); s.recvfrom(65536); answer = port(s)", farAddress)...)
	far.do("u = udp(('0.0.0.0', 0)); u.sendto(b'from elsewhere', ('%s', %s))", nearAddress, p.do("answer = port(s)")[0])
	p.do("s.recvfrom(99); s.close()")
	// A server, asked by a neighbour and from afar; one that only receives.
	listener := p.do("l = server(('0.0.0.0', 0)); l6 = server(('::', 0), AF_INET6); v = udp(('0.0.0.0', 0)); answer = '%%d %%d %%d' %% (port(l), port(l6), port(v))")
	o.add("tcp", listener[:2]...)
	o.add("udp", listener[2])
	far.do("talk(tcp(('%s', %s))); talk(tcp(('%s', %s))); talk(tcp(('%s', %s), AF_INET6))", nearAddress, listener[0], nearAddress, listener[1], nearAddress6, listener[1])
	other.do("talk(tcp(('127.0.0.1', %s))); talk(tcp(('%s', %s)))", listener[0], nearAddress, listener[1])
	far.do("udp().sendto(b'hello', ('%s', %s))", nearAddress, listener[2])
	p.do("v.recvfrom(99)")
	// Children: one that serves what it accepts, one of another image.
	listener = p.do(`
f = listener(('0.0.0.0', 0))
def child():
    for i in range(3):
        c, _ = f.accept(); echo(c)
    os._exit(0)
pids = []
for i in range(2):
    pid = os.fork()
    if pid == 0: child()
    pids.append(pid)
answer = port(f)`)
	o.add("tcp", listener...)
	far.do("[talk(tcp(('%s', %s))) for i in range(6)]", nearAddress, listener[0])
	p.do("[os.waitpid(pid, 0) for pid in pids]")
	o.add("tcp", p.do(`
code = "from socket import *; s = socket(); s.connect(('%s', 7000)); print(s.getsockname()[1]); s.sendall(b'x'); s.recv(9)"
answer = subprocess.check_output(['%s', '-c', code]).decode().strip()`, farAddress, b.python)...)
}

// TestOnlyTheProcess: exactly the packets of the process, by name, of sockets that it has already and
// of those that it gets, while another one is noisy.
func TestOnlyTheProcess(t *testing.T) {
	for _, by := range []string{"name", "number"} {
		t.Run(by, func(t *testing.T) {
			b := newBed(t)
			far, other := b.start()
			p := b.peer(b.near, b.wanted)
			o := owner{}
			// What is open when the capture begins.
			o.add("tcp", p.do("before = tcp(('%s', 7000)); old = server(('0.0.0.0', 0)); answer = '%%d %%d' %% (port(before), port(old))", farAddress)...)
			o.add("udp", p.do("bound = udpserver(('0.0.0.0', 0)); answer = port(bound)")...)
			all := b.record("", "lo", "net0")
			name := wanted
			if by == "number" {
				name = fmt.Sprint(p.command.Process.Pid)
			}
			some := b.record(name, "lo", "net0")
			stop := noise(other)
			far.do("talk(tcp(('%s', %s)))", nearAddress, p.do("answer = port(old)")[0])
			far.do("rounds(udp(), ('%s', %s))", nearAddress, p.do("answer = port(bound)")[0])
			p.do("before.sendall(b'x'); before.recv(9)")
			b.work(p, far, other, o)
			stop()
			p.do("before.shutdown(SHUT_WR); before.recv(9); before.close()")
			compare(t, all.stop(), some.stop(), o)
		})
	}
}

// TestLaterProcess: a process that starts after the capture is captured from its first SYN on, and so
// are several rings.
func TestLaterProcess(t *testing.T) {
	b := newBed(t)
	far, other := b.start()
	all := b.record("", "lo", "net0")
	some, err := b.tryRecord(afpacket.Options{RingBytes: 64 << 20, Process: wanted, Rings: 2}, "lo", "net0")
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := some.source.(capture.Following).Processes(); !ok || n.Processes != 0 {
		t.Errorf("%+v processes are followed, %v", n, ok)
	}
	stop := noise(other)
	p := b.peer(b.near, b.wanted)
	o := owner{}
	b.work(p, far, other, o)
	if n, _ := some.source.(capture.Following).Processes(); n.Processes != 1 || n.NoRoom != 0 {
		t.Errorf("%+v processes are followed", n)
	}
	p.command.Process.Kill()
	await.Until(t, "the end of the process", func() bool {
		n, _ := some.source.(capture.Following).Processes()
		return n.Processes == 0
	})
	stop()
	compare(t, all.stop(), some.stop(), o)
}

// TestNoRoom: a process that the tables have no room for is counted, since its packets are missing.
func TestNoRoom(t *testing.T) {
	b := newBed(t)
	var f *process.Filter
	var err error
	b.near.Do(t, func() { f, err = process.Open(wanted) })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := f.Followed(); n.NoRoom > 0 {
		t.Errorf("%+v", n)
	}
	if err := f.Fill(); err != nil {
		t.Fatal(err)
	}
	b.peer(b.near, b.wanted)
	await.Until(t, "the process to be missed", func() bool { return f.Followed().NoRoom > 0 })
}
