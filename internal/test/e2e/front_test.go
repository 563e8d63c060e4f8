package e2e_test

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"
)

// attacking builds a program whose front attacks the appliance as soon as it is confined, before it
// serves.
func attacking(t *testing.T) string {
	t.Helper()
	netnstest.NeedsRoot(t, "an appliance, which this builds")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replaced := map[string]string{}
	replace := func(name, source, old, new string) {
		t.Helper()
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), old) != 1 {
			t.Fatalf("%s does not have %q once", source, old)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(root, name)] = file
	}
	const serves = "\tif err := serveNetwork("
	replace("front.go", filepath.Join(root, "front.go"), serves, "\tattack(control, log)\n"+serves)
	key := base64.StdEncoding.EncodeToString(appliance.Key("admin").PublicKey().Marshal())
	replace("attack.go", "testdata/attack/attack.go", "ADMIN KEY", key)
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "diagsh")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-overlay", overlay, "-o", program, ".")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return program
}

var attackSaid = regexp.MustCompile(`msg=attack what=("(?:[^"\\]|\\.)*"|\S+) got=("(?:[^"\\]|\\.)*"|\S+)`)

// Code of somebody else in the front opens no file, no socket and no process, reaches no other
// process, and is believed nothing; the appliance serves on.
func TestAttackFromTheFront(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Program: attacking(t)})
	await.Until(t, "the end of the attack", func() bool { return strings.Contains(a.Log(), "what=over") })
	log := a.Log()
	tries := attackSaid.FindAllStringSubmatch(log, -1)
	if len(tries) < 60 {
		t.Errorf("only %d tries:\n%s", len(tries), log)
	}
	refusals := []string{"operation not permitted", "permission denied", // of the kernel
		"This key does not open this account", "The front asked for something unknown", "There is no such login"} // of the appliance
	for _, try := range tries {
		what, got := try[1], try[2]
		if what != "over" && !slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(got, r) }) {
			t.Errorf("%s: %s", what, got)
		}
	}
	if n := strings.Count(log, "the front broke the protocol"); n != 1 {
		t.Errorf("%d lines tell of wrong questions:\n%s", n, log)
	}
	if n := len(a.Sessions()); n != 0 {
		t.Errorf("%d sessions began", n)
	}
	for _, e := range a.Audit() {
		if e.Act == access.ActLogin && e.User == "admin" && e.Source == "192.0.2.1" {
			t.Errorf("it logged in: %+v", e)
		}
	}
	if !a.Alive() {
		t.Fatal("the appliance has ended")
	}
	if r := a.SSH("op", "whoami"); r.Status != 0 {
		t.Errorf("it does not serve: %+v", r)
	}
}

// killsEnv says how often TestFrontIsKilled kills.
const killsEnv = "DIAGSH_FRONT_KILLS"

// backGoal is how long nobody can come in when the front was killed: the median.
const backGoal = time.Second

