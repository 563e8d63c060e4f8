package files

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// Start begins to tell, by Options.Tell, which finished files appear, change and go, whoever writes
// or deletes them: the kernel says it (inotify(7)). A machine that has no watch left is told of
// nothing; the log says so.
func (d *Directory) Start() {
	if d.o.Tell == nil {
		return
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, d.o.Path, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE)
	}
	if err != nil {
		d.o.Log.Warn("pages are not told of files that appear or go", "error", os.NewSyscallError("inotify", err))
		if fd >= 0 {
			unix.Close(fd)
		}
		return
	}
	d.watch = os.NewFile(uintptr(fd), "inotify")
	d.tasks.Go(func() { tellFiles(d.watch, d.o.Tell) })
}

// tellFiles reads the kernel's events until the file is closed. The kernel keeps 16,384 of them
// (max_queued_events), which this reads faster than files can be made.
func tellFiles(watch *os.File, tell access.Teller) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := watch.Read(buffer)
		if err != nil {
			return
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			length := int(binary.NativeEndian.Uint32(rest[12:]))
			name, _, _ := bytes.Cut(rest[unix.SizeofInotifyEvent:][:length], []byte{0})
			if PlainName(string(name)) {
				tell.Changed(string(name))
			}
			rest = rest[unix.SizeofInotifyEvent+length:]
		}
	}
}
