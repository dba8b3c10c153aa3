//! Pull: one reference from its registry into the store.
//!
//! In: a reference and the registry's answers. Out: verified blobs, then an image. Never: content whose digest does not fit; TLS without verification.

use crate::{
    Error, Image,
    content::Content,
    credentials,
    document::{
        Descriptor, Document, MEDIA_DOCKER_LIST, MEDIA_DOCKER_MANIFEST, MEDIA_INDEX, MEDIA_MANIFEST, architecture, choose_platform,
        parse_configuration, parse_document,
    },
    limits,
    reference::{Reference, Version},
};
use futures::{StreamExt, TryStreamExt, stream};
use oci_client::{
    Client, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Write};
use tokio::io::AsyncWriteExt;

/// Pulls `reference`; blobs that are in the store already are not fetched again.
pub async fn pull(content: &Content, reference: &Reference) -> Result<Image, Error> {
    let failed = |message: String| Error::Pull { reference: reference.to_string(), message };
    let registry = Registry::connect(reference).await.map_err(failed)?;
    let adding = {
        let content = content.clone();
        blocking(move || content.adding()).await?
    };
    let (digest, descriptor) = registry.manifest(content, limits::MAX_INDEX_DEPTH).await?;
    let Document::Manifest(manifest) = parse_document(&content.read_blob(&descriptor.digest, limits::MAX_MANIFEST_BYTES)?)? else {
        return Err(failed("the registry's index has no manifest in it".into()));
    };
    registry.blob(content, &manifest.config, limits::MAX_CONFIG_BYTES).await?;
    parse_configuration(&content.read_blob(&manifest.config.digest, limits::MAX_CONFIG_BYTES)?, manifest.layers.len())?;
    let registry = &registry;
    let downloads = manifest.layers.clone().into_iter().map(|layer| async move { registry.blob(content, &layer, u64::MAX).await });
    stream::iter(downloads).buffer_unordered(limits::CONCURRENT_DOWNLOADS).try_collect::<Vec<()>>().await?;
    let content = content.clone();
    let names = vec![reference.to_string()];
    blocking(move || content.complete(&adding, &descriptor.digest, &digest, &names)).await
}

/// A few short reads: off the async threads, but in the caller on a runtime of one thread, so that simulations replay (when another thread is
/// done, is chance).
pub async fn reading<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => work(),
        _ => blocking(work).await,
    }
}

/// Runs file work off the async threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Invalid(format!("the image store's worker ended: {error}"))),
    }
}

struct Registry {
    client: Client,
    reference: Reference,
    remote: oci_client::Reference,
}

