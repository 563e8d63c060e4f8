// Package firewall reads the rules of nftables from the kernel, as nft(8) lists them.
//
// What a rule has that this package does not read stands as its name in brackets, such as [socket]:
// nothing is left out in silence.
package firewall

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A Ruleset is all tables of a network namespace.
type Ruleset struct {
	Tables []Table
	Chains []Chain
	Sets   []Set // that have a name; what stands in rules by itself is in their texts

	// Legacy are the tables of iptables' own interface to the kernel, such as "ip filter". Their rules
	// are not read.
	Legacy []string
}

// A Table has chains and sets. The rules of one that is dormant do not hold.
type Table struct {
	Family, Name string
	Dormant      bool
}

// A Chain is a list of rules.
type Chain struct {
	Family, Table, Name string

	// Type, Hook, Priority and Policy are of a chain that packets come through by themselves; Hook is
	// empty for one that others jump to. Device is the interface of a chain of one, or several with
	// commas between them.
	Type, Hook string
	Priority   int32
	Policy     string
	Device     string

	Rules []Rule
}

// A Rule is what happens with packets.
type Rule struct {
	Handle uint64
	Text   string // as nft(8) writes it, without counter and comment

	// Packets and Bytes are of the rule's counter, nil if it has none.
	Packets, Bytes *uint64
	Comment        string
}

// A Set is a set or a map with a name.
type Set struct {
	Family, Table, Name string
	Map                 bool
	Elements            []string
}

// ErrForbidden reports that the appliance may not read the rules: it lacks CAP_NET_ADMIN.
var ErrForbidden = errors.New("CAP_NET_ADMIN is missing")

// ErrUnsupported reports that the kernel has no nftables.
var ErrUnsupported = errors.New("this kernel has no nftables")

const headerSize = 4 // of struct nfgenmsg

// Read reads the rules of the network namespace of the calling thread. It returns
// netlink.ErrChanged, and what it read, if they changed meanwhile.
func Read(ctx context.Context) (r Ruleset, err error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	s := reader{ctx: ctx, conn: conn, sets: map[setKey]*set{}}
	for _, step := range []func() error{s.readTables, s.readChains, s.readSets, s.readElements, s.readRules} {
		if err := step(); err != nil {
			return r, known(err)
		}
	}
	r.Tables, r.Chains, r.Legacy = s.tables, s.chains, legacy()
	for _, key := range s.order {
		if one := s.sets[key]; !one.anonymous {
			r.Sets = append(r.Sets, Set{Family: key.family, Table: key.table, Name: key.name, Map: one.isMap, Elements: one.texts()})
		}
	}
	if s.changed {
		err = netlink.ErrChanged
	}
	return r, err
}

// known turns an error of the kernel into one that callers know.
func known(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ErrForbidden
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT):
		return ErrUnsupported
	}
	return err
}

// A reader reads one ruleset.
type reader struct {
	ctx     context.Context
	conn    *netlink.Conn
	changed bool

	tables []Table
	chains []Chain
	sets   map[setKey]*set
	order  []setKey
}

type setKey struct{ family, table, name string }

// dump reads a table of nftables. request is what follows the header.
func (r *reader) dump(kind uint16, family byte, request []byte, each func(family string, attributes []byte)) error {
	err := r.conn.Dump(r.ctx, unix.NFNL_SUBSYS_NFTABLES<<8|kind, append([]byte{family, 0, 0, 0}, request...),
		func(_ uint16, body []byte) error {
			if len(body) >= headerSize {
				each(familyName(body[0]), body[headerSize:])
			}
			return nil
		})
	if errors.Is(err, netlink.ErrChanged) {
		r.changed, err = true, nil
	}
	return err
}

func (r *reader) readTables() error {
	return r.dump(unix.NFT_MSG_GETTABLE, unix.AF_UNSPEC, nil, func(family string, b []byte) {
		t := Table{Family: family}
		netlink.Attributes(b, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_TABLE_NAME:
				t.Name = text(value)
			case unix.NFTA_TABLE_FLAGS:
				t.Dormant = number32(value)&unix.NFT_TABLE_F_DORMANT != 0
			}
		})
		r.tables = append(r.tables, t)
	})
}

func (r *reader) readChains() error {
	return r.dump(unix.NFT_MSG_GETCHAIN, unix.AF_UNSPEC, nil, func(family string, b []byte) {
		c := Chain{Family: family}
		netlink.Attributes(b, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_CHAIN_TABLE:
				c.Table = text(value)
			case unix.NFTA_CHAIN_NAME:
				c.Name = text(value)
			case unix.NFTA_CHAIN_TYPE:
				c.Type = text(value)
			case unix.NFTA_CHAIN_POLICY:
				c.Policy = verdictName(number32(value))
			case unix.NFTA_CHAIN_HOOK:
				c.hook(value)
			}
		})
		r.chains = append(r.chains, c)
	})
}

// hook reads where packets come into a chain.
func (c *Chain) hook(b []byte) {
	netlink.Attributes(b, func(kind uint16, value []byte) {
		switch kind {
		case unix.NFTA_HOOK_HOOKNUM:
			c.Hook = hookName(c.Family, number32(value))
		case unix.NFTA_HOOK_PRIORITY:
			c.Priority = int32(number32(value))
		case unix.NFTA_HOOK_DEV:
			c.Device = text(value)
		case hookDevices:
			c.Device = strings.Join(devices(value), ", ")
		}
	})
}

