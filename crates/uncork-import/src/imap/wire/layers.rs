//! TLS and DEFLATE of one connection, both ways.

use std::io;

use super::READ_BYTES;
use super::deflate::{Deflate, Inflate, Inflated};
use super::tls::Tls;

/// What lies between the two halves and the socket. DEFLATE, where it is on, is inside of TLS.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) tls: Option<Tls>,
    deflate: Option<Deflated>,
    /// What came from the socket and has not been opened.
    pub(super) received: Buffer,
    /// What the reading half has and nobody has looked at.
    pub(super) unread_bytes: usize,
}

struct Deflated {
    deflate: Deflate,
    inflate: Inflate,
    /// What the peer has compressed and is not inflated yet.
    compressed: Buffer,
    /// What is compressed and not sealed yet.
    outgoing: Vec<u8>,
    /// Whether what the reading half has was read before the stream was known to be compressed.
    unread_is_compressed: bool,
}

/// What opening came to.
pub(super) enum Opened {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing without more bytes from the socket.
    NeedsMore,
    End,
}

impl Layers {
    pub(super) fn is_empty(&self) -> bool {
        self.tls.is_none() && self.deflate.is_none()
    }

    pub(super) fn start_deflate(&mut self) {
        self.deflate = Some(Deflated {
            deflate: Deflate::new(),
            inflate: Inflate::new(),
            compressed: Buffer::default(),
            outgoing: Vec::new(),
            unread_is_compressed: true,
        });
    }

    /// Takes what the reading half had when DEFLATE was put on, once; whether it did.
    pub(super) fn inflate_unread(&mut self, unread: &[u8]) -> bool {
        let Some(deflated) = &mut self.deflate else {
            return false;
        };
        let is_first = std::mem::take(&mut deflated.unread_is_compressed);
        if is_first {
            let space = deflated.compressed.space();
            space[..unread.len()].copy_from_slice(unread);
            deflated.compressed.filled(unread.len());
            self.unread_bytes = 0;
        }
        is_first
    }

    /// Seals bytes of a message; the last of them may stay here until [`seal_end`](Self::seal_end).
    pub(super) fn seal(&mut self, bytes: &[u8], departure: &mut Vec<u8>) -> io::Result<()> {
        match (&mut self.deflate, &mut self.tls) {
            (None, None) => departure.extend_from_slice(bytes),
            (None, Some(tls)) => tls.seal(bytes, departure)?,
            (Some(deflated), None) => deflated.deflate.compress(bytes, departure)?,
            (Some(deflated), Some(tls)) => {
                let outgoing = &mut deflated.outgoing;
                deflated.deflate.compress(bytes, outgoing)?;
                tls.seal(outgoing, departure)?;
                outgoing.clear();
            }
        }
        Ok(())
    }

    /// Seals what is left, so that the peer can read all of the message.
    pub(super) fn seal_end(&mut self, departure: &mut Vec<u8>) -> io::Result<()> {
        match (&mut self.deflate, &mut self.tls) {
            (None, None) => {}
            (None, Some(tls)) => tls.seal_end(departure)?,
            (Some(deflated), None) => deflated.deflate.flush(departure)?,
            (Some(deflated), Some(tls)) => {
                let outgoing = &mut deflated.outgoing;
                deflated.deflate.flush(outgoing)?;
                tls.seal(outgoing, departure)?;
                outgoing.clear();
                tls.seal_end(departure)?;
            }
        }
        Ok(())
    }

    /// Opens what was received, as far as it fits into `out`.
    pub(super) fn open(&mut self, out: &mut [u8]) -> io::Result<Opened> {
        let Some(deflated) = &mut self.deflate else {
            return open_tls(&mut self.tls, &mut self.received, out);
        };
        loop {
            match deflated.inflate.inflate(&mut deflated.compressed, out)? {
                Inflated::Bytes(bytes) => return Ok(Opened::Bytes(bytes)),
                Inflated::End => return Ok(Opened::End),
                Inflated::NeedsMore => {}
            }
            let space = deflated.compressed.space();
            match open_tls(&mut self.tls, &mut self.received, space)? {
                Opened::Bytes(bytes) => deflated.compressed.filled(bytes),
                other => return Ok(other),
            }
        }
    }
}

fn open_tls(tls: &mut Option<Tls>, received: &mut Buffer, out: &mut [u8]) -> io::Result<Opened> {
    if let Some(tls) = tls {
        return tls.open(received, out);
    }
    let bytes = received.bytes();
    let taken = bytes.len().min(out.len());
    out[..taken].copy_from_slice(&bytes[..taken]);
    received.take(taken);
    Ok(match taken {
        0 => Opened::NeedsMore,
        taken => Opened::Bytes(taken),
    })
}

/// A buffer of a fixed size that is filled when it is empty, and then taken from.
#[derive(Default)]
pub(super) struct Buffer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What has not been taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// All of the buffer, for the next bytes. Only where it is empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        debug_assert!(self.bytes().is_empty());
        self.buffer.resize(READ_BYTES, 0);
        &mut self.buffer
    }

    /// So many bytes of [`space`](Self::space) were filled.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.start = 0;
        self.end = bytes.min(self.buffer.len());
    }
}
