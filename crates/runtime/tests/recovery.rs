//! What survives kill -9 of the agent, of the shim, and what is cleaned up afterwards.
//!
//! In: agents in processes of their own (this test binary again), killed. Out: a second runtime on the same root.
//! Never: relies on time: the stand-in says on its output when it has come so far.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use piecework_runtime::{ContainerState, Error, Mount, Runtime, linux::LinuxRuntime};
use support::{Node, container, options, sandbox, unable};

const STAND_IN: &str = "RUNTIME_TEST_AGENT_ROOT";

/// Not a test by itself: the agent that the tests below kill. Starts one container and waits for ever.
#[tokio::test]
async fn agent_stand_in() {
    let Ok(root) = std::env::var(STAND_IN) else { return };
    let root = PathBuf::from(root);
    let runtime = LinuxRuntime::open(options(&root)).unwrap();
    runtime.create_sandbox(&sandbox("p", true)).await.unwrap();
    runtime.start_container(&long(&root)).await.unwrap();
    println!("\nSTARTED");
    std::future::pending::<()>().await;
}

/// Runs until a line is written into its pipe, and leaves its mark each time it is started.
fn long(root: &Path) -> piecework_runtime::ContainerSpec {
    let mut spec =
        container(root, "p", "long", &["sh", "-c", "echo ran >> /v/runs; echo begun; read code < /v/pipe; echo ending; exit $code"]);
    spec.mounts = vec![Mount { source: root.join("volume"), target: "/v".into(), read_only: false }];
    spec
}

fn prepare(name: &str) -> PathBuf {
    let root = PathBuf::from(format!("/tmp/runtime/{name}-{}", std::process::id()));
    fs::create_dir_all(root.join("logs")).unwrap();
    fs::create_dir_all(root.join("volume")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("volume/pipe")).status().unwrap().success());
    support::busybox();
    root
}

/// Starts the stand-in and kills it once its container runs.
fn run_and_kill_agent(root: &Path) {
    let mut agent: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agent_stand_in", "--nocapture"])
        .env(STAND_IN, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = BufReader::new(agent.stdout.take().unwrap()).lines().any(|line| line.unwrap() == "STARTED");
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(started, "the stand-in started a container");
}

async fn reopen(root: &Path) -> Node {
    let runtime = LinuxRuntime::open(options(root)).unwrap();
    Node { root: root.to_owned(), runtime }
}

#[tokio::test]
async fn a_container_survives_its_agent() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("survive");
    run_and_kill_agent(&root);
    let node = reopen(&root).await;
    let spec = long(&root);
    let list = node.runtime.list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert!(list[0].ip.is_some());
    let status = &list[0].containers[&spec.id];
    assert!(matches!(status.state, ContainerState::Running { .. }), "{status:?}");
    assert_eq!(&node.runtime.start_container(&spec).await.unwrap(), status, "not started again");
    let waiting = tokio::spawn({
        let (runtime, id) = (node.runtime.clone(), spec.id.clone());
        async move { runtime.wait_container(&id).await.unwrap() }
    });
    tokio::task::yield_now().await;
    fs::write(root.join("volume/pipe"), "5\n").unwrap();
    let exit = waiting.await.unwrap();
    assert_eq!((exit.exit_code, exit.lost), (5, false));
    assert_eq!(node.log(&spec), "begun\nending\n");
    assert_eq!(fs::read_to_string(root.join("volume/runs")).unwrap(), "ran\n");
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn an_exit_without_an_agent_is_known_later() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("later");
    run_and_kill_agent(&root);
    fs::write(root.join("volume/pipe"), "6\n").unwrap();
    let node = reopen(&root).await;
    assert_eq!(node.runtime.wait_container(&long(&root).id).await.unwrap().exit_code, 6);
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn a_killed_shim_is_a_lost_container() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("lost");
    let node = reopen(&root).await;
    node.sandbox("p", false).await;
    let spec = long(&root);
    node.runtime.start_container(&spec).await.unwrap();
    let directory = root.join("runtime/sandboxes/p/containers").join(&spec.id);
    let shim: serde_json::Value = serde_json::from_slice(&fs::read(directory.join("shim.json")).unwrap()).unwrap();
    let running: serde_json::Value = serde_json::from_slice(&fs::read(directory.join("running.json")).unwrap()).unwrap();
    let waiting = tokio::spawn({
        let (runtime, id) = (node.runtime.clone(), spec.id.clone());
        async move { runtime.wait_container(&id).await.unwrap() }
    });
    tokio::task::yield_now().await;
    // SAFETY: plain system call; the number is of a shim that this test started and that still runs.
    assert_eq!(unsafe { libc::kill(shim["Shim"]["pid"].as_i64().unwrap() as i32, libc::SIGKILL) }, 0);
    let exit = waiting.await.unwrap();
    assert_eq!((exit.lost, exit.exit_code, exit.started_at.is_some()), (true, 137, true));
    let init = running["init"]["pid"].as_i64().unwrap();
    let state = fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "the container's process is gone: {state}");
    assert_eq!(node.runtime.list().await.unwrap()[0].containers[&spec.id].state, ContainerState::Exited(exit));
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn a_container_ends_with_its_shim_although_there_is_no_agent() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("tied");
    run_and_kill_agent(&root);
    let directory = root.join("runtime/sandboxes/p/containers").join(&long(&root).id);
    let read = |name: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(directory.join(name)).unwrap()).unwrap() };
    let number = |value: &serde_json::Value| value["pid"].as_i64().unwrap() as i32;
    let (shim, init) = (number(&read("shim.json")["Shim"]), number(&read("running.json")["init"]));
    let handle = piecework_runtime::linux::process::pidfd_open(init).unwrap();
    // SAFETY: plain system call; the number is of a shim that this test started and that still runs.
    assert_eq!(unsafe { libc::kill(shim, libc::SIGKILL) }, 0);
    piecework_runtime::linux::process::ended(handle).await.unwrap();
    let node = reopen(&root).await;
    assert!(node.runtime.wait_container(&long(&root).id).await.unwrap().lost);
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn a_container_that_was_given_up_is_never_run() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("intent");
    // A shim that ends at once: the container is given up, and a late shim must not run it.
    let mut broken = options(&root);
    broken.shim = "/bin/false".into();
    let runtime = LinuxRuntime::open(broken).unwrap();
    runtime.create_sandbox(&sandbox("p", false)).await.unwrap();
    let spec = long(&root);
    let status = runtime.start_container(&spec).await.unwrap();
    assert!(support::exited(&status).start_error.as_ref().unwrap().contains("shim.log"), "{status:?}");
    let node = reopen(&root).await;
    let again = node.runtime.start_container(&spec).await.unwrap();
    assert_eq!(again, status);
    let directory = root.join("runtime/sandboxes/p/containers").join(&spec.id);
    let late = Command::new(env!("CARGO_BIN_EXE_runtime-shim")).args(["shim", "container"]).arg(&directory).output().unwrap();
    assert!(String::from_utf8_lossy(&late.stderr).contains("was given up"), "{late:?}");
    assert!(!root.join("volume/runs").exists());
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn leaks_of_earlier_crashes_are_collected() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("leaks");
    run_and_kill_agent(&root);
    assert!(!support::traces(&root).is_empty());
    // The record is lost: whatever is left belongs to nobody.
    fs::remove_file(root.join("runtime/sandboxes/p/sandbox.json")).unwrap();
    let node = reopen(&root).await;
    let left: Vec<String> =
        support::traces(&root).into_iter().filter(|trace| !trace.ends_with('b') && !trace.contains("/piecework/")).collect();
    assert_eq!(left, Vec::<String>::new());
    node.finish(&[]).await;
}

