use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Modifier;

use super::super::samples;
use super::state::Page;
use super::*;

fn drawn(report: &Report, state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| view::draw(frame, report, state))
        .unwrap();
    terminal.backend().to_string()
}

fn press(state: &mut State, report: &Report, codes: &[KeyCode]) -> Action {
    let mut action = Action::Stay;
    for code in codes {
        action = state.press(KeyEvent::new(*code, KeyModifiers::NONE), report);
    }
    action
}

fn typed(state: &mut State, report: &Report, keys: &str) -> Action {
    let codes: Vec<KeyCode> = keys.chars().map(KeyCode::Char).collect();
    press(state, report, &codes)
}

/// A state that has seen the report a second ago with half of what is lost now.
fn of(report: &Report) -> State {
    let mut before = report.clone();
    for stall in before.sockets.iter_mut().flat_map(|one| &mut one.stalls) {
        stall.held_ms_total /= 2.0;
    }
    let mut state = State::default();
    state.take(&before, Duration::from_secs(5));
    state.take(report, Duration::from_secs(6));
    state
}

#[test]
fn the_table() {
    let report = samples::many();
    let mut state = of(&report);
    insta::assert_snapshot!("table_wide", drawn(&report, &state, 110, 14));
    insta::assert_snapshot!("table_narrow", drawn(&report, &state, 66, 8));
    press(&mut state, &report, &[KeyCode::Down, KeyCode::Down]);
    typed(&mut state, &report, "sssp");
    insta::assert_snapshot!("table_by_name_paused", drawn(&report, &state, 110, 10));
}

#[test]
fn the_selected_row_is_seen() {
    let report = samples::many();
    let mut state = of(&report);
    press(&mut state, &report, &[KeyCode::Down]);
    let mut terminal = Terminal::new(TestBackend::new(80, 10)).unwrap();
    terminal
        .draw(|frame| view::draw(frame, &report, &state))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let is_reversed = |y: u16| buffer[(10, y)].modifier.contains(Modifier::REVERSED);
    let rows: Vec<u16> = (0..10).filter(|y| is_reversed(*y)).collect();
    assert_eq!(rows, [3]);
}

#[test]
fn the_details_and_the_help() {
    let report = samples::imaplib();
    let mut state = of(&report);
    press(&mut state, &report, &[KeyCode::Enter]);
    insta::assert_snapshot!("details", drawn(&report, &state, 80, 30));
    for _ in 0..5 {
        drawn(&report, &state, 80, 12);
        press(&mut state, &report, &[KeyCode::PageDown]);
    }
    assert!(drawn(&report, &state, 80, 12).contains("uncork fix -p 4711"));
    // Beyond the end there is nothing to come back from.
    let end = drawn(&report, &state, 80, 12);
    press(&mut state, &report, &[KeyCode::Up]);
    assert_ne!(drawn(&report, &state, 80, 12), end);
    press(&mut state, &report, &[KeyCode::Esc]);
    assert_eq!(state.page, Page::Table);
    typed(&mut state, &report, "?");
    insta::assert_snapshot!("help", drawn(&report, &state, 90, 20));
    typed(&mut state, &report, "x");
    assert_eq!(state.page, Page::Table);
}

#[test]
fn a_filter() {
    let report = samples::many();
    let mut state = of(&report);
    typed(&mut state, &report, "/Java");
    assert!(drawn(&report, &state, 110, 10).contains("show only: Java"));
    press(&mut state, &report, &[KeyCode::Enter]);
    let commands: Vec<&str> = state
        .rows(&report)
        .iter()
        .map(|row| row.command.as_str())
        .collect();
    assert_eq!(commands, ["java"; 8]);
    typed(&mut state, &report, "/zz");
    assert!(drawn(&report, &state, 110, 10).contains("no connection is left"));
    assert_eq!(state.rows(&report).len(), 0);
    press(
        &mut state,
        &report,
        &[KeyCode::Enter, KeyCode::Enter, KeyCode::Down],
    );
    assert_eq!(state.page, Page::Table);
    press(&mut state, &report, &[KeyCode::Esc]);
    assert_eq!(state.rows(&report).len(), 40);
    // What stands for keys elsewhere is text here.
    assert_eq!(typed(&mut state, &report, "/q"), Action::Stay);
    typed(&mut state, &report, &"x".repeat(100));
    assert_eq!(state.filter.len(), 40);
}

#[test]
fn what_is_selected_stays_selected() {
    let mut report = samples::many();
    let mut state = of(&report);
    press(
        &mut state,
        &report,
        &[KeyCode::Down, KeyCode::Down, KeyCode::Up],
    );
    let selected = |state: &State, report: &Report| {
        let rows = state.rows(report);
        state
            .selected(&rows)
            .map(|place| (place, rows[place].local.port()))
    };
    assert_eq!(selected(&state, &report), Some((1, 40_001)));
    // It goes on losing, and comes first.
    report.sockets[1].stalls[0].held_ms_total = 9000.0;
    assert_eq!(selected(&state, &report), Some((0, 40_001)));
    // It is closed: the place stays.
    report.sockets.remove(1);
    assert_eq!(selected(&state, &report), Some((1, 40_002)));
    press(&mut state, &report, &[KeyCode::End]);
    assert_eq!(selected(&state, &report).map(|(place, _)| place), Some(38));
    report.sockets.truncate(3);
    assert_eq!(selected(&state, &report).map(|(place, _)| place), Some(2));
    report.sockets.clear();
    assert_eq!(selected(&state, &report), None);
    press(&mut state, &report, &[KeyCode::Down, KeyCode::Enter]);
    assert_eq!(state.page, Page::Table);
}

#[test]
fn rates_are_those_of_the_last_second() {
    let mut report = samples::imaplib();
    let mut state = State::default();
    let mut rate_at = |ms: u64, held_ms: f64| {
        report.sockets[0].stalls[0].held_ms_total = held_ms;
        state.take(&report, Duration::from_millis(ms));
        state.rate(&report.sockets[0])
    };
    assert!(rate_at(0, 1000.0).abs() < 1e-9);
    assert!((rate_at(500, 1100.0) - 200.0).abs() < 1e-9);
    assert!((rate_at(1000, 1200.0) - 200.0).abs() < 1e-9);
    assert!((rate_at(1500, 1200.0) - 100.0).abs() < 1e-9);
    assert!(rate_at(2500, 1200.0).abs() < 1e-9);
}

#[test]
fn ways_out() {
    let report = samples::clean();
    let mut state = of(&report);
    assert_eq!(typed(&mut state, &report, "q"), Action::Quit);
    typed(&mut state, &report, "/");
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.press(control_c, &report), Action::Quit);
}

#[test]
fn any_report_on_any_terminal() {
    for report in [
        samples::hostile(),
        samples::empty(),
        samples::clean(),
        samples::corked(),
        samples::many(),
    ] {
        for (width, height) in [(1, 1), (2, 3), (20, 5), (80, 24), (300, 100)] {
            let mut state = of(&report);
            let table = drawn(&report, &state, width, height);
            assert!(!table.contains(['\u{1b}', '\u{202e}']));
            press(&mut state, &report, &[KeyCode::End, KeyCode::Enter]);
            drawn(&report, &state, width, height);
            typed(&mut state, &report, "?");
            drawn(&report, &state, width, height);
        }
    }
}
