//! The lab's IMAP server: TLS, compression, and the ways to log in.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use uncork_lab::imap::{ImapServer, Mechanism, Personality, Tls};

use crate::imap_client::{Client, PATIENCE, append};
use crate::imap_lab::{MAIL, serving, uids};

type Sealed = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// Speaks TLS from here on, as a client that trusts the server's authority alone.
fn seal(server: &ImapServer, stream: TcpStream) -> Sealed {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut roots = RootCertStore::empty();
    let pem = server.ca_pem().unwrap();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    BufReader::new(StreamOwned::new(tls, stream))
}

/// Sends a line, and reads one.
fn exchange<S: Read + Write>(stream: &mut BufReader<S>, command: &str) -> String {
    stream.get_mut().write_all(command.as_bytes()).unwrap();
    line(stream)
}

fn line(stream: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the connection ended");
    line
}

#[test]
fn imaps_is_sealed_from_the_start() {
    let (server, _root) = serving(Personality::careful().tls(Tls::Implicit));
    let stream = TcpStream::connect(server.tls_addr().unwrap()).unwrap();
    let mut client = seal(&server, stream);
    let greeting = line(&mut client);
    assert!(greeting.starts_with("* OK ") && !greeting.contains("STARTTLS"));
    assert!(exchange(&mut client, "a LOGIN lab lab\r\n").starts_with("a OK"));
    // Beyond one TLS record in both directions.
    let long = format!("A: b\r\n\r\n{}", "0123456789abcde\n".repeat(10_000));
    let command = format!("b {}\r\n", append("INBOX", &[&long]));
    assert!(exchange(&mut client, &command).starts_with("b OK"));
    client
        .get_mut()
        .write_all(b"c EXAMINE INBOX\r\nd FETCH 1 BODY.PEEK[]\r\n")
        .unwrap();
    while !line(&mut client).starts_with("* 1 FETCH") {}
    let mut fetched = vec![0; long.len()];
    client.read_exact(&mut fetched).unwrap();
    assert_eq!(fetched, long.as_bytes());
    let plain = Client::greeted(&server).run("CAPABILITY").ok().text();
    assert!(!plain.contains("STARTTLS"), "{plain}");
}

#[test]
fn starttls_comes_before_the_login() {
    let (server, _root) = serving(Personality::careful().tls(Tls::Required));
    let mut client = Client::greeted(&server);
    let offered = client.run("CAPABILITY").ok().text();
    assert!(offered.contains(" STARTTLS LOGINDISABLED"), "{offered}");
    client.run("LOGIN lab lab").no("[PRIVACYREQUIRED]");
    client
        .run("AUTHENTICATE PLAIN AGxhYgBsYWI=")
        .no("[PRIVACYREQUIRED]");
    client.run("STARTTLS").ok();
    let mut client = seal(&server, client.into_stream());
    let offered = exchange(&mut client, "a CAPABILITY\r\n");
    assert!(!offered.contains("STARTTLS") && !offered.contains("LOGINDISABLED"));
    assert!(line(&mut client).starts_with("a OK"));
    assert!(exchange(&mut client, "b LOGIN lab lab\r\n").starts_with("b OK"));
    // What is sent ahead in the clear is never taken for sealed.
    let mut client = Client::greeted(&server);
    client.send(b"a STARTTLS\r\nb LOGIN lab lab\r\n");
    client.reply("a").ok();
    assert!(client.is_closed());
    let (server, _root) = serving(Personality::careful());
    Client::greeted(&server).run("STARTTLS").bad();
    assert_eq!((server.tls_addr(), server.ca_pem()), (None, None));
}

#[test]
fn what_is_compressed_arrives() {
    let (server, _root) = serving(Personality::careful().compress(true));
    let mut client = Client::greeted(&server);
    client.run("COMPRESS DEFLATE").bad();
    client.run("LOGIN lab lab").ok();
    client.run("COMPRESS LZ4").no("");
    client.run("COMPRESS DEFLATE").ok();
    let stream = client.into_stream();
    let mut replies = BufReader::new(DeflateDecoder::new(stream.try_clone().unwrap()));
    let mut out = Compress::new(Compression::default(), false);
    let mut send = |text: &str| {
        let mut packed = Vec::with_capacity(text.len() + 1024);
        out.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Sync)
            .unwrap();
        (&stream).write_all(&packed).unwrap();
    };
    let long = format!("A: b\r\n\r\n{}", "0123456789abcde\n".repeat(20_000));
    send(&format!("a {}\r\n", append("INBOX", &[&long, MAIL])));
    assert!(line(&mut replies).starts_with("a OK"));
    send("b COMPRESS DEFLATE\r\n");
    assert!(line(&mut replies).starts_with("b NO [COMPRESSIONACTIVE]"));
    send("c EXAMINE INBOX\r\nd FETCH 1 BODY.PEEK[]\r\n");
    while !line(&mut replies).starts_with("* 1 FETCH") {}
    let mut fetched = vec![0; long.len()];
    replies.read_exact(&mut fetched).unwrap();
    assert_eq!(fetched, long.as_bytes());
    assert_eq!(uids(&server, "INBOX"), [1, 2]);
}

#[test]
fn tokens_are_taken_until_they_expire() {
    let mechanisms = [Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer];
    let (server, _root) = serving(Personality::careful().mechanisms(mechanisms));
    server.accept_token("t0");
    let xoauth2 = STANDARD.encode("user=lab\x01auth=Bearer t0\x01\x01");
    let bearer = STANDARD.encode("n,a=lab,\x01host=h\x01auth=Bearer t0\x01\x01");
    let commands = [
        (format!("AUTHENTICATE XOAUTH2 {xoauth2}"), ""),
        (format!("AUTHENTICATE OAUTHBEARER {bearer}"), "AQ=="),
    ];
    for (command, _) in &commands {
        Client::greeted(&server).run(command).ok();
    }
    server.expire_token("t0");
    for (command, answer) in &commands {
        let mut client = Client::greeted(&server);
        client.send(format!("a {command}\r\n").as_bytes());
        let challenge = client.line();
        let json = STANDARD
            .decode(challenge.strip_prefix("+ ").unwrap())
            .unwrap();
        assert!(json.starts_with(b"{\"status\":\"invalid_token\""));
        client.send(format!("{answer}\r\n").as_bytes());
        client.reply("a").no("[AUTHENTICATIONFAILED]");
        server.accept_token("t0");
        client.run(command).ok();
        server.expire_token("t0");
    }
    let mut client = Client::greeted(&server);
    client.run("AUTHENTICATE PLAIN AGxhYgBsYWI=").no("[CANNOT]");
    client.send(b"a AUTHENTICATE LOGIN\r\n");
    assert_eq!(client.line(), "+ VXNlcm5hbWU6");
    client.send(b"bGFi\r\n");
    assert_eq!(client.line(), "+ UGFzc3dvcmQ6");
    client.send(b"bGFi\r\n");
    client.reply("a").ok();
}

#[test]
fn a_user_has_so_many_connections() {
    let (server, _root) = serving(Personality::careful().login_limit(Some(1)));
    let first = Client::logged_in(&server);
    let mut second = Client::greeted(&server);
    second
        .run("LOGIN lab lab")
        .no("[LIMIT] Too many simultaneous connections");
    drop(first);
    let is_let_in = |_| second.run("LOGIN lab lab").last().contains(" OK ");
    assert!((0..100_000).any(is_let_in));
}
