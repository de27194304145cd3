//! What must not be repeated to anybody, even where the server repeats it.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::ImportError;
use crate::imap::response::Status;

/// A part of a secret that is as long as this gives it away: a server, or a bound on a message,
/// may have cut off the rest.
const TELLING_BYTES: usize = 8;

const COVERED: &str = "(the server's words are left out: they repeat the password or token)";

/// The forms in which a password or token may stand in a server's text.
#[derive(Default)]
pub(super) struct Secrets {
    forms: Vec<Vec<u8>>,
}

impl Secrets {
    /// A password or a token, of which also the base64 is secret, wherever it begins.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.add_form(secret.as_bytes());
        // As the reader of responses shows it, and as a quoted string has it.
        self.add_form(secret.replace(char::is_control, "\u{fffd}").as_bytes());
        self.add_form(secret.replace('\\', "\\\\").replace('"', "\\\"").as_bytes());
        for shift in 0..3 {
            let shifted = [&[0; 2][..shift], secret.as_bytes()].concat();
            let base64 = STANDARD_NO_PAD.encode(&shifted);
            // The characters at both ends depend on what is beside the secret.
            let first = (shift * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            self.add_form(base64.get(first..last).unwrap_or_default().as_bytes());
        }
    }

    /// A line of an exchange, as it is sent.
    pub(super) fn add_form(&mut self, form: &[u8]) {
        if !form.is_empty() {
            self.forms.push(form.to_ascii_lowercase());
        }
    }

    /// The status with its words covered where they repeat a secret.
    pub(super) fn cover_status(&self, mut status: Status) -> Status {
        if status.code.as_deref().is_some_and(|code| self.is_in(code)) {
            status.code = None;
        }
        self.cover(&mut status.text);
        // A secret that the end of the code cuts in two is in neither part.
        if self.is_in(&status.reason()) {
            status.code = None;
            COVERED.clone_into(&mut status.text);
        }
        status
    }

    /// The error with the server's words in it covered where they repeat a secret.
    pub(super) fn cover_error(&self, mut error: ImportError) -> ImportError {
        match &mut error {
            ImportError::NotImap { reason, .. }
            | ImportError::Login { reason, .. }
            | ImportError::Unavailable { reason, .. } => self.cover(reason),
            ImportError::HungUp {
                said: Some(said), ..
            } => self.cover(said),
            _ => {}
        }
        error
    }

    fn cover(&self, text: &mut String) {
        if self.is_in(text) {
            COVERED.clone_into(text);
        }
    }

    fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase().into_bytes();
        let (short, long): (Vec<&Vec<u8>>, Vec<_>) = self
            .forms
            .iter()
            .partition(|form| form.len() < TELLING_BYTES);
        let telling: HashSet<&[u8]> = long
            .into_iter()
            .flat_map(|form| form.windows(TELLING_BYTES))
            .collect();
        text.windows(TELLING_BYTES)
            .any(|part| telling.contains(part))
            || short
                .into_iter()
                .any(|form| memchr::memmem::find(&text, form).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn secrets(secret: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        secrets
    }

    #[test]
    fn what_repeats_a_secret() {
        for (secret, text, is_in) in [
            ("opensesame", "LOGIN ada opensesame failed", true),
            ("opensesame", "LOGIN ada OPENSESAME failed", true),
            ("opensesame", "unknown command: ...ensesame", true),
            ("opensesame", "no such user", false),
            ("se\"c\\", r#"LOGIN "ada" "se\"c\\""#, true),
            ("two\nlines", "said two\u{fffd}lines", true),
            ("abc", "xabcx", true),
            ("", "anything", false),
        ] {
            assert_eq!(secrets(secret).is_in(text), is_in, "{secret}: {text}");
        }
    }

    #[test]
    fn only_what_repeats_it_is_covered() {
        let status = |code: Option<&str>, text: &str| Status {
            kind: crate::imap::response::StatusKind::No,
            code: code.map(str::to_owned),
            text: text.to_owned(),
        };
        let secrets = secrets("opensesame");
        let harmless = status(Some("AUTHENTICATIONFAILED"), "Authentication failed.");
        assert_eq!(secrets.cover_status(harmless.clone()), harmless);
        let covered = secrets.cover_status(status(Some("X"), "not opensesame"));
        assert_eq!(covered, status(Some("X"), COVERED));
        let covered = secrets.cover_status(status(Some("opensesame"), "no"));
        assert_eq!(covered, status(None, "no"));
        let covered = secrets.cover_status(status(Some("a open"), "no"));
        assert_eq!(covered, status(Some("a open"), "no"), "too little to tell");
    }

    proptest! {
        /// Whatever stands around it.
        #[test]
        fn base64_of_a_secret(
            before in "[ -~]{0,20}",
            secret in "[ -~]{6,40}",
            after in "[ -~]{0,20}",
        ) {
            let line = STANDARD.encode(format!("{before}{secret}{after}"));
            let said = format!("I do not know {line}.");
            prop_assert!(secrets(&secret).is_in(&said));
        }
    }
}
