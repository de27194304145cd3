//! From the text that a source reads to a mail that can be sent.

pub(crate) mod date;
pub(crate) mod draft;
pub(crate) mod head;
mod identity;
mod lines;
pub(crate) mod normalise;
pub(crate) mod rejects;
pub(crate) mod repair;
mod spool;

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use self::date::Choice;
use self::draft::{Body, Draft, MAIL_BYTES_MAX};
use self::head::Head;
use self::rejects::{Original, Outcome, Rejects};
use self::repair::{Repair, Repairs};
use crate::mail::{FolderPath, Found, Identity, Mail, Position, Sink, Text};
use crate::options::{DateFrom, Strictness};

/// How mails are prepared.
#[derive(Debug, Clone)]
pub(crate) struct PrepareOptions {
    pub(crate) strictness: Strictness,
    pub(crate) date: DateFrom,
    /// Whether the server takes NULs (BINARY, RFC 3516).
    pub(crate) keeps_nul: bool,
    /// Where mails that were repaired or refused are kept as they were.
    pub(crate) rejects: Option<Arc<Rejects>>,
    /// What is later than this is no date of a mail.
    pub(crate) now: Timestamp,
}

/// What became of a mail.
#[derive(Debug)]
pub(crate) enum Prepared {
    Mail {
        folders: Vec<FolderPath>,
        mail: Mail,
        repairs: Repairs,
    },
    /// It can't be sent.
    Refused {
        position: Position,
        folders: Vec<FolderPath>,
        reason: String,
    },
}

/// Makes mails of what a source reads, and hands them on.
#[derive(Debug)]
pub(crate) struct Preparer<'a, D> {
    options: &'a PrepareOptions,
    deliver: D,
    draft: Draft,
    original: Original,
}

impl<'a, D: FnMut(Prepared) -> ControlFlow<()>> Preparer<'a, D> {
    pub(crate) fn new(options: &'a PrepareOptions, deliver: D) -> Self {
        Self {
            options,
            deliver,
            draft: Draft::new(options.keeps_nul),
            original: Original::default(),
        }
    }

    /// The text that was read, for what comes next is another.
    fn take_draft(&mut self) -> Draft {
        std::mem::replace(&mut self.draft, Draft::new(self.options.keeps_nul))
    }

    fn keep_original(&mut self, position: &Position, outcome: Outcome, why: &str) {
        if let Some(rejects) = &self.options.rejects {
            rejects.keep(&self.original, position, outcome, why);
        }
    }
}

impl<D: FnMut(Prepared) -> ControlFlow<()>> Sink for Preparer<'_, D> {
    fn text(&mut self, piece: &[u8]) {
        if self.options.rejects.is_some() {
            self.original.push(piece, MAIL_BYTES_MAX);
        }
        self.draft.push(piece);
    }

    fn mail(&mut self, mut found: Found) -> ControlFlow<()> {
        let folders = std::mem::take(&mut found.folders);
        let body = self.take_draft().finish();
        let prepared = match body.and_then(|body| into_mail(body, &mut found, self.options)) {
            Ok((mail, repairs)) => {
                if !repairs.notable().is_empty() {
                    let why = repairs.notable().to_string();
                    self.keep_original(&mail.position, Outcome::Repaired, &why);
                }
                Prepared::Mail {
                    folders,
                    mail,
                    repairs,
                }
            }
            Err(reason) => {
                self.keep_original(&found.position, Outcome::Refused, &reason);
                Prepared::Refused {
                    position: found.position,
                    folders,
                    reason,
                }
            }
        };
        self.original.clear();
        (self.deliver)(prepared)
    }

    fn unreadable(
        &mut self,
        position: Position,
        folder: FolderPath,
        reason: String,
    ) -> ControlFlow<()> {
        self.take_draft();
        self.original.clear();
        (self.deliver)(Prepared::Refused {
            position,
            folders: vec![folder],
            reason,
        })
    }
}

