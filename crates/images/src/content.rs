//! The store's directory: blobs by digest, unpacked layers by diff id, the index of references; locks and crash safety.
//!
//! In: verified bytes and manifests. Out: paths and `Image` values. Never: a name that is visible before its content is complete; the network.
//! Layout: `blobs/sha256/HEX`, `layers/HEX/fs`, `references.json`, `tmp/`, `content.lock`, `index.lock`.
//! Lock order: `content.lock` (shared while adding, exclusive while collecting garbage), then `index.lock` (exclusive, short).

use crate::{
    Error, Image,
    compression::decompress,
    document::{Configuration, Document, Manifest, parse_configuration, parse_document},
    limits::{self, UnpackLimits},
    unpack::{Purpose, sync_filesystem, unpack},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// `references.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReferenceIndex {
    /// By normalised reference.
    pub references: BTreeMap<String, Named>,
}

/// What a reference points at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named {
    /// Digest of this platform's manifest.
    pub manifest: String,
    /// Digest that the reference had in its registry or layout: of an index, or the same as `manifest`.
    pub digest: String,
}

/// The directory. All calls block: callers on an async runtime use `spawn_blocking`.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
    limits: UnpackLimits,
}

/// While it lives no garbage is collected, so blobs without a reference stay.
#[derive(Debug)]
pub struct Adding {
    _lock: File,
}

/// The directory of an unpacked layer, within its place in the store, that containers mount and lock.
const LAYER_FILES: &str = "fs";

/// `sha256:HEX` -> HEX. Digests were checked when they were parsed; anything else would be a path.
fn hex_of(digest: &str) -> Result<&str, Error> {
    crate::reference::checked_digest(digest)
        .and_then(|_| digest.strip_prefix("sha256:"))
        .ok_or_else(|| Error::Invalid(format!("{digest:?} is not a sha256 digest")))
}

