//! An authority of an instance's own, and the certificate that it gives.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The authority's certificate.
pub(super) const CA_FILE: &str = "ca.pem";
/// The server's certificate.
pub(super) const CERTIFICATE_FILE: &str = "server.pem";
/// The server's key.
pub(super) const KEY_FILE: &str = "server.key";

/// All in PEM.
pub(super) struct Certificate {
    pub(super) ca_pem: String,
    pub(super) pem: String,
    pub(super) key_pem: String,
}

/// Makes a certificate for the names of the loopback device.
pub(super) fn make() -> Result<Certificate, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name
        .push(DnType::CommonName, "uncork lab authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let names = ["localhost", "127.0.0.1", "127.0.0.2"].map(str::to_owned);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names.to_vec())?.signed_by(&key, &issuer)?;
    Ok(Certificate {
        ca_pem,
        pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}
