//! The container's root filesystem: an overlay of the image's layers and a directory of its own, and the termination message.
//!
//! In: layer directories, lowest first. Out: the mount point, in a mount namespace that nobody else sees and that dies with the shim.
//! Never: mounts into the host's mount table; follows a path that the container controls.

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount as mount_filesystem};

use crate::{ContainerSpec, Error, error::Context as _};

/// What a container may leave as its last words, in bytes (upstream's limit).
pub const MAX_TERMINATION_MESSAGE_BYTES: u64 = 4096;
const ROOT: &str = "rootfs";
const UPPER: &str = "upper";
const WORK: &str = "work";
const LINKS: &str = "layers";
/// The file bound over the termination message path.
pub const TERMINATION_MESSAGE: &str = "termination-message";

/// Mounts the overlay; the caller has a mount namespace of its own.
pub fn mount(directory: &Path, spec: &ContainerSpec) -> Result<PathBuf, Error> {
    // Nothing mounted here reaches the host; unmounts of the host still reach us.
    mount_filesystem(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context(|| "make mounts private".into())?;
    for name in [ROOT, UPPER, WORK, LINKS] {
        let path = directory.join(name);
        fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
    }
    // The upper directory is the root directory that the container sees.
    fs::set_permissions(directory.join(UPPER), fs::Permissions::from_mode(0o755)).context(|| "set mode of the root directory".into())?;
    if spec.termination_message_path.is_some() {
        let path = directory.join(TERMINATION_MESSAGE);
        fs::write(&path, b"").context(|| format!("make {}", path.display()))?;
        // Any user of the container may write it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).context(|| format!("set mode of {}", path.display()))?;
    }
    let root = directory.join(ROOT);
    let lower = link_layers(directory, &spec.layers)?;
    std::env::set_current_dir(directory).context(|| format!("enter {}", directory.display()))?;
    let options = format!("lowerdir={lower},upperdir={UPPER},workdir={WORK}");
    // The upper directory dies with the container, so it need not reach the disk (kernel 5.10; measured: 10 ms saved per container on ext4).
    let mounted = overlay(&root, &format!("{options},volatile")).or_else(|_| overlay(&root, &options));
    std::env::set_current_dir("/").context(|| "enter /".into())?;
    mounted
        .context(|| format!("mount an overlay in {} (its filesystem must allow that: ext4, xfs, btrfs or tmpfs)", directory.display()))?;
    Ok(root)
}

fn overlay(root: &Path, options: &str) -> nix::Result<()> {
    mount_filesystem(Some("overlay"), root, Some("overlay"), MsFlags::empty(), Some(options))
}

/// Short names for the layers: mount options must fit a page and must not contain separators. Highest first, as the overlay wants it.
fn link_layers(directory: &Path, layers: &[PathBuf]) -> Result<String, Error> {
    let links = directory.join(LINKS);
    let mut names = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let target = fs::canonicalize(layer).context(|| format!("find image layer {}", layer.display()))?;
        symlink(&target, links.join(index.to_string())).context(|| format!("link image layer {}", layer.display()))?;
        names.push(format!("{LINKS}/{index}"));
    }
    if names.is_empty() {
        let empty = links.join("empty");
        fs::create_dir_all(&empty).context(|| format!("make {}", empty.display()))?;
        names.push(format!("{LINKS}/empty"));
    }
    names.reverse();
    Ok(names.join(":"))
}

/// What the container left at its termination message path. The file is ours and bound into the container, so no link of its making counts.
pub fn termination_message(directory: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(directory.join(TERMINATION_MESSAGE)) else { return String::new() };
    match file.take(MAX_TERMINATION_MESSAGE_BYTES).read_to_end(&mut bytes) {
        Ok(_) => {
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            // Replacement characters may have made it longer than what was read.
            while text.len() as u64 > MAX_TERMINATION_MESSAGE_BYTES {
                text.pop();
            }
            text
        }
        Err(_) => String::new(),
    }
}

/// Unmounts and deletes what the container wrote.
pub fn discard(directory: &Path) {
    let _ = nix::mount::umount2(&directory.join(ROOT), nix::mount::MntFlags::MNT_DETACH);
    for name in [ROOT, UPPER, WORK, LINKS] {
        let _ = fs::remove_dir_all(directory.join(name));
    }
}
