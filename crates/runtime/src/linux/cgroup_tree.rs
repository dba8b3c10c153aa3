//! Making, limiting, emptying and removing cgroups.
//!
//! In: paths and limits chosen by `cgroup`. Out: directories under the cgroup mounts.
//! Never: touches a cgroup outside `/piecework/<root>`; never polls for a group to become empty.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use super::{
    cgroup::{self, Layout, V1_USED, V2_USED},
    process,
};
use crate::{Error, Resources, error::Context as _};

/// Rounds of killing before a cgroup counts as stuck: each round kills all that was forked during the one before.
const KILL_ROUNDS: usize = 32;
/// How long one killed process may take to disappear, in milliseconds (uninterruptible I/O).
const KILLED_PROCESS_WAIT_MS: u16 = 5_000;

/// This machine's layout.
pub fn detect() -> Result<Layout, Error> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context(|| "read /proc/self/mountinfo".into())?;
    cgroup::layout(&mounts).ok_or_else(|| {
        Error::Unsupported(
            "no cgroup filesystem is mounted: mount cgroup2 at /sys/fs/cgroup, containers cannot be limited without it".into(),
        )
    })
}

/// Makes the cgroup with its parents.
pub fn create(layout: &Layout, path: &str) -> Result<(), Error> {
    match layout {
        Layout::V2 { root } => {
            let mut directory = root.clone();
            for part in path.split('/').filter(|part| !part.is_empty()) {
                for controller in V2_USED {
                    // A controller that the parent does not offer fails later, at the limit that needs it, with a clearer text.
                    let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
                }
                directory.push(part);
                make_directory(&directory)?;
            }
        }
        Layout::V1 { controllers } => {
            for (name, root) in controllers.iter().filter(|(name, _)| V1_USED.contains(&name.as_str())) {
                make_with_parents(root, &root.join(path.trim_start_matches('/')), name == "cpuset")?;
            }
        }
    }
    Ok(())
}

/// The deepest one first: its parents are there nearly always.
fn make_with_parents(root: &Path, directory: &Path, cpuset: bool) -> Result<(), Error> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && directory != root => {
            if let Some(parent) = directory.parent() {
                make_with_parents(root, parent, cpuset)?;
            }
            make_directory(directory)?;
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).context(|| format!("make cgroup {}", directory.display()));
        }
        _ => {}
    }
    if cpuset { inherit_cpuset(root, directory) } else { Ok(()) }
}

fn make_directory(path: &Path) -> Result<(), Error> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).context(|| format!("make cgroup {}", path.display())),
        _ => Ok(()),
    }
}

/// A new v1 cpuset is empty, and no process can enter it then, unless its parent was told that children start as copies.
fn inherit_cpuset(root: &Path, directory: &Path) -> Result<(), Error> {
    let Some(parent) = directory.parent().filter(|_| directory != root) else { return Ok(()) };
    let mut filled = false;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let step = || format!("set {}", directory.join(file).display());
        if fs::read_to_string(directory.join(file)).context(step)?.trim().is_empty() {
            if !filled {
                // A crash may have left the parent empty.
                inherit_cpuset(root, parent)?;
            }
            let value = fs::read_to_string(parent.join(file)).context(step)?;
            fs::write(directory.join(file), value.trim()).context(step)?;
            filled = true;
        }
    }
    if filled {
        let file = directory.join("cgroup.clone_children");
        fs::write(&file, "1").context(|| format!("write 1 to {}", file.display()))?;
    }
    Ok(())
}

