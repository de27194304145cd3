//! The system calls by which a socket begins to send or to listen. Pure.

use std::fmt;

/// A call that the supervisor looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Connect,
    Listen,
    /// With MSG_FASTOPEN a send connects, too.
    SendTo,
    SendMsg,
    SendMmsg,
}

/// Where a call says whom it connects to: an address in the caller's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The address of the socket address, and its length.
    Address { at: u64, len: u64 },
    /// The address of a `struct msghdr` (or of a `struct mmsghdr`, which begins with one).
    Header { at: u64 },
    /// The call connects to nobody.
    None,
}

impl Call {
    pub(crate) const ALL: [Call; 5] = [
        Call::Connect,
        Call::Listen,
        Call::SendTo,
        Call::SendMsg,
        Call::SendMmsg,
    ];

    /// The call with this number.
    pub(crate) fn of(number: i32) -> Option<Self> {
        let number = libc::c_long::from(number);
        Call::ALL.into_iter().find(|call| call.number() == number)
    }

    pub(crate) fn number(self) -> libc::c_long {
        match self {
            Call::Connect => libc::SYS_connect,
            Call::Listen => libc::SYS_listen,
            Call::SendTo => libc::SYS_sendto,
            Call::SendMsg => libc::SYS_sendmsg,
            Call::SendMmsg => libc::SYS_sendmmsg,
        }
    }

    /// Which argument holds flags that decide whether the call is of interest; `None` where it
    /// always is.
    pub(crate) fn flags_argument(self) -> Option<u32> {
        match self {
            Call::Connect | Call::Listen => None,
            Call::SendMsg => Some(2),
            Call::SendTo | Call::SendMmsg => Some(3),
        }
    }

    pub(crate) fn peer(self, arguments: &[u64; 6]) -> Peer {
        let [_, second, third, _, fifth, sixth] = *arguments;
        match self {
            Call::Connect => Peer::Address {
                at: second,
                len: third,
            },
            Call::Listen => Peer::None,
            Call::SendTo => Peer::Address {
                at: fifth,
                len: sixth,
            },
            Call::SendMsg | Call::SendMmsg => Peer::Header { at: second },
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Connect => "connect",
            Call::Listen => "listen",
            Call::SendTo => "sendto",
            Call::SendMsg => "sendmsg",
            Call::SendMmsg => "sendmmsg",
        })
    }
}
