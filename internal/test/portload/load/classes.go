package main

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A class is sockets that are alike.
type class struct {
	name string
	play func(o *orchestra, name string) error
}

var (
	loopback   = netip.MustParseAddrPort("127.0.0.1:0")
	loopback6  = netip.MustParseAddrPort("[::1]:0")
	everywhere = netip.MustParseAddrPort("0.0.0.0:0")
)

var classes = []class{
	{"loopback", talks(job{}, job{})},
	{"IPv6", talks(job{At: loopback6}, job{})},
	{"IPv4-mapped", talks(job{Mapped: true}, job{Mapped: true})},
	{"server closes first", talks(job{ServerFirst: true}, job{ServerFirst: true})},
	{"accept without address", talks(job{NoAddress: true}, job{})},
	{"accept without address, server closes first", talks(job{NoAddress: true, ServerFirst: true}, job{ServerFirst: true})},
	{"accept without address, closed at once", talks(job{NoAddress: true, Quiet: true}, job{Quiet: true})},
	{"accept by io_uring", talks(job{Ring: true}, job{})},
	{"sendfile and splice", talks(job{Unread: true}, job{Unread: true})},
	{"TCP Fast Open", talks(job{}, job{FastOpen: true})},
	{"forked child serves", talks(job{Serve: "fork", NoAddress: true}, job{})},
	{"child of another image serves", talks(job{Serve: "image"}, job{})},
	{"image after connect", (*orchestra).images},
	{"connection passed by its client", (*orchestra).passedByClient},
	{"connection passed by its server", (*orchestra).passedByServer},
	{"connection passed by its server, accept without address", (*orchestra).passedUnnamed},
	{"inherited listener", (*orchestra).inherited},
	{"SO_REUSEPORT", (*orchestra).workers},
	{"threads", talks(job{}, job{Threads: 6})},
	{"exit right after", (*orchestra).exits},
	{"lifetime below 1 ms", talks(job{NoAddress: true, Quiet: true, ServerFirst: true}, job{Quiet: true})},
	{"lifetime of 10 ms", talks(job{}, job{Life: 10 * time.Millisecond})},
	{"lifetime of 1 s", talks(job{N: 2}, job{N: 2, Life: time.Second})},
	{"2,000 connections/s", (*orchestra).paced},
	{"MPTCP", talks(job{Multipath: true}, job{Multipath: true})},
	{"MPTCP, accept without address", talks(job{Multipath: true, NoAddress: true}, job{Multipath: true})},
	{"MPTCP, IPv6", talks(job{Multipath: true, At: loopback6}, job{Multipath: true})},
	{"MPTCP listener, TCP client", talks(job{Multipath: true}, job{})},
	{"Go server, MPTCP client", talks(job{Role: "go"}, job{Multipath: true})},
	{"Go server, TCP client", talks(job{Role: "go"}, job{})},
	{"other network namespace", (*orchestra).namespaces},
	{"other pid namespace", (*orchestra).pidNamespace},
	{"other cgroup", (*orchestra).cgroups},
	{"listen and bind", (*orchestra).listeners},
	{"refused", (*orchestra).refusals},
	{"aborted", unanswered(nobodyAddress, job{Quiet: true})},
	{"timed out", unanswered(nobodyAddress, job{})},
	{"no neighbour", unanswered(absentAddress, job{Patient: true})},
	{"UDP connected", datagrams(job{}, job{})},
	{"UDP sendto once", datagrams(job{Once: true}, job{Once: true})},
	{"UDP to many peers", talks(job{Role: "udpsink", At: everywhere}, job{Role: "udpspray"})},
	{"UDP IPv6", datagrams(job{At: loopback6}, job{})},
	{"UDP IPv4-mapped", datagrams(job{Mapped: true}, job{Mapped: true})},
	{"raw", (*orchestra).raw},
}

// talks is N connections of a client to a server, one after the other.
func talks(server, client job) func(*orchestra, string) error {
	return func(o *orchestra, name string) error {
		return o.pair(o.server(name, server), seat{}, o.client(name, client), seat{})
	}
}

