//! One container from intent to exit record.
//!
//! In: `container.json`. Out: one line on the report pipe (standard output) when the container runs or cannot, then the records on disk.
//! Never: runs a container that an agent has given up; leaves without an exit record unless it is killed.

use std::{
    fs,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use libcontainer::{container::builder::ContainerBuilder, syscall::syscall::SyscallType};
use nix::{sched::CloneFlags, unistd::Uid};

use super::{command::Report, executor::PieceworkExecutor, hierarchies, log::LogFile, oci, rootfs, supervise};
use crate::{
    Error, Exit, clock,
    error::Context as _,
    linux::{
        cgroup::Layout,
        cgroup_tree,
        process::ProcessIdentity,
        records::{self, Claim, Intent, Running},
    },
};

/// The shim is killed after everything else when the machine runs out of memory; its containers are not.
const SHIM_OOM_SCORE: &str = "-998";
/// The name of libcontainer's state directory and of the bundle inside the scratch.
const OCI: &str = "oci";

/// Runs the container of `directory`; the exit code of the shim process.
pub fn container(directory: &Path) -> u8 {
    match claim_and_run(directory) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("shim: {error}");
            1
        }
    }
}

fn claim_and_run(directory: &Path) -> Result<(), Error> {
    let intent: Intent = records::read(&directory.join(records::CONTAINER))
        .context(|| format!("read {}", directory.join(records::CONTAINER).display()))?
        .ok_or_else(|| Error::NotFound(directory.display().to_string()))?;
    let me = ProcessIdentity::of(std::process::id() as i32).context(|| "read own identity".into())?;
    if !records::claim(&directory.join(records::SHIM), &Claim::Shim(me)).context(|| "claim the container".into())? {
        return Err(Error::Failed(format!("container {} belongs to another shim or was given up", intent.spec.id)));
    }
    let go = take_input().context(|| "take the pipe from the agent".into())?;
    detach().context(|| "leave the agent's session".into())?;
    let mut layout = cgroup_tree::detect()?;
    let exit = match start(directory, &intent, &mut layout, go) {
        Ok(started) => {
            let running = started.running.clone();
            records::write(&directory.join(records::RUNNING), &running, false).context(|| "write running.json".into())?;
            report();
            let ending = supervise::until_exit(started.container)?;
            Exit {
                exit_code: ending.exit_code,
                signal: ending.signal,
                oom_killed: cgroup_tree::oom_kills(&layout, &intent.cgroup) > 0,
                start_error: None,
                lost: false,
                started_at: Some(running.started_at),
                finished_at: ending.finished_at,
                termination_message: rootfs::termination_message(directory),
            }
        }
        Err(error) => Exit::start_error(error.to_string(), clock::now()),
    };
    let recorded = records::write(&directory.join(records::EXIT), &exit, true).context(|| "write exit.json".into());
    report();
    clean_up(directory, &layout, &intent);
    recorded
}

struct Started {
    container: supervise::Supervised,
    running: Running,
    /// Held until the container has ended.
    _layers: Vec<fs::File>,
}

