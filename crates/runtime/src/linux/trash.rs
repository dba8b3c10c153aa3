//! Removed sandboxes whose remains are still to be cleared away: nobody has to wait for that.
//!
//! In: sandboxes without processes, moved aside by one rename. Out: nothing left of them, and their addresses free again.
//! Never: forgets one (what a crash leaves is in the trash directory and cleared at the next start); grows without bound.

use std::{
    collections::VecDeque,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Shared,
    containers::{self, names},
    sandbox::{self, Machine},
};
use crate::{Error, error::Context as _};

/// Removed sandboxes that may await clearing; a removal beyond that waits for one to be cleared.
const MAX_WAITING: usize = 256;

/// What is left of one sandbox.
struct Remains {
    id: String,
    directory: PathBuf,
    address: Option<Ipv4Addr>,
}

/// The queue. One worker at most, only while there is something to do.
#[derive(Default)]
pub struct Trash {
    state: Mutex<State>,
    /// Something was cleared away.
    cleared: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Remains>,
    /// What the worker is at.
    current: Option<String>,
    worker: bool,
}

impl Trash {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        self.cleared.wait_while(self.state(), condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when nothing of an earlier sandbox with this id is being cleared away: its cgroup has the same name. Blocks.
    pub fn settle(&self, id: &str) {
        drop(self.wait_while(|state| state.current.as_deref() == Some(id) || state.waiting.iter().any(|remains| remains.id == id)));
    }
}

impl Shared {
    /// Moves a sandbox without processes aside, to be cleared away later. Blocks only when the queue is full.
    pub(super) fn throw_away(self: &Arc<Self>, id: &str, directory: &Path, address: Option<Ipv4Addr>) -> Result<(), Error> {
        let aside = move_aside(&self.directories.trash(), id, directory)?;
        let mut state = self.trash.wait_while(|state| state.worker && state.waiting.len() >= MAX_WAITING);
        state.waiting.push_back(Remains { id: id.to_owned(), directory: aside, address });
        let idle = !std::mem::replace(&mut state.worker, true);
        drop(state);
        if idle {
            let shared = self.clone();
            // Called on a thread of the runtime's pool for blocking work, so there is a runtime.
            tokio::task::spawn_blocking(move || shared.clear_away());
        }
        Ok(())
    }

    /// Works until nothing is left.
    fn clear_away(&self) {
        loop {
            let mut state = self.trash.state();
            state.current = None;
            let next = state.waiting.pop_front();
            match &next {
                Some(remains) => state.current = Some(remains.id.clone()),
                None => state.worker = false,
            }
            drop(state);
            self.trash.cleared.notify_all();
            let Some(remains) = next else { return };
            if let Err(error) = clear_one(self.machine(), &remains, false) {
                tracing::warn!(sandbox = remains.id, %error, "the remains of a removed sandbox are left until the next start");
            }
        }
    }

    /// Returns when all that was thrown away so far has been cleared away. Blocks.
    pub(super) fn wait_cleared(&self) {
        drop(self.trash.wait_while(|state| state.worker));
    }
}

/// Clears what an earlier process had no time for; `kept`: is there a sandbox with this id again?
pub fn recover(machine: Machine<'_>, kept: impl Fn(&str) -> bool) -> Result<(), Error> {
    let trash = machine.directories.trash();
    for name in names(&trash)? {
        let id = name.rsplit_once('.').map_or(name.as_str(), |(id, _)| id).to_owned();
        let in_use = kept(&id);
        // Its address was not counted as used by this process, so there is none to free.
        clear_one(machine, &Remains { id, directory: trash.join(&name), address: None }, in_use)?;
    }
    Ok(())
}

fn clear_one(machine: Machine<'_>, remains: &Remains, id_in_use: bool) -> Result<(), Error> {
    // Shims that have recorded the exit and are winding up.
    containers::end_all(machine, &remains.directory, !id_in_use)?;
    if id_in_use {
        sandbox::discard(machine, &remains.directory, remains.address)
    } else {
        sandbox::tear_down(machine, &remains.id, &remains.directory, remains.address)
    }
}

/// Renames into the trash; the namespaces pinned inside move along.
fn move_aside(trash: &Path, id: &str, directory: &Path) -> Result<PathBuf, Error> {
    let mut number = 0u32;
    loop {
        let aside = trash.join(format!("{id}.{number}"));
        // Only after a failed clearing is the first name taken.
        if aside.exists() {
            number += 1;
            continue;
        }
        return fs::rename(directory, &aside).map(|()| aside).context(|| format!("move {} to the trash", directory.display()));
    }
}
