//! What must hold for any mbox; see [`crate::fuzzing`].

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::envelope::{BYTE_ORDER_MARK, Separation};
use super::splitter::{Event, Splitter};
use super::style::{Lengths, Style, Unquote};
use super::{Place, Variant, fill, looks_like_mbox, read_mbox};
use crate::fuzzing::Input;
use crate::mail::{FolderPath, Found, Position, Sink};
use crate::options::Labels;

const ENVELOPE: &[u8] = b"From ada@example.org Thu Feb  1 04:05:06 2001";

/// Where mails begin and what they say does not depend on the pieces, and each byte of the input
/// is somewhere.
pub(crate) fn any_bytes(mut input: Input<'_>) {
    let style = style(input.byte());
    let sizes = input.sizes();
    // A fuzzer is slow to find what makes an envelope.
    let mbox = replace_all(input.0, b"\x01", &[ENVELOPE, b"\n"].concat());
    let whole = split(&mbox, style, &[usize::MAX]);
    for sizes in [&sizes[..], &[1]] {
        let cut = split(&mbox, style, sizes);
        assert_eq!(cut.len(), whole.len());
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!(cut == whole, "{sizes:?} {cut:?}\n{whole:?}");
        }
    }
    let _ = looks_like_mbox(&mbox);
    let read = read(&mbox, Variant::Auto, &sizes);
    assert!(read.len() <= mbox.len() / b"From ".len() + 1);
}

/// Mails put into an mbox of each variant come out of it.
pub(crate) fn joined_and_split(mut input: Input<'_>) {
    let line_end: &[u8] = match input.byte() % 2 {
        0 => b"\n",
        _ => b"\r\n",
    };
    let sizes = input.sizes();
    let bodies = replace_all(input.0, b"\x01", &[ENVELOPE, b"\n"].concat());
    for variant in [
        Variant::Mboxrd,
        Variant::Mboxo,
        Variant::Mboxcl,
        Variant::Mboxcl2,
    ] {
        let (mut mbox, mut expected) = (Vec::new(), Vec::new());
        for body in bodies.split(|&byte| byte == b'\x02') {
            let body = &*writable(body, variant);
            let quoted = quote(body, variant);
            let header = header(variant, quoted.len(), line_end);
            mbox.extend([ENVELOPE, line_end, &header, &quoted, line_end].concat());
            expected.push([&header, body].concat());
        }
        let found = read(&mbox, variant, &sizes);
        assert_same(&found, &expected, variant);
        // What was quoted as mboxrd looks like nothing else.
        if variant == Variant::Mboxrd {
            assert_same(
                &read(&mbox, Variant::Auto, &sizes),
                &expected,
                Variant::Auto,
            );
        }
    }
}

fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>], variant: Variant) {
    assert_eq!(found.len(), expected.len(), "{variant:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found == expected,
            "{variant:?}:\n{}\nbecame\n{}",
            expected.escape_ascii(),
            found.escape_ascii()
        );
    }
}

fn style(choice: u8) -> Style {
    Style {
        lengths: match choice & 1 {
            0 => Lengths::Checked,
            _ => Lengths::Ignored,
        },
        unquote: match choice >> 1 & 3 {
            0 => Unquote::Never,
            1 => Unquote::One,
            _ => Unquote::Every,
        },
        separation: match choice >> 3 & 1 {
            0 => Separation::EmptyLine,
            _ => Separation::EnvelopeAlone,
        },
    }
}

/// The body as this variant can keep it: mboxo can't tell a `>From ` from its own, and only a
/// length tells of a mail without a line end at its end.
fn writable(body: &[u8], variant: Variant) -> Vec<u8> {
    let mut body = body.to_vec();
    if matches!(variant, Variant::Mboxo | Variant::Mboxcl) {
        body = replace_all(&body, b">From ", b">from ");
    }
    let has_length = matches!(variant, Variant::Mboxcl | Variant::Mboxcl2);
    if !has_length && !body.is_empty() && !body.ends_with(b"\n") {
        body.push(b'\n');
    }
    body
}

fn header(variant: Variant, body_bytes: usize, line_end: &[u8]) -> Vec<u8> {
    let mut header = [b"Subject: a", line_end].concat();
    if matches!(variant, Variant::Mboxcl | Variant::Mboxcl2) {
        header.extend_from_slice(format!("Content-Length: {body_bytes}").as_bytes());
        header.extend_from_slice(line_end);
    }
    header.extend_from_slice(line_end);
    header
}

/// Puts a `>` before each line that begins with `From `, or with any `>` and it.
fn quote(body: &[u8], variant: Variant) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
        let is_quoted = match variant {
            Variant::Mboxrd | Variant::Auto => line[quotes..].starts_with(b"From "),
            Variant::Mboxo | Variant::Mboxcl => line.starts_with(b"From "),
            Variant::Mboxcl2 => false,
        };
        quoted.extend_from_slice(if is_quoted { b">" } else { b"" });
        quoted.extend_from_slice(line);
    }
    quoted
}

fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut start = 0;
    for at in memchr::memmem::find_iter(text, from) {
        replaced.extend_from_slice(&text[start..at]);
        replaced.extend_from_slice(to);
        start = at + from.len();
    }
    replaced.extend_from_slice(&text[start..]);
    replaced
}

/// A mail, or what belongs to none, as the splitter gives it.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    offset: u64,
    text: Vec<u8>,
}

