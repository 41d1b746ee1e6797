//! Certificates of the tests' own, and TLS for both ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// A self-signed certificate for `localhost` and 127.0.0.1.
pub struct Identity {
    pub cert_pem: String,
    pub key_pem: String,
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub fn new() -> Identity {
        let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Identity {
            cert_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            cert: made.cert.der().clone(),
            key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        }
    }

    /// A server with this certificate that offers these protocols.
    pub fn acceptor(&self, protocols: &[&str]) -> Acceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Acceptor {
            inner: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// A server with this certificate that talks only to who shows this one.
    pub fn acceptor_for(&self, client: &Identity) -> Acceptor {
        let mut roots = RootCertStore::empty();
        roots.add(client.cert.clone()).unwrap();
        let ring = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), ring.clone())
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.cert.clone()], self.key.clone_key())
            .unwrap();
        Acceptor {
            inner: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// A connection to a server that shows this certificate; with it the protocol agreed on.
    pub async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> (client::TlsStream<TcpStream>, Option<String>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        let agreed = stream.get_ref().1.alpn_protocol();
        let agreed = agreed.map(|p| String::from_utf8_lossy(p).into_owned());
        (stream, agreed)
    }
}

#[derive(Clone)]
pub struct Acceptor {
    inner: TlsAcceptor,
}

impl Acceptor {
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.inner.accept(stream).await
    }
}
