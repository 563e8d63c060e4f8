// Packets that the kernel drops (skb:kfree_skb, with a reason since Linux 5.17): counted by reason and
// place, counted by flow, and handed over with their headers.
//
// The tracepoint tells of the whole machine. The packets of one network namespace are taken, and
// those whose namespace cannot be known.
#include "common.h"
#include "bpf_endian.h"
#include "bpf_helpers.h"
#include "bpf_tracing.h"

#define FOUND __attribute__((preserve_access_index))

struct ns_common { __u32 inum; } FOUND;

struct net;
typedef struct { struct net *net; } possible_net_t;

struct net_device {
	int ifindex;
	char name[16];
	possible_net_t nd_net;
} FOUND;

struct net {
	struct ns_common ns;
	struct net_device *loopback_dev;
} FOUND;

struct dst_entry { struct net_device *dev; } FOUND;

struct inode { unsigned long i_ino; } FOUND;
struct file { struct inode *f_inode; } FOUND;
struct socket { struct file *file; } FOUND;

typedef struct { __s64 counter; } atomic64_t;

struct sock_common {
	unsigned short skc_family;
	unsigned char skc_state;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
} FOUND;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	__u16 sk_type;
} FOUND;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len;
	int skb_iif;
	__be16 protocol;
	__u16 network_header;
	unsigned int tail;
	unsigned char *head, *data;
} FOUND;

char __license[] SEC("license") = "Dual BSD/GPL";

// What is set when the program is loaded.
const volatile __u32 netns = 0;        // inode of the namespace; 0 is all
const volatile __u32 has_receiver = 0; // the tracepoint tells the receiving socket (Linux 6.11)
const volatile __u32 only_counted[2];  // reasons whose packets are in no flow and are not handed over
const volatile __u32 per_flow = 100;   // packets of a flow that are handed over in a second
const volatile __u32 per_place = 1000; // and of all flows with one reason at one place, on each CPU

enum {
	AF_INET = 2, AF_INET6 = 10, AF_PACKET = 17,
	SOCK_RAW = 3,
	IP_TCP = 6, IP_UDP = 17, IP_DCCP = 33, IP_SCTP = 132, IP_UDPLITE = 136,
	ETH_IP = 0x0800, ETH_IPV6 = 0x86dd,
	STATE_TIME_WAIT = 6, STATE_NEW_SYN_RECV = 12,
	KEPT = 128,
};

// READ reads a member by a pointer that may lead nowhere, which is 0 then.
#define READ(pointer, member) ({ \
	typeof((pointer)->member) value_ = 0; \
	bpf_probe_read_kernel(&value_, sizeof(value_), &(pointer)->member); \
	value_; })

#define SECOND 1000000000ull
#define UNSET  0xffff // of network_header

struct place {
	__u64 site;     // where in the kernel
	__u32 reason;   // enum skb_drop_reason; the high 16 bits are the subsystem
	__u32 netns;    // 0: not known
	__u32 listener; // inode of the packet socket or raw socket that dropped it, else 0
	__u16 ethertype;
	__u16 pad;
};

struct name {
	char text[64];
};

struct count {
	__u64 packets;
	__u64 handed; // to the ring
	__u64 window; // the second in which the packets that are handed over are counted
	__u64 taken;  // in that second
};

struct flow {
	struct place place;
	__u32 ifindex;
	__u8 family, protocol;
	__u16 source_port, destination_port;
	__u16 pad;
	__u8 source[16], destination[16];
	char name[16]; // of the interface
	__u32 end;
};

struct flow_count {
	__u64 packets;
	__u64 last; // CLOCK_MONOTONIC, as all times here
	__u64 window;
	__u64 taken;
	__u64 cookie; // of the last packet's socket
	__u32 inode;
	__u32 pad;
};

