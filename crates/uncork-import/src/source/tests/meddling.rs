//! What happens to a folder while it is read, and files in it that are no mails.

use super::*;

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
