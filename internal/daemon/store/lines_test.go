package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/disktest"
)

// smallDisk returns a folder on a disk of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	disktest.Tmpfs(t, path, "64k")
	return path
}

// On a disk without room a file holds what it held, and nothing is beside it.
func TestReplaceOnAFullDisk(t *testing.T) {
	folder := smallDisk(t)
	path := filepath.Join(folder, "file")
	if err := Replace(path, []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, make([]byte, 1<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("1 MiB on a disk of 64 KiB: %v", err)
	}
	if got, err := Read(path); string(got) != "before" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("beside the file there are %v", entries)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info, err)
	}
	// What is in the place of the new file before it is a file is not followed.
	victim := filepath.Join(folder, "victim")
	os.WriteFile(victim, []byte("other"), 0o600)
	os.Symlink(victim, filepath.Join(folder, ".file.new"))
	Replace(path, []byte("after"))
	if got, _ := Read(victim); string(got) != "other" {
		t.Errorf("a symbolic link was followed: %q", got)
	}
}

func TestReadBounded(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	os.WriteFile(path, []byte("12345"), 0o600)
	if got, err := ReadBounded(path, 5); string(got) != "12345" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	for _, path := range []string{path, folder, "/dev/zero", filepath.Join(folder, "none")} {
		if got, err := ReadBounded(path, 4); err == nil {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got, err := Read(filepath.Join(folder, "none")); got != nil || err != nil {
		t.Errorf("no file: %q %v", got, err)
	}
}

// A line that does not fit is taken back, so that the next line that fits begins a line.
func TestLinesOnAFullDisk(t *testing.T) {
	path := filepath.Join(smallDisk(t), "log")
	l, err := OpenLines(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	long := []byte(strings.Repeat("x", 30_000) + "\n")
	var written int64
	for err == nil {
		if _, err = l.Append(long); err == nil {
			written += int64(len(long))
		}
	}
	if !errors.Is(err, unix.ENOSPC) || written == 0 {
		t.Fatalf("%v after %d bytes", err, written)
	}
	if info, err := l.Stat(); err != nil || info.Size() != written || l.Size() != written {
		t.Errorf("%d bytes are there, %d are known, of %d; %v", info.Size(), l.Size(), written, err)
	}
	if _, err := l.Append([]byte("short\n")); err != nil {
		t.Fatal(err)
	}
	if last, whole, err := LastLine(path); string(last) != "short" || !whole || err != nil {
		t.Errorf("the last line is %q %v %v", last, whole, err)
	}
}

// Nothing of a rotation is lost: if no new file can be made, lines go on in the old one until one
// can.
func TestRotate(t *testing.T) {
	folder := t.TempDir()
	path, older := filepath.Join(folder, "log"), filepath.Join(folder, "log.1")
	l, err := OpenLines(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	say := func(text string) {
		t.Helper()
		if _, err := l.Append([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	want := func(path, text string) {
		t.Helper()
		if got, _ := Read(path); string(got) != text {
			t.Errorf("%s has %q, want %q", filepath.Base(path), got, text)
		}
	}
	say("1")
	if err := l.Rotate(older); err != nil || l.Size() != 0 {
		t.Fatal(err, l.Size())
	}
	say("2")
	want(older, "1\n")
	want(path, "2\n")

	os.Mkdir(filepath.Join(folder, "taken"), 0o700)
	if err := l.Rotate(filepath.Join(folder, "taken")); err == nil {
		t.Error("the file was renamed to the name of a folder")
	}
	say("3")
	want(path, "2\n3\n")

	// The file was renamed, and a folder is in its place.
	os.Rename(path, older)
	os.Mkdir(path, 0o700)
	if err := l.Reopen(); err == nil {
		t.Error("a folder was opened")
	}
	say("4")
	want(older, "2\n3\n4\n")
	os.Remove(path)
	if err := l.Rotate(older); err != nil {
		t.Errorf("what another hand renamed stays so: %v", err)
	}
	say("5")
	want(path, "5\n")
	want(older, "2\n3\n4\n")
}

func TestLineReader(t *testing.T) {
	huge := strings.Repeat("y", maxLine+10)
	lines := NewLineReader(strings.NewReader("a\n\n" + huge + "\nb"))
	var got []string
	for {
		line, whole, err := lines.Next()
		if err != nil {
			t.Fatal(err)
		}
		if line == nil {
			break
		}
		got = append(got, strconv.Itoa(len(line))+strconv.FormatBool(whole))
	}
	if want := []string{"1true", "0true", strconv.Itoa(maxLine) + "false", "10true", "1false"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	text := "ab\ncd\ne"
	for at, want := range []int64{0, 0, 0, 3, 3, 3, 6, 6} {
		if got, err := LineBefore(strings.NewReader(text), int64(at)); got != want || err != nil {
			t.Errorf("the line before %d begins at %d, not %d; %v", at, got, want, err)
		}
	}
}

// An error of Yield ends a Tail and is what Run returns, so that a caller can tell it from one of
// reading.
func TestTailReturnsTheErrorOfYield(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	os.WriteFile(path, []byte("a\nb\n"), 0o600)
	mine := errors.New("mine")
	tail := Tail{Paths: func() ([]string, error) { return []string{path}, nil }, Changed: &Notifier{}, Yield: func([]byte) error { return mine }}
	if err := tail.Run(context.Background(), 10, true); err != mine {
		t.Errorf("%v", err)
	}
}
