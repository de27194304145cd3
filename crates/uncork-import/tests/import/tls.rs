//! TLS from the first byte and by STARTTLS: into the real Dovecot, and against peers that are
//! not to be trusted.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use uncork_import::{ImportError, Options, Outcome, Target};
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Logins, Storage, Tls};
use uncork_lab::requirement;

use crate::peer::{Peer, Stage, tag};
use crate::repairs::repaired;
use crate::support::{assert_whole, eml_folder, import_with, maildir, numbered};

pub(crate) fn dovecot(change: impl FnOnce(&mut DovecotConfig)) -> Option<Dovecot> {
    let program = requirement::program("dovecot")?;
    let mut config = DovecotConfig::new(Storage::Maildir, Fsync::Never);
    change(&mut config);
    let dovecot = Dovecot::start(&program, &config);
    Some(dovecot.unwrap_or_else(|error| panic!("{error}")))
}

pub(crate) fn imap_url(dovecot: &Dovecot, user: &str) -> String {
    format!("imap://{user}@{}/INBOX", dovecot.addr())
}

pub(crate) fn imaps_url(dovecot: &Dovecot, user: &str) -> String {
    format!("imaps://{user}@{}/INBOX", dovecot.tls_addr())
}

/// The password, and trust in the certificate.
pub(crate) fn trusting(dovecot: &Dovecot) -> Options {
    let mut options = Options::with_password(dovecot.password());
    options.tls.ca_file = Some(dovecot.ca_pem_path());
    options
}

/// The mails of INBOX, sorted, from the disk: a server that insists on TLS is not read by a
/// plain reader.
pub(crate) fn read_maildir(dovecot: &Dovecot, user: &str) -> Vec<Vec<u8>> {
    let folder = dovecot.mail_folder(user).join("Maildir");
    let mut mails: Vec<Vec<u8>> = ["cur", "new"]
        .iter()
        .flat_map(|name| fs::read_dir(folder.join(name)).unwrap())
        .map(|file| repaired(&fs::read(file.unwrap().path()).unwrap()).unwrap())
        .collect();
    mails.sort();
    mails
}

fn import_to(url: &str, source: &uncork_import::Source, options: &Options) -> Outcome {
    let target = Target::parse(url).unwrap();
    import_with(source, &target, options)
}

