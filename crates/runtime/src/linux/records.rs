//! The files that carry a container's life across crashes, and how they are written.
//!
//! In: specifications from the agent, facts from the shim. Out: the same, read back by whoever comes later.
//! Never: leaves a half-written file (write aside, sync, rename); never rewrites `shim.json`: whoever creates it owns the container's fate.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::process::ProcessIdentity;

/// The container's specification; written by the agent before the shim is started, durable before the container's program is.
pub const CONTAINER: &str = "container.json";
/// Who decides this container's fate; created once, by the shim or by an agent that gives the container up.
pub const SHIM: &str = "shim.json";
/// The container's first process; written by the shim when it runs.
pub const RUNNING: &str = "running.json";
/// How it ended; written by the shim, or by the agent when the shim is gone.
pub const EXIT: &str = "exit.json";
/// The sandbox's specification and address.
pub const SANDBOX: &str = "sandbox.json";

/// The container with what the shim has to know about its sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    pub spec: crate::ContainerSpec,
    pub hostname: String,
    /// Joined namespaces, by kind (`net`, `ipc`, `uts`): files that pin them. No `net` with the host's network.
    pub namespaces: Vec<(String, PathBuf)>,
    /// `/piecework/<root>/<pod>/<container>` below each cgroup mount.
    pub cgroup: String,
    pub etc: Vec<EtcFile>,
}

/// A file that all containers of a Pod get over their image's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EtcFile {
    /// Absolute, in the container.
    pub target: String,
    pub content: String,
}

/// Content of `shim.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Claim {
    Shim(ProcessIdentity),
    /// An agent found the intent without a shim and gave up on it: a late shim must not run it.
    Abandoned,
}

/// Content of `running.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub init: ProcessIdentity,
    pub started_at: Timestamp,
}

/// Content of `sandbox.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub spec: crate::SandboxSpec,
    pub address: Option<std::net::Ipv4Addr>,
    pub created_at: Timestamp,
    pub etc: Vec<EtcFile>,
}

/// Reads a record; `Ok(None)` if the file does not exist. One that breaks off, or is empty, was never durable: that is what a crash of the
/// machine makes of a file whose name reached the disk before its content, and nothing was done that relied on it.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is_eof() => Ok(None),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces `path` so that a crash, of the machine too if `durable`, leaves the old or the new content.
pub fn write<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let aside = write_aside(path, value, durable)?;
    fs::rename(&aside, path)?;
    if durable {
        sync_directory(path)?;
    }
    Ok(())
}

/// A durable record that nobody can see yet.
pub struct Prepared {
    aside: PathBuf,
    path: PathBuf,
}

/// The slow half of a durable `write`.
pub fn prepare<T: Serialize>(path: &Path, value: &T) -> io::Result<Prepared> {
    Ok(Prepared { aside: write_aside(path, value, true)?, path: path.to_owned() })
}

impl Prepared {
    /// The other half: when this returns the record is there for good.
    pub fn publish(self) -> io::Result<()> {
        fs::rename(&self.aside, &self.path)?;
        sync_directory(&self.path)
    }
}

/// Makes a record that was written without `durable` survive a crash of the machine.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_directory(path)
}

/// Creates `path` if nobody else has: `Ok(false)` if it exists. The content is complete as soon as the name is there.
pub fn claim<T: Serialize>(path: &Path, value: &T) -> io::Result<bool> {
    let aside = write_aside(path, value, false)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_aside<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<PathBuf> {
    // The process id keeps a shim and an agent from writing the same file aside.
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = File::create(&aside)?;
    file.write_all(&serde_json::to_vec(value).map_err(io::Error::other)?)?;
    if durable {
        file.sync_data()?;
    }
    Ok(aside)
}

/// Makes the names in the directory of `path` durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_claim_is_won_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SHIM);
        assert!(claim(&path, &Claim::Abandoned).unwrap());
        let late = Claim::Shim(ProcessIdentity { pid: 7, start_time: 1, boot: "b".into() });
        assert!(!claim(&path, &late).unwrap());
        assert_eq!(read::<Claim>(&path).unwrap(), Some(Claim::Abandoned));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_missing_record_is_none_and_a_broken_one_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RUNNING);
        assert_eq!(read::<Running>(&path).unwrap(), None);
        for (content, broken) in [("", false), ("{", false), ("{\"init\": {\"pid\": 1", false), ("{]", true), ("[]", true), ("{}", true)] {
            fs::write(&path, content).unwrap();
            assert_eq!(read::<Running>(&path).is_err(), broken, "{content}");
        }
    }
}
