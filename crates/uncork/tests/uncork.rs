//! The library over real sockets on loopback. Linux only, as the lab is that it stands on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "uncork/blocking.rs"]
mod blocking;
#[path = "uncork/burst.rs"]
mod burst;
#[path = "uncork/left_in_the_middle.rs"]
mod left_in_the_middle;
#[path = "uncork/nonblocking.rs"]
mod nonblocking;
#[path = "uncork/options.rs"]
mod options;
#[path = "uncork/support.rs"]
mod support;
#[path = "uncork/system_calls.rs"]
mod system_calls;
#[path = "uncork/tokio.rs"]
mod tokio;
