//! What is drawn: pure, from a report and a state.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};
use uncork_trace::Report;
use uncork_trace::report::{Engine, SocketReport};

use super::state::{Page, Sort, State};
use crate::trace::summary::{connection, excerpt, is_lost, lost, process, stalls};
use crate::trace::{terminal, words};
use crate::words::{count, counted, printable};

/// Holds that have a bar in the table.
const HOLDS_SHOWN: usize = 12;

/// Bars for holds up to the longest delay that an ACK has by default, 200 ms, by powers.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BAR_MS_MAX: f64 = 200.0;

/// Letters of a name that are shown.
const COMMAND_LETTERS: usize = 15;

const HELP: &str = "\
↑ ↓        select a connection (also j k, Page Up, Page Down, Home, End)
Enter      all about it: patterns, where its time went, what to do; again: back
s          sort by time lost, by time lost a second, by pid, by name
/          show only what holds a text: name, pid, address, container; Esc: all again
p          pause what is shown; it is watched all the same
q, Ctrl-C  end, and print the report
?          this help

lost       time for which small writes or ends of messages were held
lost/s     the same, over the last second
holds      the latest of them, each a bar: 1 ms is lowest, 200 ms and more are highest
limit      what the connection waits for most

any key    back";

/// Draws the page that was chosen.
pub(super) fn draw(frame: &mut Frame<'_>, report: &Report, state: &State) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = areas.areas(frame.area());
    frame.render_widget(headline(report, state), top);
    match state.page {
        Page::Table => table(frame, middle, report, state),
        Page::Details(from) => details(frame, middle, report, state, from),
        Page::Help => frame.render_widget(Paragraph::new(HELP).block(block(" help ")), middle),
    }
    frame.render_widget(keys(state), bottom);
}

fn headline<'a>(report: &Report, state: &State) -> Paragraph<'a> {
    let time = words::time((report.seconds * 1000.0).round());
    let engine = match report.engine {
        Engine::Ebpf => "eBPF",
        Engine::Sample => "sampled",
    };
    let sockets = counted(report.sockets.len() as u64, "connection");
    let mut spans = vec![
        Span::styled(" uncork trace ", Modifier::BOLD),
        Span::raw(format!("· {engine} · watched {time} · {sockets} · ")),
        match is_lost(report) {
            true => Span::styled(format!("{} lost", lost(report)), alarm()),
            false => Span::raw("nothing lost"),
        },
    ];
    if report.events_lost > 0 {
        let events = counted(report.events_lost, "event");
        spans.push(Span::raw(format!(" · {events} missed")));
    }
    if state.is_paused() {
        spans.push(Span::styled(" · PAUSED", Modifier::BOLD));
    }
    Paragraph::new(Line::from(spans))
}

fn keys<'a>(state: &State) -> Paragraph<'a> {
    if state.is_typing {
        let filter = printable(&state.filter);
        return Paragraph::new(format!(
            " show only: {filter}▏  Enter keeps it, Esc shows all"
        ));
    }
    let text = match state.page {
        Page::Table => format!(
            " ↑↓ select  Enter details  s sort: {}  / filter{}  p pause  ? help  q quit and report",
            state.sort.name(),
            match printable(&state.filter) {
                filter if filter.is_empty() => String::new(),
                filter => format!(": {filter}"),
            }
        ),
        Page::Details(_) => " ↑↓ scroll  Enter back  p pause  ? help  q quit and report".to_owned(),
        Page::Help => " any key: back".to_owned(),
    };
    Paragraph::new(text).style(Modifier::DIM)
}

/// A column: its title, its width, and what it says. On a narrow terminal the last ones are left out.
struct Column {
    title: &'static str,
    width: u16,
    sort: Option<Sort>,
    /// From which width of the terminal on it is there.
    from: u16,
    is_figure: bool,
    text: fn(&SocketReport, &State) -> String,
}

