//! Where lines end up: one file, standard output, or a file for each site.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Access, OFlags, access};
use rustix::process::geteuid;

use super::worker::FRAME_BYTES;
use super::{LogError, LogTarget};

/// Files of sites that are open at once.
pub(crate) const OPEN_MAX: usize = 256;
/// Longest name of a file that is not shortened, `.log` not counted (NAME_MAX is 255).
const NAME_MAX: usize = 250;
/// Between two sentences about lines that can't be written.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The files of a log.
#[derive(Debug)]
pub(super) struct Files {
    to: To,
    losses: Losses,
}

#[derive(Debug)]
enum To {
    One { path: PathBuf, output: Output },
    Stdout(Output),
    PerSite(Folder),
}

impl Files {
    pub(super) fn open(target: &LogTarget, dropped: Arc<AtomicU64>) -> Result<Self, LogError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LogError::Open { path, source }
        };
        let to = match target {
            LogTarget::File(path) => To::One {
                output: Output::of(append_to(path).map_err(failed(path))?),
                path: path.clone(),
            },
            LogTarget::Stdout => {
                // A file of its own, past the line buffer of `std::io::Stdout`.
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                let stdout = stdout.map_err(failed(Path::new("-")))?;
                To::Stdout(Output::of(stdout.into()))
            }
            LogTarget::PerHost(folder) => {
                let facts = std::fs::metadata(folder).map_err(failed(folder))?;
                if !facts.is_dir() {
                    return Err(failed(folder)(io::ErrorKind::NotADirectory.into()));
                }
                // Files are made as lines come, when nobody reads an error any more.
                let may_make = access(folder, Access::WRITE_OK | Access::EXEC_OK);
                may_make.map_err(|errno| failed(folder)(errno.into()))?;
                To::PerSite(Folder {
                    path: folder.clone(),
                    open: HashMap::new(),
                    turn: 0,
                })
            }
        };
        let losses = Losses {
            dropped,
            complained: None,
        };
        Ok(Self { to, losses })
    }

    /// Writes a buffer of whole lines, or counts those that can't be written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match &mut self.to {
            To::One { path, output } => output.write(bytes, path, &mut self.losses),
            To::Stdout(output) => output.write(bytes, Path::new("-"), &mut self.losses),
            To::PerSite(folder) => folder.write(bytes, &mut self.losses),
        }
    }

    /// Opens the files anew under their names.
    pub(super) fn reopen(&mut self) {
        match &mut self.to {
            To::One { path, output } => match append_to(path) {
                Ok(file) => *output = Output::of(file),
                // Lines in the moved file are better than no lines.
                Err(error) => self.losses.complain(format_args!(
                    "can't reopen the log {}: {error}; lines go to the old file",
                    path.display()
                )),
            },
            To::Stdout(_) => {}
            // They are opened again as lines come.
            To::PerSite(folder) => folder.open.clear(),
        }
    }
}

/// The folder of a log that has a file for each site.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    open: HashMap<Vec<u8>, SiteFile>,
    /// Counts buffers, to tell which file was used last.
    turn: u64,
}

#[derive(Debug)]
struct SiteFile {
    output: Output,
    path: PathBuf,
    /// Lines of the buffer at hand: one write a site and buffer.
    pending: Vec<u8>,
    used: u64,
}

impl Folder {
    fn write(&mut self, mut frames: &[u8], losses: &mut Losses) {
        self.turn += 1;
        while let Some((site, line, rest)) = next_frame(frames) {
            frames = rest;
            self.gather(site, line, losses);
        }
        for file in self.open.values_mut() {
            file.flush(losses);
        }
    }

    fn gather(&mut self, site: &[u8], line: &[u8], losses: &mut Losses) {
        if let Some(file) = self.open.get_mut(site) {
            file.used = self.turn;
            file.pending.extend_from_slice(line);
            return;
        }
        if self.open.len() >= OPEN_MAX {
            self.close_one(losses);
        }
        let path = self.path.join(file_name(site));
        match append_to(&path) {
            Ok(file) => {
                let file = SiteFile {
                    output: Output::of(file),
                    path,
                    pending: line.to_vec(),
                    used: self.turn,
                };
                self.open.insert(site.to_vec(), file);
            }
            Err(error) => losses.lost(line, &path, &error),
        }
    }

    /// Closes the file that was not used for longest. To look at all of them costs less than the
    /// `open` that follows.
    fn close_one(&mut self, losses: &mut Losses) {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used);
        if let Some(site) = oldest.map(|(site, _)| site.clone())
            && let Some(mut file) = self.open.remove(&site)
        {
            file.flush(losses);
        }
    }
}

