use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use jiff::Timestamp;
use proptest::prelude::*;

use std::ops::ControlFlow;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::mail::{Found, Position, Sink};
use crate::options::Labels;

mod archives;
mod meddling;

/// A sink that keeps everything.
#[derive(Default)]
pub(super) struct Collected {
    /// Of the mail that is being read.
    pub(super) text: Vec<u8>,
    mails: Vec<(Found, Vec<u8>)>,
    unreadable: Vec<(Position, String)>,
    /// Breaks after so many mails.
    mails_max: Option<usize>,
}

impl Sink for Collected {
    fn text(&mut self, piece: &[u8]) {
        assert!(!piece.is_empty());
        self.text.extend_from_slice(piece);
    }

    fn mail(&mut self, found: Found) -> ControlFlow<()> {
        self.mails.push((found, std::mem::take(&mut self.text)));
        match self.mails_max {
            Some(max) if self.mails.len() == max => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn unreadable(&mut self, at: Position, _: FolderPath, reason: String) -> ControlFlow<()> {
        self.text.clear();
        self.unreadable.push((at, reason));
        ControlFlow::Continue(())
    }
}

impl Collected {
    fn of(source: &Source) -> Self {
        let mut all = Self::default();
        for unit in source.units() {
            let flow = unit.read(Labels::Each, &AtomicU64::new(0), &mut all);
            assert!(flow.is_continue());
        }
        all
    }

    /// `folder: text flags` of each mail, sorted.
    fn lines(&self) -> Vec<String> {
        let lines = self.mails.iter().map(|(found, text)| {
            let folders: Vec<_> = found.folders.iter().map(|f| f.0.join("/")).collect();
            let text = String::from_utf8_lossy(text);
            let line = format!(
                "{}: {} {}",
                folders.join("|"),
                text.trim(),
                found.flags.join(" ")
            );
            line.trim_end().to_owned()
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    }

    fn reasons(&self) -> String {
        let lines = self
            .unreadable
            .iter()
            .map(|(at, why)| format!("{at}: {why}\n"));
        lines.collect()
    }
}

fn read_bytes(name: &str, bytes: &[u8]) -> (Source, Collected) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(name);
    fs::write(&path, bytes).unwrap();
    let source = Source::open(&path).unwrap();
    let all = Collected::of(&source);
    (source, all)
}

const MBOX: &str = "From a@b.org Thu Jan  1 00:00:00 1970\nA: box\n";

/// Makes files, and with no text directories.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(if name.ends_with('/') {
            &path
        } else {
            path.parent().unwrap()
        })
        .unwrap();
        if !name.ends_with('/') {
            fs::write(&path, text).unwrap();
        }
    }
    root
}

#[track_caller]
fn check(files: &[(&str, &str)], format: Format, description: &str, expected: &[&str]) {
    let root = tree(files);
    let source = Source::open(root.path()).unwrap();
    assert_eq!(source.format(), format);
    assert_eq!(source.description(), description);
    let all = Collected::of(&source);
    assert_eq!(all.lines(), expected, "{}", all.reasons());
    assert_eq!(all.reasons(), "");
    if let Some(messages) = source.messages() {
        assert_eq!(messages, all.mails.len() as u64);
    }
}

