//! TLS by rustls, which is given bytes and gives bytes: it never sees the socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::layers::{Buffer, Opened};
use crate::TlsOptions;
pub(crate) use explanation::explain;

mod explanation;

/// What is read at once during the handshake: less than what rustls keeps of plaintext.
pub(super) const HANDSHAKE_READ_BYTES: usize = 4096;

/// The most plaintext in one record (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 16 * 1024;

/// The longest file of authorities: thirty times the platform's usual one.
const CA_FILE_BYTES_MAX: u64 = 8 << 20;

/// One connection's TLS.
pub(crate) struct Tls {
    connection: ClientConnection,
    /// The start of a record that is not full yet. Commands and mails are small: a record each
    /// would cost more than their bytes.
    record: Vec<u8>,
    /// The handshake's failure, which is told after the alert has left.
    failed: Option<Error>,
}

/// How far a handshake is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    NeedsMore,
    Done,
}

impl Tls {
    pub(super) fn new(mut connection: ClientConnection) -> Self {
        // Each record is taken out as soon as it is made; the departure is what is bounded.
        connection.set_buffer_limit(None);
        Self {
            connection,
            record: Vec::with_capacity(RECORD_BYTES),
            failed: None,
        }
    }

    /// Puts what the peer needs next into the departure, an alert too.
    pub(super) fn shake_hands(&mut self, departure: &mut Vec<u8>) -> io::Result<Handshake> {
        self.take_records(departure)?;
        match self.failed.take() {
            Some(error) => Err(failed(error)),
            None if self.connection.is_handshaking() => Ok(Handshake::NeedsMore),
            None => Ok(Handshake::Done),
        }
    }

    /// Takes in what came during the handshake; what came with its end stays to be read.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.failed.is_none() {
            let taken = self.connection.read_tls(&mut bytes);
            let processed = self.connection.process_new_packets();
            self.failed = match (processed, taken) {
                (Err(error), _) => Some(error),
                (Ok(_), Err(error)) => Some(Error::General(error.to_string())),
                // After a close_notify nothing more is taken.
                (Ok(_), Ok(0)) => Some(Error::General("it ended TLS at its start".to_owned())),
                (Ok(_), Ok(_)) => None,
            };
        }
    }

    /// Seals all full records of what is there.
    pub(super) fn seal(&mut self, mut bytes: &[u8], departure: &mut Vec<u8>) -> io::Result<()> {
        if !self.record.is_empty() {
            let taken = bytes.len().min(RECORD_BYTES - self.record.len());
            self.record.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.record.len() < RECORD_BYTES {
                return Ok(());
            }
            self.connection.writer().write_all(&self.record)?;
            self.record.clear();
        }
        let (full, rest) = bytes.split_at(bytes.len() - bytes.len() % RECORD_BYTES);
        self.connection.writer().write_all(full)?;
        self.record.extend_from_slice(rest);
        self.take_records(departure)
    }

    /// Seals the rest in a record of its own length.
    pub(super) fn seal_end(&mut self, departure: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(&self.record)?;
        self.record.clear();
        self.take_records(departure)
    }

    /// Takes what is ready to leave: records, and what rustls answers to what was read.
    fn take_records(&mut self, departure: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(departure)?;
        }
        Ok(())
    }

    /// Opens records until there is plaintext.
    pub(super) fn open(&mut self, received: &mut Buffer, out: &mut [u8]) -> io::Result<Opened> {
        loop {
            // Plaintext goes first: rustls takes in no records while it has some.
            match self.connection.reader().read(out) {
                Ok(0) => return Ok(Opened::End),
                Ok(bytes) => return Ok(Opened::Bytes(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let mut bytes = received.bytes();
            if bytes.is_empty() {
                return Ok(Opened::NeedsMore);
            }
            let taken = self.connection.read_tls(&mut bytes)?;
            received.take(taken);
            self.connection.process_new_packets().map_err(failed)?;
        }
    }
}

fn failed(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Begins TLS with a host.
///
/// # Errors
/// In words: which certificates can't be read, or what is wrong with the host's name.
pub(crate) fn connection(host: &str, options: &TlsOptions) -> Result<ClientConnection, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate could have"))?;
    let config = Arc::new(config(options)?);
    ClientConnection::new(config, name).map_err(|error| error.to_string())
}

/// TLS 1.2 and 1.3 with what rustls thinks safe.
fn config(options: &TlsOptions) -> Result<ClientConfig, String> {
    let provider = ring::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if options.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms)))
    } else {
        builder.with_root_certificates(roots(options.ca_file.as_deref())?)
    };
    Ok(builder.with_no_client_auth())
}

