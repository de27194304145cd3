//! Keys, as long as there is a terminal that they come from.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether a key, or a new size of the terminal, comes within `wait`; that of a size may be seen after it.
///
/// # Errors
/// `BrokenPipe` where the terminal has gone. crossterm 0.29 reads from such a one for ever.
pub(super) fn next(wait: Duration) -> io::Result<Option<Event>> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [stdin] = polled.map(|stdin| stdin.revents());
    if stdin.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    event::poll(Duration::ZERO)?.then(event::read).transpose()
}
