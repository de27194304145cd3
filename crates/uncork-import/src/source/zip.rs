//! .zip archives (PKWARE's APPNOTE), by their directory at the end of the file.
//!
//! The zip crate reads the directory into memory, half a kilobyte an entry; here it is read
//! along with the files, so that an archive of a million mails takes no more than one of ten.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use jiff::Timestamp;

use super::entry::{Entries, Exactly, PATH_BYTES_MAX};
use super::packing::{CHUNK_BYTES, Counted};

/// The end of the directory is the last thing in the file, but for a comment.
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 65_535;

/// Where the end of a large archive's directory (Zip64) is, right before the other end.
const LOCATOR_BYTES: u64 = 20;
const END64_BYTES: usize = 56;

/// An entry of the directory, and the header before its data, without their names.
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;

/// The directory.
#[derive(Debug, PartialEq, Eq)]
struct Directory {
    start: u64,
    end: u64,
    /// How far behind its place everything is: something stands before the archive.
    shift: u64,
}

/// A file of the archive.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    path: Vec<u8>,
    is_encrypted: bool,
    is_link: bool,
    method: u16,
    crc: u32,
    packed_bytes: u64,
    header_start: u64,
    time: Option<Timestamp>,
    /// Of the entry in the directory.
    directory_bytes: u64,
}

