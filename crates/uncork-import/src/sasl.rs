//! SASL (RFC 4422): what is said to prove who somebody is, apart from how it is sent.

use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, Session, SessionError, State};

/// The most rounds of PBKDF2 that a server may ask for: about a second's work. Servers use 4096
/// to 600,000; without a bound a hostile one could keep this side busy for hours.
const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

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
            Self::Scram(scram) if scram.step != ScramStep::Done => {
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

/// SCRAM by rsasl. The server's messages are looked at first: rsasl takes attributes for long
/// enough, and any count of iterations.
pub(crate) struct Scram {
    session: Session,
    step: ScramStep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScramStep {
    ServerFirst,
    ServerFinal,
    Done,
    /// Something was wrong: rsasl must not be asked again, it would panic.
    Failed,
}

impl Scram {
    fn start(mechanism: Mechanism, user: &str, password: &str) -> Result<(Self, Vec<u8>), String> {
        let cannot = |_| format!("{} can't be used with this user", mechanism.name());
        let config = SASLConfig::with_credentials(None, user.to_owned(), password.to_owned());
        let config = config.map_err(cannot)?;
        let name = Mechname::parse(mechanism.name().as_bytes())
            .map_err(|_| format!("{} is no mechanism", mechanism.name()))?;
        let session = SASLClient::new(config).start_suggested(&[name]);
        let mut scram = Self {
            session: session.map_err(cannot)?,
            step: ScramStep::ServerFirst,
        };
        let (first, _) = scram.step(None)?;
        Ok((scram, first))
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        match std::mem::replace(&mut self.step, ScramStep::Failed) {
            ScramStep::ServerFirst => {
                check_server_first(challenge)?;
                let (answer, _) = self.step(Some(challenge))?;
                self.step = ScramStep::ServerFinal;
                Ok(answer)
            }
            ScramStep::ServerFinal => {
                if !challenge.starts_with(b"v=") && !challenge.starts_with(b"e=") {
                    return Err("it ends SCRAM without its signature".to_owned());
                }
                let (answer, state) = self.step(Some(challenge))?;
                if state.is_running() {
                    return Err("it wants more than SCRAM has to say".to_owned());
                }
                self.step = ScramStep::Done;
                Ok(answer)
            }
            ScramStep::Done | ScramStep::Failed => {
                Err("it asks for more than SCRAM has to say".to_owned())
            }
        }
    }

    fn step(&mut self, challenge: Option<&[u8]>) -> Result<(Vec<u8>, State), String> {
        let mut answer = Vec::new();
        let state = self.session.step(challenge, &mut answer);
        let state = state.map_err(|error| match error {
            SessionError::MutualAuthenticationFailed => {
                "its signature is wrong: it does not know the password, and may be an impostor"
                    .to_owned()
            }
            _ => "what it says is not SCRAM".to_owned(),
        })?;
        Ok((answer, state))
    }
}

/// Whether this is `r=…,s=…,i=…` (RFC 5802, section 7) with a count that can be afforded.
fn check_server_first(challenge: &[u8]) -> Result<(), String> {
    let mut parts = challenge.split(|&byte| byte == b',');
    let mut value_of = |name: &[u8]| parts.next()?.strip_prefix(name);
    let values = (value_of(b"r="), value_of(b"s="), value_of(b"i="));
    let (Some(_), Some(_), Some(iterations)) = values else {
        return Err("what it says is not SCRAM".to_owned());
    };
    let iterations = std::str::from_utf8(iterations).ok();
    match iterations.and_then(|text| text.parse::<u32>().ok()) {
        Some(1..=SCRAM_ITERATIONS_MAX) => Ok(()),
        _ => Err(format!(
            "it wants SCRAM with a count of iterations that is not from 1 to {SCRAM_ITERATIONS_MAX}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity<'a>(user: &'a str, secret: &'a str) -> Identity<'a> {
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

    /// Answers the client's first message with what `server_first` makes of its nonce.
    fn scram(server_first: impl FnOnce(&str) -> String) -> (Exchange, Result<Vec<u8>, String>) {
        let identity = identity("user", "pencil");
        let (mut exchange, first) = Exchange::start(Mechanism::ScramSha256, identity).unwrap();
        let first = String::from_utf8(first).unwrap();
        let (_, nonce) = first.split_once("r=").unwrap();
        let answer = exchange.answer(server_first(nonce).as_bytes());
        (exchange, answer)
    }

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    #[test]
    fn servers_that_do_not_know_the_password() {
        let (exchange, answer) = scram(|nonce| format!("r={nonce}more,s={SALT},i=4096"));
        assert!(answer.unwrap().starts_with(b"c=biws,r="));
        assert!(exchange.finish().unwrap_err().contains("impostor"));
        for (last, why) in [
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "impostor"),
            ("v=", "impostor"),
            ("v", "without its signature"),
            ("", "without its signature"),
            ("e=other-error", "not SCRAM"),
            ("v=???", "not SCRAM"),
        ] {
            let (mut exchange, _) = scram(|nonce| format!("r={nonce}more,s={SALT},i=1"));
            let error = exchange.answer(last.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{last}: {error}");
            assert!(exchange.finish().is_err(), "{last}");
        }
    }

    #[test]
    fn servers_that_want_too_much_work() {
        for (count, is_done) in [
            ("1", true),
            ("1000001", false),
            ("4294967295", false),
            ("99999999999", false),
            ("0", false),
            ("", false),
            ("-1", false),
        ] {
            let (_, answer) = scram(|nonce| format!("r={nonce}x,s={SALT},i={count}"));
            assert_eq!(answer.is_ok(), is_done, "{count}");
        }
        let (_, answer) = scram(|_| format!("r=another,s={SALT},i=1"));
        assert!(answer.is_err(), "not the client's nonce");
        let (_, answer) = scram(|nonce| format!("r={nonce},s={SALT},i=1"));
        assert!(answer.is_err(), "nothing of the server's own");
    }

    proptest! {
        #[test]
        fn hostile_challenges(
            challenges in prop::collection::vec(
                prop_oneof![
                    "[rsivem]?=?[a-z0-9=]{0,3}(,[rsivem]?=?[a-z0-9]{0,3}){0,4}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 0..40),
                ],
                1..3,
            ),
        ) {
            let (mut exchange, _) = scram(|nonce| format!("r={nonce}x,s={SALT},i=1"));
            let (mut fresh, _) =
                Exchange::start(Mechanism::ScramSha1, identity("user", "pencil")).unwrap();
            for challenge in &challenges {
                prop_assert!(fresh.answer(challenge).is_err());
                prop_assert!(exchange.answer(challenge).is_err());
            }
            prop_assert!(exchange.finish().is_err() && fresh.finish().is_err());
        }
    }
}
