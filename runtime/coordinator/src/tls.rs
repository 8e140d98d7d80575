//! The fleet's own certificate authority, and TLS as a client of another broker.
//!
//! The authority is made at the first start that needs it and signs the broker's certificate at each
//! start. Robots trust it alone, by the file `ca.pem` that enrolling gives them.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {error}; check the files of the certificate authority")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A certificate cannot be made or read.
    #[error("a certificate cannot be used: {0}")]
    Certificate(String),
}

/// The authority.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

impl Authority {
    /// Reads the authority of a folder, or makes it.
    pub fn open(folder: &Path) -> Result<Authority, TlsError> {
        let (pem, key_pem) = (folder.join("ca.pem"), folder.join("ca.key"));
        let file = |path: &Path, error| TlsError::File {
            path: path.display().to_string(),
            error,
        };
        if pem.exists() {
            let certificate = std::fs::read_to_string(&pem).map_err(|e| file(&pem, e))?;
            let key = std::fs::read_to_string(&key_pem).map_err(|e| file(&key_pem, e))?;
            let key = KeyPair::from_pem(&key).map_err(wrong)?;
            return Ok(Authority { certificate, key });
        }
        std::fs::create_dir_all(folder).map_err(|e| file(folder, e))?;
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = parameters().self_signed(&key).map_err(wrong)?.pem();
        // The key first: a certificate without a key could never be used.
        write(&key_pem, &key.serialize_pem(), true).map_err(|e| file(&key_pem, e))?;
        write(&pem, &certificate, false).map_err(|e| file(&pem, e))?;
        tracing::info!("made a certificate authority: {}", pem.display());
        Ok(Authority { certificate, key })
    }

    /// The authority's certificate, in PEM: what clients trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server's certificate and private key, in PEM, for these host names and addresses.
    pub fn server(&self, names: &[String]) -> Result<(String, String), TlsError> {
        let issuer = Issuer::new(parameters(), &self.key);
        let mut server = CertificateParams::new(names.to_vec()).map_err(wrong)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "Sanderling broker");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        server.not_before = rcgen::date_time_ymd(1970, 1, 1);
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = server.signed_by(&key, &issuer).map_err(wrong)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// What the authority says of itself. Its certificates are valid from 1970 to 4096, because a robot
/// without a clock, which shows 1970, must reach its fleet: a lost key is met by a new authority, not by waiting.
/// The library that checks certificates reads no earlier year.
fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.not_before = rcgen::date_time_ymd(1970, 1, 1);
    parameters
        .distinguished_name
        .push(DnType::CommonName, "Sanderling fleet");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

fn wrong(error: impl ToString) -> TlsError {
    TlsError::Certificate(error.to_string())
}

/// Replaces a file, readable by its owner alone where it is secret.
pub fn write(path: &Path, text: &str, secret: bool) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let mode = if secret { 0o600 } else { 0o644 };
    // A file left over from a crash may be readable by others.
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    // The process's mask may have taken from the mode.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// TLS as a client that trusts the certificates in this PEM and no others.
pub fn client(ca_pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        let certificate = certificate.map_err(wrong)?;
        trusted.add(certificate).map_err(wrong)?;
    }
    if trusted.is_empty() {
        return Err(wrong("there is no certificate in the file"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
