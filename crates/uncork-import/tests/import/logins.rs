//! Logging in: every way that a server may want it, and every way that it may refuse.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uncork_import::{ImportError, Report, Options, Outcome, Progress, Source, import};
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};

use crate::peer::{Peer, Stage, tag};
use crate::support::{Lab, Offers, assert_whole, numbered, run, target};

fn log_in(source: &Source, port: u16, user: &str, password: &str) -> Outcome {
    let mut target = target(port, "INBOX");
    user.clone_into(&mut target.user);
    import(
        std::slice::from_ref(source),
        &target,
        &Options::with_password(password),
        &Progress::default(),
    )
}

#[test]
fn by_authenticate_plain() {
    let (_root, source) = numbered(2);
    for (user, password) in [
        ("lab", "lab"),
        ("ada@example.org", "pass word"),
        ("jürgen", "gr\"ü\\ße{5}"),
    ] {
        for sasl_ir in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let server = ImapServer::start(ServerConfig {
                user: user.to_owned(),
                password: password.to_owned(),
                // LOGIN would be refused.
                personality: Personality::careful().sasl_ir(sasl_ir).login_disabled(true),
                ..ServerConfig::new(root.path())
            })
            .unwrap();
            let port = server.addr().port();
            assert_whole(&log_in(&source, port, user, password), 2);
            let outcome = log_in(&source, port, user, "wrong");
            let error = outcome.error.unwrap();
            let ImportError::Login {
                user: refused,
                reason,
            } = &error
            else {
                panic!("{error:?}");
            };
            assert_eq!(refused, user);
            assert_eq!(reason, "[AUTHENTICATIONFAILED] Authentication failed.");
            assert_eq!(outcome.report, Report::default());
            assert_eq!(server.stored(), 2);
        }
    }
}

/// What a peer says at first, up to the login; it then takes whatever comes. Returns what the
/// client sent before its first STATUS, and how the import ended.
fn first_words(
    greeting: &'static str,
    capabilities: &'static str,
    password: &str,
) -> (Vec<String>, Outcome) {
    let (_root, source) = numbered(1);
    let (told, lines) = std::sync::mpsc::channel();
    let peer = Peer::start(move |stage: &mut Stage| {
        stage.say(format!("{greeting}\r\n"));
        loop {
            let line = stage.line();
            if line.is_empty() || line.contains(" STATUS ") {
                break;
            }
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            if words[1] == "CAPABILITY" {
                stage.say(format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n"));
            }
            stage.say(format!("{} OK done\r\n", words[0]));
            told.send(words[1..].join(" ")).unwrap();
        }
    });
    let outcome = {
        let target = target(peer.port, "INBOX");
        import(
            &[source],
            &target,
            &Options::with_password(password),
            &Progress::default(),
        )
    };
    peer.end();
    (lines.iter().collect(), outcome)
}

#[test]
fn by_login_where_there_is_nothing_else() {
    let (lines, _) = first_words("* OK hi", "", "se\"cr\\et");
    assert_eq!(
        lines,
        ["CAPABILITY", r#"LOGIN "lab" "se\"cr\\et""#, "CAPABILITY"]
    );
    let (lines, _) = first_words("* OK [CAPABILITY IMAP4rev1 ID] hi", "", "secret");
    assert_eq!(lines, [r#"LOGIN "lab" "secret""#, "CAPABILITY"]);
    let plain = format!("AUTHENTICATE PLAIN {}", STANDARD.encode("\0lab\0secret"));
    let greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi";
    let (lines, _) = first_words(greeting, "", "secret");
    assert_eq!(lines, [&plain, "CAPABILITY"]);
}

#[test]
fn not_where_the_server_knows_the_user_already() {
    let (lines, _) = first_words("* PREAUTH [CAPABILITY IMAP4rev1] welcome", "", "secret");
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn no_password_is_said_where_it_would_be_in_vain() {
    for (greeting, password, why) in [
        (
            "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] hi",
            "secret",
            "only over TLS",
        ),
        ("* OK [CAPABILITY IMAP4rev1] hi", "geheimß", "beyond ASCII"),
        (
            "* OK [CAPABILITY IMAP4rev1] hi",
            "two\r\nlines",
            "LOGIN only",
        ),
    ] {
        let (lines, outcome) = first_words(greeting, "", password);
        assert!(lines.is_empty(), "{lines:?}");
        let error = outcome.error.unwrap();
        assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_server_that_never_has_enough_of_plain() {
    let (_root, source) = numbered(1);
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
        stage.line();
        while stage.say("+ more\r\n") && !stage.line().is_empty() {}
    });
    let error = run(&source, &target(peer.port, "INBOX")).error.unwrap();
    assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
    peer.end();
}

/// What a server offers to those who are logged in counts, not what it offered to strangers.
#[test]
fn capabilities_are_those_after_the_login() {
    let (_root, source) = numbered(1);
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n");
        let line = stage.line();
        stage.say(format!(
            "{} OK [CAPABILITY IMAP4rev1 LITERAL-] in\r\n",
            tag(&line)
        ));
    });
    let outcome = run(&source, &target(peer.port, "INBOX"));
    peer.end();
    assert!(matches!(outcome.error, Some(ImportError::HungUp { .. })));
    assert_eq!(outcome.report.connections, 0);
    let lab = Lab::offering(Offers::LiteralMinus, Vec::new());
    assert_eq!(lab.import(&source).report.capabilities_used, ["LITERAL-"]);
}
