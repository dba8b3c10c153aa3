//! `piecework run`: the front door without a server, by its exit codes and what it prints.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
};

use fixture::{PIECEWORK, import_busybox, job, text};
use nix::{sys::signal::Signal, unistd::Pid};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        assert!(fixture::is_root(), "containers need root");
        let directory = tempfile::tempdir().unwrap();
        import_busybox(directory.path());
        Self { directory }
    }

    fn command(&self, manifest: &str) -> Command {
        let file = self.directory.path().join("job.yaml");
        fs::write(&file, manifest).unwrap();
        let mut command = Command::new(PIECEWORK);
        command.arg("run").arg(file).arg("--data-dir").arg(self.directory.path()).stdin(Stdio::null());
        command.env_remove("KUBECONFIG");
        command
    }

    fn run(&self, manifest: &str) -> Output {
        let output = self.command(manifest).output().unwrap();
        self.nothing_is_left();
        output
    }

    fn nothing_is_left(&self) {
        let here = self.directory.path().to_str().unwrap();
        let left: Vec<_> = fs::read_dir(here)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("run-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains(here), "{mounts}");
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let command_line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            assert!(!command_line.contains(here), "left running: {command_line:?}");
        }
    }
}

#[test]
fn a_job_that_completes_exits_0_with_its_log() {
    let output = Place::new().run(&job("hello", "", "Never", "echo hello; echo there"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nthere\n", "{}", text(&output));
}

#[test]
fn a_job_that_fails_exits_1_with_the_reason_and_the_last_lines() {
    let output = Place::new().run(&job("bad", "  backoffLimit: 0\n", "Never", "echo before; echo the last words >&2; exit 9"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("BackoffLimitExceeded") && said.contains("the last words"), "{said}");
}

#[test]
fn a_refused_manifest_exits_2_with_the_field() {
    let place = Place::new();
    for (from, to, word) in [
        ("restartPolicy: Never", "restartPolicy: Always", "spec.template.spec.restartPolicy"),
        ("name: x", "name: x\n  nonsense: 1", "nonsense"),
        ("image: busybox", "image: busybox\n        livenessProbe: {exec: {command: [a]}}", "livenessProbe"),
    ] {
        let output = place.run(&job("x", "", "Never", "true").replace(from, to));
        assert_eq!(output.status.code(), Some(2), "{word}: {}", text(&output));
        assert!(text(&output).contains(word), "{}", text(&output));
    }
    let output = place.run("not: [a, manifest");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn ctrl_c_deletes_the_job_and_exits_130() {
    let place = Place::new();
    let marks = tempfile::tempdir().unwrap();
    let script = "trap 'echo stopped > /marks/stopped; exit 0' TERM; echo started; while :; do sleep 1; done";
    let manifest = job("long", "", "Never", script).replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 20").replace(
        "      containers:\n      - name: main\n",
        &format!(
            "      volumes: [{{name: marks, hostPath: {{path: {}}}}}]\n      containers:\n      - name: main\n        volumeMounts: [{{name: marks, mountPath: /marks}}]\n",
            marks.path().display()
        ),
    );
    let mut child = place.command(&manifest).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    nix::sys::signal::kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(Path::new(&marks.path().join("stopped")).exists(), "the container was not asked to stop: {said}");
    place.nothing_is_left();
}

/// A run that was killed leaves its container running; the next run ends it and removes everything of it.
#[test]
fn the_next_run_collects_a_killed_one() {
    let place = Place::new();
    let mut child = place
        .command(&job("long", "", "Never", "echo started; exec sleep 1000"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let output = place.run(&job("next", "", "Never", "echo next"));
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stdout)), (Some(0), "next\n"), "{}", text(&output));
}
