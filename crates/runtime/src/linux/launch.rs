//! Starting shims and reading what became of their containers.
//!
//! In: a container directory. Out: its state, now or when it is settled; a recorded exit when it has ended.
//! Never: starts a second shim for a directory; decides that a container is lost while its shim may still be alive.

use std::{
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
};

use super::{
    cgroup::Layout,
    cgroup_tree,
    process::{self, ProcessIdentity},
    records::{self, Claim, Intent, Running},
    watch::DirectoryWatch,
};
use crate::{ContainerState, Error, Exit, clock, error::Context as _};

/// Where the shim writes what nobody else reports.
const SHIM_LOG: &str = "shim.log";
/// How long a shim may take to record the exit of a container that was killed, in milliseconds, before it is killed too.
const SHIM_WIND_UP_MS: u16 = 10_000;

/// Wakes up when a shim that this process started has written a record; closed when the shim has nothing more to report.
pub type Reports = tokio::sync::watch::Receiver<()>;

/// Tells a shim that the intent is durable, so that it may run the program. A shim that is gone needs no word.
pub async fn go(mut pipe: Option<ChildStdin>) {
    if let Some(pipe) = &mut pipe {
        let _ = pipe.write_all(b"\n").await;
    }
}

/// Starts the shim; it outlives this process. The first report comes when its container runs or has failed to. Before it runs the program
/// it waits for `go`, or for this process to end.
pub fn spawn(program: &Path, arguments: &[String], directory: &Path) -> Result<(Reports, Option<ChildStdin>), Error> {
    let log = directory.join(SHIM_LOG);
    let log = File::create(&log).context(|| format!("make {}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg("container")
        .arg(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .current_dir("/");
    let mut child = command.spawn().context(|| format!("start the shim {}", program.display()))?;
    let go = child.stdin.take();
    let (sender, reports) = tokio::sync::watch::channel(());
    tokio::spawn(async move {
        if let Some(mut pipe) = child.stdout.take() {
            // One byte: a record was written. End of file: the last one was. Either way the records tell what.
            let mut byte = [0];
            while matches!(pipe.read(&mut byte).await, Ok(1)) {
                sender.send_replace(());
            }
        }
        drop(sender);
        // This process is the parent and reaps, so that no zombie depends on what process 1 of the machine does.
        let _ = child.wait().await;
    });
    Ok((reports, go))
}

/// What the records say at this moment.
#[derive(Debug)]
enum Seen {
    Known(ContainerState),
    /// A live shim has not reported yet.
    Starting(ProcessIdentity),
    /// Nobody has claimed the intent.
    Unclaimed,
    /// The shim is gone and left no exit.
    Orphaned,
}

/// One container's directory and cgroup.
pub struct Place {
    pub directory: PathBuf,
    pub intent: Intent,
}

impl Place {
    /// `None`: there is no such container.
    pub fn open(directory: PathBuf) -> Result<Option<Self>, Error> {
        let intent = read(&directory, records::CONTAINER)?;
        Ok(intent.map(|intent| Place { directory, intent }))
    }

    fn look(&self) -> Result<Seen, Error> {
        if let Some(exit) = self.exit()? {
            return Ok(Seen::Known(ContainerState::Exited(exit)));
        }
        let shim = match read(&self.directory, records::SHIM)? {
            // A crash of the machine kept the claim's name but not its content.
            None if std::fs::metadata(self.directory.join(records::SHIM)).is_ok_and(|file| file.len() == 0) => return Ok(Seen::Orphaned),
            None => return Ok(Seen::Unclaimed),
            Some(Claim::Abandoned) => return Ok(Seen::Orphaned),
            Some(Claim::Shim(shim)) => shim,
        };
        let alive = shim.open().context(|| "look for the shim".into())?;
        // Only now: a record that appeared before the shim ended counts.
        if let Some(exit) = self.exit()? {
            return Ok(Seen::Known(ContainerState::Exited(exit)));
        }
        let running: Option<Running> = read(&self.directory, records::RUNNING)?;
        Ok(match (alive, running) {
            (Some(_), Some(running)) if alive_now(&shim)? => Seen::Known(ContainerState::Running { started_at: running.started_at }),
            (Some(_), None) if alive_now(&shim)? => Seen::Starting(shim),
            _ => match self.exit()? {
                Some(exit) => Seen::Known(ContainerState::Exited(exit)),
                None => Seen::Orphaned,
            },
        })
    }

    /// The recorded exit.
    pub fn exit(&self) -> Result<Option<Exit>, Error> {
        read(&self.directory, records::EXIT)
    }

    /// The state, once it is certain: waits for a shim that is starting, ends what lost its shim. `None`: no shim has claimed the
    /// container, so nothing of it has run.
    pub async fn settle(&self, layout: &Layout) -> Result<Option<ContainerState>, Error> {
        loop {
            match self.look()? {
                Seen::Known(state) => return Ok(Some(state)),
                Seen::Starting(shim) => self.news(&shim).await?,
                Seen::Unclaimed => return Ok(None),
                Seen::Orphaned => {
                    let (layout, cgroup, directory) = (layout.clone(), self.intent.cgroup.clone(), self.directory.clone());
                    return super::blocking(move || lose(&directory, &cgroup, &layout)).await.map(ContainerState::Exited).map(Some);
                }
            }
        }
    }

    /// Resolves when the container has ended and its record is durable. Without reports (another process started the shim) that is
    /// when the shim has ended.
    pub async fn ended(&self, layout: &Layout, mut reports: Option<Reports>) -> Result<Exit, Error> {
        loop {
            if let Some(reports) = &mut reports {
                // Before looking: a report that comes after this is news.
                reports.mark_unchanged();
            }
            match self.settle(layout).await? {
                Some(ContainerState::Exited(exit)) => return Ok(exit),
                Some(ContainerState::Running { .. }) => {}
                None => return Err(Error::NotFound(self.intent.spec.id.clone())),
            }
            let Some(Claim::Shim(shim)) = read(&self.directory, records::SHIM)? else { continue };
            let Some(handle) = shim.open().context(|| "look for the shim".into())? else { continue };
            tokio::select! {
                biased;
                open = next(&mut reports) => if !open { reports = None },
                ended = process::ended(handle) => ended.context(|| "wait for a container".into())?,
            }
        }
    }

    /// Waits until a shim that another process started writes a record or ends. Only then a directory watch: closing one takes the kernel
    /// 10-20 ms.
    async fn news(&self, shim: &ProcessIdentity) -> Result<(), Error> {
        let watch = DirectoryWatch::new(&self.directory).context(|| format!("watch {}", self.directory.display()))?;
        if !matches!(self.look()?, Seen::Starting(_)) {
            return Ok(());
        }
        let Some(handle) = shim.open().context(|| "look for the shim".into())? else { return Ok(()) };
        tokio::select! {
            biased;
            changed = watch.changed() => changed,
            ended = process::ended(handle) => ended,
        }
        .context(|| "wait for a container".into())
    }

    /// Ends a shim that does not get its container started.
    pub fn give_up_start(&self) -> Result<(), Error> {
        match read(&self.directory, records::SHIM)? {
            Some(Claim::Shim(shim)) => {
                if let Some(handle) = shim.open().context(|| "look for the shim".into())? {
                    process::send_signal(handle.as_fd(), libc::SIGKILL).context(|| "kill a shim that hangs".into())?;
                    process::wait_ended(handle.as_fd(), SHIM_WIND_UP_MS).context(|| "wait for a shim that hangs".into())?;
                }
                Ok(())
            }
            // Not even claimed: from now on it cannot be.
            _ => {
                records::claim(&self.directory.join(records::SHIM), &Claim::Abandoned).map(|_| ()).context(|| "give up a container".into())
            }
        }
    }

    /// Records that no process could be started, unless a late shim has claimed the container meanwhile.
    pub fn refuse(&self, why: String) -> Result<(), Error> {
        let step = || "give up a container".into();
        if records::claim(&self.directory.join(records::SHIM), &Claim::Abandoned).context(step)? {
            records::write(&self.directory.join(records::EXIT), &Exit::start_error(why, clock::now()), true).context(step)?;
        }
        Ok(())
    }

    /// After its processes were killed: waits for the shim to record the exit and to end. Blocks.
    pub fn wind_up(&self, layout: &Layout) -> Result<Exit, Error> {
        // Mostly there is a shim; then nothing has to be written.
        if read::<Claim>(&self.directory, records::SHIM)?.is_none() {
            records::claim(&self.directory.join(records::SHIM), &Claim::Abandoned).context(|| "give up a container".into())?;
        }
        if let Some(Claim::Shim(shim)) = read(&self.directory, records::SHIM)?
            && let Some(handle) = shim.open().context(|| "look for the shim".into())?
        {
            let step = || format!("wait for the shim of {}", self.intent.spec.id);
            if !process::wait_ended(handle.as_fd(), SHIM_WIND_UP_MS).context(step)? {
                process::send_signal(handle.as_fd(), libc::SIGKILL).context(step)?;
                process::wait_ended(handle.as_fd(), SHIM_WIND_UP_MS).context(step)?;
            }
        }
        match self.exit()? {
            Some(exit) => Ok(exit),
            None => lose(&self.directory, &self.intent.cgroup, layout),
        }
    }

    /// Signals the first process; nothing happens if it has ended.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        if let Some(running) = read::<Running>(&self.directory, records::RUNNING)? {
            running.init.signal(signal).context(|| format!("signal container {}", self.intent.spec.id))?;
        }
        Ok(())
    }
}

fn lose(directory: &Path, cgroup: &str, layout: &Layout) -> Result<Exit, Error> {
    let running: Option<Running> = read(directory, records::RUNNING)?;
    if let Some(running) = &running {
        // Most likely also in the cgroup, unless that is gone.
        running.init.signal(libc::SIGKILL).context(|| "kill a container without a shim".into())?;
    }
    cgroup_tree::kill(layout, cgroup)?;
    cgroup_tree::remove(layout, cgroup)?;
    crate::shim::discard_root(directory);
    let exit = Exit::lost(running.map(|running| running.started_at), clock::now());
    records::write(&directory.join(records::EXIT), &exit, true).context(|| "write exit.json".into())?;
    Ok(exit)
}

/// The next report; false when there will be none, never without reports.
async fn next(reports: &mut Option<Reports>) -> bool {
    match reports {
        Some(reports) => reports.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

/// A pidfd exists as long as the process is not reaped; a zombie shim will not write anything any more.
fn alive_now(shim: &ProcessIdentity) -> Result<bool, Error> {
    match shim.open().context(|| "look for the shim".into())? {
        Some(handle) => Ok(!process::wait_ended(handle.as_fd(), 0).context(|| "look for the shim".into())?),
        None => Ok(false),
    }
}

fn read<T: serde::de::DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<T>, Error> {
    records::read(&directory.join(name)).context(|| format!("read {name} of {}", directory.display()))
}