/// Hands all files of the archive to `entries`.
pub(super) fn read(
    file: &File,
    bytes_read: &AtomicU64,
    entries: &mut Entries<'_>,
) -> io::Result<ControlFlow<()>> {
    let directory = find_directory(file)?;
    let mut at = directory.start;
    let rest = At { file, at };
    let mut input = BufReader::with_capacity(CHUNK_BYTES, rest);
    while at < directory.end {
        let Some(entry) = read_entry(&mut input)? else {
            break;
        };
        at += entry.directory_bytes;
        bytes_read.fetch_add(entry.directory_bytes, Ordering::Relaxed);
        if take(file, &directory, &entry, bytes_read, entries)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn take(
    file: &File,
    directory: &Directory,
    entry: &Entry,
    bytes_read: &AtomicU64,
    entries: &mut Entries<'_>,
) -> io::Result<ControlFlow<()>> {
    let path = &entry.path[..];
    let on = Ok(ControlFlow::Continue(()));
    if path.ends_with(b"/") {
        return on;
    }
    if entry.is_link {
        entries.link();
        return on;
    }
    if entry.is_encrypted {
        return Ok(entries.refuse_if_mail(path, "is encrypted: unpack the archive first"));
    }
    let data_start = match find_data(file, directory, entry) {
        Ok(start) => start,
        Err(error) => return Ok(entries.refuse_if_mail(path, &error.to_string())),
    };
    let data = Exactly::new(
        At {
            file,
            at: data_start,
        },
        entry.packed_bytes,
    );
    let data = Counted {
        input: data,
        bytes: bytes_read,
    };
    let mut stored;
    let mut deflated;
    let input: &mut dyn Read = match entry.method {
        0 => {
            stored = Checked::new(data, entry.crc);
            &mut stored
        }
        8 => {
            let room = usize::try_from(entry.packed_bytes).unwrap_or(CHUNK_BYTES);
            let data = BufReader::with_capacity(room.clamp(1, CHUNK_BYTES), data);
            deflated = Checked::new(DeflateDecoder::new(data), entry.crc);
            &mut deflated
        }
        method => {
            let reason = format!("is packed by method {method}, which is not known here");
            return Ok(entries.refuse_if_mail(path, &reason));
        }
    };
    Ok(entries.take(path, entry.time, input))
}

fn find_directory(file: &File) -> io::Result<Directory> {
    let len = file.metadata()?.len();
    let tail_len = usize::try_from(len)
        .map_or(usize::MAX, |len| len)
        .min(END_BYTES + COMMENT_BYTES_MAX);
    let mut tail = vec![0; tail_len];
    let tail_start = len - tail_len as u64;
    file.read_exact_at(&mut tail, tail_start)?;
    let in_tail = memchr::memmem::rfind(&tail, b"PK\x05\x06")
        .filter(|at| at + END_BYTES <= tail.len())
        .ok_or_else(|| damaged("has no directory at its end: it is cut short, or no .zip"))?;
    let end = &tail[in_tail..];
    let end_start = tail_start + in_tail as u64;
    if u16_at(end, 4) != 0 && u16_at(end, 4) != u16::MAX {
        return Err(damaged("is one part of several: join them first"));
    }
    let (size, start) = (u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    let is_64 = [size, start].contains(&u64::from(u32::MAX)) || u16_at(end, 10) == u16::MAX;
    if is_64 && let Some(directory) = find_directory_64(file, end_start)? {
        return Ok(directory);
    }
    directory_before(end_start, size, start)
}

/// The directory of a large archive; `None` if the archive only looks like one.
fn find_directory_64(file: &File, end_start: u64) -> io::Result<Option<Directory>> {
    let mut locator = [0; 20];
    let Some(locator_start) = end_start.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    file.read_exact_at(&mut locator, locator_start)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let mut end = [0; END64_BYTES];
    let said = u64_at(&locator, 8);
    // Where something stands before the archive, the locator is off by its length.
    let before = locator_start.saturating_sub(END64_BYTES as u64);
    for start in [said, before] {
        let read = file.read_exact_at(&mut end, start);
        if read.is_ok() && end.starts_with(b"PK\x06\x06") {
            return directory_before(start, u64_at(&end, 40), u64_at(&end, 48)).map(Some);
        }
    }
    Err(damaged("has no directory where it is said to be"))
}

/// The directory ends where its end begins.
fn directory_before(end: u64, size: u64, start_said: u64) -> io::Result<Directory> {
    let start = end.checked_sub(size);
    let shift = start.and_then(|start| start.checked_sub(start_said));
    match start.zip(shift) {
        Some((start, shift)) => Ok(Directory { start, end, shift }),
        None => Err(damaged("has a directory that does not fit into it")),
    }
}

/// Reads the next entry of the directory; `None` where there is none.
fn read_entry(input: &mut dyn Read) -> io::Result<Option<Entry>> {
    let mut fixed = [0; ENTRY_BYTES];
    input.read_exact(&mut fixed)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return Ok(None);
    }
    let [name_len, extra_len, comment_len] = [28, 30, 32].map(|at| u16_at(&fixed, at));
    let mut path = vec![0; usize::from(name_len)];
    input.read_exact(&mut path)?;
    let mut extra = vec![0; usize::from(extra_len)];
    input.read_exact(&mut extra)?;
    Exactly::new(&mut *input, u64::from(comment_len)).skip()?;
    path.truncate(PATH_BYTES_MAX);
    // Some programs of Windows write its own separator.
    if !path.contains(&b'/') {
        for byte in path.iter_mut().filter(|byte| **byte == b'\\') {
            *byte = b'/';
        }
    }
    const MADE_ON_UNIX: u8 = 3;
    let unix_mode = u32_at(&fixed, 38) >> 16;
    let mut entry = Entry {
        path,
        is_encrypted: u16_at(&fixed, 8) & 1 != 0,
        is_link: fixed[5] == MADE_ON_UNIX && unix_mode & 0o170_000 == 0o120_000,
        method: u16_at(&fixed, 10),
        crc: u32_at(&fixed, 16),
        packed_bytes: u64::from(u32_at(&fixed, 20)),
        header_start: u64::from(u32_at(&fixed, 42)),
        time: None,
        directory_bytes: ENTRY_BYTES as u64
            + u64::from(name_len)
            + u64::from(extra_len)
            + u64::from(comment_len),
    };
    let is_large = u32_at(&fixed, 24) == u32::MAX;
    read_extra(&extra, is_large, &mut entry);
    Ok(Some(entry))
}

/// What did not fit into the entry stands in fields behind it: sizes and places of 4 GiB and
/// more, and the time with its zone. (The time in the entry is of nobody knows which zone.)
fn read_extra(mut extra: &[u8], is_large: bool, entry: &mut Entry) {
    const ZIP64: u16 = 0x0001;
    const TIMES: u16 = 0x5455;
    const TOO_LARGE: u64 = u32::MAX as u64;
    while extra.len() >= 4 {
        let (kind, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(field) = extra.get(4..4 + len) else {
            return;
        };
        if kind == ZIP64 {
            let mut numbers = field.chunks_exact(8).map(|number| u64_at(number, 0));
            if is_large {
                numbers.next();
            }
            for number in [&mut entry.packed_bytes, &mut entry.header_start] {
                if *number == TOO_LARGE {
                    *number = numbers.next().unwrap_or(TOO_LARGE);
                }
            }
        }
        if kind == TIMES && len >= 5 && field[0] & 1 != 0 {
            let seconds = i32::from_le_bytes([field[1], field[2], field[3], field[4]]);
            entry.time = Timestamp::from_second(i64::from(seconds)).ok();
        }
        extra = &extra[4 + len..];
    }
}

/// Where the data of an entry begins: behind a header that repeats its name.
fn find_data(file: &File, directory: &Directory, entry: &Entry) -> io::Result<u64> {
    let start = entry.header_start.checked_add(directory.shift);
    let start = start.ok_or_else(|| damaged("is beyond the end of the archive"))?;
    let mut header = [0; LOCAL_BYTES];
    file.read_exact_at(&mut header, start)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(damaged("is not where the archive's directory says"));
    }
    let names_len = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
    Ok(start + LOCAL_BYTES as u64 + names_len)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// A file from some place on, without a position that others share.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// An input whose checksum has to be right at its end.
struct Checked<R> {
    input: R,
    crc: Crc,
    expected: u32,
}

impl<R: Read> Checked<R> {
    fn new(input: R, expected: u32) -> Self {
        Self {
            input,
            crc: Crc::new(),
            expected,
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.crc.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.crc.sum() != self.expected {
            return Err(damaged("is damaged: its checksum is wrong"));
        }
        Ok(read)
    }
}
