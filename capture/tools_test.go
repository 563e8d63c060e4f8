package capture_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

// tcpdump and Wireshark's tools read every format, and find the packets that were written.
func TestToolsReadEveryFormat(t *testing.T) {
	t.Parallel()
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for _, precision := range []capture.Precision{capture.Nanosecond, capture.Microsecond} {
			t.Run(string(format)+"/"+string(precision), func(t *testing.T) {
				b := newBed(t)
				s := spec("right")
				s.Format, s.Precision = format, precision
				job := b.start(s, func(c *capture.Config) {
					c.Comments = []string{"Appliance: mx1, diagsh", "Operator: anna", "Case: 4711"}
					c.EffectiveFilter = "not port 2222"
				})
				const n = 300
				b.wire("left").send(frames(n)...)
				status := b.stop(job)
				path := filepath.Join(b.path, status.Files[0].Name)
				merged, cut := filepath.Join(t.TempDir(), "merged.pcapng"), filepath.Join(t.TempDir(), "cut.pcapng")

				say := func(tool string, args ...string) string {
					t.Helper()
					var wrong strings.Builder
					cmd := exec.Command(netnstest.Tool(t, tool), args...)
					cmd.Stderr = &wrong
					out, err := cmd.Output()
					if err != nil {
						t.Fatalf("%s: %v\n%s", tool, err, wrong.String())
					}
					return string(out)
				}
				// One tshark for all of it, as each takes a quarter of a second to start.
				out := say("tshark", "-r", path, "-T", "fields", "-e", "frame.number", "-e",
					"frame.packet_flags_direction", "-z", "io,stat,0")
				read, counters, _ := strings.Cut(out, "\n\n")
				directions := strings.Split(read, "\n")
				if len(directions) != n {
					t.Errorf("tshark reads %d packets", len(directions))
				}
				if format == capture.PCAPNG {
					if !strings.Contains(counters, fmt.Sprint(n)) {
						t.Errorf("tshark counts\n%s", counters)
					}
					if d := directions[0]; d != "1\t0x00000001" && d != "1\t1" {
						t.Errorf("the direction is %q", d)
					}
				}
				if out := say("tcpdump", "-n", "-r", path, "--count"); !strings.Contains(out,
					fmt.Sprintf("%d packets", n)) {
					t.Errorf("tcpdump says %s", out)
				}
				say("mergecap", "-w", merged, path, path)
				say("editcap", "-r", path, cut, "11-20")
				for file, want := range map[string]int{path: n, merged: 2 * n, cut: 10} {
					if out := say("capinfos", "-M", "-c", file); !strings.Contains(out, fmt.Sprint(want)) {
						t.Errorf("capinfos says, for %d packets: %s", want, out)
					}
				}
				out = say("capinfos", "-M", path)
				digits := map[capture.Precision]string{capture.Nanosecond: "nanoseconds",
					capture.Microsecond: "microseconds"}[precision]
				wanted := []string{digits}
				if format == capture.PCAPNG {
					wanted = append(wanted, "Appliance: mx1, diagsh", "Operator: anna", "Case: 4711", "not port 2222",
						"Number of packets = 300", "Name = right")
				}
				for _, w := range wanted {
					if !strings.Contains(out, w) {
						t.Errorf("capinfos does not say %q:\n%s", w, out)
					}
				}
			})
		}
	}
}
