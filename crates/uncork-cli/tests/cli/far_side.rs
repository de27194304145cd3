//! Servers that are not there, are something else, refuse, or go: exit 3, and what is in by then.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use uncork_lab::imap::{Fault, Personality};

use crate::support::{Lab, import, mails, run};

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let source = mails(1);
    let url = format!("imap://ada@127.0.0.1:{port}/");
    let ended = run(&mut import(source.path(), &url)).with(3);
    ended.says(&[
        "nothing was imported",
        &format!("127.0.0.1:{port}"),
        "refused",
    ]);
    let report = run(import(source.path(), &url).args(["--json", "--quiet"]))
        .with(3)
        .json();
    assert!(
        report["error"].as_str().unwrap().contains("no connection"),
        "{report}"
    );
    assert_eq!(
        (&report["imported"], &report["connections"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn no_imap_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("imap://ada@{}/", listener.local_addr().unwrap());
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 smtp.example.org ESMTP\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    let ended = run(&mut import(mails(1).path(), &url)).with(3);
    ended.says(&["is no IMAP server", "220 smtp.example.org"]);
    assert_eq!(
        peer.join().unwrap(),
        b"",
        "it said nothing to who did not greet"
    );
}

#[test]
fn a_login_that_is_refused() {
    let (source, lab) = (mails(1), Lab::careful());
    let mut command = import(source.path(), &lab.url(""));
    let ended = run(command.env("UNCORK_PASSWORD", "wrong")).with(3);
    ended.says(&[
        "nothing was imported",
        "log in ada",
        "Authentication failed",
        "app password",
    ]);
    assert_eq!(lab.server.stored(), 0);
}

#[test]
fn a_folder_that_is_refused() {
    let (source, lab) = (mails(1), Lab::careful());
    let ended = run(&mut import(source.path(), &lab.url("a.b"))).with(1);
    ended.prints(&[
        "nothing was imported",
        "1 mail did not go in",
        "a.b",
        "not allowed",
    ]);
}

#[test]
fn a_server_that_goes_and_comes_back() {
    let source = mails(50);
    let bye = Fault::Bye {
        after_messages: 20,
        text: "Maintenance".to_owned(),
    };
    let personality = Personality::careful().multi_append(false);
    for fault in [bye, Fault::HangUpBeforeTagged { message: 8 }] {
        let lab = Lab::start(personality.clone(), vec![fault]);
        let mut command = import(source.path(), &lab.url(""));
        let report = run(command.args(["--json", "--quiet"])).with(0).json();
        assert_eq!(
            (&report["reconnects"], &report["error"]),
            (&1.into(), &().into())
        );
        assert_eq!(lab.server.stored(), 50);
    }
}

/// Nobody reads the output any more.
#[test]
fn an_output_that_is_closed() {
    let (source, lab) = (mails(1), Lab::careful());
    let (reader, writer) = UnixStream::pair().unwrap();
    drop(reader);
    let mut command = import(source.path(), &lab.url(""));
    let ended = command
        .arg("--json")
        .stdout(OwnedFd::from(writer))
        .output()
        .unwrap();
    assert_ne!(ended.status.code(), Some(0));
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(
        stderr.contains("can't be written") && !stderr.contains("panicked"),
        "{stderr}"
    );
}
