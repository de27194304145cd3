//! What an engine watches, and what it may have missed.

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// These processes and the children that they will have.
    Pids(Vec<u32>),
    /// The children that this process will have, and theirs.
    Children,
    /// Every process but this one.
    All,
}

/// What an engine has missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events for which there was no room.
    pub events: u64,
    /// Calls on sockets for which the kernel had no room.
    pub sockets: u64,
}
