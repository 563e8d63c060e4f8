package captures

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/programs"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// The files of packets that a name stands for, and the names that a user may mean.

// Packets implements api.Files.
func (t *Table) Packets(name string) (f access.File, known bool) {
	if f, err := t.directory.StatFile(name); err == nil {
		return f, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.find(name); ok {
		return access.File{Name: name, Payload: r.Payload}, true
	}
	return access.File{}, false
}

// PacketFiles returns the files of packets that a name stands for: a file of the diagnostic
// directory, or the files of a capture. Of those that are not closed yet it has what is on the disk
// so far.
func (t *Table) PacketFiles(name string) ([]replay.Opener, error) {
	status, isFile, err := t.packetsOf(name)
	switch {
	case err != nil:
		return nil, err
	case isFile:
		return []replay.Opener{t.opener(name)}, nil
	}
	var files []replay.Opener
	for _, f := range status.Files {
		files = append(files, t.openerOf(name, f.Name))
	}
	if len(files) == 0 {
		return nil, wrongState(name, "has no file any more", "")
	}
	return files, nil
}

// packetsOf returns what a name stands for: a finished file, or a capture with its status.
func (t *Table) packetsOf(name string) (status capture.Status, isFile bool, err error) {
	_, missing := t.directory.FileInfo(name)
	if missing == nil {
		return status, true, nil
	}
	status, err = t.Capture(name)
	switch {
	case err == nil:
	case t.directory.Growing(name):
		err = missing
	default:
		err = noPackets(name)
	}
	return status, false, err
}

// FileNames completes names of finished files, without regard to case. It returns at most the given
// number, and first those that no capture of the table has, as users put them there.
func (t *Table) FileNames(begun string, most int) []string {
	return t.fileNames(begun, most, func(string) bool { return true })
}

// PacketFileNames completes names as FileNames does, of files that begin as files of packets do.
func (t *Table) PacketFileNames(begun string, most int) []string {
	kind := t.directory.Kinds()
	return t.fileNames(begun, most, func(name string) bool {
		if k := kind(name); k != (captureFiles{}).Kind() && k != files.KindOther {
			return false
		}
		f, err := t.directory.OpenFile(name)
		if err != nil {
			return false
		}
		defer f.Close()
		var magic [4]byte
		_, err = io.ReadFull(f, magic[:])
		return err == nil && pcapfile.Begins(magic[:])
	})
}

// fileNames completes names of finished files that are wanted. A directory that cannot be read has
// none to offer: listing it says why.
func (t *Table) fileNames(begun string, most int, wanted func(string) bool) []string {
	dir, err := t.root.Open(".")
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil
	}
	captured := t.capturedFiles()
	var own, others []string
	for _, e := range entries {
		switch name := e.Name(); {
		case !files.PlainName(name) || !e.Type().IsRegular():
		case len(name) < len(begun) || !strings.EqualFold(name[:len(begun)], begun):
		case captured[name]:
			own = append(own, name)
		default:
			others = append(others, name)
		}
	}
	slices.Sort(own)
	slices.Sort(others)
	var list []string
	for _, name := range slices.Concat(others, own) {
		if len(list) == most {
			break
		}
		if wanted(name) {
			list = append(list, name)
		}
	}
	return list
}

// opener returns a function that opens a finished file.
func (t *Table) opener(name string) replay.Opener {
	return func() (io.ReadCloser, error) { return t.directory.OpenFile(name) }
}

// openerOf returns a function that opens a file of a capture. The last file of a capture that runs
// is being written, and those before it may still wait to be closed. The error has replay.ErrGone
// if the ring has deleted the file.
func (t *Table) openerOf(name, file string) replay.Opener {
	return func() (io.ReadCloser, error) { return t.openOf(name, file) }
}

// openOf opens a file of a capture; see openerOf.
func (t *Table) openOf(name, file string) (*os.File, error) {
	f, err := t.openWritten(file)
	if err != nil {
		// The file gets its name between the two looks, or an appending capture takes the name
		// away.
		f, err = t.openWritten(file)
	}
	if err != nil && !t.lists(name, file) {
		err = errors.Join(err, replay.ErrGone)
	}
	return f, err
}

// openWritten opens a file that is being written, or has been.
func (t *Table) openWritten(file string) (*os.File, error) {
	f, err := t.root.Open(capture.PartName(file))
	if err != nil {
		return t.directory.OpenFile(file)
	}
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		f.Close()
		return nil, replay.ErrEmpty // its header is on its way to the disk
	}
	return f, nil
}

// lists reports whether a capture has a file.
func (t *Table) lists(name, file string) bool {
	status, err := t.Capture(name)
	return err == nil && slices.ContainsFunc(status.Files, func(f capture.FileInfo) bool { return f.Name == file })
}

// MatchFilter compiles a filter expression for packets of files and of running captures. The filter
// is for one goroutine.
func (t *Table) MatchFilter(ctx context.Context, expression string) (*replay.Filter, error) {
	return matchFilter(ctx, expression, filter.Remember(filterNames))
}

func matchFilter(ctx context.Context, expression string, names filter.Names) (*replay.Filter, error) {
	f, err := replay.NewFilter(ctx, expression, names, func(i capture.Interface) uint32 {
		if i.Index == 0 {
			return 0 // of a file: it does not say what network it is from
		}
		mask, _ := programs.Netmask(i)
		return mask
	})
	if err != nil {
		return nil, menu.Failing("check the filter", programs.Error(err, capture.Interface{}))
	}
	return f, nil
}
