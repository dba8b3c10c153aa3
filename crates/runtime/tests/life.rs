//! The life of real containers: start, output, exit, signals, start errors.
//!
//! In: busybox containers through the shim. Out: what `Runtime` promises. Never: sleeps; every wait is for an event.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::PathBuf, sync::Arc};

use piecework_runtime::{ContainerState, Error, Mount, Runtime};
use support::{Node, exited, unable};

macro_rules! needs_root {
    () => {
        if let Some(why) = unable() {
            eprintln!("skipped: {why}");
            return;
        }
    };
}

#[tokio::test]
async fn exit_codes_and_output() {
    needs_root!();
    let node = Node::new("exit");
    node.sandbox("p", false).await;
    let (exit, log) = node.shell("p", "three", "echo out; echo err >&2; exit 3").await;
    assert_eq!((exit.exit_code, exit.signal, exit.lost, exit.oom_killed), (3, None, false, false), "{exit:?}");
    assert_eq!(exit.start_error, None);
    assert!(exit.started_at.unwrap() <= exit.finished_at);
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
    let (exit, log) = node.shell("p", "orphan", "sleep 100000 & echo started").await;
    assert_eq!((exit.exit_code, log.as_str()), (0, "started\n"), "a child that keeps the pipe open holds nothing up");
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn all_output_is_in_the_log_in_the_cri_format() {
    needs_root!();
    let node = Node::new("log");
    node.sandbox("p", false).await;
    let spec = node.container("p", "long", &["sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo e >&2; printf end"]);
    node.run(&spec).await;
    let text = fs::read_to_string(&spec.log_path).unwrap();
    let mut shape = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        let [time, stream, tag, content] = parts[..] else { panic!("{line:.80}") };
        assert_eq!((time.len(), time.ends_with('Z')), (30, true), "{time}");
        time.parse::<jiff::Timestamp>().unwrap();
        shape.push((stream, tag, content.len()));
    }
    shape.retain(|(stream, _, _)| *stream == "stdout");
    assert_eq!(shape, [("stdout", "P", 16384), ("stdout", "P", 16384), ("stdout", "F", 7232), ("stdout", "F", 3)]);
    let spec = node.container("p", "much", &["seq", "1", "100000"]);
    let (exit, log) = node.run(&spec).await;
    assert_eq!(exit.exit_code, 0);
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(log == expected, "{} of {} bytes", log.len(), expected.len());
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn signals_reach_the_first_process() {
    needs_root!();
    let node = Node::new("signal");
    node.sandbox("p", false).await;
    let spec = node.container("p", "trap", &["sh", "-c", "trap 'echo bye; exit 7' TERM; sleep 100000 & echo ready; wait"]);
    node.runtime.start_container(&spec).await.unwrap();
    wait_for_log(&spec.log_path, "ready").await;
    node.runtime.signal_container(&spec.id, libc::SIGTERM).await.unwrap();
    let exit = node.runtime.wait_container(&spec.id).await.unwrap();
    assert_eq!((exit.exit_code, exit.signal), (7, None));
    assert_eq!(node.log(&spec), "ready\nbye\n");
    node.runtime.signal_container(&spec.id, libc::SIGTERM).await.unwrap();

    let spec = node.container("p", "kill", &["sleep", "100000"]);
    node.runtime.start_container(&spec).await.unwrap();
    node.runtime.signal_container(&spec.id, libc::SIGKILL).await.unwrap();
    let exit = node.runtime.wait_container(&spec.id).await.unwrap();
    assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (137, Some(9), false));
    assert!(matches!(node.runtime.signal_container("nobody", 15).await, Err(Error::NotFound(_))));
    assert!(matches!(node.runtime.wait_container("nobody").await, Err(Error::NotFound(_))));
    node.finish(&["p"]).await;
}

