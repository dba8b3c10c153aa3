//! The scripted runtime keeps the contract that the Linux runtime keeps.
//!
//! In: paused tokio time. Out: assertions. Never: real time passes.
#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, time::Duration};

use super::*;
use crate::{Resources, Security};

fn container(id: &str, image: &str) -> ContainerSpec {
    ContainerSpec {
        id: id.into(),
        sandbox: "p".into(),
        name: "c".into(),
        attempt: 0,
        layers: vec![],
        image: image.into(),
        image_id: "sha256:0".into(),
        args: vec![],
        env: vec![],
        working_dir: String::new(),
        user: String::new(),
        supplemental_groups: vec![],
        mounts: vec![],
        resources: Resources::default(),
        security: Security::default(),
        log_path: PathBuf::new(),
        termination_message_path: None,
    }
}

async fn machine() -> ScriptedRuntime {
    let runtime = ScriptedRuntime::new(Timestamp::UNIX_EPOCH);
    let sandbox = SandboxSpec {
        id: "p".into(),
        namespace: "n".into(),
        name: "p".into(),
        hostname: "p".into(),
        own_network: true,
        resources: Resources::default(),
    };
    let first = runtime.create_sandbox(&sandbox).await.unwrap();
    assert_eq!(runtime.create_sandbox(&sandbox).await.unwrap(), first);
    assert_eq!(first.ip.as_deref(), Some("10.254.0.1"));
    runtime
}

#[tokio::test(start_paused = true)]
async fn a_container_runs_once_and_ends_on_time() {
    let runtime = machine().await;
    runtime.script("slow", Behaviour::ends(Duration::from_secs(30), Outcome::Code(3)));
    let spec = container("a", "slow");
    let first = runtime.start_container(&spec).await.unwrap();
    assert_eq!(first.state, ContainerState::Running { started_at: Timestamp::UNIX_EPOCH });
    // A clone is the agent after a restart.
    let restarted = runtime.clone();
    assert_eq!(restarted.start_container(&spec).await.unwrap(), first);
    assert_eq!(restarted.starts(), ["a"]);
    let exit = restarted.wait_container("a").await.unwrap();
    assert_eq!((exit.exit_code, exit.finished_at.as_second()), (3, 30));
    assert_eq!(restarted.list().await.unwrap()[0].containers["a"].state, ContainerState::Exited(exit));
}

#[tokio::test(start_paused = true)]
async fn signals_refusals_and_losses() {
    let runtime = machine().await;
    runtime.script("runs", Behaviour::runs());
    runtime.script("stubborn", Behaviour::runs().ignores_term());
    runtime.script("broken", Behaviour::ends(Duration::ZERO, Outcome::StartError("exec: no".into())));
    runtime.refuse("runs", 1);
    assert!(runtime.start_container(&container("a", "runs")).await.is_err());
    runtime.start_container(&container("a", "runs")).await.unwrap();
    runtime.start_container(&container("b", "stubborn")).await.unwrap();
    runtime.start_container(&container("d", "runs")).await.unwrap();
    let broken = runtime.start_container(&container("c", "broken")).await.unwrap();
    assert!(matches!(broken.state, ContainerState::Exited(exit) if exit.start_error.is_some() && exit.exit_code == 128));
    for id in ["a", "b"] {
        runtime.signal_container(id, libc::SIGTERM).await.unwrap();
    }
    assert_eq!(runtime.wait_container("a").await.unwrap().exit_code, 143);
    assert_eq!(runtime.running(), ["b", "d"]);
    runtime.signal_container("a", libc::SIGKILL).await.unwrap();
    assert!(!runtime.finish("a", Outcome::Code(0)), "the first end counts");
    runtime.lose_all();
    assert!(runtime.wait_container("b").await.unwrap().lost);
    assert_eq!(runtime.signals().len(), 2);
    assert!(matches!(runtime.wait_container("x").await, Err(Error::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn removal_ends_what_runs_and_those_who_wait_learn_it() {
    let runtime = machine().await;
    runtime.script_default(Behaviour::runs());
    runtime.start_container(&container("a", "any")).await.unwrap();
    let waiting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.wait_container("a").await }
    });
    tokio::task::yield_now().await;
    runtime.remove_sandbox("p").await.unwrap();
    runtime.remove_sandbox("p").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().signal, Some(libc::SIGKILL));
    assert_eq!(runtime.list().await.unwrap(), []);
    assert!(matches!(runtime.start_container(&container("a", "any")).await, Err(Error::NotFound(_))));
}
