// What `uncork trace` sees of the kernel's TCP: each call that sends or receives, each segment that
// comes in, and the end of each socket, with the facts of the connection at that moment.
//
// Nothing is decided here but what is worth passing on. A socket that is busy loses no time, and
// seeing it must not cost it any: once CALLS or SEGMENTS of a socket have come within 100 ms, only their
// number is passed on for the rest of a second. What begins or may end a hold by Nagle's algorithm is
// always passed on, and so is what ends a long hold of any kind.
//
// Built by `cargo xtask bpf`; the object is committed, so that nobody needs clang to build uncork.
// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0

#include "kernel.h"

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_NO_PREALLOC = 1,
	BPF_ANY = 0,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_F_USER_STACK = 256,
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

// Length of a window in microseconds, that of a socket with more events than are passed on in one, and
// how many calls and segments are passed on in one: about a dozen requests with two of each.
#define WINDOW_US 100000ULL
#define BUSY_WINDOW_US 1000000ULL
#define CALLS 24
#define SEGMENTS 24
// From when on bytes that a write has left behind are of interest.
#define LASTING_NS 1000000ULL
// Frames of a stack, and how many stacks of one socket are taken.
#define STACK_FRAMES 24
#define STACKS 16

enum {
	AF_INET6 = 10,
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_FIN_WAIT1 = 4,
	TCP_CLOSE = 7,
	TCP_LAST_ACK = 9,
	TCP_NAGLE_OFF = 1,
	TCP_NAGLE_CORK = 2,
	SOCK_NOSPACE = 2,
	TSQ_THROTTLED = 0,
};

enum kind {
	KIND_OPEN = 1,
	KIND_WRITE = 2,
	KIND_READ = 3,
	KIND_SEGMENT = 4,
	KIND_SHUT = 5,
	KIND_CLOSE = 6,
};

enum facts_flags {
	FACT_NODELAY = 1,
	FACT_CORKED = 2,
	FACT_DEVICE_LIMITED = 4,
	FACT_NO_SPACE = 8,
};

// The layout is read by src/ebpf/record.rs.
struct event {
	__u64 at_ns;
	__u64 socket;
	__u32 kind;
	__u32 skipped;
	__s32 result;
	__u32 thread;
	__u32 flags;
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 snd_sml;
	__u32 pushed_seq;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 rcv_wup;
	__u32 mss;
	__u32 cwnd;
	__u32 in_flight;
	__u32 snd_wnd;
	__u32 data_segs_out;
	__u32 segs_out;
	__u32 total_retrans;
	__u32 srtt_us;
	__u32 min_rtt_us;
	__u32 writes;
	__u32 reads;
	__u64 departed_ns;
	__u64 handled_us;
	__u64 left_ns;
};

struct open_event {
	struct event event;
	__u64 cgroup;
	__u32 pid;
	__u32 namespace;
	__u16 family;
	__u16 local_port;
	__be16 remote_port;
	__u16 connects;
	__u32 local[4];
	__u32 remote[4];
	char command[16];
};

struct stack_event {
	struct event event;
	__s64 bytes;
	__u64 frames[STACK_FRAMES];
};

// Whether user space knows a socket.
enum state {
	STATE_NEW,
	// A call, or a segment on another processor, is introducing it.
	STATE_BUSY,
	STATE_KNOWN,
};

// How much of a socket was passed on.
struct window {
	__u64 since_us;
	__u32 passed;
	// Since the last event that was passed on.
	__u32 skipped;
};

// What is kept with a socket that is watched. Its calls and its segments are handled by two processors,
// each of which would wait for the lines that the other writes, and a line that is not in the cache costs
// more than all the rest of a program. So either has a storage of its own, whose first 40 bytes, all that
// a busy socket needs, share a line with the pointer by which the kernel finds it.
//
// User space makes them for sockets that are older than the trace: the layout is that of `Calls` and
// `Segments` in src/ebpf.rs.
struct calls {
	struct window window;
	// When the last write was, if it has left bytes behind.
	__u64 left_ns;
	__u32 writes;
	__u32 reads;
	// enum state
	__u64 state;
	__u64 id;
	// Whose it is.
	__u64 cgroup;
	__u32 pid;
	__u32 thread;
	char command[16];
	__u32 connects;
	__u32 stacks;
};

