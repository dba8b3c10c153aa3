//! What all simulations of a process share and none changes: an image store with one image, certificates.
//!
//! In: nothing. Out: clones. Never: anything that a run could write.

use std::{fs, io, path::Path};

use piecework_apiserver::pki::Pki;
use piecework_images::ImageStore;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The image of every container.
pub const IMAGE: &str = "busybox";

pub struct Fixture {
    pub images: ImageStore,
    pub kubelet_client: rustls::ClientConfig,
    pub agent: rustls::ServerConfig,
    _directory: TempDir,
}

impl Fixture {
    pub fn new() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let pki = Pki::open(&directory.path().join("pki"))?;
        let layout = directory.path().join("layout");
        image_layout(&layout).map_err(|error| error.to_string())?;
        let images = ImageStore::open(&directory.path().join("images")).map_err(|error| error.to_string())?;
        // The import works on a thread of its own, so it has a runtime of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        runtime.block_on(images.import(&layout, Some(IMAGE))).map_err(|error| error.to_string())?;
        Ok(Fixture {
            images,
            kubelet_client: pki.client_config("system:piecework:apiserver", &["system:masters"])?,
            agent: pki.server_config(&["127.0.0.1".into()])?,
            _directory: directory,
        })
    }
}

/// An OCI layout of an image with one empty layer.
fn image_layout(root: &Path) -> io::Result<()> {
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8]| -> io::Result<(String, usize)> {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes)?;
        Ok((format!("sha256:{digest}"), bytes.len()))
    };
    // Two blocks of zeros end a tar archive.
    let (layer, layer_size) = put(&[0; 1024])?;
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
                        "rootfs": {"type": "layers", "diff_ids": [layer]}});
    let (config, config_size) = put(config.to_string().as_bytes())?;
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}]});
    let (manifest, manifest_size) = put(manifest.to_string().as_bytes())?;
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size}]});
    fs::write(root.join("index.json"), index.to_string())?;
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)
}
