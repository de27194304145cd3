//! COMPRESS=DEFLATE (RFC 4978): a raw DEFLATE stream each way, for as long as the connection.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::layers::Buffer;

/// How hard to try: the least. (Measured on 0.9 MB of mail, half of it base64, on a busy machine:
/// level 1 leaves 0.68 of it at 49 to 165 MB/s, level 3 0.66 at 14, level 6 0.66 at 12.)
const LEVEL: u32 = 1;

/// Room that is made for compressed bytes at once.
const ROOM_BYTES: usize = 16 * 1024;

/// The sending side.
pub(super) struct Deflate(Compress);

impl Deflate {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }

    /// Compresses bytes. Some stay inside until they are flushed.
    pub(super) fn compress(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.step(bytes, out, FlushCompress::None)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Lets everything out that was compressed, up to a byte's end (a sync flush), so that the
    /// peer can read all of it.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            self.step(&[], out, FlushCompress::Sync)?;
            // Room that is left means that there was no more to come.
            if out.len() < out.capacity() {
                return Ok(());
            }
        }
    }

    fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> io::Result<usize> {
        out.reserve(ROOM_BYTES);
        let before = self.0.total_in();
        self.0.compress_vec(bytes, out, flush)?;
        let taken = self.0.total_in() - before;
        Ok(usize::try_from(taken).unwrap_or(usize::MAX))
    }
}

/// What inflating came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    /// So many bytes, at least one.
    Bytes(usize),
    /// All that was received is taken in.
    NeedsMore,
    /// The peer has ended its stream.
    End,
}

/// The receiving side.
pub(super) struct Inflate(Decompress);

impl Inflate {
    pub(super) fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Inflates as much as fits into `out`: however far a few bytes would swell, the rest waits.
    pub(super) fn inflate(
        &mut self,
        received: &mut Buffer,
        out: &mut [u8],
    ) -> io::Result<Inflated> {
        loop {
            let (in_before, out_before) = (self.0.total_in(), self.0.total_out());
            let status = self
                .0
                .decompress(received.bytes(), out, FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let taken = usize::try_from(self.0.total_in() - in_before).unwrap_or(usize::MAX);
            let given = usize::try_from(self.0.total_out() - out_before).unwrap_or(usize::MAX);
            received.take(taken);
            if given > 0 {
                return Ok(Inflated::Bytes(given));
            }
            if status == Status::StreamEnd {
                return Ok(Inflated::End);
            }
            if received.bytes().is_empty() {
                return Ok(Inflated::NeedsMore);
            }
            if taken == 0 {
                let text = "the server's compressed stream goes nowhere";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::READ_BYTES;
    use super::*;
    use proptest::prelude::*;

    /// Inflates pieces as they come in.
    fn inflate_all(pieces: &[&[u8]], out_bytes: usize) -> io::Result<Vec<u8>> {
        let mut inflate = Inflate::new();
        let mut received = Buffer::default();
        let mut all = Vec::new();
        let mut out = vec![0; out_bytes];
        for piece in pieces.iter().flat_map(|piece| piece.chunks(READ_BYTES)) {
            received.space()[..piece.len()].copy_from_slice(piece);
            received.filled(piece.len());
            loop {
                match inflate.inflate(&mut received, &mut out)? {
                    Inflated::Bytes(bytes) => all.extend_from_slice(&out[..bytes]),
                    Inflated::NeedsMore => break,
                    Inflated::End => return Ok(all),
                }
            }
        }
        Ok(all)
    }

    proptest! {
        /// After each flush the peer has all that was compressed before.
        #[test]
        fn what_is_flushed_is_readable(
            messages in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..2000),
                    "[ab]{0,3000}".prop_map(String::into_bytes),
                    (0usize..200_000).prop_map(|bytes| vec![b'x'; bytes]),
                ],
                1..5,
            ),
            out_bytes in 1usize..5000,
        ) {
            let mut deflate = Deflate::new();
            let mut sent: Vec<Vec<u8>> = Vec::new();
            for message in &messages {
                let mut out = Vec::new();
                deflate.compress(message, &mut out)?;
                deflate.flush(&mut out)?;
                sent.push(out);
                let pieces: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
                let expected = messages[..sent.len()].concat();
                prop_assert!(inflate_all(&pieces, out_bytes)? == expected);
            }
        }

        #[test]
        fn hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = inflate_all(&[&bytes], 100);
        }
    }

    #[test]
    fn a_bomb_fills_only_the_buffer() {
        let mut deflate = Deflate::new();
        let mut bomb = Vec::new();
        deflate.compress(&vec![0; 10 << 20], &mut bomb).unwrap();
        deflate.flush(&mut bomb).unwrap();
        let piece = &bomb[..READ_BYTES.min(bomb.len())];
        let mut received = Buffer::default();
        received.space()[..piece.len()].copy_from_slice(piece);
        received.filled(piece.len());
        let mut out = [1; 1000];
        let inflated = Inflate::new().inflate(&mut received, &mut out[..500]);
        assert_eq!(inflated.unwrap(), Inflated::Bytes(500));
        assert!(out[..500].iter().all(|&byte| byte == 0));
        assert!(out[500..].iter().all(|&byte| byte == 1));
    }

    #[test]
    fn what_is_no_deflate() {
        // A block of the type that there is not.
        assert!(inflate_all(&[&[0b110, 0, 0]], 100).is_err());
    }
}
