//! The lab's IMAP server: what an APPEND may hold, and what becomes of it.

use uncork_lab::imap::{
    Alteration, Atomicity, Fault, Oversize, Personality, ReplyOrder, Strictness, Verdict,
};

use crate::imap_client::{Client, append};
use crate::imap_lab::{MAIL, serving, uids, with};

#[test]
fn a_literal8_may_hold_nul() {
    let message = "A: b\r\n\r\n\0";
    let (server, _root) = serving(Personality::careful().binary(true));
    let mut client = Client::logged_in(&server);
    client
        .run(format!("APPEND INBOX ~{{9+}}\r\n{message}"))
        .ok();
    client.send(b"a APPEND INBOX (\\Seen) ~{9}\r\n");
    assert_eq!(client.line(), "+ go ahead");
    client.send(format!("{message} ~{{9+}}\r\n{message}\r\n").as_bytes());
    client.reply("a").ok();
    let contents = server.folder_contents("INBOX").unwrap();
    assert_eq!(contents.len(), 3);
    assert!(contents.iter().all(|it| it.bytes == message.as_bytes()));
    let (server, _root) = serving(Personality::careful());
    let mut client = Client::logged_in(&server);
    client
        .run(format!("APPEND INBOX ~{{9+}}\r\n{message}"))
        .bad();
}

#[test]
fn the_strict_refuse_what_is_wrong() {
    let (server, _root) = serving(Personality::careful().binary(true).strictness(Strictness {
        nul: Verdict::Bad,
        ..Strictness::cyrus()
    }));
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &["A: b\r\n\r\n\0"]).bad();
    client
        .append("INBOX", &["A: b\r\n\r\nc\nd"])
        .no("Message contains bare newlines");
    client
        .append("INBOX", &["From a\r\nA: b\r\n\r\n"])
        .no("Message contains invalid header");
    client.append("INBOX", &[MAIL, "A: b\n"]).no("");
    client.run("APPEND INBOX ~{9+}\r\nA: b\r\n\r\n\0").ok();
    client.append("INBOX", &[MAIL]).ok();
    assert_eq!(uids(&server, "INBOX"), [1, 2]);
}

#[test]
fn the_altering_store_something_else() {
    let check = |alteration: Alteration, expected: &[u8]| {
        let (server, _root) = serving(Personality::careful().alterations([alteration]));
        let mut client = Client::logged_in(&server);
        client.append("INBOX", &["A: é\r\n\r\né\0"]).ok();
        let contents = server.folder_contents("INBOX").unwrap();
        assert_eq!(contents[0].bytes, expected, "{alteration:?}");
        client.run("SELECT INBOX").ok();
        let size = client.run("FETCH 1 RFC822.SIZE").ok();
        let told = format!("* 1 FETCH (RFC822.SIZE {})", expected.len());
        assert_eq!(size.0[0], told);
    };
    check(
        Alteration::HeaderAdded,
        "X-Altered: 1\r\nA: é\r\n\r\né\0".as_bytes(),
    );
    check(Alteration::HeaderMasked, "A: XX\r\n\r\né\0".as_bytes());
    check(Alteration::NulReplaced, b"A: \xc3\xa9\r\n\r\n\xc3\xa9\x80");
}

#[test]
fn batches_are_limited() {
    let check = |personality: Personality, code: &str| {
        let (server, _root) = serving(personality);
        let mut client = Client::logged_in(&server);
        let offered = client.run("CAPABILITY").ok().text();
        assert!(offered.contains(&code.replace(' ', "=")), "{offered}");
        client.append("INBOX", &[MAIL; 2]).ok();
        client.append("INBOX", &[MAIL; 3]).no(&format!("[{code}]"));
        assert_eq!(uids(&server, "INBOX"), [1, 2]);
    };
    check(
        Personality::careful().message_limit(Some(2)),
        "MESSAGELIMIT 2",
    );
    check(Personality::careful().save_limit(Some(2)), "SAVELIMIT 2");

    let (server, _root) = serving(Personality::careful().message_limit(Some(2)));
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL; 2]).ok();
    client.append("INBOX", &[MAIL]).ok();
    client.run("SELECT INBOX").ok();
    let fetched = client.run("UID FETCH 1:* (FLAGS)").ok();
    assert_eq!(fetched.0.len(), 3);
    assert!(fetched.last().contains("OK [MESSAGELIMIT 2 2] "));
}

