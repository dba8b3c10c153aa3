//! Can this process run containers at all?
//!
//! In: the process's own credentials and the kernel's interfaces. Out: nothing, or one line that says what to do.
//! Never: tries something and leaves traces.

use std::path::Path;

use super::cgroup_tree;
use crate::Error;

/// CAP_SYS_ADMIN and CAP_NET_ADMIN: without them neither namespaces nor interfaces can be made.
const NEEDED: &[(u32, &str)] = &[(21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN")];

/// The first kernel with all system calls used here and in libcontainer (mount_setattr).
const OLDEST_KERNEL: (u32, u32) = (5, 12);

/// `Err(Error::Unsupported)` with one line for the person who started the server.
pub fn check_privileges() -> Result<(), Error> {
    let unsupported = |text: String| Err(Error::Unsupported(text));
    if !nix::unistd::geteuid().is_root() {
        return unsupported("containers need root: run piecework with sudo, or start the server with --no-agent".into());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = effective_capabilities(&status).unwrap_or(0);
    if let Some((_, name)) = NEEDED.iter().find(|(bit, _)| effective & (1 << bit) == 0) {
        return unsupported(format!(
            "{name} is missing: run piecework on the host or in a privileged container, or start the server with --no-agent"
        ));
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        let (major, minor) = OLDEST_KERNEL;
        return unsupported(format!("Linux {} is too old for containers: {major}.{minor} or newer is needed", release.trim()));
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") && !Path::new("/sys/module/overlay").exists() {
        return unsupported("the kernel has no overlay filesystem: run `modprobe overlay`".into());
    }
    cgroup_tree::detect().map(|_| ())
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        for (release, expected) in [("6.18.44-fc\n", Some((6, 18))), ("5.12-rc1", Some((5, 12))), ("4.19.0", Some((4, 19))), ("odd", None)]
        {
            assert_eq!(version(release), expected, "{release}");
        }
    }

    #[test]
    fn the_effective_set_is_read() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }
}
