//! SCRAM (RFC 5802): both sides prove that they know the password, and neither says it.

use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, Session, SessionError, State};

use super::Mechanism;
use crate::imap::response::number;

/// The most rounds of PBKDF2 that a server may ask for: about a second's work. Servers use 4096
/// to 600,000; without a bound a hostile one could keep this side busy for hours.
const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

/// SCRAM by rsasl. The server's messages are looked at first: rsasl takes attributes for long
/// enough, and any count of iterations.
pub(crate) struct Scram {
    session: Session,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    ServerFirst,
    ServerFinal,
    Done,
    /// Something was wrong: rsasl must not be asked again, it would panic.
    Failed,
}

impl Scram {
    pub(super) fn start(
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> Result<(Self, Vec<u8>), String> {
        let cannot = |_| format!("{} can't be used with this user", mechanism.name());
        let config = SASLConfig::with_credentials(None, user.to_owned(), password.to_owned());
        let config = config.map_err(cannot)?;
        let name = Mechname::parse(mechanism.name().as_bytes())
            .map_err(|_| format!("{} is no mechanism", mechanism.name()))?;
        let session = SASLClient::new(config).start_suggested(&[name]);
        let mut scram = Self {
            session: session.map_err(cannot)?,
            step: Step::ServerFirst,
        };
        let (first, _) = scram.step(None)?;
        Ok((scram, first))
    }

    pub(super) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        match std::mem::replace(&mut self.step, Step::Failed) {
            Step::ServerFirst => {
                check_server_first(challenge)?;
                let (answer, _) = self.step(Some(challenge))?;
                self.step = Step::ServerFinal;
                Ok(answer)
            }
            Step::ServerFinal => {
                if !challenge.starts_with(b"v=") && !challenge.starts_with(b"e=") {
                    return Err("it ends SCRAM without its signature".to_owned());
                }
                let (answer, state) = self.step(Some(challenge))?;
                if state.is_running() {
                    return Err("it wants more than SCRAM has to say".to_owned());
                }
                self.step = Step::Done;
                Ok(answer)
            }
            Step::Done | Step::Failed => Err("it asks for more than SCRAM has to say".to_owned()),
        }
    }

    /// Whether the server has proved that it knows the password.
    pub(super) fn is_done(&self) -> bool {
        self.step == Step::Done
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
    match iterations.and_then(number) {
        Some(1..=SCRAM_ITERATIONS_MAX) => Ok(()),
        _ => Err(format!(
            "it wants SCRAM with a count of iterations that is not from 1 to {SCRAM_ITERATIONS_MAX}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Exchange;
    use super::super::tests::identity;
    use super::*;
    use proptest::prelude::*;

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
            ("+1", false),
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
