package beside

import (
	"context"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// addresses reads which addresses are local to the network namespace of the thread that opened it.
type addresses struct {
	conn *netlink.Conn
	last []netip.Prefix
}

func openAddresses() (*addresses, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &addresses{conn: conn}, nil
}

func (a *addresses) close() { a.conn.Close() }

// look returns the addresses, and whether they are others than at the last look. Where the kernel
// does not answer they stay as they were.
func (a *addresses) look() (list []netip.Prefix, changed bool) {
	const head = 8 // struct ifaddrmsg: family, length of the prefix, flags, scope, index
	err := a.conn.Dump(context.Background(), unix.RTM_GETADDR, make([]byte, head), func(kind uint16, body []byte) error {
		if kind != unix.RTM_NEWADDR || len(body) < head {
			return nil
		}
		var one netip.Addr
		netlink.Attributes(body[head:], func(kind uint16, value []byte) {
			// IFA_ADDRESS is the far end where IFA_LOCAL is given too.
			if given, ok := netip.AddrFromSlice(value); ok && (kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS && !one.IsValid()) {
				one = given
			}
		})
		switch {
		case !one.IsValid():
		case one.Is4() && one.IsLoopback(): // the whole network is local
			list = append(list, netip.PrefixFrom(one, int(body[1])).Masked())
		default:
			list = append(list, netip.PrefixFrom(one, one.BitLen()))
		}
		return nil
	})
	if err != nil || slices.Equal(list, a.last) {
		return a.last, false
	}
	a.last = list
	return list, true
}
