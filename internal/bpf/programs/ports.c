// Which process opens, accepts, uses and closes each socket of TCP, UDP, ICMP and raw IP.
//
// What is known of a socket is kept beside the socket itself (sk_storage), which cannot lose or mix
// it up: each event carries all that user space needs, though earlier ones were lost. A socket is
// known by its address, its cookie and its network namespace, because the one that accept(2) returns
// for MPTCP has its listener's cookie.
#include "common.h"
#include "bpf_endian.h"
#include "bpf_helpers.h"
#include "bpf_tracing.h"

char __license[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_ICMPV6 58
#define IPPROTO_MPTCP 262
#define SOCK_RAW 3
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000
#define PF_KTHREAD 0x00200000
#define BPF_F_NO_PREALLOC 1
#define BPF_F_CLONE 512
#define CREATE 1 // BPF_SK_STORAGE_GET_F_CREATE
#define MOST_ATTEMPTS 1000 // from outside at closed ports that are told, a second and processor
#define PIDNS_DEPTH 8 // deeper ones are not looked for
#define NAME 16  // TASK_COMM_LEN
#define DONE 2   // 1 << SOCK_DONE of skc_flags: a FIN came
#define SLOTS 1024

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, CLOSE = 7, LAST_ACK = 9, LISTEN }; // include/net/tcp_states.h

// The kernel's types, as far as they are read. The loader finds the places of their members.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common {
	unsigned int inum;
};
struct net {
	struct ns_common ns;
};
struct pid_namespace {
	struct ns_common ns;
};
typedef struct {
	struct net *net;
} possible_net_t;
struct in6_addr {
	__u8 bytes[16];
};
typedef struct {
	__s64 counter;
} atomic64_t;
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	possible_net_t skc_net;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};
struct file;
struct socket;
typedef struct {
	int owned;
} socket_lock_t;
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_err;
	struct socket *sk_socket;
	__u16 sk_protocol;
	__u16 sk_type;
};
struct inet_sock {
	__be16 inet_sport;
};
struct inet_connection_sock {
	void *icsk_ulp_data;
};
struct tcp_sock {
	_Bool is_mptcp;
	__u64 bytes_received;
	__u32 copied_seq, rcv_nxt, write_seq;
};
struct mptcp_subflow_context {
	struct sock *conn;
};
struct mptcp_sock {
	struct sock *first;
};
struct socket {
	struct file *file;
	struct sock *sk;
};
struct super_block {
	__u32 s_dev;
};
struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};
struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};
struct file {
	void *private_data;
	struct inode *f_inode;
};
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct mm_struct {
	struct file *exe_file;
};
struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	unsigned int level;
	struct upid numbers[1];
};
typedef struct {
	__u32 val;
} kuid_t;
struct cred {
	kuid_t uid;
};
struct kernfs_node {
	__u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
typedef struct {
	int counter;
} atomic_t;
struct signal_struct {
	atomic_t live;
};
struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	__u64 self_exec_id;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
	struct cred *cred;
	struct css_set *cgroups;
	char comm[NAME];
};
struct linux_binprm {
	const char *filename;
};
struct net_device {
	possible_net_t nd_net;
};
struct sk_buff {
	struct net_device *dev;
	unsigned char *head;
	__u16 transport_header;
	__u16 network_header;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};
#pragma clang attribute pop

// The contexts of the hooks of cgroups are the kernel's interface (include/uapi/linux/bpf.h).
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority, src_ip4, src_ip6[4], src_port;
	__be16 dst_port;
	__u16 : 16;
	__u32 dst_ip4, dst_ip6[4], state;
	__s32 rx_queue_mapping;
};
struct bpf_sock_addr {
	__u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4];
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
};

#define READ(p, member)                                                  \
	({                                                               \
		typeof((p)->member) __v = 0;                             \
		bpf_probe_read_kernel(&__v, sizeof(__v), &(p)->member); \
		__v;                                                     \
	})
#define EXISTS(p, member) __builtin_preserve_field_info((p)->member, 2)

// The number of a process is that which it has in the appliance's pid namespace, of which this is
// the inode; 0: it is the initial one.
const volatile __u32 pidns;

// The kernel does not tell who sends and receives, and how much: it does since Linux 6.3. Sockets of
// UDP are told of by what else is seen of them then.
const volatile __u32 uncounted;

enum kind { OPEN = 1, BIND, LISTENING, CONNECTED, PASSIVE, ACCEPT, PEERNAME, USE, FLOW, CLOSED, FAILED, REJECTED, SHUT, HELD, FORK, EXEC, EXIT };

