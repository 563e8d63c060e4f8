package peers_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

func TestUDPSocketsEqualSSAndLsof(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss", "lsof")
	b.ns.Do(t, func() {
		for _, network := range []string{"udp4", "udp6"} {
			for range 500 {
				c, err := net.ListenPacket(network, map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"}[network])
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				d, err := net.Dial(network, c.LocalAddr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
			}
		}
	})
	const line = "netstat sockets numeric yes processes yes protocol udp"
	stop := b.churnUDP()
	var mine []string
	before := b.ss("udp", "-uanpH")
	rows := ours[socketRow](b, line)
	after := b.ss("udp", "-uanpH")
	for _, r := range rows {
		mine = append(mine, r.canonical())
	}
	if len(mine) < 2000 {
		t.Errorf("%d sockets, not 2000 and more", len(mine))
	}
	compare(t, count(before), count(mine), count(after), func(row string) bool { return strings.Contains(row, churnAddress) })
	if n := stop(); n < 20 {
		t.Errorf("only %d sockets came and went", n)
	}

	// At rest: lsof reads /proc/net/udp in pieces, and misses sockets when others go between two of
	// them.
	peer := count(b.lsofUDP())
	rows, mine = ours[socketRow](b, line), nil
	for _, r := range rows {
		mine = append(mine, r.likeLsof())
	}
	compare(t, peer, count(mine), peer, never)
}

// likeLsof is a socket in the words of lsof -FpcLtn.
func (r socketRow) likeLsof() string {
	kind, bracket := "IPv4", func(a string) string { return a }
	if !strings.HasSuffix(r.Protocol, "4") {
		kind, bracket = "IPv6", func(a string) string { return "[" + a + "]" }
	}
	name := fmt.Sprintf("%s:%d", bracket(r.LocalAddress), r.LocalPort)
	if r.RemotePort != 0 {
		name += fmt.Sprintf("->%s:%d", bracket(r.RemoteAddress), r.RemotePort)
	}
	return row(r.Process, r.PID, r.User, kind, "UDP", name)
}

// churnAddress is where sockets come and go.
const churnAddress = "127.0.0.99"

// churnUDP opens and closes sockets as fast as it can until the function that it returns is called.
func (b *bed) churnUDP() (stop func() int) {
	b.t.Helper()
	end, ready, made := make(chan struct{}), make(chan struct{}), 0
	var done sync.WaitGroup
	done.Go(func() {
		b.ns.Do(b.t, func() {
			for {
				var open []net.PacketConn
				for range 20 {
					if c, err := net.ListenPacket("udp4", churnAddress+":0"); err == nil {
						open = append(open, c)
					}
				}
				if made == 0 {
					close(ready)
				}
				for _, c := range open {
					made++
					c.Close()
				}
				select {
				case <-end:
					return
				default:
				}
			}
		})
	})
	<-ready
	return func() int { close(end); done.Wait(); return made }
}
