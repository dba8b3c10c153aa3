//! The OCI specification of one container.
//!
//! In: the intent, the mounted root, the cgroup layout. Out: what libcontainer builds.
//! Never: leaves a default of libcontainer's own in place where confinement is concerned.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{
        Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxNamespace,
        LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResourcesBuilder, Mount, MountBuilder, PosixRlimitBuilder, PosixRlimitType,
        ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    },
};

use super::{capabilities, command, confinement, inside_root, rootfs, user};
use crate::{
    ContainerSpec, Error,
    linux::{
        cgroup::{Layout, V1_SEEN},
        records::Intent,
    },
};

/// Builds the specification; makes the working directory where it is missing.
/// `cgroups_by_us`: libcontainer has nothing to do with them.
pub fn specification(directory: &Path, root: &Path, intent: &Intent, layout: &Layout, cgroups_by_us: bool) -> Result<Spec, Error> {
    let container = &intent.spec;
    let who = user::resolve(root, &container.user, &container.supplemental_groups)?;
    let cwd = working_directory(root, container)?;
    let capabilities = granted(container, layout)?;
    let etc = rootfs::write_etc(directory, &intent.etc)?;
    let build = || -> Result<Spec, OciSpecError> {
        let set: HashSet<Capability> = capabilities.iter().copied().collect();
        let process = ProcessBuilder::default()
            .terminal(false)
            .user(UserBuilder::default().uid(who.uid).gid(who.gid).additional_gids(who.groups.clone()).build()?)
            .args(container.args.clone())
            .env(environment(intent, &who.home))
            .cwd(cwd.clone())
            .capabilities(
                LinuxCapabilitiesBuilder::default()
                    .bounding(set.clone())
                    .effective(set.clone())
                    .permitted(set)
                    .inheritable(HashSet::new())
                    .ambient(HashSet::new())
                    .build()?,
            )
            .rlimits(vec![
                PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(open_files().0).hard(open_files().1).build()?,
            ])
            .no_new_privileges(true)
            .build()?;
        let mut linux = LinuxBuilder::default()
            .namespaces(namespaces(intent)?)
            .cgroups_path(PathBuf::from(&intent.cgroup))
            .resources(LinuxResourcesBuilder::default().devices(device_rules()?).build()?)
            .masked_paths(strings(confinement::MASKED_PATHS))
            .readonly_paths(strings(confinement::READ_ONLY_PATHS))
            .rootfs_propagation("private")
            .build()?;
        if cgroups_by_us {
            linux.set_resources(None);
        }
        let mut spec = SpecBuilder::default()
            .version("1.0.2")
            .root(RootBuilder::default().path(root).readonly(container.security.read_only_root).build()?)
            .process(process)
            .mounts(mounts(directory, intent, &etc, layout)?)
            .linux(linux)
            .build()?;
        spec.set_hostname(None);
        Ok(spec)
    };
    build().map_err(|error| Error::Failed(format!("build the OCI specification: {error}")))
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|item| (*item).to_owned()).collect()
}

fn environment(intent: &Intent, home: &str) -> Vec<String> {
    let given = &intent.spec.env;
    let missing = |name: &str| !given.iter().any(|(given, _)| given == name);
    let mut all = Vec::new();
    for (name, value) in [("PATH", command::DEFAULT_PATH), ("HOSTNAME", intent.hostname.as_str()), ("HOME", home)] {
        if missing(name) {
            all.push(format!("{name}={value}"));
        }
    }
    all.extend(given.iter().map(|(name, value)| format!("{name}={value}")));
    all
}

fn granted(container: &ContainerSpec, layout: &Layout) -> Result<Vec<Capability>, Error> {
    let mut names = capabilities::of(&container.security)?;
    if !layout.restricts_devices() && names.contains("MKNOD") {
        // A device node that can be made could be opened then.
        let asked = |name: &String| ["MKNOD", "CAP_MKNOD"].contains(&name.to_uppercase().as_str());
        if container.security.add_capabilities.iter().any(asked) {
            return Err(Error::Failed(
                "capability MKNOD cannot be granted on this machine: without the v1 devices controller access to devices is not restricted"
                    .into(),
            ));
        }
        names.remove("MKNOD");
    }
    names
        .into_iter()
        .map(|name| {
            let quoted = format!("\"CAP_{name}\"");
            serde_json::from_str(&quoted).map_err(|error| Error::Failed(format!("capability {name}: {error}")))
        })
        .collect()
}

fn namespaces(intent: &Intent) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let mut all = Vec::new();
    for kind in [LinuxNamespaceType::Mount, LinuxNamespaceType::Pid, LinuxNamespaceType::Cgroup] {
        all.push(LinuxNamespaceBuilder::default().typ(kind).build()?);
    }
    for (kind, path) in &intent.namespaces {
        let kind = match kind.as_str() {
            "net" => LinuxNamespaceType::Network,
            "ipc" => LinuxNamespaceType::Ipc,
            _ => LinuxNamespaceType::Uts,
        };
        all.push(LinuxNamespaceBuilder::default().typ(kind).path(path).build()?);
    }
    Ok(all)
}

