//! Servers, sources and checks that the tests share.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use tempfile::TempDir;
use uncork_import::{Options, Outcome, Progress, Source, Target, import};
use uncork_lab::imap::{Fault, ImapServer, Manners, Personality, ServerConfig};
use uncork_lab::mail::{MailGenerator, write_maildir};

use crate::imap_reader::{StoredMail, read_folder};

/// How long a test waits for what must come. It turns a hang into a failure and asserts nothing
/// about time.
pub(crate) const LIVENESS: Duration = Duration::from_secs(30);

/// What a server offers to an importer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offers {
    Nothing,
    LiteralMinus,
    LiteralPlus,
    MultiAppend,
}

impl Offers {
    pub(crate) const ALL: [Self; 4] = [
        Self::Nothing,
        Self::LiteralMinus,
        Self::LiteralPlus,
        Self::MultiAppend,
    ];

    pub(crate) fn personality(self) -> Personality {
        let all = Personality::careful();
        match self {
            Self::Nothing => all.literal_plus(false).multi_append(false),
            Self::LiteralMinus => all.literal_minus(true).multi_append(false),
            Self::LiteralPlus => all.multi_append(false),
            Self::MultiAppend => all,
        }
    }

    /// As the report has it.
    pub(crate) fn used(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::LiteralMinus => &["LITERAL-"],
            Self::LiteralPlus => &["LITERAL+"],
            Self::MultiAppend => &["LITERAL+", "MULTIAPPEND"],
        }
    }
}

/// A lab server with a mail root of its own.
pub(crate) struct Lab {
    pub(crate) server: ImapServer,
    root: TempDir,
}

impl Lab {
    pub(crate) fn start(personality: Personality, faults: Vec<Fault>) -> Self {
        Self::over(tempfile::tempdir().unwrap(), personality, faults)
    }

    /// Another server over the same folders, with another port, when this one has ended.
    pub(crate) fn again(self, personality: Personality, faults: Vec<Fault>) -> Self {
        self.again_after(personality, faults, |_| ())
    }

    /// The same, with something done to the folders in between.
    pub(crate) fn again_after(
        self,
        personality: Personality,
        faults: Vec<Fault>,
        change: impl FnOnce(&Path),
    ) -> Self {
        drop(self.server);
        change(self.root.path());
        Self::over(self.root, personality, faults)
    }

    fn over(root: TempDir, personality: Personality, faults: Vec<Fault>) -> Self {
        let server = ImapServer::start(ServerConfig {
            personality,
            faults,
            ..ServerConfig::new(root.path())
        });
        Self {
            server: server.unwrap(),
            root,
        }
    }

    pub(crate) fn offering(offers: Offers, faults: Vec<Fault>) -> Self {
        Self::start(offers.personality(), faults)
    }

    pub(crate) fn with_manners(offers: Offers, manners: Manners) -> Self {
        let personality = Personality {
            manners,
            ..offers.personality()
        };
        Self::start(personality, Vec::new())
    }

    /// Where user and password are `lab`.
    pub(crate) fn target(&self, folder: &str) -> Target {
        target(self.server.addr().port(), folder)
    }

    /// Imports into INBOX.
    pub(crate) fn import(&self, source: &Source) -> Outcome {
        run(source, &self.target("INBOX"))
    }

    pub(crate) fn read(&self, folder: &str) -> Vec<StoredMail> {
        read_folder(self.server.addr(), "lab", "lab", folder)
    }

    pub(crate) fn stored(&self) -> u64 {
        self.server.stored()
    }

