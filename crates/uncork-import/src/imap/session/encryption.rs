//! Where TLS begins: by which rule, and how.

use std::io;

use tokio::time::timeout;

use super::Session;
use super::connect::{CONNECT_TIMEOUT, Reach};
use crate::imap::response::StatusKind;
use crate::imap::wire::tls;
use crate::{ImportError, Options, Target, TlsOptions};

/// What is known when the server has greeted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    pub(super) is_encrypted: bool,
    pub(super) reach: Reach,
    pub(super) is_logged_in: bool,
    pub(super) offers_start_tls: bool,
    pub(super) login_disabled: bool,
    pub(super) allow_plaintext: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    StartTls,
    GoOn,
    /// Others could hear what is said.
    Refuse,
}

impl Beginning {
    pub(super) fn next(self) -> Next {
        if self.is_encrypted {
            return Next::GoOn;
        }
        // Who is logged in can't begin TLS any more (RFC 9051, section 7.1.4).
        let can_start_tls = self.offers_start_tls && !self.is_logged_in;
        match self.reach {
            Reach::ThisMachine if can_start_tls && self.login_disabled => Next::StartTls,
            Reach::ThisMachine => Next::GoOn,
            Reach::Network if can_start_tls => Next::StartTls,
            Reach::Network if self.allow_plaintext => Next::GoOn,
            Reach::Network => Next::Refuse,
        }
    }
}

impl Session {
    /// STARTTLS (RFC 9051, section 6.2.1).
    pub(super) async fn start_tls(
        &mut self,
        target: &Target,
        options: &Options,
    ) -> Result<(), ImportError> {
        let status = self.command("STARTTLS", |_| {}).await?;
        if status.kind != StatusKind::Ok {
            let reason = format!("it refuses STARTTLS: {}", status.reason());
            return Err(self.tls_error(reason));
        }
        // Somebody on the way could have put it there, for it to be taken as said within TLS
        // (CVE-2011-0411).
        if self.writer.unread_bytes() > 0 {
            let reason = "it said more behind its answer to STARTTLS, unencrypted: somebody on \
                          the way may have put it there";
            return Err(self.tls_error(reason.to_owned()));
        }
        self.encrypt(&target.host, &options.tls).await?;
        // What it offered before could have been anybody's word.
        self.ask_capabilities().await
    }

    pub(super) async fn encrypt(
        &mut self,
        host: &str,
        options: &TlsOptions,
    ) -> Result<(), ImportError> {
        let connection = tls::connection(host, options);
        let connection = connection.map_err(|reason| self.tls_error(reason))?;
        match timeout(CONNECT_TIMEOUT, self.writer.start_tls(connection)).await {
            Ok(Ok(())) => {
                self.is_encrypted = true;
                Ok(())
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.tls_error(tls::explain(&error)))
            }
            Ok(Err(source)) => Err(ImportError::HungUp {
                address: self.address.clone(),
                said: None,
                source,
            }),
            Err(_) => Err(ImportError::Silent {
                address: self.address.clone(),
                after: CONNECT_TIMEOUT,
            }),
        }
    }

    fn tls_error(&self, reason: String) -> ImportError {
        ImportError::Tls {
            address: self.address.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_tls_begins() {
        let local = Beginning {
            is_encrypted: false,
            reach: Reach::ThisMachine,
            is_logged_in: false,
            offers_start_tls: false,
            login_disabled: false,
            allow_plaintext: false,
        };
        let offered = Beginning {
            offers_start_tls: true,
            ..local
        };
        let far = |near: Beginning| Beginning {
            reach: Reach::Network,
            ..near
        };
        let allowed = |beginning: Beginning| Beginning {
            allow_plaintext: true,
            ..beginning
        };
        let disabled = |beginning: Beginning| Beginning {
            login_disabled: true,
            ..beginning
        };
        let logged_in = |beginning: Beginning| Beginning {
            is_logged_in: true,
            ..beginning
        };
        let encrypted = |beginning: Beginning| Beginning {
            is_encrypted: true,
            ..beginning
        };
        for (beginning, expected) in [
            (local, Next::GoOn),
            (offered, Next::GoOn),
            (disabled(offered), Next::StartTls),
            (disabled(local), Next::GoOn),
            (far(local), Next::Refuse),
            (far(offered), Next::StartTls),
            (far(allowed(offered)), Next::StartTls),
            (far(allowed(local)), Next::GoOn),
            (far(logged_in(offered)), Next::Refuse),
            (far(allowed(logged_in(offered))), Next::GoOn),
            (logged_in(disabled(offered)), Next::GoOn),
            (far(encrypted(local)), Next::GoOn),
            (far(encrypted(offered)), Next::GoOn),
        ] {
            assert_eq!(beginning.next(), expected, "{beginning:?}");
        }
    }
}
