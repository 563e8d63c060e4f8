package filter

import (
	"os"
	"strings"
	"testing"
)

// testdata/bpf_image.txt has what libpcap's bpf_image() writes for every
// operation code and every ancillary load, at place 5 of a program.
func TestListingIsThatOfLibpcap(t *testing.T) {
	data, err := os.ReadFile("testdata/bpf_image.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		instruction, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		if got := parseInstruction(t, instruction).listing(5); got != want {
			t.Errorf("%s:\n got %q\nwant %q", instruction, got, want)
		}
	}
}

func TestListings(t *testing.T) {
	p := Program{Instructions: []Instruction{
		{Code: codeLoadHalf, K: 12},
		{Code: codeJEQK, Jf: 1, K: 0x800},
		{Code: codeReturn, K: 262144},
		{Code: codeReturn},
	}}
	for _, test := range []struct{ name, got, want string }{
		{"-d", p.Listing(),
			"(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n"},
		{"-dd", p.ListingC(),
			"{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n{ 0x6, 0, 0, 0x00040000 },\n{ 0x6, 0, 0, 0x00000000 },\n"},
		{"-ddd", p.ListingDecimal(), "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n"},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, test.got, test.want)
		}
	}
}
