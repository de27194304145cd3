//! Files that are odd, or not there any more: sent as they are, or refused with a reason while
//! the rest goes on.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::{
    FILE_DATE, Lab, Offers, assert_honest, assert_whole, eml_folder, maildir, names, numbered,
    numbers,
};

#[test]
fn bytes_stay_as_they_are() {
    let every_byte: Vec<u8> = (1..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let mails = [
        b"Subject: \xe4\xf6\xfc\r\n\r\n\xff\xfe\x80\r\n".to_vec(),
        [b"Subject: all\r\n\r\n", &every_byte[..], b"\r\n"].concat(),
        b"Subject: no end\r\n\r\nend".to_vec(),
        b"Subject: header only".to_vec(),
        b"\r\n\r\nx".to_vec(),
        b"A: b\r\n\r\n.\r\n..\r\nFrom x\r\n+ y\r\nU1 OK\r\n{5}\r\n{5+}\r\n".to_vec(),
        [b"A: ", &vec![b'x'; 100_000][..]].concat(),
    ];
    let named = mails.iter().enumerate();
    let (_root, source) = eml_folder(named.map(|(n, mail)| (format!("{n}.eml"), mail)));
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, Vec::new());
        assert_whole(&lab.import(&source), mails.len() as u64);
        let stored = lab.read("INBOX");
        for (stored, mail) in stored.iter().zip(&mails) {
            assert_eq!(stored.bytes, *mail, "{offers:?}");
            // None of them has a date in its header.
            assert_eq!(stored.internal_date, FILE_DATE);
        }
        assert_eq!(stored.len(), mails.len());
    }
}

#[test]
fn line_ends_become_crlf() {
    let (_root, source) = eml_folder([
        ("0.eml", "A: b\n\nc\n"),
        ("1.eml", "A: b\r\n\nc\r\n\n"),
        ("2.eml", "\n\n\nx"),
        ("3.eml", "A: b\n\nno end"),
    ]);
    let lab = Lab::offering(Offers::MultiAppend, Vec::new());
    assert_whole(&lab.import(&source), 4);
    let stored: Vec<_> = lab
        .read("INBOX")
        .into_iter()
        .map(|mail| mail.bytes)
        .collect();
    let expected = [
        &b"A: b\r\n\r\nc\r\n"[..],
        b"A: b\r\n\r\nc\r\n\r\n",
        b"\r\n\r\n\r\nx",
        b"A: b\r\n\r\nno end",
    ];
    assert_eq!(stored, expected);
}

#[test]
fn what_can_not_be_read_is_refused_here() {
    for offers in Offers::ALL {
        let (root, source) = numbered(12);
        let path = |name: &str| root.path().join(name);
        fs::write(path("001.eml"), "").unwrap();
        // Between the listing and the reading:
        for name in ["003.eml", "004.eml", "005.eml", "006.eml", "007.eml"] {
            fs::remove_file(path(name)).unwrap();
        }
        fs::create_dir(path("004.eml")).unwrap();
        let _socket = UnixListener::bind(path("005.eml")).unwrap();
        symlink(path("nowhere"), path("006.eml")).unwrap();
        let fifo = Command::new("mkfifo")
            .arg(path("007.eml"))
            .status()
            .unwrap();
        assert!(fifo.success());
        fs::set_permissions(path("009.eml"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root may read it all the same.
        let is_root = File::open(path("009.eml")).is_ok();

        let lab = Lab::offering(offers, Vec::new());
        let outcome = lab.import(&source);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        // What is gone is not there for anybody.
        assert_honest(&outcome, 11, lab.stored());
        let refused = &outcome.report.refused;
        let mut expected = vec![
            ("001.eml", "empty: there is no text in it"),
            ("004.eml", "is no regular file"),
            ("005.eml", "is no regular file"),
            ("006.eml", "is a symbolic link"),
            ("007.eml", "is no regular file"),
        ];
        if !is_root {
            expected.push(("009.eml", "Permission denied"));
        }
        let expected_names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(refused), expected_names);
        for (mail, (name, reason)) in refused.iter().zip(&expected) {
            assert!(
                mail.source.ends_with(name) && mail.reason.contains(reason),
                "{mail:?}"
            );
        }
        let mut stored = vec![0, 2, 8, 10, 11];
        if is_root {
            stored.insert(3, 9);
        }
        assert_eq!(numbers(&lab.read("INBOX")), stored, "{offers:?}");
    }
}

/// What is gone before the reading begins is not there for anybody.
#[test]
fn a_source_of_which_nothing_is_left() {
    let (root, source) = numbered(205);
    for n in 0..205 {
        fs::remove_file(root.path().join(format!("{n:03}.eml"))).unwrap();
    }
    let lab = Lab::offering(Offers::MultiAppend, Vec::new());
    assert_whole(&lab.import(&source), 0);
    assert_eq!(lab.appends(), 0);
}

/// A reader that moves a mail from `new` to `cur` meanwhile: it is found under its new name.
#[test]
fn a_maildir_in_use() {
    let (root, source, expected) = maildir(5, 30);
    let mut new = fs::read_dir(root.path().join("new")).unwrap();
    let new = new.next().unwrap().unwrap();
    let moved = new.file_name().into_string().unwrap();
    let to = root.path().join(format!("cur/{moved}:2,S"));
    fs::rename(new.path(), to).unwrap();
    let lab = Lab::offering(Offers::MultiAppend, Vec::new());
    assert_whole(&lab.import(&source), 30);
    let all = lab.read("INBOX");
    let pairs = all.iter().zip(&expected);
    for (stored, mail) in pairs {
        assert!(stored.bytes == mail.bytes);
    }
}
