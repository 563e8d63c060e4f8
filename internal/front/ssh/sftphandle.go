package ssh

import (
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"diagsh/internal/menu"
)

// An sftpHandle is a file or folder that a client has open.
type sftpHandle struct {
	entry   entry
	file    *os.File // nil: a folder
	read    int64    // bytes of the file that were sent
	names   []entry  // of the folder that were not sent yet
	listing Listing  // where more names come from; nil when there are no more
}

// close closes a handle (section 6.3).
func (s *sftpServer) close(id uint32, handle string, p *sftpPacket) {
	h := s.handle(id, handle, p)
	if h == nil {
		return
	}
	delete(s.handles, handle)
	s.release(h)
	s.status(id, fxOK, "")
}

// opendir opens a folder (section 6.7).
func (s *sftpServer) opendir(id uint32, path string, p *sftpPacket) {
	if p.bad(s, id) || s.full(id) || s.fullOfFolders(id) {
		return
	}
	h := &sftpHandle{entry: theFolder()}
	switch kind, _ := locate(path); kind {
	case nothing:
		s.fail(id, noSuchFile())
		return
	case diagnosticFile:
		s.status(id, fxFailure, "This is a file, not a folder.")
		return
	case rootFolder:
		h.names = []entry{theFolder()}
	default:
		listing, err := s.files.List()
		if err != nil {
			s.fail(id, err)
			return
		}
		h.listing = listing
	}
	s.give(id, h)
}

// readdir answers with some names at a time, until there are no more (section 6.7).
func (s *sftpServer) readdir(id uint32, handle string, p *sftpPacket) {
	h := s.handle(id, handle, p)
	if h == nil {
		return
	}
	if h.file != nil {
		s.status(id, fxFailure, "This is a file, not a folder.")
		return
	}
	if err := h.more(); err != nil {
		s.fail(id, err)
		return
	}
	if len(h.names) == 0 {
		s.status(id, fxEOF, "")
		return
	}
	some := h.names[:min(namesAtOnce, len(h.names))]
	h.names = h.names[len(some):]
	a := s.begin(fxName)
	a.uint32(id)
	a.uint32(uint32(len(some)))
	for _, e := range some {
		a.string(e.name)
		a.string(e.longName(time.Now()))
		a.attributes(e)
	}
	a.end()
}

// more reads names of the listing if there are none.
func (h *sftpHandle) more() error {
	if len(h.names) > 0 || h.listing == nil {
		return nil
	}
	files, err := nextOf(h.listing)
	if errors.Is(err, io.EOF) {
		h.listing.Close()
		h.listing, err = nil, nil
	}
	for _, f := range files {
		h.names = append(h.names, fileEntry(f))
	}
	return err
}

// full reports whether the client has too many handles open, and answers so.
func (s *sftpServer) full(id uint32) bool {
	if len(s.handles) < maxHandles {
		return false
	}
	s.fail(id, menu.Errorf(menu.Failed, "Too many files are open").WithHint("At most %d at a time", maxHandles))
	return true
}

// fullOfFolders reports whether the client has too many folders open, and answers so. A listing can
// be long, and the known clients read one to its end before they open the next.
func (s *sftpServer) fullOfFolders(id uint32) bool {
	folders := 0
	for _, h := range s.handles {
		if h.file == nil {
			folders++
		}
	}
	if folders < maxFolders {
		return false
	}
	s.fail(id, menu.Errorf(menu.Failed, "Too many folders are open").WithHint("At most %d at a time", maxFolders))
	return true
}

// give answers with a new handle.
func (s *sftpServer) give(id uint32, h *sftpHandle) {
	s.given++
	name := strconv.Itoa(s.given)
	s.handles[name] = h
	a := s.begin(fxHandle)
	a.uint32(id)
	a.string(name)
	a.end()
}

// handle returns the handle of a name. If there is none it answers so, and returns nil.
func (s *sftpServer) handle(id uint32, name string, p *sftpPacket) *sftpHandle {
	if p.bad(s, id) {
		return nil
	}
	h := s.handles[name]
	if h == nil {
		s.status(id, fxFailure, "Nothing is open by this handle.")
	}
	return h
}

// closeAll closes what the client left open.
func (s *sftpServer) closeAll() {
	for _, h := range s.handles {
		s.release(h)
	}
}

// release closes what a handle has open.
func (s *sftpServer) release(h *sftpHandle) {
	switch {
	case h.file != nil:
		s.done(h.entry.name, h.file, h.read)
	case h.listing != nil:
		h.listing.Close()
	}
}

// done closes a file, and reports how much of it was read.
func (s *sftpServer) done(name string, file *os.File, bytes int64) {
	if err := s.files.Done(name, file, bytes); err != nil {
		s.log.Warn("sftp: a download was not recorded", "file", name, "error", err)
	}
}
