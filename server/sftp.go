package server

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"diagsh/menu"
)

// maxTransfer is the largest answer to a read. It is what the library's buffers hold next to a header.
const maxTransfer = 255 << 10

// maxHandles bounds the files and folders that one SFTP session has open.
const maxHandles = 64

// runSFTP serves the subsystem "sftp" (draft-ietf-secsh-filexfer-02, which is version 3 of the protocol) on the channel.
func (s *session) runSFTP() exit {
	files, err := s.client.server.frontEnd.Files(s.ctx, s.client.login.ID)
	if err != nil {
		return s.fail(err)
	}
	defer files.Close()
	h := newSFTPHandler(files, s.log)
	defer h.close()
	server := h.server(sftpStream{s.channel, s.client})
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	select {
	case err = <-served:
	case <-s.ctx.Done():
		// A read from the channel ends with the connection only, which closes once the sessions have ended.
		err = s.ctx.Err()
	}
	if !errors.Is(err, io.EOF) {
		return exit{status: uint32(menu.Failed)}
	}
	return exit{}
}

// sftpStream leaves the channel open when the library is done with it, for the exit status.
type sftpStream struct {
	ssh.Channel
	client *client
}

func (s sftpStream) Read(p []byte) (int, error) {
	s.client.worked()
	return s.Channel.Read(p)
}

func (sftpStream) Close() error { return nil }

// An sftpHandler answers requests. Everything but reading, listing and removing is denied.
type sftpHandler struct {
	files Files
	log   *slog.Logger

	mu   sync.Mutex
	open map[io.Closer]struct{} // nil once the session has ended
}

func newSFTPHandler(files Files, log *slog.Logger) *sftpHandler {
	return &sftpHandler{files: files, log: log, open: map[io.Closer]struct{}{}}
}

// server speaks the protocol on stream and asks the handler.
func (h *sftpHandler) server(stream io.ReadWriteCloser) *sftp.RequestServer {
	return sftp.NewRequestServer(stream, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h},
		sftp.WithRSAllocator(), sftp.WithRSMaxTxPacket(maxTransfer))
}

// Filelist answers SSH_FXP_OPENDIR, STAT, LSTAT, FSTAT and READLINK.
func (h *sftpHandler) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	entries, err := h.look(r.Method, r.Filepath)
	if err == nil && r.Method == "List" {
		folder := &sftpFolder{listing(entries), h}
		return folder, h.status(h.hold(folder))
	}
	return listing(entries), h.status(err)
}

func (h *sftpHandler) look(method, path string) ([]fs.FileInfo, error) {
	kind, name := locate(path)
	switch {
	case kind == nothing:
		return nil, noSuchFile()
	case method == "Readlink":
		return nil, menu.Errorf(menu.Failed, "There are no symbolic links here")
	case kind == diagnosticFile && method == "List":
		return nil, menu.Errorf(menu.Failed, "This is a file, not a folder")
	case kind == diagnosticFile:
		f, err := h.files.Stat(name)
		return []fs.FileInfo{fileEntry(f)}, err
	case method != "List" && kind == rootFolder:
		return []fs.FileInfo{folderEntry("/")}, nil
	case method != "List" || kind == rootFolder:
		return []fs.FileInfo{folderEntry(folder)}, nil
	}
	files, err := list(h.files)
	entries := make([]fs.FileInfo, len(files))
	for i, f := range files {
		entries[i] = fileEntry(f)
	}
	return entries, err
}

// Fileread answers SSH_FXP_OPEN for reading.
func (h *sftpHandler) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	f, err := h.read(r.Filepath)
	if err != nil {
		return nil, h.status(err)
	}
	return f, nil
}

