package capture_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
)

// The whole way, from the kernel to a finished file, in a namespace.

func TestEveryPacketIsInTheFileOnce(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for _, snap := range []int{0, 64, 1} {
			t.Run(fmt.Sprintf("%s/%d", format, snap), func(t *testing.T) {
				b := newBed(t)
				s := spec("right")
				s.Format, s.SnapLength = format, snap
				job := b.start(s)
				sent := frames(3000)
				b.wire("left").send(sent...)
				status := b.stop(job)

				name := "capture" + format.Extension()
				b.filesAre(name)
				if snap == 0 {
					snap = capture.MaxSnapLength
				}
				same(t, b.read(name), sent, snap)
				if status.State != capture.Stopped || status.StopReason != capture.StoppedByUser ||
					status.PacketsReceived != 3000 || status.PacketsWritten != 3000 || *status.PacketsDropped != 0 {
					t.Errorf("status is %+v", status)
				}
				info, err := os.Stat(filepath.Join(b.path, name))
				if err != nil {
					t.Fatal(err)
				}
				f := status.Files[0]
				if f.Name != name || f.Bytes != info.Size() || f.Packets != 3000 ||
					status.BytesWritten != info.Size() ||
					f.First.Before(status.StartTime.Round(0)) || f.Last.After(status.EndTime) || f.Last.Before(f.First) {
					t.Errorf("the file is of %d bytes, status is %+v", info.Size(), status)
				}
				wireshark(t, filepath.Join(b.path, name), 3000)
			})
		}
	}
}

// wireshark fails the test unless Wireshark's tools find a whole file with that many packets.
func wireshark(t testing.TB, path string, packets int) {
	t.Helper()
	out, err := exec.Command(netnstest.Tool(t, "capinfos"), "-Mcm", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(",%d", packets)) &&
		!strings.Contains(string(out), fmt.Sprintf(" %d\n", packets)) {
		t.Errorf("capinfos, for %d packets: %v\n%s", packets, err, out)
	}
	out, err = exec.Command(netnstest.Tool(t, "tcpdump"), "-r", path, "-n", "-c", "1").CombinedOutput()
	if err != nil {
		t.Errorf("tcpdump: %v\n%s", err, out)
	}
}

