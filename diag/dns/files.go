package dns

import (
	"bufio"
	"cmp"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fileBytes is how much of a file in /etc is read.
const fileBytes = 1 << 20

// Sources of names, in the words of nsswitch.conf(5).
const (
	fromFiles = "files"
	fromDNS   = "dns"
)

// order returns where hosts are looked up. Of the words in nsswitch.conf it knows files, dns and
// resolve (systemd-resolved, taken as dns). Without the file it is files, then dns.
func (c *Client) order() (list []string) {
	c.lines("nsswitch.conf", func(line string) {
		rest, ok := strings.CutPrefix(line, "hosts:")
		if !ok || list != nil {
			return
		}
		for _, word := range strings.Fields(rest) {
			if word == "resolve" {
				word = fromDNS
			}
			if (word == fromFiles || word == fromDNS) && !slices.Contains(list, word) {
				list = append(list, word)
			}
		}
	})
	if list == nil {
		return []string{fromFiles, fromDNS}
	}
	return list
}

// A hostsTable is /etc/hosts as it was read. Names are in lower case.
type hostsTable struct {
	addresses map[string][]netip.Addr
	names     map[netip.Addr][]string
	changed   time.Time
	bytes     int64
}

// hostsFile returns the table, and reads it again if the file has changed. A list of connections
// asks for thousands of names.
func (c *Client) hostsFile() *hostsTable {
	var changed time.Time
	var bytes int64
	if info, err := os.Stat(c.file("hosts")); err == nil {
		changed, bytes = info.ModTime(), info.Size()
	}
	c.mu.Lock()
	known := c.hosts
	c.mu.Unlock()
	if known != nil && known.changed.Equal(changed) && known.bytes == bytes {
		return known
	}
	t := c.readHosts()
	t.changed, t.bytes = changed, bytes
	c.mu.Lock()
	c.hosts = t
	c.mu.Unlock()
	return t
}

func (c *Client) readHosts() *hostsTable {
	t := &hostsTable{addresses: map[string][]netip.Addr{}, names: map[netip.Addr][]string{}}
	c.lines("hosts", func(line string) {
		words := strings.Fields(line)
		if len(words) < 2 {
			return
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			return
		}
		a = a.Unmap()
		for _, word := range words[1:] {
			name, err := ASCII(word)
			if err != nil {
				continue
			}
			key := strings.ToLower(strings.TrimSuffix(name, "."))
			if !slices.Contains(t.addresses[key], a) {
				t.addresses[key] = append(t.addresses[key], a)
			}
			t.names[a.WithZone("")] = append(t.names[a.WithZone("")], name)
		}
	})
	return t
}

// lines calls do with each line of a file in /etc, without its comment. It treats an unreadable
// file as empty, as every resolver does.
func (c *Client) lines(name string, do func(line string)) {
	f, err := os.Open(c.file(name))
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, fileBytes)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		do(strings.TrimSpace(line))
	}
}

func (c *Client) file(name string) string { return filepath.Join(cmp.Or(c.Files, "/etc"), name) }
