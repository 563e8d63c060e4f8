package pcapfile

import (
	"context"
	"errors"
	"io"

	"diagsh/capture"
)

// Convert writes all whole packets of a file in another format, with what say says of them, which
// may be nil. What the end of the file has of another packet is left out, as every reader of the
// file does. h is the header of the result, but for the interfaces. The error is
// capture.ErrMixedLinkTypes, the context's, that of Reader.Next, or from out.
func (r *Reader) Convert(ctx context.Context, h capture.FileHeader, out io.Writer,
	say func(number int64, p *capture.Packet, on capture.Interface) Said) error {
	var p capture.Packet
	err := r.Next(&p) // which reads the interfaces before it
	if h.Interfaces = r.Interfaces(); len(h.Interfaces) == 0 {
		h.Interfaces = []capture.Interface{{LinkType: capture.Ethernet}} // of no packet
	}
	stream, failed := NewStream(out, h)
	if failed != nil {
		return failed
	}
	number := int64(0)
	for known := len(h.Interfaces); err == nil; err = r.Next(&p) {
		number++
		for ; known < r.NumInterfaces(); known++ {
			if err := stream.AddInterface(r.Interfaces()[known]); err != nil {
				return err
			}
		}
		var said Said
		if say != nil {
			said = say(number, &p, r.Interface(p.Interface))
		}
		if err := errors.Join(stream.WriteSaid(&p, said), ctx.Err()); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