#[tokio::test]
async fn a_sandbox_is_repaired_when_its_namespaces_are_gone() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let node = Node::new("reboot");
    node.sandbox("p", true).await;
    let before = node.runtime.list().await.unwrap();
    for kind in ["net", "ipc", "uts"] {
        let pin = node.root.join(format!("runtime/sandboxes/p/namespace-{kind}"));
        assert!(Command::new("umount").arg(pin).status().unwrap().success());
    }
    node.sandbox("p", true).await;
    assert_eq!(node.runtime.list().await.unwrap()[0].ip, before[0].ip);
    let (exit, log) = node.shell("p", "ip", "ip -4 -o addr show eth0 | tr -s ' ' | cut -d ' ' -f 4; ip route | head -1").await;
    let address = before[0].ip.clone().unwrap();
    assert_eq!(exit.exit_code, 0);
    assert!(log.starts_with(&format!("{address}/22\ndefault via ")), "{log}");
    node.finish(&["p"]).await;
}

/// Kills the stand-in after so many milliseconds, or when its container runs.
fn run_and_kill_agent_after(root: &Path, milliseconds: i32) {
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agent_stand_in", "--nocapture"])
        .env(STAND_IN, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = agent.stdout.take().unwrap();
    let mut seen = Vec::new();
    let deadline = std::time::Duration::from_millis(milliseconds as u64);
    let (killer, kill) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            seen.push(line.clone());
            if line == "STARTED" {
                let _ = killer.send(());
            }
        }
    });
    let _ = kill.recv_timeout(deadline);
    agent.kill().unwrap();
    agent.wait().unwrap();
    reader.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_agent_is_killed_the_container_runs_once() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    for milliseconds in (2..60).step_by(3) {
        let root = prepare(&format!("moment{milliseconds}"));
        run_and_kill_agent_after(&root, milliseconds);
        let node = reopen(&root).await;
        node.sandbox("p", true).await;
        let spec = long(&root);
        let status = node.runtime.start_container(&spec).await.unwrap();
        if let ContainerState::Running { .. } = status.state {
            let pipe = root.join("volume/pipe");
            tokio::task::spawn_blocking(move || fs::write(pipe, "0\n").unwrap()).await.unwrap();
        }
        let exit = node.runtime.wait_container(&spec.id).await.unwrap();
        let runs = fs::read_to_string(root.join("volume/runs")).unwrap_or_default();
        assert_eq!((runs.as_str(), exit.exit_code, exit.lost), ("ran\n", 0, false), "killed after {milliseconds} ms: {exit:?}");
        node.finish(&["p"]).await;
    }
}

