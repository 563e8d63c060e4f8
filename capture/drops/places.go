package drops

import (
	"bufio"
	"bytes"
	"os"
)

// places finds the functions of the kernel by addresses in them. It is for one goroutine.
type places struct {
	path  string // of kallsyms(5)
	known map[uint64]string
}

func newPlaces() *places { return &places{"/proc/kallsyms", map[uint64]string{}} }

// readable reports whether the appliance may see addresses: without CAP_SYSLOG all are 0.
func (p *places) readable() bool {
	f, err := os.Open(p.path)
	if err != nil {
		return false
	}
	defer f.Close()
	address, _, ok := parseSymbol(firstLine(f))
	return ok && address != 0
}

func firstLine(f *os.File) []byte {
	lines := bufio.NewScanner(f)
	lines.Scan()
	return lines.Bytes()
}

// name returns the function that an address is in, "" if it is not known.
func (p *places) name(address uint64) string {
	p.learn(address)
	return p.known[address]
}

// learn finds the functions of addresses that were not asked for before. The list of all functions is
// long and these are few, so it is read again for new ones, and not kept.
func (p *places) learn(addresses ...uint64) {
	var unknown []uint64
	for _, a := range addresses {
		if _, ok := p.known[a]; !ok {
			unknown = append(unknown, a)
			p.known[a] = ""
		}
	}
	if len(unknown) == 0 {
		return
	}
	f, err := os.Open(p.path)
	if err != nil {
		return
	}
	defer f.Close()
	best := make([]uint64, len(unknown))
	lines := bufio.NewScanner(bufio.NewReaderSize(f, 1<<20))
	for lines.Scan() {
		at, name, ok := parseSymbol(lines.Bytes())
		for n := 0; ok && n < len(unknown); n++ {
			if at <= unknown[n] && at > best[n] {
				best[n], p.known[unknown[n]] = at, string(name)
			}
		}
	}
}

// parseSymbol parses a line such as "ffffffff81a0b2c0 t nft_do_chain.isra.0\t[nf_tables]". What the
// compiler adds to a name is left out. Only functions have one.
func parseSymbol(line []byte) (address uint64, name []byte, ok bool) {
	digits, rest, _ := bytes.Cut(line, []byte(" "))
	kind, name, _ := bytes.Cut(rest, []byte(" "))
	if len(kind) != 1 || !bytes.Contains([]byte("TtWw"), kind) {
		return 0, nil, false
	}
	for _, c := range digits {
		n, valid := hexDigit(c)
		if !valid {
			return 0, nil, false
		}
		address = address<<4 | n
	}
	name, _, _ = bytes.Cut(name, []byte("\t"))
	name, _, _ = bytes.Cut(name, []byte("."))
	return address, name, len(name) > 0
}

func hexDigit(c byte) (uint64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0'), true
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10, true
	}
	return 0, false
}
