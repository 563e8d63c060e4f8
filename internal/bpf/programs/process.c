// The packets of one process and its descendants, for a packet socket in one network namespace.
//
// A member is a process whose packets are wanted. Its sockets are known by their address in the
// kernel (sockets), from socket(2) on or since a member first had them, until they are closed. What
// such a socket sends passes the hook egress before any packet socket sees it: the hook enters the
// ends of the packet into flows. Ports on which members receive from anybody are in ports. The
// program of_process, which runs after the expression of a capture, asks both.
//
// A socket that the kernel makes or keeps without a process (a connection that was not accepted
// yet, one that was closed) has a mark, which a connection has of its listener.
#include "common.h"
#include "bpf_endian.h"
#include "bpf_helpers.h"
#include "bpf_tracing.h"

char __license[] SEC("license") = "Dual BSD/GPL";

// Of the interface to programs (linux/bpf.h).
struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id, family;
	__u32 remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, data_meta;
	__u64 flow_keys, tstamp;
	__u32 wire_len, gso_segs;
	struct bpf_sock *sk;
};
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol;
};
struct bpf_sock_addr {
	__u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4];
	struct bpf_sock *sk __attribute__((aligned(8)));
};

// Of linux/sched.h: a process that ends, a thread of the kernel.
#define PF_EXITING 0x4
#define PF_KTHREAD 0x200000

enum { BPF_F_NO_PREALLOC = 1, BPF_F_CLONE = 1 << 9, BPF_SK_STORAGE_GET_F_CREATE = 1 };

#define CORE __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} CORE;
struct net {
	struct ns_common ns;
} CORE;
typedef struct {
	struct net *net;
} possible_net_t;
struct in6_addr {
	__u8 bytes[16];
};
struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} CORE;
typedef struct {
	int owned;
} CORE socket_lock_t;
struct socket;
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket *sk_socket;
	__u16 sk_protocol;
} CORE;
struct tcp_ulp_ops {
	char name[16];
} CORE;
struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
	void *icsk_ulp_data;
} CORE;
struct mptcp_subflow_context {
	struct sock *conn;
} CORE;
struct file;
struct socket {
	struct file *file;
	struct sock *sk;
} CORE;
struct qstr {
	const unsigned char *name;
} CORE;
struct dentry {
	struct qstr d_name;
} CORE;
struct path {
	struct dentry *dentry;
} CORE;
struct inode {
	unsigned short i_mode;
} CORE;
struct file {
	struct inode *f_inode;
	void *private_data;
	struct path f_path;
} CORE;
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} CORE;
struct files_struct {
	struct fdtable *fdt;
} CORE;
struct mm_struct {
	struct file *exe_file;
} CORE;
typedef struct {
	int counter;
} atomic_t;
struct signal_struct {
	atomic_t live;
} CORE;
struct pid_namespace {
	struct ns_common ns;
} CORE;
struct upid {
	int nr;
	struct pid_namespace *ns;
} CORE;
struct pid {
	unsigned int level;
	struct upid numbers[0];
} CORE;
struct task_struct {
	unsigned int flags;
	int pid, tgid;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
	struct pid *thread_pid;
	char comm[16];
} CORE;
struct linux_binprm;
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CORE;
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	unsigned int fd;
	struct file *file;
} CORE;

// READ reads a field of the kernel; what cannot be read is 0.
#define READ(to, field) bpf_probe_read_kernel(&(to), sizeof(to), &(field))

static long (*bpf_loop)(__u32 n, void *callback, void *context, __u64 flags) = (void *)181; // Linux 5.17

// address returns a pointer as a number: the verifier forbids to reckon with some pointers, and lets
// a program read its own stack.
static __always_inline __u64 address(const void *pointer)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

#define AF_INET 2
#define AF_INET6 10
#define STREAM 1
#define ESTABLISHED 1
#define SYN_SENT 2
#define CLOSE_WAIT 8
#define LISTEN 10
#define TCP 6
#define UDP 17
#define UDPLITE 136
#define ICMP 1
#define ICMP6 58
#define MPTCP 262
#define SCTP 132
#define DCCP 33

// What the capture is of. A name has at most 62 bytes, and zeros behind it.
const volatile __u64 wanted[8];
const volatile __u32 wanted_pid; // 0: the name counts
const volatile __u32 pid_namespace; // of that number
const volatile __u32 network; // the namespace of the packet sockets

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32); // number of the process in the first namespace
	__type(value, __u8);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} members SEC(".maps");

// FOLLOWED counts members, FULL what found no room in a map, SERIAL the sockets.
enum { FOLLOWED, FULL, SERIAL, NUMBERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, NUMBERS);
} numbers SEC(".maps");

