package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/portload/truth"
)

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }

// listen opens a listener, or takes the inherited one, and tells the parent where it is.
func (w *worker) listen() (int, error) {
	if w.Inherited {
		return given, w.say("%s", w.At)
	}
	fd, err := w.socket(unix.SOCK_STREAM)
	if err != nil {
		return 0, err
	}
	if w.ReusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return 0, err
		}
	}
	if err := unix.Bind(fd, w.sockaddr(w.At)); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return 0, os.NewSyscallError("listen", err)
	}
	t := truth.Truth{Index: w.First, Event: "listen"}
	if w.Wait {
		t.Index, t.Event = -1, "held" // indexes from 0 on are those of connections
	}
	if t.Local, err = local(fd); err != nil {
		return 0, err
	}
	w.tell(t)
	return fd, w.say("%s", t.Local)
}

// accept accepts a connection, asking for the address of the other end or not.
func (w *worker) accept(listener int) (int, error) {
	for {
		var fd int
		var err error
		if w.Ring {
			fd, err = w.ring.accept(listener)
		} else if w.NoAddress {
			var n uintptr
			var errno syscall.Errno
			if n, _, errno = unix.Syscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, 0, 0, 0); errno != 0 {
				err = errno
			}
			fd = int(n)
		} else {
			fd, _, err = unix.Accept4(listener, 0)
		}
		if err != unix.EINTR {
			return fd, os.NewSyscallError("accept4", err)
		}
	}
}

