//! The JSON documents of images: descriptors, indexes, manifests, configurations, docker's `manifest.json`; choice of a platform.
//!
//! In: bytes. Out: checked values. Never: I/O.

use crate::{Error, ImageConfig, limits, reference::checked_digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const MEDIA_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MEDIA_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const MEDIA_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const MEDIA_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub const MEDIA_DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const MEDIA_DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The annotation in which containerd and docker keep the full name of an image.
pub const ANNOTATION_NAME: &str = "io.containerd.image.name";
/// The annotation of the OCI layout specification: a full name or only a tag.
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Points at a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    pub manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// One image of `docker save`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    pub config: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    pub layers: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Configuration {
    #[serde(default)]
    pub config: Option<RunConfig>,
    pub rootfs: RootFs,
}

#[derive(Debug, Clone, Deserialize)]
pub struct RootFs {
    pub diff_ids: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    #[serde(default)]
    pub env: Option<Vec<String>>,
    #[serde(default)]
    pub working_dir: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub stop_signal: Option<String>,
}

impl Configuration {
    /// The part a container needs.
    pub fn image_config(&self) -> ImageConfig {
        let run = self.config.clone().unwrap_or_default();
        ImageConfig {
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            env: run.env.unwrap_or_default(),
            working_dir: run.working_dir.unwrap_or_default(),
            user: run.user.unwrap_or_default(),
            stop_signal: run.stop_signal.filter(|s| !s.is_empty()),
        }
    }
}

/// What a manifest blob turned out to be.
#[derive(Debug, Clone)]
pub enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// Parses a manifest or an index; the media type inside wins over the one of the descriptor, and the shape over both.
pub fn parse_document(bytes: &[u8]) -> Result<Document, Error> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| Error::Invalid(format!("the image manifest is not JSON: {e}")))?;
    if value.get("schemaVersion").and_then(serde_json::Value::as_u64) == Some(1) {
        return Err(Error::Invalid(
            "the image has a schema 1 manifest, which no tool writes any more; push it again with a current one".into(),
        ));
    }
    let invalid = |e: serde_json::Error| Error::Invalid(format!("the image manifest is malformed: {e}"));
    if value.get("manifests").is_some() {
        let index: Index = serde_json::from_value(value).map_err(invalid)?;
        for descriptor in &index.manifests {
            check_descriptor(descriptor)?;
        }
        return Ok(Document::Index(index));
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(invalid)?;
    if manifest.layers.len() > limits::MAX_LAYERS {
        return Err(Error::Invalid(format!("the image has {} layers, more than {}", manifest.layers.len(), limits::MAX_LAYERS)));
    }
    check_descriptor(&manifest.config)?;
    for layer in &manifest.layers {
        check_descriptor(layer)?;
    }
    Ok(Document::Manifest(manifest))
}

/// Parses an image configuration and checks that it fits the manifest's number of layers.
pub fn parse_configuration(bytes: &[u8], layers: usize) -> Result<Configuration, Error> {
    let configuration: Configuration =
        serde_json::from_slice(bytes).map_err(|e| Error::Invalid(format!("the image configuration is malformed: {e}")))?;
    if configuration.rootfs.diff_ids.len() != layers {
        return Err(Error::Invalid(format!("the image has {layers} layers and {} diff_ids", configuration.rootfs.diff_ids.len())));
    }
    for diff_id in &configuration.rootfs.diff_ids {
        checked_digest(diff_id).ok_or_else(|| Error::Invalid(format!("the diff_id {diff_id:?} is not a sha256 digest")))?;
    }
    Ok(configuration)
}

fn check_descriptor(descriptor: &Descriptor) -> Result<(), Error> {
    checked_digest(&descriptor.digest)
        .map(|_| ())
        .ok_or_else(|| Error::Invalid(format!("the digest {:?} is not sha256: and 64 hexadecimal digits", descriptor.digest)))
}

/// This machine's architecture in the words of images (Go's).
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The entry of an index for Linux on `architecture`. Entries without platform count when nothing better is there and they are the only one.
pub fn choose_platform<'a>(index: &'a Index, architecture: &str) -> Result<&'a Descriptor, Error> {
    let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture);
    // The plain variant first: `v8` of arm64, none for amd64 (an amd64 `v3` may not run here).
    let plain = |d: &&Descriptor| d.platform.as_ref().and_then(|p| p.variant.as_deref()).is_none_or(|v| v.is_empty() || v == "v8");
    if let Some(found) = index.manifests.iter().filter(fits).find(plain).or_else(|| index.manifests.iter().find(fits)) {
        return Ok(found);
    }
    let unnamed: Vec<_> = index.manifests.iter().filter(|d| d.platform.is_none()).collect();
    if let [only] = unnamed[..] {
        return Ok(only);
    }
    let offered: Vec<_> =
        index.manifests.iter().filter_map(|d| d.platform.as_ref()).map(|p| format!("{}/{}", p.os, p.architecture)).collect();
    Err(Error::Invalid(format!("the image has no manifest for linux/{architecture}; it offers: {}", offered.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(platform: Option<(&str, &str, Option<&str>)>, n: u8) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: format!("sha256:{}", hex::encode([n; 32])),
            size: 1,
            annotations: BTreeMap::new(),
            platform: platform.map(|(os, architecture, variant)| Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.map(Into::into),
            }),
        }
    }

    #[test]
    fn platforms() {
        type Offered = Option<(&'static str, &'static str, Option<&'static str>)>;
        let cases: Vec<(&str, Vec<Offered>, Option<usize>)> = vec![
            ("the one that fits", vec![Some(("linux", "arm64", None)), Some(("linux", "amd64", None))], Some(1)),
            ("not windows", vec![Some(("windows", "amd64", None)), Some(("linux", "amd64", None))], Some(1)),
            ("plain before variant", vec![Some(("linux", "amd64", Some("v3"))), Some(("linux", "amd64", None))], Some(1)),
            ("only one, unnamed", vec![None], Some(0)),
            ("attestations are skipped", vec![Some(("unknown", "unknown", None)), Some(("linux", "amd64", None))], Some(1)),
            ("two unnamed", vec![None, None], None),
            ("none", vec![Some(("linux", "s390x", None))], None),
        ];
        for (name, platforms, expected) in cases {
            let index = Index { manifests: platforms.iter().enumerate().map(|(n, p)| descriptor(*p, n as u8)).collect() };
            let chosen = choose_platform(&index, "amd64").ok().map(|d| d.digest.clone());
            assert_eq!(chosen, expected.map(|n| index.manifests[n].digest.clone()), "{name}");
        }
    }

    #[test]
    fn malformed_documents_are_refused() {
        for (name, bytes) in [
            ("not JSON", "{"),
            ("schema 1", r#"{"schemaVersion":1}"#),
            ("path as digest", r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc/passwd","size":1}]}"#),
            ("no config", r#"{"schemaVersion":2,"layers":[]}"#),
            ("negative size", r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:","size":-1}]}"#),
        ] {
            assert!(matches!(parse_document(bytes.as_bytes()), Err(Error::Invalid(_))), "{name}");
        }
        assert!(parse_configuration(br#"{"rootfs":{"diff_ids":["sha256:x"]}}"#, 1).is_err());
        assert!(parse_configuration(br#"{"rootfs":{"diff_ids":[]}}"#, 1).is_err());
    }
}