func TestLoopbackShowsEachPacketOnce(t *testing.T) {
	b := newBed(t)
	job := b.start(spec("lo"))
	const n = 500
	b.ns.Do(t, func() {
		receiver, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer receiver.Close()
		sender, err := net.Dial("udp4", receiver.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		for i := range n {
			fmt.Fprintf(sender, "packet %d", i)
		}
	})
	b.stop(job)
	got := b.read("capture.pcap")
	if len(got) != n {
		t.Fatalf("%d packets for %d", len(got), n)
	}
	for i, p := range got {
		if want := fmt.Sprintf("packet %d", i); string(p.data[42:]) != want {
			t.Fatalf("packet %d carries %q", i, p.data[42:])
		}
	}
}

// The kernel takes the outer tag out of every incoming packet before it hands the packet on.
func TestVLANTagsAreBackInTheirPlace(t *testing.T) {
	b := newBed(t)
	s := spec("right")
	s.SnapLength = 100
	job := b.start(s)
	var sent [][]byte
	for i, f := range frames(1000) {
		tags := []string{"\x81\x00\x20\x2a", "\x88\xa8\x00\x2a\x81\x00\xe0\x01", ""}[i%3]
		f = f[:min(len(f), 1514-len(tags))]
		sent = append(sent, []byte(string(f[:12])+tags+string(f[12:])))
	}
	b.wire("left").send(sent...)
	b.stop(job)
	same(t, b.read("capture.pcap"), sent, 100)
}

func TestSeveralInterfaces(t *testing.T) {
	b := newBed(t)
	b.ns.Veth(t, "up", "down")
	job := b.start(spec("left", "right", "down"), func(c *capture.Config) {
		c.EffectiveFilter = "ether proto 0x88b5"
		c.Application, c.System, c.Machine = "diagsh test", "Linux", "a machine"
	})
	left, up := b.wire("left"), b.wire("up")
	sent := frames(1000)
	for _, f := range sent {
		left.send(f)
		up.send(f)
	}
	status := b.stop(job)
	if status.PacketsWritten != 3000 {
		t.Fatalf("%d packets written", status.PacketsWritten)
	}

	got := b.read("capture.pcapng")
	var of [3][]packet
	for i, p := range got {
		if i > 0 && p.time.Before(got[i-1].time) {
			t.Fatalf("packet %d is of %v, the one before of %v", i, p.time, got[i-1].time)
		}
		of[p.link] = append(of[p.link], p)
	}
	for _, packets := range of {
		same(t, packets, sent, capture.MaxSnapLength)
	}

	// gopacket does not read directions, names, the filter and statistics.
	path := filepath.Join(b.path, "capture.pcapng")
	out, err := exec.Command(netnstest.Tool(t, "tshark"), "-r", path, "-T", "fields", "-e", "frame.interface_name",
		"-e", "frame.packet_flags_direction").Output()
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for line := range strings.Lines(string(out)) {
		name, direction, _ := strings.Cut(strings.TrimSpace(line), "\t")
		count[name+" "+strings.TrimPrefix(direction, "0x0000000")]++
	}
	if count["left 2"] != 1000 || count["right 1"] != 1000 || count["down 1"] != 1000 {
		t.Errorf("directions by interface: %v", count)
	}
	details, err := exec.Command(netnstest.Tool(t, "capinfos"), path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Capture application: diagsh test", "Capture oper-sys:    Linux", "Capture hardware:    a machine",
		"Name = right", "Filter string = ether proto 0x88b5", "Time precision = nanoseconds (9)",
		"Number of stat entries = 1",
	} {
		if !strings.Contains(string(details), want) {
			t.Errorf("capinfos does not say %q:\n%s", want, details)
		}
	}
}

func TestNothingPassesBeforeTheFilter(t *testing.T) {
	b := newBed(t)
	left := b.wire("left")
	stop := make(chan bool)
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		f := frame(0, 60)
		for {
			select {
			case <-stop:
				return
			default:
				left.send(f)
			}
		}
	}()
	for range 20 {
		job := b.start(spec("right"), func(c *capture.Config) {
			c.Compile = func(capture.Interface) ([]bpf.RawInstruction, error) {
				return []bpf.RawInstruction{{Op: 6, K: 0}}, nil // refuse all
			}
		})
		status := b.stop(job)
		if status.PacketsReceived+*status.PacketsDropped != 0 {
			t.Errorf("%d packets received, %d dropped", status.PacketsReceived, *status.PacketsDropped)
		}
		if err := b.dir.Remove("capture.pcap"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
}

func TestTwoCapturesAtOnce(t *testing.T) {
	b := newBed(t)
	// By the last byte of the number: even ones, and all.
	even := b.start(spec("right"), func(c *capture.Config) {
		c.FileName = "even.pcap"
		c.Compile = func(capture.Interface) ([]bpf.RawInstruction, error) {
			return bpf.Assemble([]bpf.Instruction{
				bpf.LoadAbsolute{Off: 21, Size: 1},
				bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipTrue: 1},
				bpf.RetConstant{Val: 65535},
				bpf.RetConstant{Val: 0},
			})
		}
	})
	all := b.start(spec("right"), func(c *capture.Config) { c.FileName = "all.pcap" })
	sent := frames(2000)
	b.wire("left").send(sent...)
	b.stop(even)
	b.stop(all)
	var evenSent [][]byte
	for i := 0; i < len(sent); i += 2 {
		evenSent = append(evenSent, sent[i])
	}
	same(t, b.read("even.pcap"), evenSent, capture.MaxSnapLength)
	same(t, b.read("all.pcap"), sent, capture.MaxSnapLength)
}

func TestPacketLimitIsExact(t *testing.T) {
	for _, limit := range []int{1, 255, 256, 257, 1000} {
		b := newBed(t)
		s := spec("right")
		s.Limits.Packets = int64(limit)
		job := b.start(s)
		sent := frames(1500)
		b.wire("left").send(sent...)
		status := b.wait(job)
		if status.StopReason != capture.PacketCountReached || status.PacketsWritten != uint64(limit) {
			t.Errorf("status is %+v", status)
		}
		same(t, b.read("capture.pcap"), sent[:limit], capture.MaxSnapLength)
	}
}

func TestSizeLimitIsNotExceeded(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for _, limit := range []int64{1000, 65536, 1<<20 + 1, 5 << 20} {
			t.Run(fmt.Sprintf("%s/%d", format, limit), func(t *testing.T) {
				b := newBed(t)
				s := spec("right")
				s.Format, s.Limits.SizeBytes = format, limit
				job := b.start(s)
				sent := frames(9000)
				b.wire("left").send(sent...)
				status := b.wait(job)
				name := "capture" + format.Extension()
				info, err := os.Stat(filepath.Join(b.path, name))
				if err != nil {
					t.Fatal(err)
				}
				if status.StopReason != capture.SizeExceeded || info.Size() > limit || info.Size() < limit-1600 ||
					status.BytesWritten != info.Size() {
					t.Errorf("the file has %d bytes of %d, status is %+v", info.Size(), limit, status)
				}
				same(t, b.read(name), sent[:status.PacketsWritten], capture.MaxSnapLength)
			})
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := spec("right")
	s.Limits.DurationSeconds = 1
	watch := slowness.Start(t)
	job := b.start(s)
	sent := frames(10)
	b.wire("left").send(sent...)
	status := b.wait(job)
	took := status.EndTime.Sub(status.StartTime)
	if status.StopReason != capture.TimeExceeded || took < time.Second ||
		took > time.Second+watch.Limit(300*time.Millisecond) {
		t.Errorf("after %v status is %+v", took, status)
	}
	same(t, b.read("capture.pcap"), sent, capture.MaxSnapLength)
}

func TestInterfaceRemoved(t *testing.T) {
	b := newBed(t)
	job := b.start(spec("right"))
	sent := frames(100)
	b.wire("left").send(sent...)
	b.remove("right")
	status := b.wait(job)
	if status.StopReason != capture.InterfaceGone || status.State != capture.Stopped {
		t.Errorf("status is %+v", status)
	}
	same(t, b.read("capture.pcap"), sent, capture.MaxSnapLength)
}

func TestInterfaceDownAndUpAndRemoved(t *testing.T) {
	b := newBed(t)
	job := b.start(spec("right"))
	sent := frames(100)
	b.wire("left").send(sent[:50]...)
	b.change("right", netlink.LinkSetDown)
	time.Sleep(200 * time.Millisecond)
	if s := job.Status(); s.State != capture.Running {
		t.Fatalf("status is %+v", s)
	}
	b.change("right", netlink.LinkSetUp)
	b.ns.Do(t, func() { netnstest.Operates(t, "left") })
	b.wire("left").send(sent[50:]...)
	awaitStatus(t, job, "all are received", func(s capture.Status) bool { return s.PacketsReceived == 100 })
	b.change("right", netlink.LinkSetDown)
	time.Sleep(50 * time.Millisecond)
	b.remove("right")
	if status := b.wait(job); status.StopReason != capture.InterfaceGone {
		t.Errorf("status is %+v", status)
	}
	same(t, b.read("capture.pcap"), sent, capture.MaxSnapLength)
}

func TestAllGoesOnWithoutOneThatIsRemoved(t *testing.T) {
	b := newBed(t)
	b.ns.Veth(t, "up", "down")
	job := b.start(spec(capture.All))
	b.remove("up") // and down with it
	time.Sleep(100 * time.Millisecond)
	sent := frames(100)
	b.wire("left").send(sent...)
	status := b.stop(job)
	if status.StopReason != capture.StoppedByUser || status.PacketsWritten != 200 {
		t.Errorf("status is %+v", status)
	}
}

func TestOneOfSeveralRemoved(t *testing.T) {
	b := newBed(t)
	b.ns.Veth(t, "up", "down")
	job := b.start(spec("right", "down"))
	sent := frames(100)
	b.wire("left").send(sent...)
	b.remove("up")
	status := b.wait(job)
	if status.StopReason != capture.InterfaceGone || status.PacketsWritten != 100 {
		t.Errorf("status is %+v", status)
	}
}

func (b *bed) remove(name string) {
	b.Helper()
	b.change(name, netlink.LinkDel)
}

func (b *bed) change(name string, f func(netlink.Link) error) {
	b.Helper()
	b.ns.Do(b, func() {
		link, err := netlink.LinkByName(name)
		if err != nil {
			b.Fatal(err)
		}
		if err := f(link); err != nil {
			b.Fatal(err)
		}
	})
}

func TestPromiscuousWhileItRuns(t *testing.T) {
	b := newBed(t)
	promiscuous := func() (on bool) {
		b.change("right", func(link netlink.Link) error {
			on = link.Attrs().Promisc > 0
			return nil
		})
		return on
	}
	job := b.start(spec("right"))
	if !promiscuous() {
		t.Error("it is not promiscuous while the capture runs")
	}
	b.stop(job)
	if promiscuous() {
		t.Error("it is promiscuous after the capture")
	}
}

func TestTunnelWithoutEthernet(t *testing.T) {
	b := newBed(t)
	var tun *netlink.Tuntap
	b.ns.Do(t, func() {
		tun = &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun7"}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1,
			Flags: netlink.TUNTAP_NO_PI}
		if err := netlink.LinkAdd(tun); err != nil {
			netnstest.Missing(t, "a tun interface cannot be made: "+err.Error())
		}
		if err := netlink.LinkSetUp(tun); err != nil {
			t.Fatal(err)
		}
	})
	defer tun.Fds[0].Close()
	job := b.start(spec("tun7"))
	// IPv4, from 192.0.2.1 to 192.0.2.2, of an experimental protocol.
	in := []byte("\x45\x00\x00\x18\x00\x00\x00\x00\x40\xfd\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02data")
	if _, err := tun.Fds[0].Write(in); err != nil {
		t.Fatal(err)
	}
	b.wire("tun7").send(in)
	b.stop(job)
	same(t, b.read("capture.pcap"), [][]byte{in, in}, capture.MaxSnapLength)
	out, err := exec.Command(netnstest.Tool(t, "tshark"), "-r", filepath.Join(b.path, "capture.pcap"), "-T", "fields",
		"-e", "ip.dst").Output()
	if err != nil || string(out) != "192.0.2.2\n192.0.2.2\n" {
		t.Errorf("tshark: %v, %q", err, out)
	}
}

func TestIdleCaptureStopsAtOnce(t *testing.T) {
	b := newBed(t)
	job := b.start(spec("right"))
	time.Sleep(50 * time.Millisecond)
	watch, begin := slowness.Start(t), time.Now()
	b.stop(job)
	if took, limit := time.Since(begin), watch.Limit(500*time.Millisecond); took > limit {
		t.Errorf("it took %v, more than %v", took, limit)
	}
	if got := b.read("capture.pcap"); len(got) != 0 {
		t.Errorf("%d packets", len(got))
	}
}

// 100,000 packets a second for three seconds.
func TestNoLoss(t *testing.T) {
	b := newBed(t)
	job := b.start(spec("right"))
	left := b.wire("left")
	f := frame(1, 120)
	const rate, seconds = 100_000, 3
	begin := time.Now()
	for sent := 0; sent < rate*seconds; {
		due := int(time.Since(begin).Seconds() * rate)
		for ; sent < min(due, rate*seconds); sent++ {
			left.send(f)
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	status := b.stop(job)
	if status.PacketsWritten != rate*seconds || *status.PacketsDropped != 0 {
		t.Errorf("%d packets written and %d dropped of %d in %v", status.PacketsWritten, *status.PacketsDropped,
			rate*seconds, took)
	}
	if took > 4*time.Second {
		t.Logf("this machine sent at only %.0f packets/s", float64(rate*seconds)/took.Seconds())
	}
}
