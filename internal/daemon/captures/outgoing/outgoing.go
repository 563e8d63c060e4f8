// Package outgoing writes files of packets anew for who takes them: in another format, and in pcapng
// with what users noted at packets, with the processes that the packets are of, and with the packets
// that the kernel dropped meanwhile.
package outgoing

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/notes"
	"diagsh/internal/menu"
)

// Options are what a Writer needs of the rooms around it.
type Options struct {
	Open   func(name string) (*os.File, error) // opens a finished file
	Header capture.FileHeader                  // machine and program
	Notes  *notes.Book

	// Owners returns who had the conversations in a file, nil if nobody kept that. Revision returns
	// what tells one state of that from another, "" without.
	Owners   func(file string) (*owners.Table, error)
	Revision func(file string) string

	// Drops opens the packets that the kernel dropped while a file was written, nil if nobody kept
	// them. wanted reports whether one of a time belongs to the file.
	Drops func(file string) (drops *os.File, wanted func(nanoseconds int64) bool)
}

// A Writer writes files of packets anew.
type Writer struct{ o Options }

// New returns a Writer.
func New(o Options) *Writer { return &Writer{o} }

// Look reports whether a file of packets is written anew in a form. The error is for users.
func (w *Writer) Look(name string, as access.Form) (c access.Conversion, err error) {
	r, file, err := w.open(name)
	if err != nil {
		return c, err
	}
	defer file.Close()
	format := capture.Format(as.Format)
	flows := ""
	switch {
	case format != capture.PCAP && format != capture.PCAPNG:
		return c, menu.BadArgument("format", "There is no format %s", menu.Quoted(as.Format)).
			WithHint("The formats are pcap and pcapng")
	case format == capture.PCAPNG:
		flows = w.o.Revision(name)
		c.Revision = w.o.Notes.Revision(name) + flows + w.dropsRevision(name)
	}
	switch {
	case as.AppleBlocks && format != capture.PCAPNG:
		return c, menu.BadArgument("appleblocks", "The format pcap has no place for blocks").WithHint("Give format pcapng")
	case as.AppleBlocks && flows == "":
		return c, notKept(name)
	case as.AppleBlocks:
		c.Revision += "apple"
	}
	c.Needed = r.Format() != format || c.Revision != ""
	c.Name = strings.TrimSuffix(name, path.Ext(name)) + "." + as.Format
	if flows != "" {
		c.Name = JoinedName(name)
	}
	return c, nil
}

// JoinedName returns the name of a file of packets that say which processes they are of.
func JoinedName(name string) string {
	return strings.TrimSuffix(name, path.Ext(name)) + ".processes.pcapng"
}

// notKept says that nobody kept the processes of packets.
func notKept(name string) error {
	return menu.Errorf(menu.State, "Nobody kept which processes the packets of %s are of", menu.Quoted(name)).
		WithHint("Begin captures with processes yes")
}

// open opens a file of packets.
func (w *Writer) open(name string) (*pcapfile.Reader, *os.File, error) {
	f, err := w.o.Open(name)
	if err != nil {
		return nil, nil, err
	}
	r, err := pcapfile.NewReader(f)
	if err != nil {
		f.Close()
		return nil, nil, &menu.Error{Code: menu.State, Argument: "format",
			Message: "The file " + menu.Quoted(name) + " is not one of packets, so it has no other format", Hint: "Leave format out"}
	}
	return r, f, nil
}

// Write writes the packets of a file in a form. An error that is a *menu.Error comes before anything
// was written.
func (w *Writer) Write(ctx context.Context, name string, as access.Form, out io.Writer) error {
	r, file, err := w.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(out, 256<<10)
	into, merged := w.merging(name, as, buffered)
	format := capture.Format(as.Format)
	say, err := w.saying(name, as)
	switch {
	case err != nil:
	case r.Format() == capture.PCAPNG && format == capture.PCAPNG && say != nil:
		err = pcapfile.CopyCommented(until{ctx, into}, io.NewSectionReader(file, 0, 1<<62), say)
	default:
		h := w.o.Header
		h.Format, h.SnapLength, h.MaxBytes, h.Start = format, capture.MaxSnapLength, capture.Unlimited, time.Now()
		err = r.Convert(ctx, h, into, say)
	}
	err = merged(err)
	if errors.Is(err, capture.ErrMixedLinkTypes) {
		return menu.Errorf(menu.State, "The packets of %s are of several link types, which do not fit into one pcap file",
			menu.Quoted(name)).WithHint("Take it as pcapng")
	}
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// saying returns what a file says of its packets. It is nil if that is nothing.
func (w *Writer) saying(file string, as access.Form) (func(int64, *capture.Packet, capture.Interface) pcapfile.Said, error) {
	if as.Format != string(capture.PCAPNG) {
		return nil, nil
	}
	notes := w.o.Notes.Comments(file)
	table, err := w.o.Owners(file)
	if err != nil || table == nil && len(notes) == 0 {
		return nil, err
	}
	var j *owners.Joiner
	if table != nil {
		j = owners.NewJoiner(table)
	}
	return func(number int64, p *capture.Packet, on capture.Interface) (said pcapfile.Said) {
		if j != nil {
			said = j.Join(p, on.LinkType).Said(as.AppleBlocks)
		}
		if note := notes[number]; note != "" {
			said.Comments = append([]string{note}, said.Comments...)
		}
		return said
	}, nil
}

// An until is a writer until a context ends.
type until struct {
	ctx context.Context
	out io.Writer
}

func (u until) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.out.Write(b)
}
