package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// put writes, as the job does it.
func (w *worker) put(c *count, fd int, b []byte) error {
	if !w.Unread {
		return c.write(fd, b)
	}
	file, err := unix.MemfdCreate("said", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(file)
	if _, err := unix.Pwrite(file, b, 0); err != nil {
		return os.NewSyscallError("pwrite", err)
	}
	n, err := unix.Sendfile(fd, file, nil, len(b))
	c.sent += uint64(max(0, n))
	return os.NewSyscallError("sendfile", err)
}

// get reads until b is full, or nothing more comes, as the job does it.
func (w *worker) get(c *count, fd int, b []byte) (int, error) {
	if !w.Unread {
		return c.read(fd, b)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, os.NewSyscallError("pipe", err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	all := 0
	for all < len(b) {
		n, err := unix.Splice(fd, nil, pipe[1], nil, len(b)-all, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return all, os.NewSyscallError("splice", err)
		}
		if n == 0 {
			break
		}
		if _, err := unix.Read(pipe[0], b[all:all+int(n)]); err != nil {
			return all, os.NewSyscallError("read", err)
		}
		all += int(n)
		c.received += uint64(n)
	}
	return all, nil
}