// Addresses are 16 bytes, of IPv4 as in IPv6; ports are in the order of the host.
struct port {
	__u8 address[16]; // that the socket is bound to
	__u16 port, protocol;
};
struct flow {
	__u8 local[16], remote[16];
	__u16 local_port, remote_port; // of an echo, its identifier; of other protocols, 0
	__u32 protocol;
};
struct held {
	__u64 serial;
	__u32 counted; // which of its entries in ports: OWN, FOUR
	struct port port;
};
enum { OWN = 1, FOUR = 2 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64); // address of a struct sock
	__type(value, struct held);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
} marks SEC(".maps");

// How many sockets of members are bound to a port. Entries stay at 0: to delete one would race with
// a bind.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port);
	__type(value, __s64);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ports SEC(".maps");

struct owner {
	__u64 socket, serial;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, struct owner);
	__uint(max_entries, 65536);
} flows SEC(".maps");

// Sockets of UDP that are not a member's and get datagrams before one of a member that is bound to the
// same port of any address: those that are bound to one, and those that are connected. A value is the
// address of the socket, which may be gone, or another by now.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct port);
	__type(value, __u64);
	__uint(max_entries, 16384);
} others SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, __u64);
	__uint(max_entries, 16384);
} foreign SEC(".maps");

struct fragment {
	__u8 source[16], destination[16];
	__u32 id, protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fragment);
	__type(value, __u8);
	__uint(max_entries, 8192);
} fragments SEC(".maps");

// Addresses of this machine, as its routing table has them.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(key_size, 20); // length of the prefix in bits, address
	__uint(value_size, 1);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} addresses SEC(".maps");

// The program that runs after the expression.
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} after SEC(".maps");

static __always_inline void add(__u32 which, __s64 n)
{
	__s64 *v = bpf_map_lookup_elem(&numbers, &which);

	if (v)
		__sync_fetch_and_add(v, n);
}

static __always_inline __u64 next_serial(void)
{
	__u32 which = SERIAL;
	__s64 *v = bpf_map_lookup_elem(&numbers, &which);

	return v ? __sync_fetch_and_add(v, 1) + 1 : 0;
}

static __always_inline void mapped(__u8 to[16], const void *four)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, four, 4);
}

static __always_inline int is_mapped(const __u8 a[16])
{
	return !*(__u64 *)a && *(__u32 *)(a + 8) == bpf_htonl(0xffff);
}

static __always_inline int is_zero(const __u8 a[16])
{
	return !*(__u64 *)a && !*(__u64 *)(a + 8);
}

// The sockets.

static __always_inline int here(__u64 sk)
{
	struct net *net = 0;
	__u32 inum = 0;

	READ(net, ((struct sock *)sk)->__sk_common.skc_net.net);
	READ(inum, net->ns.inum);
	return inum == network;
}

static __always_inline __u32 protocol_of(__u64 sk)
{
	__u16 protocol = 0;

	READ(protocol, ((struct sock *)sk)->sk_protocol);
	return protocol == MPTCP ? TCP : protocol;
}

static __always_inline int ipv6_only(__u64 sk)
{
	struct sock_common *c = (void *)sk;
	__u64 v = 0;

	bpf_probe_read_kernel(&v, __builtin_preserve_field_info(c->skc_ipv6only, 1),
			      (void *)c + __builtin_preserve_field_info(c->skc_ipv6only, 0));
	v <<= __builtin_preserve_field_info(c->skc_ipv6only, 4);
	return v >> __builtin_preserve_field_info(c->skc_ipv6only, 5) != 0;
}

static __always_inline int has_port(const struct port *key)
{
	__s64 *n = bpf_map_lookup_elem(&ports, key);

	return n && *n > 0;
}

static __always_inline void change_port(const struct port *key, __s64 by)
{
	__s64 *n = bpf_map_lookup_elem(&ports, key);

	if (!n && by > 0) {
		if (!bpf_map_update_elem(&ports, key, &by, BPF_NOEXIST))
			return;
		n = bpf_map_lookup_elem(&ports, key);
		if (!n)
			add(FULL, 1);
	}
	if (n)
		__sync_fetch_and_add(n, by);
}

static __always_inline void change_ports(const struct held *h, __u32 which, __s64 by)
{
	struct port key = h->port;

	if (which & OWN)
		change_port(&key, by);
	if (which & FOUR) {
		key.address[10] = key.address[11] = 0xff;
		change_port(&key, by);
	}
}

// count_port enters the port that a socket is bound to.
static __attribute__((noinline)) int count_port(__u64 sk)
{
	struct sock *s = (void *)sk;
	struct held *h = bpf_map_lookup_elem(&sockets, &sk);
	struct port key = {};
	__u16 family = 0;
	__u32 four, which = OWN;

	if (!h || h->counted)
		return 0;
	READ(key.port, s->__sk_common.skc_num);
	if (!key.port)
		return 0;
	key.protocol = protocol_of(sk);
	READ(family, s->__sk_common.skc_family);
	if (family == AF_INET) {
		READ(four, s->__sk_common.skc_rcv_saddr);
		mapped(key.address, &four);
	} else {
		READ(key.address, s->__sk_common.skc_v6_rcv_saddr);
		if (is_zero(key.address) && !ipv6_only(sk))
			which |= FOUR;
	}
	if (__sync_val_compare_and_swap(&h->counted, 0, which))
		return 0;
	h->port = key;
	change_ports(h, which, 1);
	return 0;
}