// A process, as user space tells it from others: by its number, its start and how often it executed
// a file. dev and ino are that file's.
struct who {
	__u64 start, cgroup, ino;
	__u32 dev, id, pid, exec, uid, unused;
	char name[NAME];
};

struct peer {
	__u8 address[16];
	__u16 port, family; // of the socket where address came from; 0: none
	__u32 unused;
};

enum { ANNOUNCED = 1, CONNECTING = 2, ATTEMPTED = 4, INCOMING = 8, USED = 16, RELEASED = 32, ENDED = 64, BOUND = 128, TOLD = 256, OLD = 512, HINTED = 1024, TIED = 2048 };

// What is kept beside a socket. A child of a listener gets a copy of the listener's, of which self
// is the address.
struct known {
	__u64 self, born, began, released, sent, received;
	__u64 last; // when its user used it
	struct who opener, user, closer, accepter;
	struct peer peer;
	__u32 flags, unused;
};

struct event {
	__u8 kind, state;
	__u16 family, protocol, local_port, remote_port, flags;
	__s32 error;
	__u64 time, began, sk, cookie, inode;
	__u32 netns;
	__u16 type, remote_family;
	__u8 local[16], remote[16];
	struct who who;
};

struct closing {
	struct event event;
	__u64 born, sent, received;
	struct who opener, user, accepter;
};

struct process {
	__u8 kind, unused[7];
	__u64 time;
	struct who who, parent;
	char file[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct known);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); // events that the ring had no room for; attempts that were too many
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

struct attempts {
	__u64 second, n;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct attempts);
} attempts SEC(".maps");

struct conversation {
	__u64 sk, cookie;
	struct peer peer;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct conversation);
	__type(value, __u32); // of whom it was told
} conversations SEC(".maps");

// What was accepted lately, and by whom, in one number; the slot is by the socket's address.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} lately SEC(".maps");

static __always_inline __u64 acceptance(__u64 sk, __u64 cookie, __u32 tgid)
{
	return (sk ^ tgid) * 0x9e3779b97f4a7c15 + cookie * 0xc2b2ae3d27d4eb4f;
}

static __always_inline __u64 *slot(__u64 sk)
{
	__u32 i = sk >> 6 & (SLOTS - 1);

	return bpf_map_lookup_elem(&lately, &i);
}

static __always_inline void remember(__u64 sk, __u64 cookie, __u32 tgid)
{
	__u64 *a = slot(sk);

	if (a)
		*a = acceptance(sk, cookie, tgid);
}

// remembered reports whether a process is known to have accepted a socket: its first use then tells
// nothing new. What is not remembered any more is only told twice.
static __always_inline int remembered(struct known *k, __u64 cookie, __u32 tgid)
{
	__u64 sk = *(volatile __u64 *)&k->self; // a number: the verifier refuses to reckon with addresses
	__u64 *a = slot(sk);

	return a && *a == acceptance(sk, cookie, tgid);
}

static __always_inline void lose(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &which);

	if (n)
		*n += 1;
}

static __always_inline void *reserve(__u64 size)
{
	void *e = bpf_ringbuf_reserve(&events, size, 0);

	if (e)
		__builtin_memset(e, 0, size);
	else
		lose(0);
	return e;
}

// many reports whether attempts from outside come so fast, as in a scan of ports or a flood, that
// they would leave no room for what processes do.
static __always_inline int many(void)
{
	__u64 second = bpf_ktime_get_ns() / 1000000000;
	__u32 zero = 0;
	struct attempts *a = bpf_map_lookup_elem(&attempts, &zero);

	if (!a)
		return 0;
	if (a->second != second) {
		a->second = second;
		a->n = 0;
	}
	if (a->n++ < MOST_ATTEMPTS)
		return 0;
	lose(1);
	return 1;
}

// numbered is the number of a process in the appliance's pid namespace; 0: it has none there.
static __always_inline __u32 numbered(struct task_struct *leader)
{
	struct pid *pid = leader->thread_pid;
	struct upid number = {};
	__u32 depth;

	if (!pid)
		return 0;
	if (!pidns)
		return pid->numbers[0].nr;
	depth = pid->level;
	for (__u32 i = 0; i <= PIDNS_DEPTH; i++) {
		if (i > depth)
			break;
		bpf_probe_read_kernel(&number, sizeof(number), (void *)&pid->numbers + i * sizeof(number));
		if (READ(number.ns, ns.inum) == pidns)
			return number.nr;
	}
	return 0;
}

