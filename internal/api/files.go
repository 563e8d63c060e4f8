package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/api/rest"
	"diagsh/internal/menu"
)

// The roles that the diagnostic directory requires.
const (
	roleListFiles  = menu.ReadOnly
	roleReadFile   = menu.Operator
	roleRemoveFile = menu.Operator
)

// permitFile compares the caller's role with the one that an act on the diagnostic directory
// requires, and the paths of a token with access.Files. It keeps packet contents from callers who may
// see headers only.
func permitFile(caller menu.Caller, required menu.Role, f access.File) error {
	if len(caller.Paths) > 0 && !slices.Contains(caller.Paths, access.Files) {
		return outside(caller)
	}
	return permitContents(caller, required, f)
}

// permitContents is permitFile for a file that a command reads: find has compared the paths.
func permitContents(caller menu.Caller, required menu.Role, f access.File) error {
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

// fileEvent returns the audit event of an act on a file, which failed if err is not nil.
func fileEvent(caller menu.Caller, act, name string, err error) access.Event {
	e := eventOf(caller, act, []string{shown(name)})
	e.Result = "ok"
	if err != nil {
		known := menu.AsError(err)
		e.Result, e.Exit, e.Message = known.Code.String(), int(known.Code), known.Error()
		if known.Code == menu.Denied {
			e.Act = access.ActRefused
		}
	}
	return e
}

// stat returns one finished file.
func (s *Server) stat(caller menu.Caller, name string) (access.File, error) {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return access.File{}, err
	}
	return s.appliance.StatFile(name)
}

// mayRead returns the file if the caller may read it, and audits a refusal.
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

// openAllowed opens a file that the caller may read, and audits a refusal or a failure.
func (s *Server) openAllowed(caller menu.Caller, name string) (access.File, *os.File, error) {
	info, err := s.mayRead(caller, name)
	if err != nil {
		return info, nil, err
	}
	f, err := s.appliance.OpenFile(info.Name)
	if err != nil {
		s.appliance.Record(fileEvent(caller, access.ActDownload, name, err))
	}
	return info, f, err
}

// openFile opens a file that the caller may read. It audits the download before the first byte can
// be read, whatever becomes of the appliance later. The caller reports the end by downloaded.
func (s *Server) openFile(caller menu.Caller, name string) (access.File, *os.File, error) {
	info, f, err := s.openAllowed(caller, name)
	if err == nil {
		s.downloaded(caller, info.Name, "-")
	}
	return info, f, err
}

// downloaded audits a download: the number of bytes read, or "-" at its beginning.
func (s *Server) downloaded(caller menu.Caller, name, bytes string) {
	e := fileEvent(caller, access.ActDownload, name, nil)
	e.Arguments = map[string]string{"bytes": bytes}
	s.appliance.Record(e)
}

// mayReadPackets returns a function that returns an error if the caller may not read the packets of
// a capture or a file, or may not read them with a command that can show their headers alone. A
// name of neither is left to the command.
func (s *Server) mayReadPackets(caller menu.Caller) func(name string, headers bool) error {
	return func(name string, headers bool) error {
		f, known := s.appliance.Packets(name)
		if !known {
			return nil
		}
		f.Payload = f.Payload && !headers
		return permitContents(caller, roleReadFile, f)
	}
}

// remove deletes a file and audits that.
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

// filesOfPage is the number of files that are read at a time.
const filesOfPage = 256

// listFiles sends the directory while it reads it, so that memory does not grow with the number of
// files.
func (s *Server) listFiles(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return s.refused(caller, []string{access.Files}, err)
	}
	listing, err := s.appliance.OpenListing()
	if err != nil {
		return err
	}
	defer listing.Close()
	files, err := listing.Next(filesOfPage)
	if err != nil && !errors.Is(err, io.EOF) {
		return err // nothing was sent yet
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
				return nil // the peer has gone
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

func (s *Server) removeFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	name := r.PathValue("name")
	if err := s.unchangedFile(r.Header, caller, name); err != nil {
		return err
	}
	if err := s.remove(caller, name); err != nil {
		return err
	}
	return writeJSON(w, struct{}{})
}

// unchangedFile returns the refusal of a request whose If-Match does not name the file as it is now, or
// whose If-None-Match does. Without these headers, and for who may not delete the file, there is none.
func (s *Server) unchangedFile(header http.Header, caller menu.Caller, name string) error {
	want, none := header.Get("If-Match"), header.Get("If-None-Match")
	if want == "" && none == "" || permitFile(caller, roleRemoveFile, access.File{}) != nil {
		return nil
	}
	f, err := s.appliance.OpenFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	tag, err := tagOf(f)
	switch {
	case err != nil:
		return err
	case want != "" && !rest.Matches(want, tag):
		return rest.Changed()
	case none != "" && rest.Matches(none, tag):
		return rest.Exists()
	}
	return nil
}
