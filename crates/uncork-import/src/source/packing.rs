//! Files as streams of bytes: opened without waiting, unpacked as they are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{Mode, OFlags};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What is read of a file at a time.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes, which no mail, mbox or tar begins with.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A frame, or one to be skipped, with which pzstd begins its files.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The stream as it was before it was compressed.
    pub(super) fn unpack<'r>(self, packed: impl Read + 'r) -> Box<dyn Read + 'r> {
        match self {
            Self::Plain => Box::new(packed),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
                CHUNK_BYTES,
                packed,
            ))),
            Self::Zstd => Box::new(Zstd {
                packed: BufReader::with_capacity(CHUNK_BYTES, packed),
                decoder: FrameDecoder::new(),
            }),
        }
    }
}

/// All frames of a zstd stream (RFC 8878, section 3.1). The decoder takes windows of up to
/// 100 MiB; what zstd's levels make without `--long` is 8 MiB, `--ultra` up to 128 MiB.
struct Zstd<R> {
    packed: BufReader<R>,
    decoder: FrameDecoder,
}

impl<R: Read> Zstd<R> {
    /// Begins the next frame; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.packed).take(u64::from(length));
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(damaged(error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                if !self.next_frame()? {
                    return Ok(0);
                }
                continue;
            }
            self.decoder
                .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(damaged)?;
        }
    }
}

fn damaged(error: FrameDecoderError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Whether a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// It is the user's own word.
    Followed,
    /// It was found in a folder, which may be somebody else's than who imports it.
    Refused,
}

/// Opens a file that must not be anything else, without waiting: to open a FIFO is otherwise to
/// wait for who writes into it. For a regular file the flag means nothing.
pub(super) fn open_regular(path: &Path, links: Links) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, links == Links::Refused);
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("is no regular file"))
    }
}

/// Counts what is read, for the progress.
pub(super) struct Counted<'c, R> {
    pub(super) input: R,
    pub(super) bytes: &'c AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Fills the buffer as far as there is something to read.
pub(super) fn read_up_to(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let packing = Packing::of(packed);
        packing.unpack(packed).read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn streams_of_several_parts_are_read_whole() {
        let (a, b) = (b"From a\n".repeat(100_000), b"From b\n".repeat(10));
        let both = [&a[..], &b].concat();
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        for packed in [
            both.clone(),
            [gzip(&a), gzip(&b)].concat(),
            [zstd(&a), zstd(b""), zstd(&b)].concat(),
            [&skippable[..], &zstd(&a), skippable, &zstd(&b), skippable].concat(),
        ] {
            assert_eq!(unpack(&packed).unwrap(), both);
        }
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        for whole in [gzip(b"some text of a mail"), zstd(b"some text of a mail")] {
            for len in 5..whole.len() {
                assert!(unpack(&whole[..len]).is_err(), "{len} of {}", whole.len());
            }
        }
    }
}