/// The platform's authorities and those of the file.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    // Reading them takes milliseconds, in which the other connections would stand still.
    static PLATFORM: OnceLock<Platform> = OnceLock::new();
    let platform = PLATFORM.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        let problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        Platform {
            authorities: loaded.certs,
            problems: problems.join("; "),
        }
    });
    trusted(platform, ca_file)
}

/// What a machine trusts.
struct Platform {
    authorities: Vec<CertificateDer<'static>>,
    /// Why there are not more.
    problems: String,
}

fn trusted(platform: &Platform, ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // A platform may have authorities that rustls can't read. Those are not trusted.
    roots.add_parsable_certificates(platform.authorities.iter().cloned());
    if let Some(path) = ca_file {
        let found = read_ca_file(path)
            .map_err(|error| format!("can't read the --ca-file {}: {error}", path.display()))?;
        for certificate in found {
            roots.add(certificate).map_err(|error| {
                let path = path.display();
                format!("a certificate of the --ca-file {path} can't be used: {error}")
            })?;
        }
    }
    if roots.is_empty() {
        let problems = match platform.problems.as_str() {
            "" => String::new(),
            problems => format!(" ({problems})"),
        };
        return Err(format!(
            "this machine has no certificate authorities to trust{problems}: install its \
             ca-certificates, or name a --ca-file"
        ));
    }
    Ok(roots)
}

fn read_ca_file(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut pem = Vec::new();
    let file = File::open(path)?;
    file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(invalid(format!(
            "it has more than {CA_FILE_BYTES_MAX} bytes"
        )));
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| invalid(error.to_string()))?;
    if found.is_empty() {
        return Err(invalid("there is no certificate in it (PEM)".to_owned()));
    }
    Ok(found)
}

/// Takes any certificate, for `--insecure`. That the peer has its key is still checked.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_machine_that_trusts_nobody() {
        let platform = |problems: &str| Platform {
            authorities: Vec::new(),
            problems: problems.to_owned(),
        };
        let error = trusted(&platform("no folder"), None).unwrap_err();
        assert!(
            error.contains("(no folder)") && error.contains("--ca-file"),
            "{error}"
        );
        let error = trusted(&platform(""), None).unwrap_err();
        assert!(!error.contains('('), "{error}");
    }

    #[test]
    fn hosts() {
        let insecure = TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        };
        for (host, is_name) in [
            ("mail.example.org", true),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("no host", false),
            ("", false),
        ] {
            assert_eq!(connection(host, &insecure).is_ok(), is_name, "{host}");
        }
    }

    proptest! {
            #[test]
            fn hostile_handshakes(
                pieces in prop::collection::vec(
                    prop_oneof![
                        prop::collection::vec(any::<u8>(), 0..100),
                        (20u8..25, prop::collection::vec(any::<u8>(), 1..20))
                            .prop_map(|(kind, bytes)| {
                                let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[kind, 3, 3, 0, len], &bytes[..]].concat()
                            }),
                    ],
                    0..5,
                ),
            ) {
                let insecure = TlsOptions { insecure: true, ..TlsOptions::default() };
                let mut tls = Tls::new(connection("localhost", &insecure).unwrap());
                for piece in pieces {
                    tls.received(&piece);
                    if let Ok(handshake) = tls.shake_hands(&mut Vec::new()) {
                        prop_assert_eq!(handshake, Handshake::NeedsMore);
                    }
                }
            }
        }
}
