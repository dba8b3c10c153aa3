//! ConfigMaps and Secrets that a Pod names, as plain data.
//!
//! In: the Pod. Out: which objects are wanted; the fetched data by name.
//! Never: a request (the shell fetches); secret data in a message.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// Names of the objects to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// Data by object name and key; an object that does not exist is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub config_maps: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    pub secrets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

/// What this container and the volumes it mounts refer to.
pub fn wanted(spec: &PodSpec, container: &Container) -> Wanted {
    let mut wanted = Wanted::default();
    for source in container.env_from.iter().flatten() {
        wanted.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
        wanted.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        wanted.config_maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
        wanted.secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
    }
    let mounted: BTreeSet<&str> = container.volume_mounts.iter().flatten().map(|mount| mount.name.as_str()).collect();
    for volume in spec.volumes.iter().flatten().filter(|volume| mounted.contains(volume.name.as_str())) {
        wanted.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        wanted.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
    }
    wanted
}
