//! Mails as they are found in the wild, and made to be wrong: what comes back is what went in,
//! after the named repairs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use uncork_import::{Outcome, Source};
use uncork_lab::requirement;

use crate::imap_reader::StoredMail;
use crate::repairs::repaired;
use crate::support::{FILE_DATE, Lab, Offers, names, write_dated};

/// Where they are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corpus {
    /// The `resources` folder of the crate mail-parser.
    MailParser,
    /// `test_email/data` of CPython (Debian: libpython3.11-testsuite).
    CPython,
}

impl Corpus {
    pub(crate) const ALL: [Self; 2] = [Self::MailParser, Self::CPython];

    /// All its mails, by names that no two of them share; `None` after saying that it is not
    /// on this machine.
    fn mails(self) -> Option<BTreeMap<String, Vec<u8>>> {
        let mut mails = BTreeMap::new();
        let (is_mail, least): (fn(&Path) -> bool, _) = match self {
            Self::MailParser => {
                gather(&mail_parser(), "", &mut mails);
                (|path| path.extension().is_some_and(|end| end == "eml"), 100)
            }
            Self::CPython => {
                let folder = cpython()?;
                gather(&folder, "", &mut mails);
                (|path| path.extension().is_some_and(|end| end == "txt"), 40)
            }
        };
        mails.retain(|name, _| is_mail(Path::new(name)));
        assert!(mails.len() >= least, "{self:?}: only {}", mails.len());
        Some(mails)
    }
}

/// All files beneath a folder, by `subfolder-name`.
fn gather(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            gather(&path, &format!("{name}-"), files);
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
}

/// Where cargo keeps the crate that we have for its mails only.
fn mail_parser() -> PathBuf {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    // For one platform, because those that only others need are not downloaded.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(["--filter-platform", host.unwrap()])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let is_it = |package: &&serde_json::Value| package["name"] == "mail-parser";
    let package = packages.iter().find(is_it).unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.with_file_name("resources")
}

fn cpython() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folder = versions
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"python3"))
        .map(|entry| entry.path().join("test/test_email/data"))
        .find(|folder| folder.is_dir());
    if folder.is_none() {
        requirement::skip("no mails of CPython here: they are in libpython3.11-testsuite");
    }
    folder
}

/// A corpus as a folder of .eml files.
pub(crate) struct Messy {
    pub(crate) source: Source,
    mails: BTreeMap<String, Vec<u8>>,
    _root: TempDir,
}

impl Messy {
    pub(crate) fn of(corpus: Corpus) -> Option<Self> {
        let mails = corpus.mails()?;
        let root = tempfile::tempdir().unwrap();
        let mails: BTreeMap<String, Vec<u8>> = mails
            .into_iter()
            .map(|(name, text)| (format!("{}.eml", name.trim_end_matches(".eml")), text))
            .collect();
        for (name, text) in &mails {
            write_dated(&root.path().join(name), text, FILE_DATE);
        }
        Some(Self {
            source: Source::open(root.path()).unwrap(),
            mails,
            _root: root,
        })
    }

    /// Each mail is stored as its repairs make it, in the order of the names; those that are
    /// empty are refused. A server with BINARY (RFC 3516) gets NULs as they are, and may keep
    /// such mail in another encoding.
    #[track_caller]
    pub(crate) fn check(&self, outcome: &Outcome, stored: &[StoredMail], has_binary: bool) {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let mut expected = Vec::new();
        let mut empty = Vec::new();
        for (name, text) in &self.mails {
            match repaired(text) {
                Some(text) => expected.push((name, text)),
                None => empty.push(name.clone()),
            }
        }
        assert_eq!(names(&outcome.report.refused), empty);
        for (stored, (name, text)) in stored.iter().zip(&expected) {
            let is_encoded = has_binary && self.mails[*name].contains(&0);
            assert!(
                stored.bytes == *text || is_encoded,
                "{name}: {:?} instead of {:?}",
                String::from_utf8_lossy(&stored.bytes),
                String::from_utf8_lossy(text)
            );
        }
        assert_eq!(stored.len(), expected.len());
        assert_eq!(outcome.report.imported, expected.len() as u64);
    }
}

#[test]
fn they_arrive_repaired() {
    for corpus in Corpus::ALL {
        let Some(messy) = Messy::of(corpus) else {
            continue;
        };
        for offers in Offers::ALL {
            let lab = Lab::offering(offers, Vec::new());
            let outcome = lab.import(&messy.source);
            messy.check(&outcome, &lab.read("INBOX"), false);
        }
    }
}
