//! Departure planning: from the shape of a message and facts of the stream to the list of
//! departures that puts it on the wire. Pure: no socket, no clock, no file.
//!
//! | message | departures | system calls |
//! |---|---|---|
//! | bytes only | one vectored write | 1 |
//! | bytes, then a small file | write with `MSG_MORE`, then `sendfile` | 2 |
//! | anything with more of a file | cork, vectored writes and capped `sendfile`s, uncork | 3 + one per 2 MiB |
//! | no `sendfile` to be had | copied through one bounded buffer | one per 64 KiB |
//!
//! Why not always the cork: it costs two more calls, and a small message needs none of them.
//! Why not always `MSG_MORE`: `sendfile` sends a file in pieces of 64 KiB, and each piece ends
//! in a segment that is not full. See [`MORE_FILE_BYTES`] for the figures.

use std::ops::Range;

use smallvec::SmallVec;

/// Longest file that leaves by `MSG_MORE` + `sendfile` rather than by cork, counted from the
/// start of its first page.
///
/// `sendfile` moves a file through a pipe of 16 pages (`PIPE_DEF_BUFFERS`); each refill is a
/// send of its own, and ends in a segment that is not full. `cargo xtask bench segments` (MSS
/// 1436, head of 300 bytes, 20 runs, Linux 6.18): a file of 65,536 bytes leaves in the least 46
/// segments in every run, one of 65,537 bytes in 47 in every run. Below the limit the flag saves
/// the cork's two calls: 6.3 µs of CPU instead of 14.0 at 10,000 bytes, 8.2 instead of 9.3 at
/// 65,536.
pub const MORE_FILE_BYTES: u64 = 16 * PAGE_BYTES;

/// The smallest page of the platforms: a larger one makes the limit above only safer.
const PAGE_BYTES: u64 = 4096;

/// Most bytes that one `sendfile` call is asked for.
///
/// The call does not return to a writer whose reader is fast enough, so it bounds how long one
/// message can keep a thread: an uncapped call once blocked an nginx worker for 10.7 s. `cargo
/// xtask bench segments`: 8,000,000 bytes take 0.9 to 1.0 ms of CPU at any bound from 64 KiB to
/// 8 MiB, within the spread of the runs; 2 MiB keep the calls few (4 where 64 KiB make 123).
pub const SENDFILE_CAP_BYTES: usize = 2 * 1024 * 1024;

/// Size of the buffer through which a file is copied where there is no `sendfile`. (Chosen, not
/// measured.)
pub const COPY_BUFFER_BYTES: usize = 64 * 1024;

/// Most slices in one vectored write: Linux's `UIO_MAXIOV`, and `IOV_MAX` of the BSDs.
pub const WRITE_SLICES_MAX: usize = 1024;

/// The shape of one part: all that planning needs to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartShape {
    /// That many bytes in memory.
    Bytes(usize),
    /// `len` bytes of a file, from `offset` on.
    File {
        /// Where in the file the part begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
}

impl PartShape {
    fn len(self) -> u64 {
        match self {
            PartShape::Bytes(len) => len as u64,
            PartShape::File { len, .. } => len,
        }
    }

    /// Whether one fill of `sendfile`'s pipe takes the part.
    fn fits_one_pipe(self) -> bool {
        match self {
            PartShape::Bytes(_) => false,
            PartShape::File { offset, len } => {
                len.saturating_add(offset % PAGE_BYTES) <= MORE_FILE_BYTES
            }
        }
    }
}

/// What the platform offers to a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// A socket option that holds partial segments: `TCP_CORK`, `TCP_NOPUSH`.
    pub cork: bool,
    /// A flag that says of one write that more follows: `MSG_MORE`.
    pub more: bool,
    /// Files go to a socket without passing through this process.
    pub sendfile: bool,
}

impl Platform {
    /// Linux.
    pub const LINUX: Self = Self {
        cork: true,
        more: true,
        sendfile: true,
    };
    /// macOS and FreeBSD.
    pub const BSD: Self = Self {
        cork: true,
        more: false,
        sendfile: true,
    };
    /// Anything else: vectored writes only.
    pub const PLAIN: Self = Self {
        cork: false,
        more: false,
        sendfile: false,
    };
}

/// Facts of one stream, read once when its sender is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts {
    /// `SO_SNDBUF` in bytes, as the kernel counts it. It only grows while the kernel tunes it.
    pub send_buffer_bytes: u64,
    /// Payload bytes of a full segment.
    pub segment_bytes: u32,
    /// What the platform offers.
    pub platform: Platform,
}

impl StreamFacts {
    /// The least number of segments in which a message of `bytes` can leave.
    ///
    /// ```
    /// # use uncork::plan::{Platform, StreamFacts};
    /// let facts = StreamFacts {
    ///     send_buffer_bytes: 87_040,
    ///     segment_bytes: 1436,
    ///     platform: Platform::LINUX,
    /// };
    /// assert_eq!(facts.least_segments(300 + 65_536), 46);
    /// ```
    #[must_use]
    pub fn least_segments(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.segment_bytes.max(1)))
    }
}

