//! The importers: what each needs and how it is called.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use uncork_lab::dovecot::Dovecot;
use uncork_lab::requirement::{program, skip};

use super::maildir::Maildir;
use super::on_path;
use crate::command::{cargo, output, root, step, target_folder};

/// An importer that is here, and its program.
#[derive(Debug)]
pub(super) struct Peer {
    importer: Importer,
    program: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Importer {
    Uncork(Variant),
    MailImapClient,
    Imaplib,
    Mbsync,
    DoveadmImport,
}

/// How uncork is called.
#[derive(Clone, Copy, Debug)]
enum Variant {
    /// As anybody would, with the journal in a file.
    Plain,
    NoJournal,
    TwoConnections,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Plain, Self::NoJournal, Self::TwoConnections];
}

/// One import to do.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) server: &'a Dovecot,
    pub(super) user: &'a str,
    pub(super) maildir: &'a Maildir,
    /// An empty folder for what the importer writes.
    pub(super) scratch: &'a Path,
}

/// All importers of this machine; those that are missing are said.
///
/// # Errors
/// Where uncork does not build.
pub(super) fn available(doveadm: &Path) -> Result<Vec<Peer>> {
    let uncork = Some(build_uncork()?);
    let variants = Variant::ALL.map(|variant| (Importer::Uncork(variant), uncork.clone()));
    let others = [
        (Importer::MailImapClient, perl_with_imapclient()),
        (Importer::Imaplib, python()),
        (Importer::Mbsync, program("mbsync")),
        (Importer::DoveadmImport, Some(doveadm.to_owned())),
    ];
    let programs = variants.into_iter().chain(others);
    let peers = programs.filter_map(|(importer, program)| {
        let program = program?;
        Some(Peer { importer, program })
    });
    Ok(peers.collect())
}

/// Lets everybody into a folder: as root, Dovecot reads and writes mail as `nobody`.
pub(super) fn open_to_all(folder: &Path) -> Result<()> {
    let everybody = fs::Permissions::from_mode(0o777);
    on_path(fs::set_permissions(folder, everybody), "open", folder)
}

impl Peer {
    pub(super) fn name(&self) -> &'static str {
        match self.importer {
            Importer::Uncork(Variant::Plain) => "uncork import",
            Importer::Uncork(Variant::NoJournal) => "uncork import, no journal",
            Importer::Uncork(Variant::TwoConnections) => "uncork import, 2 connections",
            Importer::MailImapClient => "Mail::IMAPClient",
            Importer::Imaplib => "imaplib + TCP_NODELAY",
            Importer::Mbsync => "mbsync",
            Importer::DoveadmImport => "doveadm import",
        }
    }

    /// What is to be run, all files that it needs included.
    ///
    /// # Errors
    /// Where such a file can't be written.
    pub(super) fn command(&self, job: &Job<'_>) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .current_dir(job.scratch)
            .env("HOME", job.scratch)
            .env("XDG_STATE_HOME", job.scratch)
            .env("UNCORK_PASSWORD", job.server.password());
        match self.importer {
            Importer::Uncork(variant) => uncork(&mut command, job, variant),
            Importer::MailImapClient => script(&mut command, job, "imapclient.pl"),
            Importer::Imaplib => script(&mut command, job, "imaplib_nodelay.py"),
            Importer::Mbsync => mbsync(&mut command, job)?,
            Importer::DoveadmImport => doveadm_import(&mut command, job)?,
        }
        Ok(command)
    }

    /// The messages a second that the importer counts itself, for those that do.
    ///
    /// # Errors
    /// Where uncork does not print the report that it promises.
    pub(super) fn own_rate(&self, stdout: &[u8]) -> Result<Option<f64>> {
        match self.importer {
            Importer::Uncork(_) => {
                let report: serde_json::Value = serde_json::from_slice(stdout)
                    .context("it printed no JSON; is `import` in this build of uncork?")?;
                let rate = report["messages_per_second"].as_f64();
                let rate = rate.context("its JSON has no messages_per_second")?;
                Ok(Some(rate))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn uncork(command: &mut Command, job: &Job<'_>, variant: Variant) {
    let url = format!("imap://{}@{}/INBOX", job.user, job.server.addr());
    command.arg("import").arg(job.maildir.path()).arg(url);
    command.args(["--json", "--quiet"]);
    match variant {
        // The default place is beneath XDG_STATE_HOME, which is a folder of the job's.
        Variant::Plain => {}
        Variant::NoJournal => {
            command.args(["--journal", "none"]);
        }
        Variant::TwoConnections => {
            command.args(["--connections", "2"]);
        }
    }
}

/// The scripts of `bench/import` take the same arguments.
fn script(command: &mut Command, job: &Job<'_>, name: &str) {
    let addr = job.server.addr();
    command
        .arg(root().join("bench/import").join(name))
        .arg(job.maildir.path())
        .arg(addr.ip().to_string())
        .arg(addr.port().to_string())
        .arg(job.user);
}

/// mbsync renames the files of its Maildir, so it gets one of its own. It does not flush its
/// own state to the disk, as Dovecot does not flush the mail. Each message gets a header
/// `X-TUID` by which mbsync finds it again.
fn mbsync(command: &mut Command, job: &Job<'_>) -> Result<()> {
    let maildir = job.scratch.join("Maildir");
    job.maildir.link(&maildir)?;
    let conf = format!(
        "FSync no

IMAPAccount server
Host {host}
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account server

MaildirStore near
Path {scratch}/
Inbox {maildir}
SubFolders Verbatim

Channel import
Far :far:
Near :near:
Sync PushNew
CopyArrivalDate yes
SyncState {scratch}/state
",
        host = job.server.addr().ip(),
        port = job.server.addr().port(),
        user = job.user,
        password = job.server.password(),
        scratch = job.scratch.display(),
        maildir = maildir.display(),
    );
    let path = job.scratch.join("mbsyncrc");
    on_path(fs::write(&path, conf), "write", &path)?;
    command.arg("-c").arg(path).args(["-q", "import"]);
    Ok(())
}

/// Dovecot puts its index files into the Maildir that it reads.
fn doveadm_import(command: &mut Command, job: &Job<'_>) -> Result<()> {
    let maildir = job.scratch.join("Maildir");
    open_to_all(job.scratch)?;
    job.maildir.link(&maildir)?;
    command
        .arg("-c")
        .arg(job.server.conf_path())
        .args(["import", "-u", job.user])
        .arg(format!("maildir:{}", maildir.display()))
        .args(["", "ALL"]);
    Ok(())
}

pub(crate) fn build_uncork() -> Result<PathBuf> {
    step(&mut cargo(&["build", "--release", "-p", "uncork-cli"]))?;
    Ok(target_folder().join("release/uncork"))
}

fn perl_with_imapclient() -> Option<PathBuf> {
    let perl = program("perl")?;
    if output(Command::new(&perl).args(["-MMail::IMAPClient", "-e1"])).is_err() {
        skip("no Mail::IMAPClient for Perl on this machine (Debian: libmail-imapclient-perl)");
        return None;
    }
    Some(perl)
}

/// The interpreter itself: `python3` may be a shell script that takes its time to find it.
pub(crate) fn python() -> Option<PathBuf> {
    let python = program("python3")?;
    let itself = output(Command::new(&python).args(["-c", "import sys; print(sys.executable)"]));
    Some(itself.map_or(python, PathBuf::from))
}
