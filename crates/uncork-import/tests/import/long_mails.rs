//! Mails of more than 1 MiB, which are not held in memory: sent from the file as they are, or
//! rewritten on the way.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::peer::{Peer, literal_bytes, tag};
use crate::repairs::repaired;
use crate::support::{Lab, Offers, assert_whole, eml_folder, run, target};

const MIB: usize = 1024 * 1024;

/// Numbered lines, so that bytes that are lost, doubled or exchanged show.
fn text(bytes: usize, end: &str) -> Vec<u8> {
    let mut text = format!("Subject: long{end}{end}").into_bytes();
    let mut line = 0;
    while text.len() < bytes {
        text.extend_from_slice(format!("{line} Grüße, ").as_bytes());
        text.extend_from_slice(&[0xff, b'\r', b'x']);
        text.extend_from_slice("=".repeat(line % 70).as_bytes());
        text.extend_from_slice(end.as_bytes());
        line += 1;
    }
    text
}

#[test]
fn they_arrive_among_small_ones() {
    // CRs that end a chunk of 64 KiB, with their LF in the next.
    let mut cut = vec![b'x'; 2 * MIB];
    for chunk in 1..32 {
        cut[chunk * 64 * 1024 - 1] = b'\r';
        cut[chunk * 64 * 1024] = b'\n';
    }
    let mut cut_and_bare = cut.clone();
    cut_and_bare[100] = b'\n';
    let mails = [
        b"Subject: small\n\nx\n".to_vec(),
        text(3 * MIB / 2, "\n"),
        text(3 * MIB / 2, "\r\n"),
        b"Subject: small\r\n\r\nx\r\n".to_vec(),
        text(5 * MIB, "\n"),
        text(5 * MIB, "\r\n"),
        text(MIB, "\n")[..MIB].to_vec(),
        text(MIB + 1, "\n")[..MIB + 1].to_vec(),
        text(2 * MIB, "\r\n")[..MIB + 2].to_vec(),
        [text(2 * MIB, "\n"), b"no end".to_vec()].concat(),
        [text(2 * MIB, "\r\n"), b"no end\r".to_vec()].concat(),
        [b"A: b".to_vec(), b"\n".repeat(MIB + 5)].concat(),
        cut,
        cut_and_bare,
        b"Subject: last\n\nx".to_vec(),
    ];
    let named = mails.iter().enumerate();
    let (_root, source) = eml_folder(named.map(|(n, mail)| (format!("{n:02}.eml"), mail)));
    let expected: Vec<Vec<u8>> = mails.iter().filter_map(|mail| repaired(mail)).collect();
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, Vec::new());
        let outcome = lab.import(&source);
        assert_whole(&outcome, mails.len() as u64);
        let stored = lab.read("INBOX");
        for (n, (stored, expected)) in stored.iter().zip(&expected).enumerate() {
            assert!(stored.bytes == *expected, "{offers:?}: mail {n}");
        }
        assert_eq!(stored.len(), expected.len());
        let bytes: u64 = expected.iter().map(|mail| mail.len() as u64).sum();
        assert_eq!(outcome.report.bytes, bytes);
    }
}

/// A line of 1000 bytes.
fn line(end: &str) -> Vec<u8> {
    [&vec![b'x'; 1000 - end.len()], end.as_bytes()].concat()
}

/// What is added to a mail whose lines end in CRLF while it is sent does not belong to it.
#[test]
fn one_that_only_grows_is_sent_as_it_was() {
    let mail = line("\r\n").repeat(2000);
    let (root, source) = eml_folder([("0.eml", &mail)]);
    let path = root.path().join("0.eml");
    let file = File::options().write(true).open(path).unwrap();
    let peer = Peer::start(move |stage| {
        let line = stage.until_append("");
        let bytes = literal_bytes(&line);
        file.write_all_at(b"more\r\n", bytes as u64).unwrap();
        stage.say("+ \r\n");
        stage.read(bytes);
        assert_eq!(stage.line(), "");
        stage.say(format!("{} OK done\r\n", tag(&line)));
        let line = stage.line();
        stage.serve(&line, "");
    });
    assert_whole(&run(&source, &target(peer.port, "INBOX")), 1);
    peer.end();
}