impl Registry {
    async fn connect(reference: &Reference) -> Result<Self, String> {
        // The HTTP client takes the process's provider; a second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = reference.registry.clone();
        let (tag, digest) = match &reference.version {
            Version::Tag(tag) => (tag.clone(), None),
            Version::Digest(digest) => (String::new(), Some(digest.clone())),
        };
        let remote = match digest {
            Some(digest) => oci_client::Reference::with_digest(registry.clone(), reference.repository.clone(), digest),
            None => oci_client::Reference::with_tag(registry.clone(), reference.repository.clone(), tag),
        };
        let protocol = if reference.is_loopback() { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(limits::CONNECT_TIMEOUT),
            read_timeout: Some(limits::READ_TIMEOUT),
            max_concurrent_download: limits::CONCURRENT_DOWNLOADS,
            user_agent: concat!("piecework/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config)
            .map_err(|e| format!("no TLS client: {}; are there CA certificates on this machine (package ca-certificates)?", causes(&e)))?;
        let auth = match credentials::for_registry(&registry) {
            Some((user, password)) => RegistryAuth::Basic(user, password),
            None => RegistryAuth::Anonymous,
        };
        client.store_auth_if_needed(remote.resolve_registry(), &auth).await;
        client.auth(&remote, &auth, RegistryOperation::Pull).await.map_err(|e| explain(&registry, &e))?;
        Ok(Self { client, reference: reference.clone(), remote })
    }

    fn failed(&self, error: &OciDistributionError) -> Error {
        Error::Pull { reference: self.reference.to_string(), message: explain(&self.reference.registry, error) }
    }

    /// Stores this platform's manifest. Returns the digest the reference has in the registry and the manifest's descriptor.
    async fn manifest(&self, content: &Content, depth: usize) -> Result<(String, Descriptor), Error> {
        let mut at = self.remote.clone();
        let mut top = None;
        for _ in 0..=depth {
            let accept = [MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_DOCKER_LIST, MEDIA_DOCKER_MANIFEST];
            let (bytes, digest) =
                self.client.pull_manifest_raw(&at, &RegistryAuth::Anonymous, &accept).await.map_err(|e| self.failed(&e))?;
            if bytes.len() as u64 > limits::MAX_MANIFEST_BYTES {
                return Err(Error::Invalid(format!(
                    "the manifest of {} has more than {} bytes",
                    self.reference,
                    limits::MAX_MANIFEST_BYTES
                )));
            }
            let actual = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
            if at.digest().is_some_and(|wanted| wanted != actual) {
                return Err(self.mismatch(at.digest().unwrap_or_default(), &actual));
            }
            if digest.starts_with("sha256:") && digest != actual {
                return Err(self.mismatch(&digest, &actual));
            }
            let top = top.get_or_insert_with(|| actual.clone()).clone();
            match parse_document(&bytes)? {
                Document::Index(index) => {
                    let chosen = choose_platform(&index, architecture())?;
                    at = at.clone_with_digest(chosen.digest.clone());
                }
                Document::Manifest(_) => {
                    let size = bytes.len() as u64;
                    content.add_blob(&mut Cursor::new(&bytes), Some((&actual, size)))?;
                    let descriptor = Descriptor {
                        media_type: MEDIA_MANIFEST.into(),
                        digest: actual,
                        size,
                        annotations: Default::default(),
                        platform: None,
                    };
                    return Ok((top, descriptor));
                }
            }
        }
        Err(Error::Pull { reference: self.reference.to_string(), message: "the registry's indexes are nested too deeply".into() })
    }

    fn mismatch(&self, expected: &str, actual: &str) -> Error {
        Error::Pull {
            reference: self.reference.to_string(),
            message: format!("digest mismatch: the registry promised {expected} and sent {actual}; nothing was kept"),
        }
    }

    async fn blob(&self, content: &Content, descriptor: &Descriptor, limit: u64) -> Result<(), Error> {
        if content.has_blob(&descriptor.digest, descriptor.size)? {
            return Ok(());
        }
        if descriptor.size > limit {
            return Err(Error::Invalid(format!("the blob {} has {} bytes, more than {limit}", descriptor.digest, descriptor.size)));
        }
        let mut source = self.client.pull_blob_stream(&self.remote, descriptor.digest.as_str()).await.map_err(|e| self.failed(&e))?.stream;
        let file = content.temporary_file()?;
        let clone = file.as_file().try_clone().map_err(|e| Error::io("write a blob", e))?;
        let mut writer = tokio::io::BufWriter::with_capacity(limits::COPY_BUFFER_BYTES, tokio::fs::File::from_std(clone));
        let mut digest = Sha256::new();
        let mut total = 0u64;
        while let Some(chunk) = source.next().await {
            let chunk = chunk.map_err(|e| Error::Pull {
                reference: self.reference.to_string(),
                message: format!("the download of {} broke off: {}", descriptor.digest, causes(&e)),
            })?;
            total += chunk.len() as u64;
            if total > descriptor.size {
                return Err(self.mismatch(&format!("{} bytes", descriptor.size), "more"));
            }
            digest.update(&chunk);
            writer.write_all(&chunk).await.map_err(|e| Error::io("write a blob", e))?;
        }
        writer.flush().await.map_err(|e| Error::io("write a blob", e))?;
        let actual = format!("sha256:{}", hex::encode(digest.finalize()));
        if actual != descriptor.digest || total != descriptor.size {
            return Err(self.mismatch(&descriptor.digest, &actual));
        }
        file.as_file().flush().map_err(|e| Error::io("write a blob", e))?;
        content.keep_blob(file, &descriptor.digest)
    }
}

/// An error and what caused it in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// What a registry's refusal means to the user.
fn explain(registry: &str, error: &OciDistributionError) -> String {
    use OciDistributionError as E;
    match error {
        E::RequestError(e) if e.is_connect() => format!(
            "the registry {registry} cannot be reached ({}); import the image instead, or name a registry that can be reached",
            causes(e)
        ),
        E::RequestError(e) if e.is_timeout() => format!("the registry {registry} did not answer in time"),
        E::ImageManifestNotFoundError(_) | E::ServerError { code: 404, .. } => "not found in the registry".to_string(),
        E::RegistryError { envelope, .. } => match envelope.errors.first() {
            Some(e) if matches!(e.code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound) => {
                "not found in the registry".to_string()
            }
            Some(e) if matches!(e.code, OciErrorCode::Unauthorized | OciErrorCode::Denied) => denied(registry),
            Some(e) if matches!(e.code, OciErrorCode::Toomanyrequests) => {
                format!("the registry {registry} refuses more pulls for now: {}", e.message)
            }
            Some(e) => format!("the registry {registry} says: {}", e.message),
            None => causes(error),
        },
        E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => denied(registry),
        E::DigestError(e) => format!("digest mismatch: {e}; nothing was kept"),
        other => causes(other),
    }
}

fn denied(registry: &str) -> String {
    format!("not found in the registry {registry}, or access is denied: check the name, or log in with `docker login {registry}`")
}
