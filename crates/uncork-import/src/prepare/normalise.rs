//! Line ends and NULs: every text becomes what an IMAP literal can carry, piece by piece.
//!
//! RFC 3501, section 4.3 forbids NUL in a literal; RFC 5322, section 2.3 forbids CR and LF
//! other than together, and Cyrus refuses such mail. What is done to a stray CR:
//!
//! - CRs before an LF are one line end with it: `\r\r\n` is what a file written as text twice
//!   on Windows has at the end of each line. Two line ends would end the header after its
//!   first field.
//! - Where the first line ends in a bare CR, CR is the line end of this mail (Mac OS 9).
//! - Elsewhere in a header, where a new line would be a broken field, it becomes a fold, as
//!   Exim does; in a body it becomes a line end, which shows the text as it was meant.

use memchr::{memchr, memchr_iter, memchr2_iter, memmem};

use super::lines::extend_crlf;
use super::repair::{Repair, Repairs};

/// What stands for a NUL, as with Dovecot and UW IMAP: one byte, so that lengths stay, and one
/// that no text in ASCII or UTF-8 has there by itself.
const NUL_REPLACED: u8 = 0x80;

/// Most bytes of a mail in which a stray CR can be in the header.
const FOLDED_BYTES_MAX: usize = 64 * 1024;

/// Most line ends that stray CRs in a row become: a gigabyte of them must not become two in
/// memory.
const EMPTY_LINES_MAX: usize = 1024;

/// Makes one mail's text one that IMAP can carry, whatever the pieces it comes in.
#[derive(Debug, Default)]
pub(crate) struct Normaliser {
    /// Whether NULs stay.
    keeps_nul: bool,
    /// CRs at the end of the last piece: what follows decides about them.
    pending_crs: usize,
    /// Whether the mail's first line ended in a bare CR; `None` before its end.
    ends_in_cr: Option<bool>,
    in_body: bool,
    /// How far `out` has been looked through for the end of the header.
    searched: usize,
    repairs: Repairs,
    has_nul: bool,
}

impl Normaliser {
    pub(crate) fn new(keeps_nul: bool) -> Self {
        Self {
            keeps_nul,
            ..Self::default()
        }
    }