static __always_inline void discount_port(struct held *h)
{
	__u32 which = __sync_lock_test_and_set(&h->counted, 0);

	if (which)
		change_ports(h, which, -1);
}

// flow_of reports whether a socket has another end, and makes the key of both.
static __always_inline int flow_of(__u64 sk, struct flow *f)
{
	struct sock *s = (void *)sk;
	__u16 family = 0, port = 0;
	__u32 four;

	READ(port, s->__sk_common.skc_dport);
	READ(f->local_port, s->__sk_common.skc_num);
	if (!port || !f->local_port)
		return 0;
	f->remote_port = bpf_ntohs(port);
	f->protocol = protocol_of(sk);
	READ(family, s->__sk_common.skc_family);
	if (family == AF_INET) {
		READ(four, s->__sk_common.skc_rcv_saddr);
		mapped(f->local, &four);
		READ(four, s->__sk_common.skc_daddr);
		mapped(f->remote, &four);
	} else {
		READ(f->local, s->__sk_common.skc_v6_rcv_saddr);
		READ(f->remote, s->__sk_common.skc_v6_daddr);
	}
	return 1;
}

static __always_inline int is_datagram(__u32 protocol) { return protocol == UDP || protocol == UDPLITE; }

// note_other enters a socket of UDP that is not a member's and is bound to an address.
static __attribute__((noinline)) int note_other(__u64 sk)
{
	struct sock *s = (void *)sk;
	struct port key = {};
	__u16 family = 0;
	__u32 four;

	READ(key.port, s->__sk_common.skc_num);
	READ(family, s->__sk_common.skc_family);
	key.protocol = protocol_of(sk);
	if (!key.port || !is_datagram(key.protocol) || (family != AF_INET && family != AF_INET6) || !here(sk))
		return 0;
	if (family == AF_INET) {
		READ(four, s->__sk_common.skc_rcv_saddr);
		if (!four)
			return 0;
		mapped(key.address, &four);
	} else {
		READ(key.address, s->__sk_common.skc_v6_rcv_saddr);
		if (is_zero(key.address))
			return 0;
	}
	bpf_map_update_elem(&others, &key, &sk, BPF_ANY);
	return 0;
}

// other returns the socket of an entry, if it is no member's now, else 0.
static __always_inline __u64 other(const __u64 *entry)
{
	__u64 sk = entry ? *entry : 0;

	return bpf_map_lookup_elem(&sockets, &sk) ? 0 : sk;
}

// waits reports whether the socket of an entry is there and gets datagrams from anybody at a port, which
// is taken from it when it is closed.
static __always_inline int waits(const __u64 *entry, __u16 at)
{
	__u64 sk = other(entry);
	__u16 port = 0, remote = 0;

	if (!sk)
		return 0;
	READ(port, ((struct sock *)sk)->__sk_common.skc_num);
	READ(remote, ((struct sock *)sk)->__sk_common.skc_dport);
	return port == at && !remote;
}

// connects reports whether the socket of an entry is there and has those ends.
static __always_inline int connects(const __u64 *entry, const struct flow *f)
{
	__u64 sk = other(entry), differ = 0;
	struct flow now = {};

	if (!sk || !flow_of(sk, &now))
		return 0;
	for (int i = 0; i < sizeof(now) / 8; i++)
		differ |= ((__u64 *)&now)[i] ^ ((__u64 *)f)[i];
	return !differ;
}

// adopt makes a socket one of a member, with what it is bound to and connected to already.
static __attribute__((noinline)) int adopt(__u64 sk)
{
	struct sock *s = (void *)sk;
	struct held h = {};
	struct owner o = {};
	struct flow f = {};
	__u16 family = 0;
	__u32 protocol;
	__u8 state = 0;

	READ(family, s->__sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (bpf_map_lookup_elem(&sockets, &sk) || !here(sk))
		return 0;
	h.serial = next_serial();
	if (bpf_map_update_elem(&sockets, &sk, &h, BPF_NOEXIST)) {
		add(FULL, 1);
		return 0;
	}
	protocol = protocol_of(sk);
	READ(state, s->__sk_common.skc_state);
	if (protocol != TCP && !is_datagram(protocol))
		return 0;
	if (flow_of(sk, &f)) {
		o.socket = sk;
		o.serial = h.serial;
		bpf_map_update_elem(&flows, &f, &o, BPF_ANY);
	} else if (protocol != TCP || state == LISTEN) {
		count_port(sk);
	}
	return 0;
}

static __always_inline int current_is_member(void)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&members, &process) != 0;
}

