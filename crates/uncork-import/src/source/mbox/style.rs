//! How an mbox is written: there are four variants, and no file says which it is.

use memchr::memmem;

use super::Variant;
use super::envelope::{
    BYTE_ORDER_MARK, Before, JUDGED_BYTES, Separation, empty_line_bytes, envelope, first_envelope,
    follows,
};
use super::header::{HEADER_BYTES_MAX, content_length, header_end};

/// How much of a file is looked at to tell how it is written.
pub(super) const SAMPLE_BYTES: usize = 256 * 1024;

/// What has to be known of an mbox to cut it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) lengths: Lengths,
    pub(super) unquote: Unquote,
    pub(super) separation: Separation,
}

/// Whether a Content-Length says where a mail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lengths {
    /// It does where it leads to a `From ` line or the end.
    Checked,
    Ignored,
}

/// From which lines a `>` is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unquote {
    /// `>From `, `>>From ` and so on: mboxrd.
    Every,
    /// `>From ` only: mboxo and mboxcl.
    One,
    /// None: mboxcl2.
    Never,
}

impl Unquote {
    /// Whether a `>` is taken from a `From ` with so many.
    pub(super) fn applies(self, quotes: u64) -> bool {
        match self {
            Self::Every => quotes > 0,
            Self::One => quotes == 1,
            Self::Never => false,
        }
    }
}

impl Default for Style {
    fn default() -> Self {
        Self {
            lengths: Lengths::Ignored,
            unquote: Unquote::Every,
            separation: Separation::EmptyLine,
        }
    }
}

impl Style {
    /// The style of a variant, by what the head of the file shows.
    ///
    /// A Content-Length counts where mails have one and it is right more often than wrong. Then
    /// `>From ` is unquoted if there is one, and no `From ` that went unquoted. Without, an
    /// unquoted `From ` in a text tells that nobody made an mboxrd of it, where all are quoted:
    /// mboxo. All else is mboxrd.
    pub(super) fn of(sample: &[u8], variant: Variant) -> Self {
        let evidence = Evidence::of(sample);
        let lengths = match variant {
            Variant::Auto => evidence.lengths(),
            Variant::Mboxcl | Variant::Mboxcl2 => Lengths::Checked,
            Variant::Mboxo | Variant::Mboxrd => Lengths::Ignored,
        };
        let unquote = match variant {
            Variant::Auto => evidence.unquote(lengths),
            Variant::Mboxo | Variant::Mboxcl => Unquote::One,
            Variant::Mboxrd => Unquote::Every,
            Variant::Mboxcl2 => Unquote::Never,
        };
        let separation = if evidence.together > 0 && evidence.apart == 0 {
            Separation::EnvelopeAlone
        } else {
            Separation::EmptyLine
        };
        Self {
            lengths,
            unquote,
            separation,
        }
    }
}

/// What is counted in a sample.
#[derive(Debug, Default)]
struct Evidence {
    /// Mails with a Content-Length; some of them end beyond the sample.
    lengths: usize,
    lengths_right: usize,
    lengths_wrong: usize,
    /// Lines that begin with `>From `, `>>From `…
    quoted: usize,
    /// Lines of text that begin with `From `.
    unquoted: usize,
    /// `From ` lines after an empty line that begin a mail.
    apart: usize,
    /// Those that would, had they an empty line before them.
    together: usize,
}

