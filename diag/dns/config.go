package dns

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Config says whom this host asks, and how: /etc/resolv.conf as resolv.conf(5) of glibc 2.36
// describes it.
type Config struct {
	Servers  []netip.Addr  // in file order; the loopback if the file names none
	Default  bool          // the file names none
	Unused   []netip.Addr  // those after the third, which no resolver asks
	Wrong    []string      // values of nameserver lines that are no address
	Search   []string      // domains that a short name is looked up in
	Ndots    int           // a name with fewer dots is looked up in Search first; 0 to 15
	Timeout  time.Duration // of one attempt, 1 s to 30 s
	Attempts int           // of each server, 1 to 5
	Rotate   bool          // start with a random server each time
	TCP      bool          // use TCP from the start
	Options  []string      // as they are written
}

const (
	configPath  = "/etc/resolv.conf"
	configBytes = 256 << 10
	maxServers  = 3 // MAXNS of resolv.h
)

// ReadConfig returns the Config of this host. It treats an unreadable file as an empty one, as
// every resolver does.
func ReadConfig() Config {
	f, err := os.Open(configPath)
	if err != nil {
		return parseConfig(strings.NewReader(""))
	}
	defer f.Close()
	return parseConfig(io.LimitReader(f, configBytes))
}

// parseConfig reads a resolv.conf. A keyword must start its line; of several search lines the last
// counts.
func parseConfig(r io.Reader) Config {
	c := Config{Ndots: 1, Timeout: 5 * time.Second, Attempts: 2}
	searched := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.ContainsAny(line[:1], " \t#;") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			c.server(words[1])
		case "domain":
			c.Search, searched = []string{words[1]}, true
		case "search":
			c.Search, searched = words[1:], true
		case "options":
			for _, o := range words[1:] {
				c.option(o)
			}
		}
	}
	if !searched {
		c.Search = ownDomain()
	}
	c.Search = slices.DeleteFunc(c.Search, func(s string) bool { return strings.Trim(s, ".") == "" })
	if len(c.Servers) == 0 {
		c.Servers, c.Default = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	return c
}

// server adds an address. A link-local one may have a scope, such as fe80::1%eth0.
func (c *Config) server(text string) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		c.Wrong = append(c.Wrong, text)
	case len(c.Servers) == maxServers:
		c.Unused = append(c.Unused, a.Unmap())
	default:
		c.Servers = append(c.Servers, a.Unmap())
	}
}

func (c *Config) option(text string) {
	c.Options = append(c.Options, text)
	name, value, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(value)
	switch {
	case name == "rotate":
		c.Rotate = true
	case name == "use-vc", name == "usevc", name == "tcp":
		c.TCP = true
	case err != nil:
	case name == "ndots":
		c.Ndots = max(0, min(n, 15))
	case name == "timeout":
		c.Timeout = time.Duration(max(1, min(n, 30))) * time.Second
	case name == "attempts":
		c.Attempts = max(1, min(n, 5))
	}
}

// ownDomain returns the part of the host name after the first dot. It is the search list where none
// is given.
func ownDomain() []string {
	host, err := os.Hostname()
	if err != nil {
		return nil
	}
	if _, domain, ok := strings.Cut(host, "."); ok && domain != "" {
		return []string{domain}
	}
	return nil
}

// Names returns the absolute names to ask for in order. A name that ends with a dot is absolute
// already.
func (c Config) Names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var list []string
	for _, domain := range c.Search {
		list = append(list, name+"."+strings.Trim(domain, ".")+".")
	}
	if strings.Count(name, ".") >= c.Ndots {
		return append([]string{name + "."}, list...)
	}
	return append(list, name+".")
}

// Servers returns the name servers of this host.
func Servers() []netip.Addr {
	c := ReadConfig()
	if c.Default {
		return nil
	}
	return c.Servers
}