    /// Where a folder lies on disk; INBOX has no name there.
    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        match folder {
            "" => self.root.path().to_owned(),
            _ => self
                .root
                .path()
                .join(format!(".{}", folder.replace('/', "."))),
        }
    }

    /// The texts that lie in a folder on disk, sorted: for servers whose faults would hit a
    /// reader as well.
    pub(crate) fn texts(&self, folder: &str) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.path(folder).join("cur"));
        let files = files.into_iter().flatten();
        let mut texts: Vec<_> = files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        texts.sort_unstable();
        texts
    }

    /// The [`numbered`] mails that lie in INBOX on disk, sorted.
    pub(crate) fn numbers_on_disk(&self) -> Vec<usize> {
        let texts = self.texts("");
        let mut numbers: Vec<usize> = texts.iter().map(|text| number(text)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The APPEND commands that came.
    pub(crate) fn appends(&self) -> u64 {
        let commands = self.server.commands();
        commands.iter().filter(|c| c.starts_with("APPEND")).count() as u64
    }
}

pub(crate) fn target(port: u16, folder: &str) -> Target {
    let mut target = Target::parse(&format!("imap://lab@127.0.0.1:{port}")).unwrap();
    target.folder = Some(folder.to_owned());
    target
}

/// As `lab`, and impatient: nobody waits for a second in a test.
pub(crate) fn options() -> Options {
    let mut options = Options::with_password("lab");
    options.patience.wait = Duration::from_millis(1);
    options.patience.wait_max = Duration::from_millis(20);
    // The lab's links and faults end a connection when the server is done with it.
    options.patience.settle = Duration::from_millis(1);
    options
}

pub(crate) fn run(source: &Source, target: &Target) -> Outcome {
    import_with(source, target, &options())
}

pub(crate) fn import_with(source: &Source, target: &Target, options: &Options) -> Outcome {
    import(
        std::slice::from_ref(source),
        target,
        options,
        &Progress::default(),
    )
}

/// A Maildir of generated mails, and what a server must have of it.
pub(crate) fn maildir(seed: u64, count: usize) -> (TempDir, Source, Vec<StoredMail>) {
    let root = tempfile::tempdir().unwrap();
    write_maildir(root.path(), seed, count).unwrap();
    let source = Source::open(root.path()).unwrap();
    assert_eq!(source.messages(), Some(count as u64));
    (root, source, generated(seed, count))
}

/// The generated mails by the time of their delivery, as a Maildir's names sort them.
pub(crate) fn generated(seed: u64, count: usize) -> Vec<StoredMail> {
    let mails = MailGenerator::new(seed).take(count);
    let mut mails: Vec<_> = mails
        .map(|mail| {
            let flags = mail.flags.iter().map(|flag| flag.imap_name().to_owned());
            let mut flags: Vec<String> = flags.collect();
            flags.sort();
            StoredMail {
                flags,
                internal_date: mail.internal_date,
                bytes: mail.bytes_crlf(),
            }
        })
        .collect();
    mails.sort_by_key(|mail| mail.internal_date);
    let are_apart = mails
        .windows(2)
        .all(|pair| pair[0].internal_date < pair[1].internal_date);
    assert!(
        are_apart,
        "choose a seed where no two mails came in the same second"
    );
    mails
}

/// A folder of .eml files. Each file's time is the same, so that nothing can be read from it.
pub(crate) fn eml_folder<N: AsRef<Path>, B: AsRef<[u8]>>(
    mails: impl IntoIterator<Item = (N, B)>,
) -> (TempDir, Source) {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in mails {
        write_dated(&root.path().join(name), bytes.as_ref(), FILE_DATE);
    }
    let source = Source::open(root.path()).unwrap();
    (root, source)
}

/// The time of all files of an [`eml_folder`]: 2001-09-09 01:46:40 UTC.
pub(crate) const FILE_DATE: Timestamp = Timestamp::constant(1_000_000_000, 0);

pub(crate) fn write_dated(path: &Path, bytes: &[u8], date: Timestamp) {
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(date.into()).unwrap();
}

/// Small mails `000.eml`, `001.eml`, … whose text is their number.
pub(crate) fn numbered(count: usize) -> (TempDir, Source) {
    eml_folder((0..count).map(|n| (format!("{n:03}.eml"), numbered_mail(n))))
}

pub(crate) fn numbered_mail(n: usize) -> String {
    format!("Subject: {n}\r\n\r\nMail {n}.\r\n")
}

/// The number of a [`numbered`] mail, of which all else must be as it was.
fn number(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).unwrap();
    let (first, _) = text.split_once("\r\n").unwrap();
    let n = first.strip_prefix("Subject: ").unwrap().parse().unwrap();
    assert_eq!(text, numbered_mail(n));
    n
}

/// The numbers of the [`numbered`] mails that a folder has, in its order.
pub(crate) fn numbers(mails: &[StoredMail]) -> Vec<usize> {
    mails.iter().map(|mail| number(&mail.bytes)).collect()
}

/// The file names of what a report lists, sorted.
pub(crate) fn names(listed: &[uncork_import::Refused]) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = listed
        .iter()
        .map(|mail| name(PathBuf::from(&mail.source)))
        .collect();
    names.sort();
    names
}

/// Nothing went wrong, and all of `messages` are in.
#[track_caller]
pub(crate) fn assert_whole(outcome: &Outcome, messages: u64) {
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let report = &outcome.report;
    assert_eq!(report.refused, [], "refused");
    assert_eq!(report.unknown, [], "unknown");
    assert_eq!((report.refused_messages, report.unknown_messages), (0, 0));
    assert_eq!(report.imported, messages);
}

/// What must hold however an import ended: a mail counted as imported is stored, and one that
/// is stored is counted as imported or as unknown. Mails that never left are in no count where
/// the import ended early.
#[track_caller]
pub(crate) fn assert_honest(outcome: &Outcome, messages: u64, stored: u64) {
    let report = &outcome.report;
    let (imported, unknown) = (report.imported, report.unknown_messages);
    let refused = report.refused_messages;
    let accounted = imported + report.already_there + refused + unknown;
    assert!(imported <= stored, "{imported} imported, {stored} stored");
    assert!(
        stored <= imported + unknown,
        "{stored} stored, {imported} + {unknown} unknown"
    );
    assert!(accounted <= messages, "{accounted} of {messages} accounted");
    if outcome.error.is_none() {
        assert_eq!(accounted, messages);
    }
    assert_eq!(report.refused.len() as u64, report.refused_messages);
    assert_eq!(report.unknown.len() as u64, report.unknown_messages);
}

/// So many cases, of always the same seed. `PROPTEST_CASES` in the environment says otherwise.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases),
        rng_seed: RngSeed::Fixed(20_040_101),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