static __always_inline int adopt_if_member(__u64 sk)
{
	if (current_is_member())
		adopt(sk);
	return 1;
}

SEC("cgroup/sock_create")
int created(struct bpf_sock *sk) { return adopt_if_member((__u64)sk); }

SEC("cgroup/connect4")
int connects4(struct bpf_sock_addr *ctx) { return adopt_if_member(address(ctx->sk)); }

SEC("cgroup/connect6")
int connects6(struct bpf_sock_addr *ctx) { return adopt_if_member(address(ctx->sk)); }

SEC("cgroup/sendmsg4")
int sends4(struct bpf_sock_addr *ctx) { return adopt_if_member(address(ctx->sk)); }

SEC("cgroup/sendmsg6")
int sends6(struct bpf_sock_addr *ctx) { return adopt_if_member(address(ctx->sk)); }

static __always_inline int bound(__u64 sk)
{
	if (!is_datagram(protocol_of(sk)))
		return 1;
	if (bpf_map_lookup_elem(&sockets, &sk))
		count_port(sk);
	else
		note_other(sk);
	return 1;
}

SEC("cgroup/post_bind4")
int bound4(struct bpf_sock *sk) { return bound((__u64)sk); }

SEC("cgroup/post_bind6")
int bound6(struct bpf_sock *sk) { return bound((__u64)sk); }

SEC("cgroup/sock_release")
int released(struct bpf_sock *ctx)
{
	__u64 sk = (__u64)ctx;
	struct held *h = bpf_map_lookup_elem(&sockets, &sk);

	if (h) {
		discount_port(h);
		bpf_map_delete_elem(&sockets, &sk);
	}
	return 1;
}

// The port of a listener counts from LISTEN on: before, nobody can connect to it.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(listens, struct sock *s, int old, int now)
{
	__u64 sk = (__u64)s;
	struct held *h;

	if (now == LISTEN) {
		count_port(sk);
	} else if (old == LISTEN) {
		h = bpf_map_lookup_elem(&sockets, &sk);
		if (h)
			discount_port(h);
	}
	return 0;
}

// disown forgets a socket that another process uses now.
static __always_inline void disown(__u64 sk)
{
	struct held *h = bpf_map_lookup_elem(&sockets, &sk);
	struct flow f = {};

	if (h) {
		discount_port(h);
		bpf_map_delete_elem(&sockets, &sk);
	}
	if (flow_of(sk, &f))
		bpf_map_delete_elem(&flows, &f);
}

// used follows a socket that was handed over: it belongs to a member when one uses it, and not when
// another process does. It runs when the use has ended; of what is sent, egress sees it before.
static __always_inline int used(struct sock *s)
{
	__u64 sk = (__u64)s;
	struct held *h;
	__u16 family = s->__sk_common.skc_family;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	h = bpf_map_lookup_elem(&sockets, &sk);
	if (current_is_member()) {
		if (!h)
			adopt(sk);
		return 0;
	}
	if (!h && !bpf_sk_storage_get(&marks, s, 0, 0))
		return 0;
	disown(sk);
	bpf_sk_storage_delete(&marks, s);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk) { return used(sk); }

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk) { return used(sk); }

// The processes.

static __always_inline int same(const __u64 name[8])
{
	__u64 differ = 0;

	for (int i = 0; i < 8; i++)
		differ |= name[i] ^ wanted[i];
	return !differ;
}

// socket_of returns the address of the socket of an open file, 0 if it is none.
static __always_inline __u64 socket_of(struct file *file)
{
	struct inode *inode = 0;
	struct socket *socket = 0;
	struct sock *sk = 0;
	__u16 mode = 0;

	READ(inode, file->f_inode);
	READ(mode, inode->i_mode);
	if ((mode & 0170000) != 0140000) // S_IFSOCK
		return 0;
	READ(socket, file->private_data);
	READ(sk, socket->sk);
	return (__u64)sk;
}

struct walk {
	struct file **files;
};

static long adopt_file(__u32 n, struct walk *w)
{
	struct file *file = 0;
	__u64 sk;

	bpf_probe_read_kernel(&file, sizeof(file), w->files + n);
	if (!file)
		return 0;
	sk = socket_of(file);
	if (sk)
		adopt(sk);
	return 0;
}

// adopt_files makes the sockets that a process has already those of a member.
static __always_inline void adopt_files(struct task_struct *task)
{
	struct files_struct *files = 0;
	struct fdtable *table = 0;
	struct walk w = {};
	__u32 n = 0;

	READ(files, task->files);
	READ(table, files->fdt);
	READ(n, table->max_fds);
	READ(w.files, table->fd);
	if (w.files)
		bpf_loop(n > 1 << 20 ? 1 << 20 : n, adopt_file, &w, 0);
}

