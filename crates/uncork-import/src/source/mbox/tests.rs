//! Whole mboxes in, mails out.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::envelope::JUDGED_BYTES;
use super::*;

/// A mail as the sink got it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    offset: u64,
    text: String,
    folders: Vec<String>,
    flags: Vec<String>,
    received: Option<String>,
}

#[derive(Debug, Default)]
struct Collected {
    text: Vec<u8>,
    mails: Vec<Got>,
    unreadable: Vec<(Option<u64>, String)>,
    mails_wanted: Option<usize>,
}

impl Sink for Collected {
    fn text(&mut self, piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }

    fn mail(&mut self, found: Found) -> ControlFlow<()> {
        let folders = found.folders.iter().map(|folder| folder.0.join("/"));
        self.mails.push(Got {
            offset: found.position.offset.unwrap(),
            text: String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned(),
            folders: folders.collect(),
            flags: found.flags.iter().map(ToString::to_string).collect(),
            received: found.received.map(|received| received.to_string()),
        });
        if self.mails_wanted == Some(self.mails.len()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn unreadable(&mut self, position: Position, _: FolderPath, reason: String) -> ControlFlow<()> {
        self.text.clear();
        self.unreadable.push((position.offset, reason));
        ControlFlow::Continue(())
    }
}

/// Gives its bytes in pieces of these sizes, over and over, and then fails if it is to.
struct Pieces<'a> {
    input: &'a [u8],
    sizes: VecDeque<usize>,
    error: Option<io::ErrorKind>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.sizes.rotate_left(1);
        let size = self.sizes[0].min(space.len()).min(self.input.len());
        if let Some(error) = self.error.filter(|_| size == 0) {
            return Err(error.into());
        }
        space[..size].copy_from_slice(&self.input[..size]);
        self.input = &self.input[size..];
        Ok(size)
    }
}

fn place() -> Place {
    Place {
        file: Path::new("old.mbox").into(),
        entry: None,
        folder: FolderPath(vec!["old".to_owned()]),
        file_time: None,
    }
}

fn read(input: &[u8], variant: Variant) -> Collected {
    let mut collected = Collected::default();
    let mut input = input;
    let flow = read_mbox(&mut input, &place(), variant, Labels::Each, &mut collected);
    assert!(flow.unwrap().is_continue());
    assert!(collected.text.is_empty(), "text of no mail");
    collected
}

/// The texts of the mails in an mbox.
#[track_caller]
fn check(variant: Variant, input: &str, expected: &[&str]) {
    let found = read(input.as_bytes(), variant);
    let texts: Vec<_> = found.mails.iter().map(|mail| mail.text.as_str()).collect();
    assert_eq!(texts, expected, "{input:?}");
    assert_eq!(found.unreadable, [], "{input:?}");
}

/// An envelope, of which `{F}` in these tests stands for.
const ENVELOPE: &str = "From ada@example.org Thu Feb  1 04:05:06 2001";

fn with_envelopes(text: &str) -> String {
    text.replace("{F}", ENVELOPE)
}

