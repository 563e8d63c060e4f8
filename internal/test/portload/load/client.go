package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/portload/truth"
)

// hello is what a client says first: which connection this is.
const hello = 16

func greeting(index int) []byte {
	b := make([]byte, hello)
	binary.BigEndian.PutUint32(b, uint32(index))
	return b
}

// answer is what a server says to a greeting: a number of bytes that the scorer can tell apart.
func answer(index int) []byte { return make([]byte, 20+index%50) }

// client connects N times.
func client(w *worker) error {
	if w.Threads == 0 {
		return w.clients(w.First, 1)
	}
	errs := make([]error, w.Threads)
	var all sync.WaitGroup
	for i := range w.Threads {
		all.Go(func() {
			// The name of a thread is not that of the process.
			runtime.LockOSThread()
			name := append(fmt.Appendf(nil, "thread %d", i), 0)
			if err := unix.Prctl(unix.PR_SET_NAME, uintptr(pointer(name)), 0, 0, 0); err != nil && i > 0 {
				errs[i] = err
				return
			}
			errs[i] = w.clients(w.First+i, w.Threads)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (w *worker) clients(first, step int) error {
	begin := time.Now()
	for i := first; i < w.First+w.N; i += step {
		if w.PerSecond > 0 {
			// Sleeping is what paces the load. It catches up after it had to wait for the processor.
			due := begin.Add(time.Duration(float64(i-w.First) / w.PerSecond * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if err := w.connect(i); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

func (w *worker) connect(i int) error {
	fd, err := w.socket(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	var c count
	if w.FastOpen {
		err = os.NewSyscallError("sendto", unix.Sendto(fd, greeting(i), unix.MSG_FASTOPEN, w.sockaddr(w.At)))
		c.sent = hello
	} else {
		err = os.NewSyscallError("connect", unix.Connect(fd, w.sockaddr(w.At)))
	}
	if err != nil {
		return err
	}
	t := truth.Truth{Index: i, Event: w.of(), Remote: w.At}
	if t.Local, err = local(fd); err != nil {
		return err
	}
	w.tell(t)
	switch {
	case w.Image:
		return w.become(fd, i)
	case w.Pass:
		return w.pass(fd, i)
	case w.Wait:
		if err := w.say("connected"); err != nil {
			return err
		}
		w.wait()
	}
	return w.talk(fd, t, c)
}

// talk is the client's half of a conversation, of which c was said before.
func (w *worker) talk(fd int, t truth.Truth, c count) error {
	if w.Life > 0 {
		time.Sleep(w.Life) // the connection's life is what the class is about
	}
	if w.Exit {
		if err := c.write(fd, greeting(t.Index)); err != nil {
			return err
		}
		w.tell(w.closed(t, c))
		if err := w.flush(); err != nil {
			return err
		}
		unix.Exit(0)
	}
	var err error
	if !w.Quiet {
		if c.sent == 0 {
			err = w.put(&c, fd, greeting(t.Index))
		}
		if err == nil {
			_, err = w.get(&c, fd, answer(t.Index))
		}
	}
	if err == nil && (w.Quiet || w.ServerFirst) {
		_, err = c.read(fd, make([]byte, 1))
	}
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return err
	}
	w.tell(w.closed(t, c))
	return nil
}

// become hands the connection to another image of this process, which uses it.
func (w *worker) become(fd, i int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		return err
	}
	next := w.job
	next.Role, next.First, next.N, next.Life = "continue", i, fd, 0
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return syscall.Exec(w.Other, []string{w.Other, "work", string(text)}, os.Environ())
}

// goOn is the image that another one became; N is the descriptor of the connection.
func goOn(w *worker) error {
	t := truth.Truth{Index: w.First, Event: "use", Of: "connect"}
	w.tell(t)
	return w.talk(w.N, t, count{})
}

// pass hands the connection to the process at the other end of a Unix socket.
func (w *worker) pass(fd, i int) error {
	if err := unix.Sendmsg(given, greeting(i), unix.UnixRights(fd), nil, 0); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	// The other one may not close first, or this would be who let go last.
	_, err := unix.Write(given, []byte{1})
	return os.NewSyscallError("write", err)
}

// receive takes connections from a Unix socket and talks on them, as client or as server.
func receive(w *worker) error {
	for range w.N {
		message, rights := make([]byte, hello), make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(given, message, rights, 0)
		if err != nil {
			return os.NewSyscallError("recvmsg", err)
		}
		control, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil || len(control) != 1 {
			return fmt.Errorf("no descriptor came: %w", err)
		}
		fds, err := unix.ParseUnixRights(&control[0])
		if err != nil {
			return err
		}
		var c count
		if _, err := c.read(given, make([]byte, 1)); err != nil {
			return err
		}
		t := truth.Truth{Index: int(binary.BigEndian.Uint32(message)), Event: "use", Of: "connect", Far: w.Serve == "pass"}
		w.tell(t)
		if t.Far {
			err = w.answer(fds[0], t.Index)
		} else {
			err = w.talk(fds[0], t, count{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refused connects to ports where nobody listens, which all differ: the process cannot ask for the
// local port any more. The ports are lines of the parent.
func refused(w *worker) error {
	for i := range w.N {
		var port uint16
		if _, err := fmt.Fscanln(w.in, &port); err != nil {
			return err
		}
		fd, err := w.socket(unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		to := netip.AddrPortFrom(w.At.Addr(), port)
		if err := unix.Connect(fd, w.sockaddr(to)); err != unix.ECONNREFUSED {
			return fmt.Errorf("connect to a closed port: %v", err)
		}
		w.tell(truth.Truth{Index: i, Event: "refused", Remote: to})
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}

// closedPorts reserves ports without listening there, and tells them to the parent. The kernel
// rejects who connects to them.
func closedPorts(w *worker) error {
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
		w.mu.Lock()
		w.truths = append(w.truths, truth.Truth{Class: w.Class, Index: i, Event: "rejected", Time: time.Now(),
			Protocol: "tcp", Local: t.Local, NetNS: w.netns})
		w.mu.Unlock()
		if err := w.say("%d", t.Local.Port()); err != nil {
			return err
		}
	}
	w.wait()
	return nil
}

// silent connects to somebody who does not answer: it gives up at once, or waits for the kernel to.
func silent(w *worker) error {
	var fds []int
	for i := range w.N {
		fd, err := w.socket(unix.SOCK_STREAM | unix.SOCK_NONBLOCK)
		if err != nil {
			return err
		}
		if !w.Patient {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1); err != nil {
				return err
			}
		}
		to := netip.AddrPortFrom(w.At.Addr(), w.At.Port()+uint16(i))
		if err := unix.Connect(fd, w.sockaddr(to)); err != unix.EINPROGRESS {
			return fmt.Errorf("connect to nobody: %v", err)
		}
		if w.Quiet {
			if err := unix.Close(fd); err != nil {
				return err
			}
			w.tell(truth.Truth{Index: i, Event: "aborted", Remote: to})
			continue
		}
		fds = append(fds, fd)
	}
	for i, fd := range fds {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err := unix.Poll(poll, -1); err != nil {
			return err
		}
		event := map[syscall.Errno]string{unix.ETIMEDOUT: "timeout", unix.EHOSTUNREACH: "failed"}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || event[syscall.Errno(code)] == "" {
			return fmt.Errorf("connect to nobody: %v, %v", syscall.Errno(code), err)
		}
		w.tell(truth.Truth{Index: i, Event: event[syscall.Errno(code)],
			Remote: netip.AddrPortFrom(w.At.Addr(), w.At.Port()+uint16(i))})
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}
