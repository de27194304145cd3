//! Who the client is, and what the connection is sealed or packed with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::capabilities::Mechanism;
use super::command::Command;
use super::house::lock;
use super::personality::Tls;
use super::session::{End, Session, Step};

/// Failed logins after which a connection is closed; Dovecot's number.
const FAILED_LOGINS_MAX: u32 = 3;

/// What a token that is not valid is answered with before the NO (RFC 7628, 3.2.2).
const TOKEN_REFUSED: &str =
    r#"{"status":"invalid_token","schemes":"bearer","scope":"https://mail.example.org/"}"#;

/// What a client's response proves.
#[derive(Debug, PartialEq, Eq)]
enum Proof<'a> {
    Password { user: &'a [u8], password: &'a [u8] },
    Token { user: &'a [u8], token: &'a [u8] },
}

impl Session {
    /// Whether TLS may be started on this connection.
    pub(crate) fn offers_tls(&mut self) -> bool {
        let tls = self.house.personality.tls;
        matches!(tls, Tls::Offered | Tls::Required) && !self.wire.pipe().has_tls()
    }

    /// Whether TLS has to be started before a login.
    pub(crate) fn needs_tls(&mut self) -> bool {
        self.house.personality.tls == Tls::Required && !self.wire.pipe().has_tls()
    }

    pub(crate) fn start_tls(&mut self, tag: &str) -> Step {
        if self.logged_in || !self.offers_tls() {
            return self.bad(tag, "STARTTLS is not offered now");
        }
        let house = Arc::clone(&self.house);
        let Some(certificate) = &house.certificate else {
            return self.bad(tag, "STARTTLS is not offered");
        };
        self.tagged(tag, "OK Begin TLS negotiation now")?;
        self.wire.flush()?;
        if self.wire.has_unread() {
            // What was sent ahead came in the clear from anybody, and would count as sealed.
            return Err(End::Abruptly);
        }
        let started = self.wire.pipe().start_tls(&certificate.config);
        started.map_err(|_| End::Abruptly)
    }

    pub(crate) fn compress(&mut self, tag: &str, algorithm: &str) -> Step {
        if !self.logged_in || !self.capabilities().compress {
            return self.bad(tag, "COMPRESS is not offered now");
        }
        if !algorithm.eq_ignore_ascii_case("DEFLATE") {
            return self.tagged(tag, "NO Only DEFLATE is offered");
        }
        if self.wire.pipe().has_deflate() {
            return self.tagged(tag, "NO [COMPRESSIONACTIVE] It is compressed already");
        }
        self.tagged(tag, "OK DEFLATE active")?;
        self.wire.flush()?;
        if self.wire.has_unread() {
            return Err(End::Abruptly);
        }
        self.wire.pipe().start_deflate();
        Ok(())
    }

