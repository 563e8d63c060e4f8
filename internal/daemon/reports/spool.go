package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// partBytes is how large the page, and the data, of a part of a report may become.
const partBytes = 64 << 20

var errPartFull = errors.New("the part is full")

// A spool takes what a command says, in both forms, on the disk: an archive wants to know how long
// a file is before the first byte, and memory is for captures. It is a menu.Sink.
type spool struct {
	page, data *spoolFile
	shape      menu.Shape
	records    int
	line       bytes.Buffer
	failed     error // of the disk
}

// newSpool begins a page.
func (m *maker) newSpool(p access.ReportPart) (*spool, error) {
	s := &spool{}
	var err error
	if s.page, err = m.newSpoolFile("page"); err != nil {
		return nil, err
	}
	if s.data, err = m.newSpoolFile("data"); err != nil {
		s.page.close()
		return nil, err
	}
	s.page.begin(pageBegin(m.report, p))
	return s, nil
}

func (s *spool) close() {
	s.page.close()
	s.data.close()
}

// full reports whether something was left out.
func (s *spool) full() bool { return s.page.full || s.data.full }

// wrote reports whether there is anything to read.
func (s *spool) wrote() bool { return s.page.bytes > 0 || s.records > 0 }

func (s *spool) Form() menu.Form { return menu.BothForms }

func (s *spool) Progress(string) {}

func (s *spool) View(bool) {}

// Text implements menu.Sink. Commands write whole characters.
func (s *spool) Text(text []byte) error {
	return s.done(s.page.write(escapeText(text)))
}

// Data implements menu.Sink: a report has no part that writes bytes for a program.
func (s *spool) Data([]byte) error {
	return menu.Errorf(menu.Unsupported, "The output of this command is not for a report")
}

// Record implements menu.Sink. Data has whole records only, so that it can be read also when some
// are left out.
func (s *spool) Record(v any, shape menu.Shape) error {
	s.shape = shape
	s.line.Reset()
	switch {
	case shape == menu.Table && s.records == 0:
		s.line.WriteString("[\n")
	case shape == menu.Table:
		s.line.WriteString(",\n")
	}
	encoder := json.NewEncoder(&s.line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	text := s.line.Bytes()
	if shape == menu.Table {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	err := s.data.write(text)
	if err == nil {
		s.records++
	}
	return s.done(err)
}

// done ends the command when there is no sense in going on.
func (s *spool) done(err error) error {
	if err != nil && !errors.Is(err, errPartFull) {
		s.failed = err
	}
	return err
}

// dataEnd closes the data.
func (s *spool) dataEnd() string {
	if s.shape == menu.Table {
		return "\n]\n"
	}
	return ""
}

// A spoolFile is a file without a name.
type spoolFile struct {
	file  *os.File
	out   *bufio.Writer
	bytes int64 // beside what begins it
	head  int64
	full  bool
}

func (m *maker) newSpoolFile(kind string) (*spoolFile, error) {
	name := "." + m.folder + "." + kind + makingSuffix
	f, err := m.dir.CreateFile(name)
	if err != nil {
		return nil, err
	}
	if err := m.dir.Root().Remove(name); err != nil {
		f.Close()
		return nil, err
	}
	return &spoolFile{file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (s *spoolFile) begin(text string) {
	n, _ := s.out.WriteString(text) // an error comes again when it is finished
	s.head = int64(n)
}

// write adds a piece, whole or not at all.
func (s *spoolFile) write(text []byte) error {
	if s.bytes+int64(len(text)) > partBytes {
		s.full = true
		return errPartFull
	}
	n, err := s.out.Write(text)
	s.bytes += int64(n)
	return err
}

// finish puts the file into the archive.
func (s *spoolFile) finish(m *maker, name string, modified time.Time, end string) error {
	if _, err := s.out.WriteString(end); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return m.add(name, s.head+s.bytes+int64(len(end)), modified, s.file)
}

func (s *spoolFile) close() { s.file.Close() }