/// Waits, by inotify of the whole log directory's files, until a text is in a log.
async fn wait_for_log(path: &std::path::Path, text: &str) {
    let path = path.to_owned();
    let text = text.to_owned();
    tokio::task::spawn_blocking(move || {
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: plain system calls on a descriptor that this closure owns and closes.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC);
            libc::inotify_add_watch(fd, name.as_ptr(), libc::IN_MODIFY);
            while !fs::read_to_string(&path).unwrap().contains(&text) {
                let mut buffer = [0u8; 4096];
                libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
            }
            libc::close(fd);
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    needs_root!();
    let node = Node::new("starterror");
    node.sandbox("p", false).await;
    let mut nobody = node.container("p", "user", &["true"]);
    nobody.user = "nobody".into();
    let mut capability = node.container("p", "capability", &["true"]);
    capability.security.add_capabilities = vec!["NONSENSE".into()];
    let mut layer = node.container("p", "layer", &["true"]);
    layer.layers = vec![PathBuf::from("/nonexistent/layer")];
    let rows = [
        (node.container("p", "absent", &["foo", "bar"]), "exec: \"foo\": executable file not found in $PATH"),
        (node.container("p", "stat", &["/no/foo"]), "exec: \"/no/foo\": stat /no/foo: no such file or directory"),
        (node.container("p", "mode", &["/etc/not-executable"]), "exec: \"/etc/not-executable\": permission denied"),
        (node.container("p", "dir", &["/etc"]), "exec: \"/etc\": permission denied"),
        (node.container("p", "none", &[]), "exec: no command: neither the Pod nor the image names a program"),
        (nobody, "unable to find user nobody: no matching entries in passwd file"),
        (capability, "unknown capability \"NONSENSE\""),
        (layer, "find image layer /nonexistent/layer: No such file or directory (os error 2)"),
    ];
    for (spec, expected) in rows {
        let status = node.runtime.start_container(&spec).await.unwrap();
        let exit = exited(&status);
        assert_eq!(exit.start_error.as_deref(), Some(expected));
        assert_eq!((exit.exit_code, exit.started_at, exit.lost), (128, None, false));
        assert_eq!(&node.runtime.wait_container(&spec.id).await.unwrap(), exit);
    }
    assert!(matches!(node.runtime.start_container(&node.container("q", "x", &["true"])).await, Err(Error::NotFound(_))));
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn an_id_runs_once() {
    needs_root!();
    let node = Node::new("once");
    node.sandbox("p", false).await;
    let volume = node.root.join("volume");
    fs::create_dir(&volume).unwrap();
    let mut spec = node.container("p", "once", &["sh", "-c", "echo ran >> /volume/runs"]);
    spec.mounts = vec![Mount { source: volume.clone(), target: "/volume".into(), read_only: false }];
    let runtime: Arc<dyn Runtime> = node.runtime.clone();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let (runtime, spec) = (runtime.clone(), spec.clone());
            tokio::spawn(async move { runtime.start_container(&spec).await.unwrap() })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
    let exit = runtime.wait_container(&spec.id).await.unwrap();
    let again = runtime.start_container(&spec).await.unwrap();
    assert_eq!(again.state, ContainerState::Exited(exit));
    assert_eq!(fs::read_to_string(volume.join("runs")).unwrap(), "ran\n");
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn removal_ends_containers_and_those_who_wait_learn_it() {
    needs_root!();
    let node = Node::new("remove");
    node.sandbox("p", true).await;
    let spec = node.container("p", "sleeper", &["sleep", "100000"]);
    let status = node.runtime.start_container(&spec).await.unwrap();
    assert!(matches!(status.state, ContainerState::Running { .. }));
    let waiting = tokio::spawn({
        let (runtime, id) = (node.runtime.clone(), spec.id.clone());
        async move { runtime.wait_container(&id).await.unwrap() }
    });
    tokio::task::yield_now().await;
    node.runtime.remove_sandbox("p").await.unwrap();
    assert_eq!(waiting.await.unwrap().signal, Some(9));
    node.finish(&["p"]).await;
}
