package api

import (
	"fmt"
	"os"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// SessionFiles are the diagnostic directory as one session may use it, for SFTP and SCP. Each call
// looks up the caller, compares the role and audits. They are for one goroutine.
type SessionFiles struct {
	server    *Server
	session   string
	downloads []download
}

// A download is a file that a session has open, and its caller, whose account may be gone at its
// end.
type download struct {
	caller menu.Caller
	name   string
}

// Files returns the diagnostic directory for a session. The caller closes it when the session has
// ended.
func (s *Server) Files(session string) *SessionFiles {
	return &SessionFiles{server: s, session: session}
}

// MayFiles reports whether the role of the caller allows any use of files.
func (s *Server) MayFiles(caller menu.Caller) bool {
	return permitFile(caller, roleListFiles, access.File{}) == nil
}

// List begins to list the finished files.
func (f *SessionFiles) List() (access.FileListing, error) {
	if err := f.mayList(); err != nil {
		return nil, err
	}
	listing, err := f.server.appliance.OpenListing()
	if err != nil {
		return nil, err
	}
	return &sessionListing{listing, f}, nil
}

func (f *SessionFiles) mayList() error {
	caller, err := f.server.appliance.Current(f.session)
	if err != nil {
		return err
	}
	return permitFile(caller, roleListFiles, access.File{})
}

// A sessionListing looks up the caller for each page.
type sessionListing struct {
	access.FileListing
	files *SessionFiles
}

// Next implements access.FileListing.
func (l *sessionListing) Next(most int) ([]access.File, error) {
	if err := l.files.mayList(); err != nil {
		return nil, err
	}
	return l.FileListing.Next(most)
}

// Stat returns one finished file.
func (f *SessionFiles) Stat(name string) (access.File, error) {
	caller, err := f.server.appliance.Current(f.session)
	if err != nil {
		return access.File{}, err
	}
	return f.server.stat(caller, name)
}

// Open opens a file for reading. The caller reports with Done how much of it was read.
func (f *SessionFiles) Open(name string) (access.File, *os.File, error) {
	caller, err := f.server.appliance.Current(f.session)
	if err != nil {
		return access.File{}, nil, err
	}
	info, file, err := f.server.openFile(caller, name)
	if err == nil {
		f.downloads = append(f.downloads, download{caller, name})
	}
	return info, file, err
}

// Done audits how many bytes of an open file were read, even if the account is gone.
func (f *SessionFiles) Done(name string, bytes int64) error {
	i := slices.IndexFunc(f.downloads, func(one download) bool { return one.name == name })
	if i < 0 {
		return menu.Errorf(menu.State, "This file is not open")
	}
	one := f.downloads[i]
	f.downloads = slices.Delete(f.downloads, i, i+1)
	f.server.downloaded(one.caller, one.name, fmt.Sprint(bytes))
	return nil
}

// Remove deletes a file.
func (f *SessionFiles) Remove(name string) error {
	caller, err := f.server.appliance.Current(f.session)
	if err != nil {
		return err
	}
	return f.server.remove(caller, name)
}

// Close audits the files that are still open, as when an account expires. How much of them was read
// is not known.
func (f *SessionFiles) Close() error {
	for _, one := range f.downloads {
		f.server.downloaded(one.caller, one.name, "not known")
	}
	return nil
}
