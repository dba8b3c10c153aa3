//! Which capabilities a container's processes can have at most.
//!
//! In: the default set, plus and minus what the Pod says. Out: one set. Never: lets an unknown name pass.

use std::collections::BTreeSet;

use crate::{Error, Security};

/// What Docker and containerd grant a container that asks for nothing.
const DEFAULT: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// All capabilities by number (capabilities(7), up to Linux 5.9, the newest).
const ALL: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Names without `CAP_`. `ALL` adds or drops everything; adding is done after dropping `ALL`, dropping a name wins over adding it.
pub fn of(security: &Security) -> Result<BTreeSet<&'static str>, Error> {
    let add = names(&security.add_capabilities)?;
    let drop = names(&security.drop_capabilities)?;
    let mut set: BTreeSet<&'static str> = DEFAULT.iter().copied().collect();
    if drop.len() == ALL.len() {
        set.clear();
        set.extend(&add);
    } else {
        set.extend(&add);
        set.retain(|name| !drop.contains(name));
    }
    Ok(set)
}

fn names(list: &[String]) -> Result<BTreeSet<&'static str>, Error> {
    let mut set = BTreeSet::new();
    for given in list {
        let upper = given.to_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            set.extend(ALL);
            continue;
        }
        let known = ALL.iter().find(|known| **known == name);
        set.insert(*known.ok_or_else(|| Error::Failed(format!("unknown capability {given:?}")))?);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The bit mask of a set, as in `/proc/PID/status`.
    fn mask(set: &BTreeSet<&'static str>) -> u64 {
        ALL.iter().enumerate().filter(|(_, name)| set.contains(*name)).map(|(bit, _)| 1 << bit).sum()
    }

    #[test]
    fn sets() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        // The default mask is the one every Docker container shows.
        let rows = [
            ("", "", Some(0xa804_25fb)),
            ("NET_ADMIN", "", Some(0xa804_25fb | 1 << 12)),
            ("cap_net_admin", "CAP_CHOWN", Some((0xa804_25fb | 1 << 12) & !1)),
            ("", "ALL", Some(0)),
            ("KILL", "ALL", Some(1 << 5)),
            ("ALL", "", Some((1 << 41) - 1)),
            ("ALL", "SYS_ADMIN", Some(((1 << 41) - 1) & !(1 << 21))),
            ("SYS_NONSENSE", "", None),
            ("", "NONSENSE", None),
        ];
        for (add, drop, expected) in rows {
            let security = Security { add_capabilities: words(add), drop_capabilities: words(drop), ..Security::default() };
            assert_eq!(of(&security).ok().map(|set| mask(&set)), expected, "+{add} -{drop}");
        }
    }
}
