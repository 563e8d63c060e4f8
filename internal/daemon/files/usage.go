package files

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"diagsh/capture"
	"diagsh/diag/disks"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Kinds of files that have no owner.
const (
	kindWriting = "captures being written"
	KindOther   = "other"
)

// DirectoryUse says what is in the directory, what is being written included. The kinds are those
// of the owners in their order, with files being written after the first.
func (d *Directory) DirectoryUse() (access.DiskUse, error) {
	var kinds []access.DiskUseOfKind
	for i, owner := range d.owners {
		kinds = append(kinds, access.DiskUseOfKind{Kind: owner.Kind()})
		if i == 0 {
			kinds = append(kinds, access.DiskUseOfKind{Kind: kindWriting})
		}
	}
	kinds = append(kinds, access.DiskUseOfKind{Kind: KindOther})
	u := access.DiskUse{Largest: []access.File{}, ReserveBytes: d.Reserve(), QuotaBytes: d.o.QuotaBytes, Kinds: kinds}
	count := func(kind string, bytes int64) {
		k := &kinds[slices.IndexFunc(kinds, func(k access.DiskUseOfKind) bool { return k.Kind == kind })]
		k.Files++
		k.Bytes += bytes
		u.Files++
		u.Bytes += bytes
	}
	list, err := d.ListFiles()
	if err != nil {
		return u, err
	}
	u.Largest = list
	describe := d.describer()
	for _, f := range list {
		count(describe.kind(f.Name), f.Bytes)
	}
	hidden, err := filepath.Glob(filepath.Join(d.o.Path, ".*"))
	if err != nil {
		return u, menu.Failing("list the files", err)
	}
	for _, path := range hidden {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		kind := KindOther
		if _, writing := capture.FinalName(info.Name()); writing {
			kind = kindWriting
		}
		count(kind, info.Size())
	}
	slices.SortStableFunc(u.Largest, func(a, b access.File) int { return cmp.Compare(b.Bytes, a.Bytes) })
	disk, err := disks.Of(d.o.Path)
	if err != nil {
		return u, menu.Failing("look at the disk", err)
	}
	u.FreeBytes = int64(disk.Available)
	return u, nil
}
