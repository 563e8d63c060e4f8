package ssh

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// This is the old protocol of rcp, which `scp -O` and clients older than OpenSSH 9.0 speak. The
// client executes `scp -f PATH...` at the server to download, or `scp -t PATH` to upload. The
// protocol has no specification; this follows scp.c of OpenSSH.

// An scpRequest is the command line of an scp client.
type scpRequest struct {
	upload    bool
	recursive bool
	times     bool
	patterns  []string // as for path.Match
}

// parseSCP reports whether a command line is one that an scp client sends.
func parseSCP(line string) (scpRequest, bool) {
	words, ok := shellWords(line)
	if !ok || len(words) < 2 || words[0] != "scp" {
		return scpRequest{}, false
	}
	var q scpRequest
	download := false
	words = words[1:]
	for len(words) > 0 && len(words[0]) > 1 && words[0][0] == '-' {
		flags := words[0][1:]
		words = words[1:]
		if flags == "-" {
			break
		}
		for _, flag := range flags {
			switch flag {
			case 'f':
				download = true
			case 't':
				q.upload = true
			case 'r':
				q.recursive = true
			case 'p':
				q.times = true
			case 'v', 'd', 'q': // verbose, target must be a folder, quiet: they change nothing here
			default:
				return scpRequest{}, false
			}
		}
	}
	for _, word := range words {
		q.patterns = append(q.patterns, fromHome(word))
	}
	return q, download != q.upload
}

// fromHome replaces a `~` that is not quoted, as a shell does. The home of every user is the root.
func fromHome(pattern string) string {
	if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
		return "/" + rest
	}
	if pattern == "~" {
		return "/"
	}
	return pattern
}

// literal returns the name that a pattern matches. ok is false if the pattern has a wildcard.
func literal(pattern string) (name string, ok bool) {
	var b strings.Builder
	escaped := false
	ok = true
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		default:
			ok = ok && !strings.ContainsRune("*?[", r)
			b.WriteRune(r)
		}
	}
	return b.String(), ok
}

