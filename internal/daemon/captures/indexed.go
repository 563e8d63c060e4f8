package captures

import (
	"context"
	"io/fs"
	"os"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/index"
	"diagsh/internal/menu"
)

// indexBytes is how much memory the indexes of files take together. An index of a million packets
// has 250 kB, and 125 kB for each filter.
const indexBytes = 24 << 20

// OpenPackets returns the packets that a name stands for, to be found by their positions. To a
// caller who may see headers only it shows no more of packets whose contents were captured.
func (t *Table) OpenPackets(caller menu.Caller, name string) (*index.View, error) {
	v, err := t.openPackets(name)
	if err != nil {
		return nil, err
	}
	// What holds packet contents, package api has compared with the caller for whole packets; this
	// is of commands that can show their headers alone.
	f, known := t.Packets(name)
	v.HeadersOnly = !caller.Payload && (!known || f.Payload)
	return v, nil
}

func (t *Table) openPackets(name string) (*index.View, error) {
	status, isFile, err := t.packetsOf(name)
	switch {
	case err != nil:
		return nil, err
	case isFile:
		return t.indexes.Open(0, false, t.indexSource(name, func() (*os.File, error) { return t.directory.OpenFile(name) }, false))
	}
	var sources []index.Source
	for _, f := range status.Files {
		_, err := t.root.Lstat(capture.PartName(f.Name))
		sources = append(sources, t.indexSource(f.Name, func() (*os.File, error) { return t.openOf(name, f.Name) }, err == nil))
	}
	growing := status.State == capture.Running
	if len(sources) == 0 && !growing {
		return nil, wrongState(name, "has no file any more", "")
	}
	return t.indexes.Open(status.PacketsRemoved, growing, sources...)
}

// indexSource returns a file as the index takes it.
func (t *Table) indexSource(name string, open func() (*os.File, error), growing bool) index.Source {
	return index.Source{Name: name, Growing: growing, Open: open, Stat: func() (fs.FileInfo, error) {
		f, err := open()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return f.Stat()
	}}
}

// PacketsFilter returns a filter of positions. To a caller who may see headers only it refuses one
// that looks behind them.
func (t *Table) PacketsFilter(ctx context.Context, caller menu.Caller, v *index.View, expression string) (
	*index.Filter, error) {
	if v.HeadersOnly {
		if err := permitFilter(caller, expression); err != nil {
			return nil, err
		}
	}
	names := filter.Remember(filterNames)
	if _, err := matchFilter(ctx, expression, names); err != nil {
		return nil, err
	}
	// The packets that are selected depend on the addresses that host names have now.
	key := filter.WithAddresses(ctx, expression, names)
	return &index.Filter{Key: key, New: func() (index.Matcher, error) {
		return matchFilter(context.WithoutCancel(ctx), key, names)
	}}, nil
}

// noPackets returns the error for a name that is of no capture and of no file.
func noPackets(name string) error {
	return &menu.Error{Code: menu.NotFound, Argument: "name",
		Message: "There is no capture and no file " + menu.Quoted(name),
		Hint:    "packetcapture list shows the captures"}
}