// hookDevices is NFTA_HOOK_DEVS of Linux 5.5 and later, devicePrefix NFTA_DEVICE_PREFIX of 6.18.
const (
	hookDevices  = 4
	devicePrefix = 2
)

// devices reads the interfaces of a chain of several.
func devices(b []byte) (list []string) {
	netlink.Attributes(b, func(kind uint16, value []byte) {
		name := text(value)
		if kind == devicePrefix {
			name += "*"
		}
		list = append(list, name)
	})
	return list
}

func (r *reader) readSets() error {
	return r.dump(unix.NFT_MSG_GETSET, unix.AF_UNSPEC, nil, func(family string, b []byte) {
		key, s := setKey{family: family}, &set{}
		netlink.Attributes(b, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_SET_TABLE:
				key.table = text(value)
			case unix.NFTA_SET_NAME:
				key.name = text(value)
			case unix.NFTA_SET_FLAGS:
				flags := number32(value)
				s.anonymous, s.isMap = flags&unix.NFT_SET_ANONYMOUS != 0, flags&unix.NFT_SET_MAP != 0
				s.interval = flags&unix.NFT_SET_INTERVAL != 0
			case unix.NFTA_SET_KEY_TYPE:
				s.key = typesOf(number32(value))
			case unix.NFTA_SET_KEY_LEN:
				s.length = int(number32(value))
			case unix.NFTA_SET_DATA_TYPE:
				s.data = typesOf(number32(value))
			}
		})
		r.sets[key] = s
		r.order = append(r.order, key)
	})
}

// mostElements is how many elements of a set are read.
const mostElements = 10_000

func (r *reader) readElements() error {
	for _, key := range r.order {
		s := r.sets[key]
		request := netlink.AppendAttribute(nil, unix.NFTA_SET_ELEM_LIST_TABLE, []byte(key.table+"\x00"))
		request = netlink.AppendAttribute(request, unix.NFTA_SET_ELEM_LIST_SET, []byte(key.name+"\x00"))
		err := r.dump(unix.NFT_MSG_GETSETELEM, familyNumber(key.family), request, func(_ string, b []byte) {
			netlink.Attributes(b, func(kind uint16, value []byte) {
				if kind == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
					netlink.Attributes(value, func(_ uint16, value []byte) { s.add(value) })
				}
			})
		})
		if errors.Is(err, unix.ENOENT) {
			r.changed = true // the set is gone
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readRules() error {
	return r.dump(unix.NFT_MSG_GETRULE, unix.AF_UNSPEC, nil, func(family string, b []byte) {
		rule, table, chain := Rule{}, "", ""
		var expressions []byte
		netlink.Attributes(b, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_RULE_TABLE:
				table = text(value)
			case unix.NFTA_RULE_CHAIN:
				chain = text(value)
			case unix.NFTA_RULE_HANDLE:
				rule.Handle = number64(value)
			case unix.NFTA_RULE_EXPRESSIONS:
				expressions = value
			case unix.NFTA_RULE_USERDATA:
				rule.Comment = commentOf(value)
			}
		})
		rule.read(family, expressions, func(name string) *set { return r.sets[setKey{family, table, name}] })
		for i := range r.chains {
			if c := &r.chains[i]; c.Family == family && c.Table == table && c.Name == chain {
				c.Rules = append(c.Rules, rule)
				return
			}
		}
		r.changed = true // its chain is new
	})
}

// commentOf returns the comment in what nft(8) keeps with a rule: each a type, a length and a value.
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == 0 {
			return text(b[2 : 2+b[1]])
		}
		b = b[2+b[1]:]
	}
	return ""
}

// legacy returns the tables of iptables' own interface. The kernel makes them when iptables-legacy is
// used first.
func legacy() (list []string) {
	for _, of := range []struct{ family, file string }{{"ip", "ip_tables_names"}, {"ip6", "ip6_tables_names"},
		{"arp", "arp_tables_names"}} {
		names, err := os.ReadFile("/proc/thread-self/net/" + of.file)
		if err != nil {
			continue
		}
		for name := range strings.FieldsSeq(string(names)) {
			list = append(list, of.family+" "+name)
		}
	}
	return list
}

func familyName(n byte) string {
	for name, number := range families {
		if number == n {
			return name
		}
	}
	return strconv.Itoa(int(n))
}

func familyNumber(name string) byte { return families[name] }

// families are the numbers that netfilter has for families of tables.
var families = map[string]byte{"inet": 1, "ip": unix.AF_INET, "arp": 3, "netdev": 5, "bridge": unix.AF_BRIDGE, "ip6": unix.AF_INET6}

// hookName returns the name of a hook, whose number depends on the family.
func hookName(family string, n uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch family {
	case "arp":
		names = []string{"input", "output", "forward"}
	case "netdev":
		names = []string{"ingress", "egress"}
	}
	if int(n) < len(names) {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// text returns a string that the kernel ends by a zero.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// number32 and number64 return a number that netfilter writes in the order of the network.
func number32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func number64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// verdictName returns the name of a verdict of netfilter or nftables.
func verdictName(code uint32) string {
	switch int32(code) {
	case 0:
		return "drop"
	case 1:
		return "accept"
	case 3:
		return "queue"
	case unix.NFT_CONTINUE:
		return "continue"
	case unix.NFT_BREAK:
		return "break"
	case unix.NFT_JUMP:
		return "jump"
	case unix.NFT_GOTO:
		return "goto"
	case unix.NFT_RETURN:
		return "return"
	}
	return fmt.Sprintf("[verdict %d]", int32(code))
}
