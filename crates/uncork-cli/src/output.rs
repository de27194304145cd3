//! What goes to stdout and stderr, the same for all verbs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, TableComponent, presets};
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// Prints one JSON document on stdout.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let print = || -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, document)?;
        Ok(writeln!(stdout)?)
    };
    print().map_err(failure)
}

/// A line for the person at the terminal, beside the output. Where nobody listens any more
/// (`2>&1 | head`), that is no reason to end.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// stdout can't be written: a full disk, a closed pipe. The work itself is done.
pub(crate) fn failure(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(
        Exit::Losses,
        error.into().context("the output can't be written"),
    )
}

/// An empty table in the house's style: the first column is text, the others are figures.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    for line in [
        TableComponent::HorizontalLines,
        TableComponent::MiddleIntersections,
        TableComponent::LeftBorderIntersections,
        TableComponent::RightBorderIntersections,
    ] {
        table.remove_style(line);
    }
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A page for people, in a file that is opened before the work: that it can't be written is better
/// known then than at the end. What is there stays until there is something to put in its place.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    file: File,
}

impl Page {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| cannot_write(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes the page, and says where it is.
    pub(crate) fn write(mut self, page: &str, is_quiet: bool) -> Result<(), Failure> {
        replace(&mut self.file, page.as_bytes())
            .map_err(|error| cannot_write(&self.path, error))?;
        if !is_quiet {
            note(&format!("the page is in {}", self.path.display()));
        }
        Ok(())
    }
}

/// Puts `bytes` in the place of what a file holds; a pipe or a device has nothing to empty.
pub(crate) fn replace(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(bytes)
}

pub(crate) fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    let kind = error.kind();
    let error = anyhow::Error::new(error).context(format!("{} can't be written", path.display()));
    Failure::io(Exit::Usage, kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_replaces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "an older and longer page").unwrap();
        let open = |path: &Path| File::options().write(true).open(path).unwrap();
        replace(&mut open(file.path()), b"new").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"new");
        // A device can't be emptied, and needs not be.
        replace(&mut open("/dev/null".as_ref()), b"new").unwrap();
    }
}
