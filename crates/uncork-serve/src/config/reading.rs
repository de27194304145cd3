//! From the keys of the file to the configuration: each value is checked where its place is known.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::error::{ConfigError, Fault, Place};
use super::file::{self, Section, Text};
use super::{Config, HostsFolder, SiteConfig};
use crate::host::HostPattern;
use crate::log::{LogFormat, LogSettings, LogTarget};
use crate::rules::Rules;

/// A file that is being read.
pub(super) struct Reading<'t> {
    name: &'t str,
    text: &'t str,
    /// Of which relative paths are relative.
    base: &'t Path,
    /// Where each host was first.
    hosts: HashMap<HostPattern, usize>,
    /// Folders that have to be there, and where they are said. Looked at by [`Reading::folders`].
    folders: Vec<(PathBuf, usize)>,
}

impl<'t> Reading<'t> {
    pub(super) fn new(text: &'t str, name: &'t str) -> Self {
        Self {
            name,
            text,
            base: Path::new(name).parent().unwrap_or(Path::new("")),
            hosts: HashMap::new(),
            folders: Vec::new(),
        }
    }

    pub(super) fn config(&mut self) -> Result<Config, ConfigError> {
        let file: file::File = toml::from_str(self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.at(offset, Fault::Toml(error.message().to_owned()))
        })?;
        let defaults = self.defaults(&file.defaults)?;
        let hosts = match &file.hosts {
            Some(path) => Some(HostsFolder {
                path: self.folder("hosts", path)?,
                rules: Arc::clone(&defaults),
            }),
            None => None,
        };
        let mut sites = Vec::with_capacity(file.site.len());
        for site in &file.site {
            sites.push(self.site(site, &defaults)?);
        }
        if hosts.is_none() && sites.is_empty() {
            return Err(self.at(0, Fault::NothingToServe));
        }
        let listen = self.listen(file.listen.as_deref().unwrap_or_default())?;
        Ok(Config {
            admin: self.admin(file.admin.as_ref(), &listen)?,
            listen,
            threads: self
                .count("threads", file.threads.as_ref(), 1..=1024)?
                .and_then(|threads| usize::try_from(threads).ok()),
            user: self.user(file.user.as_ref())?,
            limits: self.limits(&file.limits)?,
            log: file.log.as_ref().map(|log| self.log(log)).transpose()?,
            hosts,
            sites,
        })
    }

    /// Looks whether the folders are there.
    pub(super) fn folders(&self) -> Result<(), ConfigError> {
        for (path, offset) in &self.folders {
            let reason = match std::fs::metadata(path) {
                Ok(facts) if facts.is_dir() => continue,
                Ok(_) => "this is no folder".to_owned(),
                Err(error) => error.to_string(),
            };
            let path = path.clone();
            return Err(self.at(*offset, Fault::Folder { path, reason }));
        }
        Ok(())
    }

    pub(super) fn at(&self, offset: usize, fault: Fault) -> ConfigError {
        ConfigError::At {
            place: Place::of(self.name, self.text, offset),
            fault,
        }
    }

    /// Checks a text, and says where it stands if it is wrong.
    pub(super) fn checked<T>(
        &self,
        text: &Text,
        check: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Result<T, ConfigError> {
        check(text.get_ref()).map_err(|fault| self.at(text.span().start, fault))
    }

    fn path(&self, key: &'static str, text: &Text) -> Result<PathBuf, ConfigError> {
        self.checked(text, |path| match path {
            "" => Err(Fault::Empty { key }),
            path => Ok(self.base.join(path)),
        })
    }

    fn folder(&mut self, key: &'static str, text: &Text) -> Result<PathBuf, ConfigError> {
        let path = self.path(key, text)?;
        self.folders.push((path.clone(), text.span().start));
        Ok(path)
    }

    fn address(&self, text: &Text) -> Result<SocketAddr, ConfigError> {
        self.checked(text, |address| {
            address.parse().map_err(|_| Fault::Address {
                value: address.to_owned(),
            })
        })
    }

    fn listen(&self, texts: &[Text]) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let address = self.address(text)?;
            // With SO_REUSEPORT the kernel would take the second one without a word.
            if all.contains(&address) {
                return Err(self.taken(text, "`listen`"));
            }
            all.push(address);
        }
        Ok(all)
    }

    fn admin(
        &self,
        text: Option<&Text>,
        listen: &[SocketAddr],
    ) -> Result<Option<SocketAddr>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        let address = self.address(text)?;
        if listen.contains(&address) {
            return Err(self.taken(text, "`listen`"));
        }
        Ok(Some(address))
    }

    fn taken(&self, text: &Text, by: &str) -> ConfigError {
        let fault = Fault::AddressTaken {
            value: text.get_ref().clone(),
            by: by.to_owned(),
        };
        self.at(text.span().start, fault)
    }

    fn user(&self, text: Option<&Text>) -> Result<Option<String>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        self.checked(text, |user| {
            if user.is_empty() || user.contains([':', '/', '\n', '\0', ' ']) {
                return Err(Fault::User {
                    value: user.to_owned(),
                });
            }
            Ok(Some(user.to_owned()))
        })
    }

    fn log(&self, log: &Spanned<file::Log>) -> Result<LogSettings, ConfigError> {
        let at = log.span().start;
        let log = log.get_ref();
        let to = match (&log.file, &log.per_host) {
            (Some(file), None) if file.get_ref() == "-" => LogTarget::Stdout,
            (Some(file), None) => LogTarget::File(self.path("file", file)?),
            (None, Some(folder)) => LogTarget::PerHost(self.path("per_host", folder)?),
            (None, None) | (Some(_), Some(_)) => return Err(self.at(at, Fault::LogTarget)),
        };
        let format = log.format.unwrap_or(LogFormat::Combined);
        Ok(LogSettings { format, to })
    }

    fn defaults(&self, section: &Section) -> Result<Arc<Rules>, ConfigError> {
        let misplaced = (section.hosts.as_ref().map(|hosts| ("hosts", hosts.span())))
            .or(section.root.as_ref().map(|root| ("root", root.span())));
        if let Some((key, span)) = misplaced {
            return Err(self.at(span.start, Fault::NotADefault { key }));
        }
        self.rules(section, &Rules::default())
    }

    fn site(
        &mut self,
        section: &Spanned<Section>,
        defaults: &Arc<Rules>,
    ) -> Result<SiteConfig, ConfigError> {
        let at = section.span().start;
        let section = section.get_ref();
        let missing = |this: &Self, key| this.at(at, Fault::Missing { key });
        let texts = section
            .hosts
            .as_ref()
            .ok_or_else(|| missing(self, "hosts"))?;
        if texts.get_ref().is_empty() {
            return Err(self.at(texts.span().start, Fault::Empty { key: "hosts" }));
        }
        let mut hosts = Vec::with_capacity(texts.get_ref().len());
        for text in texts.get_ref() {
            hosts.push(self.host(text)?);
        }
        let root = section.root.as_ref().ok_or_else(|| missing(self, "root"))?;
        Ok(SiteConfig {
            hosts,
            root: self.folder("root", root)?,
            rules: self.rules(section, defaults)?,
        })
    }

    fn host(&mut self, text: &Text) -> Result<HostPattern, ConfigError> {
        let pattern = self.checked(text, |host| {
            HostPattern::parse(host).ok_or_else(|| Fault::Host {
                value: host.to_owned(),
            })
        })?;
        let at = text.span().start;
        if let Some(&first) = self.hosts.get(&pattern) {
            let fault = Fault::DuplicateHost {
                host: text.get_ref().clone(),
                first: Place::of(self.name, self.text, first),
            };
            return Err(self.at(at, fault));
        }
        self.hosts.insert(pattern.clone(), at);
        Ok(pattern)
    }
}