#[test]
fn maildirs() {
    check(
        &[
            ("cur/2.b:2,Sab", "A: 2"),
            ("new/1.a", "A: 1"),
            ("cur/.hidden", "x"),
            ("tmp/3.c", "half"),
            ("dovecot-keywords", "0 $Work\n1 no atom\n"),
            ("dovecot.index.log", "x"),
            ("dovecot-uidlist", "x"),
            ("subscriptions", "x"),
        ],
        Format::Maildir,
        "a Maildir (it has `cur` and `new`)",
        &[": A: 1", ": A: 2 \\Seen $Work"],
    );
    check(
        &[
            ("cur/", ""),
            ("new/", ""),
            (".Sent/cur/1.a:2,S", "A: s"),
            (".Sent/new/", ""),
            (".Sent/maildirfolder", ""),
            (".Entw&APw-rfe.Alt/cur/1.a:2,D", "A: e"),
            // Without `new`, which was empty when the tree was copied.
            (".cache/x", "x"),
            // Dovecot's LAYOUT=fs.
            ("Lists/Rust/cur/1.a", "A: r"),
            ("Lists/Rust/new/", ""),
        ],
        Format::Maildir,
        "a tree of 4 Maildirs",
        &[
            "Entwürfe/Alt: A: e \\Draft",
            "Lists/Rust: A: r",
            "Sent: A: s \\Seen",
        ],
    );
    check(
        &[
            ("ada/Maildir/new/1.a", "A: 1"),
            ("ada/Maildir/cur/", ""),
            ("bob/Maildir/new/1.a", "A: 2"),
            ("bob/Maildir/cur/", ""),
            ("bob/Maildir/.Sent/cur/1.a", "A: 3"),
            ("bob/Maildir/.Sent/new/", ""),
            // Thunderbird's.
            ("tb/Inbox.sbd/Sub/cur/1.eml", "A: 4"),
            ("tb/Inbox.sbd/Sub/tmp/", ""),
        ],
        Format::Maildir,
        "a tree of 4 Maildirs",
        &[
            "ada: A: 1",
            "bob/Sent: A: 3",
            "bob: A: 2",
            "tb/Inbox/Sub: A: 4",
        ],
    );
}

#[test]
fn an_empty_maildir_has_no_mails() {
    check(
        &[("cur/", ""), ("new/", "")],
        Format::Maildir,
        "a Maildir (it has `cur` and `new`)",
        &[],
    );
}

#[test]
fn a_maildir_is_in_order_of_delivery_with_its_times() {
    let root = tree(&[
        ("cur/1000000000.b:2,S", "b"),
        ("new/999999999.a", "a"),
        ("cur/x", "x"),
    ]);
    let time = Timestamp::from_second(1_111_111_111).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(root.path().join("new/999999999.a"));
    file.unwrap().set_modified(time.into()).unwrap();
    let all = Collected::of(&Source::open(root.path()).unwrap());
    let texts: Vec<_> = all.mails.iter().map(|(_, text)| &text[..]).collect();
    assert_eq!(texts, [&b"x"[..], b"a", b"b"]);
    let (found, _) = &all.mails[1];
    assert_eq!((found.received, found.file_time), (Some(time), Some(time)));
    assert!(found.position.to_string().ends_with("new/999999999.a"));
}

#[test]
fn folders_of_eml_files() {
    check(
        &[
            ("10.eml", "A: 10"),
            ("2.EML", "A: 2"),
            ("._2.EML", "x"),
            ("photo.jpg", "x"),
            ("Wörk/a.eml", "A: w"),
            ("Work/.git/b.eml", "A: hidden"),
            (
                "V10/INBOX.mbox/0A1B2C3D-0000-1111-2222-333344445555/Data/1/Messages/7.emlx",
                "5\nA: 7\n<key>flags</key><integer>17</integer>",
            ),
        ],
        Format::Eml,
        "a tree of 3 folders of .eml files",
        &[
            ": A: 10",
            ": A: 2",
            "V10/INBOX: A: 7 \\Seen \\Flagged",
            "Wörk: A: w",
        ],
    );
    let root = tree(&[("10.eml", "A: 10"), ("2.eml", "A: 2")]);
    let all = Collected::of(&Source::open(root.path()).unwrap());
    assert_eq!(all.mails[0].1, b"A: 2");
    assert_eq!(all.mails[0].0.received, None);
    assert!(all.mails[0].0.file_time.is_some());
}

