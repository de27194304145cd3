//! Peers that are no IMAP server, or a hostile one: a clear error, bounded memory, no panic.

use std::net::TcpListener;

use uncork_import::{ImportError, Options, Outcome, Report, Source};

use crate::peer::{Peer, Stage, literal_bytes, tag};
use crate::support::{
    assert_whole, eml_folder, import_with, names, numbered, options, run, target,
};

/// Imports ten mails into a peer.
fn play(play: impl FnOnce(&mut Stage) + Send + 'static) -> Outcome {
    let (_root, source) = numbered(10);
    let peer = Peer::start(play);
    let outcome = import_once(&source, peer.port);
    peer.end();
    outcome
}

/// Over one connection only.
fn import_once(source: &Source, port: u16) -> Outcome {
    let mut options = options();
    options.patience.attempts = 0;
    import_with(source, &target(port, "INBOX"), &options)
}

#[track_caller]
fn assert_not_imap(outcome: &Outcome, why: &str) {
    match &outcome.error {
        Some(ImportError::NotImap { address, reason }) => {
            assert!(address.starts_with("127.0.0.1:"), "{address}");
            assert!(reason.contains(why), "{reason}");
            assert!(reason.len() < 200, "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_of_something_else() {
    for (greeting, why) in [
        ("220 smtp.example.org ESMTP\r\n", "220 smtp.example.org"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        ("+OK POP3 ready\r\n", "no greeting"),
        ("* 5 EXISTS\r\n", "no greeting"),
        ("\r\n", "no IMAP"),
        ("* OK half a line", "hung up without a greeting"),
        ("", "hung up without a greeting"),
    ] {
        let outcome = play(move |stage| {
            stage.say(greeting);
        });
        assert_not_imap(&outcome, why);
        assert_eq!(outcome.report, Report::default());
    }
}

#[test]
fn nobody_there() {
    let (_root, source) = numbered(1);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = run(&source, &target(port, "INBOX")).error.unwrap();
    assert!(matches!(error, ImportError::Connect { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );

    let mut nowhere = target(port, "INBOX");
    // No resolver takes it to the network.
    nowhere.host = "no host".to_owned();
    let error = run(&source, &nowhere).error.unwrap();
    assert!(matches!(error, ImportError::Resolve { .. }), "{error:?}");
    assert!(error.to_string().contains("no host"), "{error}");
}

#[test]
fn no_password_is_in_what_is_printed() {
    let (_root, source) = numbered(1);
    let mut nowhere = target(143, "INBOX");
    nowhere.host = "no host".to_owned();
    let options = Options::with_password("secret");
    let error = import_with(&source, &nowhere, &options).error.unwrap();
    assert!(!format!("{error} {error:?} {options:?}").contains("secret"));
}

const PLUS: &str = "LITERAL+";

#[test]
fn a_line_without_end() {
    let endless = |stage: &mut Stage| while stage.say("x".repeat(4096)) {};
    let outcome = play(move |stage| {
        stage.say("* OK ");
        endless(stage);
    });
    assert_not_imap(&outcome, "response of more than");
    let outcome = play(move |stage| {
        stage.until_append(PLUS);
        stage.say("* ");
        endless(stage);
    });
    assert_not_imap(&outcome, "response of more than");
    assert_eq!(
        (outcome.report.imported, outcome.report.unknown_messages),
        (0, 10)
    );
}

#[test]
fn a_literal_without_end() {
    for (announced, why) in [
        ("4294967296", "literal of 4294967296 bytes"),
        ("65537", "response of more than"),
        (
            "18446744073709551615",
            "literal of 18446744073709551615 bytes",
        ),
    ] {
        let outcome = play(move |stage| {
            stage.until_append(PLUS);
            stage.say(format!("* LIST () {{{announced}}}\r\n"));
            while stage.say("x".repeat(4096)) {}
        });
        assert_not_imap(&outcome, why);
    }
    let outcome = play(|stage| {
        stage.until_append(PLUS);
        stage.say("* ");
        while stage.say(format!("{{4000}}\r\n{}", "x".repeat(4000))) {}
    });
    assert_not_imap(&outcome, "more than 16 literals");
}

/// Takes the ten mails one by one, and answers each as `answer` says to its tag.
fn take_all(stage: &mut Stage, answer: impl Fn(&mut Stage, &str)) {
    let mut line = stage.until_append(PLUS);
    while line.contains(" APPEND ") {
        stage.read(literal_bytes(&line));
        stage.line();
        answer(stage, tag(&line));
        line = stage.line();
    }
    stage.serve(&line, PLUS);
}

#[test]
fn a_tag_that_is_not_ours() {
    let outcome = play(|stage| {
        take_all(stage, |stage, _| {
            stage.say("A7 OK done\r\n");
        });
    });
    assert_not_imap(&outcome, "A7 OK done");
    assert_eq!(outcome.report.unknown_messages, 10);
}

#[test]
fn answers_that_nobody_waits_for() {
    for noise in [
        "U999 OK done\r\n",
        "U4294967295 NO done\r\n",
        "+ go ahead\r\n",
        "* 5 EXISTS\r\n* OK still here\r\n* NO disk nearly full\r\n* BAD what\r\n",
        "* ESEARCH {3}\r\na\r\n x\r\n",
    ] {
        let outcome = play(move |stage| {
            take_all(stage, |stage, tag| {
                stage.say(format!("{noise}{tag} OK done\r\n{noise}"));
            });
        });
        assert_whole(&outcome, 10);
    }
}

/// Without LITERAL+ a mail leaves after the server's `+` only: an OK before it is no word of a
/// mail stored.
#[test]
fn an_ok_before_the_mail_does_not_count() {
    let outcome = play(|stage| {
        let line = stage.until_append("");
        stage.say(format!("{} OK done\r\n", tag(&line)));
        stage.line();
    });
    assert_not_imap(&outcome, "has not been sent");
    assert_eq!(outcome.report.imported, 0);
}

/// Servers repeat what they refuse, the announced literal at its end included.
#[test]
fn a_refusal_that_repeats_the_command_is_no_literal() {
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say(format!("{tag} NO can't take: APPEND \"INBOX\" {{16}}\r\n"));
        });
    });
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.report.refused_messages, 10);
}

#[test]
fn an_answer_counts_once() {
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say(format!(
                "{tag} OK done\r\n{tag} OK done\r\n{tag} NO done\r\n"
            ));
        });
    });
    assert_whole(&outcome, 10);
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say(format!(
                "{tag} NO done\r\n{tag} OK done\r\n{tag} NO done\r\n"
            ));
        });
    });
    assert_eq!(
        (outcome.report.imported, outcome.report.refused_messages),
        (0, 10)
    );
}

