package drops

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/bpf"
	"diagsh/internal/test/netnstest"
)

// watching returns an engine for the present namespace that runs until the test ends.
func watching(t *testing.T, tell func(*Drop)) (e *Engine, stop func()) {
	t.Helper()
	e = New(Options{})
	stop, err := e.Watch(tell)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e, stop
}

// of returns how many packets were dropped for a reason, and how many of them were told.
func of(t *testing.T, e *Engine, reason string) (packets, told uint64) {
	t.Helper()
	counts, _, err := e.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Reason == reason {
			packets, told = packets+c.Packets, told+c.Told
		}
	}
	return packets, told
}

// What happens in other namespaces is nobody's business here.
func TestOtherNamespaces(t *testing.T) {
	here, there := netnstest.New(t), netnstest.New(t)
	here.Do(t, func() {
		e, _ := watching(t, func(d *Drop) {
			if d.Destination.Port() != 9 {
				t.Errorf("%+v", d)
			}
		})
		there.Do(t, func() {
			sendFrom(t, "127.0.0.1:10", 3)
			dial(t, "127.0.0.1:10", 3)
			rule(t, netnstest.Tool(t, "nft"), "output", "drop")
		})
		sendFrom(t, "127.0.0.1:9", 2)
		if n, _ := of(t, e, "NO_SOCKET"); n != 2 {
			t.Errorf("%d packets without a socket", n)
		}
		if n, _ := of(t, e, "NETFILTER_DROP"); n != 0 {
			t.Errorf("%d packets of another namespace's firewall", n)
		}
	})
}

// In a flood all packets are counted, and some are told.
func TestFlood(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		var told atomic.Uint64
		e, stop := watching(t, func(*Drop) { told.Add(1) })
		const flood = 20_000
		began := time.Now()
		sendFrom(t, "127.0.0.1:9", flood)
		seconds := uint64(time.Since(began)/time.Second) + 1
		packets, handed := of(t, e, "NO_SOCKET")
		stop()
		if packets != flood {
			t.Errorf("%d packets are counted", packets)
		}
		if n := told.Load(); n != handed || n < 100 || n > 100*(seconds+1) {
			t.Errorf("%d packets are told in %d s, and the kernel handed over %d", n, seconds, handed)
		}
	})
}

// What a packet socket of this process does not take is neither told nor counted, though the kernel
// says it.
func TestOwnPacketSockets(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		const all = 0x300 // ETH_P_ALL in the order of the network
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Fatal(err)
		}
		const reason = "PACKET_SOCK_ERROR"
		e, stop := watching(t, func(d *Drop) {
			if d.Reason == reason {
				t.Errorf("%+v", d)
			}
		})
		sendFrom(t, "127.0.0.1:9", 50)
		entries, err := bpf.Entries[kernelPlace, kernelCount](e.running.set, "counts")
		if err != nil {
			t.Fatal(err)
		}
		dropped := uint64(0)
		for k, values := range entries {
			for _, v := range values {
				if e.running.reasons.name(k.Reason) == reason {
					dropped += v.Packets
				}
			}
		}
		if n, _ := of(t, e, reason); dropped == 0 || n != 0 {
			t.Errorf("the socket did not take %d packets, of which %d are counted", dropped, n)
		}
		stop()
	})
}

// The counts begin with the first who watches and end with the last.
func TestWatchersShareTheProgram(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		var first, second atomic.Int64
		e, stopFirst := watching(t, func(*Drop) { first.Add(1) })
		stopSecond, err := e.Watch(func(*Drop) { second.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		sendFrom(t, "127.0.0.1:9", 3)
		stopSecond()
		sendFrom(t, "127.0.0.1:9", 2)
		if n, _ := of(t, e, "NO_SOCKET"); n != 5 {
			t.Errorf("%d packets are counted", n)
		}
		stopFirst()
		stopFirst()
		if first.Load() != 5 || second.Load() != 3 {
			t.Errorf("%d and %d packets are told", first.Load(), second.Load())
		}
		if _, ok := e.Running(); ok {
			t.Error("the program runs though nobody watches")
		}
	})
}

// Without the right the error says which; on a kernel that tells less, what is not seen is said.
func TestWithout(t *testing.T) {
	netnstest.NeedsRoot(t, "a thread without rights")
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine
		data := [2]unix.CapUserData{{Effective: 0, Permitted: 0}}
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
			failed <- err
			return
		}
		_, err := New(Options{}).Watch(nil)
		failed <- err
	}()
	var unavailable *UnavailableError
	if err := <-failed; !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, "lacks CAP_BPF") {
		t.Errorf("%v", err)
	}
	old := reasons{core: map[uint64]string{0: "SKB_NOT_DROPPED_YET", 1: "SKB_DROP_REASON_NOT_SPECIFIED"}}
	if said := blindness(old, false); len(said) != 2 || !strings.Contains(said[0], "knows 2 reasons") || !strings.Contains(said[1], "which socket") {
		t.Errorf("%q", said)
	}
}