#[test]
fn trees_of_mboxes() {
    check(
        &[
            ("Inbox", MBOX),
            ("Inbox.msf", "x"),
            ("Inbox.sbd/Sub", MBOX),
            ("Inbox.sbd/Sub.sbd/v1.beta", MBOX),
            ("Inbox.sbd/Sub.sbd/v1.beta.msf", "x"),
            ("Empty", ""),
            ("filterlog.html", "x"),
            ("msgFilterRules.dat", MBOX),
            ("Work.mbox", MBOX),
            ("Apple.mbox/mbox", MBOX),
            ("Takeout/Mail/Alle E-Mails.mbox", MBOX),
            ("2004-January.txt", MBOX),
            ("notes.txt", "x"),
        ],
        Format::Mbox,
        "a tree of 7 mbox files",
        &[
            "2004-January.txt: A: box",
            ": A: box",
            "Apple: A: box",
            "Inbox/Sub/v1.beta: A: box",
            "Inbox/Sub: A: box",
            "Inbox: A: box",
            "Work: A: box",
        ],
    );
    let labelled = format!("{MBOX}X-Gmail-Labels: Inbox\n\n");
    check(
        &[("x/All.mbox", &labelled)],
        Format::Mbox,
        "a tree of 1 mbox file",
        &["INBOX: A: box\nX-Gmail-Labels: Inbox \\Seen"],
    );
}

#[test]
fn a_takeout_is_one_from_any_folder_of_it() {
    let root = tree(&[("Takeout/Mail/All mail.mbox", MBOX)]);
    for folder in ["", "Takeout", "Takeout/Mail"] {
        let source = Source::open(root.path().join(folder)).unwrap();
        assert_eq!(Collected::of(&source).lines(), [": A: box"], "{folder}");
    }
    let root = tree(&[("Name.mbox/mbox", MBOX)]);
    let source = Source::open(root.path().join("Name.mbox")).unwrap();
    assert_eq!(Collected::of(&source).lines(), [": A: box"]);
}

#[test]
fn a_folder_of_several_kinds() {
    let files = [
        ("box", MBOX),
        ("a.eml", "A: eml"),
        ("M/cur/1.a", "A: maildir"),
        ("M/new/", ""),
        ("old.zip", "PK"),
        ("bad.mbox", "no mbox"),
        ("x.partial.emlx", "3\nabc"),
    ];
    let root = tree(&files);
    symlink(root.path(), root.path().join("loop")).unwrap();
    symlink(root.path().join("a.eml"), root.path().join("link.eml")).unwrap();
    let source = Source::open(root.path()).unwrap();
    assert_eq!(source.format(), Format::Folder);
    assert_eq!(
        source.description(),
        "a tree of 1 Maildir, 1 folder of .eml files, 1 mbox file"
    );
    assert_eq!((source.messages(), source.bytes()), (None, None));
    let all = Collected::of(&source);
    assert_eq!(all.lines(), [": A: eml", "M: A: maildir", "box: A: box"]);
    let reasons = all.reasons();
    for words in [
        "old.zip: is packed",
        "bad.mbox: is no mbox",
        "x.partial.emlx: is only a part",
        "loop: is a symbolic link",
        "link.eml: is a symbolic link",
    ] {
        assert!(reasons.contains(words), "{reasons}");
    }
    assert_eq!(all.unreadable.len(), 5, "{reasons}");
    // Said to be one of them.
    for (format, expected) in [
        (Format::Maildir, "M: A: maildir"),
        (Format::Mboxrd, "box: A: box"),
        (Format::Eml, ": A: eml"),
    ] {
        let source = Source::open_as(root.path(), format).unwrap();
        assert_eq!(source.format(), format);
        let lines = Collected::of(&source).lines();
        assert!(lines.contains(&expected.to_owned()), "{format}: {lines:?}");
    }
}

