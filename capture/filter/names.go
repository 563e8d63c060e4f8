package filter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resolveTimeout limits a question to the system's resolver. A user waits at a prompt
// for the answer, and a dead name server must not hold a capture up.
const resolveTimeout = 3 * time.Second

// ReadNames reads the tables hosts, services, protocols, networks and ethers
// from a directory. A table that is not there is empty; names are looked up
// nowhere else.
func ReadNames(dir string) (Names, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	t := &tables{}
	for _, table := range []struct {
		file string
		add  func(fields []string)
	}{
		{"hosts", t.addHost},
		{"services", t.addService},
		{"protocols", t.addProtocol},
		{"networks", t.addNetwork},
		{"ethers", t.addEther},
	} {
		if err := readTable(filepath.Join(dir, table.file), table.add); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// SystemNames asks this system: its resolver for hosts, with a time limit, and
// the tables in /etc, read when first needed, for all else.
func SystemNames() Names { return system }

var system = &systemNames{}

// NamesWith returns SystemNames with another look-up of hosts, under the same time limit. A
// HostFault decides how its errors are worded for the user who wrote the expression.
func NamesWith(hosts func(ctx context.Context, name string) ([]netip.Addr, error)) Names {
	return otherHosts{system, hosts}
}

type otherHosts struct {
	*systemNames
	hosts func(ctx context.Context, name string) ([]netip.Addr, error)
}

func (o otherHosts) Hosts(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := o.hosts(ctx, name)
	if err != nil {
		return nil, err
	}
	plain := make([]netip.Addr, len(addresses))
	for i, a := range addresses {
		plain[i] = a.Unmap().WithZone("")
	}
	return plain, nil
}

// A HostFault is why a host was not found, in words for people, such as "there is no such name".
type HostFault string

func (f HostFault) Error() string { return string(f) }

// systemNames reads each table once, and reads it no earlier than an expression
// has a name in it: most filters are numeric.
type systemNames struct {
	tables                                tables
	services, protocols, networks, ethers sync.Once
}

// resolver leaves nothing running when a context ends: that of package net goes on waiting for a
// silent name server (exchange in net/dnsclient_unix.go, Go 1.26, heeds a context's deadline and
// not its end).
var resolver = &net.Resolver{
	PreferGo: true,
	Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, server)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	},
}

func (s *systemNames) Hosts(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	for i, a := range addresses {
		addresses[i] = a.Unmap().WithZone("")
	}
	return addresses, nil
}

func (s *systemNames) Port(name, proto string) (uint16, bool) {
	s.services.Do(func() { readSystemTable("/etc/services", s.tables.addService) })
	return s.tables.Port(name, proto)
}

func (s *systemNames) Protocol(name string) (int, bool) {
	s.protocols.Do(func() { readSystemTable("/etc/protocols", s.tables.addProtocol) })
	return s.tables.Protocol(name)
}

func (s *systemNames) Network(name string) (uint32, bool) {
	s.networks.Do(func() { readSystemTable("/etc/networks", s.tables.addNetwork) })
	return s.tables.Network(name)
}

func (s *systemNames) Ether(name string) ([6]byte, bool) {
	s.ethers.Do(func() { readSystemTable("/etc/ethers", s.tables.addEther) })
	return s.tables.Ether(name)
}

// readSystemTable reads what there is. A table that cannot be read has no
// names, and the error that an expression gets for its name says enough.
func readSystemTable(path string, add func(fields []string)) { _ = readTable(path, add) }

// readTable hands the fields of every line to add, without comments. A file that
// does not exist has no lines.
func readTable(path string, add func(fields []string)) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if fields := strings.Fields(line); len(fields) >= 2 {
			add(fields)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type service struct{ name, proto string }

// tables are names in memory. Lines that are not well formed are passed over, as
// the C library does; of two lines with the same name the first counts, but a
// host may have many addresses.
type tables struct {
	hosts     map[string][]netip.Addr
	services  map[service]uint16
	protocols map[string]int
	networks  map[string]uint32
	ethers    map[string][6]byte
}

func (t *tables) Hosts(_ context.Context, name string) ([]netip.Addr, error) {
	if addresses := t.hosts[strings.ToLower(name)]; len(addresses) > 0 {
		return addresses, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (t *tables) Port(name, proto string) (uint16, bool) {
	port, ok := t.services[service{name, proto}]
	return port, ok
}

func (t *tables) Protocol(name string) (int, bool) {
	number, ok := t.protocols[name]
	return number, ok
}

func (t *tables) Network(name string) (uint32, bool) {
	address, ok := t.networks[name]
	return address, ok
}

func (t *tables) Ether(name string) ([6]byte, bool) {
	address, ok := t.ethers[name]
	return address, ok
}

// addHost takes a line of hosts: address, name, other names.
func (t *tables) addHost(fields []string) {
	address, err := netip.ParseAddr(fields[0])
	if err != nil {
		return
	}
	if t.hosts == nil {
		t.hosts = make(map[string][]netip.Addr)
	}
	for _, name := range fields[1:] {
		name = strings.ToLower(name)
		t.hosts[name] = append(t.hosts[name], address.WithZone(""))
	}
}

// addService takes a line of services: name, port/protocol, other names.
func (t *tables) addService(fields []string) {
	number, proto, ok := strings.Cut(fields[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil {
		return
	}
	eachName(fields, func(name string) { addFirst(&t.services, service{name, proto}, uint16(port)) })
}

// addProtocol takes a line of protocols: name, number, other names.
func (t *tables) addProtocol(fields []string) {
	number, err := strconv.ParseUint(fields[1], 10, 8)
	if err != nil {
		return
	}
	eachName(fields, func(name string) { addFirst(&t.protocols, name, int(number)) })
}

// addNetwork takes a line of networks: name, address of one to four parts, other names.
func (t *tables) addNetwork(fields []string) {
	parts := strings.Split(fields[1], ".")
	if len(parts) > 4 {
		return
	}
	var address uint32
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return
		}
		address |= uint32(n) << (24 - 8*i)
	}
	eachName(fields, func(name string) { addFirst(&t.networks, name, address) })
}

// addEther takes a line of ethers: hardware address, name.
func (t *tables) addEther(fields []string) {
	parts := strings.Split(fields[0], ":")
	var address [6]byte
	if len(parts) != len(address) {
		return
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 16, 8)
		if err != nil {
			return
		}
		address[i] = byte(n)
	}
	addFirst(&t.ethers, fields[1], address)
}

// eachName calls add with the first name of a line and with those from the third field on.
func eachName(fields []string, add func(name string)) {
	add(fields[0])
	for _, name := range fields[2:] {
		add(name)
	}
}

func addFirst[K comparable, V any](table *map[K]V, key K, value V) {
	if *table == nil {
		*table = make(map[K]V)
	}
	if _, there := (*table)[key]; !there {
		(*table)[key] = value
	}
}
