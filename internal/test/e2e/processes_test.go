package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
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
	"diagsh/internal/test/await"
)

// Who looks at packets as they come is told which processes they are of, and may choose by them:
// watch and stream, of interfaces and of a capture that keeps processes.
func TestLivePacketsNameTheirProcesses(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	need(t, "bash", "bash")
	b := newBed(t)
	b.do("op", "packetcapture start job interfaces lo processes yes filter 'udp dst port 5002'")
	name, pid := own(t), os.Getpid()
	mine := fmt.Sprintf("process=%s pid=%d ", name, pid)
	for _, test := range []struct {
		line    string
		only    string                                 // which process all packets are of; "" for both
		reading func(t *testing.T, text string) string // a line a packet
	}{
		{fmt.Sprintf("packetcapture watch interfaces lo filter 'udp dst port 5002' pid %d count 4 --json", pid), name, watchedSenders},
		{"packetcapture watch interfaces lo filter 'udp dst port 5002' process bash count 4 --json", "bash", watchedSenders},
		{"packetcapture watch job count 8 --json", "", watchedSenders},
		{"packetcapture stream lo filter 'udp dst port 5002' processes yes count 8", "", streamedSenders},
		{fmt.Sprintf("packetcapture stream lo filter 'udp dst port 5002' processes yes pid %d count 4", pid), name, streamedSenders},
		{"packetcapture stream name job process bash count 4", "bash", streamedSenders},
		{"packetcapture stream lo filter 'udp dst port 5002' appleblocks yes count 8", "", streamedBlocks},
	} {
		t.Run(test.line, func(t *testing.T) {
			b := b.of(t)
			session, out := b.Stream("op", test.line)
			over := make(chan string)
			go func() {
				text, _ := io.ReadAll(out)
				over <- string(text)
			}()
			text := b.sendUntil(over)
			if err := session.Wait(); err != nil {
				t.Fatal(err)
			}
			var senders []string
			for line := range strings.Lines(test.reading(t, text)) {
				senders = append(senders, strings.TrimSpace(line))
			}
			if len(senders) < 4 {
				t.Fatalf("it has %q of %q", senders, text)
			}
			ours := slices.ContainsFunc(senders, func(s string) bool { return strings.HasPrefix(s, mine) })
			others := slices.ContainsFunc(senders, func(s string) bool { return strings.HasPrefix(s, "process=bash pid=") })
			if ours != (test.only != "bash") || others != (test.only != name) {
				t.Errorf("they are of %q", senders)
			}
			for _, s := range senders {
				if !strings.HasPrefix(s, mine) && !strings.HasPrefix(s, "process=bash pid=") {
					t.Errorf("a packet is of %q", s)
				}
			}
		})
	}
	for _, argument := range []string{"processes", "appleblocks"} {
		if text := b.line("packetcapture stream lo format pcap "+argument+" yes", 2); !strings.Contains(text, "pcap has no place") {
			t.Errorf("%s in pcap: %s", argument, text)
		}
	}
}

// sendUntil sends datagrams to port 5002, from a socket of this process and from others that live no
// longer than it takes, until something comes from a channel.
func (b *bed) sendUntil(over <-chan string) (text string) {
	b.t.Helper()
	b.ns.Do(b.t, func() {
		c, err := net.Dial("udp4", "127.0.0.1:5002")
		if err != nil {
			b.t.Fatal(err)
		}
		defer c.Close()
		ticks := time.NewTicker(20 * time.Millisecond)
		defer ticks.Stop()
		limit := time.After(time.Minute)
		for {
			c.Write([]byte("x")) // an error is the answer to the last one: nobody listens
			if err := exec.Command("bash", "-c", "echo x > /dev/udp/127.0.0.1/5002").Run(); err != nil {
				b.t.Fatal(err)
			}
			select {
			case text = <-over:
				return
			case <-limit:
				b.t.Fatal("the packets did not come")
			case <-ticks.C:
			}
		}
	})
	return text
}

// watchedSenders are the senders in the JSON of watch, as comments say them.
func watchedSenders(_ *testing.T, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		var r struct {
			Event  string
			Sender *owners.Process
		}
		if json.Unmarshal(bytes.TrimSuffix([]byte(strings.TrimSpace(line)), []byte(",")), &r) != nil || r.Event != "packet" {
			continue
		}
		if r.Sender == nil {
			r.Sender = &owners.Process{}
		}
		fmt.Fprintln(&b, r.Sender.Comment())
	}
	return b.String()
}

// streamedSenders are the comments of packets, as tshark reads them.
func streamedSenders(t *testing.T, text string) string {
	file := filepath.Join(t.TempDir(), "stream.pcapng")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return tool(t, "tshark", "-n", "-r", file, "-T", "fields", "-e", "frame.comment")
}

// streamedBlocks are the processes of packets by their blocks, written as comments begin.
func streamedBlocks(t *testing.T, text string) string {
	var list strings.Builder
	if err := pcapfile.EachSaid(strings.NewReader(text), func(_ *capture.Packet, _ capture.Interface, said pcapfile.Said) error {
		_, err := fmt.Fprintf(&list, "process=%s pid=%d of the block\n", said.Process.Name, said.Process.PID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// One packet, and one conversation, of a capture or of the report on it, are told with their processes.
func TestOnePacketAndOneConversationNameTheirProcesses(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.do("op", "packetcapture start job interfaces lo processes yes filter 'udp dst port 5002'")
	b.ns.Do(t, func() {
		c, err := net.Dial("udp4", "127.0.0.1:5002")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("x"))
	})
	await.Until(t, "the packet is written", func() bool { return b.capture("job").PacketsWritten == 1 })
	b.do("op", "packetcapture stop job")
	var report struct{ Name string }
	if err := json.Unmarshal([]byte(b.do("op", "packetcapture report job --json")), &report); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"packetcapture packet job 1", "packetcapture show job flow 1", "packetcapture show " + report.Name + " flow 1"} {
		text := b.do("op", line+" --json")
		var list []struct{ Sender *owners.Process }
		if json.Unmarshal([]byte(text), &list) != nil {
			list = make([]struct{ Sender *owners.Process }, 1)
			if err := json.Unmarshal([]byte(text), &list[0]); err != nil {
				t.Fatal(err)
			}
		}
		sent := slices.ContainsFunc(list, func(r struct{ Sender *owners.Process }) bool {
			return r.Sender != nil && r.Sender.PID == os.Getpid() && r.Sender.Name == own(t)
		})
		if !sent {
			t.Errorf("%s does not name the sender: %s", line, text)
		}
		if said := b.do("op", line); !strings.Contains(said, fmt.Sprintf("process=%s pid=%d ", own(t), os.Getpid())) {
			t.Errorf("%s does not name the sender:\n%s", line, said)
		}
	}
	if text := b.line("packetcapture show job flow 1 process x", 2); !strings.Contains(text, "as a whole") {
		t.Errorf("a process of a conversation: %s", text)
	}
}
