package drops

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/internal/bpf"
	"diagsh/internal/test/await"
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
		flows, err := e.Flows()
		if err != nil || slices.ContainsFunc(flows, func(f FlowCount) bool { return f.Reason == reason }) {
			t.Errorf("%+v, %v", flows, err)
		}
		if n, _ := of(t, e, reason); dropped == 0 || n != 0 {
			t.Errorf("the socket did not take %d packets, of which %d are counted", dropped, n)
		}
		stop()
	})
}

// Packets for other machines, of which a capture may see a million in a second, are only counted.
func TestOnlyCounted(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Do(t, func() {
		e, stop := watching(t, func(d *Drop) {
			if d.Reason == "OTHERHOST" {
				t.Errorf("%+v", d)
			}
		})
		frame := make([]byte, 60)
		copy(frame, []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46})
		sendFrame(t, "left", frame, 20)
		await.Until(t, "all are counted", func() bool { // of which nothing tells
			n, _ := of(t, e, "OTHERHOST")
			return n >= 20
		})
		if n, told := of(t, e, "OTHERHOST"); n != 20 || told != 0 {
			t.Errorf("%d packets are counted, %d told", n, told)
		}
		flows, err := e.Flows()
		if at := slices.IndexFunc(flows, func(f FlowCount) bool { return f.Reason == "OTHERHOST" }); err != nil || at < 0 ||
			flows[at].Packets != 20 || !flows[at].Noise || flows[at].Source.IsValid() {
			t.Errorf("%+v, %v", flows, err)
		}
		stop()
	})
}

// sendFrame sends a frame of Ethernet many times.
func sendFrame(t *testing.T, device string, frame []byte, times int) {
	t.Helper()
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range times {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}); err != nil {
			t.Fatal(err)
		}
	}
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

// Kernels that describe less are refused with a sentence, or say what is not seen.
func TestOtherKernels(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		for kernel, said := range map[Kernel]string{
			Untyped: "the kernel does not describe its types (BTF)", Silent: "does not say why it drops packets",
		} {
			_, err := New(Options{Like: kernel}).Watch(nil)
			var unavailable *UnavailableError
			if !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, said) {
				t.Errorf("%s: %v", kernel, err)
			}
		}
		e := New(Options{Like: FewReasons})
		stop, err := e.Watch(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		if blind, _ := e.Running(); len(blind) != 2 || !strings.Contains(blind[0], "knows 6 reasons") || !strings.Contains(blind[1], "which socket") {
			t.Errorf("%q", blind)
		}
		sendFrom(t, "127.0.0.1:9", 2)
		rule(t, netnstest.Tool(t, "nft"), "output", "drop")
		none, _ := of(t, e, "NO_SOCKET")
		counts, _, err := e.Counts()
		at := slices.IndexFunc(counts, func(c Count) bool {
			return c.Reason == "NOT_SPECIFIED" && !c.Noise && (c.Place == "nft_do_chain" || c.Place == "nf_hook_slow")
		})
		if none != 2 || err != nil || at < 0 || counts[at].Packets != 3 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// Without the right the error says which.
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
}
