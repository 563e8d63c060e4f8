package sending

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/pkg/sftp"
)

// An sftpCopy is one try to copy a file by SFTP.
type sftpCopy struct {
	*sftp.Client
	to     Destination
	f      File
	final  string // the place of the file
	hidden string // where it is until it is whole

	earlier os.FileInfo // of the earlier copy that look found
}

// A found is what has the place of a file at a target.
type found int

const (
	foundNothing found = iota
	foundFile          // the file itself
	foundOlder         // the beginning of it: an earlier copy, of a capture that was appended to
)

// noSuchPath is what servers of later versions of the protocol say of a file whose folder is not there.
const noSuchPath = 10

// copy brings the file to its place.
func (t *sftpCopy) copy(ctx context.Context, sent Progress) error {
	there, err := t.look(ctx)
	if err != nil {
		return err
	}
	if there == foundFile {
		err = t.note()
	} else {
		err = t.bring(ctx, there, sent)
	}
	if err != nil {
		return err
	}
	sent(t.f.Bytes)
	return nil
}

// bring sends the file, proves it and gives it its name, in the place of what is there. The note is beside
// it before that: who takes files as they appear finds their sums.
func (t *sftpCopy) bring(ctx context.Context, there found, sent Progress) error {
	if t.f.Place() != path.Base(t.final) {
		if err := t.MkdirAll(path.Dir(t.final)); err != nil {
			return Failed(err, "the folder of the file cannot be made at the target")
		}
	}
	proof, at, err := t.proven(ctx)
	if err != nil {
		return err
	}
	if err := t.write(ctx, at, sent); err != nil {
		return err
	}
	if err := t.prove(ctx, proof, at); err != nil {
		return err
	}
	if err := t.note(); err != nil {
		return err
	}
	return t.name(ctx, there)
}

// look returns what has the place of the file. Another file there is an error.
func (t *sftpCopy) look(ctx context.Context) (found, error) {
	info, err := t.Lstat(t.final)
	var status *sftp.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &status) && status.Code == noSuchPath:
		return foundNothing, nil
	case err != nil:
		return foundNothing, Failed(err, "the target does not tell whether it has a file of this name")
	case !info.Mode().IsRegular() || info.Size() > t.f.Bytes:
		return foundNothing, anotherFile()
	}
	theirs, err := t.sumOf(ctx, t.final, info.Size())
	if err != nil {
		return foundNothing, err
	}
	if info.Size() == t.f.Bytes && theirs == t.f.Sum {
		t.Remove(t.hidden) // of a try that broke off when the file had its name
		return foundFile, nil
	}
	ours, err := SumOf(ctx, t.f.Content, info.Size())
	if err != nil {
		return foundNothing, err
	}
	if info.Size() == t.f.Bytes || theirs != ours {
		return foundNothing, anotherFile()
	}
	t.earlier = info
	return foundOlder, nil
}

// anotherFile says that the name is taken.
func anotherFile() error {
	return Failed(nil, "another file has this name at the target, and stays")
}

// sumOf returns the SHA-256 of the first bytes of a file of the target, which are read back.
func (t *sftpCopy) sumOf(ctx context.Context, name string, bytes int64) (string, error) {
	there, err := t.Open(name)
	if err != nil {
		return "", Failed(err, "the target lets nobody read a file back that has this name")
	}
	defer there.Close()
	sum := sha256.New()
	if err := t.readBack(ctx, there, 0, bytes, sum); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// readBack reads a part of a file of the target into a sum, and tells that of it.
func (t *sftpCopy) readBack(ctx context.Context, there *sftp.File, at, end int64, sum io.Writer) error {
	part := t.to.Limited(Stoppable{Context: ctx, Reader: io.NewSectionReader(there, at, end-at)})
	n, err := io.CopyBuffer(&checking{sum, at, t.to.Checked}, part, make([]byte, min(reading, max(end-at, 1))))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || n != end-at:
		return Failed(cmp.Or(err, io.ErrUnexpectedEOF), "the file cannot be read back at the target")
	}
	return nil
}

// A checking writer tells how far what it takes has come.
type checking struct {
	io.Writer
	at      int64
	checked Progress // nil: nobody asks
}

func (c *checking) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if c.at += int64(n); c.checked != nil {
		c.checked(c.at)
	}
	return n, err
}

// proven returns up to where the target has the file under its hidden name, in whole pieces, and the
// SHA-256 of that, to be gone on with. What is there is read back, because the end of a broken copy can
// have holes. The two are read in turn, so that the connection is not idle while a large file is read
// here.
func (t *sftpCopy) proven(ctx context.Context) (proof hash.Hash, at int64, _ error) {
	proof = sha256.New()
	info, err := t.Stat(t.hidden)
	if err != nil {
		return proof, 0, nil
	}
	there, err := t.Open(t.hidden)
	if err != nil {
		return proof, 0, nil
	}
	defer there.Close()
	for ; at+piece <= min(info.Size(), t.f.Bytes); at += piece {
		theirs, ours := sha256.New(), sha256.New()
		next, err := proof.(hash.Cloner).Clone()
		if err != nil {
			return nil, 0, err
		}
		if err := t.readBack(ctx, there, at, at+piece, theirs); err != nil {
			return proof, at, ctx.Err() // what cannot be read is sent again
		}
		if _, err := io.Copy(io.MultiWriter(ours, next), Stoppable{Context: ctx, Reader: io.NewSectionReader(t.f.Content, at, piece)}); err != nil {
			return nil, 0, err
		}
		if [sha256.Size]byte(theirs.Sum(nil)) != [sha256.Size]byte(ours.Sum(nil)) {
			break
		}
		proof = next
	}
	return proof, at, nil
}

