// Packets that the kernel drops (skb:kfree_skb, Linux 5.17 and later), counted by reason.
#include "common.h"
#include "bpf_helpers.h"
#include "bpf_tracing.h"

struct sk_buff;

char __license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32); // enum skb_drop_reason; the high 16 bits are the subsystem
	__type(value, __u64);
	__uint(max_entries, 1024);
} counts SEC(".maps");

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped, struct sk_buff *skb, void *location, __u32 reason)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&counts, &reason);

	if (n)
		*n += 1;
	else
		bpf_map_update_elem(&counts, &reason, &one, BPF_ANY);
	return 0;
}