impl Evidence {
    fn of(sample: &[u8]) -> Self {
        let mut evidence = Self::default();
        let sample = sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample);
        let mut is_first = true;
        // Up to here a Content-Length that is right says that all is text.
        let mut text_end = 0;
        for at in memmem::find_iter(sample, b"From ") {
            let quotes = sample[..at]
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'>')
                .count();
            let line_at = at - quotes;
            if line_at > 0 && sample[line_at - 1] != b'\n' {
                continue;
            }
            let rest = &sample[at..];
            if quotes > 0 {
                evidence.quoted += 1;
            } else if at < text_end {
                evidence.unquoted += 1;
            } else if is_first && first_envelope(rest).is_some() {
                is_first = false;
                text_end = evidence.note_length(sample, at);
            } else if let Some(bytes) = separator_bytes(sample, at) {
                match bytes {
                    0 => evidence.together += 1,
                    _ => evidence.apart += 1,
                }
                text_end = evidence.note_length(sample, at);
            } else if !is_first {
                evidence.unquoted += 1;
            }
        }
        evidence
    }

    fn lengths(&self) -> Lengths {
        if self.lengths > 0 && self.lengths_right >= self.lengths_wrong {
            Lengths::Checked
        } else {
            Lengths::Ignored
        }
    }

    fn unquote(&self, lengths: Lengths) -> Unquote {
        match (lengths, self.unquoted) {
            (Lengths::Ignored, 0) => Unquote::Every,
            (Lengths::Checked, unquoted) if unquoted > 0 || self.quoted == 0 => Unquote::Never,
            _ => Unquote::One,
        }
    }

    /// Notes whether the mail with its `From ` line at `at` has a Content-Length and whether it
    /// is right; gives the end of the mail if it is.
    fn note_length(&mut self, sample: &[u8], at: usize) -> usize {
        let text_at = memchr::memchr(b'\n', &sample[at..]).map_or(sample.len(), |end| at + end + 1);
        let text = &sample[text_at..];
        let head = &text[..text.len().min(HEADER_BYTES_MAX)];
        let Some(header_bytes) = header_end(head, 0) else {
            return 0;
        };
        let Some(length) = content_length(&head[..header_bytes]) else {
            return 0;
        };
        self.lengths += 1;
        let is_whole = sample.len() < SAMPLE_BYTES;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| (text_at + header_bytes).checked_add(length))
            .filter(|&end| is_whole || end + JUDGED_BYTES < sample.len());
        match end {
            Some(end) if follows(sample, end).is_some() => {
                self.lengths_right += 1;
                end
            }
            Some(_) => {
                self.lengths_wrong += 1;
                0
            }
            None => 0,
        }
    }
}

/// The length of the empty line before the `From ` line at `at`, if that begins a mail.
fn separator_bytes(sample: &[u8], at: usize) -> Option<usize> {
    let bytes = empty_line_bytes(&sample[..at]);
    let before = match bytes {
        0 => Before::Text,
        _ => Before::EmptyLine,
    };
    envelope(&sample[at..], before, Separation::EnvelopeAlone).map(|_| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = "From ada Thu Feb  1 04:05:06 2001\n";

    /// What `Auto` makes of a sample; `{F}` stands for an envelope, `{L}` for the right length of
    /// the body `1\n`.
    #[track_caller]
    fn check(sample: &str, lengths: Lengths, unquote: Unquote, separation: Separation) {
        let sample = sample.replace("{F}", ENVELOPE);
        let sample = sample.replace("{L}", "Content-Length: 2\n");
        let expected = Style {
            lengths,
            unquote,
            separation,
        };
        assert_eq!(
            Style::of(sample.as_bytes(), Variant::Auto),
            expected,
            "{sample:?}"
        );
    }

    #[test]
    fn styles_of_samples() {
        use Lengths::{Checked, Ignored};
        use Separation::{EmptyLine, EnvelopeAlone};
        use Unquote::{Every, Never, One};
        check("", Ignored, Every, EmptyLine);
        check("{F}a: b\n\n1\n\n{F}a: b\n\n2\n", Ignored, Every, EmptyLine);
        check("{F}a: b\n\n>From 1\n>>From 2\n", Ignored, Every, EmptyLine);
        check("{F}a: b\n\n>From 1\nFrom 2\n", Ignored, One, EmptyLine);
        check("{F}a: b\n\n1 From 2\n", Ignored, Every, EmptyLine);
        check("\u{feff}{F}{L}\n1\n", Checked, Never, EmptyLine);
        check("{F}{L}\n1\n\n{F}{L}\n1\n", Checked, Never, EmptyLine);
        check("{F}{L}\n1\n\n{F}a: b\n\n>From 2\n", Checked, One, EmptyLine);
        check(
            "{F}{L}\n1\n\n{F}a: b\n\n>From 2\nFrom 3\n",
            Checked,
            Never,
            EmptyLine,
        );
        check("{F}{L}\n123\n\n{F}{L}\n1\n", Checked, Never, EmptyLine);
        check(
            "{F}{L}\n123\n\n{F}{L}\n123\n\n{F}{L}\n1\n",
            Ignored,
            Every,
            EmptyLine,
        );
        check(
            "{F}a: b\n\n1\n{F}a: b\n\n2\n",
            Ignored,
            Every,
            EnvelopeAlone,
        );
        check("{F}a: b\n\n1\n{F}2\n", Ignored, One, EmptyLine);
        // One empty line is enough to show that the exporter knows of it.
        check(
            "{F}a: b\n\n1\n{F}a: b\n\n2\n\n{F}c: d\n",
            Ignored,
            Every,
            EmptyLine,
        );
    }
}
