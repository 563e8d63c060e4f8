package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

func TestDiagnosticDirectory(t *testing.T) {
	d, _ := newDirectory(t, Options{})
	at := func(name string) string { return filepath.Join(d.Path(), name) }
	os.WriteFile(at("report.txt"), []byte("report"), 0o600)
	os.WriteFile(at("a b.pcap"), []byte("x"), 0o600)
	os.WriteFile(at(".mx1-x.pcap.part"), []byte("x"), 0o600)
	os.Mkdir(at("folder"), 0o700)
	os.WriteFile(at("folder/inside"), []byte("x"), 0o600)
	outside := filepath.Join(t.TempDir(), "users.json")
	os.WriteFile(outside, nil, 0o600)
	os.Symlink(outside, at("out"))
	os.Symlink("report.txt", at("in"))
	os.WriteFile(at("bell\a"), []byte("x"), 0o600)
	if err := unix.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}

	files, err := d.ListFiles()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if !f.Payload || f.Modified.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"a b.pcap", "report.txt"}; !slices.Equal(names, want) {
		t.Errorf("the files are %q; want %q", names, want)
	}
	for _, name := range []string{"", ".", "..", "../users.json", "/etc/passwd", "out", "in", "folder", "folder/inside", "pipe", "bell\a", ".mx1-x.pcap.part",
		"missing", "report.txt/", "report.txt\x00", "./report.txt"} {
		_, err := d.StatFile(name)
		roomtest.WantCode(t, err, menu.NotFound)
		_, err = d.OpenFile(name)
		roomtest.WantCode(t, err, menu.NotFound)
		roomtest.WantCode(t, d.RemoveFile(menu.Caller{}, name), menu.NotFound)
	}
	f, err := d.OpenFile("report.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "report" {
		t.Errorf("it reads as %q, %v", text, err)
	}
	roomtest.WantCode(t, d.RemoveFile(menu.Caller{}, "report.txt"), 0)
	roomtest.WantCode(t, d.RemoveFile(menu.Caller{}, "report.txt"), menu.NotFound)
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file outside is gone: %v", err)
	}
	var e *menu.Error
	if err := d.RemoveFile(menu.Caller{}, "x\x1b[2J"); !errors.As(err, &e) || e.Argument != "file" || !PlainName(e.Message) {
		t.Errorf("the refusal is %q", err)
	}
}

// A folder of more files than a listing holds at a time is listed whole, each file once, with
// memory that does not grow with it.
func TestLongListing(t *testing.T) {
	d, _ := newDirectory(t, Options{})
	const many = 2*sortedNames + 500
	first := filepath.Join(d.Path(), "first.pcap")
	os.WriteFile(first, []byte("x"), 0o600)
	for i := range many - 1 {
		name := filepath.Join(d.Path(), fmt.Sprintf("mx1-%s-%06d.pcap", strings.Repeat("long", 20), i))
		if err := os.Link(first, name); err != nil {
			t.Fatal(err)
		}
	}
	all, err := d.OpenListing()
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	seen := make(map[string]bool, many)
	for {
		files, err := all.Next(100)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(files) == 0 || len(files) > 100 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			if seen[f.Name] {
				t.Fatalf("%s again", f.Name)
			}
			seen[f.Name] = true
		}
		if held := len(all.(*listing).names); held > sortedNames {
			t.Fatalf("%d names are held", held)
		}
	}
	if len(seen) != many {
		t.Errorf("%d files", len(seen))
	}
	if files, err := d.ListFiles(); err != nil || len(files) != many || !slices.IsSortedFunc(files, func(a, b access.File) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d files in order, %v", len(files), err)
	}
}

// Files that are there all the time are listed, each once, whatever comes and goes meanwhile.
func TestListingWhileFilesComeAndGo(t *testing.T) {
	d, _ := newDirectory(t, Options{})
	at := func(name string) string { return filepath.Join(d.Path(), name) }
	os.WriteFile(at("stays"), []byte("x"), 0o600)
	const many = sortedNames + 500 // so that the directory is read in two parts
	for i := range many {
		if err := os.Link(at("stays"), at(fmt.Sprintf("stays-%06d.pcap", i))); err != nil {
			t.Fatal(err)
		}
	}
	stop, changed := make(chan struct{}), make(chan int)
	go func() {
		changes := 0
		defer func() { changed <- changes }()
		for ; ; changes++ {
			select {
			case <-stop:
				return
			default:
			}
			name := fmt.Sprintf("goes-%06d.pcap", changes%4000)
			switch part := at("." + name + ".part"); changes / 4000 % 2 {
			case 0:
				os.Link(at("stays"), part)
				os.Rename(part, at(name))
			default:
				os.Remove(at(name))
			}
		}
	}()
	for range 5 {
		files, err := d.ListFiles()
		if err != nil {
			t.Fatal(err)
		}
		stayed := 0
		for i, f := range files {
			if i > 0 && f.Name == files[i-1].Name && strings.HasPrefix(f.Name, "stays") {
				t.Errorf("%s again", f.Name)
			}
			if strings.HasPrefix(f.Name, "stays") {
				stayed++
			}
		}
		if stayed != many+1 {
			t.Errorf("%d of %d files", stayed, many+1)
		}
	}
	close(stop)
	if changes := <-changed; changes < 100 {
		t.Errorf("only %d changes were made", changes)
	}
}
