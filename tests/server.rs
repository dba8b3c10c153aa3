//! The server as a process: its one-line errors, who is let in, and that a crash loses and repeats nothing.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use fixture::{Kubectl, PIECEWORK, Server, import_busybox, job, newest_kubectl, text};

/// Runs a server that must refuse to start; returns its one line.
fn refusal(arguments: &[&str], uid: Option<u32>) -> String {
    // Somebody else may not be allowed to enter the directory of this checkout.
    let programs = reachable_by_all();
    let program = programs.path().join("piecework");
    match uid {
        Some(_) => drop(fs::copy(PIECEWORK, &program).unwrap()),
        None => std::os::unix::fs::symlink(PIECEWORK, &program).unwrap(),
    }
    let mut command = Command::new(program);
    command.arg("server").args(arguments).stdin(Stdio::null());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid).env_remove("XDG_DATA_HOME").env("HOME", "/nonexistent");
    }
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "more than one line: {said}");
    said
}

fn reachable_by_all() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&["--data-dir", directory.path().to_str().unwrap(), "--listen", &address], None);
    assert!(said.contains(&address) && said.contains("in use") && said.contains("--listen"), "{said}");
}

#[test]
fn an_unusable_data_directory_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal(&["--data-dir", file.to_str().unwrap(), "--listen", "127.0.0.1:0"], None);
    assert!(said.contains("--data-dir") && said.contains("file"), "{said}");
    let said = refusal(&["--data-dir", "/proc/nothing/here", "--listen", "127.0.0.1:0"], None);
    assert!(said.contains("--data-dir"), "{said}");
}

#[test]
fn a_data_directory_in_use_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let _server = Server::start_in(&data, &["--no-agent"]);
    let said = refusal(&["--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--no-agent"], None);
    assert!(said.contains("in use by another server"), "{said}");
}

#[test]
fn missing_privileges_are_one_line() {
    assert!(fixture::is_root(), "this test drops privileges: run it as root");
    let directory = reachable_by_all();
    let data = directory.path().join("data");
    let said = refusal(&["--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0"], Some(65534));
    assert!(said.contains("root") && said.contains("--no-agent"), "{said}");
}

#[test]
fn the_data_directory_and_the_kubeconfig_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start_in(&data, &["--no-agent"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&server.kubeconfig()), 0o600);
    for entry in fs::read_dir(data.join("pki")).unwrap() {
        let path = entry.unwrap().path();
        if fs::read_to_string(&path).unwrap_or_default().contains("PRIVATE KEY") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[test]
fn only_known_certificates_get_in() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_in(&directory.path().join("data"), &["--no-agent"]);
    let other = Server::start_in(&directory.path().join("other"), &["--no-agent"]);
    let kubectl = newest_kubectl();
    let raw = |kubeconfig: &Path, path: &str| {
        Command::new(&kubectl)
            .args(["--server", &server.url, "--kubeconfig"])
            .arg(kubeconfig)
            .args(["get", "--raw", path])
            .env("HOME", directory.path())
            .output()
            .unwrap()
    };
    let anonymous = |path: &str| {
        let address = format!("{}{path}", server.url);
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--write-out", "%{http_code}", &address])
            .output()
            .unwrap();
        assert!(output.status.success(), "{path}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(anonymous(path), "ok200", "{path}");
    }
    for path in ["/version", "/api/v1/namespaces", "/apis", "/openapi/v3", "/metrics", "/api/v1/namespaces/default/secrets", "/nowhere"] {
        let said = anonymous(path);
        assert!(said.contains("Unauthorized") && said.ends_with("401"), "{path}: {said}");
    }
    assert!(raw(&server.kubeconfig(), "/api/v1/namespaces").status.success());
    let output = raw(&other.kubeconfig(), "/api/v1/namespaces");
    assert!(!output.status.success() && text(&output).contains("certificate"), "another CA's server: {}", text(&output));
}

/// `kill -9` while objects are created as fast as they can be: all that was acknowledged is there afterwards.
#[test]
fn a_crash_loses_no_acknowledged_write() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut server = Server::start_in(&data, &["--no-agent", "--no-controllers"]);
        let k = Kubectl::new(&newest_kubectl(), &server, "default");
        let mut manifest = String::new();
        for number in 0..400 {
            manifest += &format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c-{round}-{number}}}\n");
        }
        let path = directory.path().join("many.yaml");
        fs::write(&path, manifest).unwrap();
        let mut child = k
            .command(&["create", "--validate=false", "-o", "name", "-f", path.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        acknowledged.extend(lines.by_ref().take(60 + 70 * round));
        server.kill();
        acknowledged.extend(lines);
        child.wait().unwrap();
    }
    let server = Server::start_in(&data, &["--no-agent", "--no-controllers"]);
    let there = Kubectl::new(&newest_kubectl(), &server, "default").ok(&["get", "configmaps", "-o", "name"]);
    let missing: Vec<_> = acknowledged.iter().filter(|name| !there.lines().any(|line| line == *name)).collect();
    assert!(acknowledged.len() >= 390 && missing.is_empty(), "{} acknowledged, missing: {missing:?}", acknowledged.len());
}

