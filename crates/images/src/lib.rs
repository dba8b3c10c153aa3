//! Image references, the local store, import of OCI layouts and docker archives, pull from registries, unpacked layers.
//!
//! In: references, tarballs or directories, registries. Out: an image's config and the directories of its unpacked layers.
//! Never: a Kubernetes object; a path outside its directory (hostile archives are refused).

mod beneath;
mod compression;
mod content;
mod credentials;
mod document;
mod import;
pub mod limits;
mod pull;
pub mod reference;
#[cfg(test)]
mod tests;
mod unpack;

use content::Content;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use reference::{Reference, Version};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// `sha256:…` of the image config.
    pub id: String,
    /// Normalised references that name it, e.g. `docker.io/library/perl:latest`.
    pub references: Vec<String>,
    /// Bytes of its configuration and its layers as they are distributed (compressed, when they came so).
    pub size_bytes: u64,
    /// Unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    pub config: ImageConfig,
}

/// What of the image config a container needs.
#[derive(Debug, Clone, Default)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub working_dir: String,
    pub user: String,
    pub stop_signal: Option<String>,
}

/// Why an image could not be had, in words for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid image reference {0:?}: {1}")]
    InvalidReference(String, String),
    #[error("no image {0} in the local store")]
    NotFound(String),
    #[error("pull {reference}: {message}")]
    Pull { reference: String, message: String },
    #[error("{0}")]
    Invalid(String),
    #[error("{context}: {source}")]
    Io {
        context: String,
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(context: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { context: context.into(), source }
    }

    /// The same error once more, for everyone who waited for one pull.
    fn repeat(&self) -> Self {
        match self {
            Self::InvalidReference(text, why) => Self::InvalidReference(text.clone(), why.clone()),
            Self::NotFound(name) => Self::NotFound(name.clone()),
            Self::Pull { reference, message } => Self::Pull { reference: reference.clone(), message: message.clone() },
            Self::Invalid(message) => Self::Invalid(message.clone()),
            Self::Io { context, source } => {
                Self::Io { context: context.clone(), source: std::io::Error::new(source.kind(), source.to_string()) }
            }
        }
    }
}

type PullResult = Result<Image, Arc<Error>>;
type SharedPull = Shared<BoxFuture<'static, PullResult>>;

/// The pulls that run at this moment, by reference.
#[derive(Default, Clone)]
struct Pulls(Arc<Mutex<BTreeMap<String, WeakShared<BoxFuture<'static, PullResult>>>>>);

impl std::fmt::Debug for Pulls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pulls")
    }
}

/// A directory of content-addressed blobs and unpacked layers. Cheap to clone; safe for several processes (file locks).
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub root: PathBuf,
    content: Content,
    unpack_limits: limits::UnpackLimits,
    pulls: Pulls,
}