struct event {
	__u64 time;
	__u64 cookie; // of the socket, if it has one
	struct flow flow;
	__u32 inode; // of the socket
	__u32 length; // of the packet from the header of its network on
	__u16 kept;
	__u8 incoming;
	__u8 pad;
	__u8 data[KEPT];
	__u8 tail[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct place);
	__type(value, struct count);
	__uint(max_entries, 4096);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, struct flow_count);
	__uint(max_entries, 8192);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} packets SEC(".maps");

// The functions of the kernel in which places are. The kernel names them: that takes no right to see
// addresses, as kallsyms(5) does.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct name);
	__uint(max_entries, 1024);
} names SEC(".maps");

// What did not fit: packets that are in no count, for want of room in counts.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} uncounted SEC(".maps");

// namespace returns the inode of a network namespace, or 0 if that is none: pointers of packets that
// are in a queue are used for other things, and what they lead to then has no loopback interface that
// leads back.
static __always_inline __u32 namespace(struct net *net)
{
	struct net_device *loopback;

	if (!net)
		return 0;
	loopback = READ(net, loopback_dev);
	if (READ(loopback, nd_net.net) != net)
		return 0;
	return READ(net, ns.inum);
}

static __always_inline __u32 of_device(struct net_device *dev)
{
	return dev ? namespace(READ(dev, nd_net.net)) : 0;
}

static __always_inline __u32 of_socket(struct sock *sk)
{
	return sk ? namespace(READ(sk, __sk_common.skc_net.net)) : 0;
}

static __always_inline void read_socket(struct sock *sk, struct event *e)
{
	unsigned char state = READ(sk, __sk_common.skc_state);
	struct socket *socket;
	struct file *file;
	struct inode *inode;

	e->cookie = READ(sk, __sk_common.skc_cookie.counter);
	if (state == STATE_TIME_WAIT || state == STATE_NEW_SYN_RECV)
		return; // these are shorter, and no file
	socket = READ(sk, sk_socket);
	file = READ(socket, file);
	inode = READ(file, f_inode);
	e->inode = READ(inode, i_ino);
	if (READ(sk, __sk_common.skc_family) == AF_PACKET || READ(sk, sk_type) == SOCK_RAW)
		e->flow.place.listener = e->inode;
}

// read_packet copies what there is of a packet from the header of its network on.
static __always_inline void read_packet(struct sk_buff *skb, struct event *e)
{
	unsigned char *head = READ(skb, head), *data = READ(skb, data);
	__u32 start = skb->network_header, tail = skb->tail, kept;
	__s64 length;

	if (!start || start == UNSET || tail <= start)
		return;
	length = (__s64)skb->len + (data - head) - start;
	if (length <= 0)
		return;
	kept = tail - start;
	if (kept > length)
		kept = length;
	if (kept > KEPT)
		kept = KEPT;
	if (bpf_probe_read_kernel(e->data, kept, head + start))
		return;
	e->kept = kept;
	e->length = length;
}

// read_flow takes addresses and ports from the bytes that were copied.
static __always_inline void read_flow(struct sk_buff *skb, struct event *e)
{
	struct flow *f = &e->flow;
	__u32 offset = 0;
	__u16 ports[2] = {};

	if (f->place.ethertype == ETH_IP && e->kept >= 20 && e->data[0] >> 4 == 4) {
		f->family = AF_INET;
		f->protocol = e->data[9];
		__builtin_memcpy(f->source, e->data + 12, 4);
		__builtin_memcpy(f->destination, e->data + 16, 4);
		if (!(e->data[6] & 0x1f) && !e->data[7])
			offset = (e->data[0] & 15) * 4;
	} else if (f->place.ethertype == ETH_IPV6 && e->kept >= 40 && e->data[0] >> 4 == 6) {
		f->family = AF_INET6;
		f->protocol = e->data[6];
		__builtin_memcpy(f->source, e->data + 8, 16);
		__builtin_memcpy(f->destination, e->data + 24, 16);
		offset = 40;
	}
	switch (f->protocol) {
	case IP_TCP:
	case IP_UDP:
	case IP_DCCP:
	case IP_SCTP:
	case IP_UDPLITE:
		if (!offset || offset + sizeof(ports) > e->kept ||
		    bpf_probe_read_kernel(ports, sizeof(ports), READ(skb, head) + skb->network_header + offset))
			return;
		f->source_port = bpf_ntohs(ports[0]);
		f->destination_port = bpf_ntohs(ports[1]);
	}
}

