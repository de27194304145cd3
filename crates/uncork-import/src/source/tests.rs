use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

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
            (".Entw&APw-rfe.Alt/new/", ""),
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
    let file = File::options()
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
        &[": A: box\nX-Gmail-Labels: Inbox"],
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

/// Renames and deletes files of a Maildir while it is read.
struct Meddler<'m> {
    collected: Collected,
    meddle: Box<dyn FnMut(usize) + 'm>,
}

impl Sink for Meddler<'_> {
    fn text(&mut self, piece: &[u8]) {
        self.collected.text(piece);
    }

    fn mail(&mut self, found: Found) -> ControlFlow<()> {
        (self.meddle)(self.collected.mails.len());
        self.collected.mail(found)
    }

    fn unreadable(&mut self, at: Position, in_: FolderPath, reason: String) -> ControlFlow<()> {
        self.collected.unreadable(at, in_, reason)
    }
}

#[test]
fn mails_that_are_renamed_meanwhile_come_once_with_their_new_flags() {
    let root = tree(&[("cur/", ""), ("new/", "")]);
    let path = |name: &str| root.path().join(name);
    for n in 1..=9 {
        fs::write(path(&format!("cur/{n}.a:2,")), format!("A: {n}")).unwrap();
    }
    fs::write(path("new/10.a"), "A: 10").unwrap();
    let source = Source::open(root.path()).unwrap();
    let rename = |from: &str, to: &str| fs::rename(path(from), path(to)).unwrap();
    let mut sink = Meddler {
        collected: Collected::default(),
        meddle: Box::new(|mails| match mails {
            0 => {
                rename("cur/1.a:2,", "cur/1.a:2,S");
                rename("cur/3.a:2,", "cur/3.a:2,RS");
                rename("cur/4.a:2,", "cur/4.a:2,F");
                rename("new/10.a", "cur/10.a:2,S");
                fs::remove_file(path("cur/6.a:2,")).unwrap();
            }
            4 => fs::remove_file(path("cur/7.a:2,")).unwrap(),
            _ => {}
        }),
    };
    let flow = source.units()[0].read(Labels::Each, &AtomicU64::new(0), &mut sink);
    assert!(flow.is_continue());
    let Collected {
        mails, unreadable, ..
    } = &sink.collected;
    let lines: Vec<_> = mails
        .iter()
        .map(|(found, text)| {
            format!(
                "{} {}",
                String::from_utf8_lossy(text),
                found.flags.join(" ")
            )
        })
        .collect();
    let expected = [
        "A: 1 ",
        "A: 2 ",
        "A: 3 \\Answered \\Seen",
        "A: 4 \\Flagged",
        "A: 5 ",
        "A: 8 ",
        "A: 9 ",
        "A: 10 \\Seen",
    ];
    assert_eq!(lines, expected);
    // The sixth was gone before the folder was listed again.
    assert_eq!(unreadable.len(), 1);
    assert!(
        unreadable[0].0.to_string().contains("7.a"),
        "{}",
        unreadable[0].0
    );
    assert!(unreadable[0].1.contains("was deleted while"));
}

#[test]
fn a_folder_that_never_rests_is_listed_a_bounded_number_of_times() {
    let root = tree(&[("cur/", ""), ("new/", "")]);
    let path = |name: String| root.path().join(name);
    for n in 1..=400 {
        fs::write(path(format!("cur/{n}.a:2,")), "A: b").unwrap();
    }
    let source = Source::open(root.path()).unwrap();
    let mut sink = Meddler {
        collected: Collected::default(),
        // The next but one is moved away, each time that one was read.
        meddle: Box::new(|mails| {
            let n = mails + 2;
            let _ = fs::rename(
                path(format!("cur/{n}.a:2,")),
                path(format!("cur/{n}.a:2,S")),
            );
        }),
    };
    let flow = source.units()[0].read(Labels::Each, &AtomicU64::new(0), &mut sink);
    assert!(flow.is_continue());
    let Collected {
        mails, unreadable, ..
    } = &sink.collected;
    assert_eq!(mails.len() + unreadable.len(), 400);
    assert!(!unreadable.is_empty() && mails.len() > 256);
    assert!(unreadable[0].1.contains("renamed or deleted"));
}

