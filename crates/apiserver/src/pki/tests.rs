//! Files, renewal, what certificates say.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::authentication;

#[test]
fn created_once_private_and_reused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(dir.path()).unwrap();
    first.server_config(&["example.internal".into()]).unwrap();
    let again = Pki::open(dir.path()).unwrap();
    assert_eq!(first.ca_pem, again.ca_pem);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let pki = dir.path().join("pki");
    assert_eq!(mode(&pki), 0o700);
    let listing = || {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&pki)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = listing();
    assert_eq!(before.len(), 4, "CA and server: certificate and key each");
    for (name, _) in &before {
        assert_eq!(mode(&pki.join(name)), 0o600, "{name}");
    }
    again.server_config(&["example.internal".into()]).unwrap();
    assert_eq!(before, listing(), "the certificate is reused");
    again.server_config(&["other.internal".into()]).unwrap();
    assert_eq!(listing().len(), 6);
}

#[test]
fn a_damaged_server_certificate_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path()).unwrap();
    pki.server_config(&[]).unwrap();
    let key = std::fs::read_dir(dir.path().join("pki"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("server-") && path.extension().unwrap() == "key")
        .unwrap();
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    pki.server_config(&[]).unwrap();
    assert_ne!(std::fs::read_to_string(&key).unwrap(), "");
}

#[test]
fn a_missing_ca_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    Pki::open(dir.path()).unwrap();
    std::fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
    let error = Pki::open(dir.path()).err().unwrap();
    assert!(error.contains("ca.key is missing"), "{error}");
}

#[test]
fn the_subject_is_the_identity() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path()).unwrap();
    let (certificate, _) = pki.client_certificate("system:node:n1", &["system:nodes", "x"]).unwrap();
    let identity = authentication::from_certificate(&certificate_der(&certificate).unwrap()).unwrap();
    assert_eq!(identity.user, "system:node:n1");
    assert_eq!(identity.groups, ["system:nodes", "x"]);
    assert!(pki.client_certificate("", &[]).is_err());
}

#[test]
fn certificates_are_renewed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path()).unwrap();
    let (certificate, _) = pki.client_certificate("u", &[]).unwrap();
    let days = |days: i64| clock::now() + jiff::SignedDuration::from_hours(24 * days);
    for (after, soon) in [(0, false), (300, false), (340, true), (400, true)] {
        assert_eq!(issue::expires_soon(&certificate, days(after)).unwrap(), soon, "after {after} days");
    }
}

#[test]
fn a_kubeconfig_is_yaml_with_all_parts() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path()).unwrap();
    let text = pki.kubeconfig("127.0.0.1:6443", "admin", &["system:masters"]).unwrap();
    let value: serde_json::Value = serde_saphyr::from_slice(text.as_bytes()).unwrap();
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
    assert_eq!(value["contexts"][0]["context"]["user"], value["users"][0]["name"]);
    let data = value["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap();
    assert_eq!(STANDARD.decode(data).unwrap(), pki.ca_pem.as_bytes());
}
