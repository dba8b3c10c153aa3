//! What this machine is: size, system, identifiers.
//!
//! In: /proc, /sys, /etc, uname, statvfs. Out: a value, read once at start. Never: fails (an unreadable fact is empty or zero).

use std::fs;
use std::path::Path;

/// Read once; a machine that changes its memory restarts its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub hostname: String,
    pub cpus: i64,
    pub memory_bytes: i64,
    pub storage_bytes: i64,
    pub kernel: String,
    pub os_image: String,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    /// As Go spells it: amd64, arm64.
    pub architecture: &'static str,
}

impl Facts {
    /// `data` lies on the file system whose size is announced as ephemeral storage.
    pub fn read(data: &Path) -> Self {
        let name = nix::sys::utsname::uname().ok();
        let text = |value: Option<&std::ffi::OsStr>| value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
        Facts {
            hostname: text(name.as_ref().map(|name| name.nodename())),
            kernel: text(name.as_ref().map(|name| name.release())),
            cpus: std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1)),
            memory_bytes: memory(&line("/proc/meminfo")),
            storage_bytes: nix::sys::statvfs::statvfs(data)
                .map_or(0, |stat| i64::try_from(stat.blocks().saturating_mul(stat.fragment_size())).unwrap_or(i64::MAX)),
            os_image: os_image(&line("/etc/os-release")),
            machine_id: line("/etc/machine-id"),
            system_uuid: line("/sys/class/dmi/id/product_uuid"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            architecture: architecture(std::env::consts::ARCH),
        }
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// `MemTotal: N kB` in bytes.
fn memory(meminfo: &str) -> i64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<i64>().ok())
        .map_or(0, |kibibytes| kibibytes.saturating_mul(1024))
}

fn os_image(os_release: &str) -> String {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

fn architecture(rust: &'static str) -> &'static str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       16384 kB\n"), 16_777_216);
        assert_eq!(memory(""), 0);
        assert_eq!(os_image("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(architecture("x86_64"), "amd64");
    }

    #[test]
    fn this_machine_has_a_size() {
        let facts = Facts::read(Path::new("/"));
        assert!(facts.cpus > 0 && facts.memory_bytes > 0 && facts.storage_bytes > 0 && !facts.kernel.is_empty(), "{facts:?}");
    }
}
