//! The socket: certificates, both HTTP versions, shutdown.

use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;

type HttpsClient = Client<hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>, Body>;

fn client(mut tls: rustls::ClientConfig) -> HttpsClient {
    tls.alpn_protocols.clear();
    Client::builder(TokioExecutor::new()).build(HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build())
}

/// Trusts `pki`, shows no certificate.
fn anonymous(pki: &Pki) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca_pem.as_bytes()).unwrap()).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn certificates_decide_and_shutdown_ends_watches() {
    let server = server().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = watch::channel(false);
    let tls = server.pki.server_config(&[]).unwrap();
    let api = server.api.clone();
    let serving = tokio::spawn(async move { api.serve(listener, tls, shutdown).await });
    let get = |client: HttpsClient, path: &str| {
        let request = request("GET", &format!("https://{address}{path}"), &[], Body::empty());
        async move { client.request(request).await }
    };
    // A connection that never says anything, and one that says nonsense, are in nobody's way.
    let silent = TcpStream::connect(address).await.unwrap();
    TcpStream::connect(address).await.unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    let admin = client(server.pki.client_config("admin", &["system:masters"]).unwrap());
    assert_eq!(get(admin.clone(), JOBS).await.unwrap().status(), 200);
    let nobody = client(server.pki.client_config("eve", &["x", "y"]).unwrap());
    assert_eq!(get(nobody, JOBS).await.unwrap().status(), 403);
    let unknown = client(anonymous(&server.pki));
    assert_eq!(get(unknown.clone(), JOBS).await.unwrap().status(), 401);
    assert_eq!(get(unknown, "/readyz").await.unwrap().status(), 200);

    // A certificate of another authority is refused in the handshake, and another authority's server is not trusted.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Pki::open(elsewhere.path()).unwrap();
    assert!(get(client(other.client_config("admin", &["system:masters"]).unwrap()), JOBS).await.is_err());
    let (certificate, key) = other.client_certificate("admin", &["system:masters"]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    roots.add(CertificateDer::from_pem_slice(server.pki.ca_pem.as_bytes()).unwrap()).unwrap();
    let forged = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    assert!(get(client(forged), JOBS).await.is_err());

    let watching = get(admin, &format!("{JOBS}?watch=1")).await.unwrap();
    assert_eq!(watching.status(), 200);
    stop.send(true).unwrap();
    let body = tokio::time::timeout(Duration::from_secs(5), watching.into_body().collect()).await.unwrap().unwrap();
    assert!(body.to_bytes().is_empty(), "the stream ends cleanly");
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
    drop(silent);
    assert!(TcpStream::connect(address).await.is_err());
}