// belongs reads the user and the cgroup of a task that is not the current one.
static __always_inline void belongs(struct task_struct *t, struct who *w)
{
	struct css_set *cgroups = t->cgroups;
	struct cred *cred = t->cred;

	if (cred)
		w->uid = cred->uid.val;
	if (cgroups) {
		struct cgroup *cgroup = cgroups->dfl_cgrp;
		struct kernfs_node *node = cgroup ? cgroup->kn : 0;

		if (node)
			w->cgroup = node->id;
	}
}

// identify reads who a task is. The verifier knows its type, so each member is a load and no call.
//
// For each pointer that is loaded from what it trusts, the verifier looks through all of the kernel's
// types by name, some of them four times: that is most of what loading these programs costs. So of
// the current task only those pointers are loaded that no helper knows.
static __always_inline void identify(struct task_struct *t, struct who *w, int current)
{
	struct task_struct *leader = t->group_leader;
	struct mm_struct *mm = t->mm;

	__builtin_memset(w, 0, sizeof(*w));
	if (t->flags & PF_KTHREAD || !leader)
		return;
	w->id = t->tgid;
	w->exec = t->self_exec_id;
	w->start = leader->start_boottime;
	__builtin_memcpy(w->name, leader->comm, NAME);
	if (current) {
		w->uid = bpf_get_current_uid_gid();
		w->cgroup = bpf_get_current_cgroup_id();
	} else {
		belongs(t, w);
	}
	w->pid = numbered(leader);
	if (mm) {
		struct file *file = mm->exe_file;
		struct inode *inode = file ? file->f_inode : 0;
		struct super_block *disk = inode ? inode->i_sb : 0;

		if (disk) {
			w->ino = inode->i_ino;
			w->dev = disk->s_dev;
		}
	}
}

static __noinline int me(struct who *w)
{
	if (w)
		identify(bpf_get_current_task_btf(), w, 1);
	return 0;
}

// is reports whether a task is of a process, and executes the same file as then. Numbers are used again.
static __always_inline int is(struct who *w, struct task_struct *t)
{
	struct task_struct *leader = t->group_leader;

	return w->id == t->tgid && w->exec == (__u32)t->self_exec_id && leader && w->start == leader->start_boottime;
}

// again is me where it is likely who was seen at the socket before: then less has to be read.
static __noinline int again(struct who *w, struct who *before)
{
	struct task_struct *t = bpf_get_current_task_btf(), *leader = t->group_leader;
	__u64 name[NAME / 8] = {};

	if (!w || !before || !leader)
		return 0;
	__builtin_memcpy(name, leader->comm, NAME);
	if (is(before, t) && before->uid == (__u32)bpf_get_current_uid_gid() && before->cgroup == bpf_get_current_cgroup_id() &&
	    ((__u64 *)before->name)[0] == name[0] && ((__u64 *)before->name)[1] == name[1])
		*w = *before;
	else
		me(w);
	return 0;
}

