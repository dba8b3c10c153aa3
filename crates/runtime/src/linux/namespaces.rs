//! A sandbox's network, ipc and uts namespaces: made on a thread of their own, kept by bind mounts.
//!
//! In: a hostname and what to set up inside. Out: files that pin the namespaces, for containers to join.
//! Never: changes a namespace of the agent (the thread ends with its own); keeps a process: a pinned namespace costs no memory, has nothing
//! that can be killed, and is still there after the agent is gone. Its price is up to three lines in the host's mount table.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statfs::{FsType, statfs},
};

use crate::{Error, error::Context as _};

const NETWORK: &str = "net";
/// All kinds that there may be.
const KINDS: &[&str] = &["ipc", "uts", NETWORK];
/// Before the kind in the name of a pin.
const PREFIX: &str = "namespace-";
/// Magic number of the filesystem that namespaces are files of.
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// The files that pin a sandbox's namespaces.
#[derive(Debug, Clone)]
pub struct Pins {
    directory: PathBuf,
    own_network: bool,
}

impl Pins {
    pub fn of(sandbox: &Path, own_network: bool) -> Self {
        Pins { directory: sandbox.to_owned(), own_network }
    }

    fn kinds(&self) -> &'static [&'static str] {
        if self.own_network { KINDS } else { &KINDS[..2] }
    }

    fn pin(&self, kind: &str) -> PathBuf {
        self.directory.join(format!("{PREFIX}{kind}"))
    }

    /// Kind and file of each.
    pub fn paths(&self) -> Vec<(String, PathBuf)> {
        self.kinds().iter().map(|kind| ((*kind).to_owned(), self.pin(kind))).collect()
    }

    /// Are all in place? Not after a reboot.
    pub fn complete(&self) -> bool {
        self.paths().iter().all(|(_, path)| statfs(path).is_ok_and(|status| status.filesystem_type() == NSFS_MAGIC))
    }

    /// Makes the namespaces. `inside` runs in them; `meanwhile` runs at the same time on the
    /// caller's thread.
    pub fn make<T>(
        &self,
        hostname: &str,
        inside: impl FnOnce() -> Result<(), Error> + Send,
        meanwhile: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let mut flags = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
                if self.own_network {
                    flags |= CloneFlags::CLONE_NEWNET;
                }
                unshare(flags).context(|| "make namespaces".into())?;
                nix::unistd::sethostname(hostname).context(|| format!("set hostname {hostname:?}"))?;
                for (kind, path) in self.paths() {
                    File::create(&path).context(|| format!("make {}", path.display()))?;
                    let own = format!("/proc/thread-self/ns/{kind}");
                    mount(Some(own.as_str()), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                        .context(|| format!("pin namespace {}", path.display()))?;
                }
                if self.own_network { inside() } else { Ok(()) }
            });
            let meanwhile = meanwhile();
            let made = work.join().unwrap_or_else(|_| Err(Error::Failed("the thread that makes namespaces panicked".into())));
            made.and(meanwhile)
        })
    }

    /// Lets go of the namespaces; the kernel removes them with their last process.
    pub fn release(&self) -> Result<(), Error> {
        for kind in KINDS {
            let path = self.pin(kind);
            match umount2(&path, MntFlags::MNT_DETACH) {
                // EINVAL: no mount, as after a reboot or half a set-up.
                Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(error).context(|| format!("unmount {}", path.display())),
            }
            // Deleting the file also drops copies of the mount in other mount namespaces, such as those of running shims.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).context(|| format!("delete {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