static __always_inline int join(__u32 process)
{
	__u8 one = 1;

	switch (bpf_map_update_elem(&members, &process, &one, BPF_NOEXIST)) {
	case 0:
		add(FOLLOWED, 1);
		return 1;
	case -17: // EEXIST
		return 0;
	}
	add(FULL, 1);
	return 0;
}

static __always_inline int has_name(struct task_struct *task)
{
	__u64 name[8] = {}, exe[8] = {};
	const unsigned char *text = 0;
	struct dentry *dentry = 0;
	struct mm_struct *mm = 0;
	struct file *file = 0;

	bpf_probe_read_kernel_str(name, sizeof(task->comm), &task->comm);
	if (same(name))
		return 1;
	READ(mm, task->mm);
	READ(file, mm->exe_file);
	READ(dentry, file->f_path.dentry);
	READ(text, dentry->d_name.name);
	if (!mm || bpf_probe_read_kernel_str(exe, sizeof(exe), text) <= 1)
		return 0;
	return same(exe);
}

// number_of returns the number of a process in the namespace pid_namespace.
static __always_inline __u32 number_of(struct task_struct *task)
{
	struct pid_namespace *ns;
	struct pid *pid = 0;
	__u32 level = 0, inum, nr;

	READ(pid, task->thread_pid);
	READ(level, pid->level);
	for (__u32 i = 0; i < 32 && i <= level; i++) {
		struct upid *u = (void *)&pid->numbers +
				 i * __builtin_preserve_type_info(*(struct upid *)0, 1); // its size

		inum = nr = 0;
		ns = 0;
		READ(ns, u->ns);
		READ(inum, ns->ns.inum);
		READ(nr, u->nr);
		if (inum == pid_namespace)
			return nr;
	}
	return 0;
}

static __always_inline int named(struct task_struct *task)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;

	if (wanted_pid || bpf_map_lookup_elem(&members, &process) || !has_name(task))
		return 0;
	if (join(process))
		adopt_files(task);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	__u32 from = parent->tgid;

	if (child->tgid != from && bpf_map_lookup_elem(&members, &from))
		join(child->tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task) { return named(task); }

// A process may also take a name (prctl(2), PR_SET_NAME).
SEC("tp_btf/task_rename")
int BPF_PROG(renamed, struct task_struct *task, const char *comm)
{
	__u64 name[8] = {};
	__u32 process = task->tgid;

	if (wanted_pid || task->pid != task->tgid || process != bpf_get_current_pid_tgid() >> 32)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(task->comm), comm);
	if (same(name) && join(process))
		adopt_files(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	__u32 process = task->tgid;

	if (task->signal->live.counter == 0 && !bpf_map_delete_elem(&members, &process))
		add(FOLLOWED, -1);
	return 0;
}

// Writes a byte for each process that is a member from now on: it runs until there is none.
SEC("iter/task")
int processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *parent;
	__u32 process, from;
	__u8 one = 1;

	if (!task || task->pid != task->tgid)
		return 0;
	parent = task->real_parent;
	process = task->tgid;
	from = parent->tgid;
	if (bpf_map_lookup_elem(&members, &process))
		return 0;
	if (bpf_map_lookup_elem(&members, &from) ||
	    (wanted_pid ? number_of(task) == wanted_pid : has_name(task))) {
		if (join(process))
			bpf_seq_write(ctx->meta->seq, &one, 1);
	}
	return 0;
}

SEC("iter/task_file")
int files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u32 process;
	__u64 sk;

	if (!task || !file)
		return 0;
	process = task->tgid;
	sk = socket_of(file);
	if (!sk)
		return 0;
	if (bpf_map_lookup_elem(&members, &process))
		adopt(sk);
	else
		note_other(sk);
	return 0;
}

// The packets.

struct packet {
	__u8 source[16], destination[16];
	__u16 source_port, destination_port;
	__u32 id; // of fragments
	__u8 protocol, kind, first, later; // first or later fragment of several
	__u8 to_one; // of what comes in: not to all, nor to a group
};

enum {
	ORDINARY,
	BEGINS, // a SYN without ACK
	ASKS, // an echo request
	ANSWERS, // an echo reply
	COMPLAINS, // an ICMP error: the ends and the protocol are those of the packet that it is about
	NOBODYS, // ICMP of other types, which is of the kernel
};

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == TCP || is_datagram(protocol) || protocol == SCTP || protocol == DCCP;
}

