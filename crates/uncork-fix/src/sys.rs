//! Every raw system call of this crate that rustix has no safe function for.
#![expect(
    unsafe_code,
    reason = "raw system calls; each block says what it relies on"
)]

pub(crate) mod bpf;
pub(crate) mod descriptors;
pub(crate) mod group;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod spawn;
