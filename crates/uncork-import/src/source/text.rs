//! The text of one mail, from its file or from the entry of an archive.

use std::io::{self, ErrorKind, Read};

use jiff::Timestamp;

use super::emlx;
use super::packing::{Packing, read_up_to};
use crate::mail::{Flag, Sink};

/// What a file is that holds one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The mail and nothing else.
    Mail,
    /// Apple Mail's: the length of the mail, the mail, then what Apple knows of it.
    Emlx,
}

/// What a file tells of its mail beside the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) flags: Vec<Flag>,
    pub(super) received: Option<Timestamp>,
}

/// Hands the text of a mail to the sink. `buffer` is what is read at a time.
///
/// Dovecot's zlib plugin keeps the mails of a Maildir compressed under the names of plain ones:
/// such are unpacked.
pub(super) fn copy(
    input: &mut dyn Read,
    shape: Shape,
    buffer: &mut [u8],
    sink: &mut dyn Sink,
) -> io::Result<Told> {
    if shape == Shape::Emlx {
        return emlx::copy(input, buffer, sink);
    }
    let read = read_once(input, buffer)?;
    let packing = Packing::of(&buffer[..read]);
    if packing == Packing::Plain {
        if read > 0 {
            sink.text(&buffer[..read]);
        }
        copy_rest(input, buffer, sink)?;
    } else {
        let head = buffer[..read].to_vec();
        copy_rest(&mut *packing.unpack(head.chain(input)), buffer, sink)?;
    }
    Ok(Told::default())
}

fn copy_rest(input: &mut dyn Read, buffer: &mut [u8], sink: &mut dyn Sink) -> io::Result<()> {
    loop {
        match read_once(input, buffer)? {
            0 => return Ok(()),
            read => sink.text(&buffer[..read]),
        }
    }
}

/// Copies as much as the input was said to have.
pub(super) fn copy_exactly(
    input: &mut dyn Read,
    len: u64,
    buffer: &mut [u8],
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let mut rest = len;
    while rest > 0 {
        let room = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let read = read_up_to(input, &mut buffer[..room])?;
        if read < room {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        sink.text(&buffer[..read]);
        rest -= read as u64;
    }
    Ok(())
}

fn read_once(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
