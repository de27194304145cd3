//! The web servers: what each needs and how it is called.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use uncork_lab::requirement::program;

use crate::bench::cores::Cores;
use crate::bench::import::build_uncork;
use crate::bench::result::Report;
use crate::bench::server::Server;
use crate::command::root;
use crate::peer::Runtime;

/// A server that is here, and its program.
#[derive(Debug)]
pub(in crate::bench) struct Peer {
    pub(in crate::bench) name: PeerName,
    /// This program itself serves as the limit.
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum PeerName {
    Bare,
    Uncork,
    UncorkLog,
    Nginx,
    /// nginx writes each line at once unless told otherwise.
    NginxLog,
    NginxLogBuffered,
    Lighttpd,
    H2o,
}

/// What is to be served.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Content<'a> {
    /// The files of this folder, whatever the host.
    OneHost(&'a Path),
    /// A host for each folder in this one. uncork's alone.
    Hosts(&'a Path),
}

/// All servers of this machine whose names have one of these parts; those that are missing are
/// said and noted. uncork is built unless a build is given.
///
/// # Errors
/// Where uncork does not build.
pub(in crate::bench) fn available(
    parts: &[String],
    mut uncork: Option<PathBuf>,
    report: &mut Report,
) -> Result<Vec<Peer>> {
    let is_wanted = |name: &PeerName| {
        parts.is_empty() || parts.iter().any(|part| name.name().contains(part.as_str()))
    };
    let mut peers = Vec::new();
    for name in PeerName::ALL.into_iter().filter(is_wanted) {
        let program = match name.program() {
            Program::This => None,
            Program::Uncork => {
                let built = match uncork.take() {
                    Some(built) => built,
                    None => build_uncork()?,
                };
                uncork = Some(built.clone());
                Some(built)
            }
            Program::Installed(word) => match program(word) {
                Some(path) => Some(path),
                None => {
                    report.note(format!("{} is left out: there is no {word}.", name.name()));
                    continue;
                }
            },
        };
        peers.push(Peer { name, program });
    }
    Ok(peers)
}

enum Program {
    This,
    Uncork,
    Installed(&'static str),
}

impl PeerName {
    const ALL: [Self; 8] = [
        Self::Bare,
        Self::Uncork,
        Self::UncorkLog,
        Self::Nginx,
        Self::NginxLog,
        Self::NginxLogBuffered,
        Self::Lighttpd,
        Self::H2o,
    ];

    pub(in crate::bench) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare, the limit",
            Self::Uncork => "uncork",
            Self::UncorkLog => "uncork, log on",
            Self::Nginx => "nginx",
            Self::NginxLog => "nginx, log on",
            Self::NginxLogBuffered => "nginx, log on, buffered",
            Self::Lighttpd => "lighttpd",
            Self::H2o => "h2o",
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Bare => Program::This,
            Self::Uncork | Self::UncorkLog => Program::Uncork,
            Self::Nginx | Self::NginxLog | Self::NginxLogBuffered => Program::Installed("nginx"),
            Self::Lighttpd => Program::Installed("lighttpd"),
            Self::H2o => Program::Installed("h2o"),
        }
    }

    /// Whether it is the same server as another with a log; without requests all are alike.
    pub(in crate::bench) fn has_log(self) -> bool {
        matches!(
            self,
            Self::UncorkLog | Self::NginxLog | Self::NginxLogBuffered
        )
    }
}

impl Peer {
    /// # Errors
    /// Where it does not start.
    pub(in crate::bench) fn start(
        &self,
        cores: Cores,
        content: &Content<'_>,
        body_bytes: usize,
    ) -> Result<Server> {
        match &self.program {
            None => Server::start_bare(cores, Runtime::Epoll, body_bytes),
            Some(program) => Server::start(cores, |addr, folder| {
                let mut command = Command::new(program);
                command.args(self.arguments(addr, folder, content)?);
                Ok(command)
            }),
        }
    }

