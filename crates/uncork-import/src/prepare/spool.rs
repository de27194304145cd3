//! Bytes of a mail that may be too long for memory.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// A mail that is longer leaves memory for a file.
pub(crate) const MEMORY_BYTES_MAX: usize = 1024 * 1024;

/// What is written to or read from a file at a time.
pub(crate) const STEP_BYTES: usize = 256 * 1024;

/// Makes a file that has no name: it is gone when it is closed, however this process ends. Not
/// in /tmp, where it can be: that is memory on many systems.
pub(crate) fn nameless_file() -> io::Result<File> {
    let chosen = env::var_os("TMPDIR").and_then(|dir| tempfile::tempfile_in(dir).ok());
    let usual = || tempfile::tempfile_in(Path::new("/var/tmp"));
    chosen
        .map_or_else(usual, Ok)
        .or_else(|_| tempfile::tempfile())
}

/// Bytes that are appended: in memory up to [`MEMORY_BYTES_MAX`], beyond that in a nameless
/// file.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    /// The end, or all where there is no file.
    pub(crate) memory: Vec<u8>,
    pub(crate) file: Option<File>,
}

impl Spool {
    /// Whether so much is in memory that it should be written to the file. To be asked for
    /// each [`STEP_BYTES`] that are appended to `memory`.
    pub(crate) fn is_due(&self) -> bool {
        let bytes_max = if self.file.is_some() {
            STEP_BYTES
        } else {
            MEMORY_BYTES_MAX
        };
        self.memory.len() > bytes_max
    }

    /// Writes what is in memory to the file, which is made where there is none yet.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(nameless_file()?),
        };
        file.write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_appended_is_in_file_and_memory_in_its_order() {
        let mut spool = Spool::default();
        let mut all = Vec::new();
        for step in 0..40_u8 {
            let bytes = vec![step; STEP_BYTES / 3];
            spool.memory.extend_from_slice(&bytes);
            all.extend_from_slice(&bytes);
            if spool.is_due() {
                spool.flush().unwrap();
            }
            assert!(spool.memory.len() <= MEMORY_BYTES_MAX);
            assert_eq!(spool.file.is_some(), all.len() > MEMORY_BYTES_MAX);
        }
        spool.flush().unwrap();
        let file = spool.file.unwrap();
        let mut back = vec![0; all.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert!(back == all);
        assert_eq!(file.metadata().unwrap().len(), all.len() as u64);
    }
}
