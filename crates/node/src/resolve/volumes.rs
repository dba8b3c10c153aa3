//! Volumes of a Pod as directories on this machine, and their mounts.
//!
//! In: the Pod, the fetched ConfigMaps and Secrets, the directory of its volumes. Out: what to make, and where to mount it.
//! Never: I/O; a file outside the volume's directory.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Volume};
use piecework_runtime::Mount;

use super::ConfigError;
use super::sources::Sources;

/// Mode of files of a ConfigMap or Secret when none is given.
const DEFAULT_FILE_MODE: i32 = 0o644;

/// What has to exist before a container that mounts the volume starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preparation {
    /// An empty directory that everyone may write to; made once.
    EmptyDir { path: PathBuf, group: Option<u32> },
    /// A directory of files; written once.
    Files { path: PathBuf, files: Vec<File>, group: Option<u32> },
    /// A path of the machine, checked or made as its type says.
    HostPath { path: PathBuf, kind: HostPathKind },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Below the volume, never outside.
    pub path: PathBuf,
    pub content: Vec<u8>,
    pub mode: u32,
}

/// `hostPath.type` (API reference, HostPathVolumeSource).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPathKind {
    Unchecked,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

/// What to prepare and mount for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub preparations: Vec<Preparation>,
    pub mounts: Vec<(PathBuf, String, bool)>,
}

impl Plan {
    pub fn mounts(&self) -> Vec<Mount> {
        self.mounts
            .iter()
            .map(|(source, target, read_only)| Mount { source: source.clone(), target: target.clone(), read_only: *read_only })
            .collect()
    }
}

/// The volumes that this container mounts, below `root`.
pub fn plan(spec: &PodSpec, container: &Container, sources: &Sources, root: &Path) -> Result<Plan, ConfigError> {
    let mut plan = Plan::default();
    let group = spec.security_context.as_ref().and_then(|context| context.fs_group).and_then(|group| u32::try_from(group).ok());
    for mount in container.volume_mounts.iter().flatten() {
        let volume = spec
            .volumes
            .iter()
            .flatten()
            .find(|volume| volume.name == mount.name)
            .ok_or_else(|| ConfigError(format!("volume {:?} is not declared", mount.name)))?;
        let own = root.join(&volume.name);
        let (preparation, source, always_read_only) = prepare(volume, sources, own, group)?;
        plan.preparations.push(preparation);
        plan.mounts.push((source, mount.mount_path.clone(), always_read_only || mount.read_only == Some(true)));
    }
    Ok(plan)
}

fn prepare(volume: &Volume, sources: &Sources, own: PathBuf, group: Option<u32>) -> Result<(Preparation, PathBuf, bool), ConfigError> {
    if volume.empty_dir.is_some() {
        return Ok((Preparation::EmptyDir { path: own.clone(), group }, own, false));
    }
    if let Some(source) = &volume.host_path {
        let path = PathBuf::from(&source.path);
        return Ok((Preparation::HostPath { path: path.clone(), kind: host_path_kind(source.type_.as_deref())? }, path, false));
    }
    let (kind, name, data, items, mode, optional) = if let Some(source) = &volume.config_map {
        ("configmap", source.name.clone(), &sources.config_maps, &source.items, source.default_mode, source.optional)
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        ("secret", name, &sources.secrets, &source.items, source.default_mode, source.optional)
    } else {
        return Err(ConfigError(format!("volume {:?} has a type that is not supported", volume.name)));
    };
    let optional = optional == Some(true);
    let files = match data.get(&name) {
        Some(data) => files(kind, &name, data, items.as_deref(), mode.unwrap_or(DEFAULT_FILE_MODE), optional)?,
        None if optional => Vec::new(),
        None => return Err(ConfigError(format!("{kind} {name:?} not found"))),
    };
    Ok((Preparation::Files { path: own.clone(), files, group }, own, true))
}