#[test]
fn single_mails() {
    for (name, text) in [
        ("a.eml", "anything"),
        ("a.emlx", "8\nanything<plist/>"),
        ("a.eml", "From a@b.org Thu Jan  1 00:00:00 1970\nA: b\n"),
    ] {
        let (source, all) = read_bytes(name, text.as_bytes());
        assert_eq!((source.format(), source.messages()), (Format::Eml, Some(1)));
        assert_eq!(all.mails.len(), 1);
        let description = source.description();
        assert!(
            description.starts_with("a single mail (by "),
            "{description}"
        );
    }
}

#[test]
fn what_is_no_mail_says_so() {
    let root = tree(&[
        ("other/photo.jpg", "\u{fffd}"),
        ("other/pst", "!BDN"),
        ("packed/a.zip", "PK"),
        ("a.eml", "x"),
        ("m/cur/", ""),
        ("m/new/", ""),
    ]);
    let path = |name: &str| root.path().join(name);
    for (name, words) in [
        ("missing", "missing can't be read"),
        ("other", "holds no mail: no Maildir"),
        ("other/photo.jpg", "`--format`"),
        ("other/pst", "readpst"),
        ("packed", "a.zip is packed: import it by itself"),
    ] {
        let error = Source::open(path(name)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    for (name, format, words) in [
        (
            "m",
            Format::Zip,
            "is a folder, which can't be of format zip",
        ),
        (
            "a.eml",
            Format::Maildir,
            "is a file, which can't be of format maildir",
        ),
        ("-", Format::Maildir, "is a stream"),
        ("-", Format::Zip, "is read from its end"),
        ("m", Format::Eml, "holds no mail"),
    ] {
        let error = match name {
            "-" => Source::open_as("-", format),
            name => Source::open_as(path(name), format),
        };
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let stdin = Source::open("-").unwrap();
    assert_eq!(
        (stdin.format(), stdin.bytes(), stdin.messages()),
        (Format::Mbox, None, None)
    );
    assert_eq!(stdin.description(), "an mbox (a stream)");
    assert_eq!(
        Source::open_as("-", Format::TarGz).unwrap().format(),
        Format::TarGz
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn folders_of_any_names_are_read(
        names in proptest::collection::btree_set(
            proptest::collection::vec(any::<u8>().prop_filter("no name has these", |byte| {
                !matches!(byte, 0 | b'/')
            }), 1..20),
            1..8,
        ),
    ) {
        let root = tempfile::tempdir().unwrap();
        let names = names.iter().filter(|name| !matches!(&name[..], b"." | b".."));
        let is_hidden = |name: &&Vec<u8>| name.starts_with(b".");
        let mut count = 0;
        for name in names.filter(|name| !is_hidden(name)) {
            let folder = root.path().join(std::ffi::OsString::from_vec(name.clone()));
            fs::create_dir_all(folder.join("new")).unwrap();
            fs::create_dir_all(folder.join("cur")).unwrap();
            fs::write(folder.join("new/1.a"), "A: b").unwrap();
            count += 1;
        }
        if count > 0 {
            let all = Collected::of(&Source::open(root.path()).unwrap());
            prop_assert_eq!(all.mails.len(), count, "{}", all.reasons());
        }
    }
}

#[test]
fn files_are_told_by_their_head_or_name_and_it_is_said_by_which() {
    for (name, text, description) in [
        ("box", MBOX, "an mbox (its first line begins with `From `)"),
        ("a.mbox", "\u{feff}From", "an mbox (by its name)"),
        ("box", "", "an mbox (it is empty)"),
        (
            "12",
            "Subject: b\n\nc",
            "a single mail (its first line is a field of a mail's header)",
        ),
    ] {
        let root = tree(&[(name, text)]);
        let path = root.path().join(name);
        assert_eq!(Source::open(&path).unwrap().description(), description);
        let told = Source::open_as(&path, Format::Mboxrd).unwrap();
        assert_eq!(told.description(), "an mbox (as told)");
    }
}
