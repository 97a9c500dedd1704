//! TLS: the authorities that we trust beside the system's, and what a refused handshake says.
//!
//! A certificate that one side refuses is a matter of configuration: waiting does not help. Clients
//! report it as a network fault; [`refusal`] finds it among the sources of their error.
//! Does not: connect. Redis, PostgreSQL and HTTP have clients of their own.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError};

/// Installs the TLS provider of the process; a repeated call changes nothing.
pub fn install() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The text of a PEM file with at least one certificate.
///
/// Clients take a file without any and refuse every server later.
pub fn read_certificates(path: &Path) -> anyhow::Result<Vec<u8>> {
    let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates
        .with_context(|| format!("{} holds a damaged PEM certificate", path.display()))?;
    ensure!(!certificates.is_empty(), "{} holds no PEM certificate", path.display());
    Ok(pem)
}

/// These certificates and the system's, for a client that trusts either the one or the other.
pub fn with_system_roots(mut pem: Vec<u8>) -> Vec<u8> {
    for certificate in rustls_native_certs::load_native_certs().certs {
        let body = BASE64_STANDARD.encode(&certificate);
        let text = format!("\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        pem.extend_from_slice(text.as_bytes());
    }
    pem
}

/// What a side refused about the other's certificate, and what to do; `None` for any other error.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The client of Redis shares its causes.
        if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            return refusal(&**shared);
        }
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(said) = error.downcast_ref::<rustls::Error>().and_then(describe) {
            return Some(said);
        }
        if let Some(within) = within {
            return refusal(within);
        }
        cause = error.source();
    }
    None
}

fn describe(error: &rustls::Error) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible};
    Some(match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is of an authority that is not trusted here; name that authority's certificate in ISOBAR_CA_FILE".to_owned()
        }
        InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!("its certificate has expired ({error})"),
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("its certificate is for another name ({error})"),
        InvalidCertificate(_) if error.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority itself; give it one that the authority has issued".to_owned()
        }
        InvalidCertificate(_) => format!("its certificate is refused ({error})"),
        AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied,
        ) => format!("it refuses our client certificate, or asks for one ({error})"),
        AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion)
        | PeerIncompatible(_) => format!("both sides have no version of TLS in common ({error})"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_is_found_beneath_other_errors() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = anyhow::Error::new(io::Error::new(io::ErrorKind::InvalidData, unknown))
            .context("cannot connect");
        let said = refusal(error.as_ref()).expect("a refusal");
        assert!(said.contains("ISOBAR_CA_FILE"), "{said}");
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(refusal(&reset), None);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let path = std::env::temp_dir().join(format!("isobar-tls-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing").expect("writes");
        let error = read_certificates(&path).expect_err("no certificate");
        std::fs::remove_file(&path).expect("removes");
        assert!(error.to_string().contains("holds no PEM certificate"), "{error}");
    }
}
