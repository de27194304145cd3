//! `uncork demo`, end to end. What the figures are is the machine's business, not the test's.

use std::fs;

use serde_json::Value;

use crate::support::{Ordinary, forbid, run, uncork};

#[test]
fn it_shows_everything() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("demo.html");
    let mut command = uncork();
    command
        .args(["demo", "--messages", "50", "--json", "--quiet", "--html"])
        .arg(&page);
    let ended = run(&mut command).with(0);
    assert_eq!(ended.stderr, "");
    let report = ended.json();

    let rows = report["mail"]["rows"].as_array().unwrap();
    let row = |row: &Value| {
        let word = |field: &str| row[field].as_str().unwrap().to_owned();
        (word("manner"), word("network"))
    };
    let seen: Vec<_> = rows.iter().map(row).collect();
    let expected = [
        ("naive", "loopback"),
        ("naive", "loopback_real_segments"),
        ("no_delay", "loopback"),
        ("corked", "loopback"),
        ("whole_message", "loopback"),
        ("uncork", "loopback"),
        ("uncork_literal_plus", "loopback"),
        ("uncork_multi_append", "loopback"),
        ("whole_message", "link"),
        ("uncork", "link"),
        ("uncork_literal_plus", "link"),
        ("uncork_multi_append", "link"),
    ];
    for (manner, network) in expected {
        let row = (manner.to_owned(), network.to_owned());
        assert!(seen.contains(&row), "no {row:?} in {seen:?}");
    }
    for row in rows {
        assert_eq!(row["messages"], 50);
        assert!(row["messages_per_second"].as_f64().unwrap() > 0.0, "{row}");
    }
    let web = report["web"]["rows"].as_array().unwrap();
    assert!(!web.is_empty());
    for row in web {
        assert!(
            row["segments"].as_u64() >= row["least_segments"].as_u64(),
            "{row}"
        );
    }
    let sentences = report["sentences"].as_array().unwrap();
    assert_eq!(sentences.len(), 4);
    the_program(&report["program"]);
    assert!(
        report["machine"]["kernel"]
            .as_str()
            .unwrap()
            .contains("Linux")
    );

    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.starts_with("<!"),
        "{}",
        page.chars().take(200).collect::<String>()
    );
    assert!(page.trim_end().ends_with("</html>"));
}

/// The naive client is seen from outside, and mended there: nothing of it is refused here.
fn the_program(story: &Value) {
    assert_eq!(story["refused"], serde_json::json!([]));
    let rows = story["rows"].as_array().unwrap();
    let manners: Vec<_> = rows.iter().map(|row| row["manner"].as_str()).collect();
    assert_eq!(manners, [Some("as_it_is"), Some("run"), Some("fixed")]);
    let stalls = |at: usize| rows[at]["seen"]["stalls"].as_u64().unwrap();
    // The first mails of a connection are acknowledged at once.
    assert!((40..=50).contains(&stalls(0)), "{story}");
    assert_eq!(stalls(1), 0, "{story}");
    let pattern = rows[0]["seen"]["pattern"].as_str().unwrap();
    assert!(!pattern.is_empty());
    assert_eq!(
        (&rows[0]["messages"], &rows[1]["messages"]),
        (&50.into(), &1000.into())
    );
    assert!(rows[2]["messages"].as_u64().unwrap() >= 500, "{story}");
}

#[test]
fn tables_for_people() {
    let ended = run(uncork().args(["demo", "--messages", "1"])).with(0);
    // stderr is no terminal: no progress on it.
    assert_eq!(ended.stderr, "");
    for words in [
        "naive client",
        "uncork, MULTIAPPEND",
        "round trip",
        "segments",
        "cores",
        "running, after uncork fix",
    ] {
        assert!(
            ended.stdout.contains(words),
            "no `{words}` in {}",
            ended.stdout
        );
    }
    assert_eq!(
        ended
            .stdout
            .lines()
            .filter(|line| line.starts_with("* "))
            .count(),
        4
    );
}

/// Known before the minute of work, of which nothing is seen here.
#[test]
fn a_page_that_can_not_be_written() {
    let missing = "/nonexistent/demo.html";
    let ended = run(uncork().args(["demo", "--messages", "1000000", "--html", missing])).with(2);
    ended.says(&[missing, "can't be written", "No such file"]);

    let user = Ordinary::new();
    let closed = user.folder("closed");
    forbid(&closed);
    let page = closed.join("demo.html");
    let mut command = user.uncork();
    let ended = run(command
        .args(["demo", "--messages", "1000000", "--html"])
        .arg(&page))
    .with(4);
    ended.says(&[page.to_str().unwrap(), "Permission denied"]);
}
