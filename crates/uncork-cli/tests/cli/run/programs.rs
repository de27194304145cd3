//! Programs that no preloaded library reaches, and the one that the whole thing is for.

use std::fs;
use std::path::Path;
use std::process::Command;

use uncork_lab::imap::Personality;
use uncork_lab::requirement;

use super::{python, script, under};
use crate::support::{Lab, PASSWORD, run};

fn is_static(program: &Path) -> bool {
    let interpreter = b"ld-linux";
    let bytes = fs::read(program).unwrap();
    !bytes
        .windows(interpreter.len())
        .any(|window| window == interpreter)
}

#[test]
fn a_static_c_program() {
    let Some(gcc) = requirement::program("musl-gcc") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let [source, program] = ["client.c", "client"].map(|name| place.path().join(name));
    fs::write(&source, include_str!("client.c")).unwrap();
    let mut compile = Command::new(gcc);
    run(compile.arg("-static").arg(&source).arg("-o").arg(&program)).with(0);
    assert!(is_static(&program));
    assert_eq!(run(&mut Command::new(&program)).with(0).stdout, "0 0 0\n");
    assert_eq!(run(&mut under([&program])).with(0).stdout, "1 1 1\n");
}

/// Go's runtime interrupts its own threads by signals, calls that wait included.
#[test]
fn a_go_program() {
    let Some(go) = requirement::program("go") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let [source, program] = ["client.go", "client"].map(|name| place.path().join(name));
    fs::write(&source, include_str!("client.go")).unwrap();
    let mut compile = Command::new(go);
    compile.env("CGO_ENABLED", "0").args(["build", "-o"]);
    let cache = std::env::temp_dir().join("uncork-go-cache");
    if std::env::var_os("HOME").is_none() {
        compile.env("GOCACHE", cache);
    }
    run(compile.arg(&program).arg(&source)).with(0);
    assert!(is_static(&program));
    assert_eq!(run(&mut Command::new(&program)).with(0).stdout, "0\n");
    assert_eq!(run(&mut under([&program])).with(0).stdout, "1\n");
}

/// imaplib leaves Nagle on, and the server its acknowledgements late.
#[test]
fn mail_by_imaplib() {
    const MAILS: u64 = 20;
    let Some(python) = python() else { return };
    let append = "
import imaplib, os, socket, sys
server = imaplib.IMAP4('127.0.0.1', int(sys.argv[1]))
server.login('ada', os.environ['UNCORK_PASSWORD'])
for n in range(int(sys.argv[2])):
    assert server.append('INBOX', None, None, b'Subject: %d\\r\\n\\r\\nText\\r\\n' % n)[0] == 'OK'
print(server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
server.logout()
";
    let (_place, script) = script(append);
    let lab = Lab::start(Personality::naive(), Vec::new());
    let mut command = under([python.as_os_str(), script.as_os_str()]);
    command
        .arg(lab.server.addr().port().to_string())
        .arg(MAILS.to_string());
    let ended = run(command.env("UNCORK_PASSWORD", PASSWORD)).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("1\n", ""));
    assert_eq!(lab.server.stored(), MAILS);
}
