package azure

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// traffic returns frames on and beside every bound of the sources' filters, in both directions, each of
// them another one, in an order that the seed decides.
func traffic(seed uint64) (frames [][]byte) {
	number := uint32(seed) << 16
	add := func(f func(uint32) []byte) {
		number++
		frames = append(frames, f(number))
	}
	locals := []string{"10.0.0.3", "10.0.0.4", "2001:db8::3"}
	remotes := []string{"1.1.1.0", "1.1.1.1", "8.8.8.8", "255.255.255.254", "2001:db8::7"}
	for _, local := range locals {
		for _, remote := range remotes {
			here, there := netip.MustParseAddr(local), netip.MustParseAddr(remote)
			if here.Is4() != there.Is4() {
				continue
			}
			for _, localPort := range []uint16{1, 40000, 65535} {
				for _, remotePort := range []uint16{20, 21, 80, 443, 444} {
					l, r := netip.AddrPortFrom(here, localPort), netip.AddrPortFrom(there, remotePort)
					for _, protocol := range []string{"TCP", "UDP"} {
						add(func(n uint32) []byte { return packet(protocol, l, r, n) })
						add(func(n uint32) []byte { return packet(protocol, r, l, n) })
					}
				}
			}
		}
	}
	for range 20 {
		add(echo)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
	return frames
}

// framesOf reads the packets of a capture file, pcap or pcapng in the order of bytes of this machine,
// whose interfaces are Ethernet.
func framesOf(t testing.TB, file []byte) (frames [][]byte) {
	t.Helper()
	order := binary.LittleEndian
	if len(file) < 24 {
		t.Fatalf("a capture file of %d bytes", len(file))
	}
	switch order.Uint32(file) {
	case 0xa1b2c3d4, 0xa1b23c4d: // draft-ietf-opsawg-pcap
		if link := order.Uint32(file[20:]); link&0xffff != 1 {
			t.Fatalf("the link type is %d", link)
		}
		for rest := file[24:]; len(rest) > 0; {
			length := 16 + int(order.Uint32(rest[8:]))
			frames = append(frames, rest[16:length])
			rest = rest[length:]
		}
	case 0x0a0d0d0a: // draft-ietf-opsawg-pcapng
		for rest := file; len(rest) > 0; {
			length := int(order.Uint32(rest[4:]))
			switch order.Uint32(rest) {
			case 1:
				if link := order.Uint16(rest[8:]); link != 1 {
					t.Fatalf("the link type of an interface is %d", link)
				}
			case 6:
				frames = append(frames, rest[28:28+order.Uint32(rest[20:])])
			}
			rest = rest[length:]
		}
	default:
		t.Fatalf("no capture file: %x", file[:4])
	}
	return frames
}

// exactly checks that a file of a capture has the frames that match its filters, each as often as there
// are interfaces that it went by, and nothing else. It returns how many frames match.
func exactly(t *testing.T, file []byte, filters []filter, sent [][]byte) int {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, f := range sent {
		if matches(filters, f) {
			want[hex.EncodeToString(f)] += interfaces
		}
	}
	for _, f := range framesOf(t, file) {
		got[hex.EncodeToString(f)]++
	}
	if maps.Equal(want, got) {
		return len(want)
	}
	t.Errorf("%+v: %d different frames, not %d", filters, len(got), len(want))
	shown := 0
	for _, f := range slices.Sorted(maps.Keys(union(want, got))) {
		if want[f] != got[f] && shown < 10 {
			shown++
			text, _ := hex.DecodeString(f)
			e, _ := endsOf(text)
			t.Errorf("%s from %s to %s is there %d times, not %d", e.protocol, e.from, e.to, got[f], want[f])
		}
	}
	return len(want)
}

func union(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
