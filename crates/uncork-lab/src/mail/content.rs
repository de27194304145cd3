//! The content of a mail: its Content fields, the empty line, and bodies of each kind up to a
//! given size.

use std::fmt::Write as _;

use super::coding::{Charset, base64_fits, base64_lines, quoted_printable};
use super::dice::Dice;
use super::header::field;
use super::words::{FILES, sentence};

/// Above this size, most mails have attachments.
const LARGE_BYTES: usize = 20_000;

/// Below this size, no mail has more than one part.
const SMALL_BYTES: usize = 2_000;

/// How wide people write.
const TEXT_COLUMNS: u32 = 72;

/// One kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text(Charset, Coding),
    /// RFC 3676: lines that end with a space go on in the next.
    Flowed(Charset),
    /// multipart/alternative: text and HTML, both quoted-printable.
    Alternative,
    /// multipart/mixed: text and files in base64.
    Mixed,
}

/// How lines of text are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// 7bit or 8bit, as the charset has it.
    Plain,
    QuotedPrintable,
}

/// Appends the content of a mail that has its other fields in `out` already, so that the whole
/// has about `mail_bytes`: never more, unless already the fields and a line of text are.
pub(super) fn write(dice: &mut Dice, mail_bytes: usize, out: &mut Vec<u8>) {
    let content_bytes = mail_bytes.saturating_sub(out.len());
    match draw_kind(dice, content_bytes) {
        Kind::Alternative => alternative(dice, mail_bytes, out),
        Kind::Mixed => mixed(dice, mail_bytes, out),
        kind @ (Kind::Text(..) | Kind::Flowed(_)) => text(dice, kind, mail_bytes, out),
    }
}

fn draw_kind(dice: &mut Dice, content_bytes: usize) -> Kind {
    let kind = dice.below(16);
    if content_bytes > LARGE_BYTES && kind < 12 {
        return Kind::Mixed;
    }
    match kind {
        0..=5 if content_bytes > SMALL_BYTES => Kind::Alternative,
        6 if content_bytes > SMALL_BYTES => Kind::Mixed,
        7 | 8 => Kind::Flowed(dice.pick(&[Charset::Ascii, Charset::Utf8])),
        9 | 10 => Kind::Text(Charset::Utf8, Coding::Plain),
        11 => Kind::Text(Charset::Latin1, Coding::Plain),
        12 => Kind::Text(Charset::Latin1, Coding::QuotedPrintable),
        13 => Kind::Text(Charset::Utf8, Coding::QuotedPrintable),
        _ => Kind::Text(Charset::Ascii, Coding::Plain),
    }
}

fn text(dice: &mut Dice, kind: Kind, end: usize, out: &mut Vec<u8>) {
    let (charset, coding, flowed) = match kind {
        Kind::Flowed(charset) => (charset, Coding::Plain, "; format=flowed"),
        Kind::Text(charset, coding) => (charset, coding, ""),
        Kind::Alternative | Kind::Mixed => (Charset::Utf8, Coding::QuotedPrintable, ""),
    };
    let name = charset.name();
    // Both quoted and not, and in either case: importers meet all of them.
    let media_type = if dice.one_in(4) {
        format!("TEXT/PLAIN; CHARSET=\"{}\"{flowed}", name.to_uppercase())
    } else {
        format!("text/plain; charset={name}{flowed}")
    };
    field(out, "Content-Type", &media_type);
    field(
        out,
        "Content-Transfer-Encoding",
        transfer_encoding(charset, coding),
    );
    out.push(b'\n');
    let mut page = Page {
        out,
        end,
        charset,
        coding,
        is_fresh: true,
    };
    if flowed.is_empty() {
        write_lines(dice, &mut page);
    } else {
        write_flowed(dice, &mut page);
    }
}

fn transfer_encoding(charset: Charset, coding: Coding) -> &'static str {
    match (coding, charset) {
        (Coding::QuotedPrintable, _) => "quoted-printable",
        (Coding::Plain, Charset::Ascii) => "7bit",
        (Coding::Plain, Charset::Latin1 | Charset::Utf8) => "8bit",
    }
}

/// Takes lines of text while they fit.
struct Page<'p> {
    out: &'p mut Vec<u8>,
    end: usize,
    charset: Charset,
    coding: Coding,
    /// The first line is taken whether or not it fits, so that no body is empty.
    is_fresh: bool,
}

impl Page<'_> {
    /// Appends the line if it fits, and says whether it did.
    fn line(&mut self, text: &str) -> bool {
        let before = self.out.len();
        match self.coding {
            Coding::Plain => {
                self.charset.encode(text, self.out);
                self.out.push(b'\n');
            }
            Coding::QuotedPrintable => {
                let mut bytes = Vec::with_capacity(text.len());
                self.charset.encode(text, &mut bytes);
                quoted_printable(&bytes, self.out);
            }
        }
        let fits = self.is_fresh || self.out.len() <= self.end;
        self.is_fresh = false;
        if !fits {
            self.out.truncate(before);
        }
        fits
    }
}

/// Paragraphs, quotations, a signature, and the lines that software trips over.
fn write_lines(dice: &mut Dice, page: &mut Page<'_>) {
    let is_answer = dice.one_in(3);
    loop {
        let prefix = if is_answer && dice.one_in(3) {
            "> "
        } else {
            ""
        };
        for _ in 0..dice.between(1, 8) {
            let columns = dice.between(TEXT_COLUMNS - 30, TEXT_COLUMNS - 8) as usize;
            let words = sentence(dice, page.charset, columns);
            let line = match dice.below(40) {
                // An mbox would need these quoted, SMTP those doubled; IMAP and Maildir neither.
                0 => format!("From {words}"),
                1 => format!(".{words}"),
                2 => ".".to_owned(),
                3 => format!("\t{words}"),
                _ => format!("{prefix}{words}"),
            };
            if !page.line(&line) {
                return;
            }
        }
        let pause = if dice.one_in(30) { "-- " } else { "" };
        if !page.line(pause) {
            return;
        }
    }
}