    /// Appends the next piece of the text to `out`. Until [`body_begins`](Self::body_begins) was
    /// called, `out` must hold all that was appended so far.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let text = self.settle_crs(piece, out);
        let crs_at_end = text.iter().rev().take_while(|&&byte| byte == b'\r').count();
        let text = &text[..text.len() - crs_at_end];
        if !text.is_empty() {
            let start = out.len();
            self.push_lines(text, out);
            self.replace_nuls(&mut out[start..]);
        }
        self.pending_crs += crs_at_end;
    }

    /// The mail is whole.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.pending_crs > 0 {
            self.stray_crs(self.pending_crs, None, out);
            self.pending_crs = 0;
        }
    }

    /// From now on `out` begins somewhere in the body.
    pub(crate) fn body_begins(&mut self) {
        self.in_body = true;
    }

    /// What was done so far.
    pub(crate) fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Whether there are NULs in what was appended.
    pub(crate) fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Decides about the CRs before and at the beginning of `piece`, if there were some before;
    /// gives what is left of it.
    fn settle_crs<'p>(&mut self, piece: &'p [u8], out: &mut Vec<u8>) -> &'p [u8] {
        if self.pending_crs == 0 {
            return piece;
        }
        let more = piece.iter().take_while(|&&byte| byte == b'\r').count();
        self.pending_crs += more;
        let rest = &piece[more..];
        let Some(&next) = rest.first() else {
            return rest;
        };
        let crs = std::mem::take(&mut self.pending_crs);
        if next == b'\n' {
            self.end_line(crs, out);
            &rest[1..]
        } else {
            self.stray_crs(crs, Some(next), out);
            rest
        }
    }

    /// `text` is not empty, begins with no LF that belongs to a CR before it, and ends in no CR.
    fn push_lines(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let lfs = memchr_iter(b'\n', text).count();
        let crs = memchr_iter(b'\r', text).count();
        let start = out.len();
        out.reserve(text.len() + lfs.saturating_sub(crs));
        extend_crlf(out, text, 0);
        let bare_lfs = out.len() - start - text.len();
        if crs == lfs - bare_lfs {
            if lfs > 0 {
                self.ends_in_cr.get_or_insert(false);
            }
            if bare_lfs > 0 {
                self.repairs.insert(Repair::BareLf);
            }
        } else {
            out.truncate(start);
            self.push_lines_with_stray_crs(text, out);
        }
    }

    #[cold]
    fn push_lines_with_stray_crs(&mut self, text: &[u8], out: &mut Vec<u8>) {
        // `start` is where what has not been appended yet begins.
        let (mut start, mut crs) = (0, 0);
        for at in memchr2_iter(b'\r', b'\n', text) {
            if crs > 0 && at > start + crs {
                self.stray_crs(crs, Some(text[start + crs]), out);
                start += crs;
                crs = 0;
            }
            if crs == 0 {
                out.extend_from_slice(&text[start..at]);
                start = at;
            }
            if text[at] == b'\r' {
                crs += 1;
            } else {
                self.end_line(crs, out);
                start = at + 1;
                crs = 0;
            }
        }
        if crs > 0 {
            self.stray_crs(crs, Some(text[start + crs]), out);
        }
        out.extend_from_slice(&text[start + crs..]);
    }

    /// An LF with so many CRs before it.
    fn end_line(&mut self, crs: usize, out: &mut Vec<u8>) {
        match crs {
            0 => self.repairs.insert(Repair::BareLf),
            1 => {}
            _ => self.repairs.insert(Repair::BareCr),
        }
        self.ends_in_cr.get_or_insert(false);
        out.extend_from_slice(b"\r\n");
    }

    /// So many CRs, and behind them `next`, which is neither CR nor LF; `None` at the mail's end.
    fn stray_crs(&mut self, crs: usize, next: Option<u8>, out: &mut Vec<u8>) {
        self.repairs.insert(Repair::BareCr);
        let ends_in_cr = *self.ends_in_cr.get_or_insert(true);
        if ends_in_cr || !self.is_in_header(out) {
            for _ in 0..crs.min(EMPTY_LINES_MAX) {
                out.extend_from_slice(b"\r\n");
            }
        } else {
            // Two folds in a row would be a line of blanks, which some take for the header's
            // end.
            out.extend_from_slice(b"\r\n");
            if next.is_some_and(|next| next != b' ' && next != b'\t') {
                out.push(b' ');
            }
        }
    }

    fn is_in_header(&mut self, out: &[u8]) -> bool {
        if !self.in_body {
            // The end may lie across what was searched before.
            let from = self.searched.saturating_sub(3);
            self.searched = out.len();
            self.in_body = out.len() > FOLDED_BYTES_MAX
                || out.starts_with(b"\r\n")
                || memmem::find(&out[from..], b"\r\n\r\n").is_some();
        }
        !self.in_body
    }

    fn replace_nuls(&mut self, text: &mut [u8]) {
        let Some(first) = memchr(0, text) else {
            return;
        };
        if self.keeps_nul {
            self.has_nul = true;
            return;
        }
        self.repairs.insert(Repair::Nul);
        for byte in &mut text[first..] {
            if *byte == 0 {
                *byte = NUL_REPLACED;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalised(text: &[u8], keeps_nul: bool, piece_bytes: usize) -> (Vec<u8>, Normaliser) {
        let mut normaliser = Normaliser::new(keeps_nul);
        let mut out = Vec::new();
        for piece in text.chunks(piece_bytes) {
            normaliser.push(piece, &mut out);
        }
        normaliser.finish(&mut out);
        (out, normaliser)
    }

    #[track_caller]
    fn check(text: &str, expected: &[u8], repairs: &[Repair]) {
        for piece_bytes in [1, 2, usize::MAX] {
            let (out, normaliser) = normalised(text.as_bytes(), false, piece_bytes);
            let readable = out.escape_ascii();
            assert_eq!(out, expected, "{text:?} became {readable}");
            let done: Vec<_> = normaliser.repairs().iter().collect();
            assert_eq!(done, repairs, "{text:?}");
        }
    }

    #[test]
    fn line_ends() {
        use Repair::{BareCr, BareLf};
        check("", b"", &[]);
        check("a", b"a", &[]);
        check("a\r\n\r\nb\r\n", b"a\r\n\r\nb\r\n", &[]);
        check("a\n\nb", b"a\r\n\r\nb", &[BareLf]);
        check("a\nb\r\n", b"a\r\nb\r\n", &[BareLf]);
        // Written as text twice.
        check("A: b\r\r\n\r\r\nc\r\r\n", b"A: b\r\n\r\nc\r\n", &[BareCr]);
        // Mac OS 9.
        check(
            "A: b\rC: d\r\re\r\r",
            b"A: b\r\nC: d\r\n\r\ne\r\n\r\n",
            &[BareCr],
        );
        check("a\r", b"a\r\n", &[BareCr]);
        check("\r\ra", b"\r\n\r\na", &[BareCr]);
        // In a header, then in a body.
        check(
            "A: b\nC: d\re\n",
            b"A: b\r\nC: d\r\n e\r\n",
            &[BareLf, BareCr],
        );
        check(
            "A: b\r\nC: d\r\r\te\r\n",
            b"A: b\r\nC: d\r\n\te\r\n",
            &[BareCr],
        );
        check(
            "A: b\r\n\r\nc\rd\r\r e",
            b"A: b\r\n\r\nc\r\nd\r\n\r\n e",
            &[BareCr],
        );
        check(
            "A: b\n\nc\rd\r\r\r\n\r",
            b"A: b\r\n\r\nc\r\nd\r\n\r\n",
            &[BareLf, BareCr],
        );
    }

    #[test]
    fn nuls() {
        check("a\0\0b\r\n\0", b"a\x80\x80b\r\n\x80", &[Repair::Nul]);
        let (out, normaliser) = normalised(b"a\0\r\0", true, 1);
        assert_eq!(out, b"a\0\r\n\0");
        assert!(normaliser.has_nul());
        assert!(!normaliser.repairs().contains(Repair::Nul));
    }

    proptest! {
        #[test]
        fn out_comes_what_imap_can_carry(
            text in "[a :\r\n\0]{0,80}",
            keeps_nul in any::<bool>(),
            piece_bytes in 1usize..9,
        ) {
            let (whole, by_whole) = normalised(text.as_bytes(), keeps_nul, usize::MAX);
            let (pieces, by_pieces) = normalised(text.as_bytes(), keeps_nul, piece_bytes);
            prop_assert_eq!(&pieces, &whole);
            prop_assert_eq!(by_pieces.repairs(), by_whole.repairs());
            prop_assert_eq!(by_pieces.has_nul(), by_whole.has_nul());
            prop_assert_eq!(whole.contains(&0), by_whole.has_nul());
            // No CR but with an LF, and no LF but with a CR.
            let without_ends = String::from_utf8_lossy(&whole).replace("\r\n", "");
            prop_assert!(!without_ends.contains(['\r', '\n']));
            // A second time, nothing is left to do.
            let (again, by_second) = normalised(&whole, keeps_nul, piece_bytes);
            prop_assert_eq!(&again, &whole);
            prop_assert!(by_second.repairs().is_empty());
        }

        /// What needs no repair stays as it is, to the byte.
        #[test]
        fn clean_mail_stays(
            lines in prop::collection::vec(prop::collection::vec(14u8.., 0..20), 0..8),
            piece_bytes in 1usize..30,
        ) {
            let mail = lines.join(&b"\r\n"[..]);
            let (out, normaliser) = normalised(&mail, false, piece_bytes);
            prop_assert_eq!(out, mail);
            prop_assert!(normaliser.repairs().is_empty());
        }
    }
}
