//! Which cgroup files say what, for v1, hybrid and v2. Pure.
//!
//! In: the mount table and resolved limits. Out: directories and (file, value) pairs.
//! Never: touches a file; `cgroup_tree` does that.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::Resources;

/// CPU quotas count per this period, in microseconds (the kernel's and upstream's default).
pub const CPU_PERIOD_MICROS: u64 = 100_000;

/// Where the machine keeps its cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One tree.
    V2 { root: PathBuf },
    /// One tree per controller (the hybrid layout too: its v2 tree has no controllers).
    V1 { controllers: BTreeMap<String, PathBuf> },
}

/// One limit: below `controller`'s directory (v1) or the directory (v2).
#[derive(Debug, PartialEq, Eq)]
pub struct LimitFile {
    pub controller: &'static str,
    pub file: &'static str,
    pub value: String,
    /// The kernel may lack this file (swap accounting); going without is right then.
    pub optional: bool,
}

/// Reads `/proc/self/mountinfo`. `None`: no usable cgroup mount.
pub fn layout(mountinfo: &str) -> Option<Layout> {
    let mut controllers = BTreeMap::new();
    let mut unified = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = left.split(' ').nth(4) else { continue };
        let mount_point = PathBuf::from(mount_point.replace("\\040", " "));
        let mut fields = right.split(' ');
        match (fields.next(), fields.nth(1)) {
            (Some("cgroup2"), _) => unified = unified.or(Some(mount_point)),
            (Some("cgroup"), Some(options)) => {
                for controller in options.split(',').filter(|option| V1_CONTROLLERS.contains(option)) {
                    controllers.entry(controller.to_owned()).or_insert_with(|| mount_point.clone());
                }
            }
            _ => {}
        }
    }
    match (controllers.is_empty(), unified) {
        (false, _) => Some(Layout::V1 { controllers }),
        (true, Some(root)) => Some(Layout::V2 { root }),
        (true, None) => None,
    }
}

/// Controllers that may appear as options of a v1 cgroup mount.
pub const V1_CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "blkio",
    "perf_event",
    "net_prio",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
];
/// v1 controllers that a Pod's and a container's directory is made in. Others (freezer, blkio) would cost and limit nothing.
pub const V1_USED: &[&str] = &["cpu", "cpuacct", "cpuset", "devices", "memory", "pids"];
/// v1 controllers that containers see, read-only: the ones that language runtimes look for to learn their limits.
pub const V1_SEEN: &[&str] = &["cpu", "cpuacct", "cpuset", "memory", "pids"];
/// v2 controllers enabled down to the containers.
pub const V2_USED: &[&str] = &["cpu", "memory", "pids"];

impl Layout {
    /// Every directory that the cgroup `path` may have.
    pub fn directories(&self, path: &str) -> Vec<PathBuf> {
        let relative = path.trim_start_matches('/');
        match self {
            Layout::V2 { root } => vec![root.join(relative)],
            Layout::V1 { controllers } => {
                let mut all: Vec<PathBuf> = controllers.values().map(|root| root.join(relative)).collect();
                all.sort();
                all.dedup();
                all
            }
        }
    }

    /// The directory that holds `controller`'s files for `path`.
    pub fn directory(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let relative = path.trim_start_matches('/');
        match self {
            Layout::V2 { root } => Some(root.join(relative)),
            Layout::V1 { controllers } => controllers.get(controller).map(|root| root.join(relative)),
        }
    }

    /// Mount root of the v2 tree.
    pub fn unified_root(&self) -> Option<&Path> {
        match self {
            Layout::V2 { root } => Some(root),
            Layout::V1 { .. } => None,
        }
    }

    /// Can the devices of a container be restricted? On v2 that takes a BPF program, which libcontainer is built without.
    pub fn restricts_devices(&self) -> bool {
        matches!(self, Layout::V1 { controllers } if controllers.contains_key("devices"))
    }

    /// The files that impose `resources`, in the order they must be written. `leaf`: a container, not a Pod.
    pub fn limit_files(&self, resources: &Resources, leaf: bool) -> Vec<LimitFile> {
        let mut files = Vec::new();
        let mut put = |controller, file, value: String, optional| files.push(LimitFile { controller, file, value, optional });
        let v2 = matches!(self, Layout::V2 { .. });
        if let Some(shares) = resources.cpu_shares {
            if v2 {
                put("cpu", "cpu.weight", weight(shares).to_string(), false);
            } else {
                put("cpu", "cpu.shares", shares.max(2).to_string(), false);
            }
        }
        if let Some(quota) = resources.cpu_quota_micros.filter(|quota| *quota > 0) {
            if v2 {
                put("cpu", "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"), false);
            } else {
                put("cpu", "cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string(), false);
                put("cpu", "cpu.cfs_quota_us", quota.to_string(), false);
            }
        }
        if let Some(limit) = resources.memory_limit_bytes.filter(|limit| *limit > 0) {
            if v2 {
                put("memory", "memory.max", limit.to_string(), false);
                put("memory", "memory.swap.max", "0".into(), true);
            } else {
                put("memory", "memory.limit_in_bytes", limit.to_string(), false);
                put("memory", "memory.memsw.limit_in_bytes", limit.to_string(), true);
            }
        }
        if v2 && leaf {
            // As the kubelet does since 1.28: one process out of memory ends the container, not a random part of it.
            put("memory", "memory.oom.group", "1".into(), true);
        }
        if let Some(limit) = resources.pids_limit.filter(|limit| *limit > 0) {
            put("pids", "pids.max", limit.to_string(), false);
        }
        files
    }

