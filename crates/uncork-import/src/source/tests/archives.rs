use std::io::Write;

use super::*;

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
        assert_eq!(
            source.description(),
            format!("{description} (by its first bytes)")
        );
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

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