impl ImageStore {
    /// Opens or creates the store; removes what a killed process left half done.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::open_with_limits(root, limits::UnpackLimits::default())
    }

    /// Like `open` with other guards against decompression bombs.
    pub fn open_with_limits(root: &Path, unpack_limits: limits::UnpackLimits) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(|e| Error::io(format!("open {}", root.display()), e))?;
        let content = Content::open(&root, unpack_limits)?;
        Ok(Self { root, content, unpack_limits, pulls: Pulls::default() })
    }

    /// An OCI layout (directory or tar, gzip and zstd too) or a docker archive. `name` overrides the references found inside.
    pub async fn import(&self, path: &Path, name: Option<&str>) -> Result<Vec<Image>, Error> {
        let (content, limits) = (self.content.clone(), self.unpack_limits);
        let (path, name) = (path.to_path_buf(), name.map(str::to_string));
        pull::blocking(move || import::import(&content, &path, name.as_deref(), limits)).await
    }

    /// All images in the order of their first reference. Damaged ones are left out with a warning.
    pub async fn list(&self) -> Result<Vec<Image>, Error> {
        let content = self.content.clone();
        pull::blocking(move || {
            let index = content.references()?;
            let mut manifests: Vec<&str> = Vec::new();
            for named in index.references.values() {
                if !manifests.contains(&named.manifest.as_str()) {
                    manifests.push(&named.manifest);
                }
            }
            let mut images = Vec::new();
            for manifest in manifests {
                match content.image(manifest, &index) {
                    Ok(image) => images.push(image),
                    Err(error) => tracing::warn!(manifest, %error, "an image in the store is damaged"),
                }
            }
            Ok(images)
        })
        .await
    }

    /// By reference (normalised first) or id.
    pub async fn get(&self, reference: &str) -> Result<Option<Image>, Error> {
        let (content, wanted) = (self.content.clone(), reference.to_string());
        pull::reading(move || {
            let index = content.references()?;
            match find(&content, &index, &wanted)? {
                Some(manifest) => content.image(&manifest, &index).map(Some),
                None => Ok(None),
            }
        })
        .await
    }

    /// Removes a reference, or all references of an id, and the content nobody names any more.
    pub async fn remove(&self, reference: &str) -> Result<(), Error> {
        let (content, wanted) = (self.content.clone(), reference.to_string());
        pull::blocking(move || {
            let index = content.references()?;
            let manifest = find(&content, &index, &wanted)?.ok_or_else(|| Error::NotFound(wanted.clone()))?;
            let name = Reference::parse(&wanted).map(|r| r.to_string()).unwrap_or_default();
            content.change_references(|index| {
                if index.references.remove(&name).is_none() {
                    index.references.retain(|_, named| named.manifest != manifest);
                }
                true
            })?;
            content.collect_garbage()
        })
        .await
    }

    /// From its registry; concurrent pulls of one reference are one pull.
    pub async fn pull(&self, reference: &str) -> Result<Image, Error> {
        let reference = Reference::parse(reference)?;
        let key = reference.to_string();
        let shared: SharedPull = {
            let mut pulls = self.pulls.0.lock().unwrap_or_else(PoisonError::into_inner);
            pulls.retain(|_, pull| pull.upgrade().is_some());
            match pulls.get(&key).and_then(WeakShared::upgrade) {
                Some(running) => running,
                None => {
                    let content = self.content.clone();
                    let started = async move { pull::pull(&content, &reference).await.map_err(Arc::new) }.boxed().shared();
                    if let Some(weak) = started.downgrade() {
                        pulls.insert(key, weak);
                    }
                    started
                }
            }
        };
        shared.await.map_err(|error| error.repeat())
    }
}

/// The manifest a reference, an id or the beginning of an id (12 digits or more) stands for.
fn find(content: &Content, index: &content::ReferenceIndex, wanted: &str) -> Result<Option<String>, Error> {
    let parsed = Reference::parse(wanted);
    if let Ok(reference) = &parsed {
        if let Some(named) = index.references.get(&reference.to_string()) {
            return Ok(Some(named.manifest.clone()));
        }
        if let Version::Digest(digest) = &reference.version {
            let prefixes = [format!("{}:", reference.name()), format!("{}@", reference.name())];
            let same = |(name, named): &(&String, &content::Named)| {
                prefixes.iter().any(|p| name.starts_with(p)) && (named.digest == *digest || named.manifest == *digest)
            };
            return Ok(index.references.iter().find(same).map(|(_, named)| named.manifest.clone()));
        }
    }
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    if digits.len() >= 12 && digits.len() <= 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let mut found: Vec<&str> = Vec::new();
        for named in index.references.values() {
            if let Ok((manifest, _)) = content.manifest(&named.manifest)
                && manifest.config.digest.trim_start_matches("sha256:").starts_with(digits)
                && !found.contains(&named.manifest.as_str())
            {
                found.push(&named.manifest);
            }
        }
        return match found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.to_string())),
            _ => Err(Error::Invalid(format!("{wanted} is the beginning of several image ids"))),
        };
    }
    parsed.map(|_| None)
}