/// What is sent, with all that is known of it.
fn into_mail(
    body: Body,
    found: &mut Found,
    options: &PrepareOptions,
) -> Result<(Mail, Repairs), String> {
    let head = Head::of(match &body.text {
        Text::Memory(text) => text,
        Text::Spool(_) => &body.head,
    });
    let identity = Identity::of(&head);
    let mut repairs = body.repairs;
    let internal_date = match Choice::of(found, &head, options.date, options.now) {
        Choice::Date(date) => Some(date),
        Choice::NoneUsable => {
            repairs.insert(Repair::DateOutOfRange);
            None
        }
        Choice::None => None,
    };
    let notable = repairs.notable();
    if options.strictness == Strictness::Refuse && !notable.is_empty() {
        return Err(format!("would need repair ({notable}), and none is wanted"));
    }
    let mail = Mail {
        position: found.position.clone(),
        flags: std::mem::take(&mut found.flags),
        internal_date,
        len: body.len,
        text: body.text,
        digest: body.digest,
        identity,
        has_nul: body.has_nul,
    };
    Ok((mail, repairs))
}

#[cfg(test)]
mod tests {
    use self::spool::MEMORY_BYTES_MAX;
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    fn options() -> PrepareOptions {
        PrepareOptions {
            strictness: Strictness::Repair,
            date: DateFrom::Auto,
            keeps_nul: false,
            rejects: None,
            now: Timestamp::from_second(1_700_000_000).unwrap(),
        }
    }

    fn position() -> Position {
        Position {
            file: Path::new("box").into(),
            entry: None,
            offset: Some(3),
        }
    }

    fn found() -> Found {
        Found {
            position: position(),
            folders: vec![FolderPath(vec!["Old".to_owned()])],
            flags: vec!["\\Seen".into()],
            received: None,
            file_time: None,
        }
    }

    /// The mails, one after the other through one preparer, cut into pieces.
    fn prepare(mails: &[&[u8]], options: &PrepareOptions, piece_bytes: usize) -> Vec<Prepared> {
        let mut all = Vec::new();
        let mut preparer = Preparer::new(options, |prepared| {
            all.push(prepared);
            ControlFlow::Continue(())
        });
        for mail in mails {
            for piece in mail.chunks(piece_bytes) {
                preparer.text(piece);
            }
            assert!(preparer.mail(found()).is_continue());
        }
        all
    }

    fn text_of(mail: &Mail) -> Vec<u8> {
        match &mail.text {
            Text::Memory(text) => text.to_vec(),
            Text::Spool(file) => {
                let mut text = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
                file.read_exact_at(&mut text, 0).unwrap();
                text
            }
        }
    }

    /// What is sent and what was done, or why not.
    fn outcome(prepared: &Prepared) -> Result<(Vec<u8>, Vec<Repair>), &str> {
        match prepared {
            Prepared::Refused { reason, .. } => Err(reason),
            Prepared::Mail { mail, repairs, .. } => Ok((text_of(mail), repairs.iter().collect())),
        }
    }

