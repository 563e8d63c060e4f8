package pcapfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// PackedError reports that the file is packed in a format that is not supported.
type PackedError struct{ By string } // the program that packed it

func (e *PackedError) Error() string {
	return fmt.Sprintf("the file is packed by %s; unpack it first", e.By)
}

// packed returns the error for a file that starts like this and is no capture file.
func packed(magic []byte) error {
	for _, p := range []struct {
		magic []byte
		by    string
	}{
		{[]byte{0x28, 0xb5, 0x2f, 0xfd}, "zstd"}, {[]byte{0x04, 0x22, 0x4d, 0x18}, "lz4"},
		{[]byte{0xfd, '7', 'z', 'X'}, "xz"},
		{[]byte("BZh"), "bzip2"}, {[]byte{'P', 'K', 3, 4}, "zip"},
	} {
		if bytes.HasPrefix(magic, p.magic) {
			return &PackedError{p.by}
		}
	}
	return ErrNoCapture
}

// unpacked unpacks gzip, piece by piece, however much that is.
func unpacked(in io.Reader) (*bufio.Reader, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, ErrNoCapture
	}
	return bufio.NewReaderSize(&unpacker{z}, buffer), nil
}

// An unpacker converts the errors of gzip to those of files.
type unpacker struct{ in *gzip.Reader }

func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.in.Read(b)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, err
	}
	return n, &CorruptError{Text: "what gzip packed is damaged"}
}

// isPacked reports whether a file that starts like this is one of gzip.
func isPacked(magic []byte) bool { return bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) }
