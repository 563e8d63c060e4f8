package main

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/portload/truth"
)

// udpServer takes N greetings and answers them, if the clients wait for that.
func udpServer(w *worker) error {
	fd, err := w.socket(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, w.sockaddr(w.At)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	t := truth.Truth{Index: w.First, Event: "open", Protocol: "udp"}
	if w.Wait {
		t.Event = "held"
	}
	if t.Local, err = local(fd); err != nil {
		return err
	}
	w.tell(t)
	if err := w.say("%s", t.Local); err != nil {
		return err
	}
	var c count
	for range w.N {
		greeting := make([]byte, hello)
		n, from, err := unix.Recvfrom(fd, greeting, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		c.received += uint64(n)
		index := int(binary.BigEndian.Uint32(greeting))
		w.tell(truth.Truth{Index: index, Event: "flow", Protocol: "udp", Local: t.Local, Remote: addrPort(from)})
		if w.Once {
			continue
		}
		reply := answer(index)
		if err := unix.Sendto(fd, reply, 0, from); err != nil {
			return os.NewSyscallError("sendto", err)
		}
		c.sent += uint64(len(reply))
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	w.tell(c.close(t))
	return nil
}

// udpClient sends a greeting from each of N sockets.
func udpClient(w *worker) error {
	for i := w.First; i < w.First+w.N; i++ {
		fd, err := w.socket(unix.SOCK_DGRAM)
		if err != nil {
			return err
		}
		var c count
		if w.Once {
			err = os.NewSyscallError("sendto", unix.Sendto(fd, greeting(i), 0, w.sockaddr(w.At)))
			c.sent = hello
		} else if err = unix.Connect(fd, w.sockaddr(w.At)); err == nil {
			if err = c.write(fd, greeting(i)); err == nil {
				_, err = c.datagram(fd, answer(i))
			}
		}
		if err != nil {
			return err
		}
		t := truth.Truth{Index: i, Protocol: "udp", Remote: w.At}
		if t.Local, err = local(fd); err != nil {
			return err
		}
		t.Event = "flow"
		w.tell(t)
		if err := unix.Close(fd); err != nil {
			return err
		}
		w.tell(c.close(t))
	}
	return nil
}

func (c *count) datagram(fd int, b []byte) (int, error) {
	n, err := unix.Read(fd, b)
	c.received += uint64(max(n, 0))
	return n, os.NewSyscallError("read", err)
}
