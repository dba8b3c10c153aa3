//! Sandboxes and containers. `trait Runtime` is the node agent's only way to processes: `linux` (libcontainer in a re-executed shim), `scripted` (tests).
//!
//! In: specifications with every value resolved (no Kubernetes objects). Out: states, exits, log files in the CRI format.
//! Never: talks to the API server; calls libcontainer from a process that has threads (stack.md: it deadlocks).

mod clock;
mod error;
pub mod linux;
pub mod scripted;
pub mod shim;
mod spec;
mod status;

pub use error::Error;
pub use linux::privileges::check_privileges;
pub use spec::{ContainerSpec, Mount, Resources, SandboxSpec, Security};
pub use status::{ContainerState, ContainerStatus, Exit, SandboxStatus};

/// What the node agent asks of a machine. Every call may be repeated after a crash of the caller.
#[async_trait::async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Name and version for `nodeInfo.containerRuntimeVersion`, e.g. `piecework://0.1.0`.
    fn version(&self) -> String;
    /// Idempotent per id.
    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, Error>;
    /// Kills what still runs in it, removes containers, network, cgroups, mounts. Idempotent.
    async fn remove_sandbox(&self, id: &str) -> Result<(), Error>;
    /// The intent is on disk before anything runs; a second call with the same id never starts a second process.
    /// Returns when the process runs, or has ended already, or could not be started (`Exited` with `start_error`).
    async fn start_container(&self, spec: &ContainerSpec) -> Result<ContainerStatus, Error>;
    /// Resolves when the container has ended, also for containers started before the agent was restarted. No polling.
    async fn wait_container(&self, id: &str) -> Result<Exit, Error>;
    /// Signals the container's first process; Ok when it has ended already.
    async fn signal_container(&self, id: &str, signal: i32) -> Result<(), Error>;
    /// All sandboxes and containers on this machine under this data directory, from disk: what survives a restart.
    async fn list(&self) -> Result<Vec<SandboxStatus>, Error>;
}