// at fills in where a socket is. The verifier knows no type of its address, since hooks have several.
static __noinline int at(struct event *e, __u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct socket_alloc *socket;

	if (!e)
		return 0;
	e->sk = address;
	e->family = e->remote_family = READ(sk, __sk_common.skc_family);
	e->state = READ(sk, __sk_common.skc_state);
	e->protocol = READ(sk, sk_protocol);
	e->type = READ(sk, sk_type);
	e->netns = READ(READ(sk, __sk_common.skc_net.net), ns.inum);
	socket = (struct socket_alloc *)READ(sk, sk_socket);
	if (socket)
		e->inode = READ(socket, vfs_inode.i_ino);
	// An accepted socket of MPTCP has its addresses late; its first subflow has them.
	if (e->protocol == IPPROTO_MPTCP && !READ(sk, __sk_common.skc_dport) && EXISTS((struct mptcp_sock *)0, first)) {
		struct sock *first = READ((struct mptcp_sock *)sk, first);

		if (first)
			sk = first;
	}
	e->local_port = READ(sk, __sk_common.skc_num);
	if (!e->local_port) // it was given back when the connection failed
		e->local_port = bpf_ntohs(READ((struct inet_sock *)sk, inet_sport));
	e->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	if (e->family == AF_INET6) {
		bpf_probe_read_kernel(e->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(e->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		bpf_probe_read_kernel(e->local, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_probe_read_kernel(e->remote, 4, &sk->__sk_common.skc_daddr);
	}
	return 0;
}

// place is at for a socket whose type the verifier knows: each member is a load and no call, but for
// pointers; see identify.
static __always_inline void place(struct event *e, struct sock *sk)
{
	struct net *net = READ(sk, __sk_common.skc_net.net);
	struct socket_alloc *socket = (struct socket_alloc *)READ(sk, sk_socket);

	if (sk->sk_protocol == IPPROTO_MPTCP) {
		at(e, (__u64)sk);
		return;
	}
	e->sk = (__u64)sk;
	e->family = e->remote_family = sk->__sk_common.skc_family;
	e->state = sk->__sk_common.skc_state;
	e->protocol = sk->sk_protocol;
	e->type = sk->sk_type;
	e->netns = READ(net, ns.inum);
	if (socket) // which begins further on than its type's end
		e->inode = READ(socket, vfs_inode.i_ino);
	e->local_port = sk->__sk_common.skc_num;
	if (!e->local_port)
		e->local_port = bpf_ntohs(READ((struct inet_sock *)sk, inet_sport));
	e->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (e->family == AF_INET6) {
		__builtin_memcpy(e->local, &sk->__sk_common.skc_v6_rcv_saddr, 16);
		__builtin_memcpy(e->remote, &sk->__sk_common.skc_v6_daddr, 16);
	} else {
		__builtin_memcpy(e->local, &sk->__sk_common.skc_rcv_saddr, 4);
		__builtin_memcpy(e->remote, &sk->__sk_common.skc_daddr, 4);
	}
}

// begun begins an event of the socket that something is known of. sk is the same, of a type that the
// verifier knows, or 0.
static __always_inline struct event *begun(struct known *k, struct sock *sk, __u8 kind, __u64 cookie)
{
	struct event *e = reserve(sizeof(*e));

	if (!e)
		return 0;
	e->kind = kind;
	e->time = bpf_ktime_get_ns();
	e->cookie = cookie;
	if (sk)
		place(e, sk);
	else
		at(e, k->self);
	e->flags = k->flags;
	e->began = k->began;
	return e;
}

static __always_inline void tell(struct known *k, struct sock *sk, __u8 kind, __u64 cookie, struct who *who)
{
	struct event *e = begun(k, sk, kind, cookie);

	if (!e)
		return;
	e->who = *who;
	bpf_ringbuf_submit(e, 0);
}

// taken is how many bytes processes received by a socket of TCP. The tracepoint does not see splice(2),
// nor memory that is mapped: TCP itself knows what came, and how much of it is left. It counts a FIN.
static __always_inline __u64 taken(struct known *k)
{
	struct tcp_sock *tcp = (struct tcp_sock *)k->self;
	__u64 all = READ(tcp, bytes_received);
	__u32 copied, next;

	if (all <= k->received + 1)
		return k->received;
	copied = READ(tcp, copied_seq);
	next = READ(tcp, rcv_nxt);
	all -= next - copied;
	if (next == copied && READ((struct sock *)tcp, __sk_common.skc_flags) & DONE)
		all--;
	return all > k->received ? all : k->received;
}

static __always_inline void tell_end(struct known *k, struct sock *sk, __u64 cookie)
{
	struct closing *c;

	if (k->flags & TOLD || !(k->flags & ANNOUNCED))
		return;
	k->flags |= TOLD;
	c = reserve(sizeof(*c));
	if (!c)
		return;
	c->event.kind = CLOSED;
	c->event.time = k->released ? k->released : bpf_ktime_get_ns();
	c->event.cookie = cookie;
	if (sk)
		place(&c->event, sk);
	else
		at(&c->event, k->self);
	c->event.flags = k->flags;
	c->event.began = k->began;
	c->event.who = k->closer;
	c->born = k->born;
	c->sent = k->sent;
	c->received = c->event.protocol == IPPROTO_TCP ? taken(k) : k->received;
	c->opener = k->opener;
	c->user = k->user;
	c->accepter = k->accepter;
	bpf_ringbuf_submit(c, 0);
}

// to makes a remote end the event's. TIED says that the socket is connected, which takes datagrams from
// no other end than that.
static __always_inline void to(struct event *e, struct peer *p)
{
	if (e->remote_port)
		e->flags |= TIED;
	e->remote_family = p->family;
	e->remote_port = p->port;
	__builtin_memcpy(e->remote, p->address, 16);
}

// own makes the copy that a child got from its listener the child's own. Who had the listener has it
// until it is accepted.
static __always_inline void own(struct known *k, __u64 address)
{
	struct who user;

	if (k->self == address)
		return;
	if (k->self) {
		user = k->user;
		__builtin_memset(k, 0, sizeof(*k));
		k->user = user;
		k->flags = INCOMING;
	}
	k->self = address;
	k->born = k->began = bpf_ktime_get_ns();
}

static __always_inline int inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

// subflow reports whether a socket is the kernel's own, below one of MPTCP.
static __always_inline int subflow(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	return READ(sk, sk_protocol) == IPPROTO_TCP && EXISTS(tcp, is_mptcp) && READ(tcp, is_mptcp);
}

static __always_inline int stream(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int old, int new)
{
	__u64 address = (__u64)sk, cookie;
	struct known *k;

	if (new == old)
		return 0;
	if (new != ESTABLISHED && new != SYN_SENT && new != CLOSE && new != LISTEN && new != FIN_WAIT1 && new != LAST_ACK)
		return 0;
	if (!stream(sk->sk_protocol) || subflow(sk))
		return 0;
	k = bpf_sk_storage_get(&sockets, sk, 0, new == CLOSE || new == FIN_WAIT1 || new == LAST_ACK ? 0 : CREATE);
	if (!k)
		return 0;
	own(k, address);
	cookie = bpf_get_socket_cookie(sk);
	switch (new) {
	case LISTEN: // the current process, as for SYN_SENT, FIN_WAIT1 and LAST_ACK: nowhere else
		me(&k->user);
		k->flags |= ANNOUNCED;
		tell(k, sk, LISTENING, cookie, &k->user);
		break;
	case SYN_SENT:
		if (!(k->flags & CONNECTING)) {
			me(&k->user);
			k->began = bpf_ktime_get_ns();
		}
		k->flags &= ~(CONNECTING | ENDED | TOLD);
		k->flags |= ATTEMPTED;
		break;
	case ESTABLISHED:
		if (!(k->flags & ATTEMPTED))
			k->flags |= INCOMING;
		k->flags |= ANNOUNCED;
		tell(k, sk, k->flags & ATTEMPTED ? CONNECTED : PASSIVE, cookie, &k->user);
		break;
	case FIN_WAIT1:
	case LAST_ACK:
		if (!(k->flags & RELEASED))
			me(&k->closer);
		break;
	case CLOSE:
		k->flags |= ENDED;
		if (old == SYN_SENT) {
			struct event *e = begun(k, sk, FAILED, cookie);

			if (e) {
				e->error = sk->sk_err;
				e->who = k->user;
				bpf_ringbuf_submit(e, 0);
			}
			k->flags &= ~ATTEMPTED;
			if (!(k->flags & BOUND))
				k->flags &= ~ANNOUNCED;
		}
		if (k->flags & RELEASED)
			tell_end(k, sk, cookie);
		else if (old != SYN_SENT && k->flags & ANNOUNCED) // its ends may be another's from now on
			tell(k, sk, SHUT, cookie, &k->user);
		break;
	}
	return 0;
}

// A socket whose process is in no cgroup that is watched comes to its end here.
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	struct known *k = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (k && k->self == (__u64)sk)
		tell_end(k, sk, bpf_get_socket_cookie(sk));
	return 0;
}

SEC("cgroup/sock_create")
int create(struct bpf_sock *ctx)
{
	struct known *k = bpf_sk_storage_get(&sockets, ctx, 0, CREATE);

	if (!k)
		return 1;
	k->self = (__u64)ctx;
	k->born = bpf_ktime_get_ns();
	me(&k->opener);
	k->user = k->opener;
	if (ctx->protocol == IPPROTO_MPTCP)
		bpf_get_socket_cookie(ctx); // which makes it, for when it is read elsewhere
	if (ctx->type == SOCK_RAW || ctx->protocol == IPPROTO_ICMP || ctx->protocol == IPPROTO_ICMPV6) {
		k->flags |= ANNOUNCED;
		tell(k, 0, OPEN, bpf_get_socket_cookie(ctx), &k->opener);
	}
	return 1;
}

// tell_whole tells that a socket of MPTCP was bound, which binds its first subflow.
static __always_inline void tell_whole(struct known *k)
{
	struct mptcp_subflow_context *context;
	struct sock *whole;
	struct event *e;

	if (!EXISTS((struct mptcp_subflow_context *)0, conn))
		return;
	context = READ((struct inet_connection_sock *)k->self, icsk_ulp_data);
	if (!context)
		return;
	whole = READ(context, conn);
	if (!whole)
		return;
	e = begun(k, 0, BIND, READ(whole, __sk_common.skc_cookie.counter));
	if (!e)
		return;
	e->sk = (__u64)whole;
	e->protocol = IPPROTO_MPTCP;
	e->who = k->user;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline int bound(struct bpf_sock *ctx)
{
	struct known *k = bpf_sk_storage_get(&sockets, ctx, 0, CREATE);

	if (!k || !ctx->src_port)
		return 1;
	own(k, (__u64)ctx);
	again(&k->user, &k->opener);
	if (subflow((struct sock *)k->self)) {
		tell_whole(k);
		return 1;
	}
	if (stream(ctx->protocol) || !(k->flags & ANNOUNCED))
		tell(k, 0, stream(ctx->protocol) ? BIND : OPEN, bpf_get_socket_cookie(ctx), &k->user);
	k->flags |= ANNOUNCED | BOUND;
	return 1;
}

SEC("cgroup/post_bind4")
int bind4(struct bpf_sock *ctx)
{
	return bound(ctx);
}

SEC("cgroup/post_bind6")
int bind6(struct bpf_sock *ctx)
{
	return bound(ctx);
}

SEC("cgroup/sock_release")
int release(struct bpf_sock *ctx)
{
	struct known *k = bpf_sk_storage_get(&sockets, ctx, 0, 0);
	__u64 address = (__u64)ctx, cookie;

	if (!k || k->self != address)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	again(&k->closer, &k->user);
	k->released = bpf_ktime_get_ns();
	k->flags |= RELEASED;
	if (uncounted && !stream(ctx->protocol) && READ((struct sock *)address, __sk_common.skc_num))
		k->flags |= ANNOUNCED; // it was given a port when it connected
	if (ctx->protocol == IPPROTO_MPTCP && READ(READ((struct mptcp_sock *)k->self, first), __sk_common.skc_num))
		k->flags |= ANNOUNCED; // it was bound
	if (stream(ctx->protocol) && k->flags & CONNECTING) {
		// connect(2) was called and sent nothing, as without a route.
		struct event *e = begun(k, 0, FAILED, cookie);

		if (e) {
			e->time = k->began;
			e->flags &= ~RELEASED;
			to(e, &k->peer);
			e->who = k->user;
			bpf_ringbuf_submit(e, 0);
		}
	}
	if (!stream(ctx->protocol) || READ((struct sock *)address, __sk_common.skc_state) == CLOSE)
		tell_end(k, 0, cookie);
	return 1;
}

static __always_inline void peer4(struct peer *p, struct bpf_sock_addr *ctx)
{
	__u32 ip = ctx->user_ip4;

	__builtin_memcpy(p->address, &ip, 4);
	p->port = bpf_ntohs(ctx->user_port);
	p->family = AF_INET;
}

static __always_inline void peer6(struct peer *p, struct bpf_sock_addr *ctx)
{
	__u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};

	p->port = bpf_ntohs(ctx->user_port);
	if (!ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff)) {
		// It is mapped. What the socket sends to it, the hook for IPv4 sees.
		__builtin_memcpy(p->address, &ip[3], 4);
		p->family = AF_INET;
		return;
	}
	__builtin_memcpy(p->address, ip, 16);
	p->family = AF_INET6;
}

static __always_inline struct known *of(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct known *k;

	if (!sk)
		return 0;
	k = bpf_sk_storage_get(&sockets, sk, 0, CREATE);
	if (k)
		own(k, (__u64)sk);
	return k;
}

static __always_inline void connecting(struct bpf_sock_addr *ctx, struct peer *p)
{
	struct known *k = of(ctx);

	if (!k)
		return;
	k->peer = *p;
	again(&k->user, &k->opener);
	k->began = bpf_ktime_get_ns();
	if (stream(ctx->protocol))
		k->flags |= CONNECTING;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer4(&p, ctx);
	connecting(ctx, &p);
	return 1;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer6(&p, ctx);
	connecting(ctx, &p);
	return 1;
}

static __always_inline int news(__u64 address, __u64 cookie, struct peer *p)
{
	struct conversation c = {.sk = address, .cookie = cookie, .peer = *p};
	__u32 id = bpf_get_current_pid_tgid() >> 32, *told = bpf_map_lookup_elem(&conversations, &c);

	if (told && *told == id)
		return 0;
	bpf_map_update_elem(&conversations, &c, &id, BPF_ANY);
	return 1;
}

// talks tells of a remote end of a UDP socket. One that no process bound is told of when the datagram
// was sent, if that is seen.
static __always_inline void talks(struct bpf_sock_addr *ctx, struct peer *p)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct bpf_sock *sk = ctx->sk;
	struct event *e;
	struct known *k;
	__u32 id;

	if (!sk || !news((__u64)sk, cookie, p))
		return;
	k = of(ctx);
	if (!k)
		return;
	if (!sk->src_port || (!uncounted && !(k->flags & ANNOUNCED))) {
		id = k->peer.family ? k->user.id : 0;
		me(&k->user);
		if (id != k->user.id) // else it began with connect(2)
			k->began = bpf_ktime_get_ns();
		k->peer = *p;
		return;
	}
	if (!(k->flags & ANNOUNCED)) {
		me(&k->user);
		k->flags |= ANNOUNCED;
		tell(k, 0, OPEN, cookie, &k->user);
	}
	e = begun(k, 0, FLOW, cookie);
	if (!e)
		return;
	e->began = e->time;
	me(&e->who);
	to(e, p);
	bpf_ringbuf_submit(e, 0);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer4(&p, ctx);
	talks(ctx, &p);
	return 1;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer6(&p, ctx);
	talks(ctx, &p);
	return 1;
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer4(&p, ctx);
	talks(ctx, &p);
	return 1;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	struct peer p = {};

	peer6(&p, ctx);
	talks(ctx, &p);
	return 1;
}