fn files(
    kind: &str,
    name: &str,
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    default_mode: i32,
    optional: bool,
) -> Result<Vec<File>, ConfigError> {
    let mode = |mode: i32| u32::try_from(mode).unwrap_or(0o644) & 0o777;
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return data
            .iter()
            .map(|(key, content)| Ok(File { path: inside(key)?, content: content.clone(), mode: mode(default_mode) }))
            .collect();
    };
    let mut files = Vec::new();
    for item in items {
        match data.get(&item.key) {
            Some(content) => {
                files.push(File { path: inside(&item.path)?, content: content.clone(), mode: mode(item.mode.unwrap_or(default_mode)) })
            }
            None if optional => {}
            None => return Err(ConfigError(format!("{kind} {name:?} has no key {:?}", item.key))),
        }
    }
    Ok(files)
}

/// A relative path without `..`.
fn inside(path: &str) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(path);
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    if plain && path.components().next().is_some() {
        Ok(path)
    } else {
        Err(ConfigError(format!("path {path:?} would lie outside its volume")))
    }
}

fn host_path_kind(text: Option<&str>) -> Result<HostPathKind, ConfigError> {
    Ok(match text.unwrap_or_default() {
        "" => HostPathKind::Unchecked,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        other => return Err(ConfigError(format!("hostPath.type {other:?} is not known"))),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn run(volume: Value) -> Result<Plan, ConfigError> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let spec: PodSpec = serde_json::from_value(
            json!({"containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/m"}]}], "volumes": [volume]}),
        )
        .unwrap();
        let data: BTreeMap<String, Vec<u8>> = [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())].into();
        let sources = Sources { config_maps: [("cm".to_owned(), data.clone())].into(), secrets: [("s".to_owned(), data)].into() };
        plan(&spec, &spec.containers[0], &sources, Path::new("/vol"))
    }

    fn written(plan: Plan) -> String {
        match &plan.preparations[0] {
            Preparation::Files { files, .. } => files
                .iter()
                .map(|file| format!("{}={}:{:o}", file.path.display(), String::from_utf8_lossy(&file.content), file.mode))
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn files_of_maps_and_secrets() {
        let cases = [
            (json!({"configMap": {"name": "cm"}}), "a=1:644 b=2:644"),
            (json!({"secret": {"secretName": "s", "defaultMode": 256}}), "a=1:400 b=2:400"),
            (json!({"configMap": {"name": "cm", "items": [{"key": "b", "path": "x/y", "mode": 448}]}}), "x/y=2:700"),
            (json!({"configMap": {"name": "no", "optional": true}}), ""),
            (json!({"configMap": {"name": "cm", "optional": true, "items": [{"key": "no", "path": "x"}]}}), ""),
        ];
        for (volume, wanted) in cases {
            assert_eq!(written(run(volume.clone()).unwrap()), wanted, "{volume}");
        }
        let refused = [
            (json!({"configMap": {"name": "no"}}), "not found"),
            (json!({"configMap": {"name": "cm", "items": [{"key": "no", "path": "x"}]}}), "has no key"),
            (json!({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../x"}]}}), "outside"),
            (json!({"configMap": {"name": "cm", "items": [{"key": "a", "path": "/x"}]}}), "outside"),
            (json!({"nfs": {"server": "x", "path": "/"}}), "not supported"),
            (json!({"hostPath": {"path": "/x", "type": "Odd"}}), "not known"),
        ];
        for (volume, part) in refused {
            assert!(run(volume).unwrap_err().0.contains(part), "{part}");
        }
    }

    #[test]
    fn mounts() {
        let empty = run(json!({"emptyDir": {}})).unwrap();
        assert_eq!(empty.mounts, [(PathBuf::from("/vol/v"), "/m".to_owned(), false)]);
        let host = run(json!({"hostPath": {"path": "/x", "type": "File"}})).unwrap();
        assert_eq!(host.mounts[0].0, PathBuf::from("/x"));
        assert!(run(json!({"configMap": {"name": "cm"}})).unwrap().mounts[0].2, "files of the API are read-only");
    }
}
