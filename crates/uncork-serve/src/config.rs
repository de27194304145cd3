//! What a server is told: by the command line or by a file.

mod error;
mod file;
mod limits;
mod reading;
mod rules;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::host::HostPattern;
use crate::limits::Limits;
use crate::log::LogSettings;
use crate::rules::Rules;

pub use self::error::{ConfigError, Fault, Place};
use self::reading::Reading;

/// Where a server listens if nothing is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Everything that a server is told. Made of a file by [`Config::load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `listen`: addresses; [`LISTEN_DEFAULT`] where none is given (this is empty) and systemd hands none
    /// over.
    pub listen: Vec<SocketAddr>,
    /// `threads`: workers; one a core where `None`.
    pub threads: Option<usize>,
    /// `admin`: where `/metrics` and `/health` are.
    pub admin: Option<SocketAddr>,
    /// `user`: whom to become after the sockets are bound, where started as root.
    pub user: Option<String>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[log]`.
    pub log: Option<LogSettings>,
    /// `hosts`: a folder of sites, with the rules of `[defaults]`.
    pub hosts: Option<HostsFolder>,
    /// `[[site]]`.
    pub sites: Vec<SiteConfig>,
}

impl Config {
    /// Reads a configuration. Pure: no file is looked at, so that folders may be missing.
    ///
    /// Relative paths are relative to the folder of `name`, which is also how errors call the file.
    ///
    /// # Errors
    /// [`ConfigError::At`]: the first thing that is wrong, with its place.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        Reading::new(text, name).config()
    }

    /// Reads a configuration from a file, and looks whether the folders of its sites are there.
    ///
    /// # Errors
    /// [`ConfigError`]: the file can't be read, or the first thing in it that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        // A path that is no UTF-8 would lose its folder on the way through a name.
        let name = path.to_str().ok_or_else(|| ConfigError::Unreadable {
            path: path.to_owned(),
            source: std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "the path of a configuration has to be UTF-8",
            ),
        })?;
        let mut reading = Reading::new(&text, name);
        let config = reading.config()?;
        reading.folders()?;
        Ok(config)
    }

    /// One folder for every host, and everything else as it is by default: `--root DIR`.
    #[must_use]
    pub fn of_root(root: PathBuf) -> Self {
        Self {
            sites: vec![SiteConfig {
                hosts: vec![HostPattern::Default],
                root,
                rules: Arc::default(),
            }],
            ..Self::empty()
        }
    }

    /// A folder of sites, and everything else as it is by default: `--hosts DIR`.
    #[must_use]
    pub fn of_hosts(path: PathBuf) -> Self {
        Self {
            hosts: Some(HostsFolder {
                path,
                rules: Arc::default(),
            }),
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            listen: Vec::new(),
            threads: None,
            admin: None,
            user: None,
            limits: Limits::default(),
            log: None,
            hosts: None,
            sites: Vec::new(),
        }
    }
}

/// A folder in which each folder named like a host is a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsFolder {
    /// The folder.
    pub path: PathBuf,
    /// The rules of each site in it.
    pub rules: Arc<Rules>,
}

/// One site of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// Its names.
    pub hosts: Vec<HostPattern>,
    /// Its folder.
    pub root: PathBuf,
    /// How it is served.
    pub rules: Arc<Rules>,
}
