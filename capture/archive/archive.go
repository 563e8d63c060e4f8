// Package archive reads the members of a report, a .tar.gz, without unpacking it: its files of packets
// are read as others are.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"strings"
)

// Suffix is the end of the names of reports.
const Suffix = ".tar.gz"

// most is how many members are listed: a report has far fewer.
const most = 100_000

// An Opener opens the archive.
type Opener func() (io.ReadCloser, error)

// During returns an Opener of the same archive that can be read until ctx ends: one may be as large as
// the disk.
func (open Opener) During(ctx context.Context) Opener {
	return func() (io.ReadCloser, error) {
		file, err := open()
		if err != nil {
			return nil, err
		}
		return member{interruptible{ctx, file}, file}, nil
	}
}

// An interruptible is read until its context ends.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r interruptible) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// Names lists the members without the folder that all are in.
func Names(open Opener) (names []string, err error) {
	file, err := open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	for members := tar.NewReader(unpacked); ; {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, unpacked) // the sum of the archive is behind its last member
			return names, err
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if names = append(names, inside(header.Name)); len(names) > most {
			return nil, errors.New("the archive has too many members")
		}
	}
}

// Open opens a member, by the name that Names returns. The error is io.EOF if there is none. The
// archive is read up to it, as it is packed in one piece.
func Open(open Opener, wanted string) (io.ReadCloser, error) {
	file, err := open()
	if err != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	for members := tar.NewReader(unpacked); ; {
		header, err := members.Next()
		if err != nil {
			file.Close()
			return nil, err
		}
		if header.Typeflag == tar.TypeReg && inside(header.Name) == wanted {
			return member{members, file}, nil
		}
	}
}

// A member is read until its end, and closes the archive. It may be all of it.
type member struct {
	io.Reader
	io.Closer
}

// inside is a name without the folder that all members are in.
func inside(name string) string {
	_, rest, _ := strings.Cut(path.Clean(name), "/")
	return rest
}