impl Content {
    pub fn open(root: &Path, limits: UnpackLimits) -> Result<Self, Error> {
        for directory in ["blobs/sha256", "layers", "tmp"] {
            let path = root.join(directory);
            // Layers hold set-user-id programs of other systems: nobody else may reach them.
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|e| Error::io(format!("create {}", path.display()), e))?;
        }
        let content = Self { root: root.to_path_buf(), limits };
        // What a killed process left half done; only when nobody is adding at this moment.
        let lock = content.lock_file("content.lock")?;
        if lock.try_lock().is_ok() {
            let temporary = root.join("tmp");
            for entry in fs::read_dir(&temporary).map_err(|e| Error::io(format!("read {}", temporary.display()), e))?.flatten() {
                let removed = if entry.path().is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
                if let Err(error) = removed {
                    tracing::warn!(path = %entry.path().display(), %error, "a leftover could not be removed");
                }
            }
        }
        Ok(content)
    }

    fn lock_file(&self, name: &str) -> Result<File, Error> {
        let path = self.root.join(name);
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io(format!("open {}", path.display()), e))
    }

    /// Keeps garbage collection away.
    pub fn adding(&self) -> Result<Adding, Error> {
        let lock = self.lock_file("content.lock")?;
        lock.lock_shared().map_err(|e| Error::io("lock the image store", e))?;
        Ok(Adding { _lock: lock })
    }

    pub fn blob_path(&self, digest: &str) -> Result<PathBuf, Error> {
        Ok(self.root.join("blobs/sha256").join(hex_of(digest)?))
    }

    /// Whether a blob of exactly this size is there (another size: a write torn by a power failure).
    pub fn has_blob(&self, digest: &str, size: u64) -> Result<bool, Error> {
        Ok(fs::metadata(self.blob_path(digest)?).is_ok_and(|m| m.len() == size))
    }

    /// A new private file or directory on the same file system.
    pub fn temporary_file(&self) -> Result<tempfile::NamedTempFile, Error> {
        tempfile::NamedTempFile::new_in(self.root.join("tmp")).map_err(|e| Error::io("create a temporary file", e))
    }

    pub fn temporary_directory(&self) -> Result<tempfile::TempDir, Error> {
        tempfile::TempDir::new_in(self.root.join("tmp")).map_err(|e| Error::io("create a temporary directory", e))
    }

    /// Stores what `source` yields; refuses it when digest or size differ from what was promised. Returns the digest and the size.
    pub fn add_blob(&self, source: &mut dyn Read, expected: Option<(&str, u64)>) -> Result<(String, u64), Error> {
        if let Some((digest, size)) = expected
            && self.has_blob(digest, size)?
        {
            return Ok((digest.to_string(), size));
        }
        let mut file = self.temporary_file()?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; limits::COPY_BUFFER_BYTES];
        let mut total = 0u64;
        let allowed = expected.map_or(self.limits.bytes, |(_, size)| size);
        loop {
            let count = source.read(&mut buffer).map_err(|e| Error::io("read a blob", e))?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > allowed {
                return Err(Error::Invalid(format!("a blob is longer than the {allowed} bytes it should have")));
            }
            digest.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(|e| Error::io("write a blob", e))?;
        }
        let actual = format!("sha256:{}", hex::encode(digest.finalize()));
        if let Some((expected, size)) = expected
            && (actual != expected || total != size)
        {
            return Err(Error::Invalid(format!(
                "digest mismatch: a blob should be {expected} ({size} bytes) and is {actual} ({total} bytes)"
            )));
        }
        self.keep_blob(file, &actual)?;
        Ok((actual, total))
    }

    /// Gives a verified temporary file its name.
    pub fn keep_blob(&self, file: tempfile::NamedTempFile, digest: &str) -> Result<(), Error> {
        file.persist(self.blob_path(digest)?).map(drop).map_err(|e| Error::io("store a blob", e.error))
    }

    /// A small blob whose content is checked against its name.
    pub fn read_blob(&self, digest: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.blob_path(digest)?;
        let doing = || format!("read {}", path.display());
        let mut bytes = Vec::new();
        File::open(&path).map_err(|e| Error::io(doing(), e))?.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io(doing(), e))?;
        if bytes.len() as u64 > limit {
            return Err(Error::Invalid(format!("the blob {digest} has more than {limit} bytes")));
        }
        let actual = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if actual != digest {
            return Err(Error::Invalid(format!(
                "digest mismatch: the blob {digest} in the store is {actual}; remove the image and get it again"
            )));
        }
        Ok(bytes)
    }

    fn layer_path(&self, diff_id: &str) -> Result<PathBuf, Error> {
        Ok(self.root.join("layers").join(hex_of(diff_id)?))
    }

    /// The manifest and the configuration behind a manifest digest, from blobs that are there.
    pub fn manifest(&self, digest: &str) -> Result<(Manifest, Configuration), Error> {
        let Document::Manifest(manifest) = parse_document(&self.read_blob(digest, limits::MAX_MANIFEST_BYTES)?)? else {
            return Err(Error::Invalid(format!("{digest} is an index, not a manifest")));
        };
        let configuration =
            parse_configuration(&self.read_blob(&manifest.config.digest, limits::MAX_CONFIG_BYTES)?, manifest.layers.len())?;
        Ok((manifest, configuration))
    }

    /// Unpacks the layers that are missing, then names the image. All blobs are there already.
    pub fn complete(&self, _adding: &Adding, manifest_digest: &str, digest: &str, references: &[String]) -> Result<Image, Error> {
        let (manifest, configuration) = self.manifest(manifest_digest)?;
        let mut staged = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&configuration.rootfs.diff_ids) {
            let target = self.layer_path(diff_id)?;
            if !target.exists() && !staged.iter().any(|(_, path)| *path == target) {
                staged.push((self.unpack_layer(&layer.digest, diff_id)?, target));
            }
        }
        // Durable before visible: one flush for all blobs and layers.
        sync_filesystem(&self.root)?;
        for (directory, target) in staged {
            match fs::rename(directory.path(), &target) {
                // The directory has moved away, so there is nothing left to remove.
                Ok(()) => drop(directory.keep()),
                // Someone else unpacked the same layer meanwhile.
                Err(_) if target.exists() => {}
                Err(e) => return Err(Error::io(format!("store the layer {}", target.display()), e)),
            }
        }
        self.change_references(|index| {
            for reference in references {
                index.references.insert(reference.clone(), Named { manifest: manifest_digest.to_string(), digest: digest.to_string() });
            }
            true
        })?;
        let names = self.references()?;
        self.image(manifest_digest, &names)
    }

    fn unpack_layer(&self, digest: &str, diff_id: &str) -> Result<tempfile::TempDir, Error> {
        let staging = self.temporary_directory()?;
        let fs_directory = staging.path().join(LAYER_FILES);
        fs::DirBuilder::new().mode(0o755).create(&fs_directory).map_err(|e| Error::io(format!("create {}", fs_directory.display()), e))?;
        let path = self.blob_path(digest)?;
        let blob = File::open(&path).map_err(|e| Error::io(format!("open {}", path.display()), e))?;
        let plain = decompress(blob).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
        let unpacked = unpack(plain, &fs_directory, Purpose::Layer, self.limits)?;
        if unpacked.digest != diff_id {
            // A torn blob must not be found again by the next attempt.
            let _ = fs::remove_file(&path);
            return Err(Error::Invalid(format!(
                "digest mismatch: the layer {digest} unpacks to {} and the image configuration promises {diff_id}",
                unpacked.digest
            )));
        }
        if unpacked.skipped_devices > 0 {
            tracing::debug!(layer = digest, count = unpacked.skipped_devices, "device nodes of the layer were left out");
        }
        Ok(staging)
    }

    /// Names and manifests as they are on disk now.
    pub fn references(&self) -> Result<ReferenceIndex, Error> {
        let path = self.root.join("references.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::Invalid(format!("{} is damaged: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(ReferenceIndex::default()),
            Err(e) => Err(Error::io(format!("read {}", path.display()), e)),
        }
    }

    /// Changes the index atomically; `change` says whether there is something to write.
    pub fn change_references(&self, change: impl FnOnce(&mut ReferenceIndex) -> bool) -> Result<(), Error> {
        let lock = self.lock_file("index.lock")?;
        lock.lock().map_err(|e| Error::io("lock the image index", e))?;
        let mut index = self.references()?;
        if !change(&mut index) {
            return Ok(());
        }
        let mut file = self.temporary_file()?;
        serde_json::to_writer_pretty(&mut file, &index).map_err(|e| Error::io("write the image index", e.into()))?;
        file.as_file().sync_all().map_err(|e| Error::io("write the image index", e))?;
        file.persist(self.root.join("references.json")).map_err(|e| Error::io("write the image index", e.error))?;
        let directory = File::open(&self.root).map_err(|e| Error::io("open the image store", e))?;
        directory.sync_all().map_err(|e| Error::io("flush the image store", e))
    }

    /// The image behind a manifest digest.
    pub fn image(&self, manifest_digest: &str, index: &ReferenceIndex) -> Result<Image, Error> {
        let (manifest, configuration) = self.manifest(manifest_digest)?;
        let mut layers = Vec::new();
        for diff_id in &configuration.rootfs.diff_ids {
            let path = self.layer_path(diff_id)?.join(LAYER_FILES);
            if !path.is_dir() {
                return Err(Error::Invalid(format!("the layer {} is missing; import or pull the image again", path.display())));
            }
            layers.push(path);
        }
        let references =
            index.references.iter().filter(|(_, named)| named.manifest == manifest_digest).map(|(name, _)| name.clone()).collect();
        let size_bytes = manifest.layers.iter().map(|l| l.size).fold(manifest.config.size, u64::saturating_add);
        Ok(Image { id: manifest.config.digest, references, size_bytes, layers, config: configuration.image_config() })
    }

    /// Removes blobs and layers that no reference reaches, except what a container has locked: that goes with a later collection. Waits until
    /// nobody is adding.
    pub fn collect_garbage(&self) -> Result<(), Error> {
        let lock = self.lock_file("content.lock")?;
        lock.lock().map_err(|e| Error::io("lock the image store", e))?;
        let mut blobs = BTreeSet::new();
        let mut layers = BTreeSet::new();
        for named in self.references()?.references.values() {
            // A manifest that cannot be read reaches nothing; what it had is rubbish.
            let Ok((manifest, configuration)) = self.manifest(&named.manifest) else { continue };
            blobs.insert(hex_of(&named.manifest)?.to_string());
            blobs.insert(hex_of(&manifest.config.digest)?.to_string());
            for layer in &manifest.layers {
                blobs.insert(hex_of(&layer.digest)?.to_string());
            }
            for diff_id in &configuration.rootfs.diff_ids {
                layers.insert(hex_of(diff_id)?.to_string());
            }
        }
        for (directory, keep) in [("blobs/sha256", &blobs), ("layers", &layers)] {
            let directory = self.root.join(directory);
            for entry in fs::read_dir(&directory).map_err(|e| Error::io(format!("read {}", directory.display()), e))? {
                let entry = entry.map_err(|e| Error::io(format!("read {}", directory.display()), e))?;
                if keep.contains(entry.file_name().to_string_lossy().as_ref()) {
                    continue;
                }
                // Containers lock the layers that they run on (see the runtime's shim). A blob, or rubbish, is nobody's.
                let layer = File::open(entry.path().join(LAYER_FILES)).ok();
                if layer.as_ref().is_some_and(|layer| layer.try_lock().is_err()) {
                    continue;
                }
                // Away from its name first: a crash in the middle must not leave half a layer under it.
                let condemned = self.temporary_directory()?;
                let grave = condemned.path().join("x");
                fs::rename(entry.path(), &grave).map_err(|e| Error::io(format!("remove {}", entry.path().display()), e))?;
                condemned.close().map_err(|e| Error::io("remove unreferenced content", e))?;
            }
        }
        Ok(())
    }
}
