//! Logging in: every way that a server may want it, and every way that it may refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uncork_import::{Credentials, ImportError, Options, Outcome, Source, TokenSource};
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};

use crate::peer::{Peer, Stage, tag};
use crate::support::{Lab, Offers, assert_whole, import_with, numbered, options, run, target};
use crate::tls::address_of_this_machine;

fn log_in(source: &Source, port: u16, user: &str, password: &str) -> Outcome {
    let mut target = target(port, "INBOX");
    user.clone_into(&mut target.user);
    import_with(source, &target, &Options::with_password(password))
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
            assert_eq!(outcome.report, uncork_import::Report::default());
            assert_eq!(server.stored(), 2);
        }
    }
}

/// What a peer says at first, up to the login; it then takes whatever comes. Returns what the
/// client sent before its first LIST, and how the import ended.
fn first_words(
    greeting: &'static str,
    capabilities: &'static str,
    password: &str,
) -> (Vec<String>, Outcome) {
    let (told, lines) = std::sync::mpsc::channel();
    let peer = Peer::start(move |stage: &mut Stage| {
        stage.say(format!("{greeting}\r\n"));
        loop {
            let line = stage.line();
            if line.is_empty() || line.contains(" LIST ") {
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
    let outcome = peer.import(&Options::with_password(password));
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
            "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi",
            "secret",
            "only over TLS: try imaps://",
        ),
        ("* OK [CAPABILITY IMAP4rev1] hi", "nu\0l", "NUL"),
        ("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "nu\0l", "NUL"),
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
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
        stage.line();
        while stage.say("+ more\r\n") && !stage.line().is_empty() {}
    });
    let error = peer.import(&options()).error.unwrap();
    assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
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

/// Gives one token after the other, and counts.
struct Tokens {
    tokens: Vec<&'static str>,
    given: AtomicUsize,
}

impl Tokens {
    fn new(tokens: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            tokens: tokens.to_vec(),
            given: AtomicUsize::new(0),
        })
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> std::io::Result<String> {
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        let token = self.tokens.get(given);
        let token = token.ok_or_else(|| std::io::Error::other("the token server is away"))?;
        Ok((*token).to_owned())
    }
}

/// Offers `capabilities`, plays, and returns how an import with these tokens ended.
fn with_tokens(
    capabilities: &'static str,
    tokens: &Arc<Tokens>,
    play: impl FnOnce(&mut Stage) + Send + 'static,
) -> ImportError {
    let peer = Peer::start(move |stage| {
        stage.say(format!("* OK [CAPABILITY IMAP4rev1 {capabilities}] hi\r\n"));
        play(stage);
    });
    let mut options = Options::default();
    options.credentials = Credentials::Token(Arc::clone(tokens) as Arc<dyn TokenSource>);
    let error = peer.import(&options).error.unwrap();
    assert!(
        !format!("{error} {error:?}").contains("sesame"),
        "{error:?}"
    );
    error
}

/// The SASL words of a line, decoded.
fn words_of(line: &str) -> String {
    let (_, words) = line.rsplit_once(' ').unwrap();
    String::from_utf8(STANDARD.decode(words).unwrap()).unwrap()
}

const REFUSAL: &str = r#"{"status":"401","schemes":"bearer"}"#;

/// Refuses the token that came as these mechanisms do; the client must answer `answer`.
fn refuse(stage: &mut Stage, tag: &str, answer: &str) {
    stage.say(format!("+ {}\r\n", STANDARD.encode(REFUSAL)));
    assert_eq!(stage.line(), answer);
    stage.say(format!("{tag} NO [AUTHENTICATIONFAILED] no\r\n"));
}

/// Whoever is in goes on to the folder.
fn let_in(stage: &mut Stage, line: &str) {
    stage.say(format!("{} OK [CAPABILITY IMAP4rev1] in\r\n", tag(line)));
    assert!(stage.line().contains(" LIST "));
}

#[test]
fn by_oauthbearer() {
    let tokens = Tokens::new(&["sesame"]);
    let error = with_tokens("AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR", &tokens, |stage| {
        let line = stage.line();
        assert!(line.contains(" AUTHENTICATE OAUTHBEARER "), "{line}");
        let words = words_of(&line);
        assert!(
            words.starts_with("n,a=lab,\x01host=127.0.0.1\x01port="),
            "{words}"
        );
        assert!(words.ends_with("\x01auth=Bearer sesame\x01\x01"), "{words}");
        let_in(stage, &line);
    });
    assert!(matches!(error, ImportError::HungUp { .. }), "{error:?}");
}

/// Without SASL-IR, and with a token that has expired since it was got.
#[test]
fn by_xoauth2_with_another_token_where_the_first_has_expired() {
    let tokens = Tokens::new(&["sesame1", "sesame2"]);
    let error = with_tokens("AUTH=XOAUTH2", &tokens, |stage| {
        for expected in ["sesame1", "sesame2"] {
            let line = stage.line();
            assert!(line.ends_with(" AUTHENTICATE XOAUTH2"), "{line}");
            stage.say("+ \r\n");
            let words = words_of(&format!(" {}", stage.line()));
            assert_eq!(words, format!("user=lab\x01auth=Bearer {expected}\x01\x01"));
            if expected == "sesame1" {
                refuse(stage, tag(&line), "");
            } else {
                let_in(stage, &line);
            }
        }
    });
    assert!(matches!(error, ImportError::HungUp { .. }), "{error:?}");
    assert_eq!(tokens.given.load(Ordering::Relaxed), 2);
}

#[test]
fn tokens_that_are_refused() {
    for (given, sent) in [
        (&["sesame1", "sesame2", "sesame3"][..], 2),
        (&["sesame", "sesame", "sesame"][..], 1),
    ] {
        let tokens = Tokens::new(given);
        let error = with_tokens("AUTH=OAUTHBEARER SASL-IR", &tokens, move |stage| {
            for _ in 0..sent {
                let line = stage.line();
                refuse(stage, tag(&line), "AQ==");
            }
            assert_eq!(stage.line(), "", "no more than that");
        });
        assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
        assert!(error.to_string().contains(r#""status":"401""#), "{error}");
        assert_eq!(tokens.given.load(Ordering::Relaxed), 2);
    }
    // One that hangs up on who was refused.
    let tokens = Tokens::new(&["sesame1", "sesame2"]);
    let error = with_tokens("AUTH=XOAUTH2 SASL-IR", &tokens, |stage| {
        let line = stage.line();
        refuse(stage, tag(&line), "");
    });
    assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
}

#[test]
fn no_token_is_said_where_there_is_none() {
    let error = with_tokens("AUTH=XOAUTH2 SASL-IR", &Tokens::new(&[]), |stage| {
        assert_eq!(stage.line(), "");
    });
    let ImportError::Token { source } = &error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("away"));
    let error = with_tokens(
        "AUTH=PLAIN AUTH=GSSAPI",
        &Tokens::new(&["sesame"]),
        |stage| {
            assert_eq!(stage.line(), "");
        },
    );
    assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
    assert!(error.to_string().contains("PLAIN, GSSAPI"), "{error}");
    let bad = Tokens::new(&["sesame\x01", "sesame\x01"]);
    let error = with_tokens("AUTH=XOAUTH2", &bad, |stage| assert_eq!(stage.line(), ""));
    assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
}

/// Answers the login with what `answer` makes of its line; how the import ended.
fn answered(answer: impl FnOnce(&str) -> String + Send + 'static) -> ImportError {
    let peer = Peer::start(move |stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n");
        let line = stage.line();
        stage.say(answer(&line));
    });
    let options = Options::with_password("open sesame");
    peer.import(&options).error.unwrap()
}

#[test]
fn no_server_makes_an_error_repeat_the_password() {
    type Answer = fn(&str) -> String;
    let answers: [Answer; 8] = [
        |line| format!("{} NO unknown: {line}\r\n", tag(line)),
        |line| format!("{} BAD [{line}] what\r\n", tag(line)),
        |line| format!("* BYE {line}\r\n"),
        |line| format!("{line}\r\n"),
        |line| format!("* BYE not `open sesame`\r\n{} NO\r\n", tag(line)),
        |line| format!("{} NO [ALERT] lab/OPEN SESAME is wrong\r\n", tag(line)),
        |line| format!("{} NO {}\r\n", tag(line), STANDARD.encode("open sesame")),
        |line| format!("+ \r\n* BYE and {}\r\n", words_of(line).replace('\0', " ")),
    ];
    for answer in answers {
        let error = answered(answer);
        let mut texts = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            texts += &format!(" {cause} {cause:?}");
            source = cause.source();
        }
        let texts = texts.to_ascii_lowercase();
        assert!(!texts.contains("sesame"), "{texts}");
        let base64 = STANDARD.encode("\0lab\0open sesame").to_ascii_lowercase();
        assert!(!texts.contains(&base64[8..16]), "{texts}");
    }
}

#[test]
fn what_may_go_well_later() {
    for (answer, is_temporary) in [
        ("NO [AUTHENTICATIONFAILED] no", false),
        ("NO [EXPIRED] old", false),
        ("BAD what", false),
        ("NO [UNAVAILABLE] Temporary authentication failure", true),
        ("NO [LIMIT] Maximum number of connections exceeded", true),
        (
            "NO [ALERT] Too many simultaneous connections. (Failure)",
            true,
        ),
    ] {
        let error = answered(move |line| format!("{} {answer}\r\n", tag(line)));
        assert_eq!(error.is_temporary(), is_temporary, "{error:?}");
        let (_, text) = answer.split_once(' ').unwrap();
        assert!(error.to_string().contains(text), "{error}");
    }
    for (bye, is_temporary) in [
        ("* BYE [AUTHENTICATIONFAILED] not you", false),
        ("* BYE [expired] not any more", false),
        ("* BYE [UNAVAILABLE] not now", true),
        ("* BYE Autologout", true),
    ] {
        let error = answered(move |_| format!("{bye}\r\n"));
        assert_eq!(error.is_temporary(), is_temporary, "{error:?}");
        assert!(error.to_string().contains(&bye[6..]), "{error}");
    }
    let (_, outcome) = first_words("* BYE [UNAVAILABLE] too busy", "", "secret");
    let error = outcome.error.unwrap();
    assert!(
        error.is_temporary() && error.to_string().contains("too busy"),
        "{error}"
    );
}

/// LOGIN with literals, each of which waits.
#[test]
fn by_login_with_literals() {
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1] hi\r\n");
        let line = stage.line();
        assert!(line.ends_with(r#" LOGIN "lab" {8}"#), "{line}");
        stage.say("+ go\r\n");
        assert_eq!(stage.read(8), "geheimß".as_bytes());
        assert_eq!(stage.line(), "");
        let_in(stage, &line);
    });
    peer.import(&Options::with_password("geheimß"));
}