const COLUMNS: [Column; 8] = [
    Column {
        title: "pid",
        width: 8,
        sort: Some(Sort::Pid),
        from: 0,
        is_figure: true,
        text: |socket, _| socket.pid.to_string(),
    },
    Column {
        title: "command",
        width: 15,
        sort: Some(Sort::Name),
        from: 0,
        is_figure: false,
        text: |socket, _| excerpt(&socket.command, COMMAND_LETTERS),
    },
    Column {
        title: "peer",
        width: 0,
        sort: None,
        from: 0,
        is_figure: false,
        text: |socket, _| socket.remote.to_string(),
    },
    Column {
        title: "lost",
        width: 9,
        sort: Some(Sort::Lost),
        from: 0,
        is_figure: true,
        text: |socket, _| some(socket.held_ms()),
    },
    Column {
        title: "stalls",
        width: 8,
        sort: None,
        from: 70,
        is_figure: true,
        text: |socket, _| match stalls(socket) {
            0 => "–".to_owned(),
            stalls => count(stalls),
        },
    },
    Column {
        title: "lost/s",
        width: 8,
        sort: Some(Sort::Rate),
        from: 60,
        is_figure: true,
        text: |socket, state| some(state.rate(socket)),
    },
    Column {
        title: "holds",
        width: 12,
        sort: None,
        from: 100,
        is_figure: false,
        text: |socket, _| bars(&socket.holds_ms),
    },
    Column {
        title: "limit",
        width: 13,
        sort: None,
        from: 80,
        is_figure: false,
        text: |socket, _| words::limit_short(socket.limit).to_owned(),
    },
];

fn table(frame: &mut Frame<'_>, area: Rect, report: &Report, state: &State) {
    let rows = state.rows(report);
    if rows.is_empty() {
        let text = match state.filter.is_empty() {
            true => "no connection has done anything yet",
            false => "no connection is left by the filter (Esc shows all)",
        };
        let text = Paragraph::new(format!("\n  {text}"));
        return frame.render_widget(text, area);
    }
    let columns = || COLUMNS.iter().filter(|column| area.width >= column.from);
    let header = columns().map(|column| {
        let is_sorted = column.sort == Some(state.sort);
        let title = match is_sorted {
            true => format!("{} ▾", column.title),
            false => column.title.to_owned(),
        };
        cell(title, column)
    });
    let header = Row::new(header).style(Modifier::BOLD);
    let selected = state.selected(&rows);
    // Only what can be on the screen is made into text: there may be ten thousand sockets.
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let place = selected.unwrap_or(0);
    let first = place
        .saturating_sub(height / 2)
        .min(rows.len().saturating_sub(height));
    let shown = rows.iter().skip(first).take(height).map(|socket| {
        let cells = columns().map(|column| cell((column.text)(socket, state), column));
        let style = match state.rate(socket) > 0.0 {
            true => alarm(),
            false => Style::new(),
        };
        Row::new(cells).style(style)
    });
    let widths = columns().map(|column| match column.width {
        0 => Constraint::Min(12),
        width => Constraint::Length(width),
    });
    let table = Table::new(shown, widths)
        .header(header)
        .column_spacing(2)
        .row_highlight_style(Modifier::REVERSED);
    let mut place = TableState::new().with_selected(selected.map(|place| place - first));
    frame.render_stateful_widget(table, area, &mut place);
}

fn cell<'a>(text: String, column: &Column) -> Cell<'a> {
    let alignment = match column.is_figure {
        true => Alignment::Right,
        false => Alignment::Left,
    };
    Cell::new(Line::from(text).alignment(alignment))
}

/// A time, or a dash, so that figures are seen only where something was lost.
fn some(ms: f64) -> String {
    match ms > 0.0 {
        true => words::time(ms),
        false => "–".to_owned(),
    }
}

/// The latest holds, the newest last.
fn bars(holds_ms: &[f64]) -> String {
    let latest = holds_ms.len().saturating_sub(HOLDS_SHOWN);
    holds_ms[latest..].iter().map(|ms| bar(*ms)).collect()
}

fn bar(ms: f64) -> char {
    let share = (ms.max(1.0).log10() / BAR_MS_MAX.log10()).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 7, and what is no number is 0"
    )]
    let level = (share * 7.0).round() as usize;
    BARS[level]
}

fn details(frame: &mut Frame<'_>, area: Rect, report: &Report, state: &State, from: u16) {
    let rows = state.rows(report);
    let socket = state.selected(&rows).map(|place| rows[place]);
    let Some(socket) = socket else {
        return frame.render_widget(Paragraph::new("\n  it is gone"), area);
    };
    let title = format!(" {}  {} ", process(socket), connection(socket));
    let width = usize::from(area.width.saturating_sub(2));
    let text = terminal::details(report, socket, width);
    let lines = u16::try_from(text.lines().count()).unwrap_or(u16::MAX);
    let last = lines.saturating_sub(area.height.saturating_sub(2));
    state.last_line.set(last);
    let text = Paragraph::new(text).scroll((from.min(last), 0));
    frame.render_widget(text.block(block(&title)), area);
}

fn block(title: &str) -> Block<'_> {
    Block::new()
        .borders(Borders::TOP | Borders::BOTTOM)
        .title(title)
}

/// Time that is being lost.
fn alarm() -> Style {
    Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)
}