// parse_quoted reads the packet in an ICMP error, at least the first 8 bytes of whose transport are
// there.
static __always_inline int parse_quoted(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	__u8 h[40], first;
	__u16 ports[2];

	p->kind = COMPLAINS;
	if (bpf_skb_load_bytes(skb, at, &first, 1))
		return 0;
	if (first >> 4 == 4) {
		if (bpf_skb_load_bytes(skb, at, h, 20))
			return 0;
		mapped(p->source, h + 12);
		mapped(p->destination, h + 16);
		p->protocol = h[9];
		at += (first & 15) * 4;
	} else {
		if (bpf_skb_load_bytes(skb, at, h, 40))
			return 0;
		__builtin_memcpy(p->source, h + 8, 16);
		__builtin_memcpy(p->destination, h + 24, 16);
		p->protocol = h[6];
		at += 40;
	}
	p->source_port = p->destination_port = 0;
	if (has_ports(p->protocol)) {
		if (bpf_skb_load_bytes(skb, at, ports, 4))
			return 0;
		p->source_port = bpf_ntohs(ports[0]);
		p->destination_port = bpf_ntohs(ports[1]);
	} else if (p->protocol == ICMP || p->protocol == ICMP6) {
		if (bpf_skb_load_bytes(skb, at + 4, ports, 2))
			return 0;
		p->source_port = p->destination_port = bpf_ntohs(ports[0]);
	}
	return 1;
}

static __always_inline int parse_transport(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	__u8 h[14], type;

	if (p->later)
		return 1;
	if (has_ports(p->protocol)) {
		if (bpf_skb_load_bytes(skb, at, h, 4))
			return 0;
		p->source_port = h[0] << 8 | h[1];
		p->destination_port = h[2] << 8 | h[3];
		if (p->protocol != TCP)
			return 1;
		if (bpf_skb_load_bytes(skb, at, h, 14))
			return 0;
		if ((h[13] & 0x12) == 0x02)
			p->kind = BEGINS;
		return 1;
	}
	if (p->protocol != ICMP && p->protocol != ICMP6)
		return 1;
	if (bpf_skb_load_bytes(skb, at, h, 8))
		return 0;
	type = h[0];
	p->source_port = p->destination_port = h[4] << 8 | h[5];
	if (type == (p->protocol == ICMP ? 8 : 128))
		p->kind = ASKS;
	else if (type == (p->protocol == ICMP ? 0 : 129))
		p->kind = ANSWERS;
	else if (p->protocol == ICMP ? type == 3 || type == 11 || type == 12 || type == 4 : type >= 1 && type <= 4)
		return parse_quoted(skb, at + 8, p);
	else
		p->kind = NOBODYS;
	return 1;
}

// parse reads the headers of a packet from IP on; 0 if it is another, or not whole.
static __attribute__((noinline)) int parse(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	__u8 h[40], next;
	__u16 offset;

	if (bpf_skb_load_bytes(skb, at, h, 20))
		return 0;
	if (h[0] >> 4 == 4) {
		mapped(p->source, h + 12);
		mapped(p->destination, h + 16);
		p->protocol = h[9];
		p->id = h[4] << 8 | h[5];
		offset = (h[6] & 0x1f) << 8 | h[7];
		p->later = offset != 0;
		p->first = !offset && h[6] & 0x20;
		return parse_transport(skb, at + (h[0] & 15) * 4, p);
	}
	if (h[0] >> 4 != 6 || bpf_skb_load_bytes(skb, at, h, 40))
		return 0;
	__builtin_memcpy(p->source, h + 8, 16);
	__builtin_memcpy(p->destination, h + 24, 16);
	next = h[6];
	at += 40;
	for (int i = 0; i < 6; i++) {
		if (next != 0 && next != 43 && next != 44 && next != 60 && next != 51) // extension headers
			break;
		if (bpf_skb_load_bytes(skb, at, h, 8))
			return 0;
		if (next == 44) {
			offset = (h[2] << 8 | h[3]) & 0xfff8;
			p->later = offset != 0;
			p->first = !offset && h[3] & 1;
			p->id = (__u32)h[4] << 24 | h[5] << 16 | h[6] << 8 | h[7];
			at += 8;
		} else {
			at += next == 51 ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
		}
		next = h[0];
		if (p->later)
			break;
	}
	p->protocol = next;
	return parse_transport(skb, at, p);
}

static __always_inline void from_source(const struct packet *p, struct flow *f)
{
	__builtin_memcpy(f->local, p->source, 16);
	__builtin_memcpy(f->remote, p->destination, 16);
	f->local_port = p->source_port;
	f->remote_port = p->destination_port;
	f->protocol = p->protocol;
}

static __always_inline void from_destination(const struct packet *p, struct flow *f)
{
	__builtin_memcpy(f->local, p->destination, 16);
	__builtin_memcpy(f->remote, p->source, 16);
	f->local_port = p->destination_port;
	f->remote_port = p->source_port;
	f->protocol = p->protocol;
}

// user_socket returns the socket that processes know: of a part of an MPTCP connection, which the
// kernel makes by itself, the connection.
static __always_inline __u64 user_socket(__u64 sk)
{
	struct inet_connection_sock *c = (void *)sk;
	struct mptcp_subflow_context *subflow = 0;
	const struct tcp_ulp_ops *ops = 0;
	struct sock *parent = 0;
	char name[8] = {};

	if (protocol_of(sk) != TCP)
		return sk;
	READ(ops, c->icsk_ulp_ops);
	if (!ops)
		return sk;
	READ(name, ops->name);
	if (*(__u64 *)name != 0x706374706dULL) // "mptcp", the first byte is the lowest
		return sk;
	READ(subflow, c->icsk_ulp_data);
	READ(parent, subflow->conn);
	return parent ? (__u64)parent : sk;
}

