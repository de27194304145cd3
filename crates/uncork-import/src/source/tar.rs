//! .tar archives, as a stream. The headers are the tar crate's to read; its iterator is not
//! used, because it takes a long name into memory whole, however long it says it is.

use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;

use jiff::Timestamp;
use tar::{EntryType, Header};

use super::entry::{Entries, Exactly, PATH_BYTES_MAX};
use super::packing::read_up_to;

/// Everything in a tar is a multiple of this.
pub(super) const BLOCK_BYTES: usize = 512;

/// Most of a pax header that is read: it can hold more than paths.
const PAX_BYTES_MAX: usize = 64 * 1024;

/// Whether a block is a header: its checksum, with blanks in its place, is right.
pub(super) fn is_header(block: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    if block.len() != BLOCK_BYTES {
        return false;
    }
    let bytes = block.iter().enumerate().map(|(at, &byte)| match at {
        at if CHECKSUM.contains(&at) => u32::from(b' '),
        _ => u32::from(byte),
    });
    let sum = bytes.sum::<u32>();
    Header::from_byte_slice(block)
        .cksum()
        .is_ok_and(|said| said == sum)
}

/// What the headers before an entry's own say of it.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

/// Hands all files of the archive to `entries`.
pub(super) fn read(input: &mut dyn Read, entries: &mut Entries<'_>) -> io::Result<ControlFlow<()>> {
    let mut extended = Extended::default();
    let mut block = [0; BLOCK_BYTES];
    // An archive ends with blocks of zeros; that some leave them out is no harm.
    while read_block(input, &mut block)? && block != [0; BLOCK_BYTES] {
        if !is_header(&block) {
            let what = "the next header of the .tar archive is damaged";
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let header = Header::from_byte_slice(&block);
        let kind = header.entry_type();
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        // The size in a pax header is that of the file that it stands before.
        let size = match extended.size {
            Some(size) if is_file => size,
            _ => header.entry_size()?,
        };
        if kind == EntryType::GNUSparse {
            skip_sparse_map(input, header)?;
        }
        let mut data = Exactly::new(&mut *input, size);
        match kind {
            EntryType::GNULongName => extended.path = Some(long_name(&mut data)?),
            EntryType::XHeader => extended = pax(&mut data)?,
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            _ => {
                let extended = std::mem::take(&mut extended);
                if entry(header, extended, &mut data, entries).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        data.skip()?;
        let padding = (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
        Exactly::new(&mut *input, padding).skip()?;
    }
    Ok(ControlFlow::Continue(()))
}

fn entry(
    header: &Header,
    extended: Extended,
    data: &mut dyn Read,
    entries: &mut Entries<'_>,
) -> ControlFlow<()> {
    let path = extended
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    match header.entry_type() {
        EntryType::Symlink | EntryType::Link => entries.link(),
        EntryType::GNUSparse => return entries.refuse_if_mail(&path, SPARSE),
        EntryType::Regular | EntryType::Continuous if extended.is_sparse => {
            return entries.refuse_if_mail(&path, SPARSE);
        }
        // Before there was a type for directories, they were files with a slash at the end.
        EntryType::Regular | EntryType::Continuous if !path.ends_with(b"/") => {
            let seconds = header
                .mtime()
                .ok()
                .and_then(|time| i64::try_from(time).ok());
            let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            return entries.take(&path, time, data);
        }
        _ => {}
    }
    ControlFlow::Continue(())
}

const SPARSE: &str = "is stored as a sparse file: pack it again without --sparse";

/// Reads a block; `false` where the input ended before it.
fn read_block(input: &mut dyn Read, block: &mut [u8; BLOCK_BYTES]) -> io::Result<bool> {
    match read_up_to(input, block)? {
        0 => Ok(false),
        BLOCK_BYTES => Ok(true),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// A sparse file's map goes on in blocks of its own, which its size does not count.
fn skip_sparse_map(input: &mut dyn Read, header: &Header) -> io::Result<()> {
    /// Where such a block says whether another follows.
    const IS_EXTENDED: usize = 504;
    let mut goes_on = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
    let mut block = [0; BLOCK_BYTES];
    while goes_on {
        if !read_block(input, &mut block)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        goes_on = block[IS_EXTENDED] == 1;
    }
    Ok(())
}

fn long_name(data: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    data.take(PATH_BYTES_MAX as u64).read_to_end(&mut name)?;
    let end = memchr::memchr(0, &name).unwrap_or(name.len());
    name.truncate(end);
    Ok(name)
}

/// Reads records of `length key=value\n` (POSIX.1-2001, pax), as far as they are well-formed.
fn pax(data: &mut dyn Read) -> io::Result<Extended> {
    let mut text = Vec::new();
    data.take(PAX_BYTES_MAX as u64).read_to_end(&mut text)?;
    let mut extended = Extended::default();
    let mut rest = &text[..];
    while let Some((key, value, after)) = pax_record(rest) {
        match key {
            b"path" => extended.path = Some(value[..value.len().min(PATH_BYTES_MAX)].to_owned()),
            b"size" => {
                let digits = std::str::from_utf8(value).ok();
                extended.size = digits.and_then(|digits| digits.parse().ok());
            }
            key if key.starts_with(b"GNU.sparse.") => extended.is_sparse = true,
            _ => {}
        }
        rest = after;
    }
    Ok(extended)
}

fn pax_record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = memchr::memchr(b' ', text)?;
    let len = std::str::from_utf8(&text[..blank]).ok()?;
    let len = len.parse::<usize>().ok()?;
    let record = text.get(blank + 1..len)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    Some((&record[..equals], &record[equals + 1..], &text[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_records() {
        let text = b"30 mtime=1700000000.123456789\n12 path=a/b\n15 size=1234567\nrest";
        let mut input = &text[..];
        let extended = pax(&mut input).unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(extended.size, None);
        let extended = pax(&mut &b"16 size=1234567\n"[..]).unwrap();
        assert_eq!(extended.size, Some(1_234_567));
        for odd in [
            &b""[..],
            b"99999999999999999999 a=b\n",
            b"3 =\n",
            b"0 a=b\n",
            b"7 path\n",
        ] {
            let extended = pax(&mut &*odd).unwrap();
            assert_eq!((extended.path, extended.size), (None, None), "{odd:?}");
        }
    }

    #[test]
    fn headers_have_a_right_checksum() {
        let mut header = Header::new_gnu();
        header.set_path("a").unwrap();
        header.set_cksum();
        assert!(is_header(header.as_bytes()));
        let mut block = *header.as_bytes();
        block[1] ^= 1;
        assert!(!is_header(&block));
        assert!(!is_header(&[0; BLOCK_BYTES]));
        assert!(!is_header(b"From a@b"));
    }
}
