//! What the BPF programs write into the ring buffer, read into events: `struct event` and the two
//! longer ones of `bpf/trace.bpf.c`, field by field. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::event::{Event, Facts, Identity, Kind, SocketId};

/// Bytes of `struct event`.
const EVENT_BYTES: usize = 128;

/// Address family of IPv6 (`AF_INET6`).
const AF_INET6: u16 = 10;

/// Frames of a stack at most (`STACK_FRAMES`).
const STACK_FRAMES: usize = 24;

/// Reads one record; `None` where it is none that this program knows.
pub(super) fn parse(bytes: &[u8]) -> Option<Event> {
    let mut fields = Fields(bytes);
    let at_ns = fields.u64()?;
    let socket = SocketId(fields.u64()?);
    let kind = fields.u32()?;
    let skipped = fields.u32()?;
    let result = fields.u32()?.cast_signed();
    let thread = fields.u32()?;
    let facts = facts(&mut fields)?;
    debug_assert_eq!(bytes.len() - fields.0.len(), EVENT_BYTES, "as struct event");
    let kind = match kind {
        1 => Kind::Open(Box::new(identity(&mut fields)?)),
        2 => Kind::Write {
            result,
            thread,
            stack: stack(&mut fields),
        },
        3 => Kind::Read { result, thread },
        4 => Kind::Segment {
            bytes: result.cast_unsigned(),
            ack_seq: thread,
        },
        5 => Kind::Shut,
        6 => Kind::Close,
        _ => return None,
    };
    Some(Event {
        at_ns,
        socket,
        kind,
        facts,
        skipped,
    })
}

fn facts(fields: &mut Fields<'_>) -> Option<Facts> {
    let flags = fields.u32()?;
    let facts = Facts {
        nodelay: flags & 1 != 0,
        corked: flags & 2 != 0,
        device_limited: Some(flags & 4 != 0),
        no_space: Some(flags & 8 != 0),
        write_seq: fields.u32()?,
        snd_nxt: fields.u32()?,
        snd_una: fields.u32()?,
        snd_sml: Some(fields.u32()?),
        pushed_seq: Some(fields.u32()?),
        rcv_nxt: fields.u32()?,
        copied_seq: Some(fields.u32()?),
        rcv_wup: Some(fields.u32()?),
        mss: fields.u32()?,
        cwnd: fields.u32()?,
        in_flight_segments: fields.u32()?,
        snd_wnd: fields.u32()?,
        data_segs_out: fields.u32()?,
        segs_out: fields.u32()?,
        total_retrans: fields.u32()?,
        srtt_us: fields.u32()?,
        min_rtt_us: fields.u32()?,
        writes: fields.u32()?,
        reads: fields.u32()?,
        departed_ns: Some(fields.u64()?),
        handled_ns: Some(fields.u64()?.saturating_mul(1000)),
        rwnd_limited_us: None,
        sndbuf_limited_us: None,
    };
    // The kernel says ~0 before the first round trip.
    let min_rtt_us = if facts.min_rtt_us == u32::MAX { 0 } else { facts.min_rtt_us };
    Some(Facts { min_rtt_us, ..facts })
}

fn identity(fields: &mut Fields<'_>) -> Option<Identity> {
    let cgroup = fields.u64()?;
    let pid = fields.u32()?;
    let namespace = fields.u32()?;
    let family = fields.u16()?;
    let local_port = fields.u16()?;
    let remote_port = u16::from_be(fields.u16()?);
    // Where no connect was seen, it may have been before the trace.
    let connects = (fields.u16()? != 0).then_some(true);
    let local = address(family, fields.array()?);
    let remote = address(family, fields.array()?);
    let command: [u8; 16] = fields.array()?;
    let command = command.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Identity {
        pid,
        connects,
        command: String::from_utf8_lossy(command).into_owned(),
        local: SocketAddr::new(local, local_port),
        remote: SocketAddr::new(remote, remote_port),
        namespace,
        cgroup,
    })
}