#[test]
fn mails_are_cut() {
    for (input, expected) in [
        ("", &[][..]),
        ("\n\r\n  \n", &[]),
        ("{F}", &[""]),
        ("{F}\n", &[""]),
        ("{F}\n\n", &[""]),
        ("{F}\n\n{F}\n", &["", ""]),
        (
            "{F}\na: b\n\nc\n\n{F}\nd: e\n\nf\n\n",
            &["a: b\n\nc\n", "d: e\n\nf\n"],
        ),
        (
            "{F}\r\na: b\r\n\r\nc\r\n\r\n{F}\r\nd: e\r\n",
            &["a: b\r\n\r\nc\r\n", "d: e\r\n"],
        ),
        // Only one empty line is the separator's, and the end of the file is as good as a mail.
        ("{F}\na\n\n\n\n{F}\nb\n\n\n", &["a\n\n\n", "b\n\n"]),
        ("{F}\na\n\n{F}\nb", &["a\n", "b"]),
        ("\u{feff}\r\n\n{F}\na\n", &["a\n"]),
        // Stray lines.
        ("{F}\na\n\nFrom here on\nb\n", &["a\n\nFrom here on\nb\n"]),
        ("{F}\na\n{F}\nb\n", &["a\n{F}\nb\n"]),
        ("{F}\na\n\n {F}\nb\n", &["a\n\n {F}\nb\n"]),
        ("{F}\na\n\n{F}, he said\nb\n", &["a\n\n{F}, he said\nb\n"]),
        // Thunderbird's, of old and of today.
        (
            "From \r\na: b\r\n\r\nc\r\n\r\nFrom \r\nd: e\r\n\r\n",
            &["a: b\r\n\r\nc\r\n", "d: e\r\n"],
        ),
        (
            "From - Thu Feb  1 04:05:06 2001\nX-Mozilla-Status: 0000\n\na\nFrom - Thu Feb  1 04:05:06 2001\nX-Mozilla-Status: 0000\n\nb\n",
            &[
                "X-Mozilla-Status: 0000\n\na\n",
                "X-Mozilla-Status: 0000\n\nb\n",
            ],
        ),
        // A first line without a date is better than no mail.
        (
            "From somewhere\na: b\n\nc\n\n{F}\nd\n",
            &["a: b\n\nc\n", "d\n"],
        ),
        // An exporter that forgets the empty lines, all the way.
        (
            "{F}\na: b\n\nc\n{F}\nd: e\n\nf\n{F}\ng: h\n",
            &["a: b\n\nc\n", "d: e\n\nf\n", "g: h\n"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| with_envelopes(text)).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(Variant::Auto, &with_envelopes(input), &expected);
    }
}

#[test]
fn quotes_are_taken_off() {
    let quoted = format!("{ENVELOPE}\na: b\n\n>From 1\n>>From 2\n> From 3\nx>From 4\n");
    for (variant, expected) in [
        (
            Variant::Auto,
            "a: b\n\nFrom 1\n>From 2\n> From 3\nx>From 4\n",
        ),
        (
            Variant::Mboxrd,
            "a: b\n\nFrom 1\n>From 2\n> From 3\nx>From 4\n",
        ),
        (
            Variant::Mboxo,
            "a: b\n\nFrom 1\n>>From 2\n> From 3\nx>From 4\n",
        ),
        (
            Variant::Mboxcl,
            "a: b\n\nFrom 1\n>>From 2\n> From 3\nx>From 4\n",
        ),
        (
            Variant::Mboxcl2,
            "a: b\n\n>From 1\n>>From 2\n> From 3\nx>From 4\n",
        ),
    ] {
        check(variant, &quoted, &[expected]);
    }
    // Who leaves one unquoted makes no mboxrd.
    let mixed = format!("{quoted}From 5\n");
    check(
        Variant::Auto,
        &mixed,
        &["a: b\n\nFrom 1\n>>From 2\n> From 3\nx>From 4\nFrom 5\n"],
    );
}

#[test]
fn lengths_are_checked() {
    let second = "{F}\nd: e\n\nf\n";
    let inner = "1\n\n{F}\n2: 3\n\n>From 4\n";
    for (length, separator, expected) in [
        // Right: what looks like a mail is text.
        (inner.len(), "\n", &[inner][..]),
        (inner.len(), "", &[inner]),
        (inner.len(), "\r\n", &[inner]),
        (inner.len() + 1, "\n", &["1\n\n{F}\n2: 3\n\n>From 4\n\n"]),
        // Wrong in any way: as if it were not there.
        (inner.len() - 1, "\n", &["1\n", "2: 3\n\n>From 4\n"]),
        (inner.len() + 2, "\n", &["1\n", "2: 3\n\n>From 4\n"]),
        (0, "\n", &["1\n", "2: 3\n\n>From 4\n"]),
        // Right again, at the mail within.
        (3, "\n", &["1\n\n", "2: 3\n\n>From 4\n"]),
        (1 << 20, "\n", &["1\n", "2: 3\n\n>From 4\n"]),
        (usize::MAX, "\n", &["1\n", "2: 3\n\n>From 4\n"]),
    ] {
        // The length of {F} as it is counts.
        let grown = ENVELOPE.len() - "{F}".len();
        let length = if length >= 10 {
            length.saturating_add(grown)
        } else {
            length
        };
        let header = format!("Content-Length: {length}\n\n");
        let input = with_envelopes(&format!("{{F}}\n{header}{inner}{separator}{second}"));
        let mut texts: Vec<_> = expected.iter().map(|text| with_envelopes(text)).collect();
        texts[0].insert_str(0, &header);
        texts.push("d: e\n\nf\n".to_owned());
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        check(Variant::Mboxcl2, &input, &texts);
    }
}

#[test]
fn a_length_that_leads_to_the_end() {
    for end in ["", "\n", "\r\n"] {
        let body = format!("1\n\n{ENVELOPE}\n2: 3\n\n4");
        let mail = format!("Content-Length: {}\n\n{body}", body.len());
        let input = format!("{ENVELOPE}\n{mail}{end}");
        check(Variant::Mboxcl2, &input, &[&mail]);
        check(Variant::Auto, &input, &[&mail]);
    }
}

/// While it can't be known whether a length is right, nothing is handed out that may turn out to
/// begin a mail.
#[test]
fn a_length_that_leads_into_an_envelope() {
    let style = Style {
        lengths: style::Lengths::Checked,
        ..Style::default()
    };
    for length in 0..20 {
        let header = format!("Content-Length: {length}\n\n");
        let far = "x".repeat(2 * JUDGED_BYTES);
        let input = format!("{ENVELOPE}\n{header}abc\n\n{ENVELOPE}\n{far}\n");
        // Only this length takes the empty line for text, and is right.
        let body = if length == 5 { "abc\n\n" } else { "abc\n" };
        for size in [1, 100, usize::MAX] {
            let texts: Vec<_> = split(input.as_bytes(), style, &[size])
                .into_iter()
                .map(|(_, text)| text)
                .collect();
            let expected = [format!("{header}{body}"), format!("{far}\n")];
            assert_eq!(texts, expected, "{length} in pieces of {size}");
        }
    }
}

/// A sender who writes a Content-Length into a mail gains nothing where the others have none.
#[test]
fn lengths_count_only_where_they_are_right() {
    let wrong = format!("{ENVELOPE}\nContent-Length: 9\n\n1\n\n");
    let inner = format!("2\n\n{ENVELOPE}\na: b\n");
    let right = format!("{ENVELOPE}\nContent-Length: {}\n\n{inner}\n", inner.len());
    for (wrongs, rights, mails) in [(1, 1, 2), (2, 1, 4), (1, 2, 3), (0, 2, 2)] {
        let input = wrong.repeat(wrongs) + &right.repeat(rights);
        assert_eq!(
            read(input.as_bytes(), Variant::Auto).mails.len(),
            mails,
            "{wrongs} {rights}"
        );
    }
}

/// Beyond what is held back, a `From ` line is believed, not the length.
#[test]
fn a_length_too_far_to_check() {
    let far = usize::try_from(splitter::HELD_BYTES_MAX).unwrap();
    for (padding, mails) in [(far - 1000, 1), (far + 1000, 2)] {
        let body = format!("1\n\n{ENVELOPE}\n{}\n", "x".repeat(padding));
        let input = format!("{ENVELOPE}\nContent-Length: {}\n\n{body}\n", body.len());
        let found = read(input.as_bytes(), Variant::Mboxcl2);
        assert_eq!(found.mails.len(), mails, "{padding}");
        let bytes: usize = found.mails.iter().map(|mail| mail.text.len()).sum();
        assert!(bytes > padding);
    }
}

#[test]
fn what_belongs_to_no_mail_is_told() {
    let input = format!("\n\nDear Ada,\n\nFrom now on\n\n{ENVELOPE}\na\n");
    let found = read(input.as_bytes(), Variant::Auto);
    assert_eq!(found.mails.len(), 1);
    assert_eq!(found.mails[0].offset, 26);
    let (offset, reason) = &found.unreadable[0];
    assert_eq!(*offset, Some(2));
    assert!(reason.starts_with("23 bytes"), "{reason}");
    let found = read(b"Subject: a\n\nb\n", Variant::Auto);
    assert!(found.mails.is_empty());
    assert_eq!(found.unreadable.len(), 1);
}

#[test]
fn what_is_known_of_a_mail() {
    let input = "From 1@xxx Mon Apr 07 14:31:02 +0000 2025\r\n\
        X-Gmail-Labels: =?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,?=\r\n =?UTF-8?Q?Non_lus,a/b?=\r\n\
        \r\nx\r\n\r\n\
        From - Thu Feb  1 04:05:06 2001\r\nX-Mozilla-Status: 0005\r\nX-Mozilla-Keys: $label1  \r\n\r\n\
        Status: RO\r\n";
    let found = read(input.as_bytes(), Variant::Auto);
    let [first, second] = &found.mails[..] else {
        panic!("{found:?}");
    };
    assert_eq!(first.folders, ["INBOX", "a/b"]);
    assert_eq!(first.flags, [""; 0]);
    assert_eq!(first.received.as_deref(), Some("2025-04-07T14:31:02Z"));
    assert_eq!(second.offset, input.find("From -").unwrap() as u64);
    assert_eq!(second.folders, ["old"]);
    assert_eq!(second.flags, ["\\Seen", "\\Flagged", "$label1"]);
    assert_eq!(second.received.as_deref(), Some("2001-02-01T04:05:06Z"));
}

#[test]
fn folder_data_is_no_mail() {
    let data = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nx\n";
    check(
        Variant::Auto,
        &format!("{ENVELOPE}\n{data}\n{ENVELOPE}\na: b\n"),
        &["a: b\n"],
    );
}

#[test]
fn a_header_in_pieces_is_read() {
    // The quoted lines cut the header into pieces.
    let header = format!("{}Status: R\n\nx\n", ">From a\n".repeat(3));
    let found = read(format!("{ENVELOPE}\n{header}").as_bytes(), Variant::Auto);
    assert_eq!(found.mails[0].flags, ["\\Seen"]);
}

#[test]
fn reading_ends_early() {
    let input = format!("{ENVELOPE}\na\n\n").repeat(3);
    let mut collected = Collected {
        mails_wanted: Some(2),
        ..Collected::default()
    };
    let flow = read_mbox(
        &mut input.as_bytes(),
        &place(),
        Variant::Auto,
        Labels::Each,
        &mut collected,
    );
    assert!(flow.unwrap().is_break());
    assert_eq!(collected.mails.len(), 2);
}

/// A truncated archive: what is whole is in, the last mail is told of.
#[test]
fn an_error_ends_the_last_mail() {
    for bytes in [JUDGED_BYTES, SAMPLE_BYTES, 3 * SAMPLE_BYTES] {
        let input = format!("{ENVELOPE}\na\n\n{ENVELOPE}\n{}", "b".repeat(bytes));
        let mut pieces = Pieces {
            input: input.as_bytes(),
            sizes: [100_000].into(),
            error: Some(io::ErrorKind::UnexpectedEof),
        };
        let mut collected = Collected::default();
        let result = read_mbox(
            &mut pieces,
            &place(),
            Variant::Auto,
            Labels::Each,
            &mut collected,
        );
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(collected.mails.len(), 1, "{bytes}");
        let offsets: Vec<_> = collected
            .unreadable
            .iter()
            .map(|(offset, _)| *offset)
            .collect();
        assert_eq!(offsets, [Some(ENVELOPE.len() as u64 + 4)], "{bytes}");
        assert!(collected.text.is_empty());
    }
}

#[test]
fn mboxes_are_recognised() {
    for (head, expected) in [
        (format!("{ENVELOPE}\n"), true),
        (format!("\u{feff}\r\n\n{ENVELOPE}\r\na: b\r\n"), true),
        ("From \r\nX-Mozilla-Status: 0001\r\n".to_owned(), true),
        ("From somebody\nSubject: a\n".to_owned(), true),
        ("From the start, it was clear\nthat".to_owned(), false),
        ("From: ada@example.org\n".to_owned(), false),
        ("Return-Path: <>\n".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(looks_like_mbox(head.as_bytes()), expected, "{head:?}");
    }
}

/// The events of a splitter, with all text of a mail in one, for an input in pieces.
fn split(input: &[u8], style: Style, sizes: &[usize]) -> Vec<(u64, String)> {
    let mut pieces = Pieces {
        input,
        sizes: sizes.to_vec().into(),
        error: None,
    };
    let mut splitter = Splitter::new();
    splitter.set_style(style);
    let mut mails: Vec<(u64, String)> = Vec::new();
    let (mut begun, mut ended) = (0, 0);
    loop {
        match splitter.next() {
            Event::Begin { offset, .. } => {
                mails.push((offset, String::new()));
                begun += 1;
            }
            Event::Text(piece) => {
                assert!(!piece.is_empty());
                assert_eq!(begun, ended + 1, "text outside of a mail");
                let piece = String::from_utf8_lossy(piece);
                mails.last_mut().unwrap().1 += &piece;
            }
            Event::End => ended += 1,
            Event::Stray { offset, bytes } => {
                mails.push((offset, format!("{bytes} stray")));
            }
            Event::More => {
                fill(&mut splitter, &mut pieces).unwrap();
            }
            Event::Over => break,
        }
    }
    assert_eq!(begun, ended);
    mails
}

fn styles() -> impl Strategy<Value = Style> {
    let lengths = prop_oneof![Just(style::Lengths::Checked), Just(style::Lengths::Ignored)];
    let unquote = prop_oneof![
        Just(style::Unquote::Every),
        Just(style::Unquote::One),
        Just(style::Unquote::Never)
    ];
    let separation = prop_oneof![
        Just(envelope::Separation::EmptyLine),
        Just(envelope::Separation::EnvelopeAlone)
    ];
    (lengths, unquote, separation).prop_map(|(lengths, unquote, separation)| Style {
        lengths,
        unquote,
        separation,
    })
}

/// What mboxes are made of, and long enough lines that not all is decided at the end.
fn bits() -> impl Strategy<Value = String> {
    let bit = prop_oneof![
        4 => Just("\n".to_owned()),
        2 => Just("\r\n".to_owned()),
        2 => Just(format!("{ENVELOPE}\n")),
        1 => Just(format!("{ENVELOPE}\r\n")),
        1 => Just("From ".to_owned()),
        1 => Just("From \nX-Mozilla-Status: 0\n".to_owned()),
        1 => Just("Fro".to_owned()),
        2 => Just(">".to_owned()),
        1 => (0usize..4000).prop_map(|length| format!("Content-Length: {length}\n")),
        1 => Just("a: b\n".to_owned()),
        2 => (1usize..1500).prop_map(|length| "x".repeat(length)),
        1 => (1usize..300).prop_map(|length| ">".repeat(length)),
    ];
    prop::collection::vec(bit, 0..40).prop_map(|bits| bits.concat())
}

/// A mail: a header, and a body of lines of which some look like those of an mbox.
fn mail() -> impl Strategy<Value = (String, String)> {
    let line = prop_oneof![
        Just(String::new()),
        Just(ENVELOPE.to_owned()),
        Just("From here".to_owned()),
        Just(">From there".to_owned()),
        Just(format!(">>{ENVELOPE}")),
        "[a-z>]{0,4}",
        (1usize..2000).prop_map(|length| "y".repeat(length)),
    ];
    let body = prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n") + "\n");
    (Just("Subject: a\n".to_owned()), body)
}

/// Mails put into an mbox, and where their `From ` lines stand.
fn join(mails: &[String]) -> (String, Vec<u64>) {
    let mut mbox = String::new();
    let mut offsets = Vec::new();
    for mail in mails {
        offsets.push(mbox.len() as u64);
        mbox += &format!("{ENVELOPE}\n{mail}\n");
    }
    (mbox, offsets)
}

/// Puts a `>` before each line that begins with `From `, or with any `>` and it.
fn quote(body: &str, variant: Variant) -> String {
    let quoted = body.split('\n').map(|line| {
        let is_quoted = match variant {
            Variant::Mboxrd | Variant::Auto => line.trim_start_matches('>').starts_with("From "),
            Variant::Mboxo | Variant::Mboxcl => line.starts_with("From "),
            Variant::Mboxcl2 => false,
        };
        format!("{}{line}", if is_quoted { ">" } else { "" })
    });
    quoted.collect::<Vec<_>>().join("\n")
}

proptest! {
    /// However the input comes in pieces, the mails are the same.
    #[test]
    fn pieces_do_not_matter(
        input in bits(),
        style in styles(),
        sizes in prop::collection::vec(1usize..3000, 1..5),
    ) {
        let whole = split(input.as_bytes(), style, &[usize::MAX]);
        prop_assert_eq!(&split(input.as_bytes(), style, &sizes), &whole);
        prop_assert_eq!(&split(input.as_bytes(), style, &[1]), &whole);
    }

    /// Hostile bytes end in mails and reports.
    #[test]
    fn any_bytes(input in prop::collection::vec(any::<u8>(), 0..300), is_mbox in any::<bool>()) {
        let envelope = if is_mbox { ENVELOPE } else { "" };
        let input = [envelope.as_bytes(), b"\n", &input].concat();
        let found = read(&input, Variant::Auto);
        prop_assert!(found.mails.len() + found.unreadable.len() <= 1 + input.len() / 7);
        prop_assert!(!is_mbox || !found.mails.is_empty());
    }

    /// Mailboxes of all sorts are split, and no text is lost but envelopes, empty lines and quotes.
    #[test]
    fn nothing_is_lost(input in bits(), style in styles()) {
        let input = format!("{ENVELOPE}\n{input}");
        let mails = split(input.as_bytes(), style, &[700]);
        let kept = |text: &[u8]| text.iter().filter(|&&byte| b"xb".contains(&byte)).count();
        let found: usize = mails.iter().map(|(_, text)| kept(text.as_bytes())).sum();
        // Neither stands in the envelopes, but for the one of "example".
        let envelopes: usize = mails
            .iter()
            .map(|&(offset, _)| {
                let line = &input.as_bytes()[usize::try_from(offset).unwrap()..];
                kept(&line[..memchr::memchr(b'\n', line).unwrap_or(line.len())])
            })
            .sum();
        prop_assert_eq!(found + envelopes, kept(input.as_bytes()));
    }

    /// Mails that were joined are the same when they are split, at the places where they were
    /// put; with quotes they are told by the variant's name and by a look at the file.
    #[test]
    fn joined_and_split(
        mails in prop::collection::vec(mail(), 1..6),
        sizes in prop::collection::vec(1usize..3000, 1..5),
    ) {
        for variant in [Variant::Mboxrd, Variant::Mboxo, Variant::Mboxcl, Variant::Mboxcl2] {
            let has_length = matches!(variant, Variant::Mboxcl | Variant::Mboxcl2);
            // mboxo can't tell a `>From ` of a mail from its own.
            let mails: Vec<_> = mails
                .iter()
                .map(|(header, body)| match variant {
                    Variant::Mboxo | Variant::Mboxcl => (header, body.replace(">From", ">from")),
                    _ => (header, body.clone()),
                })
                .collect();
            let headers: Vec<_> = mails
                .iter()
                .map(|(header, body)| match has_length {
                    true => format!("{header}Content-Length: {}\n\n", quote(body, variant).len()),
                    false => format!("{header}\n"),
                })
                .collect();
            let quoted: Vec<_> = mails
                .iter()
                .zip(&headers)
                .map(|((_, body), header)| format!("{header}{}", quote(body, variant)))
                .collect();
            let (mbox, offsets) = join(&quoted);
            let expected: Vec<_> = mails
                .iter()
                .zip(&headers)
                .zip(offsets)
                .map(|(((_, body), header), offset)| (offset, format!("{header}{body}")))
                .collect();
            for read_as in [variant, Variant::Auto] {
                // Nothing tells mboxo from mboxrd, nor mboxcl from mboxcl2, where no line shows.
                if read_as == Variant::Auto && matches!(variant, Variant::Mboxo | Variant::Mboxcl) {
                    continue;
                }
                // A `>From ` that stands there unquoted is what mboxcl looks like.
                if read_as == Variant::Auto && mbox.contains(">From") && has_length {
                    continue;
                }
                let found: Vec<_> = read(mbox.as_bytes(), read_as)
                    .mails
                    .into_iter()
                    .map(|mail| (mail.offset, mail.text))
                    .collect();
                prop_assert_eq!(&found, &expected, "{:?} as {:?}", variant, read_as);
                let style = Style::of(mbox.as_bytes(), read_as);
                let pieces = split(mbox.as_bytes(), style, &sizes);
                prop_assert_eq!(&pieces, &expected, "{:?} as {:?}", variant, read_as);
            }
        }
    }
}
