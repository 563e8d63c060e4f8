package headers

import (
	"bytes"
	"path/filepath"
	"testing"

	"golang.org/x/net/bpf"

	"diagsh/capture"
	"diagsh/internal/test/packetfile"
)

// Only keeps what a capture of headers would have kept, and nothing that its contents could be in.
func TestOnlyIsWhatACaptureOfHeadersKeeps(t *testing.T) {
	paths, err := filepath.Glob("../filter/testdata/corpus/packets/*.pcap")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	compared, cut := 0, 0
	for _, path := range paths {
		r := packetfile.Open(t, path)
		for n := 1; ; n++ {
			var p capture.Packet
			if r.Next(&p) != nil {
				break
			}
			link := r.Interface(0).LinkType
			only := Only(p.Data, link)
			if !bytes.HasPrefix(p.Data, only) {
				t.Fatalf("%s, packet %d: it is not its beginning", path, n)
			}
			// Whatever the link is, nothing of the payload of TCP and UDP is left. A header that the
			// packet ends in is kept as it is.
			var reader Reader
			var h Headers
			reader.Read(&h, &p, link)
			if len(h.Data) >= 8 && bytes.Contains(only, h.Data) {
				t.Errorf("%s, packet %d: %d bytes are left, and they have the payload %x", path, n, len(only), h.Data)
			}
			if len(only) < len(p.Data) {
				cut++
			}
			if link != capture.Ethernet && link != capture.Raw {
				continue
			}
			var program []bpf.Instruction
			for _, in := range Cut(nil, link, 0) {
				program = append(program, in.Disassemble())
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := vm.Run(p.Data)
			if err != nil {
				t.Fatal(err)
			}
			if want := min(kept, len(p.Data)); len(only) > want {
				t.Errorf("%s, packet %d: %d bytes are left, a capture of headers keeps %d", path, n, len(only), want)
			} else if len(only) == want {
				compared++
			}
		}
	}
	if compared < 1000 || cut < 1000 {
		t.Errorf("%d packets were compared, %d cut", compared, cut)
	}
}
