//! Ways to say a password: which are tried, and after what.

use crate::folder_map::mailbox::quoted;
use crate::imap::capability::{Capabilities, LiteralSupport};
use crate::imap::response::Status;
use crate::imap::sasl::Mechanism;

/// A way to say a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Sasl(Mechanism),
    /// The command LOGIN.
    Login,
}

/// Whether a password may be said so that whoever listens can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listeners {
    Nobody,
    Possible,
}

/// Ways to try one after the other. A server may offer SCRAM though it knows this user's password
/// only in a form that SCRAM can't use; the password itself is then said where nobody listens.
pub(super) fn password_ways(capabilities: &Capabilities, listeners: Listeners) -> Vec<Way> {
    let mut scram = Mechanism::SCRAM.into_iter();
    let scram = scram.find(|mechanism| capabilities.has_auth(mechanism.name()));
    let spoken = if capabilities.has_auth(Mechanism::Plain.name()) {
        Some(Way::Sasl(Mechanism::Plain))
    } else if capabilities.has("LOGINDISABLED") {
        None
    } else {
        Some(Way::Login)
    };
    let spoken = spoken.filter(|_| scram.is_none() || listeners == Listeners::Nobody);
    scram.map(Way::Sasl).into_iter().chain(spoken).collect()
}

/// Whether a refusal may be one of the mechanism rather than of the password.
pub(super) fn may_want_another_way(status: &Status) -> bool {
    let code = status.code.as_deref().unwrap_or("AUTHENTICATIONFAILED");
    code.eq_ignore_ascii_case("AUTHENTICATIONFAILED") && !is_for_now(status)
}

/// Whether the same login may succeed later (RFC 5530, and what servers say without a code).
pub(super) fn is_for_now(status: &Status) -> bool {
    let code = status.code.as_deref().unwrap_or_default();
    let word = code.split(' ').next().unwrap_or_default();
    let text = status.text.to_ascii_lowercase();
    ["UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "SERVERBUG"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
        || [
            "too many simultaneous",
            "too many connections",
            "temporar",
            "try again later",
        ]
        .iter()
        .any(|known| text.contains(known))
}

/// Whether a server that hangs up with these words would do so again.
pub(super) fn is_for_good(said: &str) -> bool {
    let code = said.strip_prefix('[').and_then(|said| said.split_once(']'));
    let code = code.map_or("", |(code, _)| code);
    [
        "AUTHENTICATIONFAILED",
        "AUTHORIZATIONFAILED",
        "EXPIRED",
        "PRIVACYREQUIRED",
        "CONTACTADMIN",
    ]
    .iter()
    .any(|known| code.eq_ignore_ascii_case(known))
}

/// The lines of LOGIN, of which each but the last waits for the server's `+`.
pub(super) fn login_lines(user: &str, password: &str, literal: LiteralSupport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = "LOGIN".to_owned();
    for text in [user, password] {
        line.push(' ');
        let len = text.len();
        if text.is_ascii() && !text.contains(char::is_control) {
            line.push_str(&quoted(text));
        } else if literal.waits(len as u64) {
            lines.push(format!("{line}{{{len}}}"));
            text.clone_into(&mut line);
        } else {
            line = format!("{line}{{{len}+}}\r\n{text}");
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::response::StatusKind;

    #[test]
    fn ways_to_say_a_password() {
        use Listeners::{Nobody, Possible};
        let sasl = Way::Sasl;
        for (offered, listeners, expected) in [
            ("", Nobody, &[Way::Login][..]),
            ("", Possible, &[Way::Login]),
            ("AUTH=PLAIN", Nobody, &[sasl(Mechanism::Plain)]),
            (
                "auth=plain LOGINDISABLED",
                Possible,
                &[sasl(Mechanism::Plain)],
            ),
            ("LOGINDISABLED", Nobody, &[]),
            ("LOGINDISABLED AUTH=GSSAPI AUTH=XOAUTH2", Nobody, &[]),
            (
                "AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256",
                Nobody,
                &[sasl(Mechanism::ScramSha256), sasl(Mechanism::Plain)],
            ),
            (
                "AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256",
                Possible,
                &[sasl(Mechanism::ScramSha256)],
            ),
            (
                "AUTH=SCRAM-SHA-1",
                Nobody,
                &[sasl(Mechanism::ScramSha1), Way::Login],
            ),
            (
                "AUTH=SCRAM-SHA-1 LOGINDISABLED",
                Nobody,
                &[sasl(Mechanism::ScramSha1)],
            ),
            ("AUTH=SCRAM-SHA-256-PLUS", Nobody, &[Way::Login]),
        ] {
            let capabilities = Capabilities::parse(offered);
            assert_eq!(
                password_ways(&capabilities, listeners),
                expected,
                "{offered}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (code, text, for_now, another_way) in [
            (
                Some("AUTHENTICATIONFAILED"),
                "Authentication failed.",
                false,
                true,
            ),
            (None, "no", false, true),
            (Some("UNAVAILABLE"), "Internal error", true, false),
            (Some("unavailable"), "", true, false),
            (Some("LIMIT"), "Maximum number of connections", true, false),
            (Some("THROTTLED"), "", true, false),
            (
                Some("ALERT"),
                "Too many simultaneous connections. (Failure)",
                true,
                false,
            ),
            (None, "Temporary authentication failure", true, false),
            (Some("EXPIRED"), "your password is old", false, false),
            (Some("PRIVACYREQUIRED"), "", false, false),
            (Some("CONTACTADMIN"), "", false, false),
            (
                Some("ALERT"),
                "Application-specific password required",
                false,
                false,
            ),
        ] {
            let status = Status {
                kind: StatusKind::No,
                code: code.map(str::to_owned),
                text: text.to_owned(),
            };
            assert_eq!(is_for_now(&status), for_now, "{status:?}");
            assert_eq!(may_want_another_way(&status), another_way, "{status:?}");
        }
    }

    #[test]
    fn login_by_literals_only_where_needed() {
        let long = "ü".repeat(3000);
        for (user, password, literal, expected) in [
            (
                "a",
                "b",
                LiteralSupport::Sync,
                vec![r#"LOGIN "a" "b""#.to_owned()],
            ),
            (
                "a b",
                r#"c"\d"#,
                LiteralSupport::Plus,
                vec![r#"LOGIN "a b" "c\"\\d""#.to_owned()],
            ),
            (
                "a",
                "ü",
                LiteralSupport::Sync,
                vec![r#"LOGIN "a" {2}"#.to_owned(), "ü".to_owned()],
            ),
            (
                "ü",
                "b",
                LiteralSupport::Sync,
                vec!["LOGIN {2}".to_owned(), "ü \"b\"".to_owned()],
            ),
            (
                "ü",
                "\r\n",
                LiteralSupport::Sync,
                vec![
                    "LOGIN {2}".to_owned(),
                    "ü {2}".to_owned(),
                    "\r\n".to_owned(),
                ],
            ),
            (
                "ü",
                "ö",
                LiteralSupport::Minus,
                vec!["LOGIN {2+}\r\nü {2+}\r\nö".to_owned()],
            ),
            (
                "ü",
                &long,
                LiteralSupport::Minus,
                vec!["LOGIN {2+}\r\nü {6000}".to_owned(), long.clone()],
            ),
            (
                "",
                "",
                LiteralSupport::Sync,
                vec![r#"LOGIN "" """#.to_owned()],
            ),
        ] {
            assert_eq!(
                login_lines(user, password, literal),
                expected,
                "{user} {password}"
            );
        }
    }
}
