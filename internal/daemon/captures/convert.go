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
		notes = t.notes.Revision(name)
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
	comments := t.commentsOf(name, capture.Format(format))
	if r.Format() == capture.PCAPNG && capture.Format(format) == capture.PCAPNG {
		err = copyCommented(ctx, file, comments, buffered)
	} else {
		err = t.convert(ctx, r, capture.Format(format), comments, buffered)
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

// copyCommented writes a pcapng file with comments on its packets, and all that it has otherwise.
func copyCommented(ctx context.Context, file *os.File, comments map[int64]string, out io.Writer) error {
	return pcapfile.CopyCommented(until{ctx, out}, io.NewSectionReader(file, 0, 1<<62),
		func(number int64) string { return comments[number] })
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

// convert writes all whole packets. What the end of the file has of another one is left out, as
// every reader of the file does.
func (t *Table) convert(ctx context.Context, r *pcapfile.Reader, format capture.Format, comments map[int64]string,
	out io.Writer) error {
	var p capture.Packet
	err := r.Next(&p) // which reads the interfaces before it
	interfaces := r.Interfaces()
	if len(interfaces) == 0 {
		interfaces = []capture.Interface{{LinkType: capture.Ethernet}} // of no packet
	}
	machine, system := machine()
	stream, failed := pcapfile.NewStream(out, capture.FileHeader{
		Format: format, Interfaces: interfaces, SnapLength: capture.MaxSnapLength, MaxBytes: capture.Unlimited,
		Machine: machine, System: system, Application: t.product, Start: time.Now(),
	})
	if failed != nil {
		return failed
	}
	number := int64(0)
	for known := len(interfaces); err == nil; err = r.Next(&p) {
		number++
		for ; known < r.NumInterfaces(); known++ {
			if err := stream.AddInterface(r.Interfaces()[known]); err != nil {
				return err
			}
		}
		if err := errors.Join(stream.WriteCommented(&p, comments[number]), ctx.Err()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