#[test]
fn files_that_are_no_mails_have_a_reason_and_long_ones_come_whole() {
    let long = "0123456789\n".repeat(100_000);
    let root = tree(&[
        ("cur/1.a", "A: 1"),
        ("cur/2.a/x", "x"),
        ("cur/6.a", &long),
        ("cur/7.a", ""),
        ("new/", ""),
    ]);
    let path = |name: &str| root.path().join(name);
    symlink("/etc/passwd", path("cur/3.a")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("cur/4.a")).unwrap();
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        path("cur/5.a"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    );
    fifo.unwrap();
    let source = Source::open(root.path()).unwrap();
    let bytes_read = AtomicU64::new(0);
    let mut all = Collected::default();
    let flow = source.units()[0].read(Labels::Each, &bytes_read, &mut all);
    assert!(flow.is_continue());
    let texts: Vec<_> = all.mails.iter().map(|(_, text)| text.len()).collect();
    assert_eq!(texts, [4, long.len(), 0]);
    assert_eq!(bytes_read.into_inner(), 4 + long.len() as u64);
    let reasons: Vec<_> = all
        .unreadable
        .iter()
        .map(|(_, reason)| &reason[..])
        .collect();
    let irregular = "is no regular file";
    assert_eq!(
        reasons,
        [
            irregular,
            "is a symbolic link: those are not followed",
            irregular,
            irregular
        ]
    );
}

#[test]
fn nobody_wants_more() {
    let files = [
        ("cur/1.a", "a"),
        ("cur/2.a", "b"),
        ("new/", ""),
        ("box", MBOX),
        ("a.eml", "c"),
    ];
    let root = tree(&files);
    let tar = tar_of(&[("a.eml", "A: a"), ("b.eml", "A: b")]);
    let zip = zip_of(&[("a.eml", "A: a"), ("b.eml", "A: b")]);
    fs::write(root.path().join("x.tar"), tar).unwrap();
    fs::write(root.path().join("x.zip"), zip).unwrap();
    for name in ["", "x.tar", "x.zip", "a.eml"] {
        let source = Source::open(root.path().join(name)).unwrap();
        let mut sink = Collected {
            mails_max: Some(1),
            ..Collected::default()
        };
        let flow = source.units()[0].read(Labels::Each, &AtomicU64::new(0), &mut sink);
        assert!(flow.is_break());
        assert_eq!((sink.mails.len(), sink.unreadable.len()), (1, 0));
    }
}

/// What an archive has in it: all kinds of mail, and what is none.
const ENTRIES: [(&str, &str); 14] = [
    ("a.eml", "A: a"),
    ("./Work/b.EML", "A: b"),
    ("../../etc/cron.d/c.eml", "A: c"),
    ("Maildir/cur/1.a:2,S", "A: 1"),
    ("Maildir/.Sent.Old/new/2.a", "A: 2"),
    ("new/readme", "x"),
    ("Takeout/Mail/All.mbox", MBOX),
    ("Takeout/Photos/1.jpg", "x"),
    ("Mail/Inbox.sbd/Sub", MBOX),
    ("Mail/notes", "x"),
    ("nested.zip", "PK"),
    ("dir/", ""),
    ("dir/._a.eml", "x"),
    ("x.emlx", "4\nA: x<plist>"),
];

const ENTRY_LINES: [&str; 8] = [
    ": A: 1 \\Seen",
    ": A: a",
    ": A: box",
    ": A: x",
    "Mail/Inbox/Sub: A: box",
    "Sent/Old: A: 2",
    "Work: A: b",
    "etc/cron.d: A: c",
];