func (o *orchestra) server(name string, j job) job {
	j.Class = name
	if j.Role == "" {
		j.Role = "server"
	}
	if !j.At.IsValid() {
		j.At = loopback
	}
	if j.N == 0 {
		j.N = o.n
	}
	return j
}

func (o *orchestra) client(name string, j job) job {
	j = o.server(name, j)
	if j.Role == "server" {
		j.Role = "client"
	}
	return j
}

func datagrams(server, client job) func(*orchestra, string) error {
	server.Role, client.Role = "udpserver", "udpclient"
	return talks(server, client)
}

// each starts a client for each of the server's connections, one after the other.
func (o *orchestra) each(server, client job) error {
	s, err := o.start(server, seat{})
	if err != nil {
		return err
	}
	if client.At, err = s.address(); err != nil {
		return err
	}
	for i := range server.N {
		client.First, client.N = i, 1
		c, err := o.start(client, seat{})
		if err != nil {
			return err
		}
		if err := c.end(); err != nil {
			return err
		}
	}
	return s.end()
}

func (o *orchestra) images(name string) error {
	return o.each(o.server(name, job{}), o.client(name, job{Image: true}))
}

func (o *orchestra) exits(name string) error {
	return o.each(o.server(name, job{Exit: true}), o.client(name, job{Exit: true}))
}

// between makes a pair of Unix sockets for connections that are passed.
func between() (left, right *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "left"), os.NewFile(uintptr(fds[1]), "right"), nil
}

func (o *orchestra) passedByClient(name string) error {
	left, right, err := between()
	if err != nil {
		return err
	}
	receiver, err := o.start(o.server(name, job{Role: "receive"}), seat{files: []*os.File{right}})
	if err != nil {
		return err
	}
	err = o.pair(o.server(name, job{}), seat{}, o.client(name, job{Pass: true}), seat{files: []*os.File{left}})
	return errors.Join(err, left.Close(), right.Close(), receiver.end())
}

func (o *orchestra) passedByServer(name string) error { return o.passed(name, false) }

func (o *orchestra) passedUnnamed(name string) error { return o.passed(name, true) }

func (o *orchestra) passed(name string, noAddress bool) error {
	left, right, err := between()
	if err != nil {
		return err
	}
	receiver, err := o.start(o.server(name, job{Role: "receive", Serve: "pass"}), seat{files: []*os.File{right}})
	if err != nil {
		return err
	}
	err = o.pair(o.server(name, job{Serve: "pass", NoAddress: noAddress}), seat{files: []*os.File{left}}, o.client(name, job{}), seat{})
	return errors.Join(err, left.Close(), right.Close(), receiver.end())
}

// inherited has a child accept on the listener of this process.
func (o *orchestra) inherited(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	listener := os.NewFile(uintptr(fd), "listener")
	defer listener.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.Addr().As4()}), unix.Listen(fd, 64)); err != nil {
		return err
	}
	at, err := local(fd)
	if err == nil {
		err = o.tell(name, "listen", at)
	}
	if err != nil {
		return err
	}
	return o.pair(o.server(name, job{Inherited: true, At: at}), seat{files: []*os.File{listener}}, o.client(name, job{}), seat{})
}

// workers are three processes that listen on one port.
func (o *orchestra) workers(name string) error {
	at := loopback
	var all []*player
	for i := range 3 {
		j := o.server(name, job{ReusePort: true, ServerFirst: true, At: at, First: i})
		j.N = 0
		s, err := o.start(j, seat{})
		if err != nil {
			return err
		}
		if at, err = s.address(); err != nil {
			return err
		}
		all = append(all, s)
	}
	c, err := o.start(o.client(name, job{ServerFirst: true, At: at}), seat{})
	if err != nil {
		return err
	}
	errs := []error{c.end()}
	for _, s := range all {
		errs = append(errs, s.end())
	}
	return errors.Join(errs...)
}

