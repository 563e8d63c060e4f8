package reports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// PageSuffix is of the files of reports that are one page.
const PageSuffix = ".html"

// pageName are the names of pages, which say that they are ours.
var pageName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^.+-report-\d{8}-\d{6}(-\d{4})?\.html$`) })

// KeepPage writes a report that is one page, which stands for itself. It is there as a whole or not
// at all.
func (r *Reports) KeepPage(caller menu.Caller, page access.ReportPage, write func(io.Writer) error) (access.Report, error) {
	if !r.making.TryLock() {
		return access.Report{}, errMaking
	}
	defer r.making.Unlock()
	made := access.Report{Time: time.Now().UTC().Truncate(time.Second), Owner: caller.User, Files: []access.File{}, Role: menu.Operator}
	stem := fmt.Sprintf("%s-%s-report-%s", r.o.Hostname(), page.Of, made.Time.Format("20060102-150405"))
	made.Name = stem + PageSuffix
	for n := 2; r.o.Files.Exists(made.Name); n++ {
		made.Name = fmt.Sprintf("%s-%04d%s", stem, n, PageSuffix)
	}
	made.Contents = []access.Content{{Title: page.Title, Command: page.Command, Result: "ok", Records: page.Records}}
	if err := r.keep(&made, write); err != nil {
		return access.Report{}, menu.Failing("keep the page", err)
	}
	return made, nil
}

// keep writes a page under a hidden name and gives it its own when it is safe on the disk.
func (r *Reports) keep(made *access.Report, write func(io.Writer) error) (err error) {
	if err := r.o.Files.Room(0, reportRoom); err != nil {
		return err
	}
	hidden := "." + made.Name + makingSuffix
	file, err := r.o.Files.CreateFile(hidden)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.o.Files.Root().Remove(hidden)
		}
	}()
	buffered := bufio.NewWriter(file)
	err = write(buffered)
	if err == nil {
		err = errors.Join(buffered.Flush(), file.Sync())
	}
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr, file.Close()); err != nil {
		return err
	}
	made.Bytes = info.Size()
	return r.publish(hidden, *made)
}