// write sends what follows after the bytes that are there under the hidden name.
func (t *sftpCopy) write(ctx context.Context, at int64, sent Progress) error {
	flags := os.O_WRONLY | os.O_CREATE
	if info, err := t.Stat(t.hidden); err == nil && info.Size() > t.f.Bytes {
		flags |= os.O_TRUNC // otherwise all of it is written over; who brings the same file may be giving it its name
	}
	to, err := t.OpenFile(t.hidden, flags)
	if err != nil {
		return Failed(err, "a file cannot be made in the folder of the target")
	}
	defer to.Close()
	for sent(at); at < t.f.Bytes; sent(at) {
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return Failed(err, "the file cannot be written at the target")
		}
		next := t.to.Limited(Stoppable{Context: ctx, Reader: io.NewSectionReader(t.f.Content, at, min(piece, t.f.Bytes-at))})
		n, err := to.ReadFromWithConcurrency(next, requests)
		if err != nil || n == 0 {
			return Failed(err, "the connection to the target broke off, or its disk is full")
		}
		at += n
	}
	if err := to.Close(); err != nil {
		return Failed(err, "the file cannot be finished at the target")
	}
	if info, err := t.Stat(t.hidden); err != nil || info.Size() != t.f.Bytes {
		return Failed(err, "the file at the target has not the length that was sent")
	}
	return nil
}

// prove reads back what follows after the bytes whose sum is known, and compares the SHA-256 of the
// whole.
func (t *sftpCopy) prove(ctx context.Context, sum hash.Hash, at int64) error {
	there, err := t.Open(t.hidden)
	if err != nil {
		return Failed(err, "the file cannot be read back at the target")
	}
	defer there.Close()
	if err := t.readBack(ctx, there, at, t.f.Bytes, sum); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != t.f.Sum {
		return Failed(nil, "the file at the target is not the one that was sent")
	}
	return nil
}

// name gives the file its name. One that came there meanwhile stays: a link is made only where there
// is nothing, and so is a name by SSH_FXP_RENAME, of which draft-ietf-secsh-filexfer-02 says it in
// section 6.5. Only an earlier copy is replaced.
func (t *sftpCopy) name(ctx context.Context, there found) error {
	if there == foundOlder && !t.isStillEarlier() {
		var err error
		if there, err = t.look(ctx); there == foundFile || err != nil {
			return t.yield(err)
		}
	}
	if there == foundOlder {
		if t.PosixRename(t.hidden, t.final) == nil {
			return nil
		}
		if err := t.Remove(t.final); err != nil { // a server without that extension
			return Failed(err, "the earlier copy of the file cannot be replaced at the target")
		}
	}
	if _, links := t.HasExtension("hardlink@openssh.com"); links && t.Link(t.hidden, t.final) == nil {
		t.Remove(t.hidden)
		return nil
	}
	if is, err := t.look(ctx); is == foundFile || err != nil {
		return t.yield(err)
	}
	if err := t.Rename(t.hidden, t.final); err != nil {
		return Failed(err, "the file cannot get its name at the target")
	}
	return nil
}

// isStillEarlier reports whether the place has the earlier copy that look found, as far as its size and time tell.
func (t *sftpCopy) isStillEarlier() bool {
	now, err := t.Lstat(t.final)
	return err == nil && now.Size() == t.earlier.Size() && now.ModTime().Equal(t.earlier.ModTime())
}

// yield leaves the place to what came there while the file was on its way, and returns err: nil if that is the
// same file.
func (t *sftpCopy) yield(err error) error {
	if err != nil {
		t.removeNote()
		t.Remove(t.hidden)
	}
	return err
}

// removeNote removes the note of this file, which says nothing of another one that has the name. The note of
// that one stays.
func (t *sftpCopy) removeNote() {
	there, err := t.Open(t.final + notes)
	if err != nil {
		return
	}
	had, err := io.ReadAll(io.LimitReader(there, int64(len(t.noteText()))+1))
	there.Close()
	if err == nil && string(had) == t.noteText() {
		t.Remove(t.final + notes)
	}
}

// noteText returns the note of the file.
func (t *sftpCopy) noteText() string { return fmt.Sprintf("%s  %s\n", t.f.Sum, path.Base(t.final)) }

// notes is what the name of a note has behind that of its file.
const notes = ".sha256"

// noted finds the name of a file in its note.
var noted = regexp.MustCompile(`^[0-9a-f]{64}  (.*)\n$`)

// note writes the sum of the file beside it. What is no note of a file of this name stays.
func (t *sftpCopy) note() error {
	name, text := t.final+notes, t.noteText()
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if there, err := t.Open(name); err == nil {
		had, err := io.ReadAll(io.LimitReader(there, int64(len(text))+1))
		there.Close()
		is := noted.FindStringSubmatch(string(had))
		ours := strings.HasPrefix(text, string(had)) || is != nil && is[1] == path.Base(t.final)
		switch {
		case err != nil:
			return Failed(err, "the checksum cannot be read back at the target")
		case string(had) == text:
			return nil
		case !ours:
			return Failed(nil, "another file has the name of the checksum at the target, and stays")
		}
		flags = os.O_WRONLY | os.O_TRUNC
	}
	w, err := t.OpenFile(name, flags)
	if err == nil {
		_, err = io.WriteString(w, text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return Failed(err, "the checksum cannot be written at the target")
	}
	return nil
}