/// What an mbox is split into, while each byte of it is accounted for.
fn split(mbox: &[u8], style: Style, sizes: &[usize]) -> Vec<Part> {
    let mut input = Pieces::new(mbox, sizes);
    let mut splitter = Splitter::new();
    splitter.set_style(style);
    let mut parts: Vec<Part> = Vec::new();
    let mut account = Account {
        mbox,
        style,
        at: 0,
        is_in_mail: false,
    };
    loop {
        match splitter.next() {
            Event::Begin { offset, .. } => {
                account.begin(offset, parts.is_empty());
                let text = Vec::new();
                parts.push(Part { offset, text });
            }
            Event::Text(piece) => {
                account.text(piece);
                if let Some(part) = parts.last_mut() {
                    part.text.extend_from_slice(piece);
                }
            }
            Event::End => {
                assert!(account.is_in_mail);
                account.is_in_mail = false;
            }
            Event::Stray { offset, bytes } => {
                account.stray(offset, bytes, parts.is_empty());
                let text = bytes.to_string().into_bytes();
                parts.push(Part { offset, text });
            }
            // From memory nothing fails.
            Event::More => drop(fill(&mut splitter, &mut input)),
            Event::Over => break,
        }
    }
    account.over(parts.is_empty());
    parts
}

/// How far the input has been accounted for.
struct Account<'m> {
    mbox: &'m [u8],
    style: Style,
    at: usize,
    is_in_mail: bool,
}

impl Account<'_> {
    fn begin(&mut self, offset: u64, is_first: bool) {
        assert!(!self.is_in_mail, "a mail in a mail");
        self.skip_separator(offset, is_first);
        let line = &self.mbox[self.at..];
        assert!(line.starts_with(b"From "));
        self.at += memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        self.is_in_mail = true;
    }

    /// The text is what stands there, but for a `>` that quoted it.
    fn text(&mut self, piece: &[u8]) {
        assert!(self.is_in_mail, "text outside of a mail");
        assert!(!piece.is_empty());
        if !self.mbox[self.at..].starts_with(piece) {
            let quotes = self.mbox[..=self.at]
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'>');
            assert!(self.style.unquote.applies(quotes.count() as u64));
            assert!(self.mbox[self.at..].starts_with(b">From "));
            self.at += 1;
            assert!(
                self.mbox[self.at..].starts_with(piece),
                "text from elsewhere"
            );
        }
        self.at += piece.len();
    }

    fn stray(&mut self, offset: u64, bytes: u64, is_first: bool) {
        assert!(is_first && !self.is_in_mail && bytes > 0);
        self.skip_separator(offset, is_first);
        self.skip_to(offset + bytes);
    }

    fn over(&mut self, is_empty: bool) {
        assert!(!self.is_in_mail, "a mail without an end");
        self.skip_separator(self.mbox.len() as u64, is_empty);
    }

    /// Between mails stands an empty line at most; before the first, anything blank.
    fn skip_separator(&mut self, end: u64, is_first: bool) {
        let start = self.at;
        self.skip_to(end);
        let separator = &self.mbox[start..self.at];
        let is_right = if is_first {
            let blank = separator.strip_prefix(BYTE_ORDER_MARK).unwrap_or(separator);
            blank.trim_ascii().is_empty()
        } else {
            matches!(separator, b"" | b"\n" | b"\r\n")
        };
        assert!(is_right, "lost: {}", separator.escape_ascii());
    }

    fn skip_to(&mut self, end: u64) {
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        assert!(
            (self.at..=self.mbox.len()).contains(&end),
            "{end} beyond {}",
            self.at
        );
        self.at = end;
    }
}

/// The texts of the mails that are read from an mbox in pieces.
fn read(mbox: &[u8], variant: Variant, sizes: &[usize]) -> Vec<Vec<u8>> {
    let place = Place {
        file: Path::new("fuzz.mbox").into(),
        entry: None,
        folder: FolderPath::default(),
        file_time: None,
    };
    let mut texts = Texts::default();
    let mut input = Pieces::new(mbox, sizes);
    let flow = read_mbox(&mut input, &place, variant, Labels::Each, &mut texts);
    assert!(flow.is_ok_and(|flow| flow.is_continue()));
    assert!(texts.open.is_empty(), "text of no mail");
    texts.whole
}

#[derive(Default)]
struct Texts {
    open: Vec<u8>,
    whole: Vec<Vec<u8>>,
}

impl Sink for Texts {
    fn text(&mut self, piece: &[u8]) {
        self.open.extend_from_slice(piece);
    }

    fn mail(&mut self, found: Found) -> ControlFlow<()> {
        assert!(!found.folders.is_empty());
        self.whole.push(std::mem::take(&mut self.open));
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, _: Position, _: FolderPath, _: String) -> ControlFlow<()> {
        self.open.clear();
        ControlFlow::Continue(())
    }
}

/// Gives its bytes in pieces of these lengths, over and over.
struct Pieces<'d> {
    rest: &'d [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'d, usize>>,
}

impl<'d> Pieces<'d> {
    fn new(data: &'d [u8], sizes: &'d [usize]) -> Self {
        Self {
            rest: data,
            sizes: sizes.iter().cycle(),
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().copied().unwrap_or(usize::MAX);
        let size = size.min(space.len()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(size);
        space[..size].copy_from_slice(piece);
        self.rest = rest;
        Ok(size)
    }
}
