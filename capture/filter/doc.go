// Package filter compiles the capture-filter language of pcap-filter(7) to classic BPF.
//
//	program, err := filter.Compile("tcp port 443 and not host 192.0.2.1", filter.Target{
//		LinkType: filter.EN10MB,
//		Kind:     filter.Live,
//	})
//
// The way of an expression through the package, one file or group of files each:
//
//   - lexer, keywords: words
//   - parser, ast: a tree, with the qualifiers that are in force at every identifier
//   - codegen, graph: a graph of blocks, which are statements and one jump, from left to right
//   - optimise, flow, opt: the passes of the optimiser, one file each
//   - emit: instructions
//
// Around the compiler: evaluate runs programs in user space, kernel reports whether the kernel
// takes them, listing prints them, names has the name tables, structured makes expressions of
// filters in fields, explain and complete help who types one.
//
// # Agreement with libpcap
//
// Expressions are accepted and refused, and packets matched, as libpcap 1.10.3 does, the version of
// Debian 12. Its test suite and its oddities count as the definition of the language where the
// manual page is silent or wrong. Kept are, among others:
//
//   - "expression rejects all packets" is an error where libpcap's optimiser finds it out, and only
//     there.
//   - A load beyond the end of a truncated packet rejects it, under "not" too. The optimiser leaves
//     out the loads that libpcap's leaves out, so a truncated packet may match with and not without
//     it. The same holds for a division by zero at run time.
//   - "portrange 80-90-100" is 80-90, and 90-80 is 80-90.
//   - "ether proto 65536", "ip proto 256", "byte 1 = 256", "dir 4" and others have no range check.
//   - "len / (0 + 5)" and "len / ip[0]" are refused as divisions by zero: only the first
//     instruction of the divisor is looked at.
//   - In arithmetic only the left operand's protocol is tested for: "1 + ip[8] < 100" looks into
//     packets that are not IP.
//   - "ip multicast" is also true for 240/4 and 255.255.255.255.
//   - "inbound", "outbound" and "ifindex" compile for [Dead], where they can never be answered, but
//     not for a [Savefile].
//   - The fourth address of an 802.11 header is not counted in its length.
//
// # Differences from libpcap
//
// Deliberate, each with a test (differences_test.go):
//
//   - "x & 0xffffffff = 0" is true if x is 0. libpcap 1.10 takes it for always false, and refuses
//     it.
//   - "byte N & V" and "byte N | V" load the byte.  libpcap 1.10 forgets to.
//   - "gateway HOST" works as documented.  Debian's libpcap is built without it.
//   - "vxlan [VNI]" is understood as by libpcap 1.11: UDP to port 4789 with the flag byte 8; what
//     follows looks into the inner Ethernet frame.
//   - "pppoes" and "geneve" on 802.11, and "vlan and pppoes" live: libpcap 1.10 mixes the scratch
//     words of the outer and the inner offsets up and reads some that were never written.
//   - "geneve or ip" and its like, which test after a tunnel even if there is none, clear the
//     scratch words that they may not have set. libpcap's programs do not, so that the kernel
//     refuses them.
//   - On 802.11, "len > 100 or tcp" matches what "tcp or len > 100" does. libpcap keeps the length
//     of the header in a scratch word that arithmetic further left overwrites.
//   - Live, "ip or (vlan and ip)" and its like keep tags in the packet and tags in metadata apart.
//     libpcap (its issue 1513) takes the offsets of one case for the other, and lets arithmetic to
//     the left overwrite them: "ether[12:2] = 0x8100 or (vlan and tcp)".
//   - "(ip6 src net 2001:db8::/125 and dst port 2) or (ip6 src net 2001:db8::/125 and src port 2)":
//     when libpcap's optimiser turns a test round, it continues with what it knew about the old
//     sides.
//   - After headers of variable length (802.11, Geneve) programs are optimised too.  They match the
//     same packets, truncated ones included, as libpcap's, which are not optimised there.
//   - Long lists of alternatives for one value are searched by halves instead of one by one.
//   - Compiled is for the link types listed with [LinkType]; all others are refused.
//   - An expression has at most 256 KiB, 12,000 tests and 1,000 levels of nesting.
//   - Names of hosts are looked up within a time limit; no name is ever needed for numeric use.
package filter
