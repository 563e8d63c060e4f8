// Package archive writes several files as one zip, as they are read: nothing of it is kept.
//
// The files are stored and not packed: captures are read once, and what packs them better stands
// behind them. Sizes and sums follow each file, as they are not known before (APPNOTE.TXT 4.3.9), and
// archives beyond 4 GiB or 65,535 files are zip64. The last file is the manifest.
package archive

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"diagsh/internal/access"
)

// ManifestName is the name of the manifest in the archive.
const ManifestName = "manifest.json"

// A Manifest says what is in an archive, and where it comes from.
type Manifest struct {
	Hostname string    `json:"hostname"`
	Time     time.Time `json:"time"`
	User     string    `json:"user"` // who took it
	Files    []File    `json:"files"`
}

// A File is one file of an archive.
type File struct {
	Name     string    `json:"name"`
	Bytes    int64     `json:"bytes"`
	SHA256   string    `json:"sha256"` // in hexadecimal digits
	Modified time.Time `json:"modifiedTime"`
	access.Contents
}

// A Writer writes an archive.
type Writer struct {
	zip      *zip.Writer
	manifest Manifest
}

// New begins an archive. The manifest has no files yet.
func New(w io.Writer, manifest Manifest) *Writer {
	manifest.Files = []File{}
	return &Writer{zip: zip.NewWriter(w), manifest: manifest}
}

// Add adds a file, whose size and sum are those of what is read, and returns its SHA-256.
func (a *Writer) Add(f File, content io.Reader) (sum []byte, err error) {
	entry, err := a.create(f.Name, f.Modified)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if f.Bytes, err = io.CopyBuffer(io.MultiWriter(entry, h), onlyReader{content}, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	sum = h.Sum(nil)
	f.SHA256 = hex.EncodeToString(sum)
	a.manifest.Files = append(a.manifest.Files, f)
	return sum, nil
}

// An onlyReader has no method but Read, so that io.CopyBuffer uses the buffer.
type onlyReader struct{ io.Reader }

// Close writes the manifest and the end.
func (a *Writer) Close() error {
	text, err := json.MarshalIndent(a.manifest, "", "  ")
	if err != nil {
		return err
	}
	entry, err := a.create(ManifestName, a.manifest.Time)
	if err != nil {
		return err
	}
	if _, err := entry.Write(append(text, '\n')); err != nil {
		return err
	}
	return a.zip.Close()
}

// create begins a file that only its owner may write when it is unpacked.
func (a *Writer) create(name string, modified time.Time) (io.Writer, error) {
	header := &zip.FileHeader{Name: name, Method: zip.Store, Modified: modified.UTC()}
	header.SetMode(0o644)
	return a.zip.CreateHeader(header)
}
