//! Import of OCI layouts and docker archives, as a directory or a tar file (plain, gzip, zstd).
//!
//! In: a path and an optional name. Out: named images in the store. Never: a path of the archive outside its directory.

use crate::{
    Error, Image,
    beneath::{Beneath, explain},
    compression::decompress,
    content::{Adding, Content},
    document::{
        ANNOTATION_NAME, ANNOTATION_REF_NAME, Descriptor, DockerImage, Document, Index, MEDIA_CONFIG, MEDIA_LAYER_TAR, MEDIA_MANIFEST,
        Manifest, architecture, choose_platform, parse_configuration, parse_document,
    },
    limits::{self, UnpackLimits},
    reference::Reference,
    unpack::{Purpose, unpack},
};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

/// Imports everything found at `path`. `name` overrides the names inside and requires exactly one image.
pub fn import(content: &Content, path: &Path, name: Option<&str>, limits: UnpackLimits) -> Result<Vec<Image>, Error> {
    let name = name.map(Reference::parse).transpose()?.map(|r| r.to_string());
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(format!("open {}", path.display()), e))?;
    let adding = content.adding()?;
    if metadata.is_dir() {
        return import_directory(content, &adding, path, path, name);
    }
    let spool = content.temporary_directory()?;
    let file = File::open(path).map_err(|e| Error::io(format!("open {}", path.display()), e))?;
    let plain = decompress(file).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    unpack(plain, spool.path(), Purpose::Plain, limits).map_err(|e| match e {
        Error::Invalid(message) => Error::Invalid(format!("{}: {message}", path.display())),
        other => other,
    })?;
    import_directory(content, &adding, spool.path(), path, name)
}

fn import_directory(content: &Content, adding: &Adding, directory: &Path, shown: &Path, name: Option<String>) -> Result<Vec<Image>, Error> {
    let jail = Beneath::open(directory)?;
    let docker: Option<Vec<DockerImage>> = optional(&jail, "manifest.json")?
        .map(|bytes| serde_json::from_slice(&bytes))
        .transpose()
        .map_err(|e| Error::Invalid(format!("{}: manifest.json is malformed: {e}", shown.display())))?;
    if let Some(bytes) = optional(&jail, "index.json")? {
        let Document::Index(index) = parse_document(&bytes)? else {
            return Err(Error::Invalid(format!("{}: index.json is not an image index", shown.display())));
        };
        return import_layout(content, adding, &jail, &index, docker.as_deref().unwrap_or_default(), shown, name);
    }
    match docker {
        Some(images) => import_docker(content, adding, &jail, &images, shown, name),
        None => Err(Error::Invalid(format!(
            "{} is neither an OCI layout (no index.json) nor a docker archive (no manifest.json)",
            shown.display()
        ))),
    }
}

fn import_layout(
    content: &Content,
    adding: &Adding,
    jail: &Beneath,
    index: &Index,
    docker: &[DockerImage],
    shown: &Path,
    name: Option<String>,
) -> Result<Vec<Image>, Error> {
    // One image under several names is several entries with one digest.
    let mut wanted: BTreeMap<String, (Descriptor, Vec<String>)> = BTreeMap::new();
    for descriptor in &index.manifests {
        if descriptor.platform.as_ref().is_some_and(|p| p.os != "linux" || p.architecture != architecture()) && index.manifests.len() > 1 {
            continue;
        }
        let entry = wanted.entry(descriptor.digest.clone()).or_insert_with(|| (descriptor.clone(), Vec::new()));
        entry.1.extend(annotated_name(descriptor)?);
    }
    if wanted.is_empty() {
        // Names the platforms that are offered.
        choose_platform(index, architecture())?;
        return Err(Error::Invalid(format!("{}: the layout has no image", shown.display())));
    }
    check_count(wanted.len(), &name, shown)?;
    let mut images = Vec::new();
    let several = wanted.len() > 1;
    for (digest, (descriptor, mut names)) in wanted {
        let manifest_digest = copy_image(content, jail, &descriptor, limits::MAX_INDEX_DEPTH)?;
        if let Some(name) = &name {
            names = vec![name.clone()];
        } else if names.is_empty() {
            let (manifest, _) = content.manifest(&manifest_digest)?;
            let config = format!("blobs/sha256/{}", manifest.config.digest.trim_start_matches("sha256:"));
            for image in docker.iter().filter(|image| image.config == config || !several) {
                for tag in image.repo_tags.iter().flatten() {
                    names.push(Reference::parse(tag)?.to_string());
                }
            }
        }
        if names.is_empty() {
            return Err(nameless(shown));
        }
        images.push(content.complete(adding, &manifest_digest, &digest, &names)?);
    }
    Ok(images)
}

