package main

import (
	"encoding/binary"
	"net/netip"
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
	met := map[netip.AddrPort]bool{} // the kernel may give the port of a client that ended to another
	for range w.N {
		greeting := make([]byte, hello)
		n, from, err := unix.Recvfrom(fd, greeting, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		c.received += uint64(n)
		index := int(binary.BigEndian.Uint32(greeting))
		if peer := addrPort(from); !met[peer] {
			met[peer] = true
			w.tell(truth.Truth{Index: index, Event: "flow", Protocol: "udp", Local: t.Local, Remote: peer})
		}
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
	w.tell(w.closed(t, c))
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
		w.tell(truth.Truth{Index: i, Event: "open", Protocol: "udp", Local: t.Local})
		t.Event = "flow"
		w.tell(t)
		if err := unix.Close(fd); err != nil {
			return err
		}
		t.Remote = netip.AddrPort{} // the socket is not one of that peer
		w.tell(w.closed(t, c))
	}
	return nil
}

func (c *count) datagram(fd int, b []byte) (int, error) {
	n, err := unix.Read(fd, b)
	c.received += uint64(max(n, 0))
	return n, os.NewSyscallError("read", err)
}

// udpSink takes N datagrams without asking who sent them.
func udpSink(w *worker) error {
	fd, err := w.socket(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, w.sockaddr(w.At)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	t := truth.Truth{Index: w.First, Event: "open", Protocol: "udp"}
	if t.Local, err = local(fd); err != nil {
		return err
	}
	w.tell(t)
	if err := w.say("%s", t.Local); err != nil {
		return err
	}
	var c count
	for range w.N {
		if _, err := c.datagram(fd, make([]byte, hello)); err != nil {
			return err
		}
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	w.tell(w.closed(t, c))
	return nil
}

// udpSpray sends to N peers from one socket: they are addresses of the loopback interface.
func udpSpray(w *worker) error {
	fd, err := w.socket(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	var c count
	t := truth.Truth{Protocol: "udp"}
	for i := range w.N {
		t.Index, t.Event = i, "flow"
		t.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), w.At.Port())
		if err := unix.Sendto(fd, greeting(i), 0, w.sockaddr(t.Remote)); err != nil {
			return os.NewSyscallError("sendto", err)
		}
		c.sent += hello
		if t.Local, err = local(fd); err != nil {
			return err
		}
		w.tell(t)
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	t.Remote = netip.AddrPort{}
	w.tell(w.closed(t, c))
	return nil
}

// raw opens raw sockets of a protocol that is for experiments (RFC 3692).
func raw(w *worker) error {
	for i := range w.N {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, 253)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		t := truth.Truth{Index: i, Event: "open", Protocol: "raw"}
		w.tell(t)
		if err := unix.Close(fd); err != nil {
			return err
		}
		t.Event = "close"
		w.tell(t)
	}
	return nil
}
