//! Against the real Dovecot; skipped aloud where there is none.

use std::io::Write;

use super::*;
use crate::process::Process;
use crate::requirement::program;

/// Sends commands, each after the answer to the one before, and returns all that came back.
fn talk(dovecot: &Dovecot, user: &str, commands: &[&str]) -> String {
    let stream = TcpStream::connect(dovecot.addr()).expect("connect");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("SO_RCVTIMEO");
    let mut reader = BufReader::new(stream.try_clone().expect("dup"));
    let mut writer = stream;
    let mut answers = String::new();
    let login = format!("login {user} {}", dovecot.password());
    for command in ["noop", &login].into_iter().chain(commands.iter().copied()) {
        writer
            .write_all(format!("t {command}\r\n").as_bytes())
            .expect("send");
        loop {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).expect("an answer"), 0);
            answers.push_str(&line);
            if line.starts_with("t ") {
                break;
            }
        }
    }
    answers
}

/// An APPEND of one small message with a non-synchronising literal.
fn append() -> String {
    let mail = "From: a@example.org\r\n\r\nHello.\r\n";
    format!("append INBOX {{{}+}}\r\n{mail}", mail.len())
}

fn start(program: &Path, config: &DovecotConfig) -> Dovecot {
    Dovecot::start(program, config).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn serves_every_user_a_mailbox_and_leaves_nothing_behind() {
    let Some(program) = program("dovecot") else {
        return;
    };
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let dovecot = start(&program, &DovecotConfig::new(storage, Fsync::Never));
        let first = dovecot.fresh_user();
        let second = dovecot.fresh_user();
        let before = dovecot.cpu_ns();
        let append = append();
        let status = "status INBOX (messages)";
        let answers = talk(&dovecot, &first, &[&append, &append, status]);
        assert!(answers.contains("MESSAGES 2"), "{answers}{}", dovecot.log());
        let answers = talk(&dovecot, &second, &[status]);
        assert!(answers.contains("MESSAGES 0"), "{answers}{}", dovecot.log());
        assert!(dovecot.mail_folder(&first).is_dir());
        assert!(dovecot.cpu_ns() > before);
        assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
        assert!(!dovecot.log().contains("Warning"), "{}", dovecot.log());

        let folder = dovecot.folder.path().to_owned();
        let processes = process::tree(dovecot.pid());
        assert!(processes.len() > 2, "{processes:?}");
        // A client that is still there must not keep the server.
        let client = TcpStream::connect(dovecot.addr()).expect("connect");
        drop(dovecot);
        assert!(!folder.exists());
        assert!(!processes.iter().any(Process::is_alive));
        drop(client);
    }
}

#[test]
fn refuses_what_is_too_large() {
    let Some(program) = program("dovecot") else {
        return;
    };
    let mut config = DovecotConfig::new(Storage::Mdbox, Fsync::Never);
    config.max_mail_bytes = Some(10);
    let dovecot = start(&program, &config);
    let answers = talk(&dovecot, dovecot.user(), &[&append()]);
    assert!(answers.contains("\nt NO "), "{answers}{}", dovecot.log());
    drop(dovecot);

    config.max_mail_bytes = None;
    config.quota_bytes = Some(50);
    let dovecot = start(&program, &config);
    let answers = talk(&dovecot, dovecot.user(), &[&append(), &append()]);
    assert!(answers.contains("\nt OK [APPENDUID"), "{answers}");
    assert!(answers.contains("\nt NO [OVERQUOTA]"), "{answers}");
}

#[test]
fn a_start_that_fails_says_why() {
    let Some(program) = program("false") else {
        return;
    };
    let config = DovecotConfig::new(Storage::Mdbox, Fsync::Never);
    let error = Dovecot::start(&program, &config).expect_err("false(1) serves no IMAP");
    assert!(matches!(error, DovecotError::Ended { .. }), "{error}");
    let missing = Dovecot::start(Path::new("/nonexistent"), &config);
    assert!(matches!(missing, Err(DovecotError::Spawn { .. })));
}
