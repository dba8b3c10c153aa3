//! Measures containers per second (busybox `true`, own namespaces, cgroups, seccomp), to compare with the table in stack.md.
//!
//! In: the shim program, the number of containers, how many at a time, `host` or `own` network. Out: one line. Never: a test.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::{path::PathBuf, sync::Arc, time::Instant};

use piecework_runtime::{
    ContainerSpec, Resources, Runtime, SandboxSpec, Security,
    linux::{LinuxOptions, LinuxRuntime},
};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, shim, count, parallel, network] = &arguments[..] else {
        panic!("usage: throughput SHIM COUNT AT-A-TIME host|own (with /tmp/runtime/busybox from the tests)")
    };
    let (count, parallel): (usize, usize) = (count.parse().unwrap(), parallel.parse().unwrap());
    let root = PathBuf::from(format!("/tmp/runtime/throughput-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let options = LinuxOptions { root: root.join("runtime"), shim: shim.into(), shim_args: vec!["shim".into()] };
    let runtime = LinuxRuntime::open(options).unwrap();
    let own_network = network == "own";
    let permits = Arc::new(tokio::sync::Semaphore::new(parallel));
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..count {
        let (runtime, permits, root) = (runtime.clone(), permits.clone(), root.clone());
        tasks.push(tokio::spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            one(&runtime, &root, number, own_network).await
        }));
    }
    let mut phases = [0.0; 4];
    for task in tasks {
        for (sum, phase) in phases.iter_mut().zip(task.await.unwrap()) {
            *sum += phase;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let [create, start, wait, remove] = phases.map(|sum| sum / count as f64 * 1e3);
    println!(
        "{count} containers, {parallel} at a time, {network} network: {:.0}/s; mean ms: sandbox {create:.1}, start {start:.1}, wait {wait:.1}, remove {remove:.1}",
        count as f64 / seconds
    );
    runtime.close_empty().await.unwrap();
    std::fs::remove_dir_all(root).unwrap();
}

/// One sandbox with one container; seconds per phase.
async fn one(runtime: &LinuxRuntime, root: &std::path::Path, number: usize, own_network: bool) -> [f64; 4] {
    let sandbox = format!("p{number}");
    let mut clock = Instant::now();
    let mut lap = || {
        let seconds = clock.elapsed().as_secs_f64();
        clock = Instant::now();
        seconds
    };
    let spec = SandboxSpec {
        id: sandbox.clone(),
        namespace: "default".into(),
        name: sandbox.clone(),
        hostname: sandbox.clone(),
        own_network,
        resources: Resources::default(),
    };
    runtime.create_sandbox(&spec).await.unwrap();
    let create = lap();
    let spec = ContainerSpec {
        id: format!("{sandbox}-c-0"),
        sandbox: sandbox.clone(),
        name: "c".into(),
        attempt: 0,
        layers: vec!["/tmp/runtime/busybox".into()],
        image: "busybox".into(),
        image_id: String::new(),
        args: vec!["true".into()],
        env: vec![],
        working_dir: String::new(),
        user: String::new(),
        supplemental_groups: vec![],
        mounts: vec![],
        resources: Resources { memory_limit_bytes: Some(64 << 20), ..Resources::default() },
        security: Security::default(),
        log_path: root.join(format!("{number}.log")),
        termination_message_path: None,
    };
    runtime.start_container(&spec).await.unwrap();
    let start = lap();
    assert_eq!(runtime.wait_container(&spec.id).await.unwrap().exit_code, 0);
    let wait = lap();
    runtime.remove_sandbox(&sandbox).await.unwrap();
    [create, start, wait, lap()]
}
