package captures

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// A clerk is a Recorder of one flow, which is there all the time.
type clerk struct{}

func (clerk) Kind() beside.Kind             { return beside.Flows }
func (clerk) Wanted(o capture.Options) bool { return o.Processes }

func (clerk) Begin(_ beside.Capture, out *beside.File) (func(), error) {
	begin := time.Now()
	b := owners.AppendLine(nil, owners.Line{Event: owners.Began, Time: begin, NetNS: 1})
	b = owners.AppendFlow(b, owners.Flow{NetNS: 1, Protocol: owners.UDP, LocalAddress: netip.MustParseAddr("10.0.0.1"), LocalPort: 1000,
		RemoteAddress: netip.MustParseAddr("10.0.0.2"), RemotePort: 2000, From: begin, Socket: 1,
		Process: owners.Process{PID: 4242, Name: "curl", Exe: "/usr/bin/curl", User: "alice"}})
	_, err := out.Write(b)
	return func() { out.Last(owners.AppendLine(nil, owners.Line{Event: owners.Ended, Time: time.Now()})) }, err
}

// A file of a capture with processes says of its packets which process they are of, when it is
// taken as pcapng. tshark reads that, and mergecap and editcap keep it.
func TestPacketsSayTheirProcesses(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.d.recorders = []beside.Recorder{clerk{}}
	b.mustStart(ask("one", capture.Options{Processes: true}))
	datagram := []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
		"\x45\x00\x00\x1d\x00\x01\x00\x00\x40\x11\x66\xcc\x0a\x00\x00\x01\x0a\x00\x00\x02\x03\xe8\x07\xd0\x00\x09\x00\x00x" + strings.Repeat("\x00", 17))
	other := bytes.Clone(datagram)
	other[35] = 0xe9
	send(t, b.ns, datagram, 2)
	send(t, b.ns, other, 1)
	b.awaitWritten("one", 3)
	s, err := b.d.StopCapture(roomtest.Admin, "one")
	if err != nil {
		t.Fatal(err)
	}
	if s.Format != capture.PCAPNG {
		t.Fatalf("the format is %s", s.Format)
	}
	name := s.Files[0].Name
	as := access.Form{Format: "pcapng", AppleBlocks: true}
	if c, err := b.d.Converts(name, as); !c.Needed || c.Revision == "" || c.Name != strings.TrimSuffix(name, ".pcapng")+".processes.pcapng" || err != nil {
		t.Errorf("it is taken as it is: %+v, %v", c, err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "said.pcapng")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.d.Convert(t.Context(), name, as, out); err != nil {
		t.Fatal(err)
	}
	out.Close()
	merged, edited := filepath.Join(folder, "merged.pcapng"), filepath.Join(folder, "edited.pcapng")
	for _, command := range [][]string{{"mergecap", "-w", merged, path}, {"editcap", path, edited}} {
		if text, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command[0], err, text)
		}
	}
	const said = "process=curl pid=4242 user=alice exe=/usr/bin/curl"
	for _, file := range []string{path, merged, edited} {
		text, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.comment").Output()
		if want := said + "\n" + said + "\n\n"; err != nil || string(text) != want {
			t.Errorf("%s: tshark reads %q, %v; want %q", filepath.Base(file), text, err, want)
		}
	}
	fields, err := exec.Command("tshark", "-X", "lua_script:../../../assets/wireshark/diagsh.lua", "-r", path, "-Y", `diagsh.process == "curl"`,
		"-T", "fields", "-e", "diagsh.pid", "-e", "diagsh.user", "-e", "diagsh.exe").Output()
	if want := strings.Repeat("4242\talice\t/usr/bin/curl\n", 2); err != nil || string(fields) != want {
		t.Errorf("the fields are %q, %v; want %q", fields, err, want)
	}
	content, err := os.ReadFile(path)
	if err != nil || bytes.Count(content, []byte("\x08\x00\x08\x00\x92\x10\x00\x00\x00\x00\x00\x00")) != 2 {
		t.Errorf("the option of the process is not there twice, %v", err)
	}
	var processes []pcapfile.Process
	if err := pcapfile.EachSaid(bytes.NewReader(content), func(_ *capture.Packet, _ capture.Interface, said pcapfile.Said) error {
		processes = append(processes, said.Process)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	curl := pcapfile.Process{PID: 4242, Name: "curl"}
	if !slices.Equal(processes, []pcapfile.Process{curl, curl, {}}) {
		t.Errorf("the blocks are of %v", processes)
	}
	table, err := b.d.Owners("one")
	if err != nil || table == nil {
		t.Fatal(table, err)
	}
	if again, _ := b.d.Owners(name); again != table {
		t.Error("the same table is read again")
	}
}

// A copy with processes to a target has what a download has, by its name, and leaves nothing here.
func TestExportsWithProcesses(t *testing.T) {
	target := newFakeTarget(t)
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.d.recorders = []beside.Recorder{clerk{}}
	b.mustStart(ask("one", capture.Options{Processes: true}))
	b.mustStart(ask("plain", capture.Options{}))
	for _, name := range []string{"one", "plain"} {
		if _, err := b.d.StopCapture(roomtest.Admin, name); err != nil {
			t.Fatal(err)
		}
	}
	target.target(b, "keep")
	target.opens()
	s, err := b.d.Capture("one")
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadDir(b.d.Path())
	if _, err := b.d.ExportPackets(roomtest.Admin, "plain", "keep", true); menu.AsError(err).Code != menu.State {
		t.Errorf("without processes: %v", err)
	}
	copies, err := b.d.ExportPackets(roomtest.Admin, "one", "keep", true)
	name := strings.TrimSuffix(s.Files[0].Name, ".pcapng") + ".processes.pcapng"
	if err != nil || len(copies) != 1 || copies[0].File != name || copies[0].Source != s.Files[0].Name {
		t.Fatalf("queued are %+v, %v", copies, err)
	}
	await.Until(t, "the copy is there", func() bool { return slices.Contains(target.has(), name) })
	var want bytes.Buffer
	if err := b.d.Convert(t.Context(), s.Files[0].Name, access.Form{Format: "pcapng"}, &want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(target.content(name), want.Bytes()) {
		t.Error("the copy is another one than a download")
	}
	if after, _ := os.ReadDir(b.d.Path()); len(after) != len(before) {
		t.Errorf("there are %v, were %v", after, before)
	}
}

// A capture without processes has no owners.
func TestNoOwnersUnlessKept(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.mustStart(ask("one", capture.Options{}))
	if table, err := b.d.Owners("one"); table != nil || err != nil {
		t.Errorf("it has %v, %v", table, err)
	}
}

// awaitWritten waits until a capture has written packets.
func (b *bed) awaitWritten(name string, packets uint64) {
	b.Helper()
	await.Until(b.T, "the packets are written", func() bool {
		s, err := b.d.Capture(name)
		return err == nil && s.PacketsWritten >= packets
	})
}