    #[track_caller]
    fn check(mail: &[u8], expected: &[u8], repairs: &[Repair]) {
        for piece_bytes in [1, usize::MAX] {
            let prepared = prepare(&[mail], &options(), piece_bytes);
            let (text, done) = outcome(&prepared[0]).unwrap();
            assert_eq!(
                text.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
            assert_eq!(done, repairs, "{}", mail.escape_ascii());
        }
    }

    #[test]
    fn repairs() {
        use Repair::{BareCr, BareLf, DateOutOfRange, LeadingBlankLines, LeadingFromLine};
        check(b"A: b\r\n\r\nc", b"A: b\r\n\r\nc", &[]);
        check(b"A: b\n\nc\xff\n", b"A: b\r\n\r\nc\xff\r\n", &[BareLf]);
        check(b"A: b\0\r\n", b"A: b\x80\r\n", &[Repair::Nul]);
        check(b"A: b\r\rc\r", b"A: b\r\n\r\nc\r\n", &[BareCr]);
        check(b">From x\r\nA: b\r\n", b"A: b\r\n", &[LeadingFromLine]);
        check(
            b"\n\nFrom x\nA: b\n\nFrom y\n",
            b"A: b\r\n\r\nFrom y\r\n",
            &[BareLf, LeadingFromLine, LeadingBlankLines],
        );
        check(
            b"\xef\xbb\xbfA: b\r\n",
            b"A: b\r\n",
            &[Repair::ByteOrderMark],
        );
        check(b"x\r\nTo: b\r\n", b"x\r\nTo: b\r\n", &[]);
        check(b"hello\r\n", b"\r\nhello\r\n", &[Repair::NoHeader]);
        check(b"From me\r\n", b"\r\nFrom me\r\n", &[Repair::NoHeader]);
        check(b"\r\nhello\r\n", b"\r\nhello\r\n", &[]);
        check(
            b"Date: 1 Jan 1900 00:00:00 +0000\r\n",
            b"Date: 1 Jan 1900 00:00:00 +0000\r\n",
            &[DateOutOfRange],
        );
        let long_line = [b"A: ".as_slice(), &[b'x'; 5000], b"\r\n"].concat();
        check(&long_line, &long_line, &[]);
    }

    #[test]
    fn refusals() {
        let strict = PrepareOptions {
            strictness: Strictness::Refuse,
            ..options()
        };
        let mails: [(&[u8], _, _); 6] = [
            (b"", Err("empty"), Err("empty")),
            (b"\r\n \n", Err("empty"), Err("empty")),
            (b"A: b\n", Ok(()), Ok(())),
            (b"A: b\0\n", Ok(()), Err("NUL bytes")),
            (b"A: b\rC: d\n", Ok(()), Err("stray CRs")),
            (b"Date: now\n", Ok(()), Err("no usable date")),
        ];
        for (mail, expected, expected_if_strict) in mails {
            for (options, expected) in [(&options(), expected), (&strict, expected_if_strict)] {
                let prepared = prepare(&[mail], options, usize::MAX);
                match (outcome(&prepared[0]), expected) {
                    (Ok(_), Ok(())) => {}
                    (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                    (outcome, _) => panic!("{}: {outcome:?}", mail.escape_ascii()),
                }
            }
        }
        // Where the server takes NULs, there is nothing to repair.
        let cases: [(&[u8], &[u8], bool); 2] = [
            (b"A: b\0\r\n", b"A: b\0\r\n", true),
            (b"From \0\r\nA: b\r\n", b"A: b\r\n", false),
        ];
        let binary = PrepareOptions {
            keeps_nul: true,
            ..options()
        };
        for (mail, expected, has_nul) in cases {
            let prepared = prepare(&[mail], &binary, 1);
            let Prepared::Mail { mail, .. } = &prepared[0] else {
                panic!("{prepared:?}");
            };
            assert_eq!(mail.has_nul, has_nul);
            assert_eq!(text_of(mail), expected);
        }
        let strict = PrepareOptions {
            keeps_nul: true,
            ..strict
        };
        assert!(outcome(&prepare(&[b"A: b\0\r\n"], &strict, 1)[0]).is_ok());
    }

    #[test]
    fn what_is_known_of_a_mail() {
        let header = b"Message-ID: <1@a>\r\nDate: 1 Jan 1972 00:00:00 +0000\r\n\r\n";
        let prepared = prepare(&[&[b"From x\n".as_slice(), header].concat()], &options(), 7);
        let Prepared::Mail { folders, mail, .. } = &prepared[0] else {
            panic!("{prepared:?}");
        };
        assert_eq!(*folders, found().folders);
        assert_eq!(mail.position, position());
        assert_eq!(mail.flags, found().flags);
        assert_eq!(
            mail.internal_date,
            Some(Timestamp::from_second(63_072_000).unwrap())
        );
        assert_eq!(mail.len, header.len() as u64);
        assert_eq!(mail.digest, *blake3::hash(header).as_bytes());
        assert_eq!(mail.identity, Identity::of_header(header));
        assert!(mail.identity.has_message_id);
        assert!(!mail.has_nul);
    }

    #[test]
    fn a_mail_that_can_not_be_read_leaves_nothing_behind() {
        let options = options();
        let mut all = Vec::new();
        let mut preparer = Preparer::new(&options, |prepared| {
            all.push(prepared);
            ControlFlow::Break(())
        });
        preparer.text(b"half a ma");
        let folder = FolderPath::default();
        let flow = preparer.unreadable(position(), folder.clone(), "bad disk".to_owned());
        assert!(flow.is_break());
        preparer.text(b"A: b\r\n");
        assert!(preparer.mail(found()).is_break());
        let Prepared::Refused {
            folders, reason, ..
        } = &all[0]
        else {
            panic!("{all:?}");
        };
        assert_eq!(
            (folders.as_slice(), reason.as_str()),
            ([folder].as_slice(), "bad disk")
        );
        assert_eq!(outcome(&all[1]), Ok((b"A: b\r\n".to_vec(), Vec::new())));
    }

    #[test]
    fn long_mails_leave_memory_and_are_the_same() {
        let line = b"0123456789 0123456789 0123456789 0123456789\n";
        let starts: [&[u8]; 4] = [
            b"Message-ID: <1@a>\nDate: 1 Jan 1972 00:00:00 +0000\n\n",
            b"From x\n\nMessage-ID: <1@a>\n\n",
            b"text",
            b"",
        ];
        for start in starts {
            let mail = [start, &line.repeat(30_000), b"end\r"].concat();
            let sent = mail.escape_ascii().to_string();
            let sent = sent.strip_prefix("From x\\n\\n").unwrap_or(&sent);
            let sent = sent.replace("\\n", "\r\n").replace("\\r", "\r\n");
            let has_header = start.len() > 4;
            let sent = if has_header {
                sent
            } else {
                format!("\r\n{sent}")
            };
            let sent = sent.as_bytes();
            for piece_bytes in [5000, 70_001, usize::MAX] {
                let prepared = prepare(&[&mail, b"A: b\r\n"], &options(), piece_bytes);
                let Prepared::Mail { mail, repairs, .. } = &prepared[0] else {
                    panic!("{prepared:?}");
                };
                assert!(matches!(mail.text, Text::Spool(_)));
                assert!(text_of(mail) == sent);
                assert_eq!(mail.len, sent.len() as u64);
                assert_eq!(mail.digest, *blake3::hash(sent).as_bytes());
                assert_eq!(mail.identity, Identity::of_header(sent));
                assert_eq!(mail.internal_date.is_some(), start.starts_with(b"M"));
                assert_eq!(
                    repairs.contains(Repair::LeadingFromLine),
                    start.starts_with(b"F")
                );
                assert_eq!(repairs.contains(Repair::NoHeader), !has_header);
                assert!(repairs.contains(Repair::BareCr));
                // Nothing of it is left for the next one.
                assert_eq!(
                    outcome(&prepared[1]),
                    Ok((b"A: b\r\n".to_vec(), Vec::new()))
                );
            }
        }
    }

    #[test]
    fn at_the_bound_of_memory() {
        for (over, is_spooled) in [(0, false), (1, true)] {
            let mail = [
                b"A: b\r\n".as_slice(),
                &vec![b'x'; MEMORY_BYTES_MAX - 6 + over],
            ]
            .concat();
            for piece_bytes in [1 << 16, usize::MAX] {
                let prepared = prepare(&[&mail], &options(), piece_bytes);
                let Prepared::Mail { mail: sent, .. } = &prepared[0] else {
                    panic!("{prepared:?}");
                };
                assert_eq!(matches!(sent.text, Text::Spool(_)), is_spooled);
                assert!(text_of(sent) == mail);
            }
        }
    }

    #[test]
    fn originals_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let options = PrepareOptions {
            rejects: Some(Arc::new(Rejects::open(dir.path()).unwrap())),
            ..options()
        };
        prepare(&[b"A: b\n", b"A: \0\n", b"\n"], &options, 2);
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read("000001-box-3.eml"), b"A: \0\n");
        assert_eq!(read("000002-box-3.eml"), b"\n");
        let index = String::from_utf8(read("index.tsv")).unwrap();
        assert_eq!(
            index,
            "file\tposition\toutcome\treason\n\
             000001-box-3.eml\tbox at byte 3\trepaired\tNUL bytes replaced by 0x80\n\
             000002-box-3.eml\tbox at byte 3\trefused\tempty: there is no text in it, and \
             servers refuse such mail\n"
        );
    }