    /// The file that counts kills for lack of memory, and the key in it.
    pub fn oom_file(&self, path: &str) -> Option<PathBuf> {
        let file = match self {
            Layout::V2 { .. } => "memory.events",
            Layout::V1 { .. } => "memory.oom_control",
        };
        Some(self.directory("memory", path)?.join(file))
    }
}

/// Where a process is, by v1 controller: its `/proc/PID/cgroup`.
pub fn memberships(content: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in content.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (fields.next(), fields.next()) {
            all.extend(controllers.split(',').filter(|name| !name.is_empty()).map(|name| (name.to_owned(), path.to_owned())));
        }
    }
    all
}

/// The `oom_kill` count of either version's file.
pub fn oom_kills(content: &str) -> u64 {
    content
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == "oom_kill")
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or(0)
}

/// v1 shares (2..262144) on v2's scale (1..10000), by the mapping of the OCI runtimes (KEP-2254).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HYBRID: &str = "\
28 22 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
29 28 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
30 28 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 28 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
32 28 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
33 28 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn layouts() {
        let hybrid = layout(HYBRID).unwrap();
        assert_eq!(
            hybrid.directories("/piecework/r/p"),
            ["cpu,cpuacct", "memory", "pids"].map(|name| PathBuf::from(format!("/sys/fs/cgroup/{name}/piecework/r/p")))
        );
        assert_eq!(hybrid.oom_file("/a"), Some("/sys/fs/cgroup/memory/a/memory.oom_control".into()));
        let v2 = layout(V2).unwrap();
        assert_eq!(v2, Layout::V2 { root: "/sys/fs/cgroup".into() });
        assert_eq!(v2.oom_file("/a"), Some("/sys/fs/cgroup/a/memory.events".into()));
        assert!(!hybrid.restricts_devices() && !v2.restricts_devices());
        let with_devices = layout("1 2 0:3 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices").unwrap();
        assert!(with_devices.restricts_devices());
        assert_eq!(layout("1 2 0:3 / / rw - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn which_files_carry_the_limits() {
        let all = Resources {
            cpu_shares: Some(512),
            cpu_quota_micros: Some(50_000),
            memory_limit_bytes: Some(1 << 20),
            pids_limit: Some(7),
            oom_score_adj: Some(5),
        };
        let none = Resources::default();
        let senseless = Resources { cpu_quota_micros: Some(-1), memory_limit_bytes: Some(0), pids_limit: Some(0), ..none.clone() };
        let rows: &[(&str, &Resources, bool, &str)] = &[
            (
                HYBRID,
                &all,
                true,
                "cpu.shares=512 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 memory.limit_in_bytes=1048576 memory.memsw.limit_in_bytes=1048576? pids.max=7",
            ),
            (V2, &all, false, "cpu.weight=20 cpu.max=50000 100000 memory.max=1048576 memory.swap.max=0? pids.max=7"),
            (V2, &all, true, "cpu.weight=20 cpu.max=50000 100000 memory.max=1048576 memory.swap.max=0? memory.oom.group=1? pids.max=7"),
            (V2, &none, true, "memory.oom.group=1?"),
            (HYBRID, &none, true, ""),
            (HYBRID, &senseless, false, ""),
        ];
        for (mounts, resources, leaf, expected) in rows {
            let files = layout(mounts).unwrap().limit_files(resources, *leaf);
            let text: Vec<String> = files.iter().map(|f| format!("{}={}{}", f.file, f.value, if f.optional { "?" } else { "" })).collect();
            assert_eq!(text.join(" "), *expected);
        }
    }

    #[test]
    fn where_a_process_is() {
        let all = memberships("3:memory:/a/b:c\n2:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/unified\nnonsense\n");
        let text: Vec<String> = all.iter().map(|(name, path)| format!("{name} {path}")).collect();
        assert_eq!(text, ["cpu /", "cpuacct /", "memory /a/b:c", "name=systemd /init.scope"]);
    }

    #[test]
    fn weights_and_kill_counts() {
        for (shares, expected) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        for (content, expected) in [("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3), ("low 0\noom 1\noom_kill 1\n", 1), ("", 0)] {
            assert_eq!(oom_kills(content), expected);
        }
    }
}
