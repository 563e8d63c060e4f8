package e2e_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/await"
)

// What strangers make the front do takes little from the appliance: on the machine itself its
// commands are as quick as they are on a machine that is busy, and captures lose nothing.
const (
	lineGoal    = time.Second
	lineFactor  = 10
	frontMemory = 512 << 20
)

func TestFloodStarvesNobody(t *testing.T) {
	b := newBed(t)
	traffic := startStream(b.ns.Frames(t, "right"))
	if r := b.Local("packetcapture start name survivor interface left filter 'udp port 9999'"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	began := traffic.sent.Load()
	before := median(b.lines())

	quit, tried := make(chan struct{}), atomic.Int64{}
	var strangers sync.WaitGroup
	for range 32 {
		strangers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					b.stranger()
					tried.Add(1)
				}
			}
		})
	}
	await.Until(t, "the flood", func() bool { return tried.Load() >= 64 })
	took := b.lines()
	memory := memoryPeak(t, b.Front())
	close(quit)
	strangers.Wait()
	t.Logf("lines on the machine took %v, and %v before %d strangers had exchanged keys; the front had %d MB", took, before, tried.Load(), memory>>20)
	if limit := max(lineGoal, lineFactor*before); median(took) > limit {
		t.Errorf("lines on the machine take %v, more than %v", median(took), limit)
	}
	if memory > frontMemory {
		t.Errorf("the front had %d bytes", memory)
	}
	b.nothingLost(traffic, began)
}

// stranger exchanges keys, which costs the front most, and shows keys that open nothing. That it is
// refused at the door is no failure.
func (b *bed) stranger() {
	wire, err := b.Dial()
	if err != nil {
		return
	}
	defer wire.Close()
	wire.SetDeadline(time.Now().Add(await.Patience))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		b.t.Error(err)
		return
	}
	conn, _, _, err := ssh.NewClientConn(wire, "", &ssh.ClientConfig{
		User: "op", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		conn.Close()
		b.t.Error("a stranger is in")
	}
}

// lines are the times that a line over the appliance's own socket takes, in order.
func (b *bed) lines() (took []time.Duration) {
	b.t.Helper()
	for range 9 {
		began := time.Now()
		if r := b.Local("whoami"); r.Status != 0 {
			b.t.Fatalf("%+v", r)
		}
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	return took
}

var peak = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB`)

// memoryPeak is the most memory that a process ever had (proc_pid_status(5)).
func memoryPeak(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := peak.FindSubmatch(text)
	if m == nil {
		t.Fatalf("no VmHWM in\n%s", text)
	}
	kilobytes, _ := strconv.Atoi(string(m[1]))
	return kilobytes << 10
}
