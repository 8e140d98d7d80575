//! TLS to the broker: the fleet's own certificate authority is trusted, and no other.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
pub use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A client that trusts the certificates in this PEM file.
pub fn trusting(path: &Path) -> Result<Arc<ClientConfig>> {
    let name = || path.display().to_string();
    let pem = std::fs::read(path).with_context(|| format!("cannot read {}", name()))?;
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        trusted
            .add(certificate.with_context(name)?)
            .with_context(name)?;
    }
    if trusted.is_empty() {
        bail!(
            "{} holds no certificate; `sanderling enroll` writes one",
            name()
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
