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

// A Step is one size that the search for the path MTU tried.
type Step struct {
	Size     int // of the packet, its headers counted
	Answered bool
	Router   netip.Addr // that said that the packet is too big; invalid if nobody did
	MTU      int        // of the hop behind it, as the router says
}

// A PathMTU is what the search found.
type PathMTU struct {
	MTU       int  // the largest packet that was answered; 0 if none was
	Link      int  // the MTU of the interface that the packets leave by
	BlackHole bool // a larger packet vanished and no router said why (RFC 2923)
}

// The search asks for each size three times at once, so that one lost packet does not pass for a packet too big.
const (
	tries    = 3
	tryEvery = 30 * time.Millisecond
	tryLeast = 300 * time.Millisecond
	tryMost  = 2 * time.Second
)

// FindMTU searches for the size of the largest packet that reaches the target in one piece. A router's word says which size to try next; that
// it is true is seen by an answer. Silence may be a path that was slow for a moment: the smallest packet that nobody answered is sent once
// more, and waited for longer, before it counts.
func FindMTU(ctx context.Context, o Options, each func(Step) error) (PathMTU, error) {
	// RFC 791: every link carries 68 bytes. Those of IPv6 carry 1280 (RFC 8200), which is what a path that is broken may not.
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
	said := 0  // the MTU of which a router says that it is the next hop's
	again := 0 // the size that is tried again because nobody answered
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
				fails, found.BlackHole = top+1, false // what was larger and silent counts for nothing either
			}
			o.Wait = min(max(4*slowest, tryLeast), tryMost)
		case works == 0:
			return found, nil // not even the smallest: nothing is known
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

// A TooBigError says that the kernel did not send a request, because what it knows of the path does not carry it in one piece: it remembers
// what routers said (ip(7), IP_MTU_DISCOVER).
type TooBigError struct {
	MTU int // of the path
	err error
}

func (e *TooBigError) Error() string { return e.err.Error() }

// Unwrap is the kernel's refusal, EMSGSIZE.
func (e *TooBigError) Unwrap() error { return e.err }

// tooBig makes a refusal of the kernel a TooBigError where it is one.
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

// linkMTU is the MTU of the interface by which packets to the target leave. To an address of this host that is the loopback one, whichever
// has the address.
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

// holder is the interface that has an address.
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

// pathMTU is what the kernel believes the path's MTU to be.
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
