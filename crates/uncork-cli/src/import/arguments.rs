//! The arguments of `uncork import`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use uncork_import::{
    Compress, DateFrom, Existing, Format, JournalError, JournalPlace, Labels, Options, Order,
    Source, SourceError, Strictness, Target, default_journal,
};

use super::choice::choice;
use super::credentials::LoginArgs;
use super::examples::EXAMPLES;
use super::size::size;
use crate::exit::{Exit, Failure};

/// What `--journal` takes for no file at all.
const NO_JOURNAL: &str = "none";

/// Put mail into an IMAP server: nothing lost, nothing twice, as fast as the server takes it
///
/// What each SOURCE is gets found out and said. Folders are made where they are missing; flags
/// and dates are kept. What is in is written down in a journal, so that the same command goes on
/// where it was stopped, and a second run adds nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "`uncork import --help` says more, with examples.",
    after_long_help = EXAMPLES
)]
pub(crate) struct ImportArgs {
    /// Maildirs, mboxes, .eml files, folders of them, archives of them; `-`: an mbox on stdin
    ///
    /// A Maildir or Maildir++ tree, an mbox, an .eml file, a folder with any of these below it
    /// (Thunderbird's `Local Folders`), a .zip, .tar, .tar.gz or .tar.zst of them (Google
    /// Takeout), an .mbox.gz or .mbox.zst, or `-` for an mbox on standard input.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// imaps://user@host[:port][/folder]
    ///
    /// `imaps://` is TLS from the first byte, `imap://` is STARTTLS. In the user name `@` is
    /// written %40. All mail goes beneath the folder, where one is named.
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    mail: MailArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    speed: SpeedArgs,
    #[command(flatten)]
    pub(super) login: LoginArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Folders")]
struct FolderArgs {
    /// The folder on the server, instead of in the URL
    #[arg(long, value_name = "NAME")]
    folder: Option<String>,
    /// Put the source's folder FROM, with what is beneath it, into the folder TO; repeatable
    ///
    /// Both are written with `/` between levels. An empty FROM is the source's root.
    #[arg(long, value_name = "FROM=TO", value_parser = moved)]
    map: Vec<(String, String)>,
    /// Where a mail with several labels (Google Takeout) goes
    #[arg(long, value_name = "WHERE", default_value = "each", value_parser = choice(LABELS))]
    labels: Labels,
}

const LABELS: &[(&str, &str, Labels)] = &[
    ("each", "Into the folder of each label", Labels::Each),
    ("once", "Into the first one only", Labels::Once),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Mail")]
struct MailArgs {
    #[arg(long, value_name = "NAME", value_parser = format, help = format_help())]
    format: Option<Format>,
    /// What the server shows as the date of arrival
    #[arg(long, value_name = "FROM", default_value = "auto", value_parser = choice(DATES))]
    date: DateFrom,
    /// Refuse mails that would have to be repaired (bare CRs, NULs, no header, …)
    #[arg(long)]
    strict: bool,
    /// Keep a copy of each mail that was repaired or refused, as it was, in this folder
    #[arg(long, value_name = "DIR")]
    rejects: Option<PathBuf>,
}

const DATES: &[(&str, &str, DateFrom)] = &[
    (
        "auto",
        "The first of the following that there is",
        DateFrom::Auto,
    ),
    (
        "source",
        "The source's word: a Maildir file's time, an mbox's envelope",
        DateFrom::Source,
    ),
    ("received", "The first Received field", DateFrom::Received),
    ("header", "The Date field", DateFrom::Header),
    ("file", "The time of the file", DateFrom::File),
    ("now", "The time of the import", DateFrom::Now),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Nothing lost, nothing twice")]
struct RunArgs {
    /// Where it is written down what is in; `none`: nowhere
    ///
    /// The default is uncork/import.sqlite in $XDG_STATE_HOME or ~/.local/state. With `none` the
    /// server is asked what it has.
    #[arg(long, value_name = "FILE|none")]
    journal: Option<PathBuf>,
    /// What happens to mails that their folder has already
    #[arg(long, value_name = "WHAT", default_value = "skip", value_parser = choice(EXISTING))]
    existing: Existing,
    /// Try mails again that the server refused in an earlier run
    #[arg(long)]
    retry_refused: bool,
    /// Change nothing on the server: only say what would go where
    #[arg(long)]
    dry_run: bool,
    /// Read everything back at the end and compare
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
}

const EXISTING: &[(&str, &str, Existing)] = &[
    ("skip", "They are not sent", Existing::Skip),
    (
        "compare",
        "They are not sent; those that no journal knows are read, and compared byte by byte",
        Existing::Compare,
    ),
    (
        "append",
        "They are sent all the same, unless the journal says that an earlier run sent them",
        Existing::Append,
    ),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Speed and limits")]
struct SpeedArgs {
    /// Use this many connections (else: as many as help, up to 4)
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroU32>,
    /// Whether mails keep their order within a folder
    #[arg(long, value_name = "ORDER", default_value = "kept", value_parser = choice(ORDERS))]
    order: Order,
    /// Send at most so many mails a second
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Send at most so much a day (UTC), all runs together: 500MB, 2GB, 1GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes_per_day: Option<u64>,
    /// Whether what is sent is compressed, if the server can do that
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = choice(COMPRESS))]
    compress: Compress,
}

const ORDERS: &[(&str, &str, Order)] = &[
    (
        "kept",
        "They do: connections take turns in a folder",
        Order::Kept,
    ),
    (
        "any",
        "They need not: several connections a folder",
        Order::Any,
    ),
];

const COMPRESS: &[(&str, &str, Compress)] = &[
    (
        "auto",
        "Where the link, not the processor, is the limit",
        Compress::Auto,
    ),
    ("always", "Wherever the server offers it", Compress::Always),
    ("never", "Not at all", Compress::Never),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
    /// Write the report as a page to this file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// No progress and no summary
    #[arg(long)]
    pub(super) quiet: bool,
}

impl ImportArgs {
    /// The account and the folder.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        // A URL in the wrong place would be shown as a file that is missing, and there may be a
        // password in it.
        if self.sources.iter().any(|path| is_url(path)) {
            return Err(usage(anyhow::anyhow!(
                "a URL stands among the sources: write uncork import SOURCE... URL, with one URL, \
                 as the last of them"
            )));
        }
        let mut target = Target::parse(&self.url).map_err(usage)?;
        if let Some(folder) = &self.folders.folder {
            if let Some(other) = &target.folder {
                return Err(usage(anyhow::anyhow!(
                    "the folder is named twice, as {other} in the URL and as {folder}: leave one \
                     away"
                )));
            }
            let folder = folder.trim_matches('/');
            target.folder = (!folder.is_empty()).then(|| folder.to_owned());
        }
        Ok(target)
    }

    /// Finds out what each source is.
    pub(super) fn open_sources(&self) -> Result<Vec<Source>, Failure> {
        let paths = self.sources.iter();
        let streams = paths.clone().filter(|path| path.as_os_str() == "-");
        if streams.count() > 1 {
            return Err(usage(anyhow::anyhow!(
                "standard input (`-`) can be read once only: name it once"
            )));
        }
        let open = |path: &PathBuf| match self.mail.format {
            Some(format) => Source::open_as(path, format),
            None => Source::open(path),
        };
        paths
            .map(|path| open(path).map_err(source_failure))
            .collect()
    }

    /// All options but the credentials.
    pub(super) fn options(&self) -> Result<Options, Failure> {
        let Self {
            folders,
            mail,
            run,
            speed,
            login,
            ..
        } = self;
        let mut options = Options::default();
        options.map.clone_from(&folders.map);
        options.labels = folders.labels;
        options.date = mail.date;
        options.strictness = match mail.strict {
            true => Strictness::Refuse,
            false => Strictness::Repair,
        };
        options.rejects.clone_from(&mail.rejects);
        options.journal = journal(run.journal.as_deref()).map_err(usage)?;
        options.existing = run.existing;
        options.retry_refused = run.retry_refused;
        options.dry_run = run.dry_run;
        options.verify = run.verify;
        options.connections = speed.connections;
        options.order = speed.order;
        options.messages_per_second_max = speed.rate;
        options.bytes_per_day_max = speed.max_bytes_per_day;
        options.compress = speed.compress;
        options.tls = login.tls()?;
        options.allow_plaintext = login.allow_plaintext;
        Ok(options)
    }
}

fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Usage, error)
}

