package reports

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
	"diagsh/internal/test/disktest"
)

// A lateReader is a member of 32 MB. After half of it something happens.
type lateReader struct {
	left int
	late func()
}

const lateBytes = 32 << 20

func (r *lateReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left <= lateBytes/2 && r.late != nil {
		r.late()
		r.late = nil
	}
	n := min(len(b), r.left)
	clear(b[:n])
	r.left -= n
	return n, nil
}

// While a bundle is made another writer takes what was free of the disk, or of the quota: it ends with
// the reason and leaves nothing. The next one, with room, is made.
func TestBundleOnADiskThatFills(t *testing.T) {
	for name, test := range map[string]struct {
		quota, taken int64
		reason       string
	}{
		"reserve": {0, 100 << 20, "disk is low"},
		"quota":   {50 << 20, 60 << 20, "does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			disktest.Tmpfs(t, dir, "160m")
			directory, err := files.Open(files.Options{Path: filepath.Join(dir, "diagnostic"), Log: slog.New(slog.DiscardHandler), QuotaBytes: test.quota, ReserveBytes: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer directory.Close(context.Background())
			r, err := Open(Options{Dir: dir, Files: directory, Product: "diagsh", Hostname: func() string { return "mx1" }, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(directory.Path(), "other.pcap")
			fill := func() {
				if err := fillFile(other, test.taken); err != nil {
					t.Error(err)
				}
			}
			bundle := func(late func()) Bundle {
				return Bundle{Stem: "mx1-looked-report", Title: "looked", Sections: []Section{{Title: "Packets", Members: []Member{{Name: "large", Role: menu.Operator,
					Open: func() (io.ReadCloser, int64, error) {
						return io.NopCloser(&lateReader{lateBytes, late}), lateBytes, nil
					}}}}}}
			}
			_, err = r.CreateBundle(t.Context(), admin, bundle(fill), func(string) {})
			wantKind(t, err, menu.State)
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("the reason is %v", err)
			}
			if entries, _ := os.ReadDir(directory.Path()); len(entries) != 1 || len(r.Reports()) != 0 {
				t.Errorf("there are %v, and the reports %v", entries, r.Reports())
			}
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
			made, err := r.CreateBundle(t.Context(), admin, bundle(nil), func(string) {})
			if err != nil || !directory.Exists(made.Name) || made.Name != "mx1-looked-report.tar.gz" {
				t.Errorf("%+v, %v", made, err)
			}
		})
	}
}

// fillFile writes a file whose bytes are on the disk.
func fillFile(path string, bytes int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	piece := make([]byte, 1<<20)
	for ; bytes > 0 && err == nil; bytes -= int64(len(piece)) {
		_, err = f.Write(piece)
	}
	return errors.Join(err, f.Close())
}
