//! Where everything is: directories, cgroup paths and interface names of one runtime root.
//!
//! In: the root directory. Out: paths and names, the same after every restart. Pure except for one canonicalization.
//! Never: lets an id leave its directory.

use std::path::{Path, PathBuf};

use crate::Error;

/// Longest id: it becomes a file name with a suffix.
const MAX_ID_BYTES: usize = 230;
/// Below a sandbox's directory.
pub const CONTAINERS: &str = "containers";
/// Above all cgroups of all piecework servers on this machine.
pub const CGROUP_TOP: &str = "/piecework";

/// Names derived from one root directory.
#[derive(Debug, Clone)]
pub struct Directories {
    root: PathBuf,
    hash: u64,
}

impl Directories {
    /// `root` exists and is canonical.
    pub fn new(root: PathBuf) -> Self {
        let hash = fnv(root.as_os_str().as_encoded_bytes());
        Directories { root, hash }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Distinguishes this root's names on the machine.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    /// Where removed sandboxes wait for being cleared away.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    pub fn sandbox(&self, id: &str) -> Result<PathBuf, Error> {
        Ok(self.sandboxes().join(checked(id)?))
    }

    pub fn containers(&self, sandbox: &str) -> Result<PathBuf, Error> {
        Ok(self.sandbox(sandbox)?.join(CONTAINERS))
    }

    pub fn container(&self, sandbox: &str, id: &str) -> Result<PathBuf, Error> {
        Ok(self.containers(sandbox)?.join(checked(id)?))
    }

    /// Parent of this root's cgroups.
    pub fn cgroup_root(&self) -> String {
        format!("{CGROUP_TOP}/{:016x}", self.hash)
    }

    pub fn cgroup_sandbox(&self, sandbox: &str) -> String {
        format!("{}/{sandbox}", self.cgroup_root())
    }

    pub fn cgroup_container(&self, sandbox: &str, id: &str) -> String {
        format!("{}/{id}", self.cgroup_sandbox(sandbox))
    }

    /// The bridge; at most 15 characters, as all interface names.
    pub fn bridge(&self) -> String {
        format!("pw{:06x}b", self.hash & 0xff_ffff)
    }

    /// What the names of this root's host-side interfaces start with.
    pub fn veth_prefix(&self) -> String {
        format!("pw{:06x}v", self.hash & 0xff_ffff)
    }

    /// The host-side interface of the sandbox with this address; addresses are unique, so the names are.
    pub fn veth(&self, address: std::net::Ipv4Addr) -> String {
        let [_, _, c, d] = address.octets();
        format!("{}{c:02x}{d:02x}", self.veth_prefix())
    }

    pub fn nft_table(&self) -> String {
        format!("piecework_{:06x}", self.hash & 0xff_ffff)
    }
}

/// An id that is one harmless path component.
pub fn checked(id: &str) -> Result<&str, Error> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.starts_with('.') && id.bytes().all(harmless) {
        Ok(id)
    } else {
        Err(Error::Failed(format!("id {id:?} is not a path-safe word")))
    }
}

/// FNV-1a, 64 bits: names need a stable hash, not a strong one.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_one_component() {
        for id in ["a", "0b1c-x_y.z"] {
            assert!(checked(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", ".hidden", "a/b", "a b", "ä", &"x".repeat(231)] {
            assert!(checked(id).is_err(), "{id}");
        }
    }

    #[test]
    fn names_fit_and_differ() {
        let a = Directories::new("/var/lib/piecework/runtime".into());
        let b = Directories::new("/tmp/other".into());
        assert_ne!(a.hash(), b.hash());
        assert_ne!(a.bridge(), b.bridge());
        let veth = a.veth(std::net::Ipv4Addr::new(10, 1, 2, 254));
        assert!(veth.len() <= 15 && a.bridge().len() <= 15, "{veth}");
        assert!(veth.starts_with(&a.veth_prefix()) && !a.bridge().starts_with(&a.veth_prefix()));
        assert_eq!(a.container("s", "c").unwrap(), Path::new("/var/lib/piecework/runtime/sandboxes/s/containers/c"));
        assert!(a.container("../s", "c").is_err());
    }
}