/// What the kernel may do with the end of a departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The last byte leaves at once.
    Push,
    /// A last partial segment waits for the next departure.
    More,
}

/// One step of a plan. Parts are named by their index in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// From here on partial segments are held.
    Cork,
    /// A vectored write of parts in memory (more than one call only past
    /// [`WRITE_SLICES_MAX`] parts).
    Write {
        /// The parts it covers.
        parts: Range<usize>,
        /// What follows.
        tail: Tail,
    },
    /// `sendfile` of one part, in calls of at most [`SENDFILE_CAP_BYTES`].
    SendFile {
        /// The part it sends.
        part: usize,
    },
    /// Parts of any kind, gathered through a buffer of [`COPY_BUFFER_BYTES`].
    Copy {
        /// The parts it covers.
        parts: Range<usize>,
        /// What follows.
        tail: Tail,
    },
    /// Held segments leave now, and none is held any more.
    Uncork,
}

/// A plan: departures in their order. Short: at most one a run of parts, and two for the cork.
pub type Plan = SmallVec<[Departure; 4]>;

/// Decides how a message of these `shapes` departs.
///
/// After the last departure nothing of the message is held. An empty message has an empty plan.
///
/// ```
/// use uncork::plan::{plan, Departure, PartShape, Platform, StreamFacts, Tail};
/// let facts = StreamFacts {
///     send_buffer_bytes: 87_040,
///     segment_bytes: 1436,
///     platform: Platform::LINUX,
/// };
/// let departures = plan(&[PartShape::Bytes(300), PartShape::File { offset: 0, len: 1000 }], &facts);
/// assert_eq!(
///     departures.as_slice(),
///     [
///         Departure::Write { parts: 0..1, tail: Tail::More },
///         Departure::SendFile { part: 1 },
///     ]
/// );
/// ```
#[must_use]
pub fn plan(shapes: &[PartShape], facts: &StreamFacts) -> Plan {
    let total = shapes
        .iter()
        .fold(0u64, |sum, shape| sum.saturating_add(shape.len()));
    if total == 0 {
        return Plan::new();
    }
    let mut full_parts = shapes
        .iter()
        .enumerate()
        .filter(|(_, shape)| shape.len() > 0);
    let files = full_parts
        .clone()
        .filter(|(_, shape)| matches!(shape, PartShape::File { .. }))
        .count();
    let last_part = full_parts.next_back();
    let platform = facts.platform;

    if files > 0 && !platform.sendfile {
        return Plan::from_iter([Departure::Copy {
            parts: 0..shapes.len(),
            tail: Tail::Push,
        }]);
    }
    let pieces = runs(shapes);
    let hold = match (files, last_part) {
        (0, _) if shapes.len() <= WRITE_SLICES_MAX || platform.more => Hold::ByFlag,
        // A file alone needs no word that more follows, only the room to be queued at once.
        (1, Some((_, file)))
            if file.fits_one_pipe()
                && (platform.more || pieces.len() == 1)
                && total <= facts.send_buffer_bytes =>
        {
            Hold::ByFlag
        }
        _ if platform.cork => Hold::ByCork,
        _ => Hold::ByFlag,
    };
    match hold {
        Hold::ByFlag => pieces,
        Hold::ByCork => std::iter::once(Departure::Cork)
            .chain(pieces)
            .chain([Departure::Uncork])
            .collect(),
    }
}

/// What keeps the pieces of one message together.
enum Hold {
    ByFlag,
    ByCork,
}

