package reporter

import (
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/diag/processes"
	"diagsh/internal/test/await"
)

// TestBlocksAreOfTheirProcess: of sets that follow each other quickly the later ones say of a process
// what was read for the one before, and when; but not of one that has become another program, nor for
// longer than a minute.
func TestBlocksAreOfTheirProcess(t *testing.T) {
	// The shell becomes another program when it is told so.
	c := exec.Command("sh", "-c", "read word; exec sleep 1000")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	find := func(name string) (p processes.Process) {
		await.Until(t, name+" runs", func() bool {
			all, err := processes.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p = range all {
				if p.PID == c.Process.Pid && p.Name == name {
					return true
				}
			}
			return false
		})
		return p
	}
	p := find("sh")
	d, err := processes.ReadDetail(p.PID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	local := func(time.Time) string { return "noon" }
	var b blocks
	now := time.Now().Add(time.Second) // it began a while ago
	b.next(now).keep(p, d.Exe, "text\n", now)
	if text := b.next(now.Add(time.Second)).of(p, local); text != "" {
		t.Errorf("%q, though sets did not follow each other quickly", text)
	}
	b.keep(p, d.Exe, "text\n", now)
	want := "Process " + strconv.Itoa(p.PID) + ", as it was at noon\ntext\n"
	for range 2 {
		if text := b.next(now.Add(2*time.Second)).of(p, local); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
	if text := b.next(now.Add(keepBlocks+time.Second)).of(p, local); text != "" {
		t.Errorf("%q after %s", text, keepBlocks)
	}
	b.keep(p, d.Exe, "text\n", now)
	b.began = now
	later := p
	later.Started = now.Add(time.Second)
	if text := b.next(now.Add(time.Second)).of(later, local); text != "" {
		t.Errorf("%q of one that has the number now", text)
	}
	b.keep(p, d.Exe, "text\n", now)
	io.WriteString(in, "word\n")
	renamed := find("sleep")
	b.next(now.Add(2 * time.Second))
	if text := b.of(renamed, local); text != "" {
		t.Errorf("%q of another program", text)
	}
	renamed.Name = p.Name // which is not all that is looked at
	if text := b.of(renamed, local); text != "" {
		t.Errorf("%q of another program of that name", text)
	}
}

// TestBlocksAreBounded: no more text is kept than is allowed.
func TestBlocksAreBounded(t *testing.T) {
	now := time.Now()
	var b blocks
	b.next(now)
	b.next(now)
	for pid := range 100 {
		b.keep(processes.Process{PID: pid}, "", strings.Repeat("x", mostBlocks/10), now)
	}
	if len(b.now) != 10 {
		t.Errorf("%d of 10 are kept", len(b.now))
	}
}

// TestWaitingSocketsAreFew: of the connections in TIME_WAIT some are listed, the others are counted.
func TestWaitingSocketsAreFew(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range mostWaiting + 20 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.Read(make([]byte, 1))
		s.Close()
	}
	b := newBench(t, t.TempDir(), nil)
	b.whole(t)
	text := b.read(t, "INITIAL")
	if rows := strings.Count(text, " TIME_WAIT "); rows != mostWaiting {
		t.Errorf("%d are listed", rows)
	}
	more := regexp.MustCompile(`(?m)^and (\d+) more in TIME_WAIT`).FindStringSubmatch(text)
	if more == nil {
		t.Fatal("the others are not counted")
	}
	if n, _ := strconv.Atoi(more[1]); n < 20 {
		t.Errorf("%s more", more[1])
	}
}
