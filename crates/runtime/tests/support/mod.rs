//! A machine to run test containers on: busybox as the only layer, a runtime root of its own, a check that nothing is left.
//!
//! In: the shim binary of this crate. Out: specifications with sensible defaults, logs as text.
//! Never: leaves containers behind: `finish` removes and checks.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
};

use piecework_runtime::{
    ContainerSpec, ContainerState, ContainerStatus, Exit, Resources, Runtime, SandboxSpec, Security,
    linux::{LinuxOptions, LinuxRuntime},
};

const BASE: &str = "/tmp/runtime";

/// Why this machine cannot run containers; printed by the tests that then do nothing.
pub fn unable() -> Option<String> {
    piecework_runtime::check_privileges().err().map(|error| error.to_string())
}

/// The unpacked image: made once from Debian's busybox-static.
pub fn busybox() -> PathBuf {
    static LAYER: OnceLock<PathBuf> = OnceLock::new();
    LAYER
        .get_or_init(|| {
            if !Path::new("/bin/busybox").exists() {
                let installed = Command::new("apt-get").args(["install", "-y", "busybox-static"]).output().unwrap();
                assert!(installed.status.success(), "install busybox-static: {}", String::from_utf8_lossy(&installed.stderr));
            }
            let finished = PathBuf::from(format!("{BASE}/busybox"));
            if finished.exists() {
                return finished;
            }
            let layer = PathBuf::from(format!("{BASE}/busybox-{}", std::process::id()));
            for directory in ["bin", "etc", "tmp", "home/app"] {
                fs::create_dir_all(layer.join(directory)).unwrap();
            }
            fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
            let applets = Command::new("/bin/busybox").arg("--list").output().unwrap();
            for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
                symlink("busybox", layer.join("bin").join(applet)).unwrap();
            }
            fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n").unwrap();
            fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1001:\naudio:x:29:app\n").unwrap();
            fs::write(layer.join("etc/not-executable"), "text\n").unwrap();
            // Another test binary may have been faster.
            if fs::rename(&layer, &finished).is_err() {
                fs::remove_dir_all(&layer).unwrap();
            }
            finished
        })
        .clone()
}

/// One runtime root.
pub struct Node {
    pub root: PathBuf,
    pub runtime: Arc<LinuxRuntime>,
}

pub fn options(root: &Path) -> LinuxOptions {
    LinuxOptions { root: root.join("runtime"), shim: env!("CARGO_BIN_EXE_runtime-shim").into(), shim_args: vec!["shim".into()] }
}

impl Node {
    pub fn new(name: &str) -> Self {
        let root = PathBuf::from(format!("{BASE}/{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("logs")).unwrap();
        let runtime = LinuxRuntime::open(options(&root)).unwrap();
        Node { root, runtime }
    }

    pub async fn sandbox(&self, id: &str, own_network: bool) {
        self.runtime.create_sandbox(&sandbox(id, own_network)).await.unwrap();
    }

    pub fn container(&self, sandbox: &str, name: &str, args: &[&str]) -> ContainerSpec {
        container(&self.root, sandbox, name, args)
    }

    /// Runs to the end: exit and log lines without time, as `(stream, text)` joined.
    pub async fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        self.runtime.start_container(spec).await.unwrap();
        let exit = self.runtime.wait_container(&spec.id).await.unwrap();
        (exit, self.log(spec))
    }

    /// A shell script, run to the end.
    pub async fn shell(&self, sandbox: &str, name: &str, script: &str) -> (Exit, String) {
        self.run(&self.container(sandbox, name, &["sh", "-c", script])).await
    }

    pub fn log(&self, spec: &ContainerSpec) -> String {
        let text = fs::read_to_string(&spec.log_path).unwrap_or_default();
        text.lines().map(|line| format!("{}\n", line.splitn(4, ' ').nth(3).unwrap_or(""))).collect()
    }

    /// Removes the sandboxes and checks that the machine is as before.
    pub async fn finish(self, sandboxes: &[&str]) {
        for id in sandboxes {
            self.runtime.remove_sandbox(id).await.unwrap();
            self.runtime.remove_sandbox(id).await.unwrap();
        }
        assert_eq!(self.runtime.list().await.unwrap(), []);
        self.runtime.close_empty().await.unwrap();
        let traces = traces(&self.root);
        fs::remove_dir_all(&self.root).unwrap();
        assert_eq!(traces, Vec::<String>::new());
    }
}

/// A test that fails leaves nothing either.
impl Drop for Node {
    fn drop(&mut self) {
        if !self.root.exists() {
            return;
        }
        let (runtime, root) = (self.runtime.clone(), self.root.clone());
        let work = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                for sandbox in runtime.list().await.unwrap() {
                    runtime.remove_sandbox(&sandbox.id).await.unwrap();
                }
                runtime.close_empty().await.unwrap();
            });
            fs::remove_dir_all(root).unwrap();
        });
        if work.join().is_err() {
            eprintln!("{} was not cleaned up", self.root.display());
        }
    }
}

/// What a runtime root has left on the machine: mounts, cgroups, interfaces, processes.
pub fn traces(root: &Path) -> Vec<String> {
    let directories = piecework_runtime::linux::directories::Directories::new(root.join("runtime"));
    let text = root.display().to_string();
    let mut found = Vec::new();
    found.extend(fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(&text)).map(str::to_owned));
    for controller in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let path = controller.path().join(directories.cgroup_root().trim_start_matches('/'));
        if path.exists() {
            found.push(path.display().to_string());
        }
    }
    let prefix = directories.bridge();
    let prefix = prefix.trim_end_matches('b');
    for interface in fs::read_dir("/sys/class/net").unwrap().flatten() {
        let name = interface.file_name().into_string().unwrap();
        if name.starts_with(prefix) {
            found.push(name);
        }
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&text) {
            found.push(format!("process {:?}", process.file_name()));
        }
    }
    found
}

pub fn sandbox(id: &str, own_network: bool) -> SandboxSpec {
    SandboxSpec {
        id: id.into(),
        namespace: "default".into(),
        name: id.into(),
        hostname: format!("host-{id}"),
        own_network,
        resources: Resources::default(),
    }
}

pub fn container(root: &Path, sandbox: &str, name: &str, args: &[&str]) -> ContainerSpec {
    ContainerSpec {
        id: format!("{sandbox}-{name}-0"),
        sandbox: sandbox.into(),
        name: name.into(),
        attempt: 0,
        layers: vec![busybox()],
        image: "busybox".into(),
        image_id: "sha256:0".into(),
        args: args.iter().map(|word| (*word).to_owned()).collect(),
        env: Vec::new(),
        working_dir: String::new(),
        user: String::new(),
        supplemental_groups: Vec::new(),
        mounts: Vec::new(),
        resources: Resources::default(),
        security: Security::default(),
        log_path: root.join("logs").join(format!("{sandbox}-{name}.log")),
        termination_message_path: None,
    }
}

pub fn exited(status: &ContainerStatus) -> &Exit {
    match &status.state {
        ContainerState::Exited(exit) => exit,
        other => panic!("still {other:?}"),
    }
}