fn write_flowed(dice: &mut Dice, page: &mut Page<'_>) {
    loop {
        let lines = dice.between(1, 8);
        for n in 1..=lines {
            let columns = dice.between(TEXT_COLUMNS - 20, TEXT_COLUMNS - 8) as usize;
            let words = sentence(dice, page.charset, columns);
            // Space-stuffing, RFC 3676 section 4.4.
            let start = if dice.one_in(40) { " From " } else { "" };
            let soft = if n < lines { " " } else { "" };
            if !page.line(&format!("{start}{words}{soft}")) {
                return;
            }
        }
        if !page.line("") {
            return;
        }
    }
}

fn write_html(dice: &mut Dice, page: &mut Page<'_>) {
    page.line("<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body>");
    loop {
        let columns = dice.between(40, 400) as usize;
        let words = sentence(dice, page.charset, columns).replace('&', "&amp;");
        let paragraph = format!("<p style=\"margin: 0 0 1em 0;\">{words}</p>");
        if !page.line(&paragraph) {
            return;
        }
    }
}

fn alternative(dice: &mut Dice, end: usize, out: &mut Vec<u8>) {
    let boundary = Boundary::draw(dice);
    boundary.announce(out, "alternative");
    let end = end.saturating_sub(boundary.closing_bytes());
    // HTML says the same in more bytes.
    let end_of_text = out.len() + end.saturating_sub(out.len()) / 3;
    boundary.open_part(out);
    let kind = Kind::Text(Charset::Utf8, Coding::QuotedPrintable);
    text(dice, kind, end_of_text, out);
    boundary.open_part(out);
    field(out, "Content-Type", "text/html; charset=\"utf-8\"");
    field(out, "Content-Transfer-Encoding", "quoted-printable");
    out.push(b'\n');
    write_html(
        dice,
        &mut Page {
            out,
            end: end.saturating_sub("</body></html>\n".len()),
            charset: Charset::Utf8,
            coding: Coding::QuotedPrintable,
            is_fresh: true,
        },
    );
    out.extend_from_slice(b"</body></html>\n");
    boundary.close(out);
}

fn mixed(dice: &mut Dice, end: usize, out: &mut Vec<u8>) {
    let boundary = Boundary::draw(dice);
    boundary.announce(out, "mixed");
    out.extend_from_slice(b"This is a multi-part message in MIME format.\n");
    let end = end.saturating_sub(boundary.closing_bytes());
    let content_bytes = end.saturating_sub(out.len());
    boundary.open_part(out);
    let kind = Kind::Text(Charset::Utf8, Coding::Plain);
    let text_bytes = (content_bytes / 3).min(dice.between(300, 4_000) as usize);
    text(dice, kind, out.len() + text_bytes, out);
    let files = if content_bytes > LARGE_BYTES {
        dice.between(1, 4)
    } else {
        1
    };
    for file in 0..files {
        boundary.open_part(out);
        let left = end.saturating_sub(out.len()) / (files - file) as usize;
        let end_of_file = out.len() + left;
        attachment_fields(dice, out);
        let mut bytes = vec![0; base64_fits(end_of_file.saturating_sub(out.len()))];
        dice.fill(&mut bytes);
        base64_lines(&bytes, out);
    }
    boundary.close(out);
}

fn attachment_fields(dice: &mut Dice, out: &mut Vec<u8>) {
    let (name, media_type) = dice.pick(FILES);
    let parameter = if name.is_ascii() {
        format!("filename=\"{name}\"")
    } else {
        format!("filename*=UTF-8''{}", percent_encode(name))
    };
    field(out, "Content-Type", media_type);
    field(out, "Content-Transfer-Encoding", "base64");
    field(
        out,
        "Content-Disposition",
        &format!("attachment;\n {parameter}"),
    );
    out.push(b'\n');
}

/// The ext-value of RFC 2231 and RFC 5987.
fn percent_encode(name: &str) -> String {
    name.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// The line between the parts of a multipart.
struct Boundary(String);

impl Boundary {
    fn draw(dice: &mut Dice) -> Self {
        let number = dice.number();
        Self(match dice.below(3) {
            0 => format!("------------{number:016X}"),
            1 => format!("=_{number:016x}_="),
            _ => format!("000000000000{number:016x}"),
        })
    }

    fn announce(&self, out: &mut Vec<u8>, subtype: &str) {
        let value = format!("multipart/{subtype};\n boundary=\"{}\"", self.0);
        field(out, "Content-Type", &value);
        out.push(b'\n');
    }

    fn open_part(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\n--{}\n", self.0).as_bytes());
    }

    fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\n--{}--\n", self.0).as_bytes());
    }

    fn closing_bytes(&self) -> usize {
        self.0.len() + "\n----\n".len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_keep_to_their_size() {
        let mut dice = Dice::new(5);
        for mail_bytes in [3_000, 10_000, 50_000, 200_000] {
            for _ in 0..200 {
                let mut out = vec![b'x'; 500];
                write(&mut dice, mail_bytes, &mut out);
                assert!(out.len() <= mail_bytes, "{} > {mail_bytes}", out.len());
                assert!(
                    mail_bytes - out.len() < 1_500,
                    "{} << {mail_bytes}",
                    out.len()
                );
                assert!(out.ends_with(b"\n"));
            }
        }
    }

    #[test]
    fn names_of_files_are_percent_encoded() {
        assert_eq!(percent_encode("schéma 1.png"), "sch%C3%A9ma%201.png");
    }
}
