//! What a server is told: by the command line or by a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::host::HostPattern;
use crate::limits::Limits;
use crate::log::LogSettings;
use crate::rules::Rules;

/// Where a server listens if nothing is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Everything that a server is told. Made of a file by [`Config::parse`].
#[derive(Debug, Clone)]
pub struct Config {
    /// `listen`: addresses; [`LISTEN_DEFAULT`] where none is given and systemd hands none over.
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
