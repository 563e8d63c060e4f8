package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// What the diagnostic directory asks of a role.
const (
	roleListFiles  = menu.ReadOnly
	roleReadFile   = menu.Operator
	roleRemoveFile = menu.Operator
)

// permitFile compares the caller's role with what an act on the diagnostic directory requires, and keeps packet contents from those
// who may see headers only.
func permitFile(caller menu.Caller, required menu.Role, f access.File) error {
	if !caller.Role.Includes(required) {
		return denied(caller, required)
	}
	if required == roleReadFile && f.Role != "" && !caller.Role.Includes(f.Role) {
		return denied(caller, f.Role)
	}
	if required == roleReadFile && f.Payload && !caller.Payload {
		return menu.Errorf(menu.Denied, "This holds packet contents").
			WithHint("An administrator can allow them to this account (userconfig edit, payload)")
	}
	return nil
}

// fileEvent begins the audit line of an act on a file.
func fileEvent(caller menu.Caller, act, name string, err error) access.Event {
	e := access.Event{Act: act, User: caller.User, Role: caller.Role, Source: caller.Source, Session: caller.Session, Path: shown(name), Result: "ok"}
	if err != nil {
		known := menu.AsError(err)
		e.Result, e.Exit, e.Message = known.Code.String(), int(known.Code), known.Error()
		if known.Code == menu.Denied {
			e.Act = access.ActRefused
		}
	}
	return e
}

// stat returns one file of it.
func (s *Server) stat(caller menu.Caller, name string) (access.File, error) {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return access.File{}, err
	}
	return s.appliance.StatFile(name)
}

// mayRead says whether the caller may read a file, and audits a refusal.
func (s *Server) mayRead(caller menu.Caller, name string) (access.File, error) {
	f, err := s.stat(caller, name)
	if err == nil {
		err = permitFile(caller, roleReadFile, f)
	}
	if err != nil {
		s.appliance.Record(fileEvent(caller, access.ActDownload, name, err))
	}
	return f, err
}

// openFile opens a file that the caller may read. The audit log has that before a byte of it can be read, so that it stands there whatever
// becomes of the appliance meanwhile; downloaded adds how much it was.
func (s *Server) openFile(caller menu.Caller, name string) (access.File, *os.File, error) {
	info, err := s.mayRead(caller, name)
	if err != nil {
		return info, nil, err
	}
	f, err := s.appliance.OpenFile(info.Name)
	if err != nil {
		s.appliance.Record(fileEvent(caller, access.ActDownload, name, err))
		return info, nil, err
	}
	s.downloaded(caller, info.Name, "-")
	return info, f, nil
}

// downloaded writes a line about a download into the audit log: how many bytes were read, or - at its beginning.
func (s *Server) downloaded(caller menu.Caller, name, bytes string) {
	e := fileEvent(caller, access.ActDownload, name, nil)
	e.Arguments = map[string]string{"bytes": bytes}
	s.appliance.Record(e)
}

// mayReadPackets says whether the caller may read the packets of a capture, running or ended, or of a file. A name of nothing is for
// the command to complain about.
func (s *Server) mayReadPackets(caller menu.Caller, name string) error {
	f, known := s.appliance.Packets(name)
	if !known {
		return nil
	}
	return permitFile(caller, roleReadFile, f)
}

// remove deletes a file and audits it.
func (s *Server) remove(caller menu.Caller, name string) error {
	err := permitFile(caller, roleRemoveFile, access.File{})
	if err == nil {
		err = s.appliance.RemoveFile(caller, name)
	}
	if err != nil {
		err = s.AsError("delete "+name, err)
	}
	s.appliance.Record(fileEvent(caller, access.ActDelete, name, err))
	return err
}

// filesOfPage is how many files are listed at once.
const filesOfPage = 256

// listFiles sends the directory as it reads it: a listing of many files takes no more memory than one of a few.
func (s *Server) listFiles(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return err
	}
	listing, err := s.appliance.OpenListing()
	if err != nil {
		return err
	}
	defer listing.Close()
	files, err := listing.Next(filesOfPage)
	if err != nil && !errors.Is(err, io.EOF) {
		return err // while there is an answer to put it into
	}
	w.Header().Set("Content-Type", "application/json")
	between := "["
	for ; err == nil; files, err = listing.Next(filesOfPage) {
		for _, f := range files {
			text, err := json.Marshal(f)
			if err != nil {
				return err
			}
			if _, err := w.Write(append([]byte(between), text...)); err != nil {
				return nil // nobody reads any more
			}
			between = ",\n"
		}
	}
	if !errors.Is(err, io.EOF) {
		s.AsError("list the files", err)
		panic(http.ErrAbortHandler) // half a list must not look like a whole one
	}
	if between == "[" {
		io.WriteString(w, between)
	}
	io.WriteString(w, "]\n")
	return nil
}

func (s *Server) readFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	caller, done, err := s.uses(caller, "download "+shown(r.PathValue("name")))
	defer done()
	if err != nil {
		return err
	}
	info, f, err := s.openFile(caller, r.PathValue("name"))
	if err != nil {
		return err
	}
	defer f.Close()
	counted := &countedFile{File: f}
	// Also where the other end goes away in the middle.
	defer func() { s.downloaded(caller, info.Name, strconv.FormatInt(counted.read, 10)) }()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.Modified, counted)
	return nil
}

// A countedFile knows how many bytes were read from it.
type countedFile struct {
	*os.File
	read int64
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += int64(n)
	return n, err
}

func (s *Server) removeFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	if err := s.remove(caller, r.PathValue("name")); err != nil {
		return err
	}
	return writeJSON(w, struct{}{})
}
