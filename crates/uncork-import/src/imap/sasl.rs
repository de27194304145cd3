//! SASL (RFC 4422): what is said to prove who somebody is, apart from how it is sent.

mod scram;

use scram::Scram;

/// The longest token. Those of the large providers have up to 4 KiB.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// What is kept of a server's words on a token.
const TOKEN_REFUSAL_CHARS_MAX: usize = 200;

/// A way to prove who somebody is. In each, the client speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 4616.
    Plain,
    /// RFC 7628.
    OAuthBearer,
    /// Google's, older than RFC 7628 and still all that some offer.
    XOAuth2,
}

impl Mechanism {
    /// Those that prove knowledge of the password without saying it, the best first.
    pub(crate) const SCRAM: [Self; 2] = [Self::ScramSha256, Self::ScramSha1];

    /// Those that take a token, the best first.
    pub(crate) const TOKEN: [Self; 2] = [Self::OAuthBearer, Self::XOAuth2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
        }
    }
}

/// Who wants to log in, and where.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) user: &'a str,
    /// The password or the token.
    pub(crate) secret: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

/// One run of a mechanism. The errors are in words, and without the secret.
pub(crate) enum Exchange {
    Scram(Scram),
    Plain,
    Token {
        /// What is answered to a refusal, so that the server comes to its end.
        answer: &'static [u8],
        refusal: Option<String>,
    },
}

impl Exchange {
    /// Begins; with what the client says first.
    pub(crate) fn start(
        mechanism: Mechanism,
        identity: Identity<'_>,
    ) -> Result<(Self, Vec<u8>), String> {
        let Identity { user, secret, .. } = identity;
        if user.contains('\0') || secret.contains('\0') {
            return Err("no user, password or token can have a NUL in it".to_owned());
        }
        match mechanism {
            Mechanism::ScramSha256 | Mechanism::ScramSha1 => {
                let (scram, first) = Scram::start(mechanism, user, secret)?;
                Ok((Self::Scram(scram), first))
            }
            Mechanism::Plain => {
                let first = format!("\0{user}\0{secret}").into_bytes();
                Ok((Self::Plain, first))
            }
            Mechanism::OAuthBearer => {
                check_token(identity)?;
                // A `saslname` of RFC 5801.
                let user = user.replace('=', "=3D").replace(',', "=2C");
                let (host, port) = (identity.host, identity.port);
                let first = format!(
                    "n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {secret}\x01\x01"
                );
                Ok((Self::token(b"\x01"), first.into_bytes()))
            }
            Mechanism::XOAuth2 => {
                check_token(identity)?;
                let first = format!("user={user}\x01auth=Bearer {secret}\x01\x01");
                Ok((Self::token(b""), first.into_bytes()))
            }
        }
    }

    fn token(answer: &'static [u8]) -> Self {
        Self::Token {
            answer,
            refusal: None,
        }
    }

    /// Answers the server.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Scram(scram) => scram.answer(challenge),
            Self::Plain => Err("it asks for more than PLAIN has to say".to_owned()),
            Self::Token { refusal, .. } if refusal.is_some() => {
                Err("it asks for more than a token".to_owned())
            }
            // A token that is good is not answered, so this says why it is not: JSON.
            Self::Token { answer, refusal } => {
                let text = String::from_utf8_lossy(challenge);
                let text = text.chars().filter(|char| !char.is_control());
                *refusal = Some(text.take(TOKEN_REFUSAL_CHARS_MAX).collect());
                Ok(answer.to_vec())
            }
        }
    }

    /// Why the server does not want the token, in its own format.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Token { refusal, .. } => refusal.as_deref(),
            _ => None,
        }
    }

    /// The server says that all is well: whether it has shown that it knows the password too,
    /// where the mechanism wants that.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self {
            Self::Scram(scram) if !scram.is_done() => {
                Err("it did not prove that it knows the password: it may be an impostor".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// A token stands between `\x01`s (RFC 6750: visible ASCII), and so does the user.
fn check_token(identity: Identity<'_>) -> Result<(), String> {
    if identity.secret.len() > TOKEN_BYTES_MAX {
        return Err(format!("the token has more than {TOKEN_BYTES_MAX} bytes"));
    }
    if identity.secret.is_empty() || !identity.secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token is empty, or has characters that no token has".to_owned());
    }
    if identity.user.contains(char::is_control) {
        return Err("the user name has control characters in it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn identity<'a>(user: &'a str, secret: &'a str) -> Identity<'a> {
        Identity {
            user,
            secret,
            host: "server.example.com",
            port: 143,
        }
    }

    #[test]
    fn first_words() {
        let check = |mechanism, user, secret, expected: &str| {
            let (_, first) = Exchange::start(mechanism, identity(user, secret)).unwrap();
            assert_eq!(String::from_utf8(first).unwrap(), expected);
        };
        check(
            Mechanism::Plain,
            "tim",
            "tanstaaftanstaaf",
            "\0tim\0tanstaaftanstaaf",
        );
        // The example of RFC 7628, section 4.1.
        check(
            Mechanism::OAuthBearer,
            "user@example.com",
            "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
             auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
        );
        check(
            Mechanism::OAuthBearer,
            "a=b,c",
            "t",
            "n,a=a=3Db=2Cc,\x01host=server.example.com\x01port=143\x01auth=Bearer t\x01\x01",
        );
        // The example of Google's description.
        check(
            Mechanism::XOAuth2,
            "someuser@example.com",
            "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
            "user=someuser@example.com\x01auth=Bearer \
             ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01",
        );
        let (_, first) = Exchange::start(Mechanism::ScramSha256, identity("a=b,c", "p")).unwrap();
        let first = String::from_utf8(first).unwrap();
        assert!(first.starts_with("n,,n=a=3Db=2Cc,r="), "{first}");
    }

    #[test]
    fn what_can_not_be_said() {
        for (mechanism, user, secret) in [
            (Mechanism::Plain, "a\0", "b"),
            (Mechanism::Plain, "a", "b\0c"),
            (Mechanism::ScramSha256, "a", "\0secret"),
            (Mechanism::XOAuth2, "a", ""),
            (Mechanism::XOAuth2, "a", "to ken"),
            (Mechanism::XOAuth2, "a\x01auth=x", "secret"),
            (Mechanism::OAuthBearer, "a", "secret\x01\x01"),
            (Mechanism::OAuthBearer, "a", "tökensecret"),
            (
                Mechanism::OAuthBearer,
                "a",
                &"secret".repeat(TOKEN_BYTES_MAX),
            ),
        ] {
            let Err(reason) = Exchange::start(mechanism, identity(user, secret)) else {
                panic!("{mechanism:?} {user:?}");
            };
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn refused_tokens() {
        let json = br#"{"status":"invalid_token","scope":"imap"}"#;
        for (mechanism, answer) in [
            (Mechanism::OAuthBearer, &b"\x01"[..]),
            (Mechanism::XOAuth2, b""),
        ] {
            let (mut exchange, _) = Exchange::start(mechanism, identity("a", "t")).unwrap();
            assert_eq!(exchange.refusal(), None);
            assert_eq!(exchange.answer(json).unwrap(), answer);
            assert!(exchange.refusal().unwrap().contains("invalid_token"));
            assert!(exchange.answer(json).is_err(), "once is enough");
        }
    }
}
