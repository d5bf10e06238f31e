//! Encrypted connections (fact sheet: remoting 1.8).

use std::{fmt, io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::client::{Error, Result};

/// How connections are encrypted, and whom they trust. RocketMQ's servers take TLS on the ports that they have, and
/// show a certificate that they made themselves unless told otherwise.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use castmq::client::{Client, Tls};
/// let tls = Tls::trusting(std::fs::read("ca.pem")?)?
///     .server_name("mq.example.org")?
///     .identity(std::fs::read("me.pem")?, std::fs::read("me.key")?)?;
/// let client = Client::builder().nameserver("ns-a:9876").tls(tls).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tls {
    verifier: Arc<dyn ServerCertVerifier>,
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts servers that one of these certificates (PEM) vouches for, under the name that they are reached by.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no certificate.
    pub fn trusting(certificates: impl AsRef<[u8]>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(certificates.as_ref())? {
            roots.add(certificate).map_err(wrong("a trusted certificate"))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build();
        Self::verified_by(verifier.map_err(wrong("the trusted certificates"))?)
    }

    /// Encrypts, and trusts whoever answers, as Java's client does by default: no help against somebody in between.
    ///
    /// # Errors
    /// [`Error::Config`] when TLS cannot be set up.
    pub fn trusting_anybody() -> Result<Self> {
        Self::verified_by(Arc::new(Anybody(provider())))
    }

    fn verified_by(verifier: Arc<dyn ServerCertVerifier>) -> Result<Self> {
        let config = config(verifier.clone(), None)?;
        Ok(Self { verifier, config, server_name: None })
    }

    /// Shows servers that ask for it this certificate (PEM, with those up to a root), and proves it by its key.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no certificate or no key.
    pub fn identity(self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(wrong("the private key"))?;
        let config = config(self.verifier.clone(), Some((chain(certificates.as_ref())?, key)))?;
        Ok(Self { config, ..self })
    }

    /// Expects this name in servers' certificates, in place of the one that they are reached by: brokers are mostly
    /// reached by number.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no name.
    pub fn server_name(self, name: impl Into<String>) -> Result<Self> {
        let name = ServerName::try_from(name.into()).map_err(wrong("the server name"))?;
        Ok(Self { server_name: Some(name), ..self })
    }

    /// Shakes hands with the server at `address`.
    pub(super) async fn over(&self, stream: TcpStream, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let host = host.trim_matches(['[', ']']).to_owned();
                ServerName::try_from(host).map_err(io::Error::other)?
            }
        };
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn config(verifier: Arc<dyn ServerCertVerifier>, identity: Option<Identity>) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(wrong("TLS"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(wrong("the identity"))?,
    }))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(wrong("the certificates"))?;
    if all.is_empty() {
        return Err(Error::config("the certificates cannot be used: PEM without any"));
    }
    Ok(all)
}

fn wrong<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::config(format!("{what} cannot be used: {error}"))
}

/// Trusts any certificate; the handshake itself is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, tokio_rustls::rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
