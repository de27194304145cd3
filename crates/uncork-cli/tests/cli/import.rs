//! `uncork import` where the server takes the mail: what it prints, and its exit codes.

use std::fs;

use serde_json::{Value, json};
use uncork_lab::imap::Personality;

use crate::support::{Lab, default_journal, import, mails, run, uncork};

/// The fields that scripts may rely on.
const FIELDS: [&str; 10] = [
    "error",
    "imported",
    "already_there",
    "refused",
    "bytes",
    "seconds",
    "messages_per_second",
    "connections",
    "capabilities_used",
    "folders",
];

/// A server that takes no mail of 100 bytes or more.
fn narrow() -> Lab {
    Lab::start(Personality::careful().append_limit(Some(99)), Vec::new())
}

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
    assert_eq!(report["error"], Value::Null);
    assert_eq!(report["imported"], 7);
    assert_eq!(report["already_there"], 0);
    assert_eq!(report["refused"], json!([]));
    assert_eq!(report["bytes"], 7 * 29);
    assert_eq!(report["connections"], 1);
    assert_eq!(report["folders"][0]["folder"], "Old");
    let used = report["capabilities_used"].as_array().unwrap();
    assert!(used.contains(&json!("MULTIAPPEND")), "{used:?}");
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(report["messages_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(lab.server.stored(), 7);
}

#[test]
fn a_summary_for_people() {
    let (source, lab) = (mails(7), Lab::careful());
    let ended = run(&mut import(source.path(), &lab.url("Old"))).with(0);
    // stderr is no terminal: what the source is, and no progress.
    let detected = format!(
        "{}: a folder of .eml files, 7 mails\n",
        source.path().display()
    );
    assert_eq!(ended.stderr, detected);
    ended.prints(&["7 mails were imported into Old on 127.0.0.1", "MULTIAPPEND"]);
    let ended = run(&mut import(source.path(), &lab.url("Old"))).with(0);
    ended.prints(&["nothing new for Old", "7 mails were there already"]);
    let mut command = import(source.path(), &lab.url("New"));
    let ended = run(command.arg("--quiet")).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert_eq!(lab.server.stored(), 14);
}

#[test]
fn several_sources_and_folders_that_move() {
    let (root, lab) = (tempfile::tempdir().unwrap(), Lab::careful());
    let maildir = root.path().join("Maildir");
    for (folder, name) in [("cur", "1"), (".Sent/cur", "2"), (".Lists.rust/cur", "3")] {
        fs::create_dir_all(maildir.join(folder)).unwrap();
        fs::create_dir_all(maildir.join(folder).with_file_name("new")).unwrap();
        let file = maildir
            .join(folder)
            .join(format!("1580720400.{name}.host:2,S"));
        fs::write(file, format!("Subject: {name}\n\nx\n")).unwrap();
    }
    let eml = mails(2);
    let mut command = uncork();
    command.arg("import").args([&maildir, eml.path()]);
    command.args([
        &lab.url("Old"),
        "--json",
        "--map",
        "Sent=Gesendet/Alt",
        "--map",
        "Lists=L",
    ]);
    let report = run(command.env("UNCORK_PASSWORD", crate::support::PASSWORD))
        .with(0)
        .json();
    let folders = report["folders"].as_array().unwrap().iter();
    let mut folders: Vec<_> = folders
        .map(|folder| {
            (
                folder["folder"].as_str().unwrap(),
                folder["imported"].as_u64().unwrap(),
            )
        })
        .collect();
    folders.sort_unstable();
    assert_eq!(folders, [("Gesendet/Alt", 1), ("L/rust", 1), ("Old", 3)]);
}

#[test]
fn an_mbox_on_standard_input() {
    let lab = Lab::careful();
    let root = tempfile::tempdir().unwrap();
    let mbox = root.path().join("mbox");
    let mail = "From ada@example.org Mon Feb  3 10:00:00 2020\nSubject: x\n\nx\n\n";
    fs::write(&mbox, mail.repeat(2)).unwrap();
    let mut command = import("-".as_ref(), &lab.url("Old"));
    let ended = run(command.stdin(fs::File::open(&mbox).unwrap())).with(0);
    ended.prints(&["2 mails were imported into Old"]);
    assert_eq!(lab.server.stored(), 2);
}

#[test]
fn a_dry_run_changes_nothing() {
    let (source, lab) = (mails(7), Lab::careful());
    fs::write(source.path().join("nul.eml"), "Subject: \0\r\n\r\nx\r\n").unwrap();
    let mut command = import(source.path(), &lab.url("Old"));
    let ended = run(command.arg("--dry-run")).with(0);
    ended.prints(&[
        "nothing was changed",
        "8 mails would go into Old",
        "1  NUL bytes replaced",
    ]);
    assert_eq!(lab.server.stored(), 0);
    let commands = lab.server.commands();
    let changes = ["APPEND", "CREATE", "SUBSCRIBE", "STORE"];
    let is_change = |command: &&String| changes.iter().any(|change| command.starts_with(change));
    assert_eq!(commands.iter().find(is_change), None);
    // It is forgotten that it was planned.
    run(&mut import(source.path(), &lab.url("Old"))).with(0);
    assert_eq!(lab.server.stored(), 8);
}

#[test]
fn what_did_not_go_in_is_listed() {
    let source = mails(30);
    fs::write(source.path().join("003.eml"), "").unwrap();
    fs::write(
        source.path().join("005.eml"),
        format!("Subject: x\r\n\r\n{}", "x".repeat(200)),
    )
    .unwrap();
    let lab = narrow();
    let ended = run(import(source.path(), &lab.url("Old")).args(["--json", "--quiet"])).with(1);
    assert_eq!(ended.stderr, "uncork: 2 mails did not go in\n");
    let report = ended.json();
    assert_eq!(report["imported"], 28);
    assert_eq!(report["refused_messages"], 2);
    let refused = report["refused"].as_array().unwrap().iter();
    let mut refused: Vec<_> = refused
        .map(|mail| {
            (
                mail["source"].as_str().unwrap(),
                mail["folder"].as_str().unwrap(),
            )
        })
        .collect();
    refused.sort_unstable();
    let path = |name: &str| source.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(
        refused,
        [
            (path("003.eml").as_str(), "Old"),
            (path("005.eml").as_str(), "Old")
        ]
    );

    let lab = narrow();
    let ended = run(import(source.path(), &lab.url("Old")).arg("--quiet")).with(1);
    ended.says(&["2 mails did not go in: --json lists them"]);

    let lab = narrow();
    let ended = run(&mut import(source.path(), &lab.url("Old"))).with(1);
    ended.prints(&[
        "28 mails were imported",
        "2 mails did not go in",
        "003.eml: empty",
        "005.eml: ",
    ]);
    // The very command, so that it can be copied.
    let again = format!(
        "import {} {} --retry-refused",
        source.path().display(),
        lab.url("Old")
    );
    ended.prints(&["to try again", &again]);
}

#[test]
fn a_command_that_may_hold_a_secret_is_not_repeated() {
    let (source, lab) = (mails(1), narrow());
    fs::write(source.path().join("bad.eml"), "").unwrap();
    let command = format!("echo {}", crate::support::PASSWORD);
    let arguments = [
        "import",
        source.path().to_str().unwrap(),
        &lab.url(""),
        "--password-command",
        &command,
    ];
    let ended = run(uncork().args(arguments)).with(1);
    ended.prints(&["the reason is gone: the same command with --retry-refused"]);
}

#[test]
fn a_long_list_is_cut_on_the_terminal_only() {
    let source = mails(50);
    let start = || Lab::start(Personality::careful().append_limit(Some(10)), Vec::new());
    let lab = start();
    run(&mut import(source.path(), &lab.url("")))
        .with(1)
        .prints(&["… and 30 more"]);
    let lab = start();
    let report = run(import(source.path(), &lab.url("")).arg("--json"))
        .with(1)
        .json();
    assert_eq!(report["refused"].as_array().unwrap().len(), 50);
}

#[test]
fn where_the_journal_is() {
    let (source, lab) = (mails(3), Lab::careful());
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.sqlite");
    let run_with = |journal: &str| {
        run(import(source.path(), &lab.url("")).args(["--journal", journal, "--json"]))
            .with(0)
            .json()
    };
    let report = run_with("none");
    assert_eq!(
        (&report["imported"], &report["journal"]),
        (&json!(3), &Value::Null)
    );
    assert!(!default_journal().exists());
    // Even so the server is asked what it has.
    assert_eq!(run_with("none")["already_there"], 3);
    let report = run_with(own.to_str().unwrap());
    assert_eq!(report["journal"], own.to_str().unwrap());
    assert!(own.exists() && !default_journal().exists());
    run(&mut import(source.path(), &lab.url(""))).with(0);
    assert!(default_journal().exists());
    assert_eq!(lab.server.stored(), 3);
}

#[test]
fn copies_for_those_who_want_them() {
    let (source, lab) = (mails(3), Lab::careful());
    run(&mut import(source.path(), &lab.url(""))).with(0);
    for stored in [6, 9] {
        let mut command = import(source.path(), &lab.url(""));
        run(command.args(["--journal", "none", "--existing", "append"])).with(0);
        assert_eq!(lab.server.stored(), stored);
    }
}

#[test]
fn everything_is_read_back() {
    let (source, lab) = (mails(7), Lab::careful());
    let ended = run(import(source.path(), &lab.url("")).arg("--verify")).with(0);
    ended.prints(&["7 mails were read back, and are what was sent"]);
}

#[test]
fn repairs_are_said_or_refused() {
    let source = mails(1);
    fs::write(source.path().join("cr.eml"), "Subject: x\r\n\r\na\rb\r\n").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let lab = Lab::careful();
    let mut command = import(source.path(), &lab.url(""));
    run(command.arg("--rejects").arg(kept.path()))
        .with(0)
        .prints(&["1  stray CRs made line ends"]);
    assert!(fs::read_dir(kept.path()).unwrap().next().is_some());
    let lab = Lab::careful();
    let ended = run(import(source.path(), &lab.url("")).arg("--strict")).with(1);
    ended.prints(&["1 mail did not go in", "cr.eml"]);
    assert_eq!(lab.server.stored(), 1);
}

#[test]
fn a_page_for_people() {
    let (source, lab) = (mails(7), Lab::careful());
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("import.html");
    let mut command = import(source.path(), &lab.url("Old"));
    let ended = run(command.arg("--html").arg(&page)).with(0);
    ended.says(&["the page is in", page.to_str().unwrap()]);
    let html = fs::read_to_string(&page).unwrap();
    for words in [
        "<!doctype html>",
        "7 mails were imported into Old",
        "</html>",
    ] {
        assert!(html.contains(words), "no `{words}` in {html}");
    }
    // One that can't be written is better known before the import than after it.
    let mut command = import(source.path(), &lab.url("Other"));
    let ended = run(command.arg("--html").arg(folder.path())).with(2);
    ended.says(&["can't be written"]);
    assert_eq!(lab.server.stored(), 7);
}

#[test]
fn folders_as_people_write_them() {
    let (source, lab) = (mails(1), Lab::careful());
    run(&mut import(source.path(), &lab.url("Alt/Entw%C3%BCrfe"))).with(0);
    run(&mut import(source.path(), &lab.url("Alt/Entwürfe"))).with(0);
    run(import(source.path(), &lab.url("")).args(["--folder", "Alt/Entwürfe/"])).with(0);
    let commands = lab.server.commands();
    let appends = commands.iter().filter(|c| *c == "APPEND Alt/Entw&APw-rfe");
    assert_eq!(appends.count(), 1, "{commands:?}");
}