/// Moves the calling process, which has one thread, into the v1 cgroups that `path` gives for each controller. Writing 0 to `tasks` moves
/// just the calling thread; any other way of moving waits for an RCU grace period with all cgroups of the machine locked (measured: 15 ms).
pub fn move_self<'a>(layout: &Layout, path: impl Fn(&str) -> Option<&'a str>) -> Result<(), Error> {
    let Layout::V1 { controllers } = layout else { return Ok(()) };
    let mut done = BTreeSet::new();
    for (name, root) in controllers.iter().filter(|(name, _)| V1_USED.contains(&name.as_str())) {
        let Some(path) = path(name) else { continue };
        if done.insert(root) {
            let tasks = root.join(path.trim_start_matches('/')).join("tasks");
            fs::write(&tasks, "0").context(|| format!("write 0 to {}", tasks.display()))?;
        }
    }
    Ok(())
}

/// Refuses all devices and then allows what `rules` say (v1). Missing without the devices controller.
pub fn restrict_devices(layout: &Layout, path: &str, rules: &[String]) -> Result<(), Error> {
    let Some(directory) = layout.directory("devices", path).filter(|_| layout.restricts_devices()) else { return Ok(()) };
    let all = [("devices.deny", "a".to_owned())].into_iter().chain(rules.iter().map(|rule| ("devices.allow", rule.clone())));
    for (file, rule) in all {
        let file = directory.join(file);
        fs::write(&file, &rule).context(|| format!("write {rule} to {}", file.display()))?;
    }
    Ok(())
}

/// Writes the limits. `leaf`: a container's cgroup.
pub fn limit(layout: &Layout, path: &str, resources: &Resources, leaf: bool) -> Result<(), Error> {
    for limit in layout.limit_files(resources, leaf) {
        let file = layout.directory(limit.controller, path).map(|directory| directory.join(limit.file));
        match file {
            Some(file) if limit.optional && !file.exists() => {}
            Some(file) => fs::write(&file, &limit.value).context(|| format!("write {} to {}", limit.value, file.display()))?,
            None if limit.optional => {}
            None => {
                return Err(Error::Unsupported(format!(
                    "the kernel has no {} cgroup controller, which {} needs: enable it or remove the limit",
                    limit.controller, limit.file
                )));
            }
        }
    }
    Ok(())
}

/// How many processes of this cgroup were killed for lack of memory.
pub fn oom_kills(layout: &Layout, path: &str) -> u64 {
    layout.oom_file(path).and_then(|file| fs::read_to_string(file).ok()).map_or(0, |content| cgroup::oom_kills(&content))
}

/// Kills everything in the cgroup and below, and returns when it is gone.
pub fn kill(layout: &Layout, path: &str) -> Result<(), Error> {
    for _ in 0..KILL_ROUNDS {
        let mut pids = BTreeSet::new();
        for directory in layout.directories(path) {
            collect_processes(&directory, &mut pids);
        }
        if pids.is_empty() {
            return Ok(());
        }
        let handles: Vec<_> = pids.into_iter().filter_map(|pid| process::pidfd_open(pid).ok()).collect();
        for handle in &handles {
            process::send_signal(handle.as_fd(), libc::SIGKILL).context(|| format!("kill processes of cgroup {path}"))?;
        }
        for handle in &handles {
            process::wait_ended(handle.as_fd(), KILLED_PROCESS_WAIT_MS).context(|| format!("wait for processes of cgroup {path}"))?;
        }
    }
    Err(Error::Failed(format!("processes of cgroup {path} cannot be killed")))
}

fn collect_processes(directory: &Path, pids: &mut BTreeSet<i32>) {
    if let Ok(content) = fs::read_to_string(directory.join("cgroup.procs")) {
        // 0 stands for a process of another pid namespace, which cannot be ours.
        pids.extend(content.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    for child in children(directory) {
        collect_processes(&child, pids);
    }
}

/// Removes the (empty) cgroup and everything below. Missing ones are fine.
pub fn remove(layout: &Layout, path: &str) -> Result<(), Error> {
    for directory in layout.directories(path) {
        remove_directory(&directory).context(|| format!("remove cgroup {}", directory.display()))?;
    }
    Ok(())
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            for child in children(directory) {
                remove_directory(&child)?;
            }
            fs::remove_dir(directory)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Child cgroups, by directory.
pub fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
