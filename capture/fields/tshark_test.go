package fields

import (
	"encoding/hex"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/replay"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/packetfile"
)

// files returns the captures of the repository, or all below the directory CAPTURES.
func files(t testing.TB) (list []string) {
	t.Helper()
	if root := os.Getenv("CAPTURES"); root != "" {
		filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				list = append(list, path)
			}
			return nil
		})
		return list
	}
	for _, pattern := range []string{"../filter/testdata/corpus/packets/*.pcap", "../../commands/packetcapture/testdata/*.pcap"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s has no files: %v", pattern, err)
		}
		list = append(list, found...)
	}
	return list
}

// each calls f for every packet of a file.
func each(t testing.TB, path string, f func(number int, p *capture.Packet, on capture.Interface)) {
	t.Helper()
	r, err := packetfile.Try(t, path)
	if err != nil {
		return
	}
	for n := 1; ; n++ {
		var p capture.Packet
		if r.Next(&p) != nil {
			return
		}
		f(n, &p, r.Interface(p.Interface))
	}
}

// A pdml is an element of tshark's description of packets.
type pdml struct {
	Name   string `xml:"name,attr"`
	At     string `xml:"pos,attr"`
	Size   string `xml:"size,attr"`
	Value  string `xml:"value,attr"`
	Whole  string `xml:"unmaskedvalue,attr"`
	Protos []pdml `xml:"proto"`
	Fields []pdml `xml:"field"`
}

type place struct {
	name     string
	at, size int
}

// walk collects the places of fields.
func (p *pdml) walk(into map[place]pdml, names map[string]bool) {
	at, _ := strconv.Atoi(p.At)
	size, _ := strconv.Atoi(p.Size)
	if size > 0 && p.Name != "" {
		into[place{p.Name, at, size}] = *p
		names[p.Name] = true
	}
	for _, list := range [][]pdml{p.Protos, p.Fields} {
		for i := range list {
			list[i].walk(into, names)
		}
	}
}

// flat returns all fields of layers that have a place.
func flat(list []Layer) (all []Part) {
	for _, l := range list {
		for _, f := range l.Fields {
			all = append(append(all, f.Part), f.Fields...)
		}
	}
	return slices.DeleteFunc(all, func(p Part) bool { return p.Offset == nil })
}

// Where tshark has a field of the same name, it is at the same place, with the same bytes.
func TestPlacesAreTsharks(t *testing.T) {
	tshark := netnstest.Tool(t, "tshark")
	same, names, wrong := 0, map[string]int{}, 0
	for _, path := range files(t) {
		command := exec.Command(tshark, "-n", "-r", path, "-T", "pdml", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
			"-o", "tcp.desegment_tcp_streams:FALSE")
		out, err := command.StdoutPipe()
		if err == nil {
			err = command.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(out)
		decoder.Strict = false
		each(t, path, func(n int, p *capture.Packet, on capture.Interface) {
			theirs, known := map[place]pdml{}, map[string]bool{}
			for {
				token, err := decoder.Token()
				if err != nil {
					return
				}
				if start, is := token.(xml.StartElement); is && start.Name.Local == "packet" {
					var packet pdml
					if err := decoder.DecodeElement(&packet, &start); err != nil {
						t.Fatalf("%s, packet %d: %v", path, n, err)
					}
					packet.walk(theirs, known)
					break
				}
			}
			for _, f := range flat(Locate(p, on.LinkType)) {
				at := place{f.Name, *f.Offset, f.Length}
				// Frames of 802.11 that hold several are not taken apart here.
				if !known[f.Name] || on.LinkType != capture.Ethernet && strings.HasPrefix(f.Name, "llc.") {
					continue
				}
				found, is := theirs[at]
				if value := found.Value; is && found.Whole != "" {
					found.Value = found.Whole
				} else if is && len(value) != 2*f.Length {
					found.Value = ""
				}
				if bytes := hex.EncodeToString(p.Data[*f.Offset : *f.Offset+f.Length]); !is || found.Value != "" && found.Value != bytes {
					if wrong++; wrong < 40 {
						t.Errorf("%s, packet %d: %s is %q at %d, %d bytes (%s), tshark: %v", path, n, f.Name, f.Value, *f.Offset, f.Length, bytes, placesOf(theirs, f.Name))
					}
					continue
				}
				same++
				names[f.Name]++
			}
		})
		command.Process.Kill()
		command.Wait()
	}
	var list []string
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	t.Logf("%d fields of %d names agree: %s", same, len(names), strings.Join(list, " "))
	if os.Getenv("CAPTURES") == "" && (same < 10_000 || len(names) < 80) {
		t.Errorf("only %d fields of %d names were compared", same, len(names))
	}
}

func placesOf(theirs map[place]pdml, name string) (list []place) {
	for p := range theirs {
		if p.name == name {
			list = append(list, p)
		}
	}
	return list
}

// Every filter that a field offers compiles for the packet's link, and selects the packet.
func TestFiltersSelectTheirPacket(t *testing.T) {
	programs := map[string]*replay.Filter{}
	tried := 0
	for _, path := range files(t) {
		each(t, path, func(n int, p *capture.Packet, on capture.Interface) {
			list := Locate(p, on.LinkType)
			var filters []string
			for _, l := range list {
				filters = append(filters, l.Filter)
			}
			for _, f := range flat(list) {
				filters = append(filters, f.Filter)
			}
			for _, text := range filters {
				if text == "" {
					continue
				}
				f := programs[text]
				if f == nil {
					var err error
					f, err = replay.NewFilter(t.Context(), text, filter.SystemNames(), func(capture.Interface) uint32 { return 0 })
					if err != nil {
						t.Errorf("%s, packet %d: %s: %v", path, n, text, err)
						continue
					}
					programs[text] = f
				}
				if tried++; !f.Match(p, on) {
					t.Errorf("%s, packet %d: %q does not select it (%v)", path, n, text, f.Fault(nil, false))
				}
			}
		})
	}
	if tried < 5000 {
		t.Errorf("only %d filters were tried", tried)
	}
	t.Logf("%d filters", tried)
}

// FuzzLocate: whatever a packet is, fields are within it.
func FuzzLocate(f *testing.F) {
	for _, path := range files(f) {
		each(f, path, func(n int, p *capture.Packet, on capture.Interface) {
			if n%10 == 1 {
				f.Add(uint16(on.LinkType), uint16(0), p.Data)
			}
		})
	}
	f.Fuzz(func(t *testing.T, link, more uint16, data []byte) {
		list := Locate(&capture.Packet{Data: data, Length: uint32(len(data)) + uint32(more)}, capture.LinkType(link))
		for _, l := range list {
			if l.Offset != nil && *l.Offset+l.Length > len(data) {
				t.Errorf("%s is at %d, %d bytes, of %d", l.Name, *l.Offset, l.Length, len(data))
			}
		}
		for _, field := range flat(list) {
			if *field.Offset < 0 || *field.Offset+field.Length > len(data) {
				t.Errorf("%s is at %d, %d bytes, of %d", field.Name, *field.Offset, field.Length, len(data))
			}
		}
	})
}