fn device_rules() -> Result<Vec<libcontainer::oci_spec::runtime::LinuxDeviceCgroup>, OciSpecError> {
    let mut rules = vec![LinuxDeviceCgroupBuilder::default().allow(false).typ(LinuxDeviceType::A).access("rwm").build()?];
    for (major, minor) in confinement::DEVICES {
        rules.push(
            LinuxDeviceCgroupBuilder::default().allow(true).typ(LinuxDeviceType::C).major(*major).minor(*minor).access("rwm").build()?,
        );
    }
    Ok(rules)
}

fn mounts(directory: &Path, intent: &Intent, etc: &[(PathBuf, String)], layout: &Layout) -> Result<Vec<Mount>, OciSpecError> {
    let mut all = Vec::new();
    for (target, kind, options) in confinement::MOUNTS {
        all.push(MountBuilder::default().destination(*target).typ(*kind).source(*kind).options(strings(options)).build()?);
    }
    all.extend(cgroup_mounts(intent, layout)?);
    for (source, target) in etc {
        all.push(bind(source, target, false)?);
    }
    if let Some(target) = &intent.spec.termination_message_path {
        all.push(bind(&directory.join(rootfs::TERMINATION_MESSAGE), target, false)?);
    }
    // Shorter targets first: a volume inside a volume must not be covered by the outer one.
    let mut volumes: Vec<_> = intent.spec.mounts.iter().collect();
    volumes.sort_by_key(|mount| Path::new(&mount.target).components().count());
    for mount in volumes {
        all.push(bind(&mount.source, &mount.target, mount.read_only)?);
    }
    Ok(all)
}

/// The container's own cgroup, read-only: with write access root inside could lift its limits.
fn cgroup_mounts(intent: &Intent, layout: &Layout) -> Result<Vec<Mount>, OciSpecError> {
    const POINT: &str = "/sys/fs/cgroup";
    let flags = ["nosuid", "noexec", "nodev", "relatime"];
    match layout {
        Layout::V2 { .. } => {
            let options = strings(&[flags.as_slice(), &["ro"]].concat());
            Ok(vec![MountBuilder::default().destination(POINT).typ("cgroup").source("cgroup").options(options).build()?])
        }
        Layout::V1 { .. } => {
            let options = strings(&[flags.as_slice(), &["mode=755", "size=64k"]].concat());
            let mut all = vec![MountBuilder::default().destination(POINT).typ("tmpfs").source("tmpfs").options(options).build()?];
            for controller in V1_SEEN {
                if let Some(source) = layout.directory(controller, &intent.cgroup) {
                    let options = strings(&[flags.as_slice(), &["rbind", "ro"]].concat());
                    all.push(
                        MountBuilder::default()
                            .destination(format!("{POINT}/{controller}"))
                            .typ("bind")
                            .source(source)
                            .options(options)
                            .build()?,
                    );
                }
            }
            Ok(all)
        }
    }
}

fn bind(source: &Path, target: &str, read_only: bool) -> Result<Mount, OciSpecError> {
    let mut options = strings(&["rbind", "rprivate"]);
    if read_only {
        options.push("ro".into());
    }
    MountBuilder::default().destination(target).typ("bind").source(source).options(options).build()
}

/// The working directory, made if it is missing (as the other runtimes do), in the volume that covers it or in the root.
fn working_directory(root: &Path, container: &ContainerSpec) -> Result<PathBuf, Error> {
    let cwd = if container.working_dir.is_empty() { "/" } else { &container.working_dir };
    let path = Path::new(cwd);
    if !path.is_absolute() {
        return Err(Error::Failed(format!("working directory {cwd:?} is not an absolute path")));
    }
    let cover = container
        .mounts
        .iter()
        .filter_map(|mount| path.strip_prefix(&mount.target).ok().map(|inside| (mount, inside)))
        .min_by_key(|(_, inside)| inside.components().count());
    let made = match cover {
        Some((mount, inside)) if !mount.read_only && mount.source.is_dir() => inside_root::make_directories(&mount.source, inside),
        Some(_) => Ok(()),
        None => inside_root::make_directories(root, path),
    };
    made.map_err(|error| Error::Failed(format!("working directory {cwd:?}: {}", command::plain(&error))))?;
    Ok(path.to_owned())
}

/// Soft and hard limit of open files; raising the hard limit needs a capability that the machine may withhold.
fn open_files() -> (u64, u64) {
    let own = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard);
    let hard = own.min(confinement::OPEN_FILES_HARD);
    (hard.min(confinement::OPEN_FILES_SOFT), hard)
}
