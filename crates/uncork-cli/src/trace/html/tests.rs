use std::path::PathBuf;

use super::super::samples;
use super::*;

fn page_of(report: &Report) -> String {
    page(report, 10, "2026-01-02 03:04 UTC")
}

#[test]
fn nothing_that_others_say_becomes_markup() {
    let page = page_of(&samples::hostile());
    let is_obeyed = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!page.contains("<script") && !page.contains(is_obeyed));
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)"));
    assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
    assert!(page.len() < 200_000, "{}", page.len());
}

/// A page that a browser has to guess about is not what was written.
#[test]
fn tags_are_closed_in_order() {
    for report in [
        samples::imaplib(),
        samples::clean(),
        samples::bulk(),
        samples::corked(),
        samples::many(),
        samples::empty(),
        samples::hostile(),
    ] {
        let page = page_of(&report);
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '\n']).next().unwrap();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        for load in ["src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(load), "{load}");
        }
    }
}

#[test]
fn what_is_on_the_page() {
    let page = page_of(&samples::imaplib());
    for words in [
        "python3 (pid 4711) lost 4.31 s of 4.42 s in 100 stalls.",
        "imap.sock.setsockopt",
        "uncork fix -p 4711",
        "What happened when",
        "All of it",
        "How long the holds were",
        "Where its time went",
        "53 + 351 + 2 B",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let clean = page_of(&samples::clean());
    assert!(clean.contains("No time was lost") && clean.contains("The program is the limit"));
    assert!(!clean.contains("What to do"));
}

#[test]
fn a_long_trace_makes_a_page_of_bounded_length() {
    let mut report = samples::imaplib();
    let marks = report.sockets[0].timeline.clone();
    report.sockets[0].timeline = marks.iter().copied().cycle().take(500_000).collect();
    report.sockets[0].holds_ms = vec![43.0; 100_000];
    assert!(page_of(&report).len() < 100_000);
}

/// Writes the pages where a person can look at them: `UNCORK_SAMPLE_PAGES=folder cargo test`.
#[test]
fn pages_to_look_at() {
    let Some(folder) = std::env::var_os("UNCORK_SAMPLE_PAGES").map(PathBuf::from) else {
        return;
    };
    for (name, report) in [
        ("imaplib", samples::imaplib()),
        ("clean", samples::clean()),
        ("bulk", samples::bulk()),
        ("corked", samples::corked()),
        ("many", samples::many()),
        ("hostile", samples::hostile()),
    ] {
        std::fs::write(folder.join(name).with_extension("html"), page_of(&report)).unwrap();
    }
}