static __always_inline void name_site(__u64 site)
{
	static const char format[] = "%ps";
	struct name n = {};

	if (bpf_map_lookup_elem(&names, &site))
		return;
	bpf_snprintf(n.text, sizeof(n.text), format, &site, sizeof(site));
	bpf_map_update_elem(&names, &site, &n, BPF_NOEXIST);
}

// count_place counts a packet, and reports whether it may be handed over.
static __always_inline struct count *count_place(struct place *key, __u64 now)
{
	struct count first = {}, *c = bpf_map_lookup_elem(&counts, key);
	__u32 zero = 0;
	__u64 *lost;

	if (!c) {
		name_site(key->site);
		bpf_map_update_elem(&counts, key, &first, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&counts, key);
	}
	if (!c) {
		lost = bpf_map_lookup_elem(&uncounted, &zero);
		if (lost)
			*lost += 1;
		return 0;
	}
	c->packets += 1;
	if (now - c->window >= SECOND) {
		c->window = now;
		c->taken = 0;
	}
	return c;
}

static __always_inline struct flow_count *count_flow(struct event *e)
{
	struct flow_count first = {}, *c = bpf_map_lookup_elem(&flows, &e->flow);

	if (!c) {
		bpf_map_update_elem(&flows, &e->flow, &first, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&flows, &e->flow);
	}
	if (!c)
		return 0;
	__sync_fetch_and_add(&c->packets, 1);
	c->last = e->time;
	if (e->cookie || e->inode) {
		c->cookie = e->cookie;
		c->inode = e->inode;
	}
	if (e->time - c->window >= SECOND) {
		c->window = e->time;
		c->taken = 0;
	}
	return c;
}

SEC("tp_btf/kfree_skb")
int dropped(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct event e = {};
	struct place *place = &e.flow.place;
	struct net_device *dev = skb->dev;
	struct sock *sk = skb->sk;
	struct count *at;
	struct flow_count *of;

	place->netns = of_device(dev);
	if (!place->netns)
		dev = 0;
	if (has_receiver && ctx[3])
		sk = (void *)ctx[3];
	if (!of_socket(sk))
		sk = 0;
	else if (!place->netns)
		place->netns = of_socket(sk);
	if (!dev && !skb->skb_iif) { // on its way out, it leads to the interface by its route
		struct dst_entry *dst = (void *)(skb->_skb_refdst & ~7ul);

		dev = READ(dst, dev);
		if (!of_device(dev))
			dev = 0;
		else if (!place->netns)
			place->netns = of_device(dev);
	}
	if (netns && place->netns && place->netns != netns)
		return 0;
	e.time = bpf_ktime_get_ns();
	place->site = ctx[1];
	place->reason = ctx[2];
	place->ethertype = bpf_ntohs(skb->protocol);
	if (sk)
		read_socket(sk, &e);
	at = count_place(place, e.time);
	if (!place->ethertype) // of Unix and netlink sockets
		return 0;
	if (place->reason == only_counted[0] || place->reason == only_counted[1])
		return 0;
	e.incoming = skb->skb_iif != 0;
	e.flow.ifindex = skb->skb_iif;
	if (dev) {
		e.flow.ifindex = READ(dev, ifindex);
		bpf_probe_read_kernel(e.flow.name, sizeof(e.flow.name), &dev->name);
	}
	read_packet(skb, &e);
	read_flow(skb, &e);
	of = count_flow(&e);
	if (!at || !of || of->taken >= per_flow || at->taken >= per_place)
		return 0;
	of->taken += 1;
	at->taken += 1;
	if (!bpf_ringbuf_output(&packets, &e, sizeof(e), 0))
		at->handed += 1;
	return 0;
}
