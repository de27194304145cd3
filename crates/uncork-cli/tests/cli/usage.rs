//! What is wrong with the call is said before anything is done.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use crate::support::{Lab, Ordinary, PASSWORD, forbid, import, mails, run, uncork};

const NOWHERE: &str = "imap://ada@127.0.0.1:1/";

#[test]
fn sources_that_hold_no_mail() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for folder in ["empty", "photos"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    fs::write(path("photos/1.jpg"), "x").unwrap();
    for (name, why) in [
        ("missing", "can't be read"),
        ("empty", "holds no mail"),
        ("photos", "holds no mail"),
    ] {
        for json in [&["--json"][..], &[]] {
            let ended = run(import(&path(name), NOWHERE).args(json)).with(2);
            let ended = ended.says(&["uncork: ", path(name).to_str().unwrap(), why]);
            assert_eq!(ended.stdout, "");
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}

#[test]
fn what_may_not_be_read() {
    let user = Ordinary::new();
    let closed = user.folder("closed");
    forbid(&closed);
    let mut command = user.uncork();
    command.args(["import", closed.to_str().unwrap(), NOWHERE]);
    let ended = run(command.env("UNCORK_PASSWORD", PASSWORD)).with(4);
    ended.says(&[closed.to_str().unwrap(), "Permission denied"]);

    // One mail that may not be read is a loss among others.
    let mixed = user.folder("mixed");
    for name in ["0.eml", "1.eml"] {
        fs::write(mixed.join(name), "Subject: x\r\n\r\nx\r\n").unwrap();
    }
    forbid(&mixed.join("0.eml"));
    let lab = Lab::careful();
    let mut command = user.uncork();
    command.args(["import", mixed.to_str().unwrap(), &lab.url("")]);
    let ended = run(command.env("UNCORK_PASSWORD", PASSWORD)).with(1);
    assert!(
        ended.stdout.contains("0.eml: Permission denied"),
        "{}",
        ended.stdout
    );
    assert_eq!(lab.server.stored(), 1);

    let secret = user.folder("secret").join("password");
    fs::write(&secret, PASSWORD).unwrap();
    forbid(&secret);
    let mut command = user.uncork();
    command.args([
        "import",
        mixed.to_str().unwrap(),
        NOWHERE,
        "--password-file",
    ]);
    let ended = run(command.arg(&secret)).with(4);
    ended.says(&[secret.to_str().unwrap(), "Permission denied"]);
}

#[test]
fn urls_that_name_no_folder() {
    let source = mails(1);
    for (url, why) in [
        ("localhost", "no URL"),
        ("imap://", "no host"),
        ("imap:///x", "no host"),
        ("imap://localhost/", "no user"),
        ("imap://ada@localhost:99999/", "no URL"),
        ("pop3://ada@localhost/", "pop3"),
        ("imap://ada@localhost/a%00b", "folder"),
        ("imap://ada@localhost/a%ffb", "folder"),
        ("imap://ada@localhost/What?", "%3F"),
        ("imap://ada@localhost/C#", "%23"),
    ] {
        let ended = run(&mut import(source.path(), url))
            .with(2)
            .says(&["uncork: ", why]);
        assert_eq!(ended.stdout, "", "{url}");
    }
}

/// `run` looks for the password in everything.
#[test]
fn a_password_in_the_url() {
    let source = mails(1);
    for url in [
        format!("imap://ada:{PASSWORD}@localhost/"),
        format!("imaps://ada:{PASSWORD}@localhost/"),
        format!("imap://ada:{PASSWORD}@localhost:99999/"),
        format!("imap://ada:{PASSWORD}@/x"),
        format!("//ada:{PASSWORD}@localhost/"),
        format!("ada:{PASSWORD}@localhost"),
    ] {
        run(&mut import(source.path(), &url)).with(2);
    }
    let url = format!("imap://ada:{PASSWORD}@localhost/");
    let ended = run(&mut import(source.path(), &url));
    ended.says(&["UNCORK_PASSWORD", "--password-file", "--password-command"]);
}

#[test]
fn arguments_that_do_not_fit() {
    for arguments in [
        &[][..],
        &["no-such-verb"],
        &["import"],
        &["import", "."],
        &["import", ".", NOWHERE, "extra"],
        &["import", ".", NOWHERE, "--no-such-option"],
        &[
            "import",
            ".",
            NOWHERE,
            "--password-file",
            "x",
            "--password-command",
            "y",
        ],
        &["import", ".", NOWHERE, "--map", "Sent"],
        &["import", ".", NOWHERE, "--format", "pst"],
        &["import", ".", NOWHERE, "--connections", "0"],
        &["import", ".", NOWHERE, "--max-bytes-per-day", "much"],
        &["import", ".", NOWHERE, "--dry-run", "--verify"],
        &["import", ".", NOWHERE, "--existing", "replace"],
        &["demo", "--messages", "0"],
        &["demo", "--messages", "many"],
        &["demo", "extra"],
    ] {
        let ended = run(uncork().args(arguments)).with(2);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

/// Where the server offers no TLS, by this machine's own address on a network, if it has one.
#[test]
fn no_password_crosses_a_network_unasked() {
    // connect(2) on a UDP socket sends nothing; 192.0.2.1 is of the net for examples (RFC 5737).
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr());
    let Some(own) = own.ok().filter(|own| !own.ip().is_loopback()) else {
        return;
    };
    let source = mails(1);
    let ask = |arguments: &[&str]| {
        let listener = TcpListener::bind((own.ip(), 0)).unwrap();
        let url = format!("imap://ada@{}/", listener.local_addr().unwrap());
        let peer = std::thread::spawn(move || plain_server(&listener));
        let ended = run(import(source.path(), &url).args(arguments));
        (ended, peer.join().unwrap())
    };
    let (ended, heard) = ask(&[]);
    ended.with(2).says(&["in the clear", "--allow-plaintext"]);
    let is_told = |heard: &str| heard.contains("LOGIN") || heard.contains("AUTHENTICATE");
    assert!(!is_told(&heard), "{heard}");
    let (ended, heard) = ask(&["--allow-plaintext"]);
    ended.with(3);
    assert!(is_told(&heard), "{heard}");
}

/// Greets, has no extensions, refuses all else, and tells what it heard.
fn plain_server(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().unwrap();
    let mut heard = String::new();
    let mut out = &stream;
    out.write_all(b"* OK hello\r\n").unwrap();
    for line in BufReader::new(&stream).lines().map_while(Result::ok) {
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
            _ => format!("{tag} NO [AUTHENTICATIONFAILED] no\r\n"),
        };
        heard.push_str(&line);
        if out.write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
    heard
}

#[test]
fn a_folder_that_is_named_twice() {
    let source = mails(1);
    let ended = run(import(source.path(), &format!("{NOWHERE}Old")).args(["--folder", "New"]));
    ended.with(2).says(&["named twice", "Old", "New"]);
}

#[test]
fn a_url_that_is_no_source() {
    let source = mails(1);
    let url = format!("imap://ada:{PASSWORD}@localhost/");
    let mut command = import(url.as_ref(), source.path().to_str().unwrap());
    run(command.arg(NOWHERE)).with(2).says(&["as the last"]);
    let mut command = import("-".as_ref(), "-");
    run(command.arg(NOWHERE)).with(2).says(&["once only"]);
}

#[test]
fn no_certificate_checked_is_said_aloud() {
    let (source, lab) = (mails(1), Lab::careful());
    let mut command = import(source.path(), &lab.url(""));
    let ended = run(command.args(["--insecure", "--quiet"])).with(0);
    ended.says(&["WARNING", "--insecure"]);
}

#[test]
fn files_that_are_missing_or_something_else() {
    let (source, lab) = (mails(1), Lab::careful());
    let missing = source.path().join("missing/x");
    for option in ["--ca-file", "--html"] {
        let mut command = import(source.path(), &lab.url(""));
        let ended = run(command.arg(option).arg(&missing)).with(2);
        ended.says(&[missing.to_str().unwrap(), "can't be"]);
    }
    let other = source.path().join("000.eml");
    let mut command = import(source.path(), &lab.url(""));
    let ended = run(command.arg("--rejects").arg(&other)).with(2);
    ended.says(&[other.to_str().unwrap(), "can't be used"]);
}

#[test]
fn a_journal_that_is_none() {
    let (source, lab) = (mails(1), Lab::careful());
    let other = source.path().join("000.eml");
    let mut command = import(source.path(), &lab.url(""));
    let ended = run(command.arg("--journal").arg(&other)).with(2);
    ended.says(&["no journal of uncork", "--journal"]);
    assert_eq!(lab.server.connections(), 0);
}

#[test]
fn the_source_is_looked_at_before_the_server() {
    let lab = Lab::careful();
    run(&mut import(Path::new("/nonexistent"), &lab.url(""))).with(2);
    assert_eq!(lab.server.connections(), 0);
}
