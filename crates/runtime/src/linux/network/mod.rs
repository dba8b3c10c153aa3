//! The Pods' network on one machine: a bridge, a pair of interfaces per sandbox, addresses, masquerading.
//!
//! In: sandboxes that come and go. Out: an address for each, with the way out through the host.
//! Never: makes anything before the first sandbox needs it; leaves anything after the last is gone and `remove` was called.

mod nat;
mod netlink;
mod subnet;

use std::{collections::BTreeSet, fs, fs::File, net::Ipv4Addr, os::fd::AsRawFd, sync::Mutex};

use self::netlink::Netlink;
pub use self::subnet::Subnet;
use super::{directories::Directories, records};
use crate::{Error, error::Context as _};

/// Where the chosen network is kept, so that a restart does not move running Pods.
const RECORD: &str = "network.json";
/// The interface that a Pod sees.
const POD_INTERFACE: &str = "eth0";

/// The number that the loopback interface has in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// State of the Pod network.
pub struct Network {
    directories: Directories,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    subnet: Option<Subnet>,
    /// The bridge's number, once bridge and masquerading are in place.
    bridge: Option<u32>,
    used: BTreeSet<Ipv4Addr>,
    last: Option<Ipv4Addr>,
}

impl Network {
    /// `used`: addresses of the sandboxes on disk.
    pub fn new(directories: Directories, used: BTreeSet<Ipv4Addr>) -> Result<Self, Error> {
        let record = directories.root().join(RECORD);
        let subnet = records::read(&record).context(|| format!("read {}", record.display()))?;
        Ok(Network { directories, state: Mutex::new(State { subnet, used, ..State::default() }) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while the lock was held leaves at worst an address reserved.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reserves an address (`wanted`, if it is free or the sandbox had it before) and sees to the bridge.
    pub fn reserve(&self, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, Error> {
        let mut state = self.state();
        let subnet = self.ready(&mut state)?;
        let address = match wanted {
            Some(address) => address,
            None => subnet.allocate(&state.used, state.last).ok_or_else(|| {
                Error::Failed(format!(
                    "all {} addresses of the Pod network {}/{} are in use, which is also what one Linux bridge can take: \
                         wait for Pods to end, or use hostNetwork",
                    subnet.capacity(),
                    subnet.network,
                    subnet.prefix
                ))
            })?,
        };
        state.used.insert(address);
        state.last = Some(address);
        Ok(address)
    }

    fn ready(&self, state: &mut State) -> Result<Subnet, Error> {
        let subnet = match state.subnet {
            Some(subnet) => subnet,
            None => {
                let routes = fs::read_to_string("/proc/net/route").context(|| "read the host's routes".into())?;
                let subnet = Subnet::choose(self.directories.hash() >> 24, &routes)
                    .ok_or_else(|| Error::Unsupported("no free /22 network within 10.0.0.0/8 for Pods: check the host's routes".into()))?;
                let record = self.directories.root().join(RECORD);
                records::write(&record, &subnet, true).context(|| format!("write {}", record.display()))?;
                state.subnet = Some(subnet);
                subnet
            }
        };
        if state.bridge.is_none() {
            state.bridge = Some(self.make_bridge(subnet)?);
        }
        Ok(subnet)
    }

    fn make_bridge(&self, subnet: Subnet) -> Result<u32, Error> {
        let name = self.directories.bridge();
        let step = || format!("make bridge {name}");
        let mut netlink = Netlink::open().context(step)?;
        netlink.add_bridge(&name).context(step)?;
        let index = netlink.index(&name).context(step)?.ok_or_else(|| Error::Failed(format!("bridge {name} vanished")))?;
        netlink.add_address(index, subnet.gateway(), subnet.prefix).context(step)?;
        netlink.set_up(index).context(step)?;
        nat::install(&self.directories.nft_table(), subnet, &name)?;
        // Both the bridge and the interfaces that lead out must forward. Left on: other services may rely on it by now.
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").context(|| "enable forwarding".into())?;
        Ok(index)
    }

    /// Sets up the network namespace of the calling thread; `host_netlink` is in the host's.
    pub fn attach(&self, address: Ipv4Addr, host_netlink: &mut HostNetlink) -> Result<(), Error> {
        let (subnet, bridge) = {
            let state = self.state();
            match (state.subnet, state.bridge) {
                (Some(subnet), Some(bridge)) => (subnet, bridge),
                _ => return Err(Error::Failed("the Pod network is not set up".into())),
            }
        };
        let outer = self.directories.veth(address);
        let step = || format!("set up the network of {address}");
        let mut netlink = Netlink::open().context(step)?;
        netlink.set_up(LOOPBACK_INDEX).context(step)?;
        let own = File::open("/proc/thread-self/ns/net").context(step)?;
        let mut made = host_netlink.0.add_pair(&outer, bridge, POD_INTERFACE, own.as_raw_fd());
        if made.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EEXIST)) {
            // A leftover of a crash has the same name if it had the same address.
            host_netlink.0.delete(&outer).context(step)?;
            made = host_netlink.0.add_pair(&outer, bridge, POD_INTERFACE, own.as_raw_fd());
        }
        match made {
            Err(error) if error.raw_os_error() == Some(libc::EXFULL) => {
                return Err(Error::Failed(format!(
                    "bridge {} has no free port for {address}: a Linux bridge takes 1023, wait for Pods to end or use hostNetwork",
                    self.directories.bridge()
                )));
            }
            result => result.context(step)?,
        }
        let inner =
            netlink.index(POD_INTERFACE).context(step)?.ok_or_else(|| Error::Failed(format!("interface {POD_INTERFACE} vanished")))?;
        netlink.add_address(inner, address, subnet.prefix).context(step)?;
        netlink.set_up(inner).context(step)?;
        netlink.add_default_route(subnet.gateway()).context(step)
    }

    /// Frees the address of a sandbox whose namespaces have been let go. The kernel removes the interfaces with the namespace, many at a
    /// time; asking for each one here would hold the caller, and all other network changes, for 20 ms.
    pub fn release(&self, address: Ipv4Addr) {
        self.state().used.remove(&address);
    }

    /// Removes interfaces of this root that belong to no sandbox.
    pub fn collect_leaks(&self) -> Result<(), Error> {
        let expected: BTreeSet<String> = self.state().used.iter().map(|address| self.directories.veth(*address)).collect();
        delete_interfaces(&self.directories, &expected)
    }

    /// Removes bridge and masquerading if no sandbox is left.
    pub fn remove(&self) -> Result<(), Error> {
        let mut state = self.state();
        if !state.used.is_empty() {
            return Ok(());
        }
        let name = self.directories.bridge();
        let mut netlink = Netlink::open().context(|| format!("remove bridge {name}"))?;
        if netlink.index(&name).context(|| format!("look for bridge {name}"))?.is_some() {
            nat::remove(&self.directories.nft_table())?;
            netlink.delete(&name).context(|| format!("remove bridge {name}"))?;
        }
        state.bridge = None;
        // Whatever the kernel has not got round to.
        delete_interfaces(&self.directories, &BTreeSet::new())
    }
}

/// A socket in the host's network namespace, to be used from a thread that has left it.
pub struct HostNetlink(Netlink);

impl HostNetlink {
    /// Opens in the caller's namespace, the host's.
    pub fn open() -> Result<Self, Error> {
        Netlink::open().map(HostNetlink).context(|| "open netlink".into())
    }
}

/// Deletes this root's host-side interfaces except those in `keep`.
fn delete_interfaces(directories: &Directories, keep: &BTreeSet<String>) -> Result<(), Error> {
    let entries = fs::read_dir("/sys/class/net").context(|| "list interfaces".into())?;
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if name.starts_with(&directories.veth_prefix()) && !keep.contains(&name) {
            Netlink::open().and_then(|mut netlink| netlink.delete(&name)).context(|| format!("remove interface {name}"))?;
        }
    }
    Ok(())
}
