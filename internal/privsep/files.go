package privsep

import (
	"errors"
	"io"
	"net"
	"os"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// maxListings bounds the open listings of a session.
const maxListings = 16

// A fileHandler answers what SFTP and SCP ask of the diagnostic directory in one session.
type fileHandler struct {
	monitor  *Monitor
	files    Files
	listings map[uint64]access.FileListing
	begun    uint64 // the number of the latest listing
}

// serveFiles answers until the front hangs up, the session ends, or the connection is at fault.
func (m *Monitor) serveFiles(c *net.UnixConn, q request) {
	caller, ended, detach, err := m.attach(q.Login, "sftp")
	if err != nil {
		respond(c, q, m.failed(q.Do, err))
		return
	}
	defer detach()
	defer closeAfter(ended, c)()
	if respond(c, q, reply{}) != nil {
		return
	}
	d := &fileHandler{monitor: m, files: m.boundary.Files(caller.Session), listings: map[uint64]access.FileListing{}}
	defer d.close()
	m.fault(d.serve(c))
}

// serve answers until the connection ends, and returns why it did.
func (d *fileHandler) serve(c *net.UnixConn) error {
	for last := uint64(1); ; last++ { // request 1 was "files"
		q, err := readRequest(c, last, maxRequestFrame)
		if err != nil {
			return err
		}
		a, file, err := d.answer(q)
		if err != nil {
			a = d.monitor.failed(q.Do+" "+q.Name, err)
		}
		if file != nil {
			err = respond(c, q, a, file)
			file.Close()
		} else {
			err = respond(c, q, a)
		}
		if err != nil {
			return err
		}
	}
}

// answer returns the reply to one request, and the file that goes with it.
func (d *fileHandler) answer(q request) (reply, *os.File, error) {
	switch q.Do {
	case "list":
		a, err := d.list(q.Listing)
		return a, nil, err
	case "unlist":
		if listing := d.listings[q.Listing]; listing != nil {
			delete(d.listings, q.Listing)
			listing.Close()
		}
		return reply{}, nil, nil
	case "stat":
		f, err := d.files.Stat(q.Name)
		return reply{File: &f}, nil, err
	case "open":
		info, f, err := d.files.Open(q.Name)
		return reply{File: &info}, f, err
	case "done":
		return reply{}, nil, d.files.Done(q.Name, q.Bytes)
	case "remove":
		return reply{}, nil, d.files.Remove(q.Name)
	}
	return reply{}, nil, errUnknownRequest
}

// list replies with the next files of a listing. The number 0 begins a listing.
func (d *fileHandler) list(number uint64) (reply, error) {
	listing := d.listings[number]
	switch {
	case listing != nil:
	case number != 0:
		return reply{}, menu.Errorf(menu.State, "This listing has ended")
	case len(d.listings) >= maxListings:
		return reply{}, menu.Errorf(menu.State, "Too many listings are open").
			WithHint("At most %d at a time", maxListings)
	default:
		var err error
		if listing, err = d.files.List(); err != nil {
			return reply{}, err
		}
		d.begun++
		number = d.begun
		d.listings[number] = listing
	}
	files, err := listing.Next(filesOfReply)
	if err == nil {
		return reply{Listing: number, Files: files}, nil
	}
	delete(d.listings, number)
	listing.Close()
	if errors.Is(err, io.EOF) {
		return reply{}, nil
	}
	return reply{}, err
}

// close ends the listings and the use of files.
func (d *fileHandler) close() {
	d.files.Close()
	for _, listing := range d.listings {
		listing.Close()
	}
}
