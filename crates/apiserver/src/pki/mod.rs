//! Own CA, server and client certificates under `DIR/pki`, kubeconfig; created once, reused and renewed.
//!
//! In: a data directory. Out: PEM texts and TLS configurations, always with the ring provider. Never: a private key readable by others; a
//! certificate of a CA that is not ours trusted.

mod files;
mod issue;
mod tls;

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::clock;

/// Name of the CA in its certificate.
const CA_NAME: &str = "piecework-ca";
/// Names and addresses that every server certificate has.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The certificate authority of one data directory.
pub struct Pki {
    /// The CA's certificate.
    pub ca_pem: String,
    directory: PathBuf,
    ca_key_pem: String,
}

impl Pki {
    /// Opens `dir/pki`, creating directory (0700), CA key (0600) and certificate when they are missing.
    ///
    /// # Errors
    /// One line that says what cannot be read, written or understood.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let directory = dir.join("pki");
        files::private_directory(&directory)?;
        let (certificate, key) = (directory.join("ca.crt"), directory.join("ca.key"));
        // The certificate is written last: without it, the key was never used.
        let (ca_pem, ca_key_pem) = match files::read(&certificate)? {
            Some(ca_pem) => {
                let shown = key.display();
                let key_pem =
                    files::read(&key)?.ok_or_else(|| format!("{shown} is missing; restore it, or remove {}", directory.display()))?;
                (ca_pem, key_pem)
            }
            None => {
                let (ca_pem, key_pem) = issue::authority(CA_NAME, clock::now())?;
                files::write_private(&key, &key_pem)?;
                files::write_private(&certificate, &ca_pem)?;
                (ca_pem, key_pem)
            }
        };
        let pki = Pki { ca_pem, directory, ca_key_pem };
        pki.issuer().map_err(|error| format!("{}: {error}; restore it, or remove {}", certificate.display(), pki.directory.display()))?;
        if issue::expires_soon(&pki.ca_pem, clock::now())? {
            return Err(format!(
                "the CA certificate {} expires soon; stop everything that uses it and remove {}",
                certificate.display(),
                pki.directory.display()
            ));
        }
        Ok(pki)
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, String> {
        let key = KeyPair::from_pem(&self.ca_key_pem).map_err(|error| format!("the CA's private key: {error}"))?;
        Issuer::from_ca_cert_pem(&self.ca_pem, key).map_err(|error| format!("the CA's certificate: {error}"))
    }

    fn sign(&self, params: &CertificateParams) -> Result<(String, String), String> {
        issue::sign(params, &self.issuer()?)
    }

    /// A certificate for CN=user, O=groups: (certificate PEM, key PEM).
    ///
    /// # Errors
    /// When the names do not fit into a certificate.
    pub fn client_certificate(&self, user: &str, groups: &[&str]) -> Result<(String, String), String> {
        self.sign(&issue::client(user, groups, clock::now())?)
    }

    /// A server's TLS configuration for `names` and loopback; asks clients for a certificate without demanding one.
    ///
    /// # Errors
    /// When a name is no host name or address, or the files cannot be written.
    pub fn server_config(&self, names: &[String]) -> Result<rustls::ServerConfig, String> {
        let mut all: Vec<String> = LOOPBACK_NAMES.iter().map(|name| (*name).to_owned()).collect();
        all.extend(names.iter().cloned());
        all.sort();
        all.dedup();
        let base = self.directory.join(format!("server-{}", self.fingerprint(&all)));
        let (certificate, key) = (base.with_extension("crt"), base.with_extension("key"));
        if let (Some(certificate), Some(key)) = (files::read(&certificate)?, files::read(&key)?)
            && !issue::expires_soon(&certificate, clock::now())?
            && let Ok(config) = self.server_with(&certificate, &key)
        {
            return Ok(config);
        }
        let (certificate_pem, key_pem) = self.sign(&issue::server(&all, clock::now())?)?;
        files::write_private(&key, &key_pem)?;
        files::write_private(&certificate, &certificate_pem)?;
        self.server_with(&certificate_pem, &key_pem)
    }

    fn server_with(&self, certificate: &str, key: &str) -> Result<rustls::ServerConfig, String> {
        tls::server(certificate_der(&self.ca_pem)?, certificate_der(certificate)?, key_der(key)?)
    }

    /// A client's TLS configuration that trusts only this CA and shows a certificate for CN=user, O=groups.
    ///
    /// # Errors
    /// When the names do not fit into a certificate.
    pub fn client_config(&self, user: &str, groups: &[&str]) -> Result<rustls::ClientConfig, String> {
        let (certificate, key) = self.client_certificate(user, groups)?;
        tls::client(certificate_der(&self.ca_pem)?, certificate_der(&certificate)?, key_der(&key)?)
    }

    /// A kubeconfig with embedded data for `server` (`host:port`, or a URL).
    ///
    /// # Errors
    /// When the names do not fit into a certificate.
    pub fn kubeconfig(&self, server: &str, user: &str, groups: &[&str]) -> Result<String, String> {
        let (certificate, key) = self.client_certificate(user, groups)?;
        let server = if server.starts_with("https://") { server.to_owned() } else { format!("https://{server}") };
        let encode = |pem: &str| STANDARD.encode(pem);
        // JSON strings are YAML strings, so names need no rules of their own.
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let (server, user) = (quote(&server), quote(user));
        let (ca, certificate, key) = (encode(&self.ca_pem), encode(&certificate), encode(&key));
        Ok(format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: piecework\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\n\
             users:\n- name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n\
             contexts:\n- name: piecework\n  context:\n    cluster: piecework\n    user: {user}\n    namespace: default\ncurrent-context: piecework\n"
        ))
    }

    /// Distinguishes sets of names, and certificates of an earlier CA.
    fn fingerprint(&self, names: &[String]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.ca_pem.as_bytes());
        for name in names {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        hex::encode(&hash.finalize()[..8])
    }
}

fn certificate_der(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("certificate: {error}"))
}

fn key_der(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("private key: {error}"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
