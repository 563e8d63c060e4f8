package ssh

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// This server speaks version 3 of SFTP (draft-ietf-secsh-filexfer-02), which all clients know. It
// does not use github.com/pkg/sftp. There, a client that reads from a file before it was told that
// the file is open meets a data race, which can end the whole process (v1.13.12, Request.Method).
// It also holds 16 MB of buffers for each client. A server of read-only files needs little. One
// goroutine answers requests one after another, in their order.

// The packet types of section 3.
const (
	fxInit          = 1
	fxVersion       = 2
	fxOpen          = 3
	fxClose         = 4
	fxRead          = 5
	fxWrite         = 6
	fxLstat         = 7
	fxFstat         = 8
	fxSetstat       = 9
	fxFsetstat      = 10
	fxOpendir       = 11
	fxReaddir       = 12
	fxRemove        = 13
	fxMkdir         = 14
	fxRmdir         = 15
	fxRealpath      = 16
	fxStat          = 17
	fxRename        = 18
	fxReadlink      = 19
	fxSymlink       = 20
	fxStatus        = 101
	fxHandle        = 102
	fxData          = 103
	fxName          = 104
	fxAttrs         = 105
	fxExtended      = 200
	fxExtendedReply = 201
)

// The status codes of section 7.
const (
	fxOK               = 0
	fxEOF              = 1
	fxNoSuchFile       = 2
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxOpUnsupported    = 8
)

const (
	fxProtocol      = 3
	fxOpenRead      = 1                    // SSH_FXF_READ alone: all other flags ask to write
	fxAttrFlags     = 1 | 4 | 8            // SSH_FILEXFER_ATTR_SIZE, _PERMISSIONS, _ACMODTIME
	limitsExtension = "limits@openssh.com" // PROTOCOL of OpenSSH, section 4.8: lets its client read in larger pieces
)

const (
	maxRequest  = 256 << 10 // as in OpenSSH
	maxRead     = 255 << 10
	flushAt     = 128 << 10 // bytes of answers that are gathered while requests come, to fill the packets of SSH
	namesAtOnce = 100
	maxHandles  = 64
	maxFolders  = 4 // among the handles; each holds a part of its listing
)

// runSFTP serves the subsystem "sftp" on the channel.
func (s *session) runSFTP() exit {
	files, err := s.client.server.appliance.Files(s.ctx, s.client.login.ID)
	if err != nil {
		return s.fail(err)
	}
	defer files.Close()
	in := s.input()
	defer in.Close()
	server := newSFTPServer(in, s.channel, files, s.log)
	server.active = s.client.worked
	if err := server.serve(); err != nil {
		s.log.Debug("sftp: broken off", "error", err)
		return exit{status: uint32(menu.Failed)}
	}
	return exit{}
}

// An sftpServer serves one client.
type sftpServer struct {
	in     *bufio.Reader
	out    io.Writer
	files  Files
	log    *slog.Logger
	active func() // called at every request

	request []byte // the last one, whose buffer is reused
	answers []byte // not sent yet
	handles map[string]*sftpHandle
	given   int // the number of the latest handle, which is its name
}

// newSFTPServer returns a server for a client that sends on in and reads from out.
func newSFTPServer(in io.Reader, out io.Writer, files Files, log *slog.Logger) *sftpServer {
	return &sftpServer{
		in:      bufio.NewReader(in),
		out:     out,
		files:   files,
		log:     log,
		active:  func() {},
		handles: map[string]*sftpHandle{},
	}
}

// serve answers requests until the client ends the session, which is no error. It sends all
// answers, however the session ends.
func (s *sftpServer) serve() error {
	defer s.closeAll()
	return errors.Join(s.converse(), s.flush())
}

// converse answers requests until the end of the input.
func (s *sftpServer) converse() error {
	if err := s.greet(); err != nil {
		return err
	}
	for {
		if len(s.answers) >= flushAt || s.in.Buffered() == 0 {
			if err := s.flush(); err != nil {
				return err
			}
		}
		p, err := s.receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.active()
		if err := s.answer(p); err != nil {
			return err
		}
	}
}

