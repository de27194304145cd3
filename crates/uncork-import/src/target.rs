//! Where mail goes: an IMAP URL (RFC 5092, as far as an importer needs it).

use percent_encoding::percent_decode_str;
use url::Url;

/// Port of IMAP that begins without TLS.
const IMAP_PORT: u16 = 143;

/// Port of IMAP within TLS (RFC 8314).
const IMAPS_PORT: u16 = 993;

/// Where TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `imaps://`: with the first byte.
    Tls,
    /// `imap://`: by STARTTLS, before anything is said that others should not hear. A server on
    /// this machine that does not insist on it is spoken to without.
    StartTls,
}

/// An account and a folder on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address, an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Where TLS begins.
    pub security: Security,
    /// User name, decoded.
    pub user: String,
    /// Folder, decoded, as a person writes it (not modified UTF-7); `None` where the URL names
    /// none.
    pub folder: Option<String>,
}

/// Why a URL names no target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No URL at all. It is not repeated: there may be a password in it.
    #[error("this is no URL of a server: write imaps://user@host[:port][/folder]")]
    NotAUrl {
        /// What the parser said.
        source: url::ParseError,
    },
    /// A URL of something else.
    #[error("`{scheme}://` is no mail server: write imaps://user@host[:port][/folder]")]
    Scheme {
        /// The scheme that was given.
        scheme: String,
    },
    /// A part is missing or unreadable.
    #[error("the URL has no {part}: write imaps://user@host[:port][/folder]")]
    Missing {
        /// `user` or `host`.
        part: &'static str,
    },
    /// A `?` or `#`, behind which the folder's name would be lost.
    #[error("the URL has a `?` or `#`: where the folder's name has one, write %3F or %23")]
    QueryOrFragment,
    /// A password in the URL would be seen in the process list and the shell's history.
    #[error(
        "a password does not belong into the URL, where the process list shows it: put it into \
         the environment variable UNCORK_PASSWORD, a --password-file or a --password-command"
    )]
    Password,
    /// A part does not decode to text, or holds control characters.
    #[error("the URL's {part} has bytes that are no text")]
    NotText {
        /// `user` or `folder`.
        part: &'static str,
    },
}

impl Target {
    /// Reads `imaps://user@host[:port][/folder]`, or `imap://`.
    ///
    /// ```
    /// let target = uncork_import::Target::parse("imap://ada%40example.org@localhost:1143/Old/2004")?;
    /// assert_eq!(target.user, "ada@example.org");
    /// assert_eq!((target.port, target.folder.as_deref()), (1143, Some("Old/2004")));
    /// assert_eq!(uncork_import::Target::parse("imaps://ada@example.org")?.port, 993);
    /// # Ok::<(), uncork_import::TargetError>(())
    /// ```
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let url = Url::parse(text).map_err(|source| TargetError::NotAUrl { source })?;
        let (security, port) = match url.scheme() {
            "imap" => (Security::StartTls, IMAP_PORT),
            "imaps" => (Security::Tls, IMAPS_PORT),
            scheme => {
                return Err(TargetError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        if url.password().is_some() {
            return Err(TargetError::Password);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(TargetError::QueryOrFragment);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(TargetError::Missing { part: "host" })?;
        let user = decode(url.username(), "user")?;
        if user.is_empty() {
            return Err(TargetError::Missing { part: "user" });
        }
        let folder = decode(url.path().trim_matches('/'), "folder")?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            security,
            user,
            folder: (!folder.is_empty()).then_some(folder),
        })
    }

    /// The account, as the journal knows it: `user@host:port`.
    pub(crate) fn account(&self) -> String {
        format!("{}@{}", self.user, self.address())
    }

    /// Host and port, for people.
    pub(crate) fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

fn decode(text: &str, part: &'static str) -> Result<String, TargetError> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| TargetError::NotText { part })?;
    if decoded.chars().any(char::is_control) {
        return Err(TargetError::NotText { part });
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(url: &str, expected: Result<(&str, &str, u16, Option<&str>), &str>) {
        match (Target::parse(url), expected) {
            (Ok(found), Ok((user, host, port, folder))) => {
                let found = (
                    found.user.as_str(),
                    found.host.as_str(),
                    found.port,
                    found.folder.as_deref(),
                );
                assert_eq!(found, (user, host, port, folder), "{url}");
            }
            (Err(found), Err(expected)) => {
                assert!(found.to_string().contains(expected), "{url}: {found}");
            }
            (found, expected) => panic!("{url}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn urls() {
        check("imap://a@localhost", Ok(("a", "localhost", 143, None)));
        check("imap://a@localhost/", Ok(("a", "localhost", 143, None)));
        check("imap://a@[::1]:99/x", Ok(("a", "::1", 99, Some("x"))));
        check(
            "imap://a@b.org@h/Sent%20Mail/Entw%C3%BCrfe/",
            Ok(("a@b.org", "h", 143, Some("Sent Mail/Entwürfe"))),
        );
        check("imap://h/x", Err("no user"));
        check("imap:///x", Err("no host"));
        check("imap://a:secret@h/", Err("UNCORK_PASSWORD"));
        check("imaps://a@h/", Ok(("a", "h", 993, None)));
        check("imaps://a@h:143/x", Ok(("a", "h", 143, Some("x"))));
        check("pop3://a@h/", Err("`pop3://`"));
        check("a@h", Err("no URL"));
        check("imap://a@h/What?", Err("%3F"));
        check("imap://a@h/C#", Err("%23"));
        check("imap://a@h/What%3F%23", Ok(("a", "h", 143, Some("What?#"))));
        check("imap://a@h/x%0d%0aA1 LOGOUT", Err("folder"));
        check("imap://a%ff@h/", Err("user"));
    }

    #[test]
    fn no_error_shows_a_password() {
        let error = Target::parse("imap://a:secret@h/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        let error = Target::parse("imap://a:secret@h:99999/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn where_tls_begins() {
        let security = |url| Target::parse(url).unwrap().security;
        assert_eq!(security("imaps://a@h:143"), Security::Tls);
        assert_eq!(security("imap://a@h:993"), Security::StartTls);
    }

    proptest! {
        #[test]
        fn any_text(text in "(imaps?|x)?:?/{0,3}[ -~ü]{0,40}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(!target.user.is_empty() && !target.host.is_empty());
                let folder = target.folder.unwrap_or("x".to_owned());
                prop_assert!(!folder.is_empty() && !folder.contains(char::is_control));
            }
        }
    }
}
