//! From the Pod object to what the runtime takes: environment, process, resources, volumes, one `ContainerSpec`.
//!
//! In: the Pod, the image's config, the ConfigMaps and Secrets it names. Out: values, or the reason why a container cannot be made.
//! Never: I/O; a silent omission (what is not built is refused by `supported`).

pub mod container;
pub mod downward;
pub mod environment;
pub mod expand;
pub mod process;
pub mod resources;
pub mod sandbox;
pub mod sources;
pub mod supported;
pub mod volumes;

/// A container that cannot be made as the Pod asks: `CreateContainerConfigError` with this message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