// greet exchanges versions (section 4).
func (s *sftpServer) greet() error {
	p, err := s.receive()
	if err != nil {
		return err
	}
	if p.kind != fxInit || p.uint32() < fxProtocol || p.short {
		return errors.New("the client does not speak version 3 of the protocol")
	}
	a := s.begin(fxVersion)
	a.uint32(fxProtocol)
	a.string(limitsExtension)
	a.string("1")
	a.end()
	return nil
}

// receive reads a request, which is valid until the next one.
func (s *sftpServer) receive() (*sftpPacket, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxRequest {
		return nil, fmt.Errorf("a request of %d bytes", n)
	}
	if uint32(cap(s.request)) < n {
		s.request = make([]byte, n)
	}
	s.request = s.request[:n]
	if _, err := io.ReadFull(s.in, s.request); err != nil {
		return nil, fmt.Errorf("a request that ends in the middle: %w", io.ErrUnexpectedEOF)
	}
	return &sftpPacket{kind: s.request[0], rest: s.request[1:]}, nil
}

// flush sends the answers that were gathered.
func (s *sftpServer) flush() error {
	if len(s.answers) == 0 {
		return nil
	}
	_, err := s.out.Write(s.answers)
	s.answers = s.answers[:0]
	return err
}

// answer answers one request; an error ends the session. It denies everything that would change
// something, except the removal of files.
func (s *sftpServer) answer(p *sftpPacket) error {
	id := p.uint32()
	if p.short {
		return errors.New("a request without a number")
	}
	switch p.kind {
	case fxOpen:
		s.open(id, p.string(), p.uint32(), p)
	case fxClose:
		s.close(id, p.string(), p)
	case fxRead:
		s.read(id, p.string(), p.uint64(), p.uint32(), p)
	case fxStat, fxLstat:
		s.stat(id, p.string(), p)
	case fxFstat:
		s.fstat(id, p.string(), p)
	case fxOpendir:
		s.opendir(id, p.string(), p)
	case fxReaddir:
		s.readdir(id, p.string(), p)
	case fxRemove:
		s.remove(id, p.string(), p)
	case fxRealpath:
		s.realpath(id, p.string(), p)
	case fxReadlink:
		s.status(id, fxFailure, "There are no symbolic links here.")
	case fxWrite, fxSetstat, fxFsetstat, fxMkdir, fxRmdir, fxRename, fxSymlink:
		s.fail(id, readOnly())
	case fxExtended:
		s.extended(id, p.string())
	default:
		s.status(id, fxOpUnsupported, "There is no such request.")
	}
	return nil
}

// open opens a file (section 6.3).
func (s *sftpServer) open(id uint32, path string, flags uint32, p *sftpPacket) {
	if p.bad(s, id) {
		return
	}
	if flags != fxOpenRead {
		s.fail(id, readOnly())
		return
	}
	kind, name := locate(path)
	switch {
	case kind == nothing:
		s.fail(id, noSuchFile())
		return
	case kind != diagnosticFile:
		s.status(id, fxFailure, "This is a folder, not a file.")
		return
	case s.full(id):
		return
	}
	file, err := s.files.Open(name)
	if err != nil {
		s.fail(id, err)
		return
	}
	info, err := file.Stat()
	if err != nil {
		s.done(name, file, 0)
		s.fail(id, err)
		return
	}
	opened := access.File{Name: name, Bytes: info.Size(), Modified: info.ModTime()}
	s.give(id, &sftpHandle{entry: fileEntry(opened), file: file})
}

// read answers with bytes of a file (section 6.4). They are read into the buffer from which they
// are sent.
func (s *sftpServer) read(id uint32, handle string, offset uint64, length uint32, p *sftpPacket) {
	h := s.handle(id, handle, p)
	if h == nil {
		return
	}
	if h.file == nil {
		s.status(id, fxFailure, "This is a folder, not a file.")
		return
	}
	if int64(offset) < 0 { // beyond the end of any file
		s.status(id, fxEOF, "")
		return
	}
	a := s.begin(fxData)
	a.uint32(id)
	n, err := a.data(int(min(length, maxRead)), func(to []byte) (int, error) {
		return h.file.ReadAt(to, int64(offset))
	})
	h.read += int64(n)
	switch {
	case n > 0:
		a.end()
	case err == nil || errors.Is(err, io.EOF):
		a.drop()
		s.status(id, fxEOF, "")
	default:
		a.drop()
		s.fail(id, err)
	}
}

