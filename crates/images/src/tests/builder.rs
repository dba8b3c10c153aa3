//! Makes layers, layouts and archives for tests. In: entries as data. Out: bytes and directories. Never: the internet.

use sha2::{Digest, Sha256};
use std::{io::Write, path::Path};
use tar::EntryType;

/// One entry of a layer: path, type, content or link target, mode, extended attributes.
#[derive(Clone)]
pub struct Entry {
    pub path: String,
    pub kind: EntryType,
    pub data: Vec<u8>,
    pub link: String,
    pub mode: u32,
    pub uid: u64,
    pub xattrs: Vec<(String, Vec<u8>)>,
}

fn entry(path: &str, kind: EntryType, mode: u32) -> Entry {
    Entry { path: path.into(), kind, data: vec![], link: String::new(), mode, uid: 0, xattrs: vec![] }
}

pub fn file(path: &str, data: &str) -> Entry {
    Entry { data: data.into(), ..entry(path, EntryType::Regular, 0o644) }
}

pub fn directory(path: &str) -> Entry {
    entry(path, EntryType::Directory, 0o755)
}

pub fn symlink(path: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(path, EntryType::Symlink, 0o777) }
}

pub fn hard_link(path: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(path, EntryType::Link, 0o644) }
}

pub fn device(path: &str) -> Entry {
    entry(path, EntryType::Char, 0o666)
}

/// A tar stream; names are written raw, so that hostile ones are possible.
pub fn layer(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let pax: Vec<(String, Vec<u8>)> = entry.xattrs.iter().map(|(k, v)| (format!("SCHILY.xattr.{k}"), v.clone())).collect();
        builder.append_pax_extensions(pax.iter().map(|(k, v)| (k.as_str(), v.as_slice()))).unwrap();
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.uid);
        header.set_mtime(1_000_000_000);
        header.set_size(entry.data.len() as u64);
        header.set_cksum();
        builder.append(&header, &entry.data[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How the layers of a built image are compressed.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// Writes an OCI layout with one image whose layers hold `layers`; returns the manifest's digest.
pub fn layout(directory: &Path, name: Option<&str>, layers: &[Vec<u8>], compression: Compression) -> String {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        std::fs::write(blobs.join(&digest[7..]), bytes).unwrap();
        digest
    };
    let mut descriptors = vec![];
    for plain in layers {
        let bytes = match compression {
            Compression::Plain => plain.clone(),
            Compression::Gzip => gzip(plain),
            Compression::Zstd => zstd::encode_all(&plain[..], 1).unwrap(),
        };
        descriptors
            .push(serde_json::json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": put(&bytes), "size": bytes.len()}));
    }
    let config = configuration(layers);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(&config), "size": config.len()}, "layers": descriptors});
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let manifest_digest = put(&manifest);
    let annotations = name.map(|n| serde_json::json!({"org.opencontainers.image.ref.name": n})).unwrap_or(serde_json::json!({}));
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest_digest, "size": manifest.len(), "annotations": annotations}]});
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    manifest_digest
}

/// An image configuration for these plain layers.
pub fn configuration(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    serde_json::to_vec(&serde_json::json!({"architecture": crate::document::architecture(), "os": "linux",
        "config": {"Entrypoint": ["/bin/e"], "Cmd": ["c"], "Env": ["A=b"], "WorkingDir": "/w", "User": "1:2", "StopSignal": "SIGINT"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}}))
    .unwrap()
}

/// Packs a directory as a tar file.
pub fn pack(directory: &Path, to: &Path, compress: bool) {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", directory).unwrap();
    let bytes = builder.into_inner().unwrap();
    std::fs::write(to, if compress { gzip(&bytes) } else { bytes }).unwrap();
}