    /// LOGIN and AUTHENTICATE.
    pub(crate) fn prove(&mut self, tag: &str, command: Command<'_>) -> Step {
        if self.logged_in {
            return self.bad(tag, "Already logged in");
        }
        if self.needs_tls() {
            return self.tagged(tag, "NO [PRIVACYREQUIRED] Start TLS first");
        }
        match command {
            Command::Login { .. } if self.capabilities().login_disabled => {
                self.tagged(tag, "NO [PRIVACYREQUIRED] LOGIN is disabled")
            }
            Command::Login { user, password } => self.log_in(
                tag,
                &Proof::Password {
                    user: &user,
                    password: &password,
                },
            ),
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(tag, mechanism, initial)
            }
            _ => Ok(()),
        }
    }

    fn authenticate(&mut self, tag: &str, name: &str, initial: Option<&[u8]>) -> Step {
        let Some(mechanism) = self.capabilities().mechanism(name) else {
            return self.tagged(tag, "NO [CANNOT] This mechanism is not offered");
        };
        if initial.is_some() && !self.capabilities().sasl_ir {
            return self.bad(tag, "SASL-IR is not offered");
        }
        let first = match initial {
            Some(b"=") => Ok(Vec::new()),
            Some(initial) => STANDARD.decode(initial).map_err(|_| "Invalid base64"),
            None if mechanism == Mechanism::Login => self.ask("VXNlcm5hbWU6")?,
            None => self.ask("")?,
        };
        let second = match &first {
            Ok(_) if mechanism == Mechanism::Login => self.ask("UGFzc3dvcmQ6")?,
            _ => Ok(Vec::new()),
        };
        let (first, second) = match (first, second) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(why), _) | (_, Err(why)) => return self.bad(tag, why),
        };
        let proof = match mechanism {
            Mechanism::Plain => plain(&first),
            Mechanism::Login => Some(Proof::Password {
                user: &first,
                password: &second,
            }),
            Mechanism::XOAuth2 => xoauth2(&first),
            Mechanism::OAuthBearer => oauthbearer(&first),
        };
        match proof {
            Some(proof) => self.log_in(tag, &proof),
            None => self.bad(tag, "The response is not as the mechanism has it"),
        }
    }

    /// Asks for one response. The inner error is the client's.
    fn ask(&mut self, challenge: &str) -> Result<Result<Vec<u8>, &'static str>, End> {
        self.wire.say(format!("+ {challenge}\r\n").as_bytes())?;
        let response = self.wire.line()?;
        if response == b"*" {
            return Ok(Err("AUTHENTICATE cancelled"));
        }
        Ok(STANDARD.decode(response).map_err(|_| "Invalid base64"))
    }

    fn log_in(&mut self, tag: &str, proof: &Proof<'_>) -> Step {
        let house = Arc::clone(&self.house);
        if let Some(text) = house.faults.refuses_login() {
            return self.tagged(tag, &format!("NO {text}"));
        }
        let is_proven = match proof {
            Proof::Password { user, password } => {
                *user == house.user.as_bytes() && *password == house.password.as_bytes()
            }
            Proof::Token { user, token } => {
                let token = std::str::from_utf8(token).unwrap_or("");
                *user == house.user.as_bytes() && lock(&house.tokens).contains(token)
            }
        };
        if !is_proven {
            if matches!(proof, Proof::Token { .. }) {
                // The client answers the reason with an empty response, or with one that says
                // nothing; only then comes the NO.
                let _ = self.ask(&STANDARD.encode(TOKEN_REFUSED))?;
            }
            self.failed_logins += 1;
            self.tagged(tag, "NO [AUTHENTICATIONFAILED] Authentication failed.")?;
            if self.failed_logins >= FAILED_LOGINS_MAX {
                return self.bye("Too many failed logins");
            }
            return Ok(());
        }
        let others = house.logged_in.fetch_add(1, Ordering::AcqRel);
        if let Some(limit) = house.personality.login_limit
            && others >= limit
        {
            house.logged_in.fetch_sub(1, Ordering::AcqRel);
            return self.tagged(tag, "NO [LIMIT] Too many simultaneous connections");
        }
        self.logged_in = true;
        let line = format!("OK [CAPABILITY {}] Logged in", self.capability_line());
        self.tagged(tag, &line)
    }
}

/// `identity NUL user NUL password` (RFC 4616).
fn plain(response: &[u8]) -> Option<Proof<'_>> {
    let mut parts = response.split(|byte| *byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(user), Some(password), None) => Some(Proof::Password { user, password }),
        _ => None,
    }
}

/// `user=ada^Aauth=Bearer token^A^A`.
fn xoauth2(response: &[u8]) -> Option<Proof<'_>> {
    let mut parts = response.split(|byte| *byte == 1);
    let user = parts.next()?.strip_prefix(b"user=")?;
    let token = bearer(parts)?;
    Some(Proof::Token { user, token })
}

/// `n,a=ada,^Ahost=example.org^Aauth=Bearer token^A^A` (RFC 7628).
fn oauthbearer(response: &[u8]) -> Option<Proof<'_>> {
    let mut parts = response.split(|byte| *byte == 1);
    let identity = parts.next()?.strip_prefix(b"n,a=")?;
    let user = identity.strip_suffix(b",")?;
    let token = bearer(parts)?;
    Some(Proof::Token { user, token })
}

/// The token among the fields, which an empty one ends.
fn bearer<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let fields: Vec<&[u8]> = fields.collect();
    let (end, fields) = fields
        .split_last_chunk::<2>()
        .map(|(rest, end)| (end, rest))?;
    if !end.iter().all(|field| field.is_empty()) {
        return None;
    }
    let mut tokens = fields
        .iter()
        .filter_map(|field| field.strip_prefix(b"auth=Bearer "));
    tokens.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let check = |found: Option<Proof<'_>>, expected: bool| {
            let token = Proof::Token {
                user: b"ada",
                token: b"t0",
            };
            assert_eq!(found, expected.then_some(token));
        };
        check(xoauth2(b"user=ada\x01auth=Bearer t0\x01\x01"), true);
        check(xoauth2(b"user=ada\x01auth=Bearer t0\x01"), false);
        check(xoauth2(b"ada\x01auth=Bearer t0\x01\x01"), false);
        check(
            oauthbearer(b"n,a=ada,\x01host=h\x01auth=Bearer t0\x01\x01"),
            true,
        );
        check(oauthbearer(b"n,a=ada,\x01auth=Bearer t0\x01\x01"), true);
        check(oauthbearer(b"n,a=ada,\x01host=h\x01\x01"), false);
        check(oauthbearer(b"y,\x01auth=Bearer t0\x01\x01"), false);
        check(oauthbearer(b""), false);
    }
}
