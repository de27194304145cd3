// The few kernel structures that are read, with the fields that are read, and nothing else. CO-RE
// relocates each access by name against the running kernel's BTF, so that neither the order nor the
// size of what stands here matters. Names and types: include/linux/tcp.h, include/net/sock.h.
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	__u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	__u16 skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct socket {
	unsigned long flags;
};

struct sock {
	struct sock_common __sk_common;
	unsigned long sk_tsq_flags;
	struct socket *sk_socket;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_wnd;
	__u32 mss_cache;
	__u32 snd_cwnd;
	__u32 lost_out;
	__u32 sacked_out;
	__u32 retrans_out;
	__u32 packets_out;
	__u32 copied_seq;
	__u32 rcv_nxt;
	__u32 rcv_wup;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_sml;
	__u32 write_seq;
	__u32 pushed_seq;
	__u32 segs_out;
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 srtt_us;
	struct minmax rtt_min;
	__u64 tcp_wstamp_ns;
	__u64 tcp_mstamp;
	__u8 nonagle : 4;
};

struct tcp_skb_cb {
	__u32 ack_seq;
};

struct sk_buff {
	char cb[48];
	unsigned int len;
	unsigned char *data;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	int pid;
	int tgid;
	struct signal_struct *signal;
};

#pragma clang attribute pop
