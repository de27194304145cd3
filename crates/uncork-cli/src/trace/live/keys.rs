//! Keys, as long as there is a terminal that they come from.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What is typed within `wait`; at once where more of what was read already may wait. A new size of the
/// terminal is no event here: each frame asks for it.
///
/// crossterm 0.29 reads from a terminal that has gone for ever. So it is not asked where nothing was typed.
///
/// # Errors
/// `BrokenPipe` where the terminal has gone.
pub(super) fn next(wait: Duration, has_more: bool) -> io::Result<Option<Event>> {
    let wait = if has_more { Duration::ZERO } else { wait };
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&wait)) {
        Ok(_) => {}
        // By SIGHUP, it may be.
        Err(rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let [stdin] = polled.map(|stdin| stdin.revents());
    if stdin.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    if !has_more && !stdin.contains(PollFlags::IN) {
        return Ok(None);
    }
    event::poll(Duration::ZERO)?.then(event::read).transpose()
}
