package netstat_test

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata",
		map[string]transcript.Scene{"altnames": {Setup: altname}, "sockets": {Setup: otherSockets},
			"firewall": {Setup: rules}})
}

// rules gives the firewall rules.
func rules(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		nft := exec.Command(netnstest.Tool(t, "nft"), "-f", "-")
		nft.Stdin = strings.NewReader(`table inet filter {
	set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 203.0.113.1-203.0.113.9 } }
	chain input {
		type filter hook input priority 0; policy accept;
		ct state established,related accept
		iifname "eth1" ip saddr @blocked counter drop comment "guests"
		tcp dport { 12, 13 } reject with tcp reset
	}
}
table ip old {
	flags dormant
	chain output { type filter hook output priority 0; policy drop; }
}
`)
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	})
}

// altname gives eth1 another name beside its own.
func altname(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		if out, err := exec.Command(netnstest.Tool(t, "ip"), "link", "property", "add", "dev", "eth1", "altname",
			"enxontheothersideofit").CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	})
}

// otherSockets opens sockets of kinds without ports.
func otherSockets(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		open := func(family, kind, protocol int, address unix.Sockaddr) int {
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
			if address != nil {
				if err := unix.Bind(fd, address); err != nil {
					t.Fatal(err)
				}
			}
			return fd
		}
		open(unix.AF_INET, unix.SOCK_RAW, 89, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		open(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, nil)
		const experimental = 0xb588 // EtherType 0x88b5 in the order of the network: nobody sends it here
		open(unix.AF_PACKET, unix.SOCK_DGRAM, 0, &unix.SockaddrLinklayer{Protocol: experimental, Ifindex: 1})
		open(unix.AF_PACKET, unix.SOCK_RAW, 0, nil)
		ring := open(unix.AF_PACKET, unix.SOCK_RAW, 0, nil)
		if err := unix.SetsockoptTpacketReq(ring, unix.SOL_PACKET, unix.PACKET_RX_RING,
			&unix.TpacketReq{Block_size: 4096, Block_nr: 1, Frame_size: 2048, Frame_nr: 2}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(ring, &unix.SockaddrLinklayer{Protocol: 0x608 /* ARP */, Ifindex: 1}); err != nil {
			t.Fatal(err)
		}
	})
}
