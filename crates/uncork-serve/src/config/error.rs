//! What can be wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a configuration file. Lines and columns begin at 1; a column is a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was called.
    pub name: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The place of a byte of the text.
    pub(super) fn of(name: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.line, self.column)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What `open` or `read` said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{place}: {fault}")]
    At {
        /// Where.
        place: Place,
        /// What.
        fault: Fault,
    },
}

/// What is wrong at a place of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The syntax, an unknown key or word, or a value of another type: in the words of the parser.
    #[error("{0}")]
    Toml(String),
    /// A number out of its bounds.
    #[error("`{key}` is {value}, and has to be {bounds}")]
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be, in words.
        bounds: String,
    },
    /// `target_bytes` above `head_bytes`.
    #[error("`target_bytes` is more than `head_bytes` ({head_bytes}), of which it is a part")]
    TargetBeyondHead {
        /// The whole head's bound.
        head_bytes: u64,
    },
    /// No address and port.
    #[error("{value:?} is no address with a port, such as 0.0.0.0:80 or [::1]:8080")]
    Address {
        /// What is there.
        value: String,
    },
    /// One address for two things.
    #[error("{value} is already listened at by {by}")]
    AddressTaken {
        /// The address.
        value: String,
        /// Which key has it.
        by: String,
    },
    /// An empty name or path.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// No user can be called that.
    #[error("{value:?} is no user's name")]
    User {
        /// What is there.
        value: String,
    },
    /// Nothing to serve.
    #[error("nothing to serve: neither `hosts` nor a [[site]] is given")]
    NothingToServe,
    /// A key of a site among the defaults.
    #[error("`{key}` belongs to a [[site]]: [defaults] holds rules alone")]
    NotADefault {
        /// `hosts` or `root`.
        key: &'static str,
    },
    /// A site lacks a key.
    #[error("this [[site]] has no `{key}`")]
    Missing {
        /// `hosts` or `root`.
        key: &'static str,
    },
    /// No host's name or pattern.
    #[error("{value:?} is no host: `example.org`, `*.example.org` or `_default`")]
    Host {
        /// What is there.
        value: String,
    },
    /// A host of two sites.
    #[error("the host {host} is already a site's at {first}")]
    DuplicateHost {
        /// The host.
        host: String,
        /// Where it was first.
        first: Place,
    },
    /// A folder that is not there.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it can't be served.
        reason: String,
    },
    /// A log without a target, or with two.
    #[error("[log] needs one of `file` and `per_host`, and not both")]
    LogTarget,
    /// No path from a site's root.
    #[error("{value:?} is no path from the root: {reason}")]
    Path {
        /// What is there.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A page that would not be served.
    #[error(
        "{value:?} would never be served: a name in it begins with a dot (`hidden = true` serves those)"
    )]
    Hidden {
        /// The path.
        value: String,
    },
    /// No name of a file.
    #[error("{value:?} is no name of a file")]
    FileName {
        /// What is there.
        value: String,
    },
    /// No glob.
    #[error("{value:?} is no glob over paths: {reason}")]
    Glob {
        /// What is there.
        value: String,
        /// Why not.
        reason: String,
    },
    /// No header's name.
    #[error("{value:?} is no header's name")]
    HeaderName {
        /// What is there.
        value: String,
    },
    /// A header that frames the response, belongs to the connection or says how the body is coded.
    #[error("the header {value} is the server's own: it can't be set or taken away")]
    HeaderOwn {
        /// Its name.
        value: String,
    },
    /// A header by which conditional requests are answered.
    #[error(
        "the header {value} is the server's own: an empty value leaves it out, and the key `etag` of \
         the site says of what ETags are made"
    )]
    HeaderValidator {
        /// Its name.
        value: String,
    },
    /// One header twice in one rule.
    #[error("the header {value} is set twice by one rule")]
    HeaderTwice {
        /// Its name.
        value: String,
    },
    /// No header's value.
    #[error(
        "{value:?} is no header's value: it has to be printable ASCII, without a line break and \
         without a space at its ends"
    )]
    HeaderValue {
        /// What is there.
        value: String,
    },
    /// No media type.
    #[error("{value:?} is no media type, such as text/plain; charset=utf-8")]
    MediaType {
        /// What is there.
        value: String,
    },
    /// No extension, or one that is there twice.
    #[error("{value:?} is no extension: without a dot or a slash, and each once")]
    Extension {
        /// What is there.
        value: String,
    },
    /// No status that has an error page.
    #[error("{value:?} is no status with a page: 403, 404, 405 or 503")]
    PageStatus {
        /// What is there.
        value: String,
    },
    /// No status of a redirect.
    #[error("{value} is no redirect's status: 301, 302, 303, 307 or 308")]
    RedirectStatus {
        /// What is there.
        value: u64,
    },
    /// A place that can't be redirected to.
    #[error("{value:?} can't be redirected to: {reason}")]
    RedirectTo {
        /// What is there.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}