    fn arguments(
        &self,
        addr: SocketAddr,
        folder: &Path,
        content: &Content<'_>,
    ) -> Result<Vec<String>> {
        let root = match (content, self.name) {
            (Content::OneHost(root), _) => text(root)?,
            (Content::Hosts(hosts), PeerName::Uncork) => {
                return Ok(uncork(addr, "--hosts", text(hosts)?));
            }
            (Content::Hosts(_), _) => bail!("only uncork serves a folder of hosts"),
        };
        let folder_text = text(folder)?;
        let log = format!("{folder_text}/access.log");
        let conf = |template: &str, log: &str, user: &str| {
            let is_root = rustix::process::geteuid().is_root();
            let values = [
                ("IP", addr.ip().to_string()),
                ("PORT", addr.port().to_string()),
                ("ROOT", root.to_owned()),
                ("FOLDER", folder_text.to_owned()),
                ("LOG", log.to_owned()),
                // As root, workers would run as somebody who can't get into the folders.
                ("USER", if is_root { user } else { "" }.to_owned()),
            ];
            write_conf(template, folder, &values)
        };
        Ok(match self.name {
            PeerName::Bare => Vec::new(),
            PeerName::Uncork => uncork(addr, "--root", root),
            PeerName::UncorkLog => {
                let conf = conf("uncork.toml", &log, "")?;
                ["serve", "--config", &conf].map(str::to_owned).into()
            }
            PeerName::Nginx | PeerName::NginxLog | PeerName::NginxLogBuffered => {
                let log = match self.name {
                    PeerName::NginxLog => log,
                    PeerName::NginxLogBuffered => {
                        format!("{log} combined buffer=64k flush=1s")
                    }
                    _ => "off".to_owned(),
                };
                let conf = conf("nginx.conf", &log, "user root;")?;
                let errors = format!("{folder_text}/error.log");
                let arguments = ["-p", folder_text, "-e", &errors, "-c", &conf];
                arguments.map(str::to_owned).into()
            }
            PeerName::Lighttpd => {
                let conf = conf("lighttpd.conf", &log, "")?;
                ["-D", "-f", &conf].map(str::to_owned).into()
            }
            PeerName::H2o => {
                let conf = conf("h2o.conf", &log, "user: root")?;
                ["-m", "worker", "-c", &conf].map(str::to_owned).into()
            }
        })
    }
}

fn uncork(addr: SocketAddr, what: &str, folder: &str) -> Vec<String> {
    let addr = addr.to_string();
    let arguments = ["serve", what, folder, "--listen", &addr, "--threads", "1"];
    arguments.map(str::to_owned).into()
}

/// Fills a template of `bench/serve` and writes it into the folder; its path.
fn write_conf(template: &str, folder: &Path, values: &[(&str, String)]) -> Result<String> {
    let source = root().join("bench/serve").join(template);
    let filled = fs::read_to_string(&source)
        .with_context(|| format!("can't read {}", source.display()))
        .and_then(|template| fill(&template, values))?;
    let path = folder.join(template);
    fs::write(&path, filled).with_context(|| format!("can't write {}", path.display()))?;
    text(&path).map(str::to_owned)
}

/// Puts a value for each `{{NAME}}`.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let filled = values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        });
    ensure!(!filled.contains("{{"), "a placeholder without a value");
    Ok(filled)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a folder whose name is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_get_their_values() {
        let values = [("PORT", "80".to_owned()), ("IP", "::1".to_owned())];
        let filled = fill("listen {{IP}}:{{PORT}}; # {{PORT}}", &values).unwrap();
        assert_eq!(filled, "listen ::1:80; # 80");
        assert!(fill("{{HOST}}", &values).is_err());
    }

    #[test]
    fn every_template_is_there_and_can_be_filled() {
        let folder = tempfile::tempdir().unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
        for name in PeerName::ALL {
            let program = None;
            let peer = Peer { name, program };
            let content = Content::OneHost(Path::new("/srv"));
            let arguments = peer.arguments(addr, folder.path(), &content).unwrap();
            assert_eq!(arguments.is_empty(), name == PeerName::Bare);
        }
    }
}