// is_open reports whether a socket belongs to a file: the kernel answers by some that do not.
static __always_inline int is_open(__u64 sk)
{
	struct socket *socket = 0;
	struct file *file = 0;

	READ(socket, ((struct sock *)sk)->sk_socket);
	READ(file, socket->file);
	return file != 0;
}

enum { UNKNOWN, MEMBERS, OTHERS };

// sender returns whose process sends a packet of a socket, if that can be known. The kernel sends for
// TCP at any time, on any process, but never while one has locked the socket. What others send is
// sent at once, by whoever calls; so is no answer of the kernel, which has sockets without files for
// it. A process that ends closes its sockets when it is no member any more.
static __always_inline int sender(__u64 sk, __u64 user)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sock *s = (void *)sk;
	__u32 flags = 0, process = 0;
	__u8 state = 0;
	int owned = 0;

	if (protocol_of(sk) == TCP) {
		READ(owned, s->sk_lock.owned);
		READ(state, s->__sk_common.skc_state);
		// Not that of a listener, whose SYN-ACK the kernel sends; who only closes a socket is not its user.
		if (!owned || (state != ESTABLISHED && state != SYN_SENT && state != CLOSE_WAIT))
			return UNKNOWN;
	}
	READ(flags, task->flags);
	if (flags & (PF_EXITING | PF_KTHREAD))
		return UNKNOWN;
	READ(process, task->tgid);
	if (!bpf_map_lookup_elem(&members, &process))
		return OTHERS;
	return is_open(user) ? MEMBERS : UNKNOWN;
}

// exists reports whether there is an entry. The compiler does not reckon with the pointer instead,
// which the verifier forbids.
static __always_inline int exists(const void *entry)
{
	int yes = entry != 0;

	asm volatile("" : "+r"(yes));
	return yes;
}

// settle brings what is known of a socket up to date by who sends on it, and reports whether the
// packet is a member's.
static __always_inline int settle(struct bpf_sock *s, __u64 sk, __u64 user)
{
	int ours = exists(bpf_sk_storage_get(&marks, s, 0, 0)), held = exists(bpf_map_lookup_elem(&sockets, &user));

	switch (sender(sk, user)) {
	case MEMBERS:
		if (!held)
			adopt(user);
		held = 1;
		break;
	case OTHERS:
		if (!held && !ours)
			return 0;
		disown(user);
		bpf_sk_storage_delete(&marks, s);
		return 0;
	}
	if (held && !ours)
		bpf_sk_storage_get(&marks, s, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return held || ours;
}

// note_foreign enters the ends of a connected socket that is not a member's, if one of a member may be
// bound to the same port.
static __always_inline void note_foreign(__u64 sk, const struct flow *f)
{
	struct port key = {.port = f->local_port, .protocol = f->protocol};
	__u16 remote = 0;
	__u64 *known;

	READ(remote, ((struct sock *)sk)->__sk_common.skc_dport);
	if (!remote || !here(sk))
		return;
	__builtin_memcpy(key.address, f->local, 16);
	if (!has_port(&key)) {
		if (is_mapped(f->local))
			__builtin_memset(key.address + 12, 0, 4);
		else
			__builtin_memset(key.address, 0, 16);
		if (!has_port(&key))
			return;
	}
	known = bpf_map_lookup_elem(&foreign, f);
	if (!known || *known != sk)
		bpf_map_update_elem(&foreign, f, &sk, BPF_ANY);
}

// egress enters the ends of what members send. When another process sends from there, they are its.
// The kernel itself does so, too, for connections that were closed: it never begins one.
SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct bpf_sock *s = skb->sk;
	struct owner o = {}, *known;
	struct packet p = {};
	struct flow f = {};
	struct held *h;
	__u64 sk;
	__u16 port = 0;
	__u8 state = 0;
	int ours;

	if (!s)
		return 1;
	s = bpf_sk_fullsock(s);
	if (!s)
		return 1;
	sk = address(s);
	ours = settle(s, sk, user_socket(sk));
	READ(state, ((struct sock *)sk)->__sk_common.skc_state);
	if (!ours && s->type == STREAM && state == ESTABLISHED) // the most, and it begins nothing
		return 1;
	if (!parse(skb, 0, &p) || p.later || p.kind == COMPLAINS || p.kind == NOBODYS)
		return 1;
	from_source(&p, &f);
	if (!ours) {
		if (((p.protocol != TCP && p.kind != ANSWERS) || p.kind == BEGINS) && bpf_map_lookup_elem(&flows, &f) &&
		    here(sk))
			bpf_map_delete_elem(&flows, &f);
		if (is_datagram(p.protocol))
			note_foreign(sk, &f);
		return 1;
	}
	h = bpf_map_lookup_elem(&sockets, &sk);
	o.socket = sk;
	o.serial = h ? h->serial : 0;
	known = bpf_map_lookup_elem(&flows, &f);
	if (!known || known->socket != o.socket || known->serial != o.serial)
		bpf_map_update_elem(&flows, &f, &o, BPF_ANY);
	if (h && !h->counted) {
		READ(port, ((struct sock *)sk)->__sk_common.skc_dport);
		if (is_datagram(p.protocol) ? port == 0 : p.protocol == TCP && state == LISTEN)
			count_port(sk);
	}
	return 1;
}

