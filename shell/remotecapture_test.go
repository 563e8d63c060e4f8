package shell

import (
	"strings"
	"testing"

	"diagsh/internal/menu"
)

func TestRemoteCapture(t *testing.T) {
	for line, want := range map[string]string{
		"packetcapture list":                    "packetcapture list",
		"":                                      "",
		"tcpdumps -w -":                         "tcpdumps -w -",
		" tcpdump -U -i 'eth0' -w -  'port 25'": "packetcapture stream interface eth0 filter 'port 25'",
		"sudo tcpdump -U -i 'eth0'  -w - -c 7 ''":                          "packetcapture stream interface eth0 packets 7",
		"sudo -u root tcpdump -i any -w - tcp":                             "packetcapture stream interface ALL filter tcp",
		"doas -n tcpdump -p -i eth0 -w - udp port 53":                      "packetcapture stream interface eth0 filter 'udp port 53' promiscuous no",
		`tcpdump -U -i 'a'\''b' -w - 'not ((host 192.0.2.1) and port 22)'`: `packetcapture stream interface "a'b" filter 'not ((host 192.0.2.1) and port 22)'`,
		" dumpcap  -i 'eth0' -i 'eth1' -w -  -f 'udp'":                     "packetcapture stream interface eth0,eth1 filter udp format pcapng",
		"tcpdump -s0 -n -i eth0 -U -w - port 25":                           "packetcapture stream interface eth0 filter 'port 25' snaplen 0",
		"sudo tcpdump -nni eth0 -s 96 -c5 -w- 'udp'":                       "packetcapture stream interface eth0 filter udp packets 5 snaplen 96",
		"dumpcap -P -q -i eth0 -w - -f udp":                                "packetcapture stream interface eth0 filter udp format pcap",
		" dumpcap -p -w - -c 0 -f ''":                                      "packetcapture stream promiscuous no format pcapng",
		"tcpdump -i 'eth0 management yes' -w -":                            "packetcapture stream interface 'eth0 management yes'",
	} {
		if got, err := remoteCapture(line); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
}

// FuzzRemoteCapture: from any line comes only that one command with arguments, and no second one.
func FuzzRemoteCapture(f *testing.F) {
	f.Add(" tcpdump -U -i 'eth0' -w - -c 5 'port 25'")
	f.Add("sudo -u x dumpcap -p -i 'a' -i \"b\" -w - -f 'udp; version'")
	f.Add("tcpdump -i 'a;b' -w - '\"' \"'\" \\;")
	f.Fuzz(func(t *testing.T, line string) {
		got, err := remoteCapture(line)
		if err != nil || got == line {
			return
		}
		commands, err := menu.Split(got)
		if err != nil || len(commands) != 1 || !strings.HasPrefix(got, "packetcapture stream") {
			t.Fatalf("%q becomes %q: %v", line, got, err)
		}
		words := commands[0][2:]
		if len(words)%2 != 0 {
			t.Fatalf("%q becomes %q", line, got)
		}
		for i := 0; i < len(words); i += 2 {
			switch words[i].Text {
			case "interface", "filter", "packets", "promiscuous", "format", "snaplen":
			default:
				t.Fatalf("%q becomes %q", line, got)
			}
		}
	})
}
