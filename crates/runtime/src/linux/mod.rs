//! Containers on this Linux machine: shims, namespaces, cgroups, a bridge.
//!
//! In: specifications from the node agent. Out: states and exits, all of which survive the agent.
//! Never: keeps a fact only in memory; holds a lock while a container runs.

pub mod cgroup;
pub mod cgroup_tree;
mod containers;
pub mod directories;
mod launch;
mod locks;
mod namespaces;
mod network;
pub mod privileges;
pub mod process;
pub mod records;
mod recovery;
mod sandbox;
mod trash;
mod watch;

pub use privileges::check_privileges;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use self::{cgroup::Layout, directories::Directories, locks::Locks, network::Network, sandbox::Machine, trash::Trash};
use crate::{ContainerSpec, ContainerStatus, Error, Exit, Runtime, SandboxSpec, SandboxStatus, error::Context as _};

/// Where and with what to run.
#[derive(Debug, Clone)]
pub struct LinuxOptions {
    /// Everything is kept below; made with mode 0700 if missing.
    pub root: PathBuf,
    /// The program that is re-executed as the shim, normally this one. Its `main` calls `shim::dispatch` first.
    pub shim: PathBuf,
    /// Arguments before `container DIR`, normally just `shim`.
    pub shim_args: Vec<String>,
}

/// The runtime of this machine.
pub struct LinuxRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    options: LinuxOptions,
    directories: Directories,
    layout: Layout,
    network: Network,
    trash: Trash,
    locks: Locks,
    /// Sandbox by container id: a shortcut, the directories are the truth.
    index: Mutex<BTreeMap<String, String>>,
    /// What shims started by this process report, by container id.
    reports: Mutex<BTreeMap<String, launch::Reports>>,
    /// Exits for callers that still wait while their container's directory is being removed.
    waiters: Mutex<BTreeMap<String, (usize, Option<Exit>)>>,
}

impl LinuxRuntime {
    /// Takes over what an earlier process left below `root` and removes what belongs to nobody.
    /// `Error::Unsupported` when the machine or the privileges do not suffice.
    pub fn open(options: LinuxOptions) -> Result<Arc<Self>, Error> {
        privileges::check_privileges()?;
        let layout = cgroup_tree::detect()?;
        let step = || format!("prepare {}", options.root.display());
        fs::create_dir_all(&options.root).context(step)?;
        let root = fs::canonicalize(&options.root).context(step)?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).context(step)?;
        let directories = Directories::new(root);
        fs::create_dir_all(directories.sandboxes()).context(step)?;
        fs::create_dir_all(directories.trash()).context(step)?;
        let network = recovery::recover(&directories, &layout)?;
        let shared = Shared {
            options,
            directories,
            layout,
            network,
            trash: Trash::default(),
            locks: Locks::default(),
            index: Mutex::default(),
            reports: Mutex::default(),
            waiters: Mutex::default(),
        };
        Ok(Arc::new(LinuxRuntime { shared: Arc::new(shared) }))
    }

    /// Removes the bridge, masquerading and cgroup parents if no sandbox is left. Call it when the server ends.
    pub async fn close_empty(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(move || {
            shared.wait_cleared();
            recovery::close_empty(shared.machine())
        })
        .await
    }
}

impl Shared {
    fn machine(&self) -> Machine<'_> {
        Machine { directories: &self.directories, layout: &self.layout, network: &self.network }
    }
}

/// Runs something that blocks (mounts, kills, syncs) where it holds up no other task.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Failed(error.to_string()))?
}

#[async_trait::async_trait]
impl Runtime for LinuxRuntime {
    fn version(&self) -> String {
        concat!("piecework://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, Error> {
        let sandbox = self.shared.locks.sandbox(&spec.id);
        let _alone = sandbox.write().await;
        let (shared, spec) = (self.shared.clone(), spec.clone());
        let record = blocking(move || {
            shared.trash.settle(&spec.id);
            sandbox::create(shared.machine(), &spec)
        })
        .await?;
        self.shared.status(&record).await
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        let sandbox = self.shared.locks.sandbox(id);
        let _alone = sandbox.write().await;
        let (shared, id) = (self.shared.clone(), id.to_owned());
        blocking(move || shared.remove(&id)).await
    }

    async fn start_container(&self, spec: &ContainerSpec) -> Result<ContainerStatus, Error> {
        self.shared.start(spec).await
    }

    async fn wait_container(&self, id: &str) -> Result<Exit, Error> {
        self.shared.wait(id).await
    }

    async fn signal_container(&self, id: &str, signal: i32) -> Result<(), Error> {
        let shared = self.shared.clone();
        let id = id.to_owned();
        blocking(move || shared.place(&id)?.signal(signal)).await
    }

    async fn list(&self) -> Result<Vec<SandboxStatus>, Error> {
        self.shared.list().await
    }
}