#[test]
fn too_large_is_skipped_or_the_end() {
    let small = Personality::careful().append_limit(Some(100));
    let (server, _root) = serving(small.clone());
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[&"x".repeat(101)]).no("[TOOBIG]");
    client.append("INBOX", &[MAIL]).ok();
    let (server, _root) = serving(small.oversize(Oversize::HangsUp));
    let mut client = Client::logged_in(&server);
    client.run("APPEND INBOX {101}").no("[TOOBIG]");
    client.send_anyway(
        append("INBOX", &[&"x".repeat(101)])
            .replacen("", "a ", 1)
            .as_bytes(),
    );
    client.reply("a").no("[TOOBIG]");
    assert!(client.is_closed());
    let bounded = Personality::careful().command_bytes_max(Some(2 * MAIL.len() as u64));
    let (server, _root) = serving(bounded);
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL; 2]).ok();
    client.append("INBOX", &[MAIL; 3]).no("[LIMIT]");
    assert_eq!(uids(&server, "INBOX"), [1, 2]);
}

#[test]
fn pipelined_replies_come_in_reverse() {
    let (server, _root) = serving(Personality::careful().reply_order(ReplyOrder::Reversed));
    let mut client = Client::logged_in(&server);
    let commands: String = ["a", "b", "c"]
        .iter()
        .map(|tag| format!("{tag} {}\r\n", append("INBOX", &[MAIL])))
        .collect();
    // One segment, so that one read brings all three.
    client.send(commands.as_bytes());
    let replies = [client.line(), client.line(), client.line()];
    for (reply, start) in replies.iter().zip(["c OK", "b OK", "a OK"]) {
        assert!(reply.starts_with(start), "{replies:?}");
    }
    assert!(replies[2].contains(" 1] "), "{replies:?}");
    client.run("NOOP").ok();
}

#[test]
fn what_is_not_atomic_is_stored_as_it_comes() {
    let refuse = Fault::RefuseMessage {
        message: 3,
        reason: "Third".into(),
        code: None,
    };
    let personality = Personality::careful().atomicity(Atomicity::Prefix);
    let (server, _root) = with(personality, [refuse]);
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL; 4]).no("Third");
    assert_eq!(uids(&server, "INBOX"), [1, 2]);
    client.send(append("INBOX", &[MAIL]).replacen("", "a ", 1).as_bytes());
    client.send(b" {5+}\r\n");
    crate::imap_lab::eventually(|| server.stored() == 3);
    assert_eq!(server.deliver("INBOX", MAIL.as_bytes()).unwrap(), 4);
    client.send(b"A: b\n {5+}\r\nA: b\n\r\n");
    let reply = client.reply("a").ok();
    assert!(reply.last().contains(" 3,5:6] "), "{}", reply.last());
}

#[test]
fn the_servers_that_people_have_take_mail() {
    for personality in [
        Personality::like_dovecot(),
        Personality::like_cyrus(),
        Personality::like_stalwart(),
        Personality::like_courier(),
        Personality::like_gmail(),
        Personality::like_exchange(),
    ] {
        let prefix = personality.namespace.prefix.clone();
        let (server, _root) = serving(personality);
        let mut client = Client::logged_in(&server);
        let folder = format!("{prefix}Old");
        client.run(format!("CREATE {folder}")).ok();
        client.send(format!("a APPEND {folder} (\\Seen) {{{}}}\r\n", MAIL.len()).as_bytes());
        assert!(client.line().starts_with('+'));
        client.send(format!("{MAIL}\r\n").as_bytes());
        client.reply("a").ok();
        let contents = server.folder_contents(&folder).unwrap();
        assert_eq!(contents[0].bytes, MAIL.as_bytes());
    }
}