// stat answers with the attributes at a path (section 6.8). There are no links, so STAT and LSTAT
// are the same.
func (s *sftpServer) stat(id uint32, path string, p *sftpPacket) {
	if p.bad(s, id) {
		return
	}
	kind, name := locate(path)
	switch kind {
	case nothing:
		s.fail(id, noSuchFile())
	case rootFolder, diagnosticFolder:
		s.attributes(id, theFolder())
	default:
		f, err := s.files.Stat(name)
		if err != nil {
			s.fail(id, err)
			return
		}
		s.attributes(id, fileEntry(f))
	}
}

// fstat answers with the attributes of an open file or folder (section 6.8). A file may have grown
// since it was opened.
func (s *sftpServer) fstat(id uint32, handle string, p *sftpPacket) {
	h := s.handle(id, handle, p)
	if h == nil {
		return
	}
	if h.file != nil {
		info, err := h.file.Stat()
		if err != nil {
			s.fail(id, err)
			return
		}
		h.entry.bytes, h.entry.time = info.Size(), info.ModTime()
	}
	s.attributes(id, h.entry)
}

// attributes answers with attributes.
func (s *sftpServer) attributes(id uint32, e entry) {
	a := s.begin(fxAttrs)
	a.uint32(id)
	a.attributes(e)
	a.end()
}

// remove deletes a file (section 6.5).
func (s *sftpServer) remove(id uint32, path string, p *sftpPacket) {
	if p.bad(s, id) {
		return
	}
	kind, name := locate(path)
	var err error
	switch kind {
	case nothing:
		err = noSuchFile()
	case rootFolder, diagnosticFolder:
		err = readOnly()
	default:
		err = s.files.Remove(name)
	}
	if err != nil {
		s.fail(id, err)
		return
	}
	s.status(id, fxOK, "")
}

// realpath answers with the absolute path (section 6.11), whether or not there is such a file.
func (s *sftpServer) realpath(id uint32, path string, p *sftpPacket) {
	if p.bad(s, id) {
		return
	}
	whole := absolute(path)
	a := s.begin(fxName)
	a.uint32(id)
	a.uint32(1)
	a.string(whole)
	a.string(whole)
	a.uint32(0) // no attributes
	a.end()
}

// extended answers extensions (section 8).
func (s *sftpServer) extended(id uint32, name string) {
	if name != limitsExtension {
		s.status(id, fxOpUnsupported, "There is no such request.")
		return
	}
	a := s.begin(fxExtendedReply)
	a.uint32(id)
	a.uint64(maxRequest)
	a.uint64(maxRead)
	a.uint64(0) // writing: not said
	a.uint64(maxHandles)
	a.end()
}

// readOnly returns the error for requests that would change something.
func readOnly() error {
	return menu.Errorf(menu.Denied, "Files can be read and deleted here, not written")
}

// fail answers with the code for an error, and with the text that is meant for users.
func (s *sftpServer) fail(id uint32, err error) {
	var e *menu.Error
	if !errors.As(err, &e) {
		s.log.Error("sftp: a request failed", "error", err)
		e = menu.AsError(err)
	}
	code := uint32(fxFailure)
	switch e.Code {
	case menu.Denied:
		code = fxPermissionDenied
	case menu.NotFound:
		code = fxNoSuchFile
	}
	s.status(id, code, menu.CleanLines(e.Error()))
}

// status answers with a status code (section 7).
func (s *sftpServer) status(id, code uint32, text string) {
	a := s.begin(fxStatus)
	a.uint32(id)
	a.uint32(code)
	a.string(text)
	a.string("en")
	a.end()
}
