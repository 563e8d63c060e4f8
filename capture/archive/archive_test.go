package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"diagsh/internal/test/netnstest"
)

// opener opens bytes.
func opener(data []byte) Opener {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// pack makes an archive of headers, each with its name as content where it is a file.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	members := tar.NewWriter(packed)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := members.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(members, h.Name)
		}
	}
	if err := errors.Join(members.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What tar packs is listed without its folder, and each member is read as it was.
func TestArchiveOfTar(t *testing.T) {
	program := netnstest.Tool(t, "tar")
	dir := t.TempDir()
	want := map[string][]byte{"packets/a.pcapng": bytes.Repeat([]byte("packets"), 100_000), "index.html": []byte("page"), "empty": nil}
	for name, content := range want {
		file := filepath.Join(dir, "report", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("index.html", filepath.Join(dir, "report", "link")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "report"+Suffix)
	if out, err := exec.Command(program, "-C", dir, "-czf", file, "report").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	open := func() (io.ReadCloser, error) { return os.Open(file) }
	names, err := Names(open)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"empty", "index.html", "packets/a.pcapng"}) {
		t.Fatalf("the members are %q, %v", names, err)
	}
	for name, content := range want {
		f, err := Open(open, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s has %d bytes, not %d; %v", name, len(got), len(content), err)
		}
	}
	for _, name := range []string{"link", "report/index.html", "", "none"} {
		if f, err := Open(open, name); !errors.Is(err, io.EOF) {
			t.Errorf("%q is opened: %v, %v", name, f, err)
		}
	}
}

// An archive that ends early, or is none, is an error and no shorter list.
func TestArchiveThatIsBroken(t *testing.T) {
	whole := pack(t, tar.Header{Name: "r/first", Typeflag: tar.TypeReg}, tar.Header{Name: "r/second", Typeflag: tar.TypeReg})
	failed := errors.New("gone")
	for name, open := range map[string]Opener{
		"cut":      opener(whole[:len(whole)/2]),
		"no gzip":  opener([]byte("packets")),
		"empty":    opener(nil),
		"not tar":  opener(gzipped(t, bytes.Repeat([]byte("x"), 1024))),
		"no file":  func() (io.ReadCloser, error) { return nil, failed },
		"bad sums": opener(append(bytes.Clone(whole[:len(whole)-8]), 0, 0, 0, 0, 0, 0, 0, 0)),
	} {
		if names, err := Names(open); err == nil {
			t.Errorf("%s: the members are %q", name, names)
		}
	}
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// closing counts how often what it opens is closed.
type closing struct {
	io.Reader
	closed *int
}

func (c closing) Close() error {
	*c.closed++
	return nil
}

// An archive is read until the context ends, and is closed then as well.
func TestDuring(t *testing.T) {
	var b bytes.Buffer
	members := tar.NewWriter(&b)
	members.WriteHeader(&tar.Header{Name: "r/a", Typeflag: tar.TypeReg, Size: 3})
	io.WriteString(members, "abc")
	members.Close()
	packed, closed := gzipped(t, b.Bytes()), 0
	ctx, interrupt := context.WithCancel(t.Context())
	open := Opener(func() (io.ReadCloser, error) { return closing{bytes.NewReader(packed), &closed}, nil }).During(ctx)
	if names, err := Names(open); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
	interrupt()
	if _, err := Names(open); !errors.Is(err, context.Canceled) || closed != 2 {
		t.Errorf("%v, closed %d times", err, closed)
	}
}

// FuzzArchive: whatever the bytes are, each member that is listed can be opened, and all that was
// opened is closed.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("packets"))
	var b bytes.Buffer
	members := tar.NewWriter(&b)
	for _, name := range []string{"r/a", "r/packets/b.pcapng", "../../c", "/d"} {
		members.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 3})
		io.WriteString(members, "abc")
	}
	members.WriteHeader(&tar.Header{Name: "r/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	members.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		packed := gzipped(t, data)
		opened, closed := 0, 0
		open := func() (io.ReadCloser, error) {
			opened++
			return closing{bytes.NewReader(packed), &closed}, nil
		}
		names, err := Names(open)
		for _, name := range names[:min(len(names), 10)] {
			one, openErr := Open(open, name)
			if openErr != nil {
				t.Fatalf("%q is listed and cannot be opened: %v", name, openErr)
			}
			// A sparse member has far more bytes than are packed.
			if _, readErr := io.CopyN(io.Discard, one, 1<<20); readErr != nil && readErr != io.EOF && err == nil {
				t.Errorf("%q is listed and cannot be read: %v", name, readErr)
			}
			one.Close()
		}
		if _, err := Open(open, "no such member \x00"); err == nil {
			t.Error("a member that is not there is opened")
		}
		if opened != closed {
			t.Errorf("%d were opened and %d closed", opened, closed)
		}
	})
}
