//! What the user has chosen to see, and what was seen a second ago: pure.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use uncork_trace::Report;
use uncork_trace::report::SocketReport;

/// Over how long a rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Letters of a filter.
const FILTER_LETTERS_MAX: usize = 40;

/// Rows that Page Up and Page Down go.
const PAGE_ROWS: usize = 10;

/// By which a socket is known from one report to the next.
pub(super) type Key = (u32, SocketAddr, SocketAddr);

/// The key of a socket.
pub(super) fn key(socket: &SocketReport) -> Key {
    (socket.pid, socket.local, socket.remote)
}

/// By what the table is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Lost,
    Rate,
    Pid,
    Name,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Lost => Self::Rate,
            Self::Rate => Self::Pid,
            Self::Pid => Self::Name,
            Self::Name => Self::Lost,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Rate => "rate",
            Self::Pid => "pid",
            Self::Name => "name",
        }
    }
}

/// What is on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Page {
    #[default]
    Table,
    /// The selected socket, from so many lines on.
    Details(u16),
    Help,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Stay,
    Quit,
}

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sort: Sort,
    pub(super) page: Page,
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) is_typing: bool,
    /// From which line on all of the details is seen; only the drawing knows it.
    pub(super) last_line: Cell<u16>,
    is_paused: bool,
    /// The selected socket, and where it was: its place stays selected when it is gone.
    selected: Option<Key>,
    place: usize,
    /// Time lost by each socket, of late.
    past: VecDeque<(Duration, HashMap<Key, f64>)>,
}

impl State {
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Remembers what was lost by now.
    pub(super) fn take(&mut self, report: &Report, now: Duration) {
        let held = report.sockets.iter().map(|one| (key(one), one.held_ms()));
        self.past.push_back((now, held.collect()));
        // The last one that is too old is kept, so that the window is never cut short.
        let is_old = |(then, _): &(Duration, _)| now.saturating_sub(*then) >= RATE_WINDOW;
        while self.past.get(1).is_some_and(is_old) {
            self.past.pop_front();
        }
    }

    /// Milliseconds that a socket lost a second, over the last second.
    pub(super) fn rate(&self, socket: &SocketReport) -> f64 {
        let (Some((then, before)), Some((now, after))) = (self.past.front(), self.past.back())
        else {
            return 0.0;
        };
        let seconds = now.saturating_sub(*then).as_secs_f64();
        let held = |of: &HashMap<Key, f64>| of.get(&key(socket)).copied().unwrap_or(0.0);
        let rate = (held(after) - held(before)) / seconds;
        if rate.is_finite() { rate.max(0.0) } else { 0.0 }
    }

    /// The sockets that pass the filter, in their order.
    pub(super) fn rows<'a>(&self, report: &'a Report) -> Vec<&'a SocketReport> {
        let sockets = report.sockets.iter();
        let mut rows: Vec<&SocketReport> = sockets.filter(|one| self.passes(one)).collect();
        // A stable sort: what is equal stays in the report's order.
        rows.sort_by(|a, b| match self.sort {
            Sort::Lost => b.held_ms().total_cmp(&a.held_ms()),
            Sort::Rate => self.rate(b).total_cmp(&self.rate(a)),
            Sort::Pid => a.pid.cmp(&b.pid),
            Sort::Name => a.command.cmp(&b.command),
        });
        rows
    }

    fn passes(&self, socket: &SocketReport) -> bool {
        let filter = self.filter.to_lowercase();
        let texts = [
            socket.pid.to_string(),
            socket.command.to_lowercase(),
            socket.local.to_string(),
            socket.remote.to_string(),
            socket.container.as_deref().unwrap_or("").to_lowercase(),
        ];
        texts.iter().any(|text| text.contains(&filter))
    }

    /// Which of the rows is selected.
    pub(super) fn selected(&self, rows: &[&SocketReport]) -> Option<usize> {
        let found = rows.iter().position(|row| Some(key(row)) == self.selected);
        let last = rows.len().checked_sub(1)?;
        Some(found.unwrap_or(self.place.min(last)))
    }

    /// Takes a key.
    pub(super) fn press(&mut self, pressed: KeyEvent, report: &Report) -> Action {
        let is_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(pressed.code, KeyCode::Char('c' | 'd')) {
            return Action::Quit;
        }
        if self.is_typing {
            self.typed(pressed.code);
            return Action::Stay;
        }
        match (self.page, pressed.code) {
            (_, KeyCode::Char('q')) => return Action::Quit,
            (_, KeyCode::Char('p' | ' ')) => self.is_paused = !self.is_paused,
            (Page::Help, _) => self.page = Page::Table,
            (_, KeyCode::Char('?' | 'h')) => self.page = Page::Help,
            (Page::Details(from), code) => {
                self.page = scrolled(from.min(self.last_line.get()), code);
            }
            (Page::Table, KeyCode::Enter) => {
                // Opened for what is selected now, wherever it will be sorted to.
                self.move_by(Ordering::Equal, 0, report);
                if self.selected.is_some() {
                    self.page = Page::Details(0);
                }
            }
            (Page::Table, KeyCode::Char('s')) => self.sort = self.sort.next(),
            (Page::Table, KeyCode::Char('/')) => self.is_typing = true,
            (Page::Table, KeyCode::Esc) => self.filter.clear(),
            (Page::Table, code) => {
                let (way, rows) = match code {
                    KeyCode::Up | KeyCode::Char('k') => (Ordering::Less, 1),
                    KeyCode::Down | KeyCode::Char('j') => (Ordering::Greater, 1),
                    KeyCode::PageUp => (Ordering::Less, PAGE_ROWS),
                    KeyCode::PageDown => (Ordering::Greater, PAGE_ROWS),
                    KeyCode::Home => (Ordering::Less, usize::MAX),
                    KeyCode::End => (Ordering::Greater, usize::MAX),
                    _ => return Action::Stay,
                };
                self.move_by(way, rows, report);
            }
        }
        Action::Stay
    }

    fn typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter)
                if !letter.is_control() && self.filter.chars().count() < FILTER_LETTERS_MAX =>
            {
                self.filter.push(letter);
            }
            _ => {}
        }
    }

    fn move_by(&mut self, way: Ordering, by: usize, report: &Report) {
        let rows = self.rows(report);
        let Some(place) = self.selected(&rows) else {
            self.selected = None;
            return;
        };
        let place = match way {
            Ordering::Less => place.saturating_sub(by),
            Ordering::Equal => place,
            Ordering::Greater => place.saturating_add(by).min(rows.len() - 1),
        };
        self.place = place;
        self.selected = rows.get(place).map(|row| key(row));
    }
}

/// Where the details are read on from, or the table again.
fn scrolled(from: u16, code: KeyCode) -> Page {
    Page::Details(match code {
        KeyCode::Up | KeyCode::Char('k') => from.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => from.saturating_add(1),
        KeyCode::PageUp => from.saturating_sub(10),
        KeyCode::PageDown => from.saturating_add(10),
        KeyCode::Home => 0,
        KeyCode::Enter | KeyCode::Esc | KeyCode::Backspace => return Page::Table,
        _ => from,
    })
}
