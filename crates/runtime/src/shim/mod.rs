//! The hidden `shim` command of the binary: one process per container that outlives the agent.
//!
//! In: a container directory with its intent. Out: the running container, its log, `running.json`, `exit.json`.
//! Never: starts a thread (libcontainer deadlocks beside threads, stack.md); returns into the normal program.

mod capabilities;
mod command;
mod confinement;
mod executor;
mod hierarchies;
mod inside_root;
mod log;
mod oci;
mod rootfs;
mod run;
mod seccomp;
mod seccomp_table;
mod supervise;
mod user;

use std::{ffi::OsString, path::PathBuf};

/// The first argument that makes the binary a shim.
pub const COMMAND: &str = "shim";

/// Call this first in `main`, with all arguments, before any thread exists. `None`: not a shim command, go on. Otherwise the exit code to end with.
pub fn dispatch(arguments: &[OsString]) -> Option<u8> {
    let mut arguments = arguments.iter().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let kind = arguments.next();
    let directory = arguments.next();
    match (kind.and_then(|kind| kind.to_str()), directory, arguments.next()) {
        (Some("container"), Some(directory), None) => Some(run::container(&PathBuf::from(directory))),
        _ => {
            eprintln!("{COMMAND}: expected `container DIRECTORY`; this command is internal");
            Some(2)
        }
    }
}

/// Deletes what a container without a shim wrote to its root filesystem.
pub(crate) fn discard_root(container: &std::path::Path) {
    rootfs::discard(container);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shim_commands_are_taken() {
        let of = |words: &[&str]| dispatch(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["piecework"]), None);
        assert_eq!(of(&["piecework", "server", "shim"]), None);
        assert_eq!(of(&["piecework", "shim"]), Some(2));
        assert_eq!(of(&["piecework", "shim", "container"]), Some(2));
        assert_eq!(of(&["piecework", "shim", "other", "/tmp"]), Some(2));
    }
}
