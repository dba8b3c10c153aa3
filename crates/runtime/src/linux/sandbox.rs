//! Making and removing the shared surroundings of a Pod's containers.
//!
//! In: a sandbox specification. Out: pinned namespaces, an address, cgroup, `/etc` files, a record.
//! Never: shows a sandbox before it is complete (`sandbox.json` is written last), or after its address may belong to another.

use std::{fs, net::Ipv4Addr, path::Path};

use super::{
    cgroup::Layout,
    cgroup_tree,
    directories::Directories,
    namespaces::Pins,
    network::{HostNetlink, Network},
    records::{self, EtcFile, SandboxRecord},
};
use crate::{Error, SandboxSpec, clock, error::Context as _};

/// The kernel's limit for a host name, in bytes.
const MAX_HOSTNAME_BYTES: usize = 63;

/// What all operations on sandboxes need.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    pub directories: &'a Directories,
    pub layout: &'a Layout,
    pub network: &'a Network,
}

/// Reads a sandbox's record; `None` if there is no (complete) sandbox.
pub fn record(directory: &Path) -> Result<Option<SandboxRecord>, Error> {
    records::read(&directory.join(records::SANDBOX)).context(|| format!("read sandbox {}", directory.display()))
}

/// Makes the sandbox, or repairs it when its namespaces are gone (reboot). Idempotent.
pub fn create(machine: Machine<'_>, spec: &SandboxSpec) -> Result<SandboxRecord, Error> {
    let directory = machine.directories.sandbox(&spec.id)?;
    let pins = Pins::of(&directory, spec.own_network);
    let existing = record(&directory)?;
    if let Some(record) = &existing
        && pins.complete()
    {
        return Ok(record.clone());
    }
    let containers = machine.directories.containers(&spec.id)?;
    fs::create_dir_all(&containers).context(|| format!("make {}", containers.display()))?;
    // Half a set-up of an earlier attempt.
    pins.release()?;
    let cgroup = machine.directories.cgroup_sandbox(&spec.id);
    cgroup_tree::create(machine.layout, &cgroup)?;
    cgroup_tree::limit(machine.layout, &cgroup, &spec.resources, false)?;
    let address = if spec.own_network { Some(machine.network.reserve(existing.and_then(|record| record.address))?) } else { None };
    let made = make(machine, spec, &directory, &pins, address);
    match made {
        Ok(record) => Ok(record),
        Err(error) => {
            // The error that stopped the creation is the one to report; what cannot be removed now is collected at the next start.
            let _ = tear_down(machine, &spec.id, &directory, address);
            Err(error)
        }
    }
}

fn make(
    machine: Machine<'_>,
    spec: &SandboxSpec,
    directory: &Path,
    pins: &Pins,
    address: Option<Ipv4Addr>,
) -> Result<SandboxRecord, Error> {
    let hostname: String = spec.hostname.chars().take(MAX_HOSTNAME_BYTES).collect();
    let mut host_netlink = HostNetlink::open()?;
    let etc = [("hostname", format!("{hostname}\n")), ("hosts", hosts(&hostname, address)), ("resolv.conf", resolver(spec.own_network))]
        .map(|(name, content)| EtcFile { target: format!("/etc/{name}"), content });
    let record = SandboxRecord { spec: spec.clone(), address, created_at: clock::now(), etc: etc.into() };
    let step = || "write sandbox.json".into();
    let inside = || match address {
        Some(address) => machine.network.attach(address, &mut host_netlink),
        None => Ok(()),
    };
    // The disk works while the kernel makes a network.
    let prepared = pins.make(&hostname, inside, || records::prepare(&directory.join(records::SANDBOX), &record).context(step))?;
    prepared.publish().context(step)?;
    Ok(record)
}

/// Removes the (containerless) sandbox with all traces. Idempotent.
pub fn tear_down(machine: Machine<'_>, id: &str, directory: &Path, address: Option<Ipv4Addr>) -> Result<(), Error> {
    let cgroup = machine.directories.cgroup_sandbox(id);
    cgroup_tree::kill(machine.layout, &cgroup)?;
    cgroup_tree::remove(machine.layout, &cgroup)?;
    discard(machine, directory, address)
}

/// Lets go of namespaces and address and deletes the directory.
pub fn discard(machine: Machine<'_>, directory: &Path, address: Option<Ipv4Addr>) -> Result<(), Error> {
    Pins::of(directory, true).release()?;
    let record = directory.join(records::SANDBOX);
    match fs::remove_file(&record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(|| format!("delete {}", record.display())),
        _ => {}
    }
    // Without a record: once the address is free another sandbox may have it, and a repeated removal must not take it away.
    if let Some(address) = address {
        machine.network.release(address);
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(|| format!("delete {}", directory.display())),
        _ => Ok(()),
    }
}

fn hosts(hostname: &str, address: Option<Ipv4Addr>) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    match address {
        Some(address) => text.push_str(&format!("{address}\t{hostname}\n")),
        // With the host's network, its own names hold.
        None => text = fs::read_to_string("/etc/hosts").unwrap_or(text),
    }
    text
}

fn resolver(own_network: bool) -> String {
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    // systemd-resolved keeps the real servers here.
    let behind = fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap_or_default();
    if own_network { reachable_resolver(&host, &behind) } else { host }
}

/// A resolver on the host's loopback cannot be reached from another network namespace.
fn reachable_resolver(host: &str, behind: &str) -> String {
    let loopback =
        |line: &str| line.strip_prefix("nameserver").is_some_and(|server| server.trim().starts_with("127.") || server.trim() == "::1");
    let has_server = |text: &str| text.lines().any(|line| line.starts_with("nameserver") && !loopback(line));
    let source = if has_server(host) || !has_server(behind) { host } else { behind };
    source.lines().filter(|line| !loopback(line)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_that_a_pod_can_reach() {
        let rows = [
            ("nameserver 192.0.2.1\nsearch x\n", "nameserver 192.0.2.9\n", "nameserver 192.0.2.1\nsearch x\n"),
            ("nameserver 127.0.0.53\nsearch x\n", "nameserver 192.0.2.9\n", "nameserver 192.0.2.9\n"),
            ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "", "nameserver 192.0.2.1\n"),
            ("nameserver ::1\n", "", ""),
            ("", "", ""),
        ];
        for (host, behind, expected) in rows {
            assert_eq!(reachable_resolver(host, behind), expected);
        }
    }

    #[test]
    fn a_pod_finds_itself() {
        assert!(hosts("web-0", Some(Ipv4Addr::new(10, 1, 2, 3))).ends_with("10.1.2.3\tweb-0\n"));
    }
}
