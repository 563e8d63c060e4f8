package ping

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/source"
)

// A Step is one size that FindMTU tried.
type Step struct {
	Size     int // of the packet with its headers
	Answered bool
	Router   netip.Addr // the router that reported the packet as too big, if any
	MTU      int        // of the next hop, as the router says
}

// A PathMTU is the result of FindMTU.
type PathMTU struct {
	MTU       int  // the largest packet that was answered; 0 if none was
	Link      int  // the MTU of the outgoing interface
	BlackHole bool // a larger packet vanished and no router said why (RFC 2923)
}

// Each size is sent three times at once, so that one lost packet does not look like one too big.
const (
	tries    = 3
	tryEvery = 30 * time.Millisecond
	tryLeast = 300 * time.Millisecond
	tryMost  = 2 * time.Second
)

// FindMTU searches for the largest packet that reaches the target in one piece. A router's report
// decides which size to try next; an answer confirms it. Silence may be a short slowness of the
// path. So the smallest unanswered size is sent once more with a longer wait before it counts.
func FindMTU(ctx context.Context, o Options, each func(Step) error) (PathMTU, error) {
	// Every IPv4 link carries 68 bytes (RFC 791). IPv6 links carry 1280 (RFC 8200), but a broken
	// path may not.
	headers, least := 20+icmpHeader, 68
	if o.Target.Is6() {
		headers = 40 + icmpHeader
	}
	var found PathMTU
	var err error
	if found.Link, err = linkMTU(o.Target, o.Source); err != nil {
		return found, err
	}
	o.Count, o.Fragments, o.Interval, o.Wait = tries, Forbidden, tryEvery, tryMost
	top := min(found.Link, headers+MaxSize)
	works, fails := 0, top+1
	said := 0  // what a router reported as the MTU of the next hop
	again := 0 // the size that is repeated because it was not answered
	for size := min(least, top); fails-works > 1 || again != 0; {
		o.Size = size - headers
		step, slowest, err := try(ctx, o)
		if err != nil {
			return found, err
		}
		step.Size = size
		if err := each(step); err != nil {
			return found, err
		}
		switch {
		case step.Answered:
			if works, found.MTU = size, size; size == again {
				// earlier silence about larger sizes does not count either
				fails, found.BlackHole = top+1, false
			}
			o.Wait = min(max(4*slowest, tryLeast), tryMost)
		case works == 0:
			return found, nil // not even the smallest was answered: nothing is known
		default:
			fails = size
			found.BlackHole = !step.Router.IsValid() && step.MTU == 0
		}
		if step.MTU > 0 {
			said = step.MTU
		}
		confirmed := again
		again = 0
		switch {
		case works == said:
			return found, ctx.Err()
		case fails-works == 1 && found.BlackHole && confirmed != fails:
			again, size, o.Wait = fails, fails, tryMost
		case works == min(least, top) && fails == top+1:
			size = top
		case step.MTU > works && step.MTU < fails:
			size = step.MTU
		default:
			size = works + (fails-works)/2
		}
	}
	return found, ctx.Err()
}

// try sends packets of one size. slowest is the time of the slowest answer.
func try(ctx context.Context, o Options) (s Step, slowest time.Duration, err error) {
	ctx, decided := context.WithCancel(ctx)
	defer decided()
	stats, err := Run(ctx, o, func(a Answer) error {
		switch {
		case a.Error == nil:
			s.Answered = true
			decided()
		case a.Error.MTU > 0:
			s.Router, s.MTU = a.From, a.Error.MTU
			decided()
		}
		return nil
	})
	var tooBig *TooBigError
	if errors.As(err, &tooBig) {
		s.MTU, err = tooBig.MTU, nil
	}
	return s, stats.Max, err
}

// A TooBigError reports that the kernel did not send a request: its path MTU is smaller, as it
// remembers what routers said (ip(7), IP_MTU_DISCOVER).
type TooBigError struct {
	MTU int // of the path
	err error
}

func (e *TooBigError) Error() string { return e.err.Error() }

// Unwrap returns the kernel's error, EMSGSIZE.
func (e *TooBigError) Unwrap() error { return e.err }

// tooBig converts EMSGSIZE to a TooBigError and returns other errors unchanged.
func tooBig(err error, o Options) error {
	if !errors.Is(err, syscall.EMSGSIZE) {
		return err
	}
	mtu, failed := pathMTU(o.Target, o.Source)
	if failed != nil {
		return err
	}
	return &TooBigError{mtu, err}
}

// linkMTU returns the MTU of the interface that packets to the target leave by. For an address of
// this host that is the loopback interface, whichever interface has the address.
func linkMTU(target netip.Addr, from source.Source) (int, error) {
	if _, err := holder(target); err == nil {
		return loopbackMTU()
	}
	name := from.Interface
	if name == "" {
		c, err := from.Dialer(0, "udp").Dial("udp", netip.AddrPortFrom(target, 9).String())
		if err != nil {
			return 0, err
		}
		defer c.Close()
		local, _ := netip.AddrFromSlice(c.LocalAddr().(*net.UDPAddr).IP)
		if name, err = holder(local.Unmap()); err != nil {
			return 0, err
		}
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.MTU, nil
}

func loopbackMTU() (int, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.MTU, nil
		}
	}
	return 0, syscall.EADDRNOTAVAIL
}

// holder returns the interface that has the address.
func holder(a netip.Addr) (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, i := range all {
		addresses, _ := i.Addrs()
		for _, n := range addresses {
			if own, ok := n.(*net.IPNet); ok {
				if ip, _ := netip.AddrFromSlice(own.IP); ip.Unmap() == a.WithZone("") {
					return i.Name, nil
				}
			}
		}
	}
	return "", syscall.EADDRNOTAVAIL
}

// pathMTU returns the path MTU that the kernel remembers.
func pathMTU(target netip.Addr, from source.Source) (int, error) {
	c, err := from.Dialer(0, "udp").Dial("udp", netip.AddrPortFrom(target, 9).String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var mtu int
	failed := raw.Control(func(fd uintptr) {
		if target.Is6() {
			mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU)
		} else {
			mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU)
		}
	})
	return mtu, errors.Join(failed, err)
}
