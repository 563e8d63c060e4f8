package e2e_test

import (
	"encoding/binary"
	"encoding/hex"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// A stream is traffic that goes on until it is stopped: datagrams to port 9999 with a number and
// the time.
type stream struct {
	sent atomic.Uint64
	stop func()
}

func startStream(w *netnstest.Frames) *stream {
	s := &stream{}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		payload := make([]byte, 400)
		for {
			for range 10 {
				binary.BigEndian.PutUint64(payload, s.sent.Load())
				binary.BigEndian.PutUint64(payload[8:], uint64(time.Now().UnixNano()))
				if w.Send(netnstest.UDP(9999, payload)) == nil {
					s.sent.Add(1)
				}
			}
			select {
			case <-quit:
				return
			case <-pace.C:
			}
		}
	}()
	s.stop = func() { close(quit); <-ended }
	return s
}

// gone waits for the end of a process that is not this one's child.
func (b *bed) gone(what string, pid int) {
	b.t.Helper()
	await.Until(b.t, "the end of "+what, func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

// A capture survives its session and the client. What the death of the appliance interrupts is kept
// up to the last second.
func TestKilled(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "openssh-client")
	need(t, "tshark", "tshark")
	for _, format := range []string{"pcap", "pcapng"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			testKilled(t, format)
		})
	}
}

func testKilled(t *testing.T, format string) {
	b := newBed(t)
	traffic := startStream(b.ns.Frames(t, "right"))
	defer traffic.stop()

	// A person starts the capture and loses first the session, then the client of a second one.
	ssh, session := b.person("packetcapture start name survivor interface left filter 'udp port 9999' format " + format)
	unix.Kill(session, unix.SIGKILL)
	b.gone("the session", session)
	ssh.Wait()
	b.stillWrites()
	ssh, session = b.person("packetcapture status survivor")
	ssh.Process.Kill()
	ssh.Wait()
	b.gone("the session whose client was killed", session)
	b.stillWrites()

	_, session = b.person("packetcapture status survivor")
	await.Until(b.t, "two seconds of traffic", func() bool { return b.capture("survivor").PacketsWritten > 10_000 })
	killed := time.Now()
	b.Kill()
	b.gone("the session of the appliance that was killed", session)
	sent := traffic.sent.Load()
	b.Restart()

	s := b.capture("survivor")
	if s.State != capture.Stopped || s.StopReason != capture.Interrupted || len(s.Files) != 1 {
		t.Fatalf("after the restart the capture is %+v", s)
	}
	local := filepath.Join(t.TempDir(), "survivor")
	if r := b.sftp("op", "get diagnostic/"+s.Files[0].Name+" "+local); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	got := payloads(t, local)
	if uint64(len(got)) != s.PacketsWritten || uint64(len(got)) > sent || len(got) == 0 {
		t.Fatalf("the file has %d packets of %d, its capture says %d", len(got), sent, s.PacketsWritten)
	}
	first, _ := stamp(t, got[0])
	for i, p := range got {
		if n, _ := stamp(t, p); n != first+uint64(i) {
			t.Fatalf("packet %d of the file is number %d of those sent, want %d", i, n, first+uint64(i))
		}
	}
	_, last := stamp(t, got[len(got)-1])
	if lost := killed.Sub(last); lost > time.Second {
		t.Errorf("the last %v before the end are lost", lost)
	}
	t.Logf("%d packets kept; the last one was sent %v before the end", len(got), killed.Sub(last).Round(time.Millisecond))
}

// person logs in by OpenSSH's client on a terminal and runs a command. It returns the client and
// its session process, the only one.
func (b *bed) person(line string) (*exec.Cmd, int) {
	b.t.Helper()
	w := b.window("op", "mx1> ")
	w.says(line, "mx1> ")
	sessions := b.Sessions()
	if len(sessions) != 1 {
		b.t.Fatalf("there are the session processes %v; the screen shows\n%s", sessions, w.All())
	}
	return w.client, sessions[0]
}

// stillWrites makes sure that packets are still written.
func (b *bed) stillWrites() {
	b.t.Helper()
	before := b.capture("survivor")
	if before.State != capture.Running {
		b.t.Fatalf("the capture is %+v", before)
	}
	await.Until(b.t, "more packets", func() bool { return b.capture("survivor").PacketsWritten > before.PacketsWritten })
}

// stamp is the number and the time in a payload.
func stamp(t *testing.T, payload string) (uint64, time.Time) {
	t.Helper()
	bytes, err := hex.DecodeString(payload)
	if err != nil || len(bytes) < 16 {
		t.Fatalf("payload %q: %v", payload, err)
	}
	return binary.BigEndian.Uint64(bytes), time.Unix(0, int64(binary.BigEndian.Uint64(bytes[8:])))
}
