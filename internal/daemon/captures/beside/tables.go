package beside

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"diagsh/capture/owners"
)

// A Reader reads tables of flows. It keeps the last one for a while: pages of one capture are asked for
// one after the other. Its zero value is ready; its methods may be called from any goroutine.
type Reader struct {
	mu       sync.Mutex
	file     fs.FileInfo // nil: none is kept
	bytes    int64
	modified time.Time
	table    *owners.Table
	unused   *time.Timer // ends when the table is forgotten
}

// keepTable is how long a table is kept that nobody asks for: it may have 100 MB.
const keepTable = time.Minute

// Read returns the table of a file, as far as it is written. The error is owners.ErrNoFlows, or from
// the file.
func (r *Reader) Read(f *os.File) (*owners.Table, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if r.file != nil && os.SameFile(r.file, info) && r.bytes == info.Size() && r.modified.Equal(info.ModTime()) {
		r.unused.Reset(keepTable)
		return r.table, nil
	}
	table := owners.NewTable()
	if err := table.Read(bufio.NewReaderSize(io.LimitReader(f, info.Size()), 256<<10)); err != nil {
		return nil, bare(err)
	}
	r.file, r.bytes, r.modified, r.table = info, info.Size(), info.ModTime(), table
	if r.unused == nil {
		r.unused = time.AfterFunc(keepTable, r.forget)
	}
	r.unused.Reset(keepTable)
	return table, nil
}

// forget gives up the table that is kept.
func (r *Reader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.table = nil, nil
}

// Revision returns what tells one state of a file from another.
func Revision(info fs.FileInfo) string {
	return fmt.Sprintf("flows%d-%d", info.Size(), info.ModTime().UnixNano())
}