/// Joins neighbouring parts in memory into one write, and gives each file its own departure.
fn runs(shapes: &[PartShape]) -> Plan {
    let mut departures = Plan::new();
    for (index, shape) in shapes.iter().enumerate() {
        match (shape, departures.last_mut()) {
            (shape, _) if shape.len() == 0 => {}
            (PartShape::Bytes(_), Some(Departure::Write { parts, .. })) => parts.end = index + 1,
            (PartShape::Bytes(_), _) => departures.push(Departure::Write {
                parts: index..index + 1,
                tail: Tail::More,
            }),
            (PartShape::File { .. }, _) => departures.push(Departure::SendFile { part: index }),
        }
    }
    if let Some(Departure::Write { tail, .. }) = departures.last_mut() {
        *tail = Tail::Push;
    }
    departures
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const B: fn(usize) -> PartShape = PartShape::Bytes;
    const F: fn(u64) -> PartShape = |len| PartShape::File { offset: 0, len };

    fn facts(platform: Platform) -> StreamFacts {
        StreamFacts {
            send_buffer_bytes: 87_040,
            segment_bytes: 1436,
            platform,
        }
    }

    fn write(parts: Range<usize>, tail: Tail) -> Departure {
        Departure::Write { parts, tail }
    }

    #[track_caller]
    fn check(platform: Platform, shapes: &[PartShape], expected: &[Departure]) {
        assert_eq!(plan(shapes, &facts(platform)).as_slice(), expected);
    }

    #[test]
    fn nothing_departs_for_an_empty_message() {
        check(Platform::LINUX, &[], &[]);
        check(Platform::LINUX, &[B(0), F(0)], &[]);
        check(Platform::PLAIN, &[F(0)], &[]);
    }

    #[test]
    fn memory_leaves_in_one_vectored_write() {
        for platform in [Platform::LINUX, Platform::BSD, Platform::PLAIN] {
            check(platform, &[B(300)], &[write(0..1, Tail::Push)]);
            check(
                platform,
                &[B(300), B(0), F(0), B(9_000_000)],
                &[write(0..4, Tail::Push)],
            );
        }
    }

    #[test]
    fn more_slices_than_one_write_takes_are_corked_where_no_flag_says_more() {
        let many = vec![B(1); WRITE_SLICES_MAX + 1];
        check(Platform::LINUX, &many, &[write(0..1025, Tail::Push)]);
        check(
            Platform::BSD,
            &many,
            &[
                Departure::Cork,
                write(0..1025, Tail::Push),
                Departure::Uncork,
            ],
        );
    }

    #[test]
    fn a_small_file_takes_two_calls_and_a_large_one_the_cork() {
        let file = Departure::SendFile { part: 1 };
        check(
            Platform::LINUX,
            &[B(300), F(65_536)],
            &[write(0..1, Tail::More), file.clone()],
        );
        for (platform, len) in [
            (Platform::LINUX, MORE_FILE_BYTES + 1),
            (Platform::BSD, 1000),
        ] {
            check(
                platform,
                &[B(300), F(len)],
                &[
                    Departure::Cork,
                    write(0..1, Tail::More),
                    file.clone(),
                    Departure::Uncork,
                ],
            );
        }
    }

    #[test]
    fn a_small_file_alone_needs_no_cork() {
        let file = Departure::SendFile { part: 1 };
        for platform in [Platform::LINUX, Platform::BSD] {
            check(platform, &[B(0), F(60_000)], std::slice::from_ref(&file));
        }
        check(
            Platform::LINUX,
            &[B(0), F(8_000_000)],
            &[Departure::Cork, file, Departure::Uncork],
        );
    }

    #[test]
    fn bytes_after_a_file_are_corked_at_any_size() {
        check(
            Platform::LINUX,
            &[B(10), F(10), B(2), B(2)],
            &[
                Departure::Cork,
                write(0..1, Tail::More),
                Departure::SendFile { part: 1 },
                write(2..4, Tail::Push),
                Departure::Uncork,
            ],
        );
    }

    #[test]
    fn an_offset_within_a_page_counts() {
        let aligned = PartShape::File {
            offset: 3 * PAGE_BYTES,
            len: MORE_FILE_BYTES,
        };
        let shifted = PartShape::File {
            offset: 3 * PAGE_BYTES + 1,
            len: MORE_FILE_BYTES,
        };
        assert_eq!(plan(&[B(300), aligned], &facts(Platform::LINUX)).len(), 2);
        assert_eq!(plan(&[B(300), shifted], &facts(Platform::LINUX)).len(), 4);
    }

    #[test]
    fn a_small_send_buffer_lowers_the_limit() {
        let mut small = facts(Platform::LINUX);
        small.send_buffer_bytes = 4096;
        let departures = plan(&[B(300), F(5000)], &small);
        assert_eq!(departures[0], Departure::Cork);
    }

    #[test]
    fn without_sendfile_everything_goes_through_one_buffer() {
        check(
            Platform::PLAIN,
            &[B(300), F(1000), B(2)],
            &[Departure::Copy {
                parts: 0..3,
                tail: Tail::Push,
            }],
        );
    }

    fn any_shape() -> impl Strategy<Value = PartShape> {
        prop_oneof![
            (0usize..100_000).prop_map(PartShape::Bytes),
            (0u64..9000, 0u64..3_000_000).prop_map(|(offset, len)| PartShape::File { offset, len }),
        ]
    }

    proptest! {
        /// Every byte departs once and in order, each cork is released at the end, and the
        /// last departure that carries bytes leaves nothing behind.
        #[test]
        fn every_part_departs_once_and_nothing_stays_held(
            shapes in prop::collection::vec(any_shape(), 0..40),
            platform in prop::sample::select(vec![Platform::LINUX, Platform::BSD, Platform::PLAIN]),
        ) {
            let departures = plan(&shapes, &facts(platform));
            let mut next_part = 0;
            let mut corked = false;
            let mut tail_held = false;
            for departure in &departures {
                match departure {
                    Departure::Cork => { prop_assert!(!corked); corked = true; }
                    Departure::Uncork => { prop_assert!(corked); corked = false; tail_held = false; }
                    Departure::Write { parts, tail } | Departure::Copy { parts, tail } => {
                        prop_assert!(shapes[next_part..parts.start].iter().all(|s| s.len() == 0));
                        next_part = parts.end;
                        tail_held = *tail == Tail::More;
                    }
                    Departure::SendFile { part } => {
                        prop_assert!(shapes[next_part..*part].iter().all(|s| s.len() == 0));
                        next_part = part + 1;
                        tail_held = false;
                    }
                }
            }
            prop_assert!(shapes[next_part..].iter().all(|s| s.len() == 0));
            prop_assert!(!corked && !tail_held);
        }
    }
}
