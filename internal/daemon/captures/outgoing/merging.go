package outgoing

import (
	"io"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/beside"
)

// dropsRevision returns what tells one state of the packets that were dropped from another, "" without.
func (w *Writer) dropsRevision(name string) string {
	drops, _ := w.o.Drops(name)
	if drops == nil {
		return ""
	}
	defer drops.Close()
	info, err := drops.Stat()
	if err != nil {
		return ""
	}
	return "drops" + beside.Revision(info)
}

// merging returns where a file in pcapng is written so that it comes out with the packets that the
// kernel dropped meanwhile. done is told how the writing ended, and returns how all of it did.
func (w *Writer) merging(name string, as access.Form, out io.Writer) (into io.Writer, done func(error) error) {
	if as.Format != string(capture.PCAPNG) {
		return out, func(err error) error { return err }
	}
	drops, wanted := w.o.Drops(name)
	if drops == nil {
		return out, func(err error) error { return err }
	}
	written, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		defer drops.Close()
		err := pcapfile.Merge(out, written, drops, wanted)
		written.CloseWithError(err)
		ended <- err
	}()
	return writer, func(err error) error {
		writer.CloseWithError(err)
		if merging := <-ended; err == nil {
			err = merging
		}
		return err
	}
}
