//! The lab's IMAP server: folders, their names, and what others do to them.

use uncork_lab::imap::{Expunging, PermanentFlags, Personality, Unpermitted};

use crate::imap_client::Client;
use crate::imap_lab::{MAIL, serving, serving_in, uids};

fn expunging() -> Personality {
    Personality::careful().expunging(Expunging::Done)
}

#[test]
fn names_have_a_prefix_and_a_separator() {
    let (server, root) = serving(Personality::careful().namespace("INBOX.", '.'));
    let mut client = Client::logged_in(&server);
    let namespace = client.run("NAMESPACE").ok().text();
    assert!(namespace.contains("((\"INBOX.\" \".\"))"), "{namespace}");
    client
        .run("CREATE Sent")
        .no("[CANNOT] Invalid mailbox name");
    client.run("CREATE INBOX.a.b").ok();
    client.run("CREATE INBOX.a/b").no("[CANNOT]");
    assert!(root.path().join(".a.b").is_dir());
    client.append("INBOX.a.b", &[MAIL]).ok();
    client.append("INBOX.x", &[MAIL]).no("[TRYCREATE]");
    client.run("SELECT INBOX.a").ok();
    let check = |client: &mut Client, arguments: &str, expected: &[&str]| {
        let reply = client.run(format!("LIST {arguments}")).ok();
        assert_eq!(&reply.0[..reply.0.len() - 1], expected);
    };
    check(
        &mut client,
        "\"\" \"\"",
        &["* LIST (\\Noselect) \".\" \"\""],
    );
    check(&mut client, "INBOX. %", &["* LIST () \".\" \"INBOX.a\""]);
    assert_eq!(server.folder_names(), ["INBOX", "INBOX.a", "INBOX.a.b"]);
    assert_eq!(uids(&server, "INBOX.a.b"), [1]);
}

#[test]
fn special_folders_are_said() {
    let uses = [("Sent", "\\Sent"), ("Spam", "\\Junk")];
    let (server, _root) = serving(
        Personality::careful()
            .special_folders(&uses)
            .list_extended(true),
    );
    let mut client = Client::logged_in(&server);
    let check = |client: &mut Client, arguments: &str, expected: &[&str]| {
        let reply = client.run(format!("LIST {arguments}")).ok();
        let lines = &reply.0[..reply.0.len() - 1];
        let lines: Vec<&str> = lines
            .iter()
            .map(|line| line.strip_prefix("* LIST ").unwrap())
            .collect();
        assert_eq!(lines, expected, "{arguments}");
    };
    let (sent, spam) = ("(\\Sent) \"/\" \"Sent\"", "(\\Junk) \"/\" \"Spam\"");
    check(&mut client, "\"\" *", &["() \"/\" \"INBOX\"", sent, spam]);
    check(&mut client, "(SPECIAL-USE) \"\" *", &[sent, spam]);
    check(&mut client, "\"\" (S% none)", &[sent, spam]);
    check(
        &mut client,
        "\"\" Sent RETURN (SPECIAL-USE CHILDREN)",
        &["(\\HasNoChildren \\Sent) \"/\" \"Sent\""],
    );
    client.run("LIST (NONSENSE) \"\" *").bad();
    let (server, _root) = serving(Personality::careful());
    let mut client = Client::logged_in(&server);
    client.run("LIST \"\" * RETURN (SPECIAL-USE)").bad();
}

#[test]
fn subscriptions_outlive_the_server() {
    let (server, root) = serving(Personality::careful());
    let mut client = Client::logged_in(&server);
    let listed = |client: &mut Client| client.run("LSUB \"\" *").ok().0.len() - 1;
    client.run("CREATE a").ok();
    assert_eq!(listed(&mut client), 0);
    client.run("SUBSCRIBE a").ok();
    client.run("SUBSCRIBE INBOX").ok();
    client.run("UNSUBSCRIBE INBOX").ok();
    drop(server);
    let server = serving_in(root.path(), Personality::careful(), []);
    let mut client = Client::logged_in(&server);
    assert_eq!(listed(&mut client), 1);
}

#[test]
fn names_in_utf8_are_the_same_folders() {
    let (server, _root) = serving(Personality::careful().utf8_accept(true));
    let mut client = Client::logged_in(&server);
    client.run("CREATE \"Entwürfe\"").no("[CANNOT]");
    let reply = client.run("ENABLE UTF8=ACCEPT").ok().text();
    assert!(reply.contains("* ENABLED UTF8=ACCEPT"), "{reply}");
    client.run("CREATE \"Entwürfe\"").ok();
    client.append("\"Entwürfe\"", &[MAIL]).ok();
    let list = client.run("LIST \"\" *").ok().text();
    assert!(list.contains("\"Entwürfe\""), "{list}");
    let mut plain = Client::logged_in(&server);
    plain.run("SELECT Entw&APw-rfe").ok();
    plain.run("ENABLE UTF8=ACCEPT").bad();
}

#[test]
fn forbidden_folders_are_refused() {
    let (server, _root) = serving(Personality::careful().forbidden_folders(&["Shared"]));
    server.create_folder("Sharedness").unwrap();
    let mut client = Client::logged_in(&server);
    for name in ["Shared", "Shared/a"] {
        client.run(format!("CREATE {name}")).no("[NOPERM]");
        client.run(format!("SELECT {name}")).no("[NOPERM]");
        client.append(name, &[MAIL]).no("[NOPERM]");
    }
    client.append("Sharedness", &[MAIL]).ok();
}

