//! A stand-in for the reader of mboxes: splits at every line that begins with `From `.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::mail::{FolderPath, Found, Position, Sink};
use crate::options::Labels;

pub(crate) struct Place {
    pub(crate) file: Arc<Path>,
    pub(crate) entry: Option<Arc<str>>,
    pub(crate) folder: FolderPath,
    pub(crate) file_time: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Auto,
    Mboxo,
    Mboxrd,
    Mboxcl,
    Mboxcl2,
}

pub(crate) fn looks_like_mbox(head: &[u8]) -> bool {
    head.starts_with(b"From ")
}

pub(crate) fn read_mbox(
    input: &mut dyn Read,
    place: &Place,
    _variant: Variant,
    _labels: Labels,
    sink: &mut dyn Sink,
) -> io::Result<ControlFlow<()>> {
    let found = |start| Found {
        position: Position {
            file: place.file.clone(),
            entry: place.entry.clone(),
            offset: Some(start),
        },
        folders: vec![place.folder.clone()],
        flags: Vec::new(),
        received: None,
        file_time: place.file_time,
    };
    let mut input = BufReader::new(input);
    let (mut line, mut offset, mut start) = (Vec::new(), 0, None);
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line)?;
        if read == 0 || line.starts_with(b"From ") {
            if let Some(start) = start.replace(offset) {
                if sink.mail(found(start)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        } else if start.is_some() {
            sink.text(&line);
        }
        if read == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        offset += read as u64;
    }
}