/// The line of Dovecot's log with this text, once it is there.
fn log_line(dovecot: &Dovecot, text: &str) -> String {
    for _ in 0..1000 {
        let log = dovecot.log();
        if let Some(line) = log.lines().rfind(|line| line.contains(text)) {
            return line.to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no {text:?} in {}", dovecot.log())
}

/// By each way to TLS and to log in, byte for byte.
#[test]
fn mails_into_dovecot() {
    let (_root, source, expected) = maildir(12, 40);
    let mut expected: Vec<_> = expected.into_iter().map(|mail| mail.bytes).collect();
    expected.sort();
    for (tls, logins, method) in [
        (Tls::Required, Logins::Scram, "SCRAM-SHA-256"),
        (Tls::Required, Logins::Plain, "PLAIN"),
        (Tls::Required, Logins::ScramSha1, "SCRAM-SHA-1"),
        (Tls::Off, Logins::Scram, "SCRAM-SHA-256"),
    ] {
        let Some(dovecot) = dovecot(|config| {
            config.tls = tls;
            config.logins = logins;
        }) else {
            return;
        };
        let url_of: [fn(&_, &str) -> String; 2] = [imap_url, imaps_url];
        let has_tls = tls != Tls::Off;
        for url_of in url_of.into_iter().take(if has_tls { 2 } else { 1 }) {
            let user = dovecot.fresh_user();
            let url = url_of(&dovecot, &user);
            let options = if has_tls {
                trusting(&dovecot)
            } else {
                Options::with_password(dovecot.password())
            };
            let outcome = import_to(&url, &source, &options);
            assert_whole(&outcome, 40);
            assert!(read_maildir(&dovecot, &user) == expected, "{url}");
            let login = log_line(&dovecot, &format!("Login: user=<{user}>"));
            assert!(login.contains(&format!("method={method},")), "{login}");
            assert_eq!(login.contains(", TLS"), has_tls, "{login}");
        }
    }
}

/// Longer than a departure, than what rustls takes at once and than the buffers of the sockets;
/// from a file and from memory.
#[test]
fn long_mails_into_dovecot() {
    let Some(dovecot) = dovecot(|config| config.tls = Tls::Offered) else {
        return;
    };
    let line = |number: usize| format!("{number:099}\r\n");
    let long: Vec<u8> = (0..150_000).flat_map(|n| line(n).into_bytes()).collect();
    let mail = |bytes: usize| [b"Subject: long\r\n\r\n", &long[..bytes]].concat();
    let mails = [mail(15_000_000), mail(400_000), mail(700_000), mail(16_384)];
    let named = mails
        .iter()
        .enumerate()
        .map(|(n, mail)| (format!("{n}.eml"), mail));
    let (_root, source) = eml_folder(named);
    let user = dovecot.fresh_user();
    let by_name = imaps_url(&dovecot, &user).replace("127.0.0.1", "localhost");
    let outcome = import_to(&by_name, &source, &trusting(&dovecot));
    assert_whole(&outcome, 4);
    let mut expected = mails.to_vec();
    expected.sort();
    assert!(read_maildir(&dovecot, &user) == expected);
}

#[test]
fn who_is_trusted() {
    let Some(dovecot) = dovecot(|config| config.tls = Tls::Required) else {
        return;
    };
    let (_root, source) = numbered(1);
    for url in [imap_url(&dovecot, "one"), imaps_url(&dovecot, "two")] {
        let unknown = Options::with_password(dovecot.password());
        assert_tls_error(&import_to(&url, &source, &unknown), "--ca-file");
        let mut insecure = unknown.clone();
        insecure.tls.insecure = true;
        assert_whole(&import_to(&url, &source, &insecure), 1);
        let again = import_to(&url, &source, &trusting(&dovecot));
        assert!(again.error.is_none(), "{:?}", again.error);
        assert_eq!(again.report.already_there, 1);
    }
}

#[track_caller]
fn assert_tls_error(outcome: &Outcome, why: &str) {
    let Some(error @ ImportError::Tls { .. }) = &outcome.error else {
        panic!("{:?}", outcome.error);
    };
    assert!(error.to_string().contains(why), "{error}");
    assert!(!error.is_temporary());
    assert_eq!(outcome.report.imported, 0);
}

/// A certificate that vouches for itself, to be named as an authority.
struct Certificate {
    folder: TempDir,
    config: Arc<ServerConfig>,
}

impl Certificate {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self { folder, config }
    }

    fn options(&self) -> Options {
        let mut options = Options::with_password("secret");
        options.tls.ca_file = Some(self.folder.path().join("ca.pem"));
        options
    }
}

/// Goes on within TLS; the peer's words are `said`, and what it is told is returned.
fn within_tls(stage: &mut Stage, config: &Arc<ServerConfig>, said: &[u8]) -> io::Result<Vec<u8>> {
    let stream = stage.stream().try_clone()?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    tls.write_all(said)?;
    let mut told = vec![0; 1000];
    let read = tls.read(&mut told)?;
    told.truncate(read);
    Ok(told)
}

fn import_tls(port: u16, options: &Options) -> Outcome {
    let (_root, source) = numbered(1);
    import_to(&format!("imaps://lab@127.0.0.1:{port}"), &source, options)
}

#[test]
fn certificates_that_are_no_good() {
    let long_ago = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    let one_day = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    };
    let other = |params: &mut CertificateParams| {
        let name = "mail.example.org".try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    };
    for (certificate, why) in [
        (Certificate::new(long_ago), "has expired"),
        (Certificate::new(one_day), "not valid yet"),
        (Certificate::new(other), "mail.example.org"),
    ] {
        let config = Arc::clone(&certificate.config);
        let peer = Peer::start(move |stage| {
            let error = within_tls(stage, &config, b"* OK hi\r\n").unwrap_err();
            // It is told why, and nothing else.
            let alert: Option<&rustls::Error> =
                error.get_ref().and_then(|inner| inner.downcast_ref());
            assert!(
                matches!(alert, Some(rustls::Error::AlertReceived(_))),
                "{error:?}"
            );
        });
        assert_tls_error(&import_tls(peer.port, &certificate.options()), why);
        peer.end();
    }
}

#[test]
fn peers_that_speak_no_tls() {
    let certificate = Certificate::new(|_| ());
    let options = certificate.options();
    let plain = Peer::start(|stage| {
        stage.say("* OK IMAP4rev1 ready\r\n");
    });
    assert_tls_error(&import_tls(plain.port, &options), "imap://");
    plain.end();
    let gone = Peer::start(|_| ());
    let error = import_tls(gone.port, &options).error.unwrap();
    assert!(matches!(error, ImportError::HungUp { .. }), "{error:?}");
    assert!(error.is_temporary());
    gone.end();
}

