//! Containers from the agent's side: start once, wait, list, remove.
//!
//! In: container specifications and ids. Out: states read from the records that shims write.
//! Never: starts an id twice, whatever happened in between; waits by polling.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Shared, cgroup_tree, directories,
    launch::{self, Place, Reports},
    namespaces::Pins,
    records::{self, Intent, SandboxRecord},
    sandbox::{self, Machine},
};
use crate::{ContainerSpec, ContainerState, ContainerStatus, Error, Exit, SandboxStatus, error::Context as _};

/// How long a shim may take until its container runs or has failed to. After that it is killed and the container counts as lost.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The start error of a container whose shim ended before it could do anything.
const SHIM_VANISHED: &str = "the shim ended before it started the container: see shim.log in the container's directory";

impl Shared {
    /// Starts the container unless its id was started before.
    pub(super) async fn start(self: &Arc<Self>, spec: &ContainerSpec) -> Result<ContainerStatus, Error> {
        let sandbox_lock = self.locks.sandbox(&spec.sandbox);
        let _sandbox_stays = sandbox_lock.read().await;
        let container_lock = self.locks.container(&spec.id);
        let _alone = container_lock.write().await;
        let directory = self.directories.container(&spec.sandbox, &spec.id)?;
        let place = match Place::open(directory)? {
            Some(place) => place,
            None => blocking_intent(self.clone(), spec.clone()).await?,
        };
        let mut state = place.settle(&self.layout).await?;
        if state.is_none() {
            // No shim has claimed the intent, perhaps because an agent was killed right here. Another shim may be on its way:
            // whichever claims first runs the container, the other one ends.
            let refused = self.launch(&place).await;
            state = place.settle(&self.layout).await?;
            if state.is_none() {
                place.refuse(refused.err().map_or_else(|| SHIM_VANISHED.to_owned(), |error| error.to_string()))?;
                state = place.settle(&self.layout).await?;
            }
        }
        let state = state.ok_or_else(|| Error::Failed(format!("container {} was neither started nor given up", spec.id)))?;
        Ok(status_of(&place, state))
    }

    /// Starts a shim, makes the intent durable while the shim prepares, and waits for its first report.
    async fn launch(&self, place: &Place) -> Result<(), Error> {
        let (mut reports, go) = launch::spawn(&self.options.shim, &self.options.shim_args, &place.directory)?;
        let intent = place.directory.join(records::CONTAINER);
        let durable = super::blocking(move || records::sync(&intent).context(|| "sync container.json".into())).await;
        // Without the word of this process the shim syncs itself, and reports if it cannot.
        if durable.is_ok() {
            launch::go(go).await;
        }
        match tokio::time::timeout(START_TIMEOUT, reports.changed()).await {
            Ok(Ok(())) => {
                self.reports().insert(place.intent.spec.id.clone(), reports);
            }
            // The shim is gone, or leaves the container to another one.
            Ok(Err(_)) => {}
            Err(_) => place.give_up_start()?,
        }
        Ok(())
    }

    /// Writes the intent: from here on the id is taken. It is durable before anything runs: see `launch`.
    fn intend(&self, spec: &ContainerSpec) -> Result<Place, Error> {
        let sandbox_directory = self.directories.sandbox(&spec.sandbox)?;
        let sandbox = sandbox::record(&sandbox_directory)?.ok_or_else(|| Error::NotFound(spec.sandbox.clone()))?;
        let directory = self.directories.container(&spec.sandbox, &spec.id)?;
        let intent = Intent {
            spec: spec.clone(),
            hostname: sandbox.spec.hostname,
            namespaces: Pins::of(&sandbox_directory, sandbox.spec.own_network).paths(),
            cgroup: self.directories.cgroup_container(&spec.sandbox, &spec.id),
            etc: sandbox.etc,
        };
        fs::create_dir_all(&directory).context(|| format!("make {}", directory.display()))?;
        records::write(&directory.join(records::CONTAINER), &intent, false).context(|| "write container.json".into())?;
        self.index().insert(spec.id.clone(), spec.sandbox.clone());
        Ok(Place { directory, intent })
    }

