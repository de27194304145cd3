//! The lab's IMAP server: refusals, hang-ups, and other faults that are asked for.

use std::time::Duration;

use uncork_lab::imap::{Fault, Personality};

use crate::imap_client::{Client, append};
use crate::imap_lab::{MAIL, eventually, failing, files, serving, start};

#[test]
fn refuses_a_message() {
    let (server, root) = failing([
        Fault::RefuseMessage {
            message: 2,
            reason: "Quota".into(),
            code: Some("OVERQUOTA".into()),
        },
        Fault::RefuseMessage {
            message: 5,
            reason: "Odd".into(),
            code: None,
        },
    ]);
    let mut client = Client::logged_in(&server);
    client
        .append("INBOX", &[MAIL, MAIL, MAIL])
        .no("[OVERQUOTA] Quota");
    client.append("INBOX", &[MAIL]).ok();
    client.send(format!("a APPEND INBOX {{{}}}\r\n", MAIL.len()).as_bytes());
    assert_eq!(client.line(), "+ go ahead");
    // The next literal's head gets the NO in the place of its +.
    client.send(format!("{MAIL} {{{}}}\r\n", MAIL.len()).as_bytes());
    client.reply("a").no("Odd");
    client.append("INBOX", &[MAIL]).ok();
    assert_eq!(server.stored(), 2);
    assert_eq!(files(root.path(), "tmp").len(), 0);
}

#[test]
fn a_refusal_that_is_not_atomic_keeps_what_came_before() {
    let (server, root) = failing([
        Fault::NotAtomic,
        Fault::RefuseMessage {
            message: 3,
            reason: "Third".into(),
            code: None,
        },
    ]);
    let mut client = Client::logged_in(&server);
    client
        .append("INBOX", &[MAIL, MAIL, MAIL, MAIL])
        .no("Third");
    assert_eq!(server.stored(), 2);
    assert_eq!(files(root.path(), "cur").len(), 2);
    assert_eq!(files(root.path(), "tmp").len(), 0);
    assert!(client.append("INBOX", &[MAIL]).ok().last().contains(" 3] "));
}

#[test]
fn refuses_during_the_upload() {
    let (server, _root) = failing([
        Fault::RefuseDuringUpload {
            message: 2,
            reason: "Stop".into(),
        },
        Fault::RefuseDuringUpload {
            message: 4,
            reason: "Stop".into(),
        },
    ]);
    let mut client = Client::logged_in(&server);
    client.send(format!("a {} {{1000+}}\r\n", append("INBOX", &[MAIL])).as_bytes());
    client.reply("a").no("Stop");
    client.send(&[b'x'; 1000]);
    client.send(format!(" {{{}+}}\r\n{MAIL}\r\n", MAIL.len()).as_bytes());
    client.run("NOOP").ok();
    client
        .run(format!("APPEND INBOX {{{}}}", MAIL.len()))
        .no("Stop");
    client.append("INBOX", &[MAIL]).ok();
    assert_eq!(server.stored(), 1);
}

#[test]
fn throttles() {
    let text = "Request is throttled. Suggested Backoff Time: 200 milliseconds";
    let (server, _root) = failing([Fault::Throttle {
        message: 2,
        text: text.into(),
        times: 2,
    }]);
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL]).ok();
    client.append("INBOX", &[MAIL, MAIL]).no(text);
    client.append("INBOX", &[MAIL]).no(text);
    client.append("INBOX", &[MAIL]).ok();
    assert_eq!(server.stored(), 2);
}

#[test]
fn hangs_up_around_the_tagged_reply() {
    let (server, root) = failing([
        Fault::HangUpBeforeTagged { message: 2 },
        Fault::HangUpAfterTagged { message: 3 },
    ]);
    let mut client = Client::logged_in(&server);
    client.send(
        format!(
            "a {}\r\nb {}\r\n",
            append("INBOX", &[MAIL]),
            append("INBOX", &[MAIL])
        )
        .as_bytes(),
    );
    client.reply("a").ok();
    assert!(client.is_closed());
    assert_eq!(server.stored(), 2);
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL]).ok();
    assert!(client.is_closed());
    assert_eq!(files(root.path(), "cur").len(), 3);
    Client::logged_in(&server).append("INBOX", &[MAIL]).ok();
}

#[test]
fn hangs_up_after_bytes() {
    let login = "a LOGIN lab lab\r\n";
    let one = format!("b {}\r\n", append("INBOX", &[MAIL]));
    let limit = (login.len() + one.len() + 10) as u64;
    for fault in [
        Fault::HangUpAfterBytes(limit),
        Fault::HangUpOnceAfterBytes(limit),
    ] {
        let once = matches!(fault, Fault::HangUpOnceAfterBytes(_));
        let (server, _root) = failing([fault]);
        for round in 1..=2 {
            let mut client = Client::greeted(&server);
            client.send_anyway(format!("{login}{one}{one}").as_bytes());
            client.reply("a").ok();
            client.reply("b").ok();
            if once && round == 2 {
                client.reply("b").ok();
            } else {
                assert!(client.is_closed());
            }
        }
        assert_eq!(server.stored(), if once { 3 } else { 2 });
    }
}

#[test]
fn says_bye() {
    let (server, _root) = failing([
        Fault::Bye {
            after_messages: 2,
            text: "Shutting down".into(),
        },
        Fault::Bye {
            after_messages: 0,
            text: "Not yet".into(),
        },
    ]);
    assert_eq!(Client::connect(&server).line(), "* BYE Not yet");
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL, MAIL]).ok();
    assert_eq!(client.line(), "* BYE Shutting down");
    assert!(client.is_closed());
    Client::logged_in(&server).append("INBOX", &[MAIL]).ok();
}

#[test]
fn a_slow_disk_does_not_outlast_the_server() {
    let (server, _root) = failing([Fault::SlowDisk(Duration::from_secs(3600))]);
    let mut client = Client::logged_in(&server);
    client.send(format!("a {}\r\n", append("INBOX", &[MAIL])).as_bytes());
    eventually(|| {
        server
            .commands()
            .iter()
            .any(|command| command == "APPEND INBOX")
    });
    drop(server);
}

#[test]
fn connections_are_counted_and_bounded() {
    let (server, _root) = serving(Personality::careful().connection_limit(2));
    let first = Client::greeted(&server);
    let _second = Client::greeted(&server);
    assert!(Client::connect(&server).line().starts_with("* BYE "));
    drop(first);
    eventually(|| Client::connect(&server).line().starts_with("* OK "));
}

#[test]
fn the_silent_are_shown_out() {
    let (server, _root) = start(|config| config.idle_limit = Duration::from_millis(50));
    assert!(Client::greeted(&server).is_closed());
}

#[test]
fn small_segments_can_be_asked_for() {
    let (server, _root) = start(|config| config.max_segment_bytes = Some(1448));
    Client::logged_in(&server).append("INBOX", &[MAIL]).ok();
}
