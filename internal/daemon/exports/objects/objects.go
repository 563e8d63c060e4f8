// Package objects copies files into object storage, by the senders Azblob and S3. An object there is
// whole or not there at all. A file goes in parts, each with its sum, which the storage compares; a
// copy that broke off goes on with the parts that the storage has proven. Then the storage is asked
// for what it has, and an object of that name that is another file stays what it is.
package objects

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/crc64"
	"io"
	"time"

	"diagsh/internal/daemon/exports/sending"
)

const (
	// piece is how large a part is, if that makes not too many of them: what a connection that
	// breaks costs, and above the 5 MiB that S3 asks for.
	piece = 8 << 20

	// patience is how long a storage may be silent while it makes an object of its parts, which some
	// copy for that.
	patience = 15 * time.Minute
)

// pieceOf returns how large the parts of a file are, of which there may be so many at most.
func pieceOf(bytes, most int64) int64 {
	size := int64(piece)
	for size*most < bytes {
		size *= 2
	}
	return size
}

// A part is a part of a file, with its sums.
type part struct {
	number    int // from 0
	at, bytes int64
	sha256    []byte
	md5       []byte // for Azure
	crc64     uint64 // for S3: CRC-64/NVME
}

// nvme is the polynomial of CRC-64/NVME, reflected, which S3 can compare a whole file by.
var nvme = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// A reading reads a file in parts, from its first to its last.
type reading struct {
	f      sending.File
	size   int64 // of a part
	next   part
	sha256 hash.Hash
	md5    hash.Hash   // nil: nobody asks for it
	crc64  hash.Hash64 // nil: nobody asks for it
}

// azureReading returns a reading with the sums that Azure compares.
func azureReading(f sending.File) *reading {
	return &reading{f: f, size: pieceOf(f.Bytes, mostBlocks), sha256: sha256.New(), md5: md5.New()}
}

// s3Reading returns a reading with the sums that S3 compares.
func s3Reading(f sending.File) *reading {
	return &reading{f: f, size: pieceOf(f.Bytes, mostParts), sha256: sha256.New(), crc64: crc64.New(nvme)}
}

// part returns the next part. It reports false after the last one; then the sums of the reading are
// those of the file, which is the file that was to be copied.
func (r *reading) part(ctx context.Context) (part, bool, error) {
	p := r.next
	if p.at == r.f.Bytes {
		if hex.EncodeToString(r.sha256.Sum(nil)) != r.f.Sum {
			return part{}, false, sending.Failed(nil, "the file is not what it was when its sum was made")
		}
		return part{}, false, nil
	}
	p.bytes = min(r.size, r.f.Bytes-p.at)
	sha, md, crc := sha256.New(), md5.New(), crc64.New(nvme)
	sums := []io.Writer{sha, r.sha256}
	if r.md5 != nil {
		sums = append(sums, md, r.md5)
	}
	if r.crc64 != nil {
		sums = append(sums, crc, r.crc64)
	}
	n, err := io.Copy(io.MultiWriter(sums...), sending.Stoppable{Context: ctx, Reader: io.NewSectionReader(r.f.Content, p.at, p.bytes)})
	switch {
	case ctx.Err() != nil:
		return part{}, false, ctx.Err()
	case err != nil || n != p.bytes:
		return part{}, false, sending.Failed(err, "the file cannot be read to its end")
	}
	p.sha256, p.md5, p.crc64 = sha.Sum(nil), md.Sum(nil), crc.Sum64()
	r.next = part{number: p.number + 1, at: p.at + p.bytes}
	return p, true, nil
}

// body returns what a part is, for a request.
func (r *reading) body(p part) io.ReadSeekCloser {
	return section{io.NewSectionReader(r.f.Content, p.at, p.bytes)}
}

// A section is a part of a file that need not be closed.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

// sameContent reads an object back, and reports whether it is the file.
func sameContent(content io.Reader, f sending.File) (bool, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(content, f.Bytes+1))
	return err == nil && n == f.Bytes && hex.EncodeToString(sum.Sum(nil)) == f.Sum, err
}

// anotherFile says that the name is taken.
func anotherFile() error {
	return sending.Failed(nil, "another file has this name at the target, and stays")
}

// notTheFile says that a storage has something else than what it was sent.
func notTheFile() error {
	return sending.Failed(nil, "the file at the target is not the one that was sent")
}

// metadata returns what stays beside an object: names that all storage accepts, values of printable
// ASCII. What else is in a value is escaped as in URLs.
func metadata(f sending.File) map[string]string {
	list := map[string]string{"sha256": f.Sum}
	for name, value := range f.Metadata {
		if value != "" {
			list[name] = escaped(value)
		}
	}
	return list
}

// longestValue bounds a value of metadata. All of them may have 2 KiB at S3.
const longestValue = 256

func escaped(value string) string {
	const digits = "0123456789ABCDEF"
	var text []byte
	for _, c := range []byte(value) {
		if c >= ' ' && c < 0x7F && c != '%' {
			text = append(text, c)
		} else {
			text = append(text, '%', digits[c>>4], digits[c&15])
		}
		if len(text) >= longestValue-2 {
			break
		}
	}
	return string(text)
}
