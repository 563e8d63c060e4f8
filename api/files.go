package api

import (
	"net/http"

	"diagsh/access"
	"diagsh/menu"
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
	e := access.Event{Act: act, User: caller.User, Role: caller.Role, Source: caller.Source, Session: caller.Session, Path: cut(name), Result: "ok"}
	if err != nil {
		known := menu.AsError(err)
		e.Result, e.Exit, e.Message = known.Kind.String(), int(known.Kind), known.Error()
		if known.Kind == menu.Denied {
			e.Act = access.ActRefused
		}
	}
	return e
}

// list returns the diagnostic directory, if the caller may see it.
func (s *Server) list(caller menu.Caller) ([]access.File, error) {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return nil, err
	}
	return s.appliance.ListFiles()
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
		err = s.asError("delete "+name, err)
	}
	s.appliance.Record(fileEvent(caller, access.ActDelete, name, err))
	return err
}

func (s *Server) listFiles(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	files, err := s.list(caller)
	if err != nil {
		return err
	}
	if files == nil {
		files = []access.File{}
	}
	return writeJSON(w, files)
}

func (s *Server) readFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	caller, done, err := s.uses(caller, "download "+cut(r.PathValue("name")))
	defer done()
	if err != nil {
		return err
	}
	info, err := s.mayRead(caller, r.PathValue("name"))
	if err != nil {
		return err
	}
	f, err := s.appliance.OpenFile(info.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.Modified, f)
	s.appliance.Record(fileEvent(caller, access.ActDownload, info.Name, nil))
	return nil
}

func (s *Server) removeFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	if err := s.remove(caller, r.PathValue("name")); err != nil {
		return err
	}
	return writeJSON(w, struct{}{})
}
