//! What a provider's own TLS settings come to: whom to trust, and what we show.

use crate::config::snapshot::ClientTls;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// Read once: connections are made of it.
#[derive(Clone, Default)]
pub struct Identity {
    /// None: those that the machine trusts.
    pub trusted: Option<Arc<CaType>>,
    pub shown: Option<Arc<CertKey>>,
    /// Another one for other contents: connections made before a file changed are not used after.
    pub mark: u64,
}

impl Identity {
    pub fn load(tls: &ClientTls) -> Result<Identity, String> {
        let mut mark = DefaultHasher::new();
        tls.verify.hash(&mut mark);
        let mut identity = Identity::default();
        if let Some(path) = &tls.ca {
            let bundle = certificates(path)?;
            bundle.hash(&mut mark);
            let bundle = bundle.into_iter();
            let trusted: Vec<WrappedX509> = bundle
                .map(|der| WrappedX509::new(der, parse_x509))
                .collect();
            identity.trusted = Some(trusted.into());
        }
        if let Some((cert, key)) = &tls.cert {
            let (chain, key) = (certificates(cert)?, private_key(key)?);
            (&chain, &key).hash(&mut mark);
            identity.shown = Some(Arc::new(CertKey::new(chain, key)));
        }
        identity.mark = mark.finish();
        Ok(identity)
    }
}

/// At least one, and all of them such that Pingora, which takes them for granted, can read them.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let der = certificate.map_err(|error| wrong(&error))?.to_vec();
        x509_parser::parse_x509_certificate(&der)
            .map_err(|error| wrong(&format!("not a certificate: {error}")))?;
        found.push(der);
    }
    if found.is_empty() {
        return Err(wrong(&"holds no certificate"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(&error))?;
    let der = key.secret_der().to_vec();
    match PrivateKeyDer::try_from(der.as_slice()) {
        Ok(_) => Ok(der),
        Err(error) => Err(wrong(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn written(name: &str, text: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("overspill-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn tls(ca: Option<&PathBuf>, cert: Option<(&PathBuf, &PathBuf)>) -> ClientTls {
        ClientTls {
            verify: true,
            ca: ca.cloned(),
            cert: cert.map(|(cert, key)| (cert.clone(), key.clone())),
        }
    }

    #[test]
    fn a_bundle_and_a_pair_are_read_and_their_contents_count() {
        let made = || rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let (one, two) = (made(), made());
        let bundle = written("bundle.pem", &(one.cert.pem() + &two.cert.pem()));
        let single = written("single.pem", &one.cert.pem());
        let key = written("key.pem", &one.signing_key.serialize_pem());
        let both = Identity::load(&tls(Some(&bundle), Some((&single, &key)))).unwrap();
        assert_eq!(both.trusted.as_ref().map(|trusted| trusted.len()), Some(2));
        assert!(both.shown.is_some());
        let mark = |ca| Identity::load(&tls(ca, None)).unwrap().mark;
        assert_ne!(mark(Some(&bundle)), mark(Some(&single)));
        assert_eq!(mark(Some(&single)), mark(Some(&single)));
        assert_ne!(mark(Some(&single)), mark(None));
    }

    #[test]
    fn what_cannot_be_read_is_said_and_nothing_panics() {
        let empty = written("empty.pem", "");
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let junk = written("junk.pem", junk);
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let no_key = written("no-key.pem", no_key);
        let missing = empty.with_file_name("missing.pem");
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let cert = written("cert.pem", &made.cert.pem());
        for ca in [&empty, &junk, &missing] {
            let wrong = Identity::load(&tls(Some(ca), None)).err().unwrap();
            assert!(wrong.contains(ca.to_str().unwrap()), "{wrong}");
        }
        for key in [&empty, &no_key, &missing] {
            let wrong = Identity::load(&tls(None, Some((&cert, key))))
                .err()
                .unwrap();
            assert!(wrong.contains(key.to_str().unwrap()), "{wrong}");
        }
    }
}