#[test]
fn a_flood_of_what_is_of_no_use() {
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say("* 1 EXISTS\r\n".repeat(5000));
            stage.say("* OK still here\r\n".repeat(5000));
            stage.say(format!("{tag} OK done\r\n"));
        });
    });
    assert_whole(&outcome, 10);
}

#[test]
fn reasons_reach_no_terminal_raw() {
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say(format!("{tag} NO \x1b]0;title\x07\x1b[2J\u{9b}red\r\n"));
        });
    });
    assert_eq!(outcome.report.refused_messages, 10);
    let reasons = outcome.report.refused.iter().map(|mail| &mail.reason);
    assert!(
        reasons
            .clone()
            .all(|reason| !reason.contains(char::is_control))
    );
    assert!(reasons.clone().all(|reason| reason.contains("red")));
}

#[test]
fn bad_is_said_to_be_bad() {
    let outcome = play(|stage| {
        take_all(stage, |stage, tag| {
            stage.say(format!("{tag} BAD [X] no such command\r\n"));
        });
    });
    assert_eq!(outcome.report.refused[0].reason, "BAD: [X] no such command");
}

/// A response that arrives in pieces while a batch goes again: the first piece before the
/// question whether the server has kept something, the second after it.
#[test]
fn a_response_cut_where_the_import_turns_round() {
    const MULTI: &str = "LITERAL+ MULTIAPPEND";
    let outcome = play(|stage| {
        let mut line = stage.until_append(MULTI);
        let command = tag(&line).to_owned();
        while !line.is_empty() {
            stage.read(literal_bytes(&line));
            line = stage.line();
        }
        stage.say(format!("{command} NO one of them\r\n* OK still"));
        let mut line = stage.line();
        assert!(line.contains(" EXAMINE "), "{line}");
        stage.say(" here\r\n");
        while !line.contains(" APPEND ") {
            stage.serve(&line, MULTI);
            line = stage.line();
        }
        for _ in 0..2 {
            let command = tag(&line).to_owned();
            while !line.is_empty() {
                stage.read(literal_bytes(&line));
                line = stage.line();
            }
            stage.say(format!("{command} OK done\r\n"));
            line = stage.line();
        }
        while !line.is_empty() {
            stage.serve(&line, MULTI);
            line = stage.line();
        }
    });
    assert_whole(&outcome, 10);
}

