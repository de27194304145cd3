#![forbid(unsafe_code)]
//! TCP sockets of other processes: found through `/proc`, duplicated by `pidfd_getfd`, described.