    fn index(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<String, Reports>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, BTreeMap<String, (usize, Option<Exit>)>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a container by its id.
    pub(super) fn place(&self, id: &str) -> Result<Place, Error> {
        let missing = || Error::NotFound(id.to_owned());
        let known = self.index().get(id).cloned();
        if let Some(sandbox) = known {
            return Place::open(self.directories.container(&sandbox, id)?)?.ok_or_else(missing);
        }
        for sandbox in names(&self.directories.sandboxes())? {
            if let Some(place) = Place::open(self.directories.container(&sandbox, id)?)? {
                self.index().insert(id.to_owned(), sandbox);
                return Ok(place);
            }
        }
        Err(missing())
    }

    /// Resolves with the container's exit, also if its sandbox is removed meanwhile.
    pub(super) async fn wait(&self, id: &str) -> Result<Exit, Error> {
        let place = self.place(id)?;
        let _registered = Waiting::register(self, id);
        let reports = self.reports().get(id).cloned();
        let ended = place.ended(&self.layout, reports).await;
        self.reports().remove(id);
        // The directory may have been removed under our eyes; then the exit was left here.
        let kept = self.waiters().get(id).and_then(|(_, exit)| exit.clone());
        kept.map_or(ended, Ok)
    }

    /// All sandboxes with their settled containers.
    pub(super) async fn list(&self) -> Result<Vec<SandboxStatus>, Error> {
        let mut all = Vec::new();
        for id in names(&self.directories.sandboxes())? {
            let lock = self.locks.sandbox(&id);
            let _stays = lock.read().await;
            if let Some(record) = sandbox::record(&self.directories.sandbox(&id)?)? {
                all.push(self.status(&record).await?);
            }
        }
        Ok(all)
    }

    /// The sandbox with its containers; one that is just being started by this process is not there yet.
    pub(super) async fn status(&self, record: &SandboxRecord) -> Result<SandboxStatus, Error> {
        let mut containers = BTreeMap::new();
        for id in names(&self.directories.containers(&record.spec.id)?)? {
            let lock = self.locks.container(&id);
            let Ok(_nobody_starts_it) = lock.try_write() else { continue };
            if let Some(place) = Place::open(self.directories.container(&record.spec.id, &id)?)?
                && let Some(state) = place.settle(&self.layout).await?
            {
                containers.insert(id, status_of(&place, state));
            }
        }
        Ok(SandboxStatus {
            id: record.spec.id.clone(),
            ip: record.address.map(|address| address.to_string()),
            created_at: record.created_at,
            containers,
        })
    }

    /// Ends all containers of a sandbox and removes it. When this returns none of its processes is left and its id is free; its directory,
    /// namespaces, cgroups and address follow. Blocks.
    pub(super) fn remove(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        let directory = self.directories.sandbox(id)?;
        if !directory.exists() {
            return Ok(());
        }
        let record = sandbox::record(&directory)?;
        let exits = match recorded_exits(&directory)? {
            Some(exits) => exits,
            None => end_all(self.machine(), &directory, true)?,
        };
        for (container, exit) in exits {
            // For those who wait: the record is about to go.
            if let Some((_, kept)) = self.waiters().get_mut(&container) {
                *kept = Some(exit);
            }
        }
        self.throw_away(id, &directory, record.and_then(|record| record.address))?;
        self.index().retain(|_, sandbox| sandbox != id);
        // A closed channel belongs to a shim that is gone.
        self.reports().retain(|_, reports| reports.has_changed().is_ok());
        Ok(())
    }
}

fn places(sandbox: &Path) -> Result<Vec<Place>, Error> {
    let directory = sandbox.join(directories::CONTAINERS);
    let mut places = Vec::new();
    for container in names(&directory)? {
        places.extend(Place::open(directory.join(container))?);
    }
    Ok(places)
}

/// The exits of a sandbox's containers if all have ended: once an exit is recorded no process is left but the shim.
fn recorded_exits(sandbox: &Path) -> Result<Option<Vec<(String, Exit)>>, Error> {
    let mut exits = Vec::new();
    for place in places(sandbox)? {
        match place.exit()? {
            Some(exit) => exits.push((place.intent.spec.id.clone(), exit)),
            None => return Ok(None),
        }
    }
    Ok(Some(exits))
}

/// Kills all containers below a sandbox's directory and returns their exits once their shims are gone. `own_cgroups`: no other sandbox
/// has cgroups of the same names.
pub(super) fn end_all(machine: Machine<'_>, sandbox: &Path, own_cgroups: bool) -> Result<Vec<(String, Exit)>, Error> {
    let places = places(sandbox)?;
    // All at once, then wait for each: their shims wind up in parallel.
    for place in &places {
        place.signal(libc::SIGKILL)?;
        if own_cgroups {
            // Also what has not come as far as to be recorded.
            cgroup_tree::kill(machine.layout, &place.intent.cgroup)?;
        }
    }
    places.into_iter().map(|place| Ok((place.intent.spec.id.clone(), place.wind_up(machine.layout)?))).collect()
}

async fn blocking_intent(shared: Arc<Shared>, spec: ContainerSpec) -> Result<Place, Error> {
    super::blocking(move || shared.intend(&spec)).await
}

/// One caller that waits for a container, so that its exit is kept for it.
struct Waiting<'a> {
    shared: &'a Shared,
    id: String,
}

impl<'a> Waiting<'a> {
    fn register(shared: &'a Shared, id: &str) -> Self {
        shared.waiters().entry(id.to_owned()).or_insert((0, None)).0 += 1;
        Waiting { shared, id: id.to_owned() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiters = self.shared.waiters();
        if let Some((count, _)) = waiters.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiters.remove(&self.id);
            }
        }
    }
}

fn status_of(place: &Place, state: ContainerState) -> ContainerStatus {
    let spec = &place.intent.spec;
    ContainerStatus {
        id: spec.id.clone(),
        name: spec.name.clone(),
        attempt: spec.attempt,
        image: spec.image.clone(),
        image_id: spec.image_id.clone(),
        state,
    }
}

/// Names of the directories in a directory, sorted; none if it does not exist.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.context(|| format!("list {}", directory.display()))?,
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}