// server serves N connections, or with N 0 until the parent closes its input.
func server(w *worker) error {
	listener, err := w.listen()
	if err != nil {
		return err
	}
	if w.Ring {
		if w.ring, err = newRing(); err != nil {
			return err
		}
	}
	if w.Wait {
		return w.older(listener)
	}
	if w.N > 0 {
		for i := range w.N {
			if err := w.serveNext(listener, w.First+i); err != nil {
				return err
			}
		}
		return nil
	}
	failed := make(chan error, 1)
	go func() {
		for {
			if err := w.serveNext(listener, -1); err != nil {
				failed <- err
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		w.wait()
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// serveNext accepts one connection and serves it. index is which it is, if the clients come one after
// the other.
func (w *worker) serveNext(listener, index int) error {
	fd, err := w.accept(listener)
	if err != nil {
		return err
	}
	if !w.Quiet && w.Serve == "" {
		return w.answer(fd, -1) // the client says which it is
	}
	w.accepted(index)
	switch w.Serve {
	case "fork":
		return w.fork(fd, index)
	case "image":
		return w.spawn(fd, index)
	case "pass":
		return w.pass(fd, index)
	}
	return w.answer(fd, index)
}

// older accepts all connections before it serves the first.
func (w *worker) older(listener int) error {
	var fds []int
	for i := range w.N {
		fd, err := w.accept(listener)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
		w.tell(truth.Truth{Index: i, Event: "held", Of: w.of(), Far: true})
	}
	if err := w.say("accepted"); err != nil {
		return err
	}
	for i, fd := range fds {
		if err := w.answer(fd, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) accepted(index int) {
	w.tell(truth.Truth{Index: index, Event: "accept", Of: "connect", Far: true})
}

// answer is the server's half of a conversation.
func (w *worker) answer(fd, index int) error {
	var c count
	if !w.Quiet {
		greeting := make([]byte, hello)
		n, err := w.get(&c, fd, greeting)
		if err != nil || n < hello {
			return fmt.Errorf("no greeting came: %w", err)
		}
		if index < 0 {
			index = int(binary.BigEndian.Uint32(greeting))
			w.accepted(index)
		}
		if !w.Exit {
			if err := w.put(&c, fd, answer(index)); err != nil {
				return err
			}
		}
		if !w.ServerFirst {
			if _, err := c.read(fd, make([]byte, 1)); err != nil {
				return err
			}
		}
	}
	// In one piece, since the parent may ask for the truths as soon as the client saw the end.
	w.mu.Lock()
	defer w.mu.Unlock()
	err := unix.Close(fd)
	w.note(w.closed(truth.Truth{Index: index, Of: w.of(), Far: true}, c))
	return err
}

// fork has a child serve, which is this image: as daemons of old do it. The child may call nothing
// but raw system calls, since it has one thread of the runtime's. It begins when its parent has let
// go of the connection, and says when it closes it: on a busy machine its parent learns of its end
// much later.
func (w *worker) fork(fd, index int) error {
	var begin, end [2]int
	if err := errors.Join(unix.Pipe(begin[:]), unix.Pipe(end[:])); err != nil {
		return err
	}
	var closing unix.Timespec
	when := unsafe.Slice((*byte)(unsafe.Pointer(&closing)), unsafe.Sizeof(closing))
	greeting, reply := make([]byte, hello), answer(index)
	syscall.ForkLock.Lock()
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if pid == 0 && errno == 0 {
		syscall.RawSyscall(unix.SYS_READ, uintptr(begin[0]), uintptr(pointer(greeting)), 1)
		syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(pointer(greeting)), hello)
		syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(pointer(reply)), uintptr(len(reply)))
		syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(pointer(greeting)), 1)
		syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_REALTIME, uintptr(pointer(when)), 0)
		syscall.RawSyscall(unix.SYS_WRITE, uintptr(end[1]), uintptr(pointer(when)), uintptr(len(when)))
		syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	syscall.ForkLock.Unlock()
	if errno != 0 {
		return os.NewSyscallError("clone", errno)
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	c := count{sent: uint64(len(reply)), received: hello}
	by := truth.Truth{Index: index, Event: "use", Of: "connect", Far: true, PID: int(pid), Process: w.name, Exe: w.exe}
	// In one piece, as answer does.
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(by)
	if _, err := unix.Write(begin[1], []byte{1}); err != nil {
		return err
	}
	if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil {
		return os.NewSyscallError("wait4", err)
	}
	if err := unix.Close(end[1]); err != nil {
		return err
	}
	if n, err := unix.Read(end[0], when); err != nil || n < len(when) {
		return fmt.Errorf("the child did not say when it closed the connection: %w", err)
	}
	by.Time = time.Unix(closing.Unix())
	w.note(w.closed(by, c))
	return errors.Join(unix.Close(begin[0]), unix.Close(begin[1]), unix.Close(end[0]))
}

// spawn has a child of another image serve.
func (w *worker) spawn(fd, index int) error {
	next := w.job
	next.Role, next.First = "serve", index
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	c := exec.Command(w.Other, "work", string(text))
	c.Stderr = os.Stderr
	c.ExtraFiles = []*os.File{os.NewFile(truthFile, "truth"), os.NewFile(uintptr(fd), "connection")}
	input, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	if err := c.ExtraFiles[1].Close(); err != nil {
		return err
	}
	if _, err := input.Write([]byte("\n")); err != nil {
		return err
	}
	return c.Wait()
}

// serve serves one connection that the parent accepted, after the parent let go of it.
func serve(w *worker) error {
	w.wait()
	w.tell(truth.Truth{Index: w.First, Event: "use", Of: "connect", Far: true})
	return w.answer(given, w.First)
}

// listens binds and listens and closes, N times.
func listens(w *worker) error {
	for i := range w.N {
		fd, err := w.socket(unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, w.sockaddr(w.At)); err != nil {
			return os.NewSyscallError("bind", err)
		}
		t := truth.Truth{Index: i, Event: "bind"}
		if t.Local, err = local(fd); err != nil {
			return err
		}
		w.tell(t)
		if err := unix.Listen(fd, 1); err != nil {
			return os.NewSyscallError("listen", err)
		}
		t.Event = "listen"
		w.tell(t)
		if err := unix.Close(fd); err != nil {
			return err
		}
		t.Event = "close"
		w.tell(t)
	}
	return nil
}

// goServer is a server as most of them are written: it listens with MPTCP, since Go does.
func goServer(w *worker) error {
	l, err := net.Listen("tcp", w.At.String())
	if err != nil {
		return err
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	w.tell(truth.Truth{Index: w.First, Event: "listen", Local: at})
	if err := w.say("%s", at); err != nil {
		return err
	}
	for range w.N {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		greeting := make([]byte, hello)
		if _, err := c.Read(greeting); err != nil {
			return err
		}
		index := int(binary.BigEndian.Uint32(greeting))
		w.accepted(index)
		reply := answer(index)
		if _, err := c.Write(reply); err != nil {
			return err
		}
		c.Read(make([]byte, 1)) // until the client closes
		if err := c.Close(); err != nil {
			return err
		}
		sums := count{sent: uint64(len(reply)), received: hello}
		w.tell(w.closed(truth.Truth{Index: index, Of: "connect", Far: true}, sums))
	}
	return nil
}