/// A server may offer SCRAM though it can't do it for this user.
#[test]
fn by_plain_where_scram_is_refused_and_nobody_listens() {
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN] hi\r\n");
        let line = stage.line();
        assert!(line.contains(" AUTHENTICATE SCRAM-SHA-256 "), "{line}");
        assert!(words_of(&line).starts_with("n,,n=lab,r="));
        stage.say(format!("{} NO [AUTHENTICATIONFAILED] no\r\n", tag(&line)));
        let line = stage.line();
        assert_eq!(words_of(&line), "\0lab\0secret");
        let_in(stage, &line);
    });
    peer.import(&Options::with_password("secret"));
}

/// One that can't prove that it knows the password is not told it.
#[test]
fn scram_with_impostors() {
    let salt = STANDARD.encode("salt");
    let server_first = move |line: &str| {
        let words = words_of(line);
        let (_, nonce) = words.split_once("r=").unwrap();
        STANDARD.encode(format!("r={nonce}x,s={salt},i=4096"))
    };
    for last in [Some("v=AAAA"), None] {
        let server_first = server_first.clone();
        let peer = Peer::start(move |stage| {
            stage.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN] hi\r\n");
            let line = stage.line();
            stage.say(format!("+ {}\r\n", server_first(&line)));
            assert!(words_of(&format!(" {}", stage.line())).starts_with("c=biws,r="));
            if let Some(last) = last {
                stage.say(format!("+ {}\r\n", STANDARD.encode(last)));
                assert_eq!(stage.line(), "*", "the exchange is given up");
            }
            stage.say(format!("{} OK in\r\n", tag(&line)));
            assert_eq!(stage.line(), "", "nothing more is said");
        });
        let outcome = peer.import(&Options::with_password("secret"));
        let error = outcome.error.unwrap();
        assert!(matches!(error, ImportError::Login { .. }), "{error:?}");
        assert!(error.to_string().contains("impostor"), "{error}");
    }
}

/// Where others may listen, one that refuses SCRAM does not get the password itself.
#[test]
fn no_plain_after_scram_where_others_may_listen() {
    let Some(ip) = address_of_this_machine() else {
        return;
    };
    let peer = Peer::start_at(ip, |stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-1 AUTH=PLAIN] hi\r\n");
        let line = stage.line();
        stage.say(format!("{} NO [AUTHENTICATIONFAILED] no\r\n", tag(&line)));
        assert_eq!(stage.line(), "", "nothing more is said");
    });
    let mut options = Options::with_password("secret");
    options.allow_plaintext = true;
    let outcome = peer.import(&options);
    assert!(matches!(outcome.error, Some(ImportError::Login { .. })));
}

/// A server that says a line now and then gets no longer for its answer.
#[test]
fn one_that_drips() {
    let peer = Peer::start(|stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n");
        while stage.say("* OK still here\r\n") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let mut options = Options::with_password("secret");
    options.patience.answer = std::time::Duration::from_millis(300);
    let outcome = peer.import(&options);
    assert!(matches!(outcome.error, Some(ImportError::Silent { .. })));
}
