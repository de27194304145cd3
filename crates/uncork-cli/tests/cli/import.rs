//! `uncork import` where the server takes the mail: what it prints, and its exit codes.

use std::fs;

use serde_json::{Value, json};
use uncork_lab::imap::{Fault, Personality};
use uncork_lab::mail::write_maildir;

use crate::support::{Lab, import, mails, run};

/// The fields that scripts may rely on.
const FIELDS: [&str; 8] = [
    "imported",
    "already_there",
    "refused",
    "bytes",
    "seconds",
    "messages_per_second",
    "connections",
    "capabilities_used",
];

#[test]
fn json_and_nothing_else() {
    let (source, lab) = (mails(7), Lab::careful());
    let mut command = import(source.path(), &lab.url("Old"));
    let ended = run(command.args(["--json", "--quiet"])).with(0);
    assert_eq!(ended.stderr, "");
    let report = ended.json();
    for field in FIELDS {
        assert!(report.get(field).is_some(), "no {field} in {report}");
    }
    assert_eq!(report["imported"], 7);
    assert_eq!(report["already_there"], 0);
    assert_eq!(report["refused"], json!([]));
    assert_eq!(report["bytes"], 7 * 29);
    assert_eq!(report["connections"], 1);
    assert_eq!(
        report["capabilities_used"],
        json!(["LITERAL+", "MULTIAPPEND"])
    );
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(report["messages_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(lab.server.stored(), 7);
}

#[test]
fn a_summary_for_people() {
    let (source, lab) = (mails(7), Lab::careful());
    let ended = run(&mut import(source.path(), &lab.url("Old"))).with(0);
    // stderr is no terminal: no progress on it.
    assert_eq!(ended.stderr, "");
    for words in ["7 of 7 mails", "Old", "127.0.0.1", "LITERAL+, MULTIAPPEND"] {
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
    }
    let mut command = import(source.path(), &lab.url("Old"));
    let ended = run(command.arg("--quiet")).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert_eq!(lab.server.stored(), 14);
}

#[test]
fn a_maildir_with_subfolders_says_what_it_leaves_out() {
    let (source, lab) = (tempfile::tempdir().unwrap(), Lab::careful());
    write_maildir(source.path(), 1, 20).unwrap();
    fs::create_dir_all(source.path().join(".Sent/cur")).unwrap();
    let ended = run(&mut import(source.path(), &lab.url(""))).with(0);
    assert!(
        ended.stdout.contains("20 of 20 mails are in INBOX"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("1 subfolder"), "{}", ended.stdout);
}

#[test]
fn what_did_not_go_in_is_listed() {
    let source = mails(30);
    fs::write(source.path().join("003.eml"), "").unwrap();
    fs::write(source.path().join("005.eml"), "x".repeat(200)).unwrap();
    let start = || Lab::start(Personality::careful().append_limit(Some(100)), Vec::new());

    let lab = start();
    let report = run(import(source.path(), &lab.url("Old")).args(["--json", "--quiet"]))
        .with(1)
        .json();
    assert_eq!(report["imported"], 28);
    let mut refused = report["refused"].as_array().unwrap().clone();
    refused.sort_by_key(|mail| mail["source"].to_string());
    let path = |name: &str| Value::from(source.path().join(name).to_str().unwrap());
    let expected = [
        json!({
            "source": path("003.eml"),
            "folder": "Old",
            "reason": "is empty: servers refuse a mail of 0 bytes",
        }),
        json!({
            "source": path("005.eml"),
            "folder": "Old",
            "reason": "[TOOBIG] A message may have 100 bytes",
        }),
    ];
    assert_eq!(refused, expected);

    let lab = start();
    let ended = run(&mut import(source.path(), &lab.url("Old"))).with(1);
    for words in [
        "28 of 30 mails",
        "2 did not go in",
        "003.eml: is empty",
        "005.eml: [TOOBIG]",
    ] {
        assert!(
            ended.stdout.contains(words),
            "no `{words}` in {}",
            ended.stdout
        );
    }
}

#[test]
fn a_long_list_is_cut_on_the_terminal_only() {
    let source = mails(50);
    let lab = Lab::start(Personality::careful().append_limit(Some(10)), Vec::new());
    let ended = run(&mut import(source.path(), &lab.url(""))).with(1);
    assert!(ended.stdout.contains("… and 30 more"), "{}", ended.stdout);
    let report = run(import(source.path(), &lab.url("")).arg("--json"))
        .with(1)
        .json();
    assert_eq!(report["refused"].as_array().unwrap().len(), 50);
}

#[test]
fn mails_that_may_be_in_are_a_loss() {
    let source = mails(50);
    let refuse = Fault::RefuseMessage {
        message: 11,
        reason: "no".to_owned(),
        code: None,
    };
    let lab = Lab::start(Personality::careful(), vec![Fault::NotAtomic, refuse]);
    let ended = run(&mut import(source.path(), &lab.url(""))).with(1);
    assert!(
        ended.stdout.contains("50 may be in or not"),
        "{}",
        ended.stdout
    );
    assert_eq!(lab.server.stored(), 10);
}

#[test]
fn folders_as_people_write_them() {
    let (source, lab) = (mails(1), Lab::careful());
    run(&mut import(source.path(), &lab.url("Alt/Entw%C3%BCrfe"))).with(0);
    run(&mut import(source.path(), &lab.url("Alt/Entwürfe"))).with(0);
    let commands = lab.server.commands();
    let appends = commands.iter().filter(|c| *c == "APPEND Alt/Entw&APw-rfe");
    assert_eq!(appends.count(), 2, "{commands:?}");
}
