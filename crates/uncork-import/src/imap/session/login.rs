//! Logging in, by the best way that the server offers.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::connect::Reach;
use super::secrets::Secrets;
use super::way::{
    Listeners, Way, is_for_good, is_for_now, login_lines, may_want_another_way, password_ways,
};
use super::{Session, Turn};
use crate::imap::response::{Status, StatusKind};
use crate::imap::sasl::{Exchange, Identity, Mechanism};
use crate::{Credentials, ImportError, Options, Target, TokenSource};

/// How a login ended that did not fail on this side.
enum Verdict {
    /// What the server said.
    Said(Status),
    /// The server did not keep to the mechanism: nothing else is tried with it.
    Distrusted(String),
}

impl Session {
    /// Proves who the user is, and learns what the server offers to them.
    pub(super) async fn log_in(
        &mut self,
        target: &Target,
        options: &Options,
    ) -> Result<(), ImportError> {
        let mut secrets = Secrets::default();
        let mut login = Login {
            session: &mut *self,
            target,
            secrets: &mut secrets,
        };
        let status = match &options.credentials {
            Credentials::Password(password) => login.by_password(password).await,
            Credentials::Token(source) => login.by_token(source).await,
        };
        let status = status.map_err(|error| match secrets.cover_error(error) {
            ImportError::HungUp {
                said: Some(said), ..
            } if is_for_good(&said) => ImportError::Login {
                user: target.user.clone(),
                reason: said,
            },
            error => error,
        })?;
        let learned = self.learn_capabilities(&status).await;
        learned.map_err(|error| secrets.cover_error(error))
    }
}

struct Login<'a> {
    session: &'a mut Session,
    target: &'a Target,
    secrets: &'a mut Secrets,
}

