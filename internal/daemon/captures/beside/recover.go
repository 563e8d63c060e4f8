package beside

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/store"
)

// Recover finishes the files beside a capture whose appliance died: it cuts off what is not a whole
// record, and gives them their names. known is what the capture's status says of them. It returns
// those that are there.
func Recover(dir *os.Root, path, file string, known []capture.FileBeside) (list []capture.FileBeside, err error) {
	var errs []error
	for _, k := range kinds {
		name := Name(file, k)
		if _, err := FinishStray(dir, path, name); err != nil {
			errs = append(errs, err)
		}
		info, err := dir.Lstat(name)
		if err != nil {
			continue
		}
		f := capture.FileBeside{Name: name, Kind: k.word(), Bytes: info.Size()}
		for _, before := range known {
			if before.Name == name {
				f.Stopped, f.Blind, f.Reasons = before.Stopped, before.Blind, before.Reasons
			}
		}
		if k == Drops {
			f.Reasons, err = countRecorded(dir, name, f.Reasons)
			errs = append(errs, err)
		}
		list = append(list, f)
	}
	return list, errors.Join(errs...)
}

// countRecorded returns what is known of packets that were dropped, with those that the file has: what
// was counted beside them died with the appliance.
func countRecorded(dir *os.Root, name string, known []capture.DropReason) ([]capture.DropReason, error) {
	f, err := dir.Open(name)
	if err != nil {
		return known, bare(err)
	}
	defer f.Close()
	recorded := map[string]uint64{}
	err = pcapfile.EachSaid(f, func(_ *capture.Packet, _ capture.Interface, said pcapfile.Said) error {
		for _, c := range said.Comments {
			if reason, ok := drops.ReasonOf(c); ok {
				recorded[reason]++
			}
		}
		return nil
	})
	list := slices.Clone(known)
	for _, reason := range slices.Sorted(maps.Keys(recorded)) {
		i := slices.IndexFunc(list, func(d capture.DropReason) bool { return d.Reason == reason && !d.Noise })
		if i < 0 {
			i, list = len(list), append(list, capture.DropReason{Reason: reason})
		}
		list[i].Recorded = max(list[i].Recorded, recorded[reason])
		list[i].Packets = max(list[i].Packets, list[i].Recorded)
	}
	return list, err
}

// FinishStray finishes a file that was being written beside a capture, by its final name. It
// reports false if the name is not one of such a file; a file that is not there needs nothing. One
// in which nothing is whole is deleted.
func FinishStray(dir *os.Root, path, name string) (ours bool, err error) {
	part := capture.PartName(name)
	whole := trimmers[kindOfName(name)]
	if whole == nil {
		return false, nil
	}
	dir.Remove(freshName(name))
	bytes, err := whole(filepath.Join(path, part))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return true, bare(err)
	case bytes == 0:
		return true, bare(dir.Remove(part))
	}
	if err := rename(dir, part, name); err != nil {
		return true, err
	}
	return true, syncDirectory(dir)
}

// kindOfName returns the kind of a file by the end of its name, whatever capture it is beside.
func kindOfName(name string) Kind {
	for _, k := range kinds {
		if strings.HasSuffix(name, string(k)) {
			return k
		}
	}
	return ""
}

// trimmers cut off what is not whole at the end of a file, and return how many bytes are left.
var trimmers = map[Kind]func(path string) (int64, error){Flows: trimLines, Drops: trimPackets}

func trimPackets(path string) (int64, error) {
	info, err := pcapfile.Repair(path)
	if errors.Is(err, pcapfile.ErrNoCapture) {
		return 0, nil
	}
	return info.Bytes, err
}

// trimLines cuts a file after its last line.
func trimLines(path string) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if end, err = store.LineBefore(f, end); err != nil {
		return 0, err
	}
	return end, errors.Join(f.Truncate(end), f.Sync())
}
