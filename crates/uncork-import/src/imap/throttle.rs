//! What a server's refusal means for the pace.
//!
//! RFC 5530 has codes for most of it, but the large services put it into words, and some use a
//! code for something else: Gmail's `[OVERQUOTA]` is a bandwidth limit, Yahoo's `[LIMIT]` a rate.

use std::time::Duration;

use super::response::{Status, StatusKind};

/// The longest wait that a server is believed.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// What to do about a tagged NO or BAD, or a BYE. (An untagged NO is a warning.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The same again later. Who waits counts: a server that has `[SERVERBUG]` for one mail each
    /// time means that mail.
    Wait {
        /// What the server asked for, up to an hour.
        at_least: Option<Duration>,
        /// Whether it is this client that asks too much of the server.
        fewer_connections: bool,
    },
    /// There may be no more connections than there were before this one.
    TooManyConnections,
    /// The user has no space left, and waiting makes none.
    Full { reason: String },
    /// This mail, or the command with all its mails, is over a limit.
    TooLarge,
    /// The folder takes no mail from this user.
    NotPermitted,
    /// The folder is not there, and could be made.
    TryCreate,
    /// Nothing beyond this one command, whose mails may be the reason.
    Nothing,
}

impl Setback {
    /// Reads a status: by its code where that says enough, else by its words.
    pub(crate) fn of(status: &Status) -> Self {
        let text = status.text.to_ascii_lowercase();
        let code = status.code.as_deref().unwrap_or_default();
        let code = code.split(' ').next().unwrap_or_default();
        let code = code.to_ascii_uppercase();
        if matches!(status.kind, StatusKind::Ok | StatusKind::PreAuth) {
            // Gmail says `OK Success [THROTTLED]` where it slows a connection down.
            let throttled = code == "THROTTLED" || text.contains("[throttled]");
            return if throttled {
                slower(&text)
            } else {
                Setback::Nothing
            };
        }
        let words = Words::of(&text);
        let is_pace = matches!(words, Some(Words::Connections | Words::Throttle));
        match code.as_str() {
            "TRYCREATE" | "NONEXISTENT" => Setback::TryCreate,
            "TOOBIG" | "APPENDLIMIT" | "MESSAGELIMIT" | "SAVELIMIT" => Setback::TooLarge,
            "NOPERM" | "READ-ONLY" => Setback::NotPermitted,
            // These tell of this command alone, whatever their words.
            "CANNOT" | "CLIENTBUG" | "PARSE" | "BADCHARSET" | "UNKNOWN-CTE" => Setback::Nothing,
            "THROTTLED" => slower(&text),
            // These are put over words about the pace too.
            "LIMIT" if !is_pace => Setback::TooLarge,
            "OVERQUOTA" if !is_pace => full(status),
            "INUSE" | "UNAVAILABLE" | "SERVERBUG" if !is_pace => later(&text),
            _ => match words {
                Some(Words::Connections) => Setback::TooManyConnections,
                Some(Words::Throttle) => slower(&text),
                Some(Words::Later) => later(&text),
                Some(Words::Large) => Setback::TooLarge,
                Some(Words::Full) => full(status),
                Some(Words::Forbidden) => Setback::NotPermitted,
                Some(Words::Missing) => Setback::TryCreate,
                None => Setback::Nothing,
            },
        }
    }
}

fn full(status: &Status) -> Setback {
    Setback::Full {
        reason: status.reason(),
    }
}

/// The server is fine, and this client asks too much of it.
fn slower(text: &str) -> Setback {
    Setback::Wait {
        at_least: asked_wait(text),
        fewer_connections: true,
    }
}

/// The server has trouble of its own.
fn later(text: &str) -> Setback {
    Setback::Wait {
        at_least: asked_wait(text),
        fewer_connections: false,
    }
}

/// What the words of a refusal are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Connections,
    Throttle,
    Later,
    Large,
    Full,
    Forbidden,
    Missing,
}

impl Words {
    /// `text` is in lower case.
    fn of(text: &str) -> Option<Self> {
        PHRASES
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| text.contains(phrase)))
            .map(|(words, _)| *words)
    }
}

