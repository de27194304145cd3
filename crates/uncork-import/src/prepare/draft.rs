//! The text of a mail on its way to what is sent: in memory, or in a file where it is long.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use memchr::memchr;

use super::head::{HEAD_BYTES_MAX, Head, Opening};
use super::normalise::Normaliser;
use super::repair::{Repair, Repairs};
use super::spool::{MEMORY_BYTES_MAX, STEP_BYTES, Spool};
use crate::mail::{Digest, Text};

/// Longest mail. An IMAP literal's length has 32 bits (RFC 3501, section 9), and no server
/// takes nearly as much.
pub(crate) const MAIL_BYTES_MAX: u64 = u32::MAX as u64;

// A mail that leaves memory has its header there whole, as far as it is looked at.
const _: () = assert!(HEAD_BYTES_MAX <= MEMORY_BYTES_MAX);

/// The text of a mail, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Draft {
    normaliser: Normaliser,
    text: Spool,
    /// Once it has left memory.
    spooled: Option<Spooled>,
    /// Why the mail can't be sent; then its text is gone.
    refused: Option<String>,
}

/// What is known of a text that is no longer in memory.
#[derive(Debug)]
struct Spooled {
    head: Vec<u8>,
    opening: Opening,
    hasher: blake3::Hasher,
    len: u64,
}

impl Draft {
    pub(crate) fn new(keeps_nul: bool) -> Self {
        Self {
            normaliser: Normaliser::new(keeps_nul),
            text: Spool::default(),
            spooled: None,
            refused: None,
        }
    }

    /// Appends the next piece, as the source has it.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        for step in piece.chunks(STEP_BYTES) {
            if self.refused.is_some() {
                return;
            }
            self.normaliser.push(step, &mut self.text.memory);
            if self.text.is_due()
                && let Err(reason) = self.flush()
            {
                self.text = Spool::default();
                self.refused = Some(reason);
            }
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        let memory = &mut self.text.memory;
        let spooled = self.spooled.get_or_insert_with(|| {
            self.normaliser.body_begins();
            Spooled::begin(memory)
        });
        spooled.len += memory.len() as u64;
        if spooled.len > MAIL_BYTES_MAX {
            return Err(format!(
                "longer than {MAIL_BYTES_MAX} bytes, which is the most that IMAP can say"
            ));
        }
        spooled.hasher.update(memory);
        self.text.flush().map_err(|error| spool_failed(&error))
    }

    /// The mail is whole. If it can't be sent, the error says to a person why.
    pub(crate) fn finish(mut self) -> Result<Body, String> {
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        self.normaliser.finish(&mut self.text.memory);
        if self.spooled.is_some() || self.text.is_due() {
            self.flush()?;
        }
        let (Some(spooled), Some(file)) = (self.spooled, self.text.file) else {
            return Body::of_memory(self.text.memory, &self.normaliser);
        };
        Ok(Body {
            text: Text::Spool(Arc::new(file)),
            head: spooled.head,
            len: spooled.len,
            digest: *spooled.hasher.finalize().as_bytes(),
            repairs: with_opening(self.normaliser.repairs(), spooled.opening),
            has_nul: self.normaliser.has_nul(),
        })
    }
}

fn spool_failed(error: &io::Error) -> String {
    format!(
        "longer than {MEMORY_BYTES_MAX} bytes, and can't be written to a temporary file: {error}; \
         make room, or name another folder by TMPDIR"
    )
}

impl Spooled {
    /// `text` is the first that leaves memory: more than [`HEAD_BYTES_MAX`] of the mail.
    fn begin(text: &mut Vec<u8>) -> Self {
        let opening = Opening::of(text);
        let at = open(text, opening);
        // So much, not all that is there, so that it does not matter how the text was cut.
        let head = Head::of(&text[at..HEAD_BYTES_MAX]).bytes.to_vec();
        text.drain(..at);
        Self {
            head,
            opening,
            hasher: blake3::Hasher::new(),
            len: 0,
        }
    }
}

/// Makes a text begin as it should, but for the bytes before the header: their number is
/// returned, because to leave them out costs nothing where the text stays in memory.
fn open(text: &mut Vec<u8>, opening: Opening) -> usize {
    match opening {
        Opening::Header { at, .. } => at,
        Opening::Text => {
            text.splice(..0, *b"\r\n");
            0
        }
        Opening::Empty | Opening::DamagedHeader | Opening::EmptyLine => 0,
    }
}

fn with_opening(mut repairs: Repairs, opening: Opening) -> Repairs {
    match opening {
        Opening::Header { removed, .. } => repairs.extend(removed),
        Opening::Text => repairs.insert(Repair::NoHeader),
        Opening::Empty | Opening::DamagedHeader | Opening::EmptyLine => {}
    }
    repairs
}

/// A text as it is sent.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) text: Text,
    /// Its header, where the text is not in memory.
    pub(crate) head: Vec<u8>,
    pub(crate) len: u64,
    pub(crate) digest: Digest,
    pub(crate) repairs: Repairs,
    pub(crate) has_nul: bool,
}

impl Body {
    fn of_memory(mut text: Vec<u8>, normaliser: &Normaliser) -> Result<Self, String> {
        let opening = Opening::of(&text);
        if opening == Opening::Empty {
            return Err("empty: there is no text in it, and servers refuse such mail".to_owned());
        }
        let at = open(&mut text, opening);
        // A text that came in many pieces has up to as much again to grow into.
        if text.capacity() - text.len() > text.len() / 4 {
            text.shrink_to_fit();
        }
        let mut text = Bytes::from(text);
        text.advance(at);
        Ok(Self {
            head: Vec::new(),
            len: text.len() as u64,
            digest: *blake3::hash(&text).as_bytes(),
            repairs: with_opening(normaliser.repairs(), opening),
            // One may have been in what was removed.
            has_nul: normaliser.has_nul() && (at == 0 || memchr(0, &text).is_some()),
            text: Text::Memory(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[track_caller]
    fn check_refused(mut draft: Draft, expected: &str) {
        draft.push(&[b'x'; 2 * MEMORY_BYTES_MAX]);
        // What comes after that is let go.
        draft.push(b"more");
        assert!(draft.text.memory.is_empty() && draft.text.file.is_none());
        let reason = draft.finish().unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }

    #[test]
    fn a_full_disk_refuses_the_mail() {
        let mut draft = Draft::new(false);
        draft.text.file = Some(File::options().write(true).open("/dev/full").unwrap());
        draft.push(b"A: b\r\n");
        // The text is still in memory, and the last of it does not fit on the disk.
        draft.text.memory.resize(MEMORY_BYTES_MAX + 1, b'x');
        check_refused(draft, "temporary file");
    }

    #[test]
    fn a_mail_too_long_for_imap_is_refused() {
        let mut draft = Draft::new(false);
        draft.push(&[b'x'; MEMORY_BYTES_MAX + 1]);
        draft.spooled.as_mut().unwrap().len = MAIL_BYTES_MAX;
        check_refused(draft, "longer than 4294967295 bytes");
    }
}