// is_held reports whether a flow is one of a member now. Those of TCP live longer than their
// sockets; when another process begins one, egress has deleted them.
static __always_inline int is_held(const struct flow *f)
{
	struct owner *o = bpf_map_lookup_elem(&flows, f);
	struct held *h;
	__u64 sk;

	if (!o)
		return 0;
	if (!is_datagram(f->protocol) && f->protocol != ICMP && f->protocol != ICMP6)
		return 1;
	sk = o->socket;
	h = bpf_map_lookup_elem(&sockets, &sk);
	return h && h->serial == o->serial;
}

// is_bound reports whether a member receives at the destination of a packet, from anybody, and no other
// process that has a socket for it alone.
static __always_inline int is_bound(const struct packet *p, int loopback)
{
	struct {
		__u32 bits;
		__u8 address[16];
	} prefix = {.bits = 128};
	struct port key = {.port = p->destination_port, .protocol = p->protocol};

	struct flow f = {};
	__u64 *known;

	__builtin_memcpy(key.address, p->destination, 16);
	if (p->to_one && is_datagram(p->protocol)) {
		from_destination(p, &f);
		known = bpf_map_lookup_elem(&others, &key);
		if (connects(bpf_map_lookup_elem(&foreign, &f), &f) || connects(known, &f))
			return 0;
		if (has_port(&key))
			return 1;
		if (waits(known, key.port))
			return 0;
	} else if (has_port(&key)) {
		return 1;
	}
	if (is_mapped(p->destination))
		__builtin_memset(key.address + 12, 0, 4);
	else
		__builtin_memset(key.address, 0, 16);
	if (!has_port(&key))
		return 0;
	__builtin_memcpy(prefix.address, p->destination, 16);
	return loopback || bpf_map_lookup_elem(&addresses, &prefix);
}

static __always_inline int is_wanted(const struct packet *p, int outgoing, int loopback)
{
	struct flow f = {};

	if (p->kind == NOBODYS)
		return 0;
	if (p->kind == COMPLAINS) {
		from_source(p, &f);
		return !outgoing && is_held(&f);
	}
	if ((outgoing || loopback) && p->kind != ANSWERS) {
		from_source(p, &f);
		if (is_held(&f))
			return 1;
	}
	if (outgoing || p->kind == ASKS)
		return 0;
	if (p->kind == BEGINS)
		return is_bound(p, loopback);
	from_destination(p, &f);
	return is_held(&f) || (is_datagram(p->protocol) && is_bound(p, loopback));
}

// of_process takes a packet that the expression has taken, if it is one of a member. The expression
// left in cb how many bytes are kept, whether there is an Ethernet header, and whether the interface
// is a loopback.
SEC("socket")
int of_process(struct __sk_buff *skb)
{
	__u32 keep = skb->cb[0], loopback = skb->cb[2], at = 0;
	struct fragment key = {};
	struct packet p = {};
	__u16 type;
	__u8 one = 1;

	if (skb->cb[1]) {
		at = 12;
		for (int i = 0; i < 4; i++) {
			if (bpf_skb_load_bytes(skb, at, &type, 2))
				return 0;
			at += 2;
			if (type != bpf_htons(0x8100) && type != bpf_htons(0x88a8))
				break;
			at += 2;
		}
		if (type != bpf_htons(0x0800) && type != bpf_htons(0x86dd))
			return 0;
	}
	if (!parse(skb, at, &p))
		return 0;
	if (p.first || p.later) {
		__builtin_memcpy(key.source, p.source, 16);
		__builtin_memcpy(key.destination, p.destination, 16);
		key.id = p.id;
		key.protocol = p.protocol;
	}
	if (p.later)
		return bpf_map_lookup_elem(&fragments, &key) ? keep : 0;
	p.to_one = skb->pkt_type == 0 && // PACKET_HOST
		   (is_mapped(p.destination) ? p.destination[12] < 224 : p.destination[0] != 0xff);
	if (!is_wanted(&p, skb->pkt_type == 4, loopback)) // PACKET_OUTGOING
		return 0;
	if (p.first)
		bpf_map_update_elem(&fragments, &key, &one, BPF_ANY);
	return keep;
}
