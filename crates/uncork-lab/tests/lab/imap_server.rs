//! The lab's IMAP server, spoken to over TCP.

use std::time::Duration;

use uncork_lab::imap::{ImapServer, Personality, ServerConfig, ServerError};

use crate::imap_client::{Client, append};
use crate::imap_lab::{MAIL, eventually, files, serving, start, start_in};

#[test]
fn logs_in_in_every_way() {
    let (server, _root) = start(|_| ());
    for command in [
        "LOGIN lab lab",
        "login \"lab\" \"lab\"",
        "LOGIN {3+}\r\nlab {3+}\r\nlab",
        "AUTHENTICATE PLAIN AGxhYgBsYWI=",
    ] {
        let mut client = Client::greeted(&server);
        client.run(command).ok();
        client.run("SELECT INBOX").ok();
        assert!(client.run("LOGOUT").ok().text().contains("* BYE"));
        assert!(client.is_closed());
    }
    let mut client = Client::greeted(&server);
    client.send(b"a LOGIN {3}\r\n");
    assert_eq!(client.line(), "+ go ahead");
    client.send(b"lab {3}\r\n");
    assert_eq!(client.line(), "+ go ahead");
    client.send(b"lab\r\n");
    client.reply("a").ok();
    let mut client = Client::greeted(&server);
    client.send(b"a AUTHENTICATE PLAIN\r\n");
    assert_eq!(client.line(), "+ ");
    client.send(b"AGxhYgBsYWI=\r\n");
    client.reply("a").ok();
    assert_eq!(server.connections(), 6);
}

#[test]
fn refuses_strangers() {
    let (server, _root) = start(|_| ());
    let mut client = Client::greeted(&server);
    client.run("SELECT INBOX").bad();
    client.append("INBOX", &[MAIL]).bad();
    client.run("LOGIN lab wrong").no("[AUTHENTICATIONFAILED]");
    client
        .run("AUTHENTICATE PLAIN AGxhYgB4")
        .no("[AUTHENTICATIONFAILED]");
    client.run("AUTHENTICATE PLAIN *").bad();
    client.run("LOGIN lab \"\"").no("[AUTHENTICATIONFAILED]");
    assert!(client.line().starts_with("* BYE"));
    assert!(client.is_closed());
    assert_eq!(server.stored(), 0);
}

#[test]
fn keeps_flags_dates_and_keywords() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    client.run("SELECT INBOX").ok();
    let command = format!(
        "APPEND INBOX (\\Seen \\Flagged $Label) \"17-Jul-1996 02:44:25 -0700\" {{{}+}}\r\n{MAIL}",
        MAIL.len()
    );
    let reply = client.run(command).ok();
    assert!(reply.text().contains("* 1 EXISTS"));
    assert!(reply.last().contains("[APPENDUID "), "{}", reply.last());
    let reply = client
        .run("UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
        .ok()
        .text();
    let expected = format!(
        "* 1 FETCH (UID 1 FLAGS (\\Flagged \\Seen $Label \\Recent) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE {0} BODY[] {{{0}}}{MAIL}",
        MAIL.len()
    );
    assert!(reply.starts_with(&expected), "{reply}");
    let names = files(root.path(), "cur");
    assert_eq!(names.len(), 1);
    assert!(names[0].ends_with(":2,FS"), "{names:?}");
    let modified = std::fs::metadata(root.path().join("cur").join(&names[0]))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(
        modified,
        std::time::UNIX_EPOCH + Duration::from_secs(837_596_665)
    );
    assert_eq!(
        std::fs::read(root.path().join("cur").join(&names[0])).unwrap(),
        MAIL.as_bytes()
    );
    assert_eq!(
        server.commands(),
        ["LOGIN", "SELECT INBOX", "APPEND INBOX", "UID FETCH"]
    );
}

