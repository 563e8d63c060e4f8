package e2e_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
)

// sshdump is where Debian's wireshark-common puts it; extcap programs are in no PATH.
func sshdump(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/wireshark/extcap/sshdump")
	if len(found) == 0 {
		need(t, "/usr/lib/wireshark/extcap/sshdump", "wireshark-common")
		return ""
	}
	return found[0]
}

// A growing collects a stream and tells when it has begun.
type growing struct {
	bytes.Buffer
	begun chan struct{}
}

// fill reads everything; the stream has begun when there is a whole header of a pcap file, the
// shorter one.
func (g *growing) fill(r io.Reader) error {
	buffer := make([]byte, 64<<10)
	begun := false
	for {
		n, err := r.Read(buffer)
		g.Write(buffer[:n])
		if !begun && g.Len() >= 24 {
			begun = true
			close(g.begun)
		}
		if err != nil {
			return err
		}
	}
}

// Wireshark's own program, by the command lines that Wireshark calls it with, gets every packet of
// a known load, in both of the forms that it knows.
func TestSshdump(t *testing.T) {
	t.Parallel()
	program := sshdump(t)
	need(t, "tshark", "tshark")
	need(t, "capinfos", "wireshark-common")
	const packets = 3000
	b := newBed(t)
	right := b.ns.Frames(t, "right")
	for _, c := range []struct {
		name, kind string
		options    []string
	}{
		{"tcpdump", "pcap", []string{"--remote-capture-command-select", "tcpdump", "--remote-interface", "left"}},
		{"tcpdump sudo", "pcap", []string{"--remote-capture-command-select", "tcpdump", "--remote-interface", "left", "--remote-sudo", "--remote-noprom"}},
		{"dumpcap", "pcapng", []string{"--remote-capture-command-select", "dumpcap", "--remote-interface", "left"}},
		{"our own words", "pcap", []string{"--remote-capture-command", "packetcapture stream left packets " + strconv.Itoa(packets) + " filter 'udp port 9999'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := b.of(t)
			folder := t.TempDir()
			fifo, file := filepath.Join(folder, "fifo"), filepath.Join(folder, "file")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"--extcap-interface=sshdump", "--capture", "--fifo", fifo, "--remote-host", "127.0.0.1", "--remote-port", strconv.Itoa(b.Port),
				"--remote-username", "op", "--sshkey", b.KeyFile("op"), "--remote-filter", "udp port 9999", "--remote-count", strconv.Itoa(packets)}, c.options...)
			ended := make(chan appliance.Result, 1)
			go func() { ended <- b.Exec("", program, args...) }()
			reader, err := os.Open(fifo)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			g := &growing{begun: make(chan struct{})}
			read := make(chan error, 1)
			go func() { read <- g.fill(reader) }()
			select {
			case <-g.begun:
			case r := <-ended:
				t.Fatalf("sshdump ended: %+v", r)
			case <-time.After(appliance.Patience):
				t.Fatal("nothing came")
			}
			sent := load(t, right, packets)
			select {
			case <-read:
			case <-time.After(appliance.Patience):
				t.Fatalf("the stream did not end; it has %d bytes", g.Len())
			}
			if r := <-ended; r.Status != 0 {
				t.Errorf("sshdump: %+v", r)
			}
			if err := os.WriteFile(file, g.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := dissected(t, file); !slices.Equal(got, sent) {
				t.Errorf("tshark sees %d packets, which are not the %d that were sent", len(got), len(sent))
			}
			if out := tool(t, "capinfos", "-tc", "-M", file); !strings.Contains(out, c.kind+"\n") && !strings.Contains(out, "- "+c.kind) || !strings.Contains(out, strconv.Itoa(packets)) {
				t.Errorf("capinfos says:\n%s", out)
			}
		})
	}
}

// What a shell would do must not be guessed.
func TestRemoteCaptureRefusesTheRest(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, line := range []string{
		"tcpdump -i left -w /tmp/x", "tcpdump -i left -w - -r x", "tcpdump -i left -w - | cat", "tcpdump -i left -w - > x", "dumpcap -i left -w - -f 'udp' $(id)",
		"tcpdump -i left -w - ; version", "sudo id", "tcpdump -i left -w - -z reboot -G 1", "dumpcap -i left -w - udp", "tcpdump -i", "tcpdump -D", "tcpdump -i 'left",
	} {
		if r := b.SSH("op", line); r.Status != int(menu.Usage) || r.Out != "" || r.Err == "" {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if r := b.SSH("ro", " tcpdump -U -i 'left' -w -  'udp'"); r.Status != int(menu.Denied) || r.Out != "" {
		t.Errorf("readonly: %+v", r)
	}
	if r := b.SSH("op", "tcpdump -U -i nosuch -w -"); r.Status != int(menu.Usage) || r.Out != "" {
		t.Errorf("no such interface: %+v", r)
	}
	args := slices.Insert(b.OpenSSH("op"), 0, "-tt")
	if r := b.Exec("", "ssh", append(args, "packetcapture stream left")...); r.Status != int(menu.Usage) || !strings.Contains(r.Out+r.Err, "is a terminal here") {
		t.Errorf("on a terminal: %+v", r)
	}
}