/// Copies the blobs of one manifest, choosing this platform's from an index. Returns the manifest's digest.
fn copy_image(content: &Content, jail: &Beneath, descriptor: &Descriptor, depth: usize) -> Result<String, Error> {
    let bytes = blob(jail, descriptor, limits::MAX_MANIFEST_BYTES)?;
    let manifest = match parse_document(&bytes)? {
        Document::Index(_) if depth == 0 => return Err(Error::Invalid("the layout's indexes are nested too deeply".into())),
        Document::Index(index) => return copy_image(content, jail, choose_platform(&index, architecture())?, depth - 1),
        Document::Manifest(manifest) => manifest,
    };
    let (digest, _) = content.add_blob(&mut Cursor::new(&bytes), Some((&descriptor.digest, descriptor.size)))?;
    let configuration = blob(jail, &manifest.config, limits::MAX_CONFIG_BYTES)?;
    parse_configuration(&configuration, manifest.layers.len())?;
    content.add_blob(&mut Cursor::new(&configuration), Some((&manifest.config.digest, manifest.config.size)))?;
    for layer in &manifest.layers {
        let mut file = open_blob(jail, &layer.digest)?;
        content.add_blob(&mut file, Some((&layer.digest, layer.size)))?;
    }
    Ok(digest)
}

fn import_docker(
    content: &Content,
    adding: &Adding,
    jail: &Beneath,
    archive: &[DockerImage],
    shown: &Path,
    name: Option<String>,
) -> Result<Vec<Image>, Error> {
    check_count(archive.len(), &name, shown)?;
    let mut images = Vec::new();
    for image in archive {
        let names = match &name {
            Some(name) => vec![name.clone()],
            None => {
                image.repo_tags.iter().flatten().map(|tag| Reference::parse(tag).map(|r| r.to_string())).collect::<Result<Vec<_>, _>>()?
            }
        };
        if names.is_empty() {
            return Err(nameless(shown));
        }
        let configuration = small(jail, &image.config, limits::MAX_CONFIG_BYTES)?;
        parse_configuration(&configuration, image.layers.len())?;
        if image.layers.len() > limits::MAX_LAYERS {
            return Err(Error::Invalid(format!("the image has {} layers, more than {}", image.layers.len(), limits::MAX_LAYERS)));
        }
        let descriptor = |media_type: &str, (digest, size): (String, u64)| Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
        };
        let config = descriptor(MEDIA_CONFIG, content.add_blob(&mut Cursor::new(&configuration), None)?);
        let mut layers = Vec::new();
        for layer in &image.layers {
            let mut file = jail.file(Path::new(layer)).map_err(|e| missing(layer, e))?;
            layers.push(descriptor(MEDIA_LAYER_TAR, content.add_blob(&mut file, None)?));
        }
        let manifest = Manifest { schema_version: 2, media_type: MEDIA_MANIFEST.into(), config, layers };
        let bytes = serde_json::to_vec(&manifest).map_err(|e| Error::io("write a manifest", e.into()))?;
        let (digest, _) = content.add_blob(&mut Cursor::new(bytes), None)?;
        images.push(content.complete(adding, &digest, &digest, &names)?);
    }
    Ok(images)
}

fn check_count(count: usize, name: &Option<String>, shown: &Path) -> Result<(), Error> {
    if name.is_some() && count != 1 {
        return Err(Error::Invalid(format!("{} holds {count} images; --name needs exactly one", shown.display())));
    }
    if count > limits::MAX_IMAGES_PER_ARCHIVE {
        return Err(Error::Invalid(format!("{} holds {count} images, more than {}", shown.display(), limits::MAX_IMAGES_PER_ARCHIVE)));
    }
    Ok(())
}

fn nameless(shown: &Path) -> Error {
    Error::Invalid(format!("{} does not say what its image is called; give it a name with --name", shown.display()))
}

/// The full name of an entry of `index.json`; a bare tag (`latest`) is no name.
fn annotated_name(descriptor: &Descriptor) -> Result<Option<String>, Error> {
    let full = descriptor.annotations.get(ANNOTATION_NAME);
    let given = full.or_else(|| descriptor.annotations.get(ANNOTATION_REF_NAME).filter(|name| name.contains(['/', ':'])));
    given.map(|name| Reference::parse(name).map(|r| r.to_string())).transpose()
}

fn open_blob(jail: &Beneath, digest: &str) -> Result<File, Error> {
    let path = format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    jail.file(Path::new(&path)).map_err(|e| missing(&path, e))
}

fn missing(path: &str, error: Errno) -> Error {
    match error {
        Errno::NOENT => Error::Invalid(format!("the layout lacks {path}")),
        other => explain(Path::new(path), "open", other),
    }
}

fn blob(jail: &Beneath, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    read_limited(open_blob(jail, &descriptor.digest)?, limit, &descriptor.digest, &mut bytes)?;
    Ok(bytes)
}

fn small(jail: &Beneath, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    read_limited(jail.file(Path::new(path)).map_err(|e| missing(path, e))?, limit, path, &mut bytes)?;
    Ok(bytes)
}

fn optional(jail: &Beneath, path: &str) -> Result<Option<Vec<u8>>, Error> {
    match jail.file(Path::new(path)) {
        Ok(file) => {
            let mut bytes = Vec::new();
            read_limited(file, limits::MAX_MANIFEST_BYTES, path, &mut bytes)?;
            Ok(Some(bytes))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(explain(Path::new(path), "open", e)),
    }
}

fn read_limited(file: File, limit: u64, what: &str, bytes: &mut Vec<u8>) -> Result<(), Error> {
    file.take(limit + 1).read_to_end(bytes).map_err(|e| Error::io(format!("read {what}"), e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::Invalid(format!("{what} has more than {limit} bytes")));
    }
    Ok(())
}