/// In lower case; the first that a text has decides, so that `too many connections, try again
/// later` is about connections.
const PHRASES: [(Words, &[&str]); 7] = [
    (
        Words::Connections,
        &[
            "too many simultaneous",
            "too many concurrent",
            "too many connections",
            "too many open connections",
            "too many sessions",
            "too many logins",
            "maximum number of connections",
            "maximum connection",
            "connection limit",
            "connections limit",
            "connection count limit",
        ],
    ),
    (
        Words::Throttle,
        &[
            "throttl",
            "backoff",
            "back off",
            "rate limit",
            "bandwidth",
            "command limit",
            "too many requests",
            "too many commands",
            "too fast",
            "slow down",
            // What Exchange says after too many requests of a user.
            "authenticated but not connected",
        ],
    ),
    (
        Words::Large,
        &[
            "too large",
            "too big",
            "line too long",
            "too long argument",
            "message size",
            "size limit",
            "exceeds maximum",
            "line limit exceeded",
        ],
    ),
    (
        Words::Full,
        &[
            "quota",
            "is full",
            "mailbox full",
            "storage limit",
            "disk space",
            "no space left",
            "out of space",
            "insufficient storage",
        ],
    ),
    (
        Words::Forbidden,
        &[
            "permission denied",
            "permission to",
            "no permission",
            "access denied",
            "insufficient permission",
            "insufficient rights",
            "read-only",
            "read only",
        ],
    ),
    (
        Words::Missing,
        &[
            "mailbox doesn't exist",
            "mailbox does not exist",
            "folder doesn't exist",
            "folder does not exist",
            "no such mailbox",
            "no such folder",
            "unknown mailbox",
        ],
    ),
    (
        Words::Later,
        &[
            "try again",
            "try later",
            "retry",
            "temporar",
            "unavailable",
            "too busy",
            "server busy",
            "server is busy",
            "overload",
            "is locked",
            "shutting down",
        ],
    ),
];

/// The first length of time in a text: a number and its unit. `text` is in lower case.
fn asked_wait(text: &str) -> Option<Duration> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find(|char: char| char.is_ascii_digit())?..];
        let (digits, after) = split_where(rest, |char| !char.is_ascii_digit());
        let (unit, _) = split_where(after.trim_start(), |char| !char.is_ascii_alphabetic());
        if let Some(unit_ms) = unit_ms(unit) {
            // Digits that are no number are too many.
            let count: u64 = digits.parse().unwrap_or(u64::MAX);
            let wait = Duration::from_millis(count.saturating_mul(unit_ms));
            return Some(wait.min(WAIT_MAX));
        }
        rest = after;
    }
}

fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "min" | "mins" | "minute" | "minutes" => 60 * 1000,
        "hour" | "hours" => 60 * 60 * 1000,
        _ => return None,
    })
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As it stands behind the tag.
    fn status(line: &str) -> Status {
        let (kind, rest) = line.split_once(' ').unwrap();
        let kind = match kind {
            "OK" => StatusKind::Ok,
            "NO" => StatusKind::No,
            "BAD" => StatusKind::Bad,
            "BYE" => StatusKind::Bye,
            other => panic!("{other}"),
        };
        let coded = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (code, text) = match coded {
            Some((code, text)) => (Some(code.to_owned()), text),
            None => (None, rest),
        };
        Status {
            kind,
            code,
            text: text.trim().to_owned(),
        }
    }

    #[track_caller]
    fn check(expected: &Setback, lines: &[&str]) {
        for line in lines {
            assert_eq!(Setback::of(&status(line)), *expected, "{line}");
        }
    }

    fn wait(at_least: Option<Duration>, fewer_connections: bool) -> Setback {
        Setback::Wait {
            at_least,
            fewer_connections,
        }
    }

    #[test]
    fn throttles() {
        check(
            &wait(None, true),
            &[
                "NO [THROTTLED] Slow it",
                "OK Success [THROTTLED]",
                "OK [THROTTLED] Success",
                // Gmail.
                "NO [OVERQUOTA] Account exceeded command or bandwidth limits. ab1 (Failure)",
                "BYE [OVERQUOTA] Account exceeded command or bandwidth limits.",
                "NO [ALERT] Account exceeded command or bandwidth limits. (Failure)",
                "BYE Account exceeded command or bandwidth limits.",
                // Yahoo.
                "NO [LIMIT] CAPABILITY Rate limit hit.",
                "NO [LIMIT] APPEND Rate limit hit.",
                // Exchange.
                "BAD User is authenticated but not connected.",
            ],
        );
        for (line, asked) in [
            (
                "NO Request is throttled. Suggested Backoff Time: 297499 milliseconds",
                Duration::from_millis(297_499),
            ),
            (
                "BAD Request is throttled. Suggested Backoff Time: 89117 milliseconds",
                Duration::from_millis(89_117),
            ),
            (
                "NO [UNAVAILABLE] Rate limit exceeded, retry after 30s",
                Duration::from_secs(30),
            ),
            (
                "NO [LIMIT] Too many requests: 500 mails, wait 10 minutes",
                Duration::from_secs(600),
            ),
            ("NO Request is throttled: 5 hours", WAIT_MAX),
            (
                "NO Request is throttled: 99999999999999999999999 seconds",
                WAIT_MAX,
            ),
            ("NO Request is throttled: 9999999999999999999 min", WAIT_MAX),
        ] {
            check(&wait(Some(asked), true), &[line]);
        }
    }

    #[test]
    fn later_again() {
        check(
            &wait(None, false),
            &[
                "NO [UNAVAILABLE] Temporary System Problem (Failure)",
                "NO [UNAVAILABLE] APPEND Server error while appending message",
                "NO [INUSE] Mailbox is locked",
                "NO [INUSE] Timeout (30) while waiting for lock",
                "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.",
                "NO APPEND Server error - Please try again later",
                "NO Temporary unavailable",
                "BYE Server shutting down.",
                "BYE [UNAVAILABLE] Server is down for maintenance",
            ],
        );
        check(
            &wait(Some(Duration::from_secs(60)), false),
            &["NO Mailbox is locked, try again in 1 minute"],
        );
    }

    #[test]
    fn connections() {
        check(
            &Setback::TooManyConnections,
            &[
                "NO [ALERT] Too many simultaneous connections. (Failure)",
                "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded \
                 (mail_max_userip_connections=10)",
                "NO [LIMIT] Too many simultaneous connections",
                "NO [LIMIT] Too many connections for this account",
                "BYE Too many connections from this IP",
                "BYE Maximum connection limit reached",
                "BYE Too many open connections for user, please try again later",
                "NO Connection limit exceeded",
            ],
        );
    }

    #[test]
    fn full_mailboxes() {
        for line in [
            "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)",
            "NO [OVERQUOTA] Too many messages in the mailbox",
            "NO Over quota",
            "NO Quota exceeded",
            "NO APPEND The 1500 MB storage limit has been exceeded.",
            "NO Not enough disk space",
        ] {
            let status = status(line);
            let reason = status.reason();
            assert_eq!(Setback::of(&status), Setback::Full { reason }, "{line}");
        }
    }

    #[test]
    fn too_large() {
        check(
            &Setback::TooLarge,
            &[
                "BAD [TOOBIG] Message too large. https://support.google.com/mail/answer/6584",
                "NO [TOOBIG] Message size exceeding limit",
                "NO [LIMIT] At most 32 flags in one mailbox supported",
                "NO [MESSAGELIMIT 1000] Too many messages to append, try again with fewer",
                "NO [SAVELIMIT] Too many messages",
                "BAD maximum message size exceeded",
                "BAD literal size too large",
                "BAD command line limit exceeded",
                "BAD Error in IMAP command APPEND: Too long argument.",
                "NO Message exceeds maximum allowed size",
            ],
        );
    }

    #[test]
    fn folders() {
        check(
            &Setback::NotPermitted,
            &[
                "NO [NOPERM] Permission denied",
                "NO [READ-ONLY] Mailbox is read-only",
                "NO Permission denied",
                "NO You don't have permission to append to this folder",
                "NO Mailbox is read-only.",
            ],
        );
        check(
            &Setback::TryCreate,
            &[
                "NO [TRYCREATE] Mailbox doesn't exist: throttled",
                "NO [NONEXISTENT] Unknown Mailbox: Old (Failure)",
                "NO [TRYCREATE] Mailbox does not exist",
                "NO Mailbox does not exist",
                "NO No such mailbox, try again with another",
            ],
        );
    }

    #[test]
    fn this_command_alone() {
        check(
            &Setback::Nothing,
            &[
                "OK Append completed (0.010 + 0.000 + 10 secs).",
                "OK No rate limit today, quota is 5 minutes",
                "NO Message contains NUL characters",
                "NO Message contains bare newlines",
                "NO Message contains invalid header",
                "NO Can't save a zero byte message.",
                "NO [CANNOT] Invalid message, read-only for 5 minutes",
                "BAD [CLIENTBUG] Additional arguments found after last expected argument",
                "BAD Command Error. 10",
                "BYE Too many invalid IMAP commands.",
                "BYE Connection is closed. 13",
                "BYE Autologout; idle for too long",
                "BYE Session invalidated - AccessTokenExpired",
                "NO [AUTHENTICATIONFAILED] Authentication failed.",
                "NO [ALERT] Invalid credentials (Failure)",
            ],
        );
    }

    #[test]
    fn phrases_are_in_lower_case() {
        for (words, phrases) in PHRASES {
            for phrase in phrases {
                assert_eq!(phrase.to_ascii_lowercase(), *phrase);
                assert_eq!(Words::of(phrase), Some(words), "{phrase} is never reached");
            }
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_read_and_bounded(count: u64, space in " {0,2}", before in "([a-z]{0,5}|[0-9]{0,3})[ :]") {
            let wait = asked_wait(&format!("{before}{count}{space}ms."));
            prop_assert_eq!(wait, Some(Duration::from_millis(count).min(WAIT_MAX)));
        }

        #[test]
        fn any_text(code in prop::option::of("[A-Z ]{0,12}"), text in any::<String>()) {
            let kind = StatusKind::No;
            if let Setback::Wait { at_least: Some(wait), .. } =
                Setback::of(&Status { kind, code, text })
            {
                prop_assert!(wait <= WAIT_MAX);
            }
        }
    }
}