impl Login<'_> {
    async fn by_password(&mut self, password: &str) -> Result<Status, ImportError> {
        self.secrets.add(password);
        let listeners = match (self.session.is_encrypted, self.session.reach) {
            (false, Reach::Network) => Listeners::Possible,
            _ => Listeners::Nobody,
        };
        let mut refusal = None;
        for way in password_ways(&self.session.capabilities, listeners) {
            let verdict = match way {
                Way::Sasl(mechanism) => self.authenticate(mechanism, password).await,
                Way::Login => self.login_command(password).await,
            };
            let status = match (verdict, refusal.take()) {
                // Some servers hang up on who was refused.
                (Err(ImportError::HungUp { .. }), Some(refusal)) => return Err(refusal),
                (Err(error), _) => return Err(error),
                (Ok(Verdict::Distrusted(reason)), _) => return Err(self.failed(reason)),
                (Ok(Verdict::Said(status)), _) => status,
            };
            if status.kind == StatusKind::Ok {
                return Ok(status);
            }
            refusal = Some(self.refused(&status));
            if !may_want_another_way(&status) {
                break;
            }
        }
        Err(refusal.unwrap_or_else(|| self.no_way("password")))
    }

    /// A token may have expired since it was got: then once with another.
    async fn by_token(&mut self, source: &Arc<dyn TokenSource>) -> Result<Status, ImportError> {
        let mut offered = Mechanism::TOKEN.into_iter();
        let mechanism = offered.find(|mechanism| {
            let capabilities = &self.session.capabilities;
            capabilities.has_auth(mechanism.name())
        });
        let mechanism = mechanism.ok_or_else(|| self.no_way("token"))?;
        let token = self.token(source).await?;
        let refusal = match self.by_this_token(mechanism, &token).await {
            Err(refusal @ ImportError::Login { .. }) => refusal,
            ended => return ended,
        };
        let another = self.token(source).await?;
        if another == token {
            return Err(refusal);
        }
        match self.by_this_token(mechanism, &another).await {
            Err(ImportError::HungUp { .. }) => Err(refusal),
            ended => ended,
        }
    }

    async fn by_this_token(
        &mut self,
        mechanism: Mechanism,
        token: &str,
    ) -> Result<Status, ImportError> {
        match self.authenticate(mechanism, token).await? {
            Verdict::Said(status) if status.kind == StatusKind::Ok => Ok(status),
            Verdict::Said(status) => Err(self.refused(&status)),
            Verdict::Distrusted(reason) => Err(self.failed(reason)),
        }
    }

    /// Asks for a token, which may take a program of its own, and seconds.
    async fn token(&mut self, source: &Arc<dyn TokenSource>) -> Result<String, ImportError> {
        let source = Arc::clone(source);
        let token = tokio::task::spawn_blocking(move || source.token()).await;
        let token = token.map_err(io::Error::from).and_then(|token| token);
        let token = token.map_err(|source| ImportError::Token { source })?;
        self.secrets.add(&token);
        Ok(token)
    }

    /// AUTHENTICATE (RFC 9051, section 6.2.2).
    async fn authenticate(
        &mut self,
        mechanism: Mechanism,
        secret: &str,
    ) -> Result<Verdict, ImportError> {
        let identity = Identity {
            user: &self.target.user,
            secret,
            host: &self.target.host,
            port: self.target.port,
        };
        let started = Exchange::start(mechanism, identity);
        let (mut exchange, first) = started.map_err(|reason| self.failed(reason))?;
        let mut first = Some(self.encoded(&first));
        let mut line = format!("AUTHENTICATE {}", mechanism.name());
        if self.session.capabilities.has("SASL-IR") {
            // A round trip less (RFC 4959).
            line = format!("{line} {}", first.take().unwrap_or_default());
        }
        let mut pending = self.session.begin(&line).await?;
        let mut distrust = None;
        loop {
            let challenge = match (self.session.turn(&mut pending, |_, _| {}).await?, distrust) {
                (_, Some(reason)) => return Ok(Verdict::Distrusted(reason)),
                (Turn::Done(status), None) => return Ok(verdict(&exchange, status)),
                (Turn::Continue(challenge), None) => challenge,
            };
            let answer = match first.take() {
                Some(first) => Ok(first),
                None => decoded(&challenge)
                    .and_then(|challenge| exchange.answer(&challenge))
                    .map(|answer| self.encoded(&answer)),
            };
            let (answer, failure) = match answer {
                Ok(answer) => (answer, None),
                // This ends the exchange; the server's answer to it is waited for.
                Err(reason) => ("*".to_owned(), Some(reason)),
            };
            distrust = failure;
            let line = [answer.as_bytes(), b"\r\n"];
            self.session.send(&pending, &line).await?;
        }
    }

    /// LOGIN: quoted where that is enough, else with literals, which take any byte but NUL.
    async fn login_command(&mut self, password: &str) -> Result<Verdict, ImportError> {
        let user = self.target.user.as_str();
        if user.contains('\0') || password.contains('\0') {
            let reason = "no user or password can have a NUL in it";
            return Err(self.failed(reason.to_owned()));
        }
        let literal = self.session.capabilities.literal();
        let mut lines = login_lines(user, password, literal).into_iter();
        let first = lines.next().unwrap_or_default();
        let mut pending = self.session.begin(&first).await?;
        loop {
            match self.session.turn(&mut pending, |_, _| {}).await? {
                Turn::Done(status) => return Ok(Verdict::Said(status)),
                Turn::Continue(_) => {
                    let Some(line) = lines.next() else {
                        let reason = "it asks for more than LOGIN has to say";
                        return Ok(Verdict::Distrusted(reason.to_owned()));
                    };
                    let line = [line.as_bytes(), b"\r\n"];
                    self.session.send(&pending, &line).await?;
                }
            }
        }
    }

    /// What is said of a secret, which is one as well.
    fn encoded(&mut self, words: &[u8]) -> String {
        let line = STANDARD.encode(words);
        self.secrets.add_form(line.as_bytes());
        line
    }

    fn refused(&self, status: &Status) -> ImportError {
        let status = self.secrets.cover_status(status.clone());
        if is_for_now(&status) {
            return ImportError::Unavailable {
                address: self.session.address.clone(),
                reason: status.reason(),
            };
        }
        self.failed(status.reason())
    }

    fn failed(&self, reason: String) -> ImportError {
        ImportError::Login {
            user: self.target.user.clone(),
            reason,
        }
    }

    fn no_way(&self, what: &str) -> ImportError {
        let capabilities = &self.session.capabilities;
        if !self.session.is_encrypted && capabilities.has("LOGINDISABLED") {
            let reason = format!("it takes a {what} only over TLS: try imaps://");
            return self.failed(reason);
        }
        let offered = capabilities.auths().collect::<Vec<_>>().join(", ");
        let offered = if offered.is_empty() {
            "nothing".to_owned()
        } else {
            offered
        };
        self.failed(format!(
            "it takes no {what} in a way known here (it offers {offered})"
        ))
    }
}

/// The server's last word, as far as the mechanism lets it count.
fn verdict(exchange: &Exchange, mut status: Status) -> Verdict {
    if status.kind == StatusKind::Ok {
        return match exchange.finish() {
            Ok(()) => Verdict::Said(status),
            Err(reason) => Verdict::Distrusted(reason),
        };
    }
    if let Some(refusal) = exchange.refusal() {
        status.text = format!("{} ({refusal})", status.text);
    }
    Verdict::Said(status)
}

fn decoded(challenge: &str) -> Result<Vec<u8>, String> {
    let decoded = STANDARD.decode(challenge.trim());
    decoded.map_err(|_| "what it says is no base64".to_owned())
}
