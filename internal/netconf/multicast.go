package netconf

import (
	"errors"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// multicastTable is the nftables table with the only rule of this package, so that other rules are
// not touched.
var multicastTable = &nftables.Table{Name: "diagsh_multicast", Family: nftables.TableFamilyARP}

// rejectsMulticast reports whether the rule exists. A kernel without nftables, or a process that
// may not ask, has none.
func rejectsMulticast() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, nil
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyARP)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EPERM) ||
		errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, t := range tables {
		if t.Name == multicastTable.Name && t.Family == multicastTable.Family {
			return true, nil
		}
	}
	return false, nil
}

// Fields of an ARP packet for Ethernet and IPv4 (RFC 826): the operation, and the sender's hardware
// address.
const (
	arpOperation = 6
	arpSender    = 8
	arpReply     = 2
	// arpInput is the number of the hook input in the family arp (NF_ARP_IN,
	// linux/netfilter_arp.h). The library's ChainHookInput counts as IP does, where 1 is input; in
	// this family 1 is output.
	arpInput        = 0
	groupAddressBit = 0x01 // in the first byte of a hardware address (IEEE 802): a group address
)

// SetMulticast makes the kernel drop ARP replies whose sender has a multicast hardware address, as
// clusters of load balancers send them, or accept them again, as Linux does by default. nftables
// applies all of it in one transaction.
//
//	table arp diagsh_multicast { chain input { type filter hook input priority filter;
//	    arp operation reply arp saddr ether & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop } }
func (Kernel) SetMulticast(reject bool) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	// Added first, so that the removal of a missing table cannot fail.
	conn.AddTable(multicastTable)
	conn.DelTable(multicastTable)
	if reject {
		conn.AddTable(multicastTable)
		policy := nftables.ChainPolicyAccept
		chain := conn.AddChain(&nftables.Chain{Name: "input", Table: multicastTable, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookRef(arpInput), Priority: nftables.ChainPriorityFilter, Policy: &policy})
		conn.AddRule(&nftables.Rule{Table: multicastTable, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: arpOperation, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, arpReply}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: arpSender, Len: 6},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 6, Mask: []byte{groupAddressBit, 0, 0, 0, 0, 0},
				Xor: make([]byte, 6)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{groupAddressBit, 0, 0, 0, 0, 0}},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
	return conn.Flush()
}
