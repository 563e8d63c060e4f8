package outgoing

import (
	"context"
	"errors"
	"io"
	"os"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// joinedFile is the name that a copy has until it is open, which ends with an appliance that dies.
const joinedFile = ".joined-copy"

// roomEvery is how many bytes are written until there must be room for more.
const roomEvery = 1 << 20

// Copies returns the copies of files of packets that say their processes, by their names. of is the
// capture of the files, or "". The error is for users.
func (w *Writer) Copies(of string, files []string) (list []capture.Export, err error) {
	for _, f := range files {
		c, err := w.Look(f, access.Form{Format: string(capture.PCAPNG)})
		if err != nil {
			return nil, err
		}
		if c.Name != JoinedName(f) {
			return nil, notKept(f)
		}
		list = append(list, capture.Export{File: c.Name, Source: f, Capture: of})
	}
	return list, nil
}

// OpenJoined writes a copy of a file of packets that says their processes, and opens it. It has no name
// when that returns. room returns an error for users when nothing more may be written. One copy is
// written at a time.
func (w *Writer) OpenJoined(ctx context.Context, dir *os.Root, name string, room func() error) (*os.File, error) {
	if w.o.Revision(name) == "" {
		return nil, menu.Errorf(menu.NotFound, "The processes of the packets of %s are not there any more", menu.Quoted(name))
	}
	f, err := dir.OpenFile(joinedFile, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, menu.Failing("write a copy with processes", err)
	}
	err = dir.Remove(joinedFile)
	if err == nil {
		err = w.Write(ctx, name, access.Form{Format: string(capture.PCAPNG)}, &bounded{out: f, room: room})
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	var known *menu.Error
	if !errors.As(err, &known) && ctx.Err() == nil {
		err = menu.Failing("write a copy with processes", err)
	}
	return nil, err
}

// A bounded writer asks whether there is room.
type bounded struct {
	out  io.Writer
	room func() error
	left int64 // bytes that may be written until it asks again
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		if err := b.room(); err != nil {
			return 0, menu.Errorf(menu.State, "There is no room for the copy with processes: %s", err)
		}
		b.left = roomEvery
	}
	return b.out.Write(p)
}
