package drops

import (
	"strings"
	"testing"

	"diagsh/assets"
	"diagsh/internal/bpf"
)

func TestReasonsHaveTheKernelsNames(t *testing.T) {
	r := reasons{
		core:       map[uint64]string{2: "SKB_DROP_REASON_NOT_SPECIFIED", 12: "SKB_DROP_REASON_NETFILTER_DROP"},
		subsystems: map[uint64]string{0: "SKB_DROP_REASON_SUBSYS_CORE", 2: "SKB_DROP_REASON_SUBSYS_OPENVSWITCH"},
	}
	for value, want := range map[uint32]string{12: "NETFILTER_DROP", 2<<16 | 5: "OPENVSWITCH_5", 99: "99", 7<<16 | 1: "458753"} {
		if got := r.name(value); got != want {
			t.Errorf("%#x is %s, not %s", value, got, want)
		}
	}
	for name, has := range map[string]bool{"NETFILTER_DROP": true, "netfilter_drop": true, "OPENVSWITCH_9": true, "99": true,
		"NETFILTER_DROPS": false, "OPENVSWITCH_": false, "OPENVSWITCH_X": false, "OTHERS_9": false, "": false} {
		if r.has(name) != has {
			t.Errorf("%q: %v", name, !has)
		}
	}
	if !r.few() {
		t.Error("two reasons are not few")
	}
}

func TestPlaces(t *testing.T) {
	asked := 0
	p := places{known: map[uint64]string{}, named: func(site uint64) []byte {
		asked++
		return map[uint64][]byte{1: []byte("tcp_v4_rcv\x00\x00"), 2: []byte("nft_do_chain.isra.0 [nf_tables]\x00"), 3: []byte("0xffffffff81000000\x00")}[site]
	}}
	for range 2 {
		for site, want := range map[uint64]string{1: "tcp_v4_rcv", 2: "nft_do_chain", 3: "", 4: ""} {
			if got := p.name(site); got != want {
				t.Errorf("%d is in %q, not %q", site, got, want)
			}
		}
	}
	if asked != 3+2 { // what the kernel has not named yet is asked for again
		t.Errorf("the kernel was asked %d times", asked)
	}
}

func TestNoise(t *testing.T) {
	for _, c := range []struct {
		where Where
		noise bool
	}{
		{Where{Reason: "NO_SOCKET", Place: "tcp_v4_rcv", EtherType: 0x800}, false},
		{Where{Reason: "NO_SOCKET", Place: "ping_rcv", EtherType: 0x800}, true},
		{Where{Reason: "NO_SOCKET", Place: "tcp_v4_rcv"}, true}, // of no packet
		{Where{Reason: "PACKET_SOCK_ERROR", Place: "packet_rcv", EtherType: 0x800}, true},
		{Where{Reason: "OTHERHOST", Place: "ip_rcv", EtherType: 0x800}, true},
		{Where{Reason: "SOCKET_FILTER", Place: "raw_rcv", EtherType: 0x800}, true},
		{Where{Reason: "SOCKET_FILTER", Place: "sk_filter_trim_cap", EtherType: 0x800}, false},
		{Where{Reason: "TCP_OLD_DATA", Place: "tcp_data_queue", EtherType: 0x800}, true},
		{Where{Reason: "NOT_SPECIFIED", Place: "skb_release_data", EtherType: 0x800}, true},
		{Where{Reason: "QUEUE_PURGE", Place: "x", EtherType: 0x800}, true},
		{Where{Reason: "NOT_SPECIFIED", Place: "inet_sock_destruct", EtherType: 0x800}, true},
		{Where{Reason: "NOT_SPECIFIED", Place: "ip_rcv_finish_core", EtherType: 0x800}, false},
		{Where{Reason: "NOT_SPECIFIED", EtherType: 0x800}, false}, // whose place is not known
	} {
		if isNoise(c.where) != c.noise {
			t.Errorf("%+v", c.where)
		}
	}
}

// meanings parses the catalogue.
func meanings(t *testing.T) Meanings {
	t.Helper()
	m, err := ParseMeanings(assets.DropReasons)
	if err != nil || len(m) < 50 {
		t.Fatal(len(m), err)
	}
	return m
}

func TestMeanings(t *testing.T) {
	m := meanings(t)
	for reason, sentence := range m {
		if !strings.HasSuffix(sentence, ".") && !strings.HasSuffix(sentence, ")") {
			t.Errorf("%s: %q is no sentence", reason, sentence)
		}
	}
	for _, text := range []string{"NO_SOCKET", "A one.\nA two."} {
		if _, err := ParseMeanings(text); err == nil {
			t.Errorf("%q is a catalogue", text)
		}
	}
}

// Of the reasons that this kernel has most are in the catalogue, or most of the catalogue's are those of
// this kernel: which there are differs from version to version.
func TestMeaningsAreOfTheKernel(t *testing.T) {
	d, err := bpf.Describe()
	if err != nil {
		t.Fatal(err)
	}
	known, err := readReasons(d)
	if err != nil {
		t.Fatal(err)
	}
	m, names := meanings(t), map[string]bool{}
	for value := range known.core {
		names[known.name(uint32(value))] = true
	}
	both := 0
	for name := range names {
		if m[name] != "" {
			both++
		}
	}
	if fewer := min(len(m), len(names)); both < fewer*4/5 {
		t.Errorf("of %d reasons of the catalogue and %d of the kernel %d are the same", len(m), len(names), both)
	}
}
