package daemon

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/diag/disks"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Kinds of files in the diagnostic directory, in the order in which they are shown.
var fileKinds = []string{"captures", "captures being written", "reports", "other"}

// DiagnosticUsage says what is in the diagnostic directory, what is being written included.
func (d *Daemon) DiagnosticUsage() (access.Usage, error) {
	list, err := d.ListFiles()
	if err != nil {
		return access.Usage{}, err
	}
	u := access.Usage{Largest: list, ReserveBytes: d.reserve(), QuotaBytes: d.CaptureRules().Quota}
	kinds := make([]access.KindUsage, len(fileKinds))
	for i, name := range fileKinds {
		kinds[i].Kind = name
	}
	count := func(kind string, bytes int64) {
		k := &kinds[slices.Index(fileKinds, kind)]
		k.Files++
		k.Bytes += bytes
		u.Files++
		u.Bytes += bytes
	}
	for _, f := range list {
		count(fileKind(f.Name), f.Bytes)
	}
	hidden, err := filepath.Glob(filepath.Join(d.captures.path, ".*"))
	if err != nil {
		return u, menu.Failing("list the files", err)
	}
	for _, path := range hidden {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		kind := "other"
		if _, writing := capture.FinalName(info.Name()); writing {
			kind = "captures being written"
		}
		count(kind, info.Size())
	}
	u.Kinds = kinds
	slices.SortStableFunc(u.Largest, func(a, b access.File) int { return cmp.Compare(b.Bytes, a.Bytes) })
	disk, err := disks.Of(d.captures.path)
	if err != nil {
		return u, menu.Failing("look at the disk", err)
	}
	u.FreeBytes = int64(disk.Available)
	return u, nil
}

// fileKind tells the kind of a finished file by its name.
func fileKind(name string) string {
	switch {
	case strings.HasSuffix(name, ".pcap"), strings.HasSuffix(name, ".pcapng"):
		return "captures"
	case strings.HasSuffix(name, reportSuffix):
		return "reports"
	}
	return "other"
}
