package resources_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// TestLivePackets reads packets as `curl ... | wireshark -k -i -` does, by tshark: from interfaces, and
// from a running capture.
func TestLivePackets(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	run(t, a, "op", "packetcapture start", `{"name": "l", "interfaces": ["lo"], "filter": "icmp and net 127.0.0.96/28"}`)
	for _, test := range []struct{ name, url, address, other string }{
		// Without a filter, it has what came a moment before, too: the first, with nobody before it.
		{"capture", "/v1/captures/l/live.pcapng?packets=4", "127.0.0.98", ""},
		{"interfaces", "/v1/live.pcapng?interfaces=lo&filter=icmp+and+host+127.0.0.97&packets=4", "127.0.0.97", ""},
		{"filtered", "/v1/captures/l/live.pcapng?packets=4&filter=host+127.0.0.99", "127.0.0.99", "127.0.0.100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := &bytes.Buffer{}
			pipe := exec.Command("sh", "-c", `curl -sSN --unix-socket "$0" "$1" | tshark -l -n -T fields -e ip.src -e ip.dst -e icmp.type -r -`,
				a.Socket, "http://diagsh"+test.url)
			pipe.Stderr = os.Stderr
			pipe.Stdout = said
			if err := pipe.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- pipe.Wait() }()
			var err error
			await.Until(t, "four packets", func() bool {
				if test.other != "" {
					run(t, a, "op", "ping", `{"host": "`+test.other+`", "count": 1}`)
				}
				run(t, a, "op", "ping", `{"host": "`+test.address+`", "count": 1}`)
				select {
				case err = <-ended:
					return true
				default:
					return false
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			if len(lines) != 4 {
				t.Errorf("tshark read %q", lines)
			}
			for _, line := range lines {
				if !strings.Contains(line, test.address) {
					t.Errorf("tshark read %q", line)
				}
			}
		})
	}
	if status, _ := a.API("ro", "GET", "/v1/captures/l/live.pcapng", ""); status != 403 {
		t.Errorf("a user who may only read gets packets: %d", status)
	}
	if status, _ := a.API("op", "GET", "/v1/captures/nosuch/live.pcapng", ""); status != 404 {
		t.Errorf("a capture that is not there: %d", status)
	}
	run(t, a, "op", "packetcapture stop", `{"name": "l"}`)
	if status, _ := a.API("op", "GET", "/v1/captures/l/live.pcapng", ""); status != 409 {
		t.Errorf("a capture that has ended: %d", status)
	}
}
