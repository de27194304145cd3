//! How many connections there are, in all and of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::limits::Limits;

/// Fewest descriptors that connections leave to everything else.
const RESERVE_MIN: u64 = 64;

/// Which part of all descriptors connections leave to everything else.
const RESERVE_PART: u64 = 8;

/// How many connections there may be where `open_files` may be open: as many as are `wanted`, as long
/// as that leaves enough for files, logs, and the `fixed` ones of threads and sockets. Where peers could
/// take all, no page could be opened any more.
#[must_use]
pub(crate) fn connections_max(wanted: usize, open_files: u64, fixed: u64) -> usize {
    let reserve = RESERVE_MIN.max(open_files / RESERVE_PART);
    let room = open_files.saturating_sub(reserve.saturating_add(fixed));
    // Where that is nothing, it serves a few all the same.
    let room = room.max(open_files / 4).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// Counts connections of all workers. Asked once a connection, never for a request.
#[derive(Debug)]
pub(crate) struct Census {
    all: AtomicUsize,
    of_address: Mutex<HashMap<IpAddr, usize>>,
    all_max: usize,
    of_address_max: usize,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// There are too many.
    All,
    /// There are too many of its address.
    Address,
}

impl Census {
    /// Nobody yet, and room for so many in all.
    #[must_use]
    pub(crate) fn new(limits: &Limits, all_max: usize) -> Self {
        Self {
            all: AtomicUsize::new(0),
            of_address: Mutex::new(HashMap::new()),
            all_max,
            of_address_max: limits.connections_per_address,
        }
    }

    /// Counts one in.
    ///
    /// # Errors
    /// Where there is no room; it is not counted then.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<(), Crowded> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.all_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::All);
        }
        let Some(address) = self.counted(address) else {
            return Ok(());
        };
        let mut of_address = self.lock();
        let count = of_address.entry(address).or_insert(0);
        if *count >= self.of_address_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::Address);
        }
        *count += 1;
        Ok(())
    }

    /// Counts one out that was counted in.
    pub(crate) fn leave(&self, address: IpAddr) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.counted(address) else {
            return;
        };
        let mut of_address = self.lock();
        if let Some(count) = of_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                of_address.remove(&address);
            }
        }
    }

    /// As what an address is counted: not at all where it is this machine (a terminator of TLS in
    /// front of us), and by its network of 64 bits in IPv6, of which a peer has 2^64 addresses.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if self.of_address_max == 0 || address.is_loopback() {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.of_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_files() {
        let check = |wanted, open_files, fixed, expected| {
            let found = connections_max(wanted, open_files, fixed);
            assert_eq!(found, expected, "{wanted} of {open_files}");
        };
        check(65_536, u64::MAX, 10, 65_536);
        check(65_536, 1_048_576, 10, 65_536);
        check(65_536, 65_536, 10, 57_334);
        check(65_536, 1024, 10, 886);
        check(65_536, 256, 10, 182);
        check(100, 256, 10, 100);
        check(100, 64, 10, 16);
        check(100, 0, 0, 1);
    }

    #[test]
    fn all_and_addresses_are_bounded() {
        let limits = Limits {
            connections_per_address: 2,
            ..Limits::default()
        };
        let census = Census::new(&limits, 5);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(census.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(census.enter(at("::ffff:192.0.2.1")), Ok(()));
        assert_eq!(census.enter(at("192.0.2.1")), Err(Crowded::Address));
        assert_eq!(census.enter(at("2001:db8::1")), Ok(()));
        assert_eq!(census.enter(at("2001:db8::ffff:1")), Ok(()));
        assert_eq!(census.enter(at("2001:db8::2")), Err(Crowded::Address));
        assert_eq!(census.enter(at("127.0.0.1")), Ok(()));
        assert_eq!(census.enter(at("127.0.0.1")), Err(Crowded::All));
        census.leave(at("127.0.0.1"));
        census.leave(at("192.0.2.1"));
        assert_eq!(census.enter(at("192.0.2.1")), Ok(()));
        for address in ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"] {
            census.leave(at(address));
        }
        assert_eq!(census.all.load(Ordering::Relaxed), 0);
        assert!(census.lock().is_empty());
    }
}
