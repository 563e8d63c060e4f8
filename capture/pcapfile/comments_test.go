package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

// commentsIn returns the comments of each packet.
func commentsIn(t testing.TB, file []byte) (list [][]string) {
	t.Helper()
	if err := EachSaid(bytes.NewReader(file), func(_ *capture.Packet, _ capture.Interface, said Said) error {
		list = append(list, said.Comments)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// The comments that are written to packets come back with them, before those that they had, in both
// byte orders and from each kind of block.
func TestCommentsComeBack(t *testing.T) {
	for name, o := range map[string]binary.ByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		var out bytes.Buffer
		if err := CopyCommented(&out, bytes.NewReader(foreignFile(o)), func(n int64, _ *capture.Packet, _ capture.Interface) Said {
			return Said{Comments: []string{fmt.Sprint("of ", n), "äé"}, PID: 7}
		}); err != nil {
			t.Fatal(err)
		}
		for what, test := range map[string]struct {
			file []byte
			want string
		}{
			"before":   {foreignFile(o), `[["own"] [] [] []]`},
			"after":    {out.Bytes(), `[["of 1" "äé" "own"] ["of 2" "äé"] ["of 3" "äé"] ["of 4" "äé"]]`},
			"cut":      {out.Bytes()[:out.Len()-5], `[["of 1" "äé" "own"] ["of 2" "äé"] ["of 3" "äé"]]`},
			"one last": {foreignFile(o)[:len(foreignFile(o))-1], `[["own"] [] []]`},
		} {
			if got := fmt.Sprintf("%q", commentsIn(t, test.file)); got != test.want {
				t.Errorf("%s, %s: %s; want %s", name, what, got, test.want)
			}
		}
	}
}

// A comment that another program wrote is read as tshark shows it.
func TestCommentsOfEditcap(t *testing.T) {
	t.Parallel()
	editcap, tshark := netnstest.Tool(t, "editcap"), netnstest.Tool(t, "tshark")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcapng"), filepath.Join(dir, "out.pcapng")
	if err := os.WriteFile(in, foreignFile(binary.LittleEndian), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command(editcap, "-F", "pcapng", "-a", "2:dropped: NO_SOCKET", "-a", "4:a longer one", in, out).CombinedOutput(); err != nil {
		t.Fatalf("editcap: %v\n%s", err, text)
	}
	shown, err := exec.Command(tshark, "-n", "-r", out, "-T", "fields", "-e", "frame.comment").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, comments := range commentsIn(t, file) {
		lines = append(lines, strings.Join(comments, ","))
	}
	if want := strings.Split(strings.TrimSuffix(string(shown), "\n"), "\n"); !slices.Equal(lines, want) {
		t.Errorf("the comments are %q; tshark shows %q", lines, want)
	}
}

// An error of the one who is told ends it.
func TestCommentsUntilAnError(t *testing.T) {
	wrong, told := errors.New("wrong"), 0
	err := EachSaid(bytes.NewReader(foreignFile(binary.LittleEndian)), func(*capture.Packet, capture.Interface, Said) error {
		told++
		return wrong
	})
	if !errors.Is(err, wrong) || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
}

// A file in the format pcap has packets, and no place for comments.
func TestCommentsOfPCAP(t *testing.T) {
	all := packets(3, 100)
	file, err := os.ReadFile(write(t, header(capture.PCAP), all))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", commentsIn(t, file)); got != "[[] [] []]" {
		t.Errorf("the comments are %s", got)
	}
}

// FuzzEachSaid: whatever the bytes are, no packet is told with a comment that is not in them, and
// the packets are those of the Reader.
func FuzzEachSaid(f *testing.F) {
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		f.Add(foreignFile(o))
		// A block whose lengths differ ends the file for both.
		between := foreignBlock(o, 0xf00, []byte("stays")...)
		f.Add(bytes.Replace(foreignFile(o), between, append(between[:len(between)-4:len(between)-4], "oops"...), 1))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		told := 0
		EachSaid(bytes.NewReader(file), func(p *capture.Packet, _ capture.Interface, said Said) error {
			told++
			for _, c := range said.Comments {
				if !bytes.Contains(file, []byte(c)) && !bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
					t.Errorf("the comment %q is not in the file", c)
				}
			}
			return nil
		})
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		read := 0
		for p := (capture.Packet{}); r.Next(&p) == nil; read++ {
		}
		if told != read {
			t.Errorf("%d packets are told, and %d are read", told, read)
		}
	})
}