fn tar_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, text) in entries {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mtime(1_111_111_111);
        let is_directory = name.ends_with('/');
        let kind = if is_directory {
            ::tar::EntryType::Directory
        } else {
            ::tar::EntryType::Regular
        };
        header.set_entry_type(kind);
        // The crate does not write `..`: hostile archives do.
        if name.len() < 100 {
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        } else {
            header.set_cksum();
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn zip_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (n, (name, text)) in entries.iter().enumerate() {
        let methods = [
            ::zip::CompressionMethod::Deflated,
            ::zip::CompressionMethod::Stored,
        ];
        let options = ::zip::write::SimpleFileOptions::default()
            .compression_method(methods[n % 2])
            .large_file(n % 3 == 0);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn read_bytes(name: &str, bytes: &[u8]) -> (Source, Collected) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(name);
    fs::write(&path, bytes).unwrap();
    let source = Source::open(&path).unwrap();
    let all = Collected::of(&source);
    (source, all)
}

#[test]
fn archives_are_as_the_folders_in_them() {
    let (tar, zip) = (tar_of(&ENTRIES), zip_of(&ENTRIES));
    for (bytes, format, description) in [
        (tar.clone(), Format::Tar, "a .tar archive"),
        (gzip(&tar), Format::TarGz, "a .tar archive packed with gzip"),
        (
            zstd(&tar),
            Format::TarZst,
            "a .tar archive packed with zstd",
        ),
        (zip.clone(), Format::Zip, "a .zip archive"),
        // A program that unpacks itself.
        (
            [b"PK\x03\x04 no entry at all", &zip[..]].concat(),
            Format::Zip,
            "a .zip archive",
        ),
    ] {
        let (source, all) = read_bytes("some.file", &bytes);
        assert_eq!(source.format(), format);
        assert_eq!(source.description(), description);
        assert_eq!(source.bytes(), Some(bytes.len() as u64));
        assert_eq!(source.messages(), None);
        assert_eq!(all.lines(), ENTRY_LINES, "{format}");
        assert_eq!(all.unreadable.len(), 1, "{}", all.reasons());
        assert!(
            all.reasons()
                .contains("some.file: nested.zip: is packed within")
        );
    }
    let (_, all) = read_bytes("a.tar", &tar);
    let times: Vec<_> = all
        .mails
        .iter()
        .filter_map(|(found, _)| found.received)
        .collect();
    assert_eq!(times, [Timestamp::from_second(1_111_111_111).unwrap(); 2]);
}

#[test]
fn packed_mboxes() {
    for (bytes, format) in [
        (MBOX.as_bytes().to_vec(), Format::Mbox),
        (gzip(MBOX.as_bytes()), Format::MboxGz),
        (zstd(MBOX.as_bytes()), Format::MboxZst),
    ] {
        let (source, all) = read_bytes("some.file", &bytes);
        assert_eq!(source.format(), format);
        assert_eq!(all.lines(), [": A: box"]);
    }
    let (source, all) = read_bytes("Empty", b"");
    assert_eq!((source.format(), all.mails.len()), (Format::Mbox, 0));
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("old.mbox.gz"), gzip(MBOX.as_bytes())).unwrap();
    let all = Collected::of(&Source::open(root.path()).unwrap());
    assert_eq!(all.lines(), ["old: A: box"]);
}

#[test]
fn compressed_mails_of_dovecots_zlib_plugin_are_unpacked() {
    let root = tree(&[("cur/", ""), ("new/", "")]);
    fs::write(root.path().join("cur/1.a,S=9:2,S"), gzip(b"A: gz")).unwrap();
    fs::write(root.path().join("cur/2.a"), zstd(b"A: zstd")).unwrap();
    fs::write(root.path().join("cur/3.a"), &gzip(b"A: cut")[..15]).unwrap();
    let all = Collected::of(&Source::open(root.path()).unwrap());
    assert_eq!(all.lines(), [": A: gz \\Seen", ": A: zstd"]);
    assert_eq!(all.unreadable.len(), 1);
}

#[test]
fn long_names_links_and_the_like_in_tars() {
    let long = format!("{}/a.eml", "x".repeat(200));
    let (_, all) = read_bytes("a.tar", &tar_of(&[(&long, "A: a"), ("b.eml", "A: b")]));
    assert_eq!(
        all.lines(),
        [": A: b".to_owned(), format!("{}: A: a", "x".repeat(200))]
    );

    let mut builder = ::tar::Builder::new(Vec::new());
    let pax = [("path", "from/pax.eml".as_bytes())];
    builder.append_pax_extensions(pax).unwrap();
    for (name, kind) in [
        ("short.eml", ::tar::EntryType::Regular),
        ("link.eml", ::tar::EntryType::Symlink),
        ("hard.eml", ::tar::EntryType::Link),
        ("fifo.eml", ::tar::EntryType::Fifo),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
    }
    let (_, all) = read_bytes("a.tar", &builder.into_inner().unwrap());
    assert_eq!(all.lines(), ["from:"]);
    assert!(
        all.reasons()
            .contains("a.tar: 2 links in it were not followed"),
        "{}",
        all.reasons()
    );
}

#[test]
fn encrypted_and_unknown_entries_of_zips_have_a_reason() {
    let zip = zip_of(&[
        ("1.eml", "A: 1"),
        ("2.eml", "A: 2"),
        ("3.jpg", "x"),
        ("4.eml", "A: 4"),
    ]);
    let mut zip = zip;
    let entries: Vec<_> = memchr::memmem::find_iter(&zip, b"PK\x01\x02").collect();
    zip[entries[0] + 8] |= 1;
    zip[entries[1] + 10] = 99;
    zip[entries[2] + 8] |= 1;
    zip[entries[3] + 16] ^= 1;
    let (_, all) = read_bytes("a.zip", &zip);
    let reasons = all.reasons();
    for words in [
        "1.eml: is encrypted",
        "2.eml: is packed by method 99",
        "4.eml: is damaged",
    ] {
        assert!(reasons.contains(words), "{reasons}");
    }
    assert_eq!((all.mails.len(), all.unreadable.len()), (0, 3));
}

#[test]
fn what_is_cut_short_says_so_and_makes_no_half_mails() {
    let text = "A: b\n".repeat(3000);
    let entries = [("a.eml", "A: a"), ("b.eml", &text[..])];
    let tar = tar_of(&entries);
    for bytes in [
        tar[..3000].to_vec(),
        gzip(&tar)[..150].to_vec(),
        zip_of(&entries)[..100].to_vec(),
    ] {
        let (_, all) = read_bytes("cut", &bytes);
        assert!(
            all.mails.iter().all(|(_, mail)| mail.len() == 4),
            "{:?}",
            all.lines()
        );
        assert!(!all.unreadable.is_empty());
        assert!(all.text.is_empty());
    }
}

#[test]
fn single_mails() {
    for (name, text) in [
        ("a.eml", "anything"),
        ("a.emlx", "8\nanything<plist/>"),
        ("a", "Subject: b\n\nc"),
        ("a.eml", "From a@b.org Thu Jan  1 00:00:00 1970\nA: b\n"),
    ] {
        let (source, all) = read_bytes(name, text.as_bytes());
        assert_eq!((source.format(), source.messages()), (Format::Eml, Some(1)));
        assert_eq!(all.mails.len(), 1);
        assert_eq!(source.description(), "a single mail");
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
    assert_eq!(
        stdin.description(),
        "an mbox (it begins with `From `) from a stream"
    );
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

    #[test]
    fn archives_of_any_bytes_are_read_to_some_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        at in any::<proptest::sample::Index>(),
        kind in 0_usize..3,
    ) {
        let mut archive = match kind {
            0 => tar_of(&ENTRIES),
            1 => zip_of(&ENTRIES),
            _ => gzip(&tar_of(&ENTRIES)),
        };
        let start = at.index(archive.len());
        let end = archive.len().min(start + bytes.len().min(40));
        archive[start..end].copy_from_slice(&bytes[..end - start]);
        let format = [Format::Tar, Format::Zip, Format::TarGz][kind];
        let root = tempfile::tempdir().unwrap();
        for bytes in [&archive, &bytes] {
            let path = root.path().join("a");
            fs::write(&path, bytes).unwrap();
            let all = Collected::of(&Source::open_as(&path, format).unwrap());
            prop_assert!(all.mails.len() <= ENTRY_LINES.len() + 100);
        }
    }
}