#[test]
fn takes_a_literal_that_waits() {
    let (server, _root) = serving(Personality::naive());
    let mut client = Client::logged_in(&server);
    client.send(format!("a APPEND INBOX {{{}}}\r\n", MAIL.len()).as_bytes());
    assert_eq!(client.line(), "+ go ahead");
    client.send(MAIL.as_bytes());
    client.send(b"\r\n");
    let reply = client.reply("a").ok();
    assert!(
        reply.last().ends_with(" 1] APPEND completed"),
        "{}",
        reply.last()
    );
}

#[test]
fn multiappend_is_all_or_nothing() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    let reply = client.append("INBOX", &[MAIL, MAIL, MAIL]).ok();
    assert!(reply.last().contains(" 1:3] "), "{}", reply.last());
    client
        .append("INBOX", &[MAIL, "", MAIL])
        .no("Can't save a zero byte message");
    client.append("INBOX", &["", MAIL]).no("Can't");
    let command = format!(
        "APPEND INBOX {{2+}}\r\nxx (\\Wrong) {{{}+}}\r\n{MAIL} {{2+}}\r\nyy",
        MAIL.len()
    );
    client.run(command).bad();
    client.run("APPEND INBOX {2+}\r\nxx garbage").bad();
    assert!(client.append("INBOX", &[MAIL]).ok().last().contains(" 4] "));
    assert_eq!(server.stored(), 4);
    assert_eq!(files(root.path(), "cur").len(), 4);
    assert_eq!(files(root.path(), "tmp").len(), 0);
}

#[test]
fn an_append_cut_short_leaves_nothing() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    client.send(format!("a {}", append("INBOX", &[MAIL, MAIL])).as_bytes());
    client.send(b" {2000000+}\r\nhalf");
    drop(client);
    eventually(|| files(root.path(), "tmp").is_empty());
    assert_eq!(files(root.path(), "cur").len(), 0);
    assert_eq!(server.stored(), 0);
}

