package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"diagsh/internal/access"
	"diagsh/internal/api/rest"
	"diagsh/internal/menu"
	"diagsh/internal/menu/value"
)

// Media types of files. That of pcap is registered; pcapng has none yet, and this is the one that
// Wireshark declares.
const (
	PcapType   = "application/vnd.tcpdump.pcap"
	PcapngType = "application/x-pcapng"
)

// typeOf returns the media type of a file.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".pcap":
		return PcapType
	case ".pcapng":
		return PcapngType
	case ".gz":
		return "application/gzip"
	}
	return "application/octet-stream"
}

// attached returns the Content-Disposition by which a browser saves a file and shows it nowhere.
func attached(name string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

// readFile answers with a file, with ranges, or with its packets in another format.
func (s *Server) readFile(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	name := r.PathValue("name")
	caller, done, err := s.uses(r, caller, "download "+shown(name))
	defer done()
	if err != nil {
		return err
	}
	as, err := formOf(r)
	if err != nil {
		return err
	}
	if as.Format != "" {
		c, tag, err := s.converts(caller, name, as)
		if err != nil {
			return err
		}
		if c.Needed {
			if rest.NotModified(w, r, tag) {
				return nil
			}
			return s.convertFile(w, r, caller, name, as, c.Name)
		}
	}
	if r.Method == http.MethodHead {
		return s.describeFile(w, r, caller, name)
	}
	info, f, err := s.openCounted(caller, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.serveFile(w, r, info, f.File, f)
}

// formOf returns the form in which a request asks for the packets of a file.
func formOf(r *http.Request) (as access.Form, err error) {
	query := r.URL.Query()
	as.Format = query.Get("format")
	if given := query.Get("appleblocks"); given != "" {
		if as.AppleBlocks, err = value.ParseBool(given); err != nil {
			return as, menu.BadArgument("appleblocks", "%s is neither yes nor no", menu.Quoted(given))
		}
	}
	if as.AppleBlocks && as.Format == "" {
		return as, menu.BadArgument("appleblocks", "Blocks of processes need a format").WithHint("Give format pcapng")
	}
	return as, nil
}

// describeFile answers with the head of a file, which is no download.
func (s *Server) describeFile(w http.ResponseWriter, r *http.Request, caller menu.Caller, name string) error {
	info, f, err := s.openAllowed(caller, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.serveFile(w, r, info, f, f)
}

// serveFile answers with an open file, read by way of content.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, info access.File, f *os.File, content io.ReadSeeker) error {
	tag, err := tagOf(f)
	if err != nil {
		return err
	}
	sum, known := s.digests.Get(tag)
	if !known && wantsDigest(r) {
		if sum, err = s.digests.Of(r.Context(), f, tag); err != nil {
			return err
		}
		known = true
	}
	w.Header().Set("Content-Type", typeOf(info.Name))
	w.Header().Set("Content-Disposition", attached(info.Name))
	w.Header().Set("ETag", tag)
	if known {
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	rest.ServeContent(w, r, info.Modified, content)
	return nil
}

// tagOf returns a strong entity tag: a finished file is replaced or grows, and then it is another
// file, or has another time and size.
func tagOf(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("the system does not describe the file")
	}
	return fmt.Sprintf(`"%x-%x-%x"`, stat.Ino, info.ModTime().UnixNano(), info.Size()), nil
}

// wantsDigest reports whether a request asks for the SHA-256 of the file (RFC 9530, Want-Repr-Digest).
func wantsDigest(r *http.Request) bool {
	for _, field := range r.Header.Values("Want-Repr-Digest") {
		for wish := range strings.SplitSeq(field, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(wish), "=")
			if strings.EqualFold(name, "sha-256") && weight != "0" {
				return true
			}
		}
	}
	return false
}

// converts reports whether a file is written anew for the form that is asked for, if the caller
// may read it. The entity tag of that is weak: another version of the appliance may write other
// bytes. It is another one when the file or what is said of its packets is.
func (s *Server) converts(caller menu.Caller, name string, as access.Form) (c access.Conversion, tag string, err error) {
	info, f, err := s.openAllowed(caller, name)
	if err != nil {
		return c, "", err
	}
	defer f.Close()
	c, err = s.appliance.Converts(info.Name, as)
	if err == nil && c.Needed {
		tag, err = tagOf(f)
	}
	return c, fmt.Sprintf(`W/"%s-%s%s"`, strings.Trim(tag, `"`), as.Format, c.Revision), err
}

// convertFile answers with the packets of a file in another form, by its name then. Such an answer has
// no ranges.
func (s *Server) convertFile(w http.ResponseWriter, r *http.Request, caller menu.Caller, name string, as access.Form, asName string) error {
	w.Header().Set("Content-Type", typeOf(asName))
	w.Header().Set("Content-Disposition", attached(asName))
	if r.Method == http.MethodHead {
		return nil
	}
	s.downloaded(caller, name, "-")
	counted := &countedWriter{w: w}
	defer func() { s.downloaded(caller, name, strconv.FormatInt(counted.written, 10)) }()
	err := s.appliance.Convert(r.Context(), name, as, counted)
	if err != nil && counted.written > 0 {
		if r.Context().Err() == nil {
			s.AsError("convert "+name, err)
		}
		panic(http.ErrAbortHandler) // a part must not look like the whole
	}
	if err != nil {
		w.Header().Del("Content-Disposition")
		w.Header().Del("ETag")
	}
	return err
}

// A counted is a file that a caller downloads. It counts what is read.
type counted struct {
	*os.File
	read int64
	end  func(read int64)
}

// openCounted opens a file that the caller may read, and audits that.
func (s *Server) openCounted(caller menu.Caller, name string) (access.File, *counted, error) {
	info, f, err := s.openFile(caller, name)
	if err != nil {
		return info, nil, err
	}
	return info, &counted{File: f, end: func(read int64) {
		s.downloaded(caller, info.Name, strconv.FormatInt(read, 10))
	}}, nil
}

func (f *counted) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += int64(n)
	return n, err
}

// Close audits how many bytes were read, also where the peer went away in the middle.
func (f *counted) Close() error {
	f.end(f.read)
	return f.File.Close()
}

// A countedWriter counts the bytes that were written to it.
type countedWriter struct {
	w       io.Writer
	written int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.written += int64(n)
	return n, err
}
