//! From the keys of the file to the configuration: each value is checked where its place is known.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::error::{ConfigError, Fault, Place};
use super::file::{self, Pairs, Seconds, Section, Text};
use super::{Config, HostsFolder, SiteConfig, value};
use crate::host::HostPattern;
use crate::limits::Limits;
use crate::log::{LogFormat, LogSettings, LogTarget};
use crate::rules::{HeaderRule, Redirect, Rules};

/// A year: more could overflow the clock, and nobody means it.
const SECONDS_MAX: u64 = 366 * 24 * 3600;

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

    fn at(&self, offset: usize, fault: Fault) -> ConfigError {
        ConfigError::At {
            place: Place::of(self.name, self.text, offset),
            fault,
        }
    }

    /// Checks a text, and says where it stands if it is wrong.
    fn checked<T>(
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

    fn count(
        &self,
        key: &'static str,
        given: Option<&Spanned<u64>>,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(given) = given else { return Ok(None) };
        let number = *given.get_ref();
        if bounds.contains(&number) {
            return Ok(Some(number));
        }
        let fault = Fault::OutOfBounds {
            key,
            value: number.to_string(),
            least: *bounds.start(),
            most: *bounds.end(),
        };
        Err(self.at(given.span().start, fault))
    }

    fn seconds(
        &self,
        key: &'static str,
        given: Option<&Spanned<Seconds>>,
        zero: Zero,
        into: &mut Duration,
    ) -> Result<(), ConfigError> {
        let Some(given) = given else { return Ok(()) };
        let Seconds(seconds) = *given.get_ref();
        // NaN lies in no range. Less than a millisecond would be cut to nothing by epoll_wait.
        let whole = (0.001..=SECONDS_MAX as f64).contains(&seconds);
        if whole || (zero == Zero::Means && seconds == 0.0) {
            *into = Duration::from_secs_f64(seconds);
            return Ok(());
        }
        let fault = Fault::OutOfBounds {
            key,
            value: seconds.to_string(),
            least: 0,
            most: SECONDS_MAX,
        };
        Err(self.at(given.span().start, fault))
    }

    fn limits(&self, file: &file::Limits) -> Result<Limits, ConfigError> {
        const ANY: u64 = i64::MAX as u64;
        let mut limits = Limits::default();
        let counts: [(&'static str, Option<&Spanned<u64>>, _, &mut usize); 7] = [
            (
                "head_bytes",
                file.head_bytes.as_ref(),
                256..=1 << 20,
                &mut limits.head_bytes,
            ),
            (
                "target_bytes",
                file.target_bytes.as_ref(),
                1..=1 << 20,
                &mut limits.target_bytes,
            ),
            (
                "headers",
                file.headers.as_ref(),
                1..=10_000,
                &mut limits.headers,
            ),
            (
                "connections",
                file.connections.as_ref(),
                1..=10_000_000,
                &mut limits.connections,
            ),
            (
                "connections_per_address",
                file.connections_per_address.as_ref(),
                0..=10_000_000,
                &mut limits.connections_per_address,
            ),
            ("ranges", file.ranges.as_ref(), 0..=1000, &mut limits.ranges),
            (
                "cache_entries",
                file.cache_entries.as_ref(),
                1..=100_000_000,
                &mut limits.cache_entries,
            ),
        ];
        for (key, given, bounds, into) in counts {
            let given = self.count(key, given, bounds)?;
            if let Some(number) = given.and_then(|number| usize::try_from(number).ok()) {
                *into = number;
            }
        }
        let counts: [(&'static str, Option<&Spanned<u64>>, _, &mut u64); 4] = [
            (
                "body_bytes",
                file.body_bytes.as_ref(),
                0..=ANY,
                &mut limits.body_bytes,
            ),
            (
                "send_bytes_per_second",
                file.send_bytes_per_second.as_ref(),
                0..=ANY,
                &mut limits.send_bytes_per_second,
            ),
            (
                "requests_per_connection",
                file.requests_per_connection.as_ref(),
                1..=ANY,
                &mut limits.requests_per_connection,
            ),
            (
                "cache_bytes",
                file.cache_bytes.as_ref(),
                0..=ANY,
                &mut limits.cache_bytes,
            ),
        ];
        for (key, given, bounds, into) in counts {
            if let Some(number) = self.count(key, given, bounds)? {
                *into = number;
            }
        }
        let times = [
            (
                "head_seconds",
                &file.head_seconds,
                Zero::Nonsense,
                &mut limits.head_time,
            ),
            (
                "idle_seconds",
                &file.idle_seconds,
                Zero::Nonsense,
                &mut limits.idle_time,
            ),
            (
                "send_window_seconds",
                &file.send_window_seconds,
                Zero::Nonsense,
                &mut limits.send_window,
            ),
            (
                "drain_seconds",
                &file.drain_seconds,
                Zero::Means,
                &mut limits.drain_time,
            ),
        ];
        for (key, given, zero, into) in times {
            self.seconds(key, given.as_ref(), zero, into)?;
        }
        if limits.target_bytes > limits.head_bytes {
            // A head that is bounded more narrowly than the default target bounds the target as well.
            if let Some(given) = &file.target_bytes {
                let head_bytes = limits.head_bytes as u64;
                return Err(self.at(given.span().start, Fault::TargetBeyondHead { head_bytes }));
            }
            limits.target_bytes = limits.head_bytes;
        }
        Ok(limits)
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

    /// The rules of a section: each key that it has replaces the one beneath.
    fn rules(&self, section: &Section, beneath: &Rules) -> Result<Arc<Rules>, ConfigError> {
        let mut rules = beneath.clone();
        if let Some(index) = &section.index {
            rules.index = index
                .iter()
                .map(|name| {
                    self.checked(name, value::file_name)?;
                    Ok(name.get_ref().clone())
                })
                .collect::<Result<_, _>>()?;
        }
        // The empty text takes away what [defaults] says.
        if let Some(spa) = &section.spa {
            rules.spa = self.optional(spa, value::file_path)?;
        }
        if let Some(cache_control) = &section.cache_control {
            rules.cache_control = self.optional(cache_control, value::header_value)?;
        }
        rules.html_suffix = section.html_suffix.unwrap_or(rules.html_suffix);
        rules.listing = section.listing.unwrap_or(rules.listing);
        rules.hidden = section.hidden.unwrap_or(rules.hidden);
        rules.symlinks = section.symlinks.unwrap_or(rules.symlinks);
        rules.precompressed = section.precompressed.unwrap_or(rules.precompressed);
        rules.etag = section.etag.unwrap_or(rules.etag);
        if let Some(headers) = &section.headers {
            let headers = headers.iter().map(|rule| self.header_rule(rule));
            rules.headers = headers.collect::<Result<_, _>>()?;
        }
        if let Some(redirects) = &section.redirects {
            let redirects = redirects.iter().map(|redirect| self.redirect(redirect));
            rules.redirects = redirects.collect::<Result<_, _>>()?;
        }
        if let Some(pages) = &section.error_pages {
            rules.error_pages = self.error_pages(pages)?;
        }
        if let Some(types) = &section.types {
            rules.types = self.types(types)?;
        }
        Ok(Arc::new(rules))
    }

    fn optional(
        &self,
        text: &Text,
        check: impl FnOnce(&str) -> Result<(), Fault>,
    ) -> Result<Option<String>, ConfigError> {
        if text.get_ref().is_empty() {
            return Ok(None);
        }
        self.checked(text, check)?;
        Ok(Some(text.get_ref().clone()))
    }

    fn header_rule(&self, rule: &file::Headers) -> Result<HeaderRule, ConfigError> {
        let path = self.checked(&rule.path, value::glob)?;
        let mut set: Vec<(String, String)> = Vec::with_capacity(rule.set.0.len());
        for (name, text) in &rule.set.0 {
            self.checked(name, value::header_name)?;
            self.checked(text, value::header_value)?;
            self.checked(name, |name| {
                if set
                    .iter()
                    .any(|(before, _)| before.eq_ignore_ascii_case(name))
                {
                    return Err(Fault::HeaderTwice {
                        value: name.to_owned(),
                    });
                }
                Ok(())
            })?;
            set.push((name.get_ref().clone(), text.get_ref().clone()));
        }
        Ok(HeaderRule { path, set })
    }

    fn redirect(&self, redirect: &file::Redirect) -> Result<Redirect, ConfigError> {
        let from = redirect.from.get_ref();
        self.checked(&redirect.from, value::redirect_from)?;
        self.checked(&redirect.to, |to| value::redirect_to(to, from))?;
        let status = match &redirect.status {
            None => 301,
            Some(status) => match *status.get_ref() {
                301 => 301,
                302 => 302,
                303 => 303,
                307 => 307,
                308 => 308,
                value => {
                    return Err(self.at(status.span().start, Fault::RedirectStatus { value }));
                }
            },
        };
        Ok(Redirect {
            from: from.clone(),
            to: redirect.to.get_ref().clone(),
            status,
        })
    }

    fn error_pages(&self, pages: &Pairs) -> Result<Vec<(u16, String)>, ConfigError> {
        let page = |(status, path): &(Text, Text)| {
            let status = self.checked(status, |status| match status.parse::<u16>() {
                Ok(number @ 400..=599) if status.len() == 3 => Ok(number),
                _ => Err(Fault::PageStatus {
                    value: status.to_owned(),
                }),
            })?;
            self.checked(path, value::file_path)?;
            Ok((status, path.get_ref().clone()))
        };
        pages.0.iter().map(page).collect()
    }

    fn types(&self, types: &Pairs) -> Result<Vec<(String, String)>, ConfigError> {
        let mut all: Vec<(String, String)> = Vec::with_capacity(types.0.len());
        for (extension, media_type) in &types.0 {
            let lower = extension.get_ref().to_ascii_lowercase();
            self.checked(extension, |extension| {
                let bad = extension.is_empty() || extension.contains(['.', '/', '\\', '\0']);
                if bad || all.iter().any(|(before, _)| *before == lower) {
                    return Err(Fault::Extension {
                        value: extension.to_owned(),
                    });
                }
                Ok(())
            })?;
            self.checked(media_type, value::media_type)?;
            all.push((lower, media_type.get_ref().clone()));
        }
        Ok(all)
    }
}

/// Whether a time may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zero {
    Means,
    Nonsense,
}
