//! One socket that is sampled.

use std::os::fd::AsFd;
use std::time::Duration;

use uncork::TcpInfo;
use uncork_sockets::{Duplicate, Error, Process, Socket};

use super::facts::Offset;
use super::turn::{Found, Turn};
use crate::event::{Facts, SocketId};
use crate::session::now_ns;

/// The options are asked for in each sample that sees bytes held, and in one of so many others.
const OPTIONS_EVERY: u64 = 16;

/// A socket, and where it was found. Nothing of it is held between two samples: a duplicate that stays
/// would keep the program's `close()` from sending its FIN.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) id: SocketId,
    /// The process and the number of the descriptor there.
    pub(super) pid: u32,
    number: i32,
    cookie: u64,
    offset: Offset,
    /// As they were seen last.
    facts: Facts,
    looks: u64,
    pub(super) turn: Turn,
    /// When the look before was, by [`now_ns`]; 0 before the first one.
    pub(super) previous_ns: u64,
    /// When it was not at its descriptor any more: closed, or only handed to a child process.
    pub(super) gone_ns: Option<u64>,
}

/// What a look at a socket came to.
#[derive(Debug)]
pub(super) enum Look {
    /// It is there.
    Seen(Facts),
    /// Its descriptor is closed, or that of something else, or its process has ended.
    Gone,
    /// It can't be looked at now: that says nothing of the socket.
    Failed(Error),
}

impl Watched {
    /// `None` where TCP_INFO can't be had.
    pub(super) fn begin(id: SocketId, pid: u32, socket: &Socket) -> Option<(Self, Facts)> {
        let info = TcpInfo::of(socket).ok()?;
        let mut offset = Offset::default();
        let is_paced = socket
            .congestion()
            .is_ok_and(|name| name.starts_with("bbr"));
        let facts = Facts {
            nodelay: socket.nodelay().unwrap_or(false),
            corked: socket.corked().unwrap_or(false),
            // Whether the device is behind isn't known; BBR lets a segment wait much more often.
            device_limited: is_paced.then_some(false),
            ..offset.facts(&info)
        };
        let watched = Self {
            id,
            pid,
            number: socket.number(),
            cookie: socket.cookie(),
            offset,
            facts,
            // Not all sockets are asked for their options in the same round.
            looks: id.0,
            turn: Turn::new(now_ns()),
            previous_ns: 0,
            gone_ns: None,
        };
        Some((watched, facts))
    }

    /// Takes a sample: four system calls, of which a duplicate lives for two. Where nothing is held, it rests
    /// then for so long if it is calm.
    pub(super) fn look(&mut self, process: Option<&Process>, rest: Duration) -> Look {
        let Some(process) = process else {
            return Look::Gone;
        };
        let duplicate = match process.same_socket(self.number, self.cookie) {
            Ok(Some(duplicate)) => duplicate,
            Ok(None) => return Look::Gone,
            Err(error) if error.is_gone() => return Look::Gone,
            Err(error) => return Look::Failed(error),
        };
        let before = self.facts;
        let Some(facts) = self.read(&duplicate) else {
            return Look::Gone;
        };
        drop(duplicate);
        let rest_ns = u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX);
        self.turn
            .took(now_ns(), Found::of(&before, &facts), rest_ns);
        Look::Seen(facts)
    }

    fn read(&mut self, duplicate: &Duplicate) -> Option<Facts> {
        let info = TcpInfo::of(&duplicate.as_fd()).ok()?;
        let mut facts = Facts {
            nodelay: self.facts.nodelay,
            corked: self.facts.corked,
            device_limited: self.facts.device_limited,
            ..self.offset.facts(&info)
        };
        self.looks += 1;
        if facts.unsent_bytes() > 0 || self.looks.is_multiple_of(OPTIONS_EVERY) {
            facts.nodelay = duplicate.nodelay().unwrap_or(facts.nodelay);
            facts.corked = duplicate.corked().unwrap_or(facts.corked);
        }
        self.facts = facts;
        Some(facts)
    }

    /// Whether it is at this descriptor, and goes on there.
    ///
    /// # Errors
    /// Where that can't be found out.
    pub(super) fn goes_on_at(&mut self, process: &Process, number: i32) -> Result<bool, Error> {
        let is_there = process.same_socket(number, self.cookie)?.is_some();
        if is_there {
            self.pid = process.pid();
            self.number = number;
            self.gone_ns = None;
        }
        Ok(is_there)
    }

    /// What is to be said of it after its close. The end of a message that a rule of this side held
    /// departs with the FIN.
    pub(super) fn last_facts(&self) -> Facts {
        let mut facts = self.facts;
        if facts.unsent_bytes() < facts.mss {
            facts.snd_nxt = facts.write_seq;
        }
        facts
    }
}