// The front may be killed at any moment. Its sessions and logins end, captures lose nothing, it is
// back at once, and nothing is left.
func TestFrontIsKilled(t *testing.T) {
	t.Parallel()
	kills, err := strconv.Atoi(cmp.Or(os.Getenv(killsEnv), "6"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	b.put("mx1-big-20260101-000000.pcap", make([]byte, 64<<20))
	traffic := startStream(b.ns.Frames(t, "right"))
	if r := b.Local("packetcapture start name survivor interface left filter 'udp port 9999' size 4GB"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	began := traffic.sent.Load()

	people := startCrowd(b)
	b.killFront() // what the first ones need stays: threads, and memory
	b.killFront()
	descriptors, threads := b.settled(people)
	people = startCrowd(b)
	var away []time.Duration
	watch := slowness.Start(t)
	for range kills {
		away = append(away, b.killFront())
	}
	limit := watch.Limit(backGoal)
	slices.Sort(away)
	t.Logf("nobody could come in for %v, at most %v; meanwhile %d logins", median(away), away[len(away)-1], people.logins.Load())
	if median(away) > limit {
		t.Errorf("the front is back after %v, more than %v", away, limit)
	}
	afterDescriptors, afterThreads := b.settled(people)
	if afterDescriptors > descriptors {
		t.Errorf("serve has %d descriptors, %d before", afterDescriptors, descriptors)
	}
	if afterThreads > threads+threads/2 {
		t.Errorf("serve has %d threads, %d before", afterThreads, threads)
	}
	b.nothingLost(traffic, began)
	b.loginsEnded()
}

// nothingLost stops the traffic and its capture, which must have all of it from the packet with
// that number on.
func (b *bed) nothingLost(traffic *stream, from uint64) {
	b.t.Helper()
	traffic.stop()
	sent := traffic.sent.Load()
	status := func() (s capture.Status) {
		r := b.Local("packetcapture status survivor --json")
		if err := json.Unmarshal([]byte(r.Out), &s); err != nil {
			b.t.Fatalf("%+v: %v", r, err)
		}
		return s
	}
	if r := b.Local("packetcapture stop survivor"); r.Status != 0 {
		b.t.Fatalf("%+v", r)
	}
	s := status()
	if s.PacketsDropped == nil || *s.PacketsDropped != 0 || s.PacketsWritten != s.PacketsReceived || s.PacketsWritten < sent-from {
		b.t.Errorf("packets are lost: %d were sent meanwhile, and the capture is %+v", sent-from, s)
	}
}

// loginsEnded makes sure that everybody who logged in over the network has logged out.
func (b *bed) loginsEnded() {
	b.t.Helper()
	await.Until(b.t, "the ends of all logins", func() bool {
		in := map[string]bool{}
		for _, e := range b.Audit() {
			switch e.Act {
			case access.ActLogin:
				in[e.Session] = true
			case access.ActLogout:
				delete(in, e.Session)
			}
		}
		return len(in) == 0
	})
	if r := b.Local("who --json"); strings.Contains(r.Out, "127.0.0.1") {
		b.t.Errorf("somebody is in: %s", r.Out)
	}
}

// killFront kills the front in the middle of what it does, and returns for how long nobody could
// come in. The sessions of before have ended then.
func (b *bed) killFront() (away time.Duration) {
	b.t.Helper()
	front, sessions := b.Front(), b.Sessions()
	if err := unix.Kill(front, unix.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	killed := time.Now()
	await.Until(b.t, "the next front", func() bool { return b.Front() != front && b.greets() })
	away = time.Since(killed)
	for _, pid := range sessions {
		b.gone("a session of the front that was killed", pid)
	}
	// One that dies within a second of its start is left out for a while, on purpose.
	await.Until(b.t, "a front that stays", func() bool { return time.Since(killed) > away+time.Second })
	return away
}

// greets reports whether a client hears the version of SSH.
func (b *bed) greets() bool {
	c, err := b.Dial()
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(await.Patience))
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "SSH-2.0-")
}

// A crowd is people who log in, run a line, sit at a prompt and fetch a file, over and over.
type crowd struct {
	b      *bed
	quit   chan struct{}
	all    sync.WaitGroup
	logins atomic.Int64

	mu    sync.Mutex
	wires map[net.Conn]struct{}
}

func startCrowd(b *bed) *crowd {
	l := &crowd{b: b, quit: make(chan struct{}), wires: map[net.Conn]struct{}{}}
	for _, do := range []func(*ssh.Client) error{l.runsLine, l.runsLine, l.sits, l.sits, l.fetches} {
		l.all.Go(func() {
			for !l.over() {
				l.visit(do)
			}
		})
	}
	await.Until(b.t, "people at work", func() bool { return l.logins.Load() >= 5 })
	return l
}

func (l *crowd) over() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// visit logs in and does something. That the front dies meanwhile is no failure.
func (l *crowd) visit(do func(*ssh.Client) error) {
	wire, err := l.b.Dial()
	if err != nil {
		return
	}
	defer wire.Close()
	wire.SetDeadline(time.Now().Add(await.Patience))
	l.mu.Lock()
	l.wires[wire] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.wires, wire)
	}()
	conn, channels, requests, err := ssh.NewClientConn(wire, "", &ssh.ClientConfig{
		User: "op", Auth: []ssh.AuthMethod{ssh.PublicKeys(appliance.Key("op"))}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return
	}
	l.logins.Add(1)
	do(ssh.NewClient(conn, channels, requests))
}

func (l *crowd) runsLine(c *ssh.Client) error {
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	return s.Run("whoami")
}

// sits opens a shell on a terminal and stays until it is thrown out.
func (l *crowd) sits(c *ssh.Client) error {
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	if err := s.RequestPty("xterm", 40, 132, nil); err != nil {
		return err
	}
	if _, err := s.StdinPipe(); err != nil { // which stays open
		return err
	}
	if err := s.Shell(); err != nil {
		return err
	}
	return s.Wait()
}

func (l *crowd) fetches(c *ssh.Client) error {
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		for range 3 { // scp's sink: ready for the file, for its bytes, for the end
			in.Write([]byte{0})
		}
	}()
	return s.Run("scp -f diagnostic/mx1-big-20260101-000000.pcap")
}

// settled ends the crowd and waits until nothing of it is left. It returns what serve has open and
// its threads.
func (b *bed) settled(l *crowd) (descriptors, threads int) {
	b.t.Helper()
	close(l.quit)
	l.mu.Lock()
	for w := range l.wires {
		w.Close()
	}
	l.mu.Unlock()
	l.all.Wait()
	await.Until(b.t, "the end of all sessions", func() bool { return len(b.Sessions()) == 0 })
	b.loginsEnded()
	count := func(folder string) int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", b.PID(), folder))
		if err != nil {
			b.t.Fatal(err)
		}
		return len(entries)
	}
	least := count("fd")
	for quiet := time.Now(); time.Since(quiet) < time.Second; time.Sleep(10 * time.Millisecond) { // connections that are being closed
		if n := count("fd"); n < least {
			least, quiet = n, time.Now()
		}
	}
	return least, count("task")
}