#[test]
fn big_messages_are_spooled() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    let big = format!(
        "Subject: big\r\n\r\n{}",
        "0123456789abcde\n".repeat(200_000)
    );
    client.append("INBOX", &[MAIL, &big, MAIL]).ok();
    let sizes: Vec<u64> = files(root.path(), "cur")
        .iter()
        .map(|name| {
            std::fs::metadata(root.path().join("cur").join(name))
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(
        sizes,
        [MAIL.len() as u64, big.len() as u64, MAIL.len() as u64]
    );
    client.run("SELECT INBOX").ok();
    assert!(client.run("FETCH 2 BODY.PEEK[]").ok().text().contains(&big));
    assert!(
        client
            .run("FETCH 2 BODY.PEEK[]<4.5>")
            .ok()
            .text()
            .contains("BODY[]<4> {5}ect: ")
    );
}

#[test]
fn commands_in_one_write_are_all_answered() {
    let (server, _root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    let mut batch = String::new();
    for tag in 0..500 {
        batch.push_str(&format!("p{tag} {}\r\n", append("INBOX", &[MAIL, MAIL])));
    }
    client.send(batch.as_bytes());
    for tag in 0..500 {
        let reply = client.reply(&format!("p{tag}")).ok();
        assert!(
            reply
                .last()
                .contains(&format!(" {}:{}] ", 2 * tag + 1, 2 * tag + 2)),
            "{}",
            reply.last()
        );
    }
    assert_eq!(server.stored(), 1000);
}

#[test]
fn follows_its_capabilities() {
    let (server, _root) = serving(
        Personality::careful()
            .literal_minus(true)
            .multi_append(false)
            .uid_plus(false)
            .append_limit(Some(6000)),
    );
    let mut client = Client::logged_in(&server);
    let reply = client.run("CAPABILITY").ok().text();
    assert!(
        reply.contains(" LITERAL- ") && reply.contains(" APPENDLIMIT=6000"),
        "{reply}"
    );
    assert!(
        !reply.contains("MULTIAPPEND") && !reply.contains("UIDPLUS"),
        "{reply}"
    );
    assert!(
        client
            .append("INBOX", &[MAIL])
            .ok()
            .last()
            .ends_with("OK APPEND completed")
    );
    client.append("INBOX", &[&"x".repeat(4096)]).ok();
    client.append("INBOX", &[&"x".repeat(4097)]).bad();
    client.append("INBOX", &[MAIL, MAIL]).bad();
    client.run("APPEND INBOX {6001}").no("[TOOBIG]");
    assert_eq!(server.stored(), 2);

    let (server, _root) = serving(Personality::careful().login_disabled(true).sasl_ir(false));
    let mut client = Client::greeted(&server);
    client.run("LOGIN lab lab").no("[PRIVACYREQUIRED]");
    client.run("AUTHENTICATE PLAIN AGxhYgBsYWI=").bad();

    let (server, _root) = serving(Personality::careful().literal_plus(false));
    let mut client = Client::logged_in(&server);
    client.append("INBOX", &[MAIL]).bad();
    assert_eq!(server.stored(), 0);
}

#[test]
fn makes_and_lists_folders() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    client.append("New", &[MAIL]).no("[TRYCREATE]");
    client.run("CREATE Entw&APw-rfe/2024/").ok();
    client.run("CREATE \"with space\"").ok();
    client.run("CREATE {3+}\r\nLit").ok();
    client.run("CREATE inbox").no("[ALREADYEXISTS]");
    client.run("SUBSCRIBE Lit").ok();
    client.run("SUBSCRIBE Nope").no("[NONEXISTENT]");
    assert!(root.path().join(".Entw&APw-rfe.2024/cur").is_dir());
    let listed = |client: &mut Client, arguments: &str| {
        let reply = client.run(format!("LIST {arguments}")).ok();
        let names = reply
            .0
            .iter()
            .filter_map(|line| line.split("\"/\" ").nth(1))
            .collect::<Vec<_>>()
            .join(" ");
        names.replace('"', "")
    };
    assert_eq!(
        listed(&mut client, "\"\" *"),
        "Entw&APw-rfe Entw&APw-rfe/2024 INBOX Lit with space"
    );
    assert_eq!(
        listed(&mut client, "\"\" \"%\""),
        "Entw&APw-rfe INBOX Lit with space"
    );
    assert_eq!(listed(&mut client, "Entw&APw-rfe/ %"), "Entw&APw-rfe/2024");
    assert_eq!(listed(&mut client, "\"\" inbox"), "INBOX");
    assert_eq!(listed(&mut client, "\"\" \"\""), "");
    client.append("\"with space\"", &[MAIL, MAIL]).ok();
    let status = client
        .run("STATUS \"with space\" (MESSAGES UIDNEXT UNSEEN RECENT)")
        .ok()
        .text();
    assert!(
        status.contains("* STATUS \"with space\" (MESSAGES 2 UIDNEXT 3 UNSEEN 2 RECENT 2)"),
        "{status}"
    );
    assert_eq!(files(&root.path().join(".with space"), "cur").len(), 2);
    assert!(
        client
            .run("NAMESPACE")
            .ok()
            .text()
            .contains("((\"\" \"/\"))")
    );
}

#[test]
fn selects_fetches_and_searches() {
    let (server, _root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    let two = "Subject: Two\r\nMessage-ID: <2@lab>\r\n\r\nother words\r\n";
    client.append("INBOX", &[MAIL, two]).ok();
    let selected = client.run("EXAMINE INBOX").ok().text();
    for part in [
        "* 2 EXISTS",
        "* 2 RECENT",
        "[UNSEEN 1]",
        "[UIDVALIDITY ",
        "[UIDNEXT 3]",
        "[PERMANENTFLAGS ()]",
        "OK [READ-ONLY]",
    ] {
        assert!(selected.contains(part), "{part}: {selected}");
    }
    client.run("STORE 1 +FLAGS (\\Seen)").no("[READ-ONLY]");
    client.run("FETCH 1 BODY[]").ok();
    assert!(
        client
            .run("SELECT INBOX")
            .ok()
            .text()
            .contains("OK [READ-WRITE]")
    );
    let fetched = client
        .run("UID FETCH 2 (BODY.PEEK[HEADER.FIELDS (message-id)] BODY[TEXT])")
        .ok()
        .text();
    assert!(
        fetched.contains("BODY[HEADER.FIELDS (message-id)] {23}Message-ID: <2@lab>\r\n\r\n"),
        "{fetched}"
    );
    assert!(fetched.contains("FLAGS (\\Seen \\Recent)"), "{fetched}");
    client.run("STORE 1 +FLAGS.SILENT (\\Deleted Junk)").ok();
    let check = |client: &mut Client, key: &str, expected: &str| {
        let reply = client.run(format!("UID SEARCH {key}")).ok();
        assert_eq!(reply.0[0], format!("* SEARCH{expected}"), "{key}");
    };
    check(&mut client, "ALL", " 1 2");
    check(&mut client, "UID 2:*", " 2");
    check(&mut client, "HEADER Message-ID <1@LAB>", " 1");
    check(&mut client, "NOT HEADER Message-ID <1@LAB>", " 2");
    check(&mut client, "UNSEEN", " 1");
    check(&mut client, "DELETED KEYWORD junk", " 1");
    check(&mut client, "OR SUBJECT two FROM nobody", " 2");
    check(&mut client, "BODY words", " 2");
    check(&mut client, "TEXT subject LARGER 1", " 1 2");
    check(&mut client, "BEFORE 1-Jan-2000", "");
    client.run("UID FETCH 1:* (ENVELOPE)").bad();
    client.run("EXPUNGE").no("[CANNOT]");
    client.run("CLOSE").ok();
    client.run("FETCH 1 FLAGS").bad();
}

#[test]
fn a_restart_keeps_everything() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    client.run("CREATE Archive").ok();
    client.append("Archive", &[MAIL, MAIL]).ok();
    client
        .run(format!(
            "APPEND Archive (\\Answered $k) {{{}+}}\r\n{MAIL}",
            MAIL.len()
        ))
        .ok();
    client.run("SELECT Archive").ok();
    client.run("STORE 2 FLAGS (\\Draft other)").ok();
    let asked = "STATUS Archive (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)";
    let before = client.run(asked).ok().0[0].clone();
    let config = ServerConfig::new(root.path());
    assert!(matches!(
        ImapServer::start(config),
        Err(ServerError::InUse { .. })
    ));
    drop(server);
    assert!(client.is_closed());

    let folder = root.path().join(".Archive");
    let mut index = std::fs::read(folder.join("uncork-lab-index")).unwrap();
    index.extend_from_slice(b"4 99 1 torn");
    std::fs::write(folder.join("uncork-lab-index"), index).unwrap();
    std::fs::write(folder.join("cur/.hidden:2,S"), b"x").unwrap();

    let server = start_in(root.path(), |_| ());
    let mut client = Client::logged_in(&server);
    assert_eq!(client.run(asked).ok().0[0], before);
    client.run("SELECT Archive").ok();
    let flags = client.run("UID FETCH 1:* FLAGS").ok().text();
    assert!(flags.contains("UID 2 FLAGS (\\Draft other)"), "{flags}");
    assert!(flags.contains("UID 3 FLAGS (\\Answered $k)"), "{flags}");
    assert!(
        client
            .append("Archive", &[MAIL])
            .ok()
            .last()
            .contains(" 4] ")
    );
    drop(server);

    // Mail that others deliver gets the next UIDs; mail that others remove keeps its own.
    std::fs::write(folder.join("new/1.delivered"), MAIL).unwrap();
    let last = files(&folder, "cur").pop().unwrap();
    std::fs::remove_file(folder.join("cur").join(last)).unwrap();
    let server = start_in(root.path(), |_| ());
    let mut client = Client::logged_in(&server);
    let after = client.run("STATUS Archive (MESSAGES UIDNEXT)").ok().text();
    assert!(after.contains("(MESSAGES 4 UIDNEXT 6)"), "{after}");
}
