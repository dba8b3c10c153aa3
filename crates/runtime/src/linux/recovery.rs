//! Putting things right after crashes, and leaving nothing behind at the end.
//!
//! In: the directories of a root and what the kernel still holds in its name. Out: the two in agreement.
//! Never: touches a running container, or anything of another root.

use std::{collections::BTreeSet, fs};

use super::{
    cgroup::Layout,
    cgroup_tree,
    containers::{self, names},
    directories::{CGROUP_TOP, Directories},
    network::Network,
    sandbox::{self, Machine},
    trash,
};
use crate::Error;

/// Called when the runtime is opened, before anything else runs in this process.
pub fn recover(directories: &Directories, layout: &Layout) -> Result<Network, Error> {
    let mut addresses = BTreeSet::new();
    let mut unfinished = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for id in names(&directories.sandboxes())? {
        let directory = directories.sandboxes().join(&id);
        match sandbox::record(&directory)? {
            Some(record) => {
                addresses.extend(record.address);
                kept.insert(id);
            }
            None => {
                unfinished.insert(id);
            }
        }
    }
    for directory in layout.directories(&directories.cgroup_root()) {
        for child in cgroup_tree::children(&directory) {
            let name = child.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !kept.contains(&name) {
                let path = directories.cgroup_sandbox(&name);
                tracing::info!(cgroup = path, "removing a cgroup that an earlier crash left");
                cgroup_tree::kill(layout, &path)?;
                cgroup_tree::remove(layout, &path)?;
            }
        }
    }
    let network = Network::new(directories.clone(), addresses)?;
    let machine = Machine { directories, layout, network: &network };
    for id in unfinished {
        // The creation did not get as far as its record, or the removal not to its end.
        tracing::info!(sandbox = id, "removing an unfinished sandbox");
        let directory = directories.sandboxes().join(&id);
        containers::end_all(machine, &directory, true)?;
        sandbox::tear_down(machine, &id, &directory, None)?;
    }
    trash::recover(machine, |id| kept.contains(id))?;
    network.collect_leaks()?;
    Ok(network)
}

/// Removes what all sandboxes share, if there are none.
pub fn close_empty(machine: Machine<'_>) -> Result<(), Error> {
    if !names(&machine.directories.sandboxes())?.is_empty() {
        return Ok(());
    }
    machine.network.remove()?;
    cgroup_tree::remove(machine.layout, &machine.directories.cgroup_root())?;
    // The top is shared with other roots: only the last one succeeds.
    for directory in machine.layout.directories(CGROUP_TOP) {
        let _ = fs::remove_dir(directory);
    }
    Ok(())
}
