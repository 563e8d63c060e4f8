package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/capture/summary"
	"diagsh/internal/test/netnstest"
)

// deeply is the number of packets of a file that are decoded at every level.
const deeply = 3000

// allViews decodes the packets of a file at every level, sums them up, and returns their number.
func allViews(t *testing.T, path string, source *replay.Source) int64 {
	t.Helper()
	counter := summary.NewCounter()
	n := int64(0)
	batch := make([]capture.Packet, 256)
	for {
		got, err := source.Read(batch, time.Time{})
		for i := range batch[:got] {
			p := &batch[i]
			on := source.Interfaces()[p.Interface]
			n++
			counter.Add(p, on.LinkType)
			for level := decode.Line; level <= decode.All && n <= deeply; level++ {
				d := decode.Decode(n, p, on, level)
				var text bytes.Buffer
				decode.Text(&text, d)
				if _, err := json.Marshal(d); err != nil || text.Len() == 0 || d.Info == "" ||
					d.Length != int(p.Length) {
					t.Fatalf("%s, packet %d, level %d: %+v, %v", path, n, level, d, err)
				}
			}
		}
		if err != nil {
			break
		}
	}
	if s := counter.Summary(10, summary.Slowest); s.Packets != n {
		t.Errorf("%s: %d packets, of which the summary has %d", path, n, s.Packets)
	}
	return n
}

// TestEveryViewOfEveryFile runs every file through every view: each level as text and as a record,
// and the summary. There are as many packets as capinfos counts, or as it reads until it gives up,
// and the summary has all of them. CAPTURES names a directory of more files (make captures).
func TestEveryViewOfEveryFile(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	capinfos := netnstest.Tool(t, "capinfos")
	root := os.Getenv("CAPTURES")
	if root == "" {
		root = filepath.Join("..", "filter", "testdata", "corpus", "packets")
	}
	files, packets := 0, int64(0)
	filepath.WalkDir(root, func(path string, e fs.DirEntry, _ error) error {
		if !e.Type().IsRegular() || os.Getenv("CAPTURES") == "" && !strings.HasSuffix(path, ".pcap") {
			return nil
		}
		out, refused := exec.Command(capinfos, "-M", "-c", path).Output()
		source, err := replay.Options{}.Open(func() (io.ReadCloser, error) { return os.Open(path) })
		if err != nil {
			var packed *pcapfile.PackedError
			if refused == nil && !errors.As(err, &packed) && isPcap(capinfos, path) {
				t.Errorf("%s: %v, and capinfos reads it", path, err)
			}
			return nil
		}
		defer source.Close()
		files++
		n := allViews(t, path, source)
		packets += n
		if m := regexp.MustCompile(`Number of packets: *(\d+)`).FindSubmatch(out); m != nil && refused == nil &&
			source.Torn() == nil {
			if want, _ := strconv.ParseInt(string(m[1]), 10, 64); want != n {
				t.Errorf("%s: %d packets, and capinfos counts %d", path, n, want)
			}
		}
		return nil
	})
	t.Logf("%d packets of %d files", packets, files)
	if files < 10 || packets < 1000 {
		t.Errorf("there were only %d packets of %d files", packets, files)
	}
}

// isPcap reports whether a file is of a format that this package reads, of the many that capinfos
// does.
func isPcap(capinfos, path string) bool {
	out, _ := exec.Command(capinfos, "-t", path).Output()
	return regexp.MustCompile(`File type: *.*(pcap|Wireshark|tcpdump)`).Match(out)
}
