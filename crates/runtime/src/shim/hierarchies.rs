//! The v1 cgroup hierarchies as the shim uses them, and as libcontainer does not get to see them.
//!
//! In: the machine's layout, the shim's mount namespace. Out: the container's cgroups, made and joined by us.
//! Never: leaves the shim in its container's cgroups; hides anything outside the shim's own mount namespace.
//!
//! libcontainer would make a directory in every hierarchy of the machine and move its process there by id. Each container would wait 15 ms
//! for that, with all cgroups of the machine locked (see `cgroup_tree::move_self`). It has no switch for this, but uses only what is mounted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{confinement, rootfs};
use crate::{
    Error,
    error::Context as _,
    linux::{
        cgroup::{self, Layout, V1_USED},
        cgroup_tree,
    },
};

/// Where all hierarchies are mounted, by convention, and where libcontainer looks.
const ROOT: &str = "/sys/fs/cgroup";
/// Inside the scratch: the hierarchies that we use. Their names must not end like those of controllers, or libcontainer finds them.
const KEPT: &str = "cgroups";

/// Takes the hierarchies out of libcontainer's sight; the layout that reaches them from now on. `None` if nothing was changed: with v2,
/// which has one hierarchy to join, or an unusual place; then libcontainer joins the cgroup. The caller has a mount namespace of its own.
pub fn take_over(directory: &Path, layout: &Layout) -> Result<Option<Layout>, Error> {
    let Layout::V1 { controllers } = layout else { return Ok(None) };
    if controllers.values().any(|root| root.parent() != Some(Path::new(ROOT))) {
        return Ok(None);
    }
    let mut kept = std::collections::BTreeMap::new();
    for (name, root) in controllers.iter().filter(|(name, _)| V1_USED.contains(&name.as_str())) {
        let place = kept_at(directory, root);
        if !kept.values().any(|other| *other == place) {
            fs::create_dir_all(&place).context(|| format!("make {}", place.display()))?;
            mount(Some(root), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>).context(|| format!("bind {}", root.display()))?;
        }
        kept.insert(name.clone(), place);
    }
    // One call for the directory with all that is mounted below.
    umount2(ROOT, MntFlags::MNT_DETACH).context(|| format!("hide {ROOT}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("tmpfs"), ROOT, Some("tmpfs"), flags, Some("size=4k,mode=755")).context(|| format!("hide {ROOT}"))?;
    Ok(Some(Layout::V1 { controllers: kept }))
}

fn kept_at(directory: &Path, root: &Path) -> PathBuf {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    directory.join(rootfs::SCRATCH).join(KEPT).join(format!("{name}.v1"))
}

/// The shim's stay in its container's cgroups, for processes that it starts meanwhile to be in them from the beginning.
pub struct Visit<'a> {
    layout: &'a Layout,
    home: std::collections::BTreeMap<String, String>,
}

/// Makes the container's cgroups, confines them and enters. Limits come later, so that they cannot hit the shim.
pub fn enter<'a>(layout: &'a Layout, path: &str) -> Result<Visit<'a>, Error> {
    cgroup_tree::create(layout, path)?;
    cgroup_tree::restrict_devices(layout, path, &confinement::device_rules())?;
    let own = fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup".into())?;
    let visit = Visit { layout, home: cgroup::memberships(&own) };
    match cgroup_tree::move_self(layout, |_| Some(path)) {
        Ok(()) => Ok(visit),
        Err(error) => {
            // Half in: what cannot be left either ends with this process.
            let _ = visit.leave();
            Err(error)
        }
    }
}

impl Visit<'_> {
    /// Back to where the shim was.
    pub fn leave(self) -> Result<(), Error> {
        cgroup_tree::move_self(self.layout, |controller| self.home.get(controller).map(String::as_str))
    }
}