#[test]
fn a_folder_that_is_made_and_not_there() {
    let outcome = play(|stage| {
        stage.say("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n");
        loop {
            let line = stage.line();
            let answer = if line.contains(" SELECT ") {
                "NO hidden"
            } else {
                "OK done"
            };
            if line.is_empty() || !stage.say(format!("{} {answer}\r\n", tag(&line))) {
                return;
            }
        }
    });
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.report.refused_messages, 10);
    let notes = &outcome.report.notes;
    assert!(
        notes.len() == 1 && notes[0].ends_with("INBOX: hidden"),
        "{notes:?}"
    );
}

/// Everything that was sent and not answered is named.
#[test]
fn a_server_that_goes_with_answers_owed() {
    let outcome = play(|stage| {
        let mut line = stage.until_append(PLUS);
        for _ in 0..4 {
            stage.read(literal_bytes(&line));
            stage.line();
            stage.say(format!("{} OK done\r\n", tag(&line)));
            line = stage.line();
        }
        stage.say("* BYE [UNAVAILABLE] disk on fire\r\n");
    });
    match &outcome.error {
        Some(ImportError::HungUp { said, .. }) => {
            assert_eq!(said.as_deref(), Some("[UNAVAILABLE] disk on fire"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outcome.report.imported, 4);
    let unknown: Vec<String> = (4..10).map(|n| format!("{n:03}.eml")).collect();
    assert_eq!(names(&outcome.report.unknown), unknown);
}

/// The client writes on while the server's answers and its last words wait to be read; then the
/// connection is reset.
#[test]
fn last_words_are_heard_by_who_is_writing() {
    let mail = format!("Subject: long\r\n\r\n{}", "x".repeat(1024 * 1024 - 100));
    let mails = (0..40).map(|n| (format!("{n:02}.eml"), mail.clone()));
    let (_root, source) = eml_folder(mails);
    let peer = Peer::start(|stage| {
        let mut line = stage.until_append(PLUS);
        for _ in 0..3 {
            stage.read(literal_bytes(&line));
            stage.line();
            stage.say(format!("{} OK done\r\n", tag(&line)));
            line = stage.line();
        }
        // What was sent and not read makes the kernel reset the connection.
        stage.say("* BYE quota of patience exceeded\r\n");
    });
    let outcome = import_once(&source, peer.port);
    peer.end();
    match &outcome.error {
        Some(ImportError::HungUp { said, .. }) => {
            assert_eq!(said.as_deref(), Some("quota of patience exceeded"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outcome.report.imported, 3);
}
