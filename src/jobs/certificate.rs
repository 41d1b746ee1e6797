//! Certificates of the data port, renewed while it serves.

use crate::config::snapshot::ListenTls;
use arc_swap::ArcSwap;
use pingora::tls::sign::CertifiedKey;
use pingora::tls::{
    ClientHello, CryptoProvider, ResolvesServerCert, install_default_crypto_provider,
    load_certs_and_key_files,
};
use std::fmt;
use std::sync::Arc;

/// What one listener shows to its callers.
pub struct Certificate {
    files: ListenTls,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    pub fn load(files: ListenTls) -> Result<Arc<Certificate>, String> {
        let current = ArcSwap::from(read(&files)?);
        Ok(Arc::new(Certificate { files, current }))
    }

    pub fn files(&self) -> &ListenTls {
        &self.files
    }

    /// What the files hold now, for `renew`.
    pub fn read(&self) -> Result<Arc<CertifiedKey>, String> {
        read(&self.files)
    }

    /// For the handshakes to come.
    pub fn renew(&self, fresh: Arc<CertifiedKey>) {
        self.current.store(fresh);
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

fn read(files: &ListenTls) -> Result<Arc<CertifiedKey>, String> {
    let (cert, key) = (files.cert.to_string_lossy(), files.key.to_string_lossy());
    let cannot = |why: &dyn fmt::Display| format!("cannot use {cert} and {key}: {why}");
    let (chain, private) = load_certs_and_key_files(&cert, &key)
        .map_err(|error| cannot(&error))?
        .ok_or_else(|| cannot(&"one of them holds nothing"))?;
    install_default_crypto_provider();
    let provider = CryptoProvider::get_default().ok_or_else(|| cannot(&"no cryptography"))?;
    let fresh = CertifiedKey::from_der(chain, private, provider).map_err(|error| cannot(&error))?;
    Ok(Arc::new(fresh))
}