#[test]
fn flags_are_permitted_or_not() {
    let check = |flags: PermanentFlags, said: &str, kept: &[&str]| {
        let (server, _root) = serving(Personality::careful().permanent_flags(flags.clone()));
        let mut client = Client::logged_in(&server);
        let selected = client.run("SELECT INBOX").ok().text();
        let code = format!("[PERMANENTFLAGS ({said})]");
        assert!(selected.contains(&code), "{selected}");
        let message = format!("{{{}+}}\r\n{MAIL}", MAIL.len());
        let command = format!("APPEND INBOX (\\Seen \\Draft $Label) {message}");
        client.run(&command).ok();
        assert_eq!(server.folder_contents("INBOX").unwrap()[0].flags, kept);
        client.run("STORE 1 +FLAGS (\\Seen \\Draft $Label)").ok();
        assert_eq!(server.folder_contents("INBOX").unwrap()[0].flags, kept);
        let (server, _root) = serving(
            Personality::careful()
                .permanent_flags(flags)
                .unpermitted_flags(Unpermitted::Refused),
        );
        let mut client = Client::logged_in(&server);
        let all = kept.len() == 3;
        assert_eq!(client.run(&command).last().contains(" OK "), all);
    };
    let system = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
    let everything = format!("{system} \\*");
    check(
        PermanentFlags::All,
        &everything,
        &["\\Draft", "\\Seen", "$Label"],
    );
    check(PermanentFlags::System, system, &["\\Draft", "\\Seen"]);
    check(
        PermanentFlags::Listed(vec!["\\Seen".into()]),
        "\\Seen",
        &["\\Seen"],
    );
}

#[test]
fn expunges_are_told_when_they_may_be() {
    let (server, _root) = serving(expunging());
    let mut one = Client::logged_in(&server);
    one.append("INBOX", &[MAIL; 5]).ok();
    one.run("SELECT INBOX").ok();
    let mut other = Client::logged_in(&server);
    other.run("SELECT INBOX").ok();
    one.run("STORE 2,4 +FLAGS.SILENT (\\Deleted)").ok();
    let told = one.run("UID EXPUNGE 1:3").ok();
    assert_eq!(told.0[0], "* 2 EXPUNGE");
    // A FETCH by sequence numbers may not move them; what is gone is left out.
    let fetched = other.run("FETCH 1:3 (UID)").ok();
    assert_eq!(fetched.0[..2], ["* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)"]);
    let told = other.run("NOOP").ok();
    assert_eq!(told.0[0], "* 2 EXPUNGE");
    let fetched = other.run("FETCH 2:* (UID)").ok();
    assert_eq!(
        fetched.0[..3],
        [
            "* 2 FETCH (UID 3)",
            "* 3 FETCH (UID 4)",
            "* 4 FETCH (UID 5)"
        ]
    );
    one.run("CLOSE").ok();
    assert_eq!(uids(&server, "INBOX"), [1, 3, 5]);
    let told = other.run("NOOP").ok();
    assert_eq!(told.0[0], "* 3 EXPUNGE");
    assert_eq!(server.deliver("INBOX", MAIL.as_bytes()).unwrap(), 6);
    let told = other.run("UID SEARCH ALL").ok();
    assert_eq!(told.0[..2], ["* SEARCH 1 3 5", "* 4 EXISTS"]);
    other.run("STORE 4 +FLAGS (\\Deleted)").ok();
    other.run("UNSELECT").ok();
    assert_eq!(uids(&server, "INBOX"), [1, 3, 5, 6]);
}

#[test]
fn folders_go_and_come_back_as_others() {
    let (server, root) = serving(expunging());
    server.create_folder("a").unwrap();
    let mut client = Client::logged_in(&server);
    client.append("a", &[MAIL; 3]).ok();
    client.run("SELECT a").ok();
    let (validity, _) = server.folder_uids("a").unwrap();
    client.run("STORE 1 +FLAGS (\\Seen $k \\Deleted)").ok();
    client.run("EXPUNGE").ok();
    server.renumber_folder("a").unwrap();
    assert!(client.run("NOOP").0[0].starts_with("* BYE"));
    let (renumbered, next) = server.folder_uids("a").unwrap();
    assert!(renumbered > validity);
    assert_eq!((next, uids(&server, "a")), (3, vec![1, 2]));
    server.replace_folder("a").unwrap();
    let (replaced, next) = server.folder_uids("a").unwrap();
    assert!(replaced > renumbered);
    assert_eq!((next, uids(&server, "a")), (1, vec![]));
    let mut client = Client::logged_in(&server);
    client.run("DELETE INBOX").no("[CANNOT]");
    client.run("DELETE a").ok();
    client.run("DELETE a").no("[NONEXISTENT]");
    assert!(!root.path().join(".a").exists());
    client.append("a", &[MAIL]).no("[TRYCREATE]");
    client.run("CREATE a").ok();
    assert!(server.folder_uids("a").unwrap().0 > replaced);
    client.append("INBOX", &[MAIL]).ok();
    server.replace_folder("INBOX").unwrap();
    assert!(uids(&server, "INBOX").is_empty());
    assert_eq!(server.folder_names(), ["INBOX", "a"]);
}

#[test]
fn a_folder_that_goes_during_an_append_takes_nothing() {
    let (server, _root) = serving(Personality::careful());
    server.create_folder("a").unwrap();
    let mut client = Client::logged_in(&server);
    client.send(format!("a APPEND a {{{}}}\r\n", MAIL.len()).as_bytes());
    assert!(client.line().starts_with('+'));
    server.delete_folder("a").unwrap();
    client.send(format!("{MAIL}\r\n").as_bytes());
    client.reply("a").no("");
    assert!(server.folder_contents("a").is_err());
}
