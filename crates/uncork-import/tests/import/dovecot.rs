//! Into the real Dovecot; skipped aloud where there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use uncork_import::{Options, Outcome, Progress, Source, Target, import};
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Storage};
use uncork_lab::requirement;

use crate::imap_reader::{StoredMail, read_folder};
use crate::support::{FILE_DATE, assert_whole, crlf, eml_folder, maildir, write_dated};

fn start(storage: Storage, change: impl FnOnce(&mut DovecotConfig)) -> Option<Dovecot> {
    let program = requirement::program("dovecot")?;
    let mut config = DovecotConfig::new(storage, Fsync::Never);
    change(&mut config);
    let dovecot = Dovecot::start(&program, &config);
    Some(dovecot.unwrap_or_else(|error| panic!("{error}")))
}

fn import_into(dovecot: &Dovecot, user: &str, source: &Source, folder: &str) -> Outcome {
    let url = format!("imap://{user}@{}", dovecot.addr());
    let mut target = Target::parse(&url).unwrap();
    target.folder = Some(folder.to_owned());
    let options = Options::with_password(dovecot.password());
    import(std::slice::from_ref(source), &target, &options, &Progress::default())
}

fn read(dovecot: &Dovecot, user: &str, wire: &str) -> Vec<StoredMail> {
    read_folder(dovecot.addr(), user, dovecot.password(), wire)
}

/// Generated mails into a folder that is not there yet, and back.
fn check(storage: Storage, mails: usize) {
    let Some(dovecot) = start(storage, |_| ()) else {
        return;
    };
    let (_root, source, expected) = maildir(12, mails);
    let user = dovecot.fresh_user();
    let outcome = import_into(&dovecot, &user, &source, "Alt/Entwürfe");
    assert_whole(&outcome, mails as u64);
    let report = &outcome.report;
    assert_eq!(report.capabilities_used, ["LITERAL+", "MULTIAPPEND"]);
    assert_eq!(report.commands, mails.div_ceil(100) as u64);
    let stored = read(&dovecot, &user, "Alt/Entw&APw-rfe");
    assert_eq!(stored.len(), mails);
    for (n, (stored, expected)) in stored.iter().zip(&expected).enumerate() {
        assert!(stored.bytes == expected.bytes, "bytes of mail {n}");
        assert_eq!(stored, expected, "mail {n}");
    }
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

#[test]
fn thousands_of_mails_into_mdbox() {
    check(Storage::Mdbox, 5000);
}

#[test]
fn hundreds_of_mails_into_maildir() {
    check(Storage::Maildir, 500);
}

/// Dovecot rolls a refused batch back, so that its halves can go again.
#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let limit = |config: &mut DovecotConfig| config.max_mail_bytes = Some(20_000);
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let Some(dovecot) = start(storage, limit) else {
            return;
        };
        let (_root, source, expected) = maildir(12, 250);
        let user = dovecot.fresh_user();
        let outcome = import_into(&dovecot, &user, &source, "INBOX");
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let (small, large): (Vec<_>, Vec<_>) = expected
            .into_iter()
            .partition(|mail| mail.bytes.len() <= 20_000);
        assert!(large.len() > 3, "the seed has some");
        assert_eq!(
            outcome.report.refused_messages,
            large.len() as u64,
            "{storage:?}"
        );
        assert_eq!(outcome.report.unknown_messages, 0, "{storage:?}");
        let mut stored = read(&dovecot, &user, "INBOX");
        stored.sort_by_key(|mail| mail.internal_date);
        assert!(stored == small, "{storage:?}");
    }
}

/// The `resources/eml` folder of the crate mail-parser: mails as they are found in the wild,
/// and made to be wrong.
fn messy_folder() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "mail-parser")
        .unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.with_file_name("resources").join("eml")
}

/// All .eml files beneath a folder, by `subfolder-name.eml`.
fn messy_mails() -> BTreeMap<String, Vec<u8>> {
    let mut mails = BTreeMap::new();
    for folder in fs::read_dir(messy_folder()).unwrap() {
        let folder = folder.unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "eml") {
                let (folder, file) = (folder.file_name(), path.file_name().unwrap().to_owned());
                let name = format!("{}-{}", folder.to_str().unwrap(), file.to_str().unwrap());
                mails.insert(name, fs::read(path).unwrap());
            }
        }
    }
    assert!(mails.len() >= 100, "only {} messy mails", mails.len());
    mails
}

/// The messy mails that Dovecot 2.3 takes and alters: all of them, and how. It refuses none.
fn as_dovecot_keeps_it(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = crlf(bytes);
    match name {
        // A text in UTF-16 with NUL bytes. A literal may have none (RFC 3501, section 9: CHAR8
        // is 1 to 255), and Dovecot puts 0x80 in the place of each.
        "thirdparty-005.eml" => {
            assert!(bytes.contains(&0));
            for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
                *byte = 0x80;
            }
        }
        // Ends with a CR that has no LF. Dovecot waits for one before it keeps a CR, and at the
        // end of a mail there comes none.
        "legacy-049.eml" => assert_eq!(bytes.pop(), Some(b'\r')),
        _ => {}
    }
    bytes
}

#[test]
fn messy_mails_arrive_as_they_are() {
    let mails = messy_mails();
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in &mails {
        write_dated(&root.path().join(name), bytes, FILE_DATE);
    }
    let source = Source::open(root.path()).unwrap();
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let Some(dovecot) = start(storage, |_| ()) else {
            return;
        };
        let user = dovecot.fresh_user();
        let outcome = import_into(&dovecot, &user, &source, "INBOX");
        assert_whole(&outcome, mails.len() as u64);
        let stored = read(&dovecot, &user, "INBOX");
        assert_eq!(stored.len(), mails.len());
        for (stored, (name, bytes)) in stored.iter().zip(&mails) {
            let expected = as_dovecot_keeps_it(name, bytes);
            assert!(stored.bytes == expected, "{storage:?}: {name}");
        }
    }
}

/// What the two altered mails have, alone: so it is Dovecot, whatever the mail around it. Of
/// several CRs before an LF it keeps one.
#[test]
fn what_dovecot_alters() {
    let Some(dovecot) = start(Storage::Mdbox, |_| ()) else {
        return;
    };
    let (_root, source) = eml_folder([
        ("0.eml", "A: b\r\n\r\nend\r"),
        ("1.eml", "A: b\r\n\r\nend\r\n\r"),
        ("2.eml", "A: b\r\n\r\na\rb\r\r\n"),
        ("3.eml", "A: b\r\n\r\n\0a\0\r\n"),
    ]);
    let user = dovecot.fresh_user();
    assert_whole(&import_into(&dovecot, &user, &source, "INBOX"), 4);
    let stored = read(&dovecot, &user, "INBOX");
    let stored: Vec<_> = stored.into_iter().map(|mail| mail.bytes).collect();
    let expected = [
        &b"A: b\r\n\r\nend"[..],
        b"A: b\r\n\r\nend\r\n",
        b"A: b\r\n\r\na\rb\r\n",
        b"A: b\r\n\r\n\x80a\x80\r\n",
    ];
    assert_eq!(stored, expected);
}
