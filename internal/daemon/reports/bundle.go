package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"path"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A Bundle is a report whose members another room chose: all that belongs to one thing.
type Bundle struct {
	Stem        string // of the name of its file
	Title       string
	Case        string
	Description string
	Rows        [][2]string // names and texts at the head of its first page
	Sections    []Section
}

// A Section is a part of the first page of a bundle, and its members.
type Section struct {
	Title   string
	Note    string // a sentence; may be empty
	Members []Member
}

// A Member is a file of a bundle. One that has no content says why.
type Member struct {
	Name  string // in the bundle, with slashes
	Title string // a text of the first page; empty: the name
	Note  string // a sentence beside it; may be empty

	// File is a file of the diagnostic directory, opened as its caller may. Or Open opens what the
	// other room has, of the size that it returns. With neither, the member is only the note.
	File string
	Open func() (content io.ReadCloser, size int64, err error)

	Role menu.Role // that reading the content of Open takes
}

// CreateBundle makes a report of what another room chose, for the caller. Files that the caller may
// not read, or that went meanwhile, are left out, and the first page says so. progress is told what is
// being done. Whatever happens, a report is there as a whole or not at all.
func (r *Reports) CreateBundle(ctx context.Context, caller menu.Caller, b Bundle, progress func(string)) (access.Report, error) {
	m := &maker{r: r, dir: r.o.Files, ctx: ctx, caller: caller, progress: progress, bundle: &b}
	m.report = access.Report{Time: time.Now().UTC().Truncate(time.Second), Owner: caller.User, Case: b.Case,
		Description: b.Description, Files: []access.File{}, Contents: []access.Content{}, Role: menu.Operator}
	m.folder = b.Stem
	for n := 2; r.o.Files.Exists(m.folder + Suffix); n++ {
		m.folder = fmt.Sprintf("%s-%d", b.Stem, n)
	}
	m.report.Name = m.folder + Suffix
	for _, s := range b.Sections {
		for _, one := range s.Members {
			if one.File != "" {
				m.request.Files = append(m.request.Files, one.File) // whose room is asked for
			}
		}
	}
	if err := m.make(); err != nil {
		return access.Report{}, menu.Failing("make the report", err)
	}
	return m.report, nil
}

// writeBundle writes the members of a bundle, its first page and what the page tells, for programs.
func (m *maker) writeBundle() error {
	done, total := 0, 0
	for _, s := range m.bundle.Sections {
		total += len(s.Members)
	}
	for i := range m.bundle.Sections {
		members := m.bundle.Sections[i].Members
		for j := range members {
			done++
			m.progress(fmt.Sprintf("Part %d of %d: %s", done, total, members[j].Name))
			if err := m.member(&members[j]); err != nil {
				return err
			}
		}
	}
	page := m.bundlePage()
	if err := m.add("index.html", int64(len(page)), m.report.Time, strings.NewReader(page)); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m.report, "", "  ")
	if err != nil {
		return err
	}
	if err := m.add("report.json", int64(len(data)), m.report.Time, strings.NewReader(string(data))); err != nil {
		return err
	}
	return m.manifest()
}

// member writes a member. One that cannot be read is named with the reason, and has no link then.
func (m *maker) member(one *Member) error {
	content := access.Content{Title: one.Title, Result: "ok", Data: one.Name}
	if content.Title == "" {
		content.Title = one.Name
	}
	began := time.Now()
	err := m.ctx.Err()
	var missing *missingError
	switch {
	case err != nil:
	case one.File != "":
		err = m.copyAs(one.Name, one.File)
	case one.Open != nil:
		err = m.copyFrom(one)
	default:
		err = &missingError{menu.Errorf(menu.NotFound, "%s", one.Note)}
	}
	if errors.As(err, &missing) {
		known := menu.AsError(missing.err)
		content.Data, content.Result, content.Reason = "", known.Code.String(), known.Message
		one.Name, one.Note, err = "", known.Message, nil
		if one.Title == "" {
			one.Title = content.Title
		}
	}
	content.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	m.report.Contents = append(m.report.Contents, content)
	return err
}

// A missingError says why a member of a bundle is not in it.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }

// copyFrom writes the content that another room has.
func (m *maker) copyFrom(one *Member) error {
	content, size, err := one.Open()
	if err != nil {
		return &missingError{menu.Failing("read it", err)}
	}
	defer content.Close()
	m.require(one.Role)
	return m.add(one.Name, size, m.report.Time, content)
}

// copyAs puts a file of the diagnostic directory into the archive, under a name.
func (m *maker) copyAs(name, file string) error {
	f, err := m.r.boundary.OpenWithin(m.caller, file)
	if err != nil {
		return &missingError{err}
	}
	defer f.Close()
	return m.put(name, file, f)
}

// A summed is a member of an archive in its manifest.
type summed struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// manifest writes the last member of the archive: all the others, with their hashes. Its names are
// relative to the folder that it is in.
func (m *maker) manifest() error {
	data, err := json.MarshalIndent(struct {
		Report  string    `json:"report"`
		Time    time.Time `json:"time"`
		Members []summed  `json:"members"`
	}{m.report.Name, m.report.Time, m.sums}, "", "  ")
	if err != nil {
		return err
	}
	return m.add("manifest.json", int64(len(data)), m.report.Time, strings.NewReader(string(data)))
}

// bundlePage is the page to begin with.
func (m *maker) bundlePage() string {
	var b strings.Builder
	b.WriteString(head(m.bundle.Title))
	fmt.Fprintf(&b, "<h1>%s</h1>\n<table>\n", escape(m.bundle.Title))
	rows := append([][2]string{}, m.bundle.Rows...)
	rows = append(rows, [2]string{"Report made", menu.UTC(m.report.Time)}, [2]string{"For", m.report.Owner}, [2]string{"Product", m.r.o.Product})
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "<tr><th>%s</th><td>%s</td></tr>\n", escape(row[0]), escape(row[1]))
		}
	}
	b.WriteString("</table>\n")
	for _, s := range m.bundle.Sections {
		fmt.Fprintf(&b, "<h2>%s</h2>\n", escape(s.Title))
		if s.Note != "" {
			fmt.Fprintf(&b, "<p class=\"dim\">%s</p>\n", escape(s.Note))
		}
		if len(s.Members) > 0 {
			b.WriteString("<table>\n")
			for _, one := range s.Members {
				b.WriteString(one.row())
			}
			b.WriteString("</table>\n")
		}
	}
	fmt.Fprintf(&b, "<h2>Of this report</h2>\n<p>%s has the SHA-256 of each file, %s what is here and what is missing, for programs.</p>\n</body>\n</html>\n",
		link("manifest.json", "manifest.json"), link("report.json", "report.json"))
	return b.String()
}

// row is a member in the page.
func (one Member) row() string {
	title := one.Title
	if title == "" {
		title = path.Base(one.Name)
	}
	if one.Name == "" {
		return fmt.Sprintf("<tr><td>%s</td><td class=\"bad\">not in it: %s</td></tr>\n", escape(title), escape(one.Note))
	}
	return fmt.Sprintf("<tr><td>%s</td><td class=\"dim\">%s</td></tr>\n", link(one.Name, html.EscapeString(menu.Clean(title))), escape(one.Note))
}
