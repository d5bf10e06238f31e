use castmq::{
    client::{Client, ClientBuilder, Error, Message, Tls},
    protocol::codes::RequestCode,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use crate::scripted::{listen, stored};

/// Made by itself, for `mq.example.org`, with `openssl req -x509`; of no use but here.
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key");

/// A server that shows the certificate; asks for the same from clients, if told so.
async fn start(asks_clients: bool) -> ClientBuilder {
    let provider = std::sync::Arc::new(ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = match asks_clients {
        true => builder.with_client_cert_verifier(clients.build().unwrap()),
        false => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    let script = |request: &_| match request {
        castmq::protocol::frame::Frame { header, .. }
            if header.request_code() == RequestCode::SEND_MESSAGE_V2 =>
        {
            vec![stored(request)]
        }
        _ => vec![],
    };
    let (address, _) = listen(script, move |stream| acceptor.accept(stream)).await;
    Client::builder().nameserver(address.to_string())
}

async fn send(builder: ClientBuilder) -> Result<(), Error> {
    builder.await?.producer("p").await?.send(Message::new("T", "x".repeat(100_000))).await.map(drop)
}

#[tokio::test]
async fn everything_goes_over_tls_to_servers_that_are_trusted() {
    let server = start(false).await;
    let trusted = Tls::trusting(CERTIFICATE).unwrap();
    send(server.clone().tls(trusted.clone().server_name("mq.example.org").unwrap())).await.unwrap();
    send(server.clone().tls(Tls::trusting_anybody().unwrap())).await.unwrap();
    // The certificate is not for 127.0.0.1.
    let error = send(server.clone().tls(trusted)).await.unwrap_err().to_string();
    assert!(error.contains("certificate not valid for name"), "{error}");
    let other = Tls::trusting(CERTIFICATE).unwrap().server_name("other.example.org").unwrap();
    assert!(send(server.tls(other)).await.is_err());
}

#[tokio::test]
async fn a_server_that_asks_is_shown_who_we_are() {
    let server = start(true).await;
    let tls = Tls::trusting_anybody().unwrap();
    assert!(send(server.clone().tls(tls.clone())).await.is_err());
    send(server.tls(tls.identity(CERTIFICATE, KEY).unwrap())).await.unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    for error in [
        Tls::trusting("").unwrap_err(),
        Tls::trusting_anybody().unwrap().server_name("a b").unwrap_err(),
        Tls::trusting_anybody().unwrap().identity(CERTIFICATE, "").unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Config { what } if what.contains("cannot be used")), "{error}");
    }
}