#[test]
fn files_that_hold_no_authority() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (path, why) in [
        (folder.path().join("none.pem"), "No such file"),
        (file("empty.pem", ""), "no certificate in it"),
        (file("text.pem", "hello"), "no certificate in it"),
        (file("broken.pem", broken), "can't be used"),
        (Path::new("/dev/zero").to_owned(), "more than"),
    ] {
        let mut options = Options::with_password("secret");
        options.tls.ca_file = Some(path.clone());
        let peer = Peer::start(|_| ());
        let outcome = import_tls(peer.port, &options);
        assert_tls_error(&outcome, why);
        assert_tls_error(&outcome, path.to_str().unwrap());
        peer.end();
    }
}

/// What an attacker puts behind the answer to STARTTLS must not count (CVE-2011-0411).
#[test]
fn words_before_the_handshake() {
    let certificate = Certificate::new(|_| ());
    let options = certificate.options();
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n";
    for injected in ["* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "*"] {
        let peer = Peer::start(move |stage| {
            stage.say(greeting);
            let line = stage.line();
            assert!(line.ends_with(" STARTTLS"), "{line}");
            stage.say(format!("{} OK go\r\n{injected}", tag(&line)));
            assert_eq!(stage.line(), "", "nothing more is said");
        });
        assert_tls_error(&peer.import(&options), "unencrypted");
    }
    let peer = Peer::start(move |stage| {
        stage.say(greeting);
        let line = stage.line();
        stage.say(format!("{} NO not today\r\n", tag(&line)));
        assert_eq!(stage.line(), "", "nothing more is said");
    });
    assert_tls_error(&peer.import(&options), "not today");
}

/// What was offered before TLS does not count within.
#[test]
fn capabilities_are_asked_anew_within_tls() {
    let certificate = Certificate::new(|_| ());
    let config = Arc::clone(&certificate.config);
    let peer = Peer::start(move |stage| {
        stage.say("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN] hi\r\n");
        let line = stage.line();
        stage.say(format!("{} OK go\r\n", tag(&line)));
        let told = within_tls(stage, &config, b"").unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.ends_with(" CAPABILITY\r\n"), "{told}");
    });
    let error = peer.import(&certificate.options()).error.unwrap();
    assert!(matches!(error, ImportError::HungUp { .. }), "{error:?}");
}

/// An address of this machine that others could reach it by. (Asking for a way sends nothing;
/// 192.0.2.1 is of the net for examples, RFC 5737.)
pub(crate) fn address_of_this_machine() -> Option<IpAddr> {
    let asked = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:143")?;
        socket.local_addr()
    });
    let ip = asked
        .ok()
        .map(|addr| addr.ip())
        .filter(|ip| !ip.is_loopback());
    if ip.is_none() {
        requirement::skip("this machine has no address but those of the loopback device");
    }
    ip
}

/// What a peer beyond the loopback device hears after it has greeted, and how the import ended.
fn far_words(greeting: &'static str, options: &Options) -> Option<(String, Outcome)> {
    let ip = address_of_this_machine()?;
    let (told, line) = std::sync::mpsc::channel();
    let peer = Peer::start_at(ip, move |stage| {
        stage.say(format!("{greeting}\r\n"));
        told.send(stage.line()).unwrap();
    });
    let outcome = peer.import(options);
    Some((line.recv().unwrap(), outcome))
}

#[test]
fn nothing_is_said_for_others_to_hear() {
    let asked = Options::with_password("secret");
    let mut allowed = asked.clone();
    allowed.allow_plaintext = true;
    for (greeting, options, expected) in [
        (
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
            &asked,
            "",
        ),
        ("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi", &asked, ""),
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi",
            &asked,
            "U1 STARTTLS",
        ),
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi",
            &allowed,
            "U1 STARTTLS",
        ),
        (
            "* OK [CAPABILITY IMAP4rev1] hi",
            &allowed,
            r#"U1 LOGIN "lab" "secret""#,
        ),
    ] {
        let Some((line, outcome)) = far_words(greeting, options) else {
            return;
        };
        assert_eq!(line, expected, "{greeting}");
        let error = outcome.error.unwrap();
        let is_refused = matches!(error, ImportError::Plaintext { .. });
        assert_eq!(is_refused, expected.is_empty(), "{error:?}");
        if is_refused {
            let text = error.to_string();
            assert!(
                text.contains("imaps://") && text.contains("--allow-plaintext"),
                "{text}"
            );
        }
        assert!(!format!("{error} {error:?} {options:?}").contains("secret"));
    }
}
