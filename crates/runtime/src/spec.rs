//! What to run: sandboxes (one per Pod) and containers, with every value resolved.
//!
//! In: written by the node agent. Out: stored as JSON next to the sandbox and read by the shim.
//! Never: holds Kubernetes objects, references to secrets, or anything still to be looked up outside the image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The shared surroundings of a Pod's containers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Unique and stable: the Pod's uid.
    pub id: String,
    pub namespace: String,
    pub name: String,
    pub hostname: String,
    /// false: the host's network namespace.
    pub own_network: bool,
    /// Limits of the whole Pod (cgroup parent of its containers).
    pub resources: Resources,
}

/// Limits for one cgroup; `None` leaves the kernel's default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU per 100 ms period.
    pub cpu_quota_micros: Option<i64>,
    pub memory_limit_bytes: Option<i64>,
    pub pids_limit: Option<i64>,
    pub oom_score_adj: Option<i32>,
}

/// One container to run once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Unique per attempt: `<pod uid>/<container name>/<attempt>` flattened by the agent into one path-safe word.
    pub id: String,
    pub sandbox: String,
    pub name: String,
    pub attempt: u32,
    /// Unpacked image layers, lowest first.
    pub layers: Vec<PathBuf>,
    pub image: String,
    pub image_id: String,
    /// Program and arguments, resolved (`command`/`args`/image entrypoint, `$(VAR)` expanded).
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: String,
    /// User from the Pod or the image config: name or number, optional `:group`. Resolved inside the root filesystem by the runtime.
    pub user: String,
    pub supplemental_groups: Vec<u32>,
    pub mounts: Vec<Mount>,
    pub resources: Resources,
    pub security: Security,
    /// CRI-format log file; its directory exists.
    pub log_path: PathBuf,
    /// Where the termination message is read from in the container; None: not wanted.
    pub termination_message_path: Option<String>,
}

/// A bind mount of a host path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// Departures from the default confinement.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Security {
    pub read_only_root: bool,
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    /// Seccomp off (`seccompProfile.type: Unconfined`).
    pub seccomp_unconfined: bool,
}
