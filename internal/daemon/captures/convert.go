package captures

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// What is known of the files that captures wrote, for who downloads them.

// Contents implements api.Files.
func (t *Table) Contents(name string) access.Contents {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if !r.has(name) {
			continue
		}
		files := r.status().Files
		i := slices.IndexFunc(files, func(f capture.FileInfo) bool { return f.Name == name })
		if i < 0 {
			continue
		}
		f := files[i]
		return access.Contents{Capture: r.Status.Name, Owner: r.Status.Owner, Packets: &f.Packets, First: f.First,
			Last: f.Last, Comment: r.Spec.Comment, Case: r.Spec.CaseNumber}
	}
	return access.Contents{}
}

// Converts implements api.Files.
func (t *Table) Converts(name, format string) (needed bool, notes string, err error) {
	r, file, err := t.packetReader(name)
	if err != nil {
		return false, "", err
	}
	defer file.Close()
	switch format := capture.Format(format); {
	case format != capture.PCAP && format != capture.PCAPNG:
		return false, "", menu.BadArgument("format", "There is no format %s", menu.Quoted(string(format))).
			WithHint("The formats are pcap and pcapng")
	case format == capture.PCAPNG:
		notes = t.notes.Revision(name) + t.flowsRevision(name)
	}
	return r.Format() != capture.Format(format) || notes != "", notes, nil
}

// packetReader opens a file of packets.
func (t *Table) packetReader(name string) (*pcapfile.Reader, *os.File, error) {
	f, err := t.directory.OpenFile(name)
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

// Convert implements api.Files.
func (t *Table) Convert(ctx context.Context, name, format string, out io.Writer) error {
	r, file, err := t.packetReader(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(out, 256<<10)
	say, err := t.saying(name, capture.Format(format))
	switch {
	case err != nil:
	case r.Format() == capture.PCAPNG && capture.Format(format) == capture.PCAPNG && say != nil:
		err = pcapfile.CopyCommented(until{ctx, buffered}, io.NewSectionReader(file, 0, 1<<62), say)
	default:
		machine, system := machine()
		err = r.Convert(ctx, capture.FileHeader{
			Format: capture.Format(format), SnapLength: capture.MaxSnapLength, MaxBytes: capture.Unlimited,
			Machine: machine, System: system, Application: t.product, Start: time.Now(),
		}, buffered, say)
	}
	if err != nil {
		if errors.Is(err, capture.ErrMixedLinkTypes) {
			return menu.Errorf(menu.State, "The packets of %s are of several link types, which do not fit into one pcap file",
				menu.Quoted(name)).WithHint("Take it as pcapng")
		}
		return err
	}
	return buffered.Flush()
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
