package process_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/test/await"
)

// TestPassedSockets: a socket that another process passes to it (SCM_RIGHTS) is its own from the first
// packet on that it sends, and the other one's again from the first on that that one sends.
func TestPassedSockets(t *testing.T) {
	for _, kind := range []struct{ name, make, to string }{
		{"TCP", "s = tcp(('%s', 7000))", farAddress},
		{"TCP on the loopback interface", "s = tcp(('%s', 7100))", "127.0.0.1"},
		{"TCP by IPv6", "s = tcp(('%s', 7002), AF_INET6)", farAddress6},
		{"UDP, connected", "s = udp(); s.connect(('%s', 7001))", farAddress},
		{"UDP by IPv6, connected", "s = udp(family=AF_INET6); s.connect(('%s', 7003))", farAddress6},
	} {
		t.Run(kind.name, func(t *testing.T) {
			b := newBed(t)
			_, other := b.start()
			giver, taker := b.peer(b.near, b.python), b.peer(b.near, b.wanted)
			path := filepath.Join(t.TempDir(), "pass")
			giver.do("u = socket(AF_UNIX, SOCK_DGRAM)")
			taker.do("u = socket(AF_UNIX, SOCK_DGRAM); u.bind('%s')", path)
			all := b.record("", "lo", "net0")
			some := b.record(wanted, "lo", "net0")
			stop := noise(other)
			giver.do(kind.make+"; s.settimeout(20)", kind.to)
			giver.do("s.send(b'b' * 500); s.recv(9999)")
			giver.do("u.connect('%s'); send_fds(u, [b'-'], [s.fileno()])", path)
			taker.do("_, fds, _, _ = recv_fds(u, 9, 1); t = socket(fileno=fds[0]); t.settimeout(20)")
			taker.do("t.send(b't' * 500)")
			taker.do("t.recv(9999)")
			giver.do("s.send(b'g' * 500)")
			giver.do("s.recv(9999)")
			taker.do("t.send(b'u' * 500)")
			taker.do("t.recv(9999)")
			giver.do("s.close()")
			taker.do("t.close()")
			stop()
			every, its := all.stop(), some.stop()
			for _, letter := range "btgu" {
				mine := letter == 't' || letter == 'u'
				sent, taken := count(every, letter), count(its, letter)
				if sent < 2 { // it is echoed
					t.Errorf("%d packets have %c's", sent, letter)
				}
				if mine && taken != sent || !mine && taken != 0 {
					t.Errorf("of %d packets with %c's, %d are taken", sent, letter, taken)
				}
			}
		})
	}
}

// count returns how many packets have data of a letter.
func count(packets []packet, letter rune) (n int) {
	for _, p := range packets {
		if strings.Contains(p.data, strings.Repeat(string(letter), 400)) {
			n++
		}
	}
	return n
}

// TestLastPackets: what a process that is killed leaves to the kernel to send is its own, though it is
// no process any more.
func TestLastPackets(t *testing.T) {
	b := newBed(t)
	_, other := b.start()
	p := b.peer(b.near, b.wanted)
	o := owner{}
	all := b.record("", "lo", "net0")
	some := b.record(wanted, "lo", "net0")
	stop := noise(other)
	o.add("tcp", p.do("s = tcp(('%s', 7000)); answer = port(s); s.sendall(b'x'); s.recv(9)", farAddress)...)
	p.command.Process.Kill()
	p.command.Wait()
	await.Until(t, "the other end closes too", func() bool {
		var list []byte
		b.near.Do(t, func() { list, _ = exec.Command("ss", "-Htn", "state", "time-wait", "dport", "=", ":7000").Output() })
		return len(list) > 0
	})
	stop()
	compare(t, all.stop(), some.stop(), o)
}