// named hears accept(2) of who asks for the address, and getpeername(2). It is a hint for the case
// that the end of accept(2) is not seen.
static __always_inline int named(struct bpf_sock_addr *ctx)
{
	struct known *k = of(ctx);

	if (!k || !(k->flags & INCOMING) || k->flags & (HINTED | USED))
		return 1;
	k->flags |= HINTED;
	me(&k->accepter);
	tell(k, 0, PEERNAME, bpf_get_socket_cookie(ctx), &k->accepter);
	return 1;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return named(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return named(ctx);
}

// next_sequence is the sequence number of the first byte of TCP that who uses a socket now sends, or
// just sent: n bytes. What is before it, others gave to the kernel. 0: it is not known.
static __always_inline __u32 next_sequence(struct sock *sk, int n, int out)
{
	__u32 next;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	next = READ((struct tcp_sock *)sk, write_seq);
	if (out && n > 0)
		next -= n;
	return next ? next : 1;
}

static __always_inline void used(struct sock *sk, int n, int out)
{
	struct task_struct *t;
	__u64 address = (__u64)sk, cookie, last;
	struct known *k;
	__u16 protocol;
	int same;

	if (!inet(sk->__sk_common.skc_family))
		return;
	k = bpf_sk_storage_get(&sockets, sk, 0, CREATE);
	if (!k)
		return;
	if (k->self != address)
		own(k, address);
	if (n > 0)
		__sync_fetch_and_add(out ? &k->sent : &k->received, n);
	t = bpf_get_current_task_btf();
	same = is(&k->user, t);
	last = k->last;
	k->last = bpf_ktime_get_ns();
	if (same && k->flags & USED && !k->peer.family)
		return;
	protocol = sk->sk_protocol;
	cookie = bpf_get_socket_cookie(sk);
	if (!stream(protocol) && (k->user.id != t->tgid || k->user.exec != (__u32)t->self_exec_id))
		k->began = bpf_ktime_get_ns(); // another process connected it
	if (!stream(protocol) && !(k->flags & ANNOUNCED)) {
		again(&k->user, &k->user);
		k->flags |= ANNOUNCED | USED;
		tell(k, sk, OPEN, cookie, &k->user);
	} else if (!same || (k->flags & INCOMING && !(k->flags & USED) && !remembered(k, cookie, t->tgid))) {
		struct event *e;

		again(&k->user, &k->user);
		e = begun(k, sk, USE, cookie);
		if (e) {
			e->who = k->user;
			e->began = last;
			e->error = next_sequence(sk, n, out);
			bpf_ringbuf_submit(e, 0);
		}
	}
	k->flags |= USED;
	if (!stream(protocol) && k->peer.family) {
		struct event *e = begun(k, sk, FLOW, cookie);

		if (e) {
			e->who = k->user;
			to(e, &k->peer);
			bpf_ringbuf_submit(e, 0);
		}
	}
	k->peer.family = 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send, struct sock *sk, int n, int flags)
{
	used(sk, n, 1);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(receive, struct sock *sk, int n, int flags)
{
	used(sk, flags & (MSG_PEEK | MSG_ERRQUEUE) ? 0 : n, 0);
	return 0;
}

// Where receiving is not told, this is heard when a process takes bytes from a connection. It is the
// current one only while it holds the socket: the kernel itself takes some, too.
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(reads, struct sock *sk)
{
	if (READ(sk, sk_lock.owned) && !subflow(sk))
		used(sk, 0, 0);
	return 0;
}

// The fields of a tracepoint at the end of a system call, as its format file has them.
struct sys_exit {
	__u64 common;
	int nr;
	long result;
};

// accepted finds the socket that accept(2) made by the number of its file. Another thread may have
// put another there: user space believes it only for a socket that waits to be accepted.
static __always_inline int accepted(struct sys_exit *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct file *file = 0, **files;
	struct socket *socket;
	struct event *e;
	struct sock *sk;

	if (ctx->result < 0)
		return 0;
	files = READ(READ(READ(t, files), fdt), fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + ctx->result);
	if (!file)
		return 0;
	socket = READ(file, private_data);
	if (!socket || READ(socket, file) != file)
		return 0;
	sk = READ(socket, sk);
	if (!sk || !inet(READ(sk, __sk_common.skc_family)) || !stream(READ(sk, sk_protocol)))
		return 0;
	e = reserve(sizeof(*e));
	if (!e)
		return 0;
	e->kind = ACCEPT;
	e->time = bpf_ktime_get_ns();
	e->cookie = READ(sk, __sk_common.skc_cookie.counter);
	at(e, (__u64)sk);
	me(&e->who);
	remember((__u64)sk, e->cookie, t->tgid);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept(struct sys_exit *ctx)
{
	return accepted(ctx);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4(struct sys_exit *ctx)
{
	return accepted(ctx);
}

// The argument is not the same in all kernels, but its beginning is. Only a SYN is an attempt.
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset, struct sock *sk, struct sk_buff *skb)
{
	unsigned char *head, *network;
	__u8 version = 0, flags = 0;
	struct net_device *dev;
	struct event *e;
	__u16 ports[2];

	if (sk || !skb)
		return 0;
	head = READ(skb, head);
	network = head + READ(skb, network_header);
	bpf_probe_read_kernel(&flags, 1, head + READ(skb, transport_header) + 13);
	if ((flags & 0x12) != 2 || many())
		return 0;
	bpf_probe_read_kernel(&version, 1, network);
	bpf_probe_read_kernel(ports, 4, head + READ(skb, transport_header));
	e = reserve(sizeof(*e));
	if (!e)
		return 0;
	e->kind = REJECTED;
	e->time = e->began = bpf_ktime_get_ns();
	e->protocol = IPPROTO_TCP;
	e->local_port = bpf_ntohs(ports[1]);
	e->remote_port = bpf_ntohs(ports[0]);
	if (version >> 4 == 6) {
		e->family = e->remote_family = AF_INET6;
		bpf_probe_read_kernel(e->remote, 16, network + 8);
		bpf_probe_read_kernel(e->local, 16, network + 24);
	} else {
		e->family = e->remote_family = AF_INET;
		bpf_probe_read_kernel(e->remote, 4, network + 12);
		bpf_probe_read_kernel(e->local, 4, network + 16);
	}
	dev = READ(skb, dev);
	if (dev)
		e->netns = READ(READ(dev, nd_net.net), ns.inum);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline struct process *process(struct task_struct *t, __u8 kind)
{
	struct process *p = reserve(sizeof(*p));

	if (!p)
		return 0;
	p->kind = kind;
	p->time = bpf_ktime_get_ns();
	identify(t, &p->who, kind != FORK);
	return p;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	struct process *p;

	if (child->pid != child->tgid)
		return 0;
	p = process(child, FORK);
	if (!p)
		return 0;
	identify(parent, &p->parent, 0);
	bpf_ringbuf_submit(p, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *t, int old, struct linux_binprm *binary)
{
	struct process *p = process(t, EXEC);

	if (!p)
		return 0;
	bpf_probe_read_kernel_str(p->file, sizeof(p->file), READ(binary, filename));
	bpf_ringbuf_submit(p, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *t)
{
	struct process *p;

	if (t->signal->live.counter) // other threads go on
		return 0;
	p = process(t, EXIT);
	if (p)
		bpf_ringbuf_submit(p, 0);
	return 0;
}

// held writes who has which socket open, one event each.
SEC("iter/task_file")
int held(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct closing c = {};
	struct known *k;
	struct sock *sk;

	if (!file || !t)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !inet(sk->__sk_common.skc_family) || subflow(sk))
		return 0;
	k = bpf_sk_storage_get(&sockets, sk, 0, CREATE);
	if (!k)
		return 0;
	if (k->self != (__u64)sk) {
		k->self = (__u64)sk;
		k->flags = OLD | (sk->__sk_common.skc_num ? ANNOUNCED : 0);
	}
	c.event.kind = HELD;
	c.event.time = bpf_ktime_get_ns();
	c.event.cookie = bpf_get_socket_cookie(sk);
	place(&c.event, sk);
	c.event.flags = k->flags;
	c.event.began = k->began;
	identify(t, &c.event.who, 0);
	c.born = k->born;
	c.opener = k->opener;
	c.user = k->user;
	c.accepter = k->accepter;
	bpf_seq_write(ctx->meta->seq, &c, sizeof(c));
	return 0;
}