fn source_failure(error: SourceError) -> Failure {
    let kind = match &error {
        SourceError::Unreadable { source, .. } => source.kind(),
        _ => std::io::ErrorKind::InvalidInput,
    };
    Failure::io(Exit::Usage, kind, error)
}

fn is_url(path: &Path) -> bool {
    let text = path.to_string_lossy().to_ascii_lowercase();
    text.starts_with("imap://") || text.starts_with("imaps://")
}

fn journal(asked: Option<&Path>) -> Result<JournalPlace, JournalError> {
    match asked {
        Some(path) if path.as_os_str() == NO_JOURNAL => Ok(JournalPlace::Memory),
        Some(path) => Ok(JournalPlace::File(path.to_owned())),
        None => default_journal().map(JournalPlace::File),
    }
}

fn moved(text: &str) -> Result<(String, String), String> {
    let (from, to) = text
        .split_once('=')
        .ok_or("write FROM=TO, with `/` between the levels of both")?;
    Ok((from.to_owned(), to.to_owned()))
}

fn format(word: &str) -> Result<Format, uncork_import::UnknownFormat> {
    word.parse()
}

fn format_help() -> String {
    let names = Format::NAMES.map(|(name, _)| name).join(", ");
    format!("What the sources are, where that can't be seen: {names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_move() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, &str)>) {
            let found = moved(text).ok();
            let found = found
                .as_ref()
                .map(|(from, to)| (from.as_str(), to.as_str()));
            assert_eq!(found, expected);
        }
        check("Sent=Old/Sent", Some(("Sent", "Old/Sent")));
        check("=Old", Some(("", "Old")));
        check("a=b=c", Some(("a", "b=c")));
        check("Sent", None);
    }

    #[test]
    fn where_the_journal_is() {
        let file = |name: &str| JournalPlace::File(PathBuf::from(name));
        let journal = |name: &str| journal(Some(Path::new(name))).unwrap();
        assert_eq!(journal("none"), JournalPlace::Memory);
        assert_eq!(journal("./none"), file("./none"));
        assert_eq!(journal("mail.sqlite"), file("mail.sqlite"));
    }
}
