//! The live view: a table of connections that loses its place to the report at the end.
//!
//! It is drawn on stderr, so that the report on stdout can go into a file meanwhile.

use std::io;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{Event, KeyEventKind};
use uncork_trace::Report;

use screen::Screen;
use state::{Action, State};

mod keys;
mod screen;
mod state;
mod view;

/// How often the report is asked for.
const INTERVAL: Duration = Duration::from_millis(250);

/// Why the view was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The user has enough.
    Quit,
    /// The trace is over by itself, or the terminal has gone.
    Over,
}

/// Shows what `report` says every quarter of a second, until the user quits or `is_over` says so.
/// Whatever ends it, a panic too, the terminal is as it was.
///
/// Ctrl-C is a key here, and quits; other signals are the caller's to catch, and to pass on by
/// `is_over`.
pub(crate) fn watch(
    mut report: impl FnMut() -> Report,
    is_over: impl Fn() -> bool,
) -> io::Result<Left> {
    let mut screen = Screen::open()?;
    let start = Instant::now();
    let mut state = State::default();
    let mut shown = report();
    state.take(&shown, start.elapsed());
    let mut next = Instant::now() + INTERVAL;
    // More of what was read already may wait.
    let mut has_more = false;
    loop {
        if is_over() {
            return Ok(Left::Over);
        }
        let wait = next.saturating_duration_since(Instant::now());
        let drawn = screen.draw(|frame| view::draw(frame, &shown, &state));
        let event = match drawn.and_then(|()| keys::next(wait, has_more)) {
            Ok(event) => event,
            Err(error) if has_gone(&error) => return Ok(Left::Over),
            Err(error) => return Err(error),
        };
        has_more = event.is_some();
        if let Some(Event::Key(key)) = event
            && key.kind != KeyEventKind::Release
            && state.press(key, &shown) == Action::Quit
        {
            return Ok(Left::Quit);
        }
        if Instant::now() >= next {
            next = Instant::now() + INTERVAL;
            if !state.is_paused() {
                shown = report();
                state.take(&shown, start.elapsed());
            }
        }
    }
}

/// Whether the terminal was closed: what is written to it comes to nothing (EIO).
fn has_gone(error: &io::Error) -> bool {
    let is_closed = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    is_closed || error.kind() == io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests;
