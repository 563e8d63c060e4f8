package process_test

import "testing"

// TestSharedPorts: a datagram for a socket of another process at the same port, which is bound to one
// address or connected, is not captured: one for all that are bound to any is, and one to a group.
func TestSharedPorts(t *testing.T) {
	for _, before := range []bool{false, true} {
		b := newBed(t)
		far, other, own := b.peer(b.far, b.python), b.peer(b.near, b.python), b.peer(b.near, b.wanted)
		var all, some *recording
		record := func() {
			all, some = b.record("", "net0"), b.record(wanted, "net0")
		}
		if !before {
			record()
		}
		for _, p := range []*peer{other, own} {
			p.do(`def shared(at):\n    s = socket(AF_INET, SOCK_DGRAM); s.settimeout(20); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); s.bind(at); return s`)
		}
		own.do("a = shared(('', 7500)); c = shared(('%s', 7501)); g = shared(('', 7502))", nearAddress)
		other.do("a = shared(('%s', 7500)); c = shared(('%[1]s', 7501)); c.connect(('%s', 7600)); g = shared(('224.0.0.99', 7502))", nearAddress, farAddress)
		for _, p := range []*peer{other, own} {
			p.do("g.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, inet_aton('224.0.0.99') + inet_aton('%s'))", nearAddress)
		}
		if before {
			record()
		}
		far.do("s = udp(('%s', 7600)); o = udp(('%[1]s', 7601)); o.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, inet_aton('%[1]s'))", farAddress)
		far.do("o.sendto(b'a' * 500, ('%s', 7500)); s.sendto(b'c' * 500, ('%[1]s', 7501))", nearAddress)
		other.do("a.recv(999); c.recv(999)")
		far.do("o.sendto(b'g' * 500, ('224.0.0.99', 7502)); o.sendto(b'm' * 500, ('%s', 7501))", nearAddress)
		other.do("g.recv(999)")
		own.do("g.recv(999); c.recv(999)")
		other.do("a.close(); c.close()")
		far.do("o.sendto(b'n' * 500, ('%s', 7500)); s.sendto(b'o' * 500, ('%[1]s', 7501))", nearAddress)
		own.do("a.recv(999); c.recv(999)")
		every, its := all.stop(), some.stop()
		for letter, want := range map[rune]int{'a': 0, 'c': 0, 'g': 1, 'm': 1, 'n': 1, 'o': 1} {
			if sent, taken := count(every, letter), count(its, letter); sent != 1 || taken != want {
				t.Errorf("before the capture %t: of %d packets with %c's %d are taken, not %d", before, sent, letter, taken, want)
			}
		}
	}
}
