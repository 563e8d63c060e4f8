package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A network is two namespaces with a cable between them. The left one believes that nobodyAddress
// is at the right one's end, which knows nothing of it and says nothing.
type network struct{ left, right int }

const (
	leftAddress   = "10.79.0.1"
	rightAddress  = "10.79.0.2"
	nobodyAddress = "10.79.0.3"
	absentAddress = "10.79.0.4" // no neighbour answers for it
)

func newNetwork(left, right string) (*network, error) {
	n := &network{}
	for fd, path := range map[*int]string{&n.left: left, &n.right: right} {
		err := onThread(func() (err error) {
			if path == "" {
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					return os.NewSyscallError("unshare", err)
				}
				path = "/proc/thread-self/ns/net"
			}
			*fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return os.NewSyscallError("open", err)
		})
		if err != nil {
			return nil, err
		}
	}
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "left"}, PeerName: "right",
		PeerNamespace: netlink.NsFd(n.right)}
	return n, errors.Join(
		n.inside(n.left, func() error { return netlink.LinkAdd(cable) }),
		n.inside(n.right, func() error { return raise("right", rightAddress) }),
		n.inside(n.left, func() error { return raise("left", leftAddress) }),
		n.inside(n.left, n.believe))
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// inside runs f in a namespace: processes that f starts are in it.
func (n *network) inside(namespace int, f func() error) error {
	if namespace == 0 {
		return f()
	}
	return onThread(func() error {
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return f()
	})
}

func raise(name, address string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address + "/24")
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetUp(l), netlink.AddrAdd(l, a))
}

// believe waits until the cable carries packets, and enters the neighbour that does not exist.
func (n *network) believe() error {
	news, over := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(over)
	if err := netlink.LinkSubscribe(news, over); err != nil {
		return err
	}
	l, err := netlink.LinkByName("left")
	if err != nil {
		return err
	}
	late := time.After(10 * time.Second)
	for l.Attrs().OperState != netlink.OperUp {
		select {
		case u, ok := <-news:
			if !ok {
				return errors.New("the kernel tells no more of its links")
			}
			if u.Attrs().Index == l.Attrs().Index {
				l = u.Link
			}
		case <-late:
			return errors.New("the veth pair does not come up")
		}
	}
	return netlink.NeighAdd(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: net.ParseIP(nobodyAddress), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}})
}

// newCgroup makes a cgroup below the one that this process is in.
func newCgroup() (string, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); strings.Contains(lines.Text(), " - cgroup2 ") && len(fields) > 4 {
			dir := filepath.Join(fields[4], fmt.Sprintf("portload-%d", os.Getpid()))
			return dir, os.Mkdir(dir, 0o755)
		}
	}
	return "", errors.New("there is no cgroup v2")
}
