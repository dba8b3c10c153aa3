//! One attempt of one container, as the runtime takes it.
//!
//! In: the Pod, the image, sources, facts of the node, directories. Out: `ContainerSpec` and the volumes to prepare, or why not.
//! Never: I/O; a Kubernetes type in what it returns.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Pod};
use piecework_images::Image;
use piecework_runtime::{ContainerSpec, Security};

use super::downward::NodeFacts;
use super::sources::Sources;
use super::volumes::{self, Plan};
use super::{ConfigError, environment, process, resources};

/// Where the file that holds the termination message is, when the Pod does not say.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

/// Everything that one attempt is made of.
pub struct Ingredients<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub attempt: u32,
    pub image: &'a Image,
    pub sources: &'a Sources,
    pub facts: &'a NodeFacts,
    /// Volumes of this Pod live below it.
    pub volumes: PathBuf,
    pub log_path: PathBuf,
}

/// Path-safe and unique on this machine; container names hold no underscore.
pub fn container_id(pod_uid: &str, container: &str, attempt: u32) -> String {
    format!("{pod_uid}_{container}_{attempt}")
}

/// The specification of one attempt.
pub fn container_spec(from: &Ingredients<'_>) -> Result<(ContainerSpec, Plan), ConfigError> {
    let spec = from.pod.spec.as_ref().ok_or_else(|| ConfigError("the Pod has no spec".into()))?;
    let uid = from.pod.metadata.uid.clone().unwrap_or_default();
    let config = &from.image.config;
    let env = environment::environment(from.pod, from.container, &config.env, from.sources, from.facts)?;
    let volumes = volumes::plan(spec, from.container, from.sources, &from.volumes)?;
    let specification = ContainerSpec {
        id: container_id(&uid, &from.container.name, from.attempt),
        sandbox: uid,
        name: from.container.name.clone(),
        attempt: from.attempt,
        layers: from.image.layers.clone(),
        image: image_name(from.container, from.image),
        image_id: from.image.id.clone(),
        args: process::arguments(from.container, config, &env)?,
        env,
        working_dir: process::working_dir(from.container, config),
        user: process::user(spec, from.container, config)?,
        supplemental_groups: process::supplemental_groups(spec),
        mounts: volumes.mounts(),
        resources: resources::container_resources(spec, from.container, from.facts.memory_bytes)?,
        security: security(from.pod, from.container),
        log_path: from.log_path.clone(),
        termination_message_path: Some(
            from.container
                .termination_message_path
                .clone()
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| TERMINATION_MESSAGE_PATH.to_owned()),
        ),
    };
    Ok((specification, volumes))
}

/// The normalised reference that the Pod's own text stands for, as container runtimes report it.
fn image_name(container: &Container, image: &Image) -> String {
    let asked = container.image.clone().unwrap_or_default();
    let tail =
        if asked.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) { asked.clone() } else { format!("{asked}:latest") };
    image.references.iter().find(|reference| **reference == tail || reference.ends_with(&format!("/{tail}"))).cloned().unwrap_or(asked)
}

fn security(pod: &Pod, container: &Container) -> Security {
    let own = container.security_context.as_ref();
    let capabilities = own.and_then(|own| own.capabilities.as_ref());
    let profile =
        own.and_then(|own| own.seccomp_profile.as_ref()).or_else(|| pod.spec.as_ref()?.security_context.as_ref()?.seccomp_profile.as_ref());
    Security {
        read_only_root: own.and_then(|own| own.read_only_root_filesystem) == Some(true),
        add_capabilities: capabilities.and_then(|list| list.add.clone()).unwrap_or_default(),
        drop_capabilities: capabilities.and_then(|list| list.drop.clone()).unwrap_or_default(),
        seccomp_unconfined: profile.is_some_and(|profile| profile.type_ == "Unconfined"),
    }
}