func (h *sftpHandler) read(path string) (*sftpFile, error) {
	kind, name := locate(path)
	switch kind {
	case nothing:
		return nil, noSuchFile()
	case rootFolder, diagnosticFolder:
		return nil, menu.Errorf(menu.Failed, "This is a folder, not a file")
	}
	file, err := h.files.Open(name)
	if err != nil {
		return nil, err
	}
	f := &sftpFile{handler: h, name: name, file: file}
	if err := h.hold(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// hold notes that something is open, so that it is closed with the session at the latest.
func (h *sftpHandler) hold(c io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		return menu.Errorf(menu.Failed, "The session has ended")
	}
	if len(h.open) >= maxHandles {
		return menu.Errorf(menu.Failed, "Too many files are open").WithHint("At most %d at a time", maxHandles)
	}
	h.open[c] = struct{}{}
	return nil
}

func (h *sftpHandler) release(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// Filewrite refuses SSH_FXP_OPEN for writing.
func (h *sftpHandler) Filewrite(*sftp.Request) (io.WriterAt, error) {
	return nil, h.status(readOnly())
}

// Filecmd answers what changes things: SSH_FXP_REMOVE may, nothing else.
func (h *sftpHandler) Filecmd(r *sftp.Request) error {
	if r.Method != "Remove" {
		return h.status(readOnly())
	}
	kind, name := locate(r.Filepath)
	switch kind {
	case nothing:
		return h.status(noSuchFile())
	case rootFolder, diagnosticFolder:
		return h.status(readOnly())
	}
	return h.status(h.files.Remove(name))
}

func readOnly() error {
	return menu.Errorf(menu.Denied, "Files can be read and deleted here, not written")
}

// LookupUserName and LookupGroupName keep the library from looking into the host's own user table.
func (h *sftpHandler) LookupUserName(string) string  { return "diagsh" }
func (h *sftpHandler) LookupGroupName(string) string { return "diagsh" }

// status gives a failure the protocol's code, and a text that was meant for users.
func (h *sftpHandler) status(err error) error {
	if err == nil {
		return nil
	}
	var e *menu.Error
	if !errors.As(err, &e) {
		h.log.Error("sftp: a request failed", "error", err)
		e = menu.AsError(err)
	}
	text := printable(e.Error())
	switch e.Kind {
	case menu.Denied:
		return &sftpError{sftp.ErrSSHFxPermissionDenied, text}
	case menu.NotFound:
		return &sftpError{sftp.ErrSSHFxNoSuchFile, text}
	}
	return &sftpError{sftp.ErrSSHFxFailure, text}
}

// close closes what the client left open when it went away.
func (h *sftpHandler) close() {
	h.mu.Lock()
	open := h.open
	h.open = nil
	h.mu.Unlock()
	for f := range open {
		f.Close()
	}
}

// An sftpFile is a file that is open for a client.
type sftpFile struct {
	handler *sftpHandler
	name    string
	file    *os.File
	read    atomic.Int64
	closed  sync.Once
}

func (f *sftpFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 { // an offset of 2^63 or more
		return 0, io.EOF
	}
	n, err := f.file.ReadAt(p, offset)
	f.read.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.handler.status(err)
	}
	return n, err
}

// Close is called by the library, and by the handler when the session ends before that.
func (f *sftpFile) Close() error {
	f.closed.Do(func() {
		h := f.handler
		h.release(f)
		if err := h.files.Done(f.name, f.file, f.read.Load()); err != nil {
			h.log.Warn("sftp: a download was not recorded", "file", f.name, "error", err)
		}
	})
	return nil
}

// An sftpError is a status code of the protocol with a text.
type sftpError struct {
	code error
	text string
}

func (e *sftpError) Error() string { return e.text }
func (e *sftpError) Unwrap() error { return e.code }

// An sftpFolder is a folder that is open for a client.
type sftpFolder struct {
	listing
	handler *sftpHandler
}

func (f *sftpFolder) Close() error {
	f.handler.release(f)
	return nil
}

// A listing is a folder's contents as they were when it was opened.
type listing []fs.FileInfo

func (l listing) ListAt(to []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[offset:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}
