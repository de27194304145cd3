//! Apple Mail's .emlx: a line with the number of bytes of the mail, the mail, then a property
//! list with what Apple knows of it.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};

use jiff::Timestamp;

use super::packing::read_up_to;
use super::text::{Told, copy_exactly};
use crate::mail::{Flag, Sink};

/// Most bytes of the first line: digits, then blanks that make it as long as it ever has to be.
const LENGTH_LINE_BYTES_MAX: usize = 64;

/// Most of a property list that is read.
const PROPERTIES_BYTES_MAX: u64 = 64 * 1024;

/// The bits of `flags`, as far as IMAP has words for them.
const FLAGS: [(u64, &str); 6] = [
    (1, "\\Seen"),
    (1 << 1, "\\Deleted"),
    (1 << 2, "\\Answered"),
    (1 << 4, "\\Flagged"),
    (1 << 6, "\\Draft"),
    (1 << 8, "$Forwarded"),
];

/// Hands the text of the mail to the sink.
pub(super) fn copy(
    input: &mut dyn Read,
    buffer: &mut [u8],
    sink: &mut dyn Sink,
) -> io::Result<Told> {
    let mut line = [0; LENGTH_LINE_BYTES_MAX];
    let read = read_up_to(input, &mut line)?;
    let no_length = || {
        io::Error::new(
            ErrorKind::InvalidData,
            "does not begin with the length of its mail, as an .emlx does",
        )
    };
    let end = memchr::memchr(b'\n', &line[..read]).ok_or_else(no_length)?;
    let len = std::str::from_utf8(&line[..end])
        .ok()
        .and_then(|line| line.trim().parse::<u64>().ok())
        .ok_or_else(no_length)?;
    let mut rest = line[end + 1..read].chain(input);
    copy_exactly(&mut rest, len, buffer, sink).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(
            error.kind(),
            format!("ends before the {len} bytes of its mail"),
        ),
        _ => error,
    })?;
    let mut properties = Vec::new();
    rest.take(PROPERTIES_BYTES_MAX)
        .read_to_end(&mut properties)?;
    Ok(told(&String::from_utf8_lossy(&properties)))
}

fn told(properties: &str) -> Told {
    let bits = integer(properties, "flags").unwrap_or(0);
    let flags = FLAGS.iter().filter(|(bit, _)| bits & bit != 0);
    let flags: Vec<Flag> = flags.map(|(_, flag)| Cow::Borrowed(*flag)).collect();
    let seconds = integer(properties, "date-received").and_then(|date| i64::try_from(date).ok());
    let received = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Told { flags, received }
}

/// The value of `<key>name</key> <integer>value</integer>`.
fn integer(properties: &str, name: &str) -> Option<u64> {
    let (_, after) = properties.split_once(&format!("<key>{name}</key>"))?;
    let value = after.trim_start().strip_prefix("<integer>")?;
    value.split_once('<')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Collected;
    use super::*;

    const PROPERTIES: &str = "<?xml version=\"1.0\"?>\n<plist version=\"1.0\">\n<dict>\n\
        \t<key>date-received</key>\n\t<integer>1256227892</integer>\n\
        \t<key>flags</key>\n\t<integer>8590195729</integer>\n</dict>\n</plist>\n";

    #[test]
    fn the_mail_is_told_from_what_follows() {
        for text in [
            "A: b\n\nc\n".to_owned(),
            "A: b\n".repeat(100),
            String::new(),
        ] {
            let file = format!("{}      \n{text}{PROPERTIES}", text.len());
            let mut sink = Collected::default();
            let told = copy(&mut file.as_bytes(), &mut [0; 7], &mut sink).unwrap();
            assert_eq!(sink.text, text.as_bytes());
            assert_eq!(told.flags, ["\\Seen", "\\Flagged"]);
            assert_eq!(told.received, Timestamp::from_second(1_256_227_892).ok());
        }
    }

    #[test]
    fn what_is_none_says_so() {
        for (file, expected) in [
            ("", "does not begin"),
            ("12", "does not begin"),
            ("A: b\n\nc", "does not begin"),
            ("-1\nx", "does not begin"),
            ("99\nA: b\n", "ends before the 99 bytes"),
            ("18446744073709551615\nA: b\n", "ends before"),
        ] {
            let mut sink = Collected::default();
            let error = copy(&mut file.as_bytes(), &mut [0; 7], &mut sink).unwrap_err();
            assert!(error.to_string().contains(expected), "{file:?}: {error}");
        }
        let mut sink = Collected::default();
        let told = copy(&mut &b"3\nA:b<plist"[..], &mut [0; 7], &mut sink).unwrap();
        assert_eq!(told, Told::default());
    }
}
