//! The lab's IMAP server: crashes, cuts and silence, and what is there afterwards.

use std::fs;

use uncork_lab::imap::{Atomicity, Fault, Personality};

use crate::imap_client::{Client, append};
use crate::imap_lab::{MAIL, eventually, failing, serving_in, uids, with};

#[test]
fn a_crash_leaves_all_or_nothing_or_a_prefix() {
    let check = |atomicity: Atomicity, fault: Fault, expected: &[u32]| {
        let personality = Personality::careful().atomicity(atomicity);
        let (server, root) = with(personality.clone(), [fault.clone()]);
        let mut client = Client::logged_in(&server);
        client.send_anyway(format!("a {}\r\n", append("INBOX", &[MAIL; 3])).as_bytes());
        let reply = client.reply("a");
        let is_answered = matches!(fault, Fault::CrashAfterTagged { .. });
        assert_eq!(reply.last().contains(" OK "), is_answered, "{:?}", reply.0);
        assert!(client.is_closed());
        // The same server, as restarted.
        let mut client = Client::logged_in(&server);
        assert_eq!(uids(&server, "INBOX"), expected, "{atomicity:?} {fault:?}");
        assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
        client.append("INBOX", &[MAIL]).ok();
        drop(server);
        // Another server on the same root.
        let server = serving_in(root.path(), personality, []);
        let next = u32::try_from(expected.len()).unwrap() + 1;
        let all: Vec<u32> = (1..=next).collect();
        assert_eq!(uids(&server, "INBOX"), all);
    };
    let all = Atomicity::AllOrNothing;
    check(all, Fault::CrashInUpload { message: 2 }, &[]);
    check(all, Fault::CrashInCommit { message: 2 }, &[1, 2, 3]);
    check(all, Fault::CrashBeforeTagged { message: 2 }, &[1, 2, 3]);
    check(all, Fault::CrashAfterTagged { message: 2 }, &[1, 2, 3]);
    let prefix = Atomicity::Prefix;
    check(prefix, Fault::CrashInUpload { message: 2 }, &[1]);
    check(prefix, Fault::CrashInCommit { message: 2 }, &[1, 2]);
    check(prefix, Fault::CrashBeforeTagged { message: 2 }, &[1, 2, 3]);
}

#[test]
fn a_hard_stop_in_a_multiappend_leaves_a_prefix_or_nothing() {
    for (atomicity, expected) in [
        (Atomicity::AllOrNothing, &[][..]),
        (Atomicity::Prefix, &[1, 2][..]),
    ] {
        let personality = Personality::careful().atomicity(atomicity);
        let (server, root) = with(personality.clone(), []);
        let mut client = Client::logged_in(&server);
        client.send(format!("a {} {{100+}}\r\nhalf", append("INBOX", &[MAIL; 2])).as_bytes());
        let files = |part: &str| fs::read_dir(root.path().join(part)).unwrap().count();
        eventually(|| files("tmp") + files("cur") >= 2 && files("cur") == expected.len());
        drop(server);
        let server = serving_in(root.path(), personality, []);
        assert_eq!(uids(&server, "INBOX"), expected);
    }
}

#[test]
fn a_crash_cuts_all_connections_and_keeps_everything() {
    let (server, _root) = failing([Fault::CrashBeforeTagged { message: 2 }]);
    let mut one = Client::logged_in(&server);
    let mut other = Client::logged_in(&server);
    one.run(format!(
        "APPEND INBOX (\\Seen $k) \"17-Jul-1996 02:44:25 -0700\" {{{}+}}\r\n{MAIL}",
        MAIL.len()
    ))
    .ok();
    let before = server.folder_uids("INBOX").unwrap();
    let contents = server.folder_contents("INBOX").unwrap();
    assert_eq!(contents[0].flags, ["\\Seen", "$k"]);
    assert_eq!(contents[0].internal_date.as_second(), 837_596_665);
    assert_eq!(contents[0].bytes, MAIL.as_bytes());
    one.send(format!("a {}\r\n", append("INBOX", &[MAIL])).as_bytes());
    assert!(one.is_closed() && other.is_closed());
    Client::logged_in(&server).run("NOOP").ok();
    let after = server.folder_uids("INBOX").unwrap();
    assert_eq!((after.0, after.1), (before.0, before.1 + 1));
    assert_eq!(server.folder_contents("INBOX").unwrap()[0], contents[0]);
    let mut client = Client::logged_in(&server);
    server.crash();
    assert!(client.is_closed());
    Client::logged_in(&server).append("INBOX", &[MAIL]).ok();
    assert_eq!(uids(&server, "INBOX"), [1, 2, 3]);
}

#[test]
fn replies_are_cut_at_any_byte() {
    let greeting_and_login = {
        let (server, _root) = failing([]);
        let mut client = Client::connect(&server);
        client.send(b"a LOGIN lab lab\r\nb LOGOUT\r\n");
        client.rest()
    };
    for bytes in 0..greeting_and_login.len() as u64 {
        let (server, _root) = failing([Fault::HangUpOnceAfterSaidBytes(bytes)]);
        let mut client = Client::connect(&server);
        client.send_anyway(b"a LOGIN lab lab\r\nb LOGOUT\r\n");
        let cut = &greeting_and_login[..usize::try_from(bytes).unwrap()];
        assert_eq!(client.rest(), cut);
        let mut client = Client::connect(&server);
        client.send(b"a LOGIN lab lab\r\nb LOGOUT\r\n");
        assert_eq!(client.rest(), greeting_and_login);
    }
    let (server, _root) = failing([Fault::HangUpAfterSaidBytes(9)]);
    for _ in 0..2 {
        assert_eq!(Client::connect(&server).rest().len(), 9);
    }
}

#[test]
fn silence_is_no_hang_up() {
    let login = "a LOGIN lab lab\r\n";
    let faults = [
        Fault::SilenceOnceAfterBytes(login.len() as u64 + 10),
        Fault::SilenceBeforeTagged { message: 2 },
    ];
    let (server, _root) = failing(faults);
    let mut client = Client::greeted(&server);
    client.send(format!("{login}b {}\r\n", append("INBOX", &[MAIL])).as_bytes());
    client.reply("a").ok();
    assert!(client.is_silent());
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL]).ok();
    client.send(format!("a {}\r\nb NOOP\r\n", append("INBOX", &[MAIL])).as_bytes());
    assert!(client.is_silent());
    eventually(|| server.stored() == 2);
    drop(server);
    assert!(client.is_closed());
}

#[test]
fn logins_are_refused_for_a_while() {
    let (server, _root) = failing([Fault::RefuseLogin {
        text: "[UNAVAILABLE] Try again".into(),
        times: 1,
    }]);
    let mut client = Client::greeted(&server);
    client.run("LOGIN lab lab").no("[UNAVAILABLE]");
    client.run("LOGIN lab lab").ok();
}