/// `layout` is changed to what reaches the cgroups from the mount namespace made here.
fn start(directory: &Path, intent: &Intent, layout: &mut Layout, go: fs::File) -> Result<Started, Error> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context(|| "make a mount namespace".into())?;
    let root = rootfs::mount(directory, &intent.spec)?;
    let taken_over = hierarchies::take_over(directory, layout)?;
    let cgroups_by_us = taken_over.is_some();
    if let Some(reachable) = taken_over {
        *layout = reachable;
    }
    let layout: &Layout = layout;
    let spec = oci::specification(directory, &root.path, intent, layout, cgroups_by_us)?;
    let bundle = directory.join(rootfs::SCRATCH).join(OCI);
    fs::create_dir_all(&bundle).context(|| format!("make {}", bundle.display()))?;
    spec.save(bundle.join("config.json")).map_err(|error| Error::Failed(format!("write the OCI specification: {error}")))?;

    let log = LogFile::open(&intent.spec.log_path).context(|| format!("open log {}", intent.spec.log_path.display()))?;
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    // Opening /dev/stdout checks the pipe's owner: it must be the container's user, as the other runtimes see to.
    let owner = spec.process().as_ref().map(|process| Uid::from_raw(process.user().uid()));
    for end in [&stdout_end, &stderr_end] {
        nix::unistd::fchown(end.as_raw_fd(), owner, None).context(|| "give the output to the container's user".into())?;
    }
    let (report, report_end) = Report::pair().context(|| "make a pipe".into())?;
    let executor = PieceworkExecutor::new(&intent.spec, &spec, report_end.as_raw_fd())?;

    let builder = ContainerBuilder::new("container".into(), SyscallType::Linux)
        .with_root_path(&bundle)
        .map_err(|error| Error::Failed(chain(&error)))?
        .with_executor(executor)
        .with_stdout(stdout_end)
        .with_stderr(stderr_end)
        .as_init(&bundle)
        .with_systemd(false)
        .with_detach(true);
    let visit = if cgroups_by_us { Some(hierarchies::enter(layout, &intent.cgroup)?) } else { None };
    let built = builder.build();
    let left = visit.map_or(Ok(()), hierarchies::Visit::leave);
    let mut container = built.map_err(|error| report.error_now().unwrap_or_else(|| Error::Failed(chain(&error))))?;
    drop(report_end);
    let pid = container.pid().ok_or_else(|| Error::Failed("libcontainer reports no process".into()))?.as_raw();
    let mut supervised = supervise::Supervised::new(pid, stdout, stderr, log)?;
    let begun = (|| {
        left?;
        cgroup_tree::limit(layout, &intent.cgroup, &intent.spec.resources, true)?;
        set_oom_score(pid, intent.spec.resources.oom_score_adj)?;
        let init = ProcessIdentity::of(pid).context(|| "read the container's identity".into())?;
        wait_durable(directory, go)?;
        container.start().map_err(|error| Error::Failed(chain(&error)))?;
        report.wait()?;
        Ok(Running { init, started_at: clock::now() })
    })();
    match begun {
        Ok(running) => Ok(Started { container: supervised, running, _layers: root.layers }),
        Err(error) => {
            supervised.kill();
            Err(error)
        }
    }
}

/// The pipe on which the agent says that the intent is durable. The container's standard input is /dev/null in its place.
fn take_input() -> io::Result<fs::File> {
    let pipe = io::stdin().as_fd().try_clone_to_owned()?;
    let nothing = fs::File::open("/dev/null")?;
    nix::unistd::dup2(nothing.as_raw_fd(), libc::STDIN_FILENO)?;
    Ok(fs::File::from(pipe))
}

/// Returns when the intent is durable: nothing of the container may run before. An agent that has ended, or could not, leaves it to us.
fn wait_durable(directory: &Path, mut go: fs::File) -> Result<(), Error> {
    match go.read(&mut [0]) {
        Ok(1) => Ok(()),
        _ => records::sync(&directory.join(records::CONTAINER)).context(|| "sync container.json".into()),
    }
}

/// Own session, no terminal, no signals meant for the agent's group, last to be killed for lack of memory.
fn detach() -> io::Result<()> {
    // Fails only if this process already leads a session, which is what is wanted.
    let _ = nix::unistd::setsid();
    std::env::set_current_dir("/")?;
    // Needs CAP_SYS_RESOURCE, which some machines withhold: the shim is small and rarely chosen without it too.
    let _ = fs::write("/proc/self/oom_score_adj", SHIM_OOM_SCORE);
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no handler; the process has one thread.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    Ok(())
}

/// Tells the waiting agent that the records on disk have news. An agent that is gone reads them later.
fn report() {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
}

fn set_oom_score(pid: i32, score: Option<i32>) -> Result<(), Error> {
    let own = fs::read_to_string("/proc/self/oom_score_adj").ok();
    // Containers do not inherit the shim's protection.
    let Some(score) = score.map(|score| score.to_string()).or_else(|| own.filter(|own| own.trim() == SHIM_OOM_SCORE).map(|_| "0".into()))
    else {
        return Ok(());
    };
    match fs::write(format!("/proc/{pid}/oom_score_adj"), &score) {
        // Lowering needs CAP_SYS_RESOURCE. The score is a hint for a case that limits should prevent: run without, and say so.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("shim: oom_score_adj {score} not set: {error} (needs CAP_SYS_RESOURCE)");
            Ok(())
        }
        result => result.context(|| format!("set oom_score_adj to {score}")),
    }
}

fn clean_up(directory: &Path, layout: &Layout, intent: &Intent) {
    let cgroup = cgroup_tree::kill(layout, &intent.cgroup).and_then(|()| cgroup_tree::remove(layout, &intent.cgroup));
    if let Err(error) = cgroup {
        eprintln!("shim: {error}");
    }
    rootfs::discard(directory);
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).context(|| "make a pipe".into())
}

/// An error with its causes on one line; libcontainer's outermost texts say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