// paced is as many connections a second as the log must bear, of two servers.
func (o *orchestra) paced(name string) error {
	half := int(o.rate * o.seconds / 2)
	o.started += 2 * half
	var all []*player
	for i, first := range []int{0, half} {
		s, err := o.start(o.server(name, job{N: half, First: first, NoAddress: i == 1, ServerFirst: i == 1}), seat{})
		if err != nil {
			return err
		}
		at, err := s.address()
		if err != nil {
			return err
		}
		c, err := o.start(o.client(name, job{N: half, First: first, ServerFirst: i == 1, At: at, PerSecond: o.rate / 2}), seat{})
		if err != nil {
			return err
		}
		all = append(all, c, s)
	}
	var errs []error
	for _, p := range all {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}

func (o *orchestra) namespaces(name string) error {
	left, right := seat{netns: o.network.left}, seat{netns: o.network.right}
	at := netip.MustParseAddrPort(rightAddress + ":0")
	return errors.Join(
		o.pair(o.server(name, job{At: at}), right, o.client(name, job{}), left),
		o.pair(o.server(name+", UDP", job{At: at, Role: "udpserver"}), right, o.client(name+", UDP", job{Role: "udpclient"}), left))
}

func (o *orchestra) pidNamespace(name string) error {
	return o.pair(o.server(name, job{}), seat{ownPIDs: true}, o.client(name, job{}), seat{ownPIDs: true})
}

func (o *orchestra) cgroups(name string) error {
	return errors.Join(
		o.pair(o.server(name, job{Cgroup: o.cgroup}), seat{}, o.client(name, job{Cgroup: o.cgroup}), seat{}),
		o.pair(o.server(name+", UDP", job{Cgroup: o.cgroup, Role: "udpserver"}), seat{},
			o.client(name+", UDP", job{Cgroup: o.cgroup, Role: "udpclient"}), seat{}))
}

// raw is alone in its namespace: such sockets have no port that tells them apart.
func (o *orchestra) raw(name string) error {
	r, err := o.start(o.server(name, job{Role: "raw"}), seat{netns: o.network.left})
	if err != nil {
		return err
	}
	return r.end()
}

func (o *orchestra) listeners(name string) error {
	l, err := o.start(o.server(name, job{Role: "listen"}), seat{})
	if err != nil {
		return err
	}
	return l.end()
}

// refusals are connections to ports of another namespace where nobody listens.
func (o *orchestra) refusals(name string) error {
	at := netip.MustParseAddrPort(rightAddress + ":0")
	closed, err := o.start(o.server(name, job{Role: "ports", At: at}), seat{netns: o.network.right})
	if err != nil {
		return err
	}
	c, err := o.start(o.client(name, job{Role: "refused", At: at}), seat{netns: o.network.left})
	if err != nil {
		return err
	}
	for range o.n {
		port, err := closed.line()
		if err != nil {
			return err
		}
		if _, err := c.in.Write([]byte(port + "\n")); err != nil {
			return err
		}
	}
	return errors.Join(c.end(), closed.end())
}

// unanswered is attempts to connect to somebody who says nothing.
func unanswered(address string, client job) func(*orchestra, string) error {
	return func(o *orchestra, name string) error {
		client.Role, client.At = "silent", netip.AddrPortFrom(netip.MustParseAddr(address), 4000)
		c, err := o.start(o.client(name, client), seat{netns: o.network.left})
		if err != nil {
			return err
		}
		return c.end()
	}
}

// older makes sockets before the log begins; what it returns has them talk and end.
func (o *orchestra) older(name string) (func() error, error) {
	var all []*player
	s, err := o.start(o.server(name, job{Wait: true}), seat{})
	if err != nil {
		return nil, err
	}
	at, err := s.address()
	if err != nil {
		return nil, err
	}
	for i := range o.n {
		c, err := o.start(o.client(name, job{Wait: true, At: at, First: i, N: 1}), seat{})
		if err != nil {
			return nil, err
		}
		if _, err := c.line(); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if _, err := s.line(); err != nil {
		return nil, err
	}
	u, err := o.start(o.server(name+", UDP", job{Role: "udpserver", Wait: true}), seat{})
	if err != nil {
		return nil, err
	}
	udp, err := u.address()
	if err != nil {
		return nil, err
	}
	return func() error {
		sender, err := o.start(o.client(name+", UDP", job{Role: "udpclient", At: udp}), seat{})
		if err != nil {
			return err
		}
		errs := []error{sender.end(), u.end()}
		for _, c := range all {
			errs = append(errs, c.end())
		}
		return errors.Join(append(errs, s.end())...)
	}, nil
}
