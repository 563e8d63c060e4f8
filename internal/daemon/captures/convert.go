package captures

import (
	"bufio"
	"context"
	"errors"
	"io"
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
func (t *Table) Converts(name, format string) (bool, error) {
	r, file, err := t.packetReader(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	switch format := capture.Format(format); {
	case format != capture.PCAP && format != capture.PCAPNG:
		return false, menu.BadArgument("format", "There is no format %s", menu.Quoted(string(format))).
			WithHint("The formats are pcap and pcapng")
	default:
		return r.Format() != format, nil
	}
}

// packetReader opens a file of packets.
func (t *Table) packetReader(name string) (*pcapfile.Reader, io.Closer, error) {
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
	if err := t.convert(ctx, r, capture.Format(format), buffered); err != nil {
		if errors.Is(err, capture.ErrMixedLinkTypes) {
			return menu.Errorf(menu.State, "The packets of %s are of several link types, which do not fit into one pcap file",
				menu.Quoted(name)).WithHint("Take it as pcapng")
		}
		return err
	}
	return buffered.Flush()
}

// convert writes all whole packets. What the end of the file has of another one is left out, as
// every reader of the file does.
func (t *Table) convert(ctx context.Context, r *pcapfile.Reader, format capture.Format, out io.Writer) error {
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
	for known := len(interfaces); err == nil; err = r.Next(&p) {
		for ; known < r.NumInterfaces(); known++ {
			if err := stream.AddInterface(r.Interfaces()[known]); err != nil {
				return err
			}
		}
		if err := errors.Join(stream.Write([]capture.Packet{p}), ctx.Err()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