#[tokio::test]
async fn an_intent_that_no_shim_claimed_is_started() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("unclaimed");
    let node = reopen(&root).await;
    node.sandbox("p", false).await;
    let mut spec = long(&root);
    spec.args = vec!["sh".into(), "-c".into(), "echo ran >> /v/runs".into()];
    let (exit, _) = node.run(&spec).await;
    assert_eq!(exit.exit_code, 0);
    // As an agent leaves it that is killed between the intent and the shim.
    let containers = root.join("runtime/sandboxes/p/containers");
    let intent = fs::read_to_string(containers.join(&spec.id).join("container.json")).unwrap();
    let first = std::mem::replace(&mut spec.id, "p-late-0".into());
    fs::create_dir(containers.join(&spec.id)).unwrap();
    fs::write(containers.join(&spec.id).join("container.json"), intent.replace(&first, &spec.id)).unwrap();
    let node = reopen(&root).await;
    assert!(!node.runtime.list().await.unwrap()[0].containers.contains_key(&spec.id), "nothing of it has run");
    assert!(matches!(node.runtime.wait_container(&spec.id).await, Err(Error::NotFound(_))));
    let (exit, _) = node.run(&spec).await;
    assert_eq!((exit.exit_code, exit.lost), (0, false));
    assert_eq!(fs::read_to_string(root.join("volume/runs")).unwrap(), "ran\nran\n");
    node.finish(&["p"]).await;
}

/// A sandbox whose only container has ended.
async fn with_an_ended_container(node: &Node, id: &str) {
    node.sandbox(id, true).await;
    let spec = node.container(id, "c", &["true"]);
    assert_eq!(node.run(&spec).await.0.exit_code, 0);
}

#[tokio::test]
async fn what_a_crash_left_in_the_trash_is_cleared_at_the_next_start() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let node = Node::new("trash");
    for id in ["gone", "again"] {
        with_an_ended_container(&node, id).await;
    }
    let root = node.root.clone();
    let trash = root.join("runtime/trash");
    // As far as a removal gets before an agent is killed, and then one of them is made anew.
    for id in ["gone", "again"] {
        fs::rename(root.join("runtime/sandboxes").join(id), trash.join(format!("{id}.0"))).unwrap();
    }
    let second = reopen(&root).await;
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
    with_an_ended_container(&second, "again").await;
    fs::create_dir_all(trash.join("again.0/containers")).unwrap();
    drop(second.runtime.clone());
    let third = reopen(&root).await;
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
    let spec = third.container("again", "late", &["cat", "/proc/self/cgroup"]);
    assert_eq!(third.run(&spec).await.0.exit_code, 0, "its cgroup was not taken away with the remains of its namesake");
    drop(node.runtime.clone());
    third.finish(&["gone", "again"]).await;
}

#[tokio::test]
async fn an_id_can_be_used_again_at_once() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let node = Node::new("again");
    for _ in 0..5 {
        with_an_ended_container(&node, "p").await;
        node.runtime.remove_sandbox("p").await.unwrap();
        assert_eq!(node.runtime.list().await.unwrap(), []);
    }
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn records_that_a_crash_of_the_machine_emptied_run_nothing_twice() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let root = prepare("emptied");
    let node = reopen(&root).await;
    node.sandbox("p", false).await;
    let mut spec = long(&root);
    spec.args = vec!["sh".into(), "-c".into(), "echo ran >> /v/runs".into()];
    assert_eq!(node.run(&spec).await.0.exit_code, 0);
    let containers = root.join("runtime/sandboxes/p/containers");
    // The claim's name reached the disk, its content and all that came later did not: it may have run.
    let intent = fs::read_to_string(containers.join(&spec.id).join("container.json")).unwrap();
    let first = std::mem::replace(&mut spec.id, "p-claimed-0".into());
    fs::create_dir(containers.join(&spec.id)).unwrap();
    fs::write(containers.join(&spec.id).join("container.json"), intent.replace(&first, &spec.id)).unwrap();
    fs::write(containers.join(&spec.id).join("shim.json"), "").unwrap();
    let node = reopen(&root).await;
    assert!(node.run(&spec).await.0.lost);
    assert_eq!(fs::read_to_string(root.join("volume/runs")).unwrap(), "ran\n");
    // Not even the intent did: then no shim had leave to run anything.
    spec.id = "p-intended-0".into();
    fs::create_dir(containers.join(&spec.id)).unwrap();
    fs::write(containers.join(&spec.id).join("container.json"), "").unwrap();
    assert!(!node.runtime.list().await.unwrap()[0].containers.contains_key(&spec.id));
    assert_eq!(node.run(&spec).await.0.exit_code, 0);
    assert_eq!(fs::read_to_string(root.join("volume/runs")).unwrap(), "ran\nran\n");
    node.finish(&["p"]).await;
}
