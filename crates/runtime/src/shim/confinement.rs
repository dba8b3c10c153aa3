//! The fixed parts of every container's confinement: masked and read-only paths, device nodes, base mounts.
//!
//! In: nothing. Out: tables. Never: anything that depends on the container.

/// Hidden: they show or change the host (the usual list of container runtimes).
pub const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Readable only.
pub const READ_ONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Base mounts in order: target, type, options. Cgroups and `/etc` files come after them, then the Pod's volumes.
pub const MOUNTS: &[(&str, &str, &[&str])] = &[
    ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
];

/// Character devices that may be opened: major, minor. Making other nodes is allowed, opening them is not.
pub const DEVICES: &[(i64, i64)] = &[(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];

/// `DEVICES` as lines for the v1 devices controller, with leave to make (not open) any node and to use the container's own terminals.
pub fn device_rules() -> Vec<String> {
    let general = ["c *:* m", "b *:* m", "c 136:* rwm"].map(str::to_owned);
    general.into_iter().chain(DEVICES.iter().map(|(major, minor)| format!("c {major}:{minor} rwm"))).collect()
}

/// Soft limit of open files: programs that use `select` break above 1024.
pub const OPEN_FILES_SOFT: u64 = 1024;
/// Hard limit of open files (systemd's default), if the shim's own limit is not lower.
pub const OPEN_FILES_HARD: u64 = 524_288;
