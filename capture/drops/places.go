package drops

import (
	"bytes"
	"strings"
)

// places are the functions of the kernel in which packets are dropped, as the program has them named
// by the kernel: the list of all functions (kallsyms(5)) shows its addresses only to who has
// CAP_SYSLOG, and units of systemd hide it. It is for one goroutine.
type places struct {
	named func(site uint64) []byte // as the kernel writes it; nil if it has not yet
	known map[uint64]string
}

// name returns the function that an address is in, "" if it is not known.
func (p *places) name(site uint64) string {
	name, ok := p.known[site]
	if !ok {
		if text := p.named(site); text != nil {
			name = functionOf(text)
			p.known[site] = name
		}
	}
	return name
}

// functionOf returns the name in a text such as "nft_do_chain.isra.0 [nf_tables]". What the compiler
// adds to it is left out. A kernel without the names of its functions writes a number.
func functionOf(text []byte) string {
	text, _, _ = bytes.Cut(text, []byte{0})
	name, _, _ := strings.Cut(string(text), " ")
	name, _, _ = strings.Cut(name, ".")
	if strings.HasPrefix(name, "0x") {
		return ""
	}
	return name
}
