//! The end of a thread, waited for no longer than until a moment.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it is looked whether a thread has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a thread ended with. `None`: it has not ended by `until`, and is left alone.
pub(crate) fn join_until<T>(thread: JoinHandle<T>, until: Instant) -> Option<thread::Result<T>> {
    while !thread.is_finished() {
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
    Some(thread.join())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_that_hangs_is_left_alone() {
        let (sender, receiver) = channel::<()>();
        let hangs = thread::spawn(move || receiver.recv());
        assert!(join_until(hangs, Instant::now() + Duration::from_millis(20)).is_none());
        drop(sender);
        let ends = thread::spawn(|| 7);
        let ended = join_until(ends, Instant::now() + Duration::from_secs(60));
        assert_eq!(ended.unwrap().unwrap(), 7);
    }
}