    /// Bytes that make trouble more often than any do.
    fn mail() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\0".to_vec()),
            Just(b" ".to_vec()),
            Just(b"From ".to_vec()),
            Just(b">From a\n".to_vec()),
            Just(b"A: b".to_vec()),
            Just(b"To: b\n".to_vec()),
            Just(b"\xef\xbb\xbf".to_vec()),
            Just(b"Message-ID:<1>\r\n".to_vec()),
            Just(b"Date: 1 Jan 1972 00:00:00 +0000\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_mail_or_refused(
            mail in mail(),
            keeps_nul in any::<bool>(),
            piece_bytes in 1usize..20,
        ) {
            let options = PrepareOptions { keeps_nul, ..options() };
            let whole = prepare(&[&mail], &options, usize::MAX);
            let pieces = prepare(&[&mail], &options, piece_bytes);
            prop_assert_eq!(outcome(&whole[0]), outcome(&pieces[0]));
            let Prepared::Mail { mail: sent, repairs, .. } = &whole[0] else {
                let mail = mail.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&mail);
                let is_blank = mail.iter().all(u8::is_ascii_whitespace);
                prop_assert!(is_blank, "{} was refused", mail.escape_ascii());
                return Ok(());
            };
            let text = text_of(sent);
            prop_assert_eq!(text.contains(&0), sent.has_nul);
            prop_assert!(keeps_nul || !sent.has_nul);
            for (at, byte) in text.iter().enumerate() {
                match byte {
                    b'\r' => prop_assert_eq!(text.get(at + 1), Some(&b'\n')),
                    b'\n' => prop_assert!(at > 0 && text[at - 1] == b'\r'),
                    _ => {}
                }
            }
            // Nothing but blanks is lost or added, unless more was removed.
            let removed = [Repair::LeadingFromLine, Repair::ByteOrderMark];
            if !removed.into_iter().any(|repair| repairs.contains(repair)) {
                let inked = |text: &[u8]| -> Vec<u8> {
                    let inked = text.iter().filter(|byte| !byte.is_ascii_whitespace());
                    inked.map(|byte| if *byte == 0 { 0x80 } else { *byte }).collect()
                };
                prop_assert_eq!(inked(&text), inked(&mail));
            }
            // What needs no repair is as it was; what was repaired needs none.
            if repairs.is_empty() {
                prop_assert_eq!(&text, &mail);
            }
            let again = prepare(&[&text], &options, piece_bytes);
            let Prepared::Mail { mail: second, repairs, .. } = &again[0] else {
                panic!("{again:?}");
            };
            prop_assert_eq!(text_of(second), text);
            prop_assert_eq!(second.digest, sent.digest);
            prop_assert_eq!(second.identity, sent.identity);
            let left = repairs.iter().find(|repair| *repair != Repair::DateOutOfRange);
            prop_assert_eq!(left, None);
        }
    }
}