/// Containers outlive a killed server: one that still runs is found again, one that ended meanwhile has its exit code, none runs twice.
#[test]
fn a_crash_repeats_no_container() {
    assert!(fixture::is_root(), "containers need root");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let shared = directory.path().join("shared");
    fs::create_dir(&shared).unwrap();
    import_busybox(&data);
    let mut server = Server::start_in(&data, &[]);
    let k = Kubectl::new(&newest_kubectl(), &server, "default");
    for name in ["runs", "ends", "fails"] {
        // Each start leaves a line; each container waits for a file of its own (a pipe: no polling).
        let fifo = shared.join(format!("{name}.release"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let exit = if name == "fails" { 7 } else { 0 };
        let script = format!("echo start >> /shared/{name}.starts; echo begun; cat /shared/{name}.release; echo done; exit {exit}");
        let manifest = job(name, "  backoffLimit: 0\n", "Never", &script).replace(
            "      containers:\n      - name: main\n",
            &format!("      volumes: [{{name: shared, hostPath: {{path: {}}}}}]\n      containers:\n      - name: main\n        volumeMounts: [{{name: shared, mountPath: /shared}}]\n", shared.display()),
        );
        k.apply(&manifest);
    }
    for name in ["runs", "ends", "fails"] {
        k.wait("jsonpath={.status.ready}=1", &format!("job/{name}"));
    }
    server.kill();
    // While no server is there, two of them come to their end.
    for name in ["ends", "fails"] {
        fs::write(shared.join(format!("{name}.release")), "go\n").unwrap();
    }
    let mut server = Server::start_in(&data, &[]);
    let k = Kubectl::new(&newest_kubectl(), &server, "default");
    k.wait("condition=complete", "job/ends");
    k.wait("condition=failed", "job/fails");
    let code = k.jsonpath(&["pods", "-l", "job-name=fails"], "{.items[0].status.containerStatuses[0].state.terminated.exitCode}");
    assert_eq!(code, "7");
    assert_eq!(k.jsonpath(&["job", "runs"], "{.status.active}"), "1");
    fs::write(shared.join("runs.release"), "go\n").unwrap();
    k.wait("condition=complete", "job/runs");
    for name in ["runs", "ends", "fails"] {
        assert_eq!(fs::read_to_string(shared.join(format!("{name}.starts"))).unwrap(), "start\n", "{name} ran more than once");
        assert_eq!(k.ok(&["logs", &format!("job/{name}")]), "begun\ngo\ndone\n");
        assert_eq!(k.ok(&["get", "pods", "-l", &format!("job-name={name}"), "-o", "name"]).lines().count(), 1);
    }
    k.ok(&["delete", "jobs", "--all"]);
    server.stop();
}
