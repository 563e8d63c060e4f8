package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// maxListings bounds the listings that a session goes through at a time.
const maxListings = 16

// A fileDesk answers what SFTP and SCP ask of the diagnostic directory in one session.
type fileDesk struct {
	server    *Server
	downloads []download
	listings  map[uint64]FileListing
	begun     uint64 // listings so far; each has its number for a name
}

// A download is a file that a session has open, and who opened it: the account may be gone when it is closed.
type download struct {
	caller menu.Caller
	name   string
}

// serveFiles answers until the session or its connection ends, and returns why that was.
func (s *Server) serveFiles(c *net.UnixConn, session string) error {
	d := &fileDesk{server: s, listings: map[uint64]FileListing{}}
	defer d.close()
	for last := uint64(1); ; last++ { // the question before was the one for this session
		q, err := readQuestion(c, last, maxQuestionFrame)
		if err != nil {
			return err
		}
		var a frontReply
		var file *os.File
		caller, err := s.appliance.Current(session)
		switch {
		case q.Do == "done": // whatever has become of the caller
			err = d.done(q)
		case err == nil:
			a, file, err = d.answer(caller, q)
		}
		if err != nil {
			a = frontReply{Error: s.asError(q.Do+" "+q.Name, err)}
		}
		if file != nil {
			err = reply(c, q, a, file)
			file.Close()
		} else {
			err = reply(c, q, a)
		}
		if err != nil {
			return err
		}
	}
}

func (d *fileDesk) answer(caller menu.Caller, q frontRequest) (frontReply, *os.File, error) {
	s := d.server
	switch q.Do {
	case "list":
		a, err := d.list(caller, q.Listing)
		return a, nil, err
	case "unlist":
		if listing := d.listings[q.Listing]; listing != nil {
			delete(d.listings, q.Listing)
			listing.Close()
		}
		return frontReply{}, nil, nil
	case "stat":
		f, err := s.stat(caller, q.Name)
		return frontReply{File: &f}, nil, err
	case "open":
		info, f, err := s.openFile(caller, q.Name)
		if err == nil {
			d.downloads = append(d.downloads, download{caller, q.Name})
		}
		return frontReply{File: &info}, f, err
	case "remove":
		return frontReply{}, nil, s.remove(caller, q.Name)
	}
	return frontReply{}, nil, errUnknownQuestion
}

// list answers with the next files of a listing, or the first ones of a new listing if number is 0. The role is looked at each time.
func (d *fileDesk) list(caller menu.Caller, number uint64) (frontReply, error) {
	if err := permitFile(caller, roleListFiles, access.File{}); err != nil {
		return frontReply{}, err
	}
	listing := d.listings[number]
	switch {
	case listing != nil:
	case number != 0:
		return frontReply{}, menu.Errorf(menu.State, "This listing has ended")
	case len(d.listings) >= maxListings:
		return frontReply{}, menu.Errorf(menu.State, "Too many listings are open").WithHint("At most %d at a time", maxListings)
	default:
		var err error
		if listing, err = d.server.appliance.OpenListing(); err != nil {
			return frontReply{}, err
		}
		d.begun++
		number = d.begun
		d.listings[number] = listing
	}
	files, err := listing.Next(filesOfPage)
	if err == nil {
		return frontReply{Listing: number, Files: files}, nil
	}
	delete(d.listings, number)
	listing.Close()
	if errors.Is(err, io.EOF) {
		return frontReply{}, nil
	}
	return frontReply{}, err
}

// done writes down how much of a file was read.
func (d *fileDesk) done(q frontRequest) error {
	i := slices.IndexFunc(d.downloads, func(one download) bool { return one.name == q.Name })
	if i < 0 {
		return menu.Errorf(menu.State, "This file is not open")
	}
	one := d.downloads[i]
	d.downloads = slices.Delete(d.downloads, i, i+1)
	d.server.downloaded(one.caller, one.name, fmt.Sprint(q.Bytes))
	return nil
}

// close is the end of the session. Where files are open still, as when an account expires, what was read is not known; that it could be
// is.
func (d *fileDesk) close() {
	for _, one := range d.downloads {
		d.server.downloaded(one.caller, one.name, "not known")
	}
	for _, listing := range d.listings {
		listing.Close()
	}
}
