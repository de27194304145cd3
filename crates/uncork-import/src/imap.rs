//! The client's side of IMAP: connections, what a server answers, and what it can do.

pub(crate) mod capability;
pub(crate) mod fetch;
pub(crate) mod look;
pub(crate) mod response;
mod sasl;
pub(crate) mod session;
pub(crate) mod throttle;
pub(crate) mod uid_set;
pub(crate) mod wire;
