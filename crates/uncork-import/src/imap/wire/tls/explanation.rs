//! Failures of TLS in words that say what to do.

use std::io;

use rustls::{CertificateError, Error};

/// What a failed handshake means, and what to do about it.
pub(crate) fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(error) = inner else {
        return error.to_string();
    };
    match error {
        Error::InvalidCertificate(problem) => explain_certificate(problem),
        Error::InvalidMessage(_) => {
            "what it says is no TLS: is this port for imap:// (with STARTTLS) instead?".to_owned()
        }
        Error::AlertReceived(alert) => format!("it refuses with the alert {alert:?}"),
        Error::PeerIncompatible(_) => {
            format!("it has no version or cipher that is safe today ({error})")
        }
        error => error.to_string(),
    }
}

fn explain_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => "its certificate comes from an authority that this \
             machine does not trust: where that is your own, name its certificate with --ca-file"
            .to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: it has to be renewed on the server (or is this \
             machine's clock wrong?)"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: is this machine's clock wrong?".to_owned()
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name: write the name that is in it into the URL"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented
                .iter()
                .map(String::as_str)
                .take(NAMES_SHOWN_MAX)
                .collect();
            format!(
                "its certificate is for another name ({}): write the name that is in it into \
                 the URL",
                names.join(", ").replace(char::is_control, "\u{fffd}")
            )
        }
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        problem => format!("its certificate is refused: {problem}"),
    }
}

/// Names of a certificate that an error shows.
const NAMES_SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_in_words() {
        use rustls::{AlertDescription, InvalidMessage};
        for (error, expected) in [
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "--ca-file",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidForName),
                "another name",
            ),
            (
                Error::InvalidCertificate(CertificateError::BadSignature),
                "is refused",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "no TLS",
            ),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                "ProtocolVersion",
            ),
        ] {
            let text = explain(&io::Error::other(error));
            assert!(text.contains(expected), "{text}");
        }
        let other = io::Error::other("something else");
        assert_eq!(explain(&other), "something else");
    }
}