// shellWords splits a line as the shell that the client expects. It escapes what is quoted for
// path.Match, which then takes it literally.
func shellWords(line string) (words []string, ok bool) {
	var word strings.Builder
	inWord := false
	quote := rune(0)
	escaped := false
	literal := func(r rune) {
		if strings.ContainsRune(`*?[]\-~`, r) {
			word.WriteByte('\\')
		}
		word.WriteRune(r)
	}
	for _, r := range line {
		switch {
		case escaped:
			literal(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			literal(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, quote == 0 && !escaped
}

// runSCP answers an scp client on the channel.
func (s *session) runSCP(q scpRequest) exit {
	defer s.client.work()()
	in := s.input()
	defer in.Close()
	c := &scpSource{channel: s.channel, acks: bufio.NewReader(in), request: q}
	if q.upload {
		c.warn("uploads are not possible here")
		return exit{status: uint32(menu.Denied)}
	}
	files, err := s.client.server.appliance.Files(s.ctx, s.client.login.ID)
	if err != nil {
		return s.fail(err)
	}
	defer files.Close()
	c.files = files

	err = c.send()
	if err != nil {
		s.log.Debug("scp: broken off", "error", err)
	}
	if err != nil || c.warned {
		return exit{status: uint32(menu.Failed)}
	}
	return exit{}
}

// An scpSource is the sending side of the protocol.
type scpSource struct {
	channel ssh.Channel
	acks    *bufio.Reader
	files   Files
	request scpRequest
	warned  bool // something was not sent
}

// send sends the matches of all patterns. What cannot be sent is a warning to the client, which
// continues with the rest. An error ends the session.
func (c *scpSource) send() error {
	if err := c.acknowledged(); err != nil {
		return err
	}
	for _, pattern := range c.request.patterns {
		if err := c.sendMatches(pattern); err != nil {
			return err
		}
	}
	return nil
}

// sendMatches sends what a pattern matches in the tree of locate. It looks up a name without a
// wildcard, however many files there are.
func (c *scpSource) sendMatches(pattern string) error {
	if path, ok := literal(pattern); ok {
		return c.sendNamed(path)
	}
	dir, last := path.Split(absolute(pattern))
	if path.Clean(dir) == "/" {
		if ok, _ := path.Match(last, folder); ok {
			return c.sendFolder(diagnosticFolder)
		}
	} else if ok, _ := path.Match(path.Clean(dir), "/"+folder); ok {
		found := false
		listed, err := c.eachFile(func(f access.File) error {
			if ok, _ := path.Match(last, f.Name); !ok {
				return nil
			}
			found = true
			return c.sendFile(f.Name)
		})
		if found || !listed || err != nil {
			return err
		}
	}
	text, _ := literal(pattern)
	return c.warn(text + ": there is no such file")
}

// sendNamed sends the file or folder at a path.
func (c *scpSource) sendNamed(path string) error {
	switch kind, name := locate(path); kind {
	case nothing:
		return c.warn(path + ": there is no such file")
	case diagnosticFile:
		return c.sendFile(name)
	default:
		return c.sendFolder(kind)
	}
}

// eachFile calls send with every file, until one cannot be sent. listed is false if the files
// cannot be listed; then it has warned the client.
func (c *scpSource) eachFile(send func(access.File) error) (listed bool, err error) {
	listing, err := c.files.List()
	if err != nil {
		return false, c.warn(menu.AsError(err).Error())
	}
	defer listing.Close()
	for {
		files, err := nextOf(listing)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, c.warn(menu.AsError(err).Error())
		}
		for _, f := range files {
			if err := send(f); err != nil {
				return false, err
			}
		}
	}
}

// sendFolder sends a folder with its files, if the client asked for folders.
func (c *scpSource) sendFolder(kind kind) error {
	name := folder
	if kind == rootFolder {
		name = "/"
	}
	if !c.request.recursive {
		return c.warn(name + ": not a regular file")
	}
	if err := c.header(theFolder()); err != nil {
		return err
	}
	if _, err := c.eachFile(func(f access.File) error { return c.sendFile(f.Name) }); err != nil {
		return err
	}
	return c.command("E\n")
}

// sendFile sends a file with the length that it has when it is opened.
func (c *scpSource) sendFile(name string) error {
	file, err := c.files.Open(name)
	if err != nil {
		return c.warn(name + ": " + menu.AsError(err).Error())
	}
	var sent int64
	defer func() { c.files.Done(name, file, sent) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f := access.File{Name: name, Bytes: info.Size(), Modified: info.ModTime()}
	err = c.header(fileEntry(f))
	if errors.Is(err, errDeclined) {
		return nil
	}
	if err != nil {
		return err
	}
	sent, err = io.CopyN(c.channel, io.NewSectionReader(file, 0, f.Bytes), f.Bytes)
	if err != nil {
		return err // the client waits for more bytes: only the end of the connection tells it
	}
	return c.command("\x00")
}

var errDeclined = errors.New("the client does not want it")

// header announces a file or a folder, after its times if the client wants them.
func (c *scpSource) header(e entry) error {
	if c.request.times {
		t := e.time.Unix()
		if err := c.command(fmt.Sprintf("T%d 0 %d 0\n", t, t)); err != nil {
			return err
		}
	}
	letter := 'C'
	if e.folder {
		letter = 'D'
	}
	return c.command(fmt.Sprintf("%c%04o %d %s\n", letter, e.mode(), e.bytes, e.name))
}

// command writes a line of the protocol, and reads the reply.
func (c *scpSource) command(text string) error {
	if _, err := io.WriteString(c.channel, text); err != nil {
		return err
	}
	return c.acknowledged()
}

// acknowledged reads the reply of the client. 0 means yes. 1 is a warning, with a line that says
// what went wrong. 2 is the same, and the client gives up.
func (c *scpSource) acknowledged() error {
	answer, err := c.acks.ReadByte()
	if err != nil {
		return err
	}
	switch answer {
	case 0:
		return nil
	case 1:
		for {
			if b, err := c.acks.ReadByte(); err != nil || b == '\n' {
				c.warned = true
				return errors.Join(errDeclined, err)
			}
		}
	}
	return errors.New("the client gave up")
}

// warn tells the client, which prints it and continues.
func (c *scpSource) warn(text string) error {
	c.warned = true
	_, err := fmt.Fprintf(c.channel, "\x01scp: %s\n", strings.ReplaceAll(menu.CleanLines(text), "\n", " "))
	return err
}
