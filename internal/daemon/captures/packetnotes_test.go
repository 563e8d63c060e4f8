package captures

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// commentsIn returns what tshark reads of the comments of a file in a format.
func commentsIn(t *testing.T, d *rooms, name, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := d.Convert(t.Context(), name, access.Form{Format: format}, &out); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "converted")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(netnstest.Tool(t, "tshark"), "-r", path, "-T", "fields", "-e", "frame.number", "-e", "frame.comment").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// Notes travel in the pcapng that is made of a file, in whichever format it is stored, and in no
// pcap; they survive the appliance and go with the file.
func TestNotesTravelAndGoWithTheirFiles(t *testing.T) {
	t.Parallel()
	o := roomOptions{Dir: t.TempDir()}
	b := newBed(t, o)
	var files []string
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		b.mustStart(ask(string(format), capture.Options{Format: format, Limits: capture.Limits{Packets: 3}}))
		send(t, b.ns, onePacket(1), 3)
		await.Until(t, "the capture ends", func() bool { s, _ := b.d.Capture(string(format)); return s.State == capture.Stopped })
		s, _ := b.d.Capture(string(format))
		files = append(files, s.Files[0].Name)
	}
	ann := menu.Caller{User: "ann"}
	for _, name := range files {
		for _, n := range []access.Note{{InFile: 3}, {InFile: 1, Text: "replaced"}, {InFile: 1, Text: "the first"}} {
			n.File = name
			if got, err := b.d.SetNote(ann, n); err != nil || got.Author != "ann" || got.Time.IsZero() {
				t.Fatal(got, err)
			}
		}
	}
	as := access.Form{Format: "pcapng"}
	first, err := b.d.Converts(files[1], as)
	if err != nil {
		t.Fatal(err)
	}
	b.again(o)
	for _, name := range files {
		if got, want := commentsIn(t, b.d, name, "pcapng"), "1\tthe first\n2\t\n3\tMarked\n"; got != want {
			t.Errorf("the pcapng of %s says %q", name, got)
		}
		if got, want := commentsIn(t, b.d, name, "pcap"), "1\t\n2\t\n3\t\n"; got != want {
			t.Errorf("the pcap of %s says %q", name, got)
		}
	}
	if again, err := b.d.Converts(files[1], as); !again.Needed || again != first || err != nil {
		t.Errorf("written anew: %+v, was %+v, %v", again, first, err)
	}
	if _, there, err := b.d.DeleteNote(files[1], 3); !there || err != nil {
		t.Error(there, err)
	}
	if _, there, err := b.d.DeleteNote(files[1], 3); there || err != nil {
		t.Error("deleted twice", err)
	}
	if other, _ := b.d.Converts(files[1], as); other.Revision == first.Revision || other.Revision == "" {
		t.Errorf("the revision of other notes is %q", other.Revision)
	}
	if _, _, err := b.d.DeleteNote(files[1], 1); err != nil {
		t.Error(err)
	}
	if none, _ := b.d.Converts(files[1], as); none.Needed || none.Revision != "" {
		t.Errorf("without notes it is written anew: %+v", none)
	}

	// What deletes a file: with its capture, alone, and a ring, which tells nobody.
	b.d.SetNote(ann, access.Note{File: files[1], InFile: 2})
	if err := b.d.DeleteCapture(roomtest.Admin, "pcap"); err != nil {
		t.Fatal(err)
	}
	if left := b.d.Notes(files[0]); len(left) > 0 {
		t.Errorf("of a deleted capture %v are left", left)
	}
	if err := b.d.RemoveFile(roomtest.Admin, files[1]); err != nil {
		t.Fatal(err)
	}
	if left := b.d.Notes(files[1]); len(left) > 0 {
		t.Errorf("of a deleted file %v are left", left)
	}
	part := filepath.Join(b.d.Path(), capture.PartName("there.pcap"))
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.d.SetNote(ann, access.Note{File: "there.pcap", InFile: 1})
	b.d.SetNote(ann, access.Note{File: "gone.pcap", InFile: 1})
	b.d.sweepNotes()
	if left := b.d.Notes("gone.pcap", "there.pcap"); len(left) != 1 || left[0].File != "there.pcap" {
		t.Errorf("after files went there are %v", left)
	}
}

// Notes are bounded, one line of text, and go with factory values.
func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	d := start(t, roomOptions{Dir: t.TempDir()})
	set := func(file string, at int64, text string) error {
		_, err := d.SetNote(roomtest.Admin, access.Note{File: file, InFile: at, Text: text})
		return err
	}
	roomtest.WantCode(t, set("a", 1, "two\nlines"), menu.Usage)
	roomtest.WantCode(t, set("a", 1, "a\x1b[2J"), menu.Usage)
	roomtest.WantCode(t, set("a", 1, "a\xff"), menu.Usage)
	roomtest.WantCode(t, set("a", 1, strings.Repeat("ä", 501)), menu.Usage)
	if err := set("a", 1, strings.Repeat("ä", 500)); err != nil {
		t.Error(err)
	}
	if losses := fmt.Sprint(d.Table.Losses()); !strings.Contains(losses, "{notes at packets of captures 1 ") {
		t.Errorf("factory values would take away %v", losses)
	}
	if err := d.Table.Reset(); err != nil || len(d.Notes("a")) > 0 {
		t.Errorf("after factory values there are %v, %v", d.Notes("a"), err)
	}
}