struct segments {
	struct window window;
	// When the last one came, and whether bytes were left behind then.
	__u64 last_us;
	__u64 was_unsent;
	// Whether Nagle's algorithm held bytes at the last event.
	__u64 is_nagle;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct calls);
} calls_of SEC(".maps");

// Made before `calls_of`: a socket that has those has these.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct segments);
} segments_of SEC(".maps");

// Local ports of sockets that are or were watched, so that the segments of most others cost next to
// nothing: a look at what is kept with a socket is a look at memory that nothing else needs.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} ports SEC(".maps");

// Processes to watch. WATCH_CHILDREN alone: the process itself is left out (it is uncork).
enum {
	WATCH_ITSELF = 1,
	WATCH_CHILDREN = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

// The number of the last socket, and what was left out. User space reads it: the layout is that of
// `Counters` in src/ebpf.rs.
struct counters {
	__u64 next_id;
	__u64 lost;
	__u64 untracked;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

// Set before the programs are loaded.
const volatile __u32 watch_all = 0;
const volatile __u32 own_pid = 0;

static __always_inline struct counters *the_counters(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline void count_lost(struct calls *calls)
{
	struct counters *c = the_counters();
	if (c)
		__sync_fetch_and_add(&c->lost, 1);
	calls->window.skipped++;
}

// Why less than a segment stays though the congestion window has room.
enum holding {
	HOLDING_NOTHING,
	// A cork, MSG_MORE or the device: part of how a good server sends, unless it lasts.
	HOLDING_MAYBE,
	HOLDING_NAGLE,
};

static __always_inline enum holding holding(struct tcp_sock *tp)
{
	__u32 unsent = tp->write_seq - tp->snd_nxt;
	if (!unsent || unsent >= tp->mss_cache || tp->packets_out >= tp->snd_cwnd)
		return HOLDING_NOTHING;
	__u32 nonagle = BPF_CORE_READ_BITFIELD(tp, nonagle);
	if (nonagle & (TCP_NAGLE_OFF | TCP_NAGLE_CORK) || tp->pushed_seq != tp->write_seq)
		return HOLDING_MAYBE;
	return HOLDING_NAGLE;
}

// Whether something has departed since the last write left bytes behind: these, as they fill no segment.
static __always_inline bool has_departed(struct calls *calls, struct tcp_sock *tp)
{
	return tp->tcp_wstamp_ns >= calls->left_ns + 1000;
}

// Whether the bytes that the last write has left behind stayed for long, or are still here. In a call, the
// kernel has looked at the clock a moment ago (`is_now`), when it decided what to send; what is unsent then
// may be this call's own.
static __always_inline bool has_lasted(struct calls *calls, struct tcp_sock *tp, bool is_now)
{
	__u64 lasting_ns = calls->left_ns + LASTING_NS;
	if (!calls->left_ns)
		return 0;
	if (tp->write_seq == tp->snd_nxt || has_departed(calls, tp))
		return tp->tcp_wstamp_ns >= lasting_ns;
	return (is_now ? tp->tcp_mstamp * 1000 : bpf_ktime_get_ns()) >= lasting_ns;
}

// Whether an event is passed on. A look at the clock costs as much as all the rest; when the kernel last
// handled the socket is near enough.
static __always_inline bool is_passed(struct window *w, struct tcp_sock *tp, __u32 most, bool matters)
{
	__u64 now_us = tp->tcp_mstamp;
	__u64 window_us = w->passed < most ? WINDOW_US : BUSY_WINDOW_US;
	if (now_us - w->since_us > window_us) {
		w->since_us = now_us;
		w->passed = 0;
	}
	if (matters)
		return 1;
	if (w->passed < most) {
		w->passed++;
		return 1;
	}
	w->skipped++;
	return 0;
}

static __always_inline void fill(struct event *e, struct tcp_sock *tp, struct calls *calls,
				 struct segments *segments, __u64 now, __u32 kind)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct socket *socket = sk->sk_socket;
	__u32 nonagle = BPF_CORE_READ_BITFIELD(tp, nonagle);
	__u32 flags = 0;

	if (nonagle & TCP_NAGLE_OFF)
		flags |= FACT_NODELAY;
	if (nonagle & TCP_NAGLE_CORK)
		flags |= FACT_CORKED;
	if (sk->sk_tsq_flags & (1UL << TSQ_THROTTLED))
		flags |= FACT_DEVICE_LIMITED;
	if (socket && (socket->flags & (1UL << SOCK_NOSPACE)))
		flags |= FACT_NO_SPACE;
	e->at_ns = now;
	e->socket = calls->id;
	e->kind = kind;
	e->skipped = calls->window.skipped + segments->window.skipped;
	e->flags = flags;
	e->write_seq = tp->write_seq;
	e->snd_nxt = tp->snd_nxt;
	e->snd_una = tp->snd_una;
	e->snd_sml = tp->snd_sml;
	e->pushed_seq = tp->pushed_seq;
	e->rcv_nxt = tp->rcv_nxt;
	e->copied_seq = tp->copied_seq;
	e->rcv_wup = tp->rcv_wup;
	e->mss = tp->mss_cache;
	e->cwnd = tp->snd_cwnd;
	e->in_flight = tp->packets_out - tp->sacked_out - tp->lost_out + tp->retrans_out;
	e->snd_wnd = tp->snd_wnd;
	e->data_segs_out = tp->data_segs_out;
	e->segs_out = tp->segs_out;
	e->total_retrans = tp->total_retrans;
	e->srtt_us = tp->srtt_us >> 3;
	e->min_rtt_us = tp->rtt_min.s[0].v;
	e->writes = calls->writes;
	e->reads = calls->reads;
	e->departed_ns = tp->tcp_wstamp_ns;
	e->handled_us = tp->tcp_mstamp;
	e->left_ns = calls->left_ns;
	calls->window.skipped = 0;
	segments->window.skipped = 0;
}

static __always_inline void pass_on(struct tcp_sock *tp, struct calls *calls, struct segments *segments,
				    __u64 now, __u32 kind, __s32 result, __u32 thread)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(calls);
		return;
	}
	fill(e, tp, calls, segments, now, kind);
	e->result = result;
	e->thread = thread;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

// The write that begins a hold, with the stack of who made it.
static __always_inline void pass_on_with_stack(void *ctx, struct tcp_sock *tp, struct calls *calls,
					       struct segments *segments, __u64 now, __s32 result,
					       __u32 thread)
{
	struct stack_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(calls);
		return;
	}
	fill(&e->event, tp, calls, segments, now, KIND_WRITE);
	e->event.result = result;
	e->event.thread = thread;
	e->bytes = bpf_get_stack(ctx, e->frames, sizeof(e->frames), BPF_F_USER_STACK);
	calls->stacks++;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

// Whether a kernel has IPv6; without it, these fields are not there.
static __always_inline void copy_addresses(struct open_event *e, struct sock_common *common)
{
	for (int i = 0; i < 4; i++) {
		e->local[i] = 0;
		e->remote[i] = 0;
	}
	if (e->family != AF_INET6) {
		e->local[0] = common->skc_rcv_saddr;
		e->remote[0] = common->skc_daddr;
	} else if (bpf_core_field_exists(common->skc_v6_daddr)) {
		for (int i = 0; i < 4; i++) {
			e->local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			e->remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
}

// Introduces a socket, unless that is done or being done. Where there is no room, its next call tries
// again, or its next segment that is passed on.
static __noinline int introduce(struct tcp_sock *tp, struct calls *calls, struct segments *segments)
{
	struct sock_common *common = &tp->inet_conn.icsk_inet.sk.__sk_common;
	struct counters *c = the_counters();
	struct open_event *e;

	if (!c || __sync_val_compare_and_swap(&calls->state, STATE_NEW, STATE_BUSY) != STATE_NEW)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_lost(calls);
		calls->state = STATE_NEW;
		return 0;
	}
	calls->id = __sync_fetch_and_add(&c->next_id, 1) + 1;
	fill(&e->event, tp, calls, segments, bpf_ktime_get_ns(), KIND_OPEN);
	e->event.result = 0;
	e->event.thread = calls->thread;
	e->cgroup = calls->cgroup;
	e->pid = calls->pid;
	e->namespace = common->skc_net.net->ns.inum;
	e->family = common->skc_family;
	e->local_port = common->skc_num;
	e->remote_port = common->skc_dport;
	e->connects = calls->connects;
	copy_addresses(e, common);
	__builtin_memcpy(e->command, calls->command, sizeof(e->command));
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	calls->state = STATE_KNOWN;
	return 1;
}

static __always_inline bool is_target(__u32 pid)
{
	if (watch_all)
		return pid != own_pid;
	__u32 *how = bpf_map_lookup_elem(&targets, &pid);
	return how && (*how & WATCH_ITSELF);
}

// Makes the segments of a socket be looked at.
static __always_inline void watch_port(struct sock *sk)
{
	__u32 port = sk->__sk_common.skc_num;
	__u8 *is_watched = bpf_map_lookup_elem(&ports, &port);
	if (is_watched && !*is_watched)
		*is_watched = 1;
}

// Makes what is kept with a socket that the present process uses, if it is a target.
static __always_inline struct calls *make(struct sock *sk)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	if (!is_target(pid_tgid >> 32))
		return 0;
	struct calls *calls = 0;
	if (bpf_sk_storage_get(&segments_of, sk, 0, BPF_SK_STORAGE_GET_F_CREATE))
		calls = bpf_sk_storage_get(&calls_of, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!calls) {
		struct counters *c = the_counters();
		if (c)
			__sync_fetch_and_add(&c->untracked, 1);
		return 0;
	}
	if (!calls->pid) {
		calls->pid = pid_tgid >> 32;
		calls->thread = (__u32)pid_tgid;
		calls->cgroup = bpf_get_current_cgroup_id();
		bpf_get_current_comm(calls->command, sizeof(calls->command));
	}
	watch_port(sk);
	return calls;
}

static __always_inline struct segments *segments_with(struct sock *sk)
{
	return bpf_sk_storage_get(&segments_of, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

// Whether user space knows the socket, or is told of it now: before its first call is counted.
static __always_inline bool is_introduced(struct sock *sk, struct tcp_sock *tp, struct calls *calls)
{
	if (calls->state == STATE_KNOWN)
		return 1;
	struct segments *segments = segments_with(sk);
	return segments && introduce(tp, calls, segments);
}

// The segments of a call that is passed on. Windows of a busy socket's calls and segments begin together,
// or they would drift apart, and neither would show what the other means.
static __always_inline struct segments *segments_of_call(struct sock *sk, struct calls *calls, bool was_full)
{
	struct segments *segments = segments_with(sk);
	if (segments && was_full && calls->window.passed < CALLS)
		segments->window.passed = 0;
	return segments;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int ret, int flags)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	struct calls *calls = bpf_sk_storage_get(&calls_of, sk, 0, 0);
	if (!calls)
		calls = make(sk);
	if (!calls)
		return 0;
	if (!is_introduced(sk, tp, calls))
		return 0;
	calls->writes++;
	enum holding now_held = holding(tp);
	bool begins = now_held && (!calls->left_ns || has_departed(calls, tp));
	bool matters = now_held == HOLDING_NAGLE || has_lasted(calls, tp, 1);
	calls->left_ns = now_held ? tp->tcp_mstamp * 1000 : 0;
	bool was_full = calls->window.passed >= CALLS;
	if (!is_passed(&calls->window, tp, CALLS, matters))
		return 0;
	struct segments *segments = segments_of_call(sk, calls, was_full);
	if (!segments)
		return 0;
	segments->is_nagle = now_held == HOLDING_NAGLE;
	__u64 now = bpf_ktime_get_ns();
	__u32 thread = bpf_get_current_pid_tgid();
	if (begins && calls->stacks < STACKS)
		pass_on_with_stack(ctx, tp, calls, segments, now, ret, thread);
	else
		pass_on(tp, calls, segments, now, KIND_WRITE, ret, thread);
	return 0;
}

// What comes in is seen by `tcp_probe`; that it was read is told where there is room. Servers read until
// nothing is left (EAGAIN): that says nothing.
SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	if (ret < 0)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	struct calls *calls = bpf_sk_storage_get(&calls_of, sk, 0, 0);
	if (!calls)
		calls = make(sk);
	if (!calls)
		return 0;
	if (!is_introduced(sk, tp, calls))
		return 0;
	calls->reads++;
	bool was_full = calls->window.passed >= CALLS;
	if (!is_passed(&calls->window, tp, CALLS, 0))
		return 0;
	struct segments *segments = segments_of_call(sk, calls, was_full);
	if (segments)
		pass_on(tp, calls, segments, bpf_ktime_get_ns(), KIND_READ, ret,
			bpf_get_current_pid_tgid());
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	__u32 port = sk->__sk_common.skc_num;
	__u8 *is_watched = bpf_map_lookup_elem(&ports, &port);
	if (!is_watched || !*is_watched)
		return 0;
	struct segments *segments = bpf_sk_storage_get(&segments_of, sk, 0, 0);
	if (!segments)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	struct calls *calls = 0;
	bool is_nagle = holding(tp) == HOLDING_NAGLE;
	bool matters = is_nagle || segments->is_nagle;
	bool is_unsent = tp->write_seq != tp->snd_nxt;
	// What was written since the last segment, and has departed, can't have stayed for longer than that.
	if (is_unsent || segments->was_unsent ||
	    tp->tcp_wstamp_ns >= segments->last_us * 1000 + LASTING_NS) {
		calls = bpf_sk_storage_get(&calls_of, sk, 0, 0);
		matters = matters || (calls && has_lasted(calls, tp, 0));
	}
	segments->was_unsent = is_unsent;
	segments->last_us = tp->tcp_mstamp;
	segments->is_nagle = is_nagle;
	if (!is_passed(&segments->window, tp, SEGMENTS, matters))
		return 0;
	if (!calls)
		calls = bpf_sk_storage_get(&calls_of, sk, 0, 0);
	// A call that sends a lot returns late: what it does shows by the segments that come in meanwhile.
	// Whose it is may be being written down at this moment.
	if (!calls || !calls->pid || (calls->state != STATE_KNOWN && !introduce(tp, calls, segments)))
		return 0;
	struct tcp_skb_cb *cb = (struct tcp_skb_cb *)skb->cb;
	// The skb begins with the TCP header here; its fourth word begins with the header's length.
	__u8 offset = 0;
	bpf_probe_read_kernel(&offset, sizeof(offset), skb->data + 12);
	__u32 bytes = skb->len - (offset >> 4) * 4;
	pass_on(tp, calls, segments, bpf_ktime_get_ns(), KIND_SEGMENT, bytes, BPF_CORE_READ(cb, ack_seq));
	return 0;
}

// The process that connects is noted, as its socket may be used by segments before it is by calls.
static __always_inline void note_connect(struct sock *sk)
{
	struct calls *calls = make(sk);
	if (calls)
		calls->connects = 1;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int oldstate, int newstate)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (newstate == TCP_SYN_SENT) {
		note_connect(sk);
		return 0;
	}
	__u32 kind;
	if (newstate == TCP_ESTABLISHED)
		kind = KIND_OPEN;
	else if (newstate == TCP_CLOSE)
		kind = KIND_CLOSE;
	else if (newstate == TCP_FIN_WAIT1 || newstate == TCP_LAST_ACK)
		kind = KIND_SHUT;
	else
		return 0;
	struct calls *calls = bpf_sk_storage_get(&calls_of, sk, 0, 0);
	struct segments *segments = bpf_sk_storage_get(&segments_of, sk, 0, 0);
	if (!calls || !segments)
		return 0;
	// It had no port yet when it began to connect.
	if (kind == KIND_OPEN)
		watch_port(sk);
	else if (calls->state == STATE_KNOWN)
		pass_on(tp, calls, segments, bpf_ktime_get_ns(), kind, 0, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_pid = parent->tgid;
	__u32 child_pid = child->tgid;
	if (parent_pid == child_pid)
		return 0;
	__u32 *how = bpf_map_lookup_elem(&targets, &parent_pid);
	if (how && (*how & WATCH_CHILDREN)) {
		__u32 both = WATCH_ITSELF | WATCH_CHILDREN;
		bpf_map_update_elem(&targets, &child_pid, &both, BPF_ANY);
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	if (task->signal->live.counter == 0) {
		__u32 pid = task->tgid;
		bpf_map_delete_elem(&targets, &pid);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
