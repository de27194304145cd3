//! COMPRESS=DEFLATE, alone and within TLS, into the real Dovecot; what is on the wire is counted.

use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use uncork::TcpInfo;
use uncork_import::{Compress, Options};
use uncork_lab::dovecot::{DovecotConfig, Logins, Tls};

use crate::peer::{Peer, tag};
use crate::support::{assert_whole, import_with, maildir};
use crate::tls::{dovecot, imap_url, imaps_url, read_maildir, trusting};

/// Imports and counts the payload bytes that left.
fn sent_bytes(url: &str, mut options: Options, compress: Compress) -> (u64, u64) {
    let (_root, source, _) = maildir(12, 150);
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let opened = Arc::clone(&sockets);
    options.on_connect = Some(Arc::new(move |fd: BorrowedFd<'_>| {
        let stream = TcpStream::from(fd.try_clone_to_owned().unwrap());
        opened.lock().unwrap().push(stream);
    }));
    options.compress = compress;
    let target = uncork_import::Target::parse(url).unwrap();
    let outcome = import_with(&source, &target, &options);
    assert_whole(&outcome, 150);
    let used = &outcome.report.capabilities_used;
    let is_used = used.contains(&"COMPRESS=DEFLATE".to_owned());
    assert_eq!(is_used, compress == Compress::Always);
    let sockets = sockets.lock().unwrap();
    let sent = sockets.iter().map(|stream| {
        let info = TcpInfo::of(stream).unwrap();
        info.sent_bytes.unwrap()
    });
    (sent.sum(), outcome.report.bytes)
}

#[test]
fn less_goes_over_the_wire_and_all_arrives() {
    let config = |config: &mut DovecotConfig| {
        config.compress = true;
        config.tls = Tls::Offered;
        config.logins = Logins::Scram;
    };
    let Some(dovecot) = dovecot(config) else {
        return;
    };
    let (_root, _, expected) = maildir(12, 150);
    let url_of: [fn(&_, &str) -> String; 2] = [imap_url, imaps_url];
    for url_of in url_of {
        for compress in [Compress::Always, Compress::Never] {
            let user = dovecot.fresh_user();
            let url = url_of(&dovecot, &user);
            let (sent, mail) = sent_bytes(&url, trusting(&dovecot), compress);
            assert_eq!(
                sent < mail * 3 / 4,
                compress == Compress::Always,
                "{sent} of {mail}"
            );
            let mut expected: Vec<_> = expected.iter().map(|mail| mail.bytes.clone()).collect();
            expected.sort();
            assert!(read_maildir(&dovecot, &user) == expected, "{url}");
        }
    }
}

#[test]
fn a_server_that_refuses_gets_it_uncompressed() {
    let peer = Peer::start(|stage| {
        stage.say("* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi\r\n");
        let line = stage.line();
        assert!(line.ends_with(" COMPRESS DEFLATE"), "{line}");
        stage.say(format!(
            "{} NO [COMPRESSIONACTIVE] TLS does\r\n",
            tag(&line)
        ));
        assert!(stage.line().contains(" LIST "));
    });
    let mut options = Options::with_password("lab");
    options.compress = Compress::Always;
    peer.import(&options);
}

/// What a server says right behind its OK is compressed already, and may come with it.
#[test]
fn what_comes_with_the_answer_is_compressed() {
    let peer = Peer::start(|stage| {
        stage.say("* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi\r\n");
        let line = stage.line();
        let mut said = format!("{} OK from now on\r\n", tag(&line)).into_bytes();
        let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
        let mut compressed = Vec::with_capacity(1000);
        let bye = b"* BYE [UNAVAILABLE] compressed goodbye\r\n";
        let flush = flate2::FlushCompress::Sync;
        deflate.compress_vec(bye, &mut compressed, flush).unwrap();
        said.extend(compressed);
        stage.say(said);
    });
    let mut options = Options::with_password("lab");
    options.compress = Compress::Always;
    let error = peer.import(&options).error.unwrap();
    assert!(error.to_string().contains("compressed goodbye"), "{error}");
}