impl SiteFile {
    fn flush(&mut self, losses: &mut Losses) {
        if !self.pending.is_empty() {
            self.output.write(&self.pending, &self.path, losses);
            self.pending.clear();
        }
    }
}

/// The site, the line and what follows; `None` at the end.
fn next_frame(frames: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, rest) = frames.split_first_chunk::<FRAME_BYTES>()?;
    let [site_bytes, line_bytes @ ..] = *head;
    let (site, rest) = rest.split_at_checked(site_bytes.into())?;
    let line_bytes = usize::try_from(u32::from_le_bytes(line_bytes)).ok()?;
    let (line, rest) = rest.split_at_checked(line_bytes)?;
    Some((site, line, rest))
}

/// A site's name as a file's: what is no letter of a host name is `%XX`, so that two sites never
/// share a file and none leaves the folder.
fn file_name(site: &[u8]) -> String {
    let mut name = String::with_capacity(site.len() + 4);
    for (index, &byte) in site.iter().enumerate() {
        match byte {
            b'.' if index == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'[' | b']' | b':' => {
                name.push(byte.into());
            }
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.is_empty() {
        // What no site answered; no host is called so.
        name.push('%');
    }
    if name.len() > NAME_MAX {
        let digest = blake3::hash(site).to_hex();
        name.truncate(200);
        name.push('%');
        name.push_str(&digest[..32]);
    }
    name.push_str(".log");
    name
}

/// Opens a log for appending, or makes it. In a folder in which others can put files, it has to be a
/// plain file of that name alone: a link would lead what we may write to wherever they like.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    if !is_of_others(path.parent().unwrap_or(Path::new("/"))) {
        return options.open(path);
    }
    // A FIFO without a reader would hold us: it is refused a moment later.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match options.custom_flags(flags).open(path) {
        Err(_) if path.is_symlink() => return Err(not_ours("a link")),
        opened => opened?,
    };
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(not_ours("no plain file"));
    }
    if facts.nlink() != 1 {
        return Err(not_ours("a file with several names"));
    }
    Ok(file)
}

/// Whether somebody else can put files into a folder. Where that can't be told, so it is.
fn is_of_others(folder: &Path) -> bool {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(facts) = std::fs::metadata(folder) else {
        return true;
    };
    facts.uid() != geteuid().as_raw() || facts.mode() & 0o022 != 0
}

fn not_ours(what: &str) -> io::Error {
    let uid = geteuid().as_raw();
    io::Error::other(format!(
        "it is {what}, in a folder into which others than uid {uid} can put files: name a plain file, or \
         make the folder that user's alone"
    ))
}

/// An open file that remembers whether its last line is whole.
#[derive(Debug)]
struct Output {
    file: File,
    /// The last write ended within a line: a line feed comes before the next one.
    torn: bool,
}

impl Output {
    fn of(file: File) -> Self {
        Self { file, torn: false }
    }

    fn write(&mut self, bytes: &[u8], path: &Path, losses: &mut Losses) {
        let mut rest = bytes;
        if let Err(error) = self.write_some(&mut rest) {
            losses.lost(rest, path, &error);
            let written = &bytes[..bytes.len() - rest.len()];
            self.torn |= written.last().is_some_and(|&byte| byte != b'\n');
        }
    }

    fn write_some(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => *rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Lines that could not be written.
#[derive(Debug)]
struct Losses {
    dropped: Arc<AtomicU64>,
    complained: Option<Instant>,
}

impl Losses {
    fn lost(&mut self, lines: &[u8], path: &Path, error: &io::Error) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.dropped.fetch_add(count, Ordering::Relaxed);
        self.complain(format_args!(
            "can't write to the log {}: {error}; lines are dropped",
            path.display()
        ));
    }

    fn complain(&mut self, sentence: std::fmt::Arguments<'_>) {
        if self
            .complained
            .is_some_and(|last| last.elapsed() < COMPLAINT_EVERY)
        {
            return;
        }
        self.complained = Some(Instant::now());
        // `eprintln!` would panic where standard error is closed.
        let _ = writeln!(io::stderr(), "uncork serve: {sentence}.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let check = |site: &str, expected: &str| assert_eq!(file_name(site.as_bytes()), expected);
        check("example.org", "example.org.log");
        check("[::1]", "[::1].log");
        check("*.example.org", "%2A.example.org.log");
        check("", "%.log");
        check("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.log");
        check("A", "%41.log");
        let long = file_name(&[b'a'; 253]);
        assert!(long.len() <= 255 && long != file_name(&[b'a'; 252]));
    }
}
