//! The lab's IMAP server: clients that mean harm.

use crate::imap_client::Client;
use crate::imap_lab::{MAIL, files, start, start_in};

#[test]
fn nothing_is_written_outside_the_root() {
    let outer = tempfile::tempdir().unwrap();
    let server = start_in(&outer.path().join("root"), |_| ());
    let mut client = Client::logged_in(&server);
    for name in [
        "..",
        "../x",
        "a/../../x",
        "/x",
        "x/",
        "a//b",
        ".x",
        ".",
        "a.b",
        "\"a\\\\b\"",
        "{3+}\r\na\0b",
        "{3+}\r\na\nb",
        "{2+}\r\n\u{e9}",
        "a&b",
        "cur/../../x",
    ] {
        let reply = client.append(name, &[MAIL]);
        assert!(
            reply.last().contains(" NO ") || reply.last().contains(" BAD "),
            "{name}: {}",
            reply.last()
        );
        if !name.ends_with('/') {
            let reply = client.run(format!("CREATE {name}"));
            assert!(
                reply.last().contains(" NO ") || reply.last().contains(" BAD "),
                "{name}: {}",
                reply.last()
            );
        }
    }
    client
        .run(format!("CREATE {}", "x".repeat(201)))
        .no("[CANNOT]");
    assert_eq!(files(outer.path(), "."), ["root"]);
    assert_eq!(
        files(outer.path(), "root"),
        ["cur", "new", "tmp", "uncork-lab-index"]
    );
    assert_eq!(server.stored(), 0);
}

#[test]
fn hostile_bytes_end_only_their_own_connection() {
    let (server, _root) = start(|_| ());
    let endless = vec![b'x'; 200 * 1024];
    let noise: Vec<u8> = (0..100_000u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect();
    for bytes in [
        &endless[..],
        &noise,
        b"a NOOP\nb NOOP\n",
        &b"x\r\n".repeat(30),
    ] {
        let mut client = Client::greeted(&server);
        client.send_anyway(bytes);
        let mut last = String::new();
        loop {
            let line = client.line();
            if line.is_empty() {
                break;
            }
            last = line;
            if last.starts_with("* BYE") {
                break;
            }
        }
        assert!(last.starts_with("* BYE"), "{last}");
        assert!(client.is_closed());
    }
    Client::logged_in(&server).append("INBOX", &[MAIL]).ok();
}

#[test]
fn hostile_literals_are_refused_by_their_heads() {
    let (server, root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    client.run("APPEND INBOX {67108865}").no("[TOOBIG]");
    client
        .run("APPEND INBOX {18446744073709551615}")
        .no("[TOOBIG]");
    client.run("APPEND INBOX {18446744073709551616}").bad();
    client.run("CREATE {20000}").bad();
    client.run("SEARCH {99999999999}").bad();
    client.send(b"a APPEND INBOX {67108865+}\r\n");
    assert!(client.line().starts_with("* BYE"));
    assert!(client.is_closed());
    let mut client = Client::logged_in(&server);
    client.send(b"a CREATE {20000+}\r\n");
    assert!(client.line().starts_with("a BAD"));
    assert!(client.line().starts_with("* BYE"));
    assert!(client.is_closed());
    // Before the login there is nothing to be had either.
    let mut client = Client::greeted(&server);
    client.run("APPEND INBOX {5}").bad();
    client.run("LOGIN {20000}").bad();
    assert_eq!(server.stored(), 0);
    assert_eq!(files(root.path(), "tmp").len(), 0);
}

#[test]
fn twenty_bad_commands_are_enough() {
    let (server, _root) = start(|_| ());
    let mut client = Client::logged_in(&server);
    for _ in 0..20 {
        client.run("FROBNICATE").bad();
    }
    assert!(client.line().starts_with("* BYE"));
    assert!(client.is_closed());
}
