package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"diagsh/internal/api/archive"
	"diagsh/internal/menu"
)

// maxArchived is how many files an archive has at most, besides the manifest.
const maxArchived = 1000

// archive answers with several files as one zip. Each counts as a download of its own: one that the
// caller may not read refuses them all, before the first byte.
func (s *Server) archive(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	names := r.URL.Query()["name"]
	if err := checkNames(names); err != nil {
		return err
	}
	caller, done, err := s.uses(r, caller, "download "+strconv.Itoa(len(names))+" files")
	defer done()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := s.mayRead(caller, name); err != nil {
			return blamed(name, err)
		}
	}
	now := time.Now()
	host := s.appliance.Hostname()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", attached(host+"-files-"+now.UTC().Format("20060102-150405")+".zip"))
	if r.Method == http.MethodHead {
		return nil
	}
	a := archive.New(w, archive.Manifest{Hostname: host, Time: now.UTC().Truncate(time.Second), User: caller.User})
	for _, name := range names {
		if err = s.addTo(r.Context(), a, caller.Session, name); err != nil {
			break
		}
	}
	if err == nil {
		err = a.Close()
	}
	if err != nil {
		if r.Context().Err() == nil {
			s.AsError("archive", err)
		}
		panic(http.ErrAbortHandler) // a part must not look like the whole
	}
	return nil
}

// checkNames returns an error unless these are names of files for one archive.
func checkNames(names []string) error {
	seen := map[string]bool{archive.ManifestName: true}
	for _, name := range names {
		if seen[name] {
			return menu.BadArgument("name", "An archive cannot have %s twice", menu.Quoted(name)).
				WithHint("Name each file once; %s is made for the archive", archive.ManifestName)
		}
		seen[name] = true
	}
	switch {
	case len(names) == 0:
		return menu.BadArgument("name", "No file is named").WithHint("Give ?name=FILE, once for each file")
	case len(names) > maxArchived:
		return menu.BadArgument("name", "%d files are more than the %d of an archive", len(names), maxArchived)
	}
	return nil
}

// blamed returns an error about one of several files with its name.
func blamed(name string, err error) error {
	known := *menu.AsError(err)
	known.Argument = "name"
	if known.Code == menu.Denied {
		known.Message = name + ": " + known.Message
	}
	return &known
}

// addTo adds a file to an archive, if the session may read it by now.
func (s *Server) addTo(ctx context.Context, a *archive.Writer, session, name string) error {
	caller, err := s.appliance.Current(session)
	if err != nil {
		return err
	}
	info, f, err := s.openCounted(caller, name)
	if err != nil {
		return err
	}
	defer f.Close()
	tag, err := tagOf(f.File)
	if err != nil {
		return err
	}
	sum, err := a.Add(archive.File{Name: info.Name, Modified: info.Modified.UTC(), Contents: s.appliance.Contents(info.Name)}, f)
	if err != nil {
		return err
	}
	if after, err := tagOf(f.File); err == nil && after == tag {
		s.digests.Keep(tag, sum)
	}
	return ctx.Err()
}