/// An address in network order; an IPv4 peer of an IPv6 socket is written as what it is.
fn address(family: u16, bytes: [u8; 16]) -> IpAddr {
    if family == AF_INET6 {
        Ipv6Addr::from(bytes).to_canonical()
    } else {
        let [a, b, c, d, ..] = bytes;
        Ipv4Addr::new(a, b, c, d).into()
    }
}

/// The frames of a write, where the record has any: `bytes` is how much of the array is filled, or
/// an error.
fn stack(fields: &mut Fields<'_>) -> Vec<u64> {
    let Some(bytes) = fields.u64() else {
        return Vec::new();
    };
    let frames = usize::try_from(bytes.cast_signed() / 8).unwrap_or(0);
    let stack = (0..frames.min(STACK_FRAMES)).map_while(|_| fields.u64());
    stack.filter(|address| *address != 0).collect()
}

/// The rest of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record in the order of `struct event`: two u64, four u32, the facts, two u64.
    fn record(kind: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(7_000_000_u64.to_ne_bytes());
        bytes.extend(3_u64.to_ne_bytes());
        for field in [kind, 5, (-11_i32).cast_unsigned(), 77, 1 | 8] {
            bytes.extend(field.to_ne_bytes());
        }
        for field in 100..118_u32 {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(0_u32.to_ne_bytes()); // reads
        bytes.extend(6_999_000_u64.to_ne_bytes());
        bytes.extend(6_998_u64.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_write() {
        let bytes = record(2);
        assert_eq!(bytes.len(), EVENT_BYTES);
        let event = parse(&bytes).unwrap();
        assert_eq!(event.at_ns, 7_000_000);
        assert_eq!(event.socket, SocketId(3));
        assert_eq!(event.skipped, 5);
        let Kind::Write { result, thread, stack } = &event.kind else {
            unreachable!("{event:?}")
        };
        assert_eq!((*result, *thread, stack.len()), (-11, 77, 0));
        let facts = event.facts;
        assert!(facts.nodelay && !facts.corked);
        assert_eq!(facts.no_space, Some(true));
        assert_eq!((facts.write_seq, facts.snd_nxt), (100, 101));
        assert_eq!((facts.mss, facts.writes, facts.reads), (108, 117, 0));
        assert_eq!(facts.departed_ns, Some(6_999_000));
        assert_eq!(facts.handled_ns, Some(6_998_000));
    }

    #[test]
    fn a_write_with_its_stack() {
        let mut bytes = record(2);
        bytes.extend(16_u64.to_ne_bytes());
        for frame in [0x7f00_u64, 0x5500, 0x99] {
            bytes.extend(frame.to_ne_bytes());
        }
        let Kind::Write { stack, .. } = parse(&bytes).unwrap().kind else {
            unreachable!()
        };
        assert_eq!(stack, [0x7f00, 0x5500]);
        // An error in place of the length.
        bytes[EVENT_BYTES..EVENT_BYTES + 8].copy_from_slice(&(-14_i64).to_ne_bytes());
        let Kind::Write { stack, .. } = parse(&bytes).unwrap().kind else {
            unreachable!()
        };
        assert_eq!(stack, [0_u64; 0]);
    }

    #[test]
    fn an_introduction() {
        let mut bytes = record(1);
        bytes.extend(9_u64.to_ne_bytes());
        bytes.extend(1234_u32.to_ne_bytes());
        bytes.extend(5_u32.to_ne_bytes());
        bytes.extend(2_u16.to_ne_bytes());
        bytes.extend(40_000_u16.to_ne_bytes());
        bytes.extend(143_u16.to_be_bytes());
        bytes.extend(1_u16.to_ne_bytes());
        bytes.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(*b"python3\0\0\0\0\0\0\0\0\0");
        let Kind::Open(identity) = parse(&bytes).unwrap().kind else {
            unreachable!()
        };
        assert_eq!(identity.pid, 1234);
        assert_eq!(identity.connects, Some(true));
        assert_eq!(identity.command, "python3");
        assert_eq!(identity.local.to_string(), "127.0.0.1:40000");
        assert_eq!(identity.remote.to_string(), "10.0.0.9:143");
        assert!(parse(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn what_is_no_record() {
        assert!(parse(&[]).is_none());
        assert!(parse(&record(99)).is_none());
    }
}
