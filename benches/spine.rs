//! The first measurements (`make bench`): server start to ready, one-Pod Job latency, 200 containers against `runc run`, an idle server.
//!
//! In: the release binary built by `cargo bench`, busybox and runc from Debian. Out: a table on stdout, `target/bench/spine.json`.
//! Never: a verdict. A comparison with an opponent alternates the two in one run and reports the ratio.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use fixture::Server;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    api::{DeleteParams, PostParams, PropagationPolicy, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

/// Rounds of a comparison; ours and the opponent's alternate.
const ROUNDS: usize = 5;
const STARTS: usize = 10;
const JOBS: usize = 30;
const CONTAINERS: usize = 200;
/// Containers at the same time, for both.
const CONCURRENCY: usize = 8;
const IDLE_WINDOW: Duration = Duration::from_secs(20);

fn main() {
    if !fixture::is_root() {
        eprintln!("bench: containers need root");
        std::process::exit(1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    rows.push(Row::times("server start to ready", server_starts()));
    let server = Server::start();
    rows.push(idle(&server, "idle server, just started"));
    let client = runtime.block_on(connect(&server));
    rows.push(Row::times("create to Complete, one-Pod `true` Job", runtime.block_on(job_latencies(&client))));
    let (ours, theirs) = runtime.block_on(containers(&client));
    let ratio = median(&theirs) / median(&ours);
    rows.push(Row::times(&format!("{CONTAINERS} `true` containers in one Job, {CONCURRENCY} at a time"), ours));
    rows.push(Row::times(&format!("{CONTAINERS} x `runc run`, {CONCURRENCY} at a time"), theirs));
    rows.push(Row { name: "ratio: runc's time / ours".into(), unit: "x", values: vec![ratio] });
    rows.push(idle(&server, "idle server, after those Jobs"));
    drop(server);
    report(&rows);
}

struct Row {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

impl Row {
    fn times(name: &str, values: Vec<f64>) -> Self {
        Self { name: name.into(), unit: "ms", values }
    }
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

fn server_starts() -> Vec<f64> {
    let directory = tempfile::tempdir().unwrap();
    (0..STARTS)
        .map(|round| {
            let data = directory.path().join(round.to_string());
            let start = Instant::now();
            let mut server = Server::start_in(&data, &[]);
            let time = milliseconds(start);
            server.stop();
            time
        })
        .collect()
}

async fn connect(server: &Server) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

fn true_job(name: &str, completions: usize, parallelism: usize) -> Job {
    serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"completions": completions, "parallelism": parallelism, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["true"]}]}}}
    }))
    .unwrap()
}

/// Creates the Job and returns how long it took until its Complete condition was seen, in milliseconds.
async fn complete(jobs: &Api<Job>, job: &Job) -> f64 {
    let start = Instant::now();
    let created = jobs.create(&PostParams::default(), job).await.unwrap();
    let version = created.metadata.resource_version.unwrap();
    let name = created.metadata.name.unwrap();
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = jobs.watch(&parameters, &version).await.unwrap().boxed();
    while let Some(event) = events.try_next().await.unwrap() {
        let WatchEvent::Modified(job) = event else { continue };
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        assert!(!conditions.iter().any(|condition| condition.type_ == "Failed"), "{name} failed");
        if conditions.iter().any(|condition| condition.type_ == "Complete") {
            return milliseconds(start);
        }
    }
    panic!("the watch ended before {name} was complete");
}

async fn remove(jobs: &Api<Job>, name: &str) {
    let parameters = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..Default::default() };
    let job = jobs.delete(name, &parameters).await.unwrap();
    let Some(job) = job.left() else { return };
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = jobs.watch(&parameters, &job.metadata.resource_version.unwrap()).await.unwrap().boxed();
    while let Some(event) = events.try_next().await.unwrap() {
        if matches!(event, WatchEvent::Deleted(_)) {
            return;
        }
    }
}

async fn job_latencies(client: &kube::Client) -> Vec<f64> {
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let mut times = Vec::new();
    for number in 0..JOBS + 3 {
        let name = format!("one-{number}");
        let time = complete(&jobs, &true_job(&name, 1, 1)).await;
        // The first three warm the caches.
        if number >= 3 {
            times.push(time);
        }
        remove(&jobs, &name).await;
    }
    times
}

async fn containers(client: &kube::Client) -> (Vec<f64>, Vec<f64>) {
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let bundle = tempfile::tempdir().unwrap();
    make_bundle(bundle.path());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("many-{round}");
        ours.push(complete(&jobs, &true_job(&name, CONTAINERS, CONCURRENCY)).await);
        remove(&jobs, &name).await;
        let bundle = bundle.path().to_owned();
        theirs.push(tokio::task::spawn_blocking(move || runc_runs(&bundle, round)).await.unwrap());
    }
    (ours, theirs)
}

/// An OCI bundle of the same busybox, with runc's default spec but no terminal.
fn make_bundle(bundle: &Path) {
    let root = bundle.join("rootfs");
    for directory in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/true")).unwrap();
    assert!(Command::new("runc").arg("spec").current_dir(bundle).status().unwrap().success());
    let config = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = json!(["/bin/true"]);
    fs::write(config, spec.to_string()).unwrap();
}

fn runc_runs(bundle: &Path, round: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENCY {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CONTAINERS {
                        return;
                    }
                    let status = Command::new("runc")
                        .args(["run", "--bundle"])
                        .arg(bundle)
                        .arg(format!("piecework-bench-{}-{round}-{number}", std::process::id()))
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .status()
                        .unwrap();
                    assert!(status.success(), "runc run");
                }
            });
        }
    });
    milliseconds(start)
}

/// Resident memory and the share of one core that the server uses while nothing happens.
fn idle(server: &Server, name: &str) -> Row {
    let ticks = |pid: i32| -> f64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    let before = ticks(server.pid());
    std::thread::sleep(IDLE_WINDOW);
    let used = ticks(server.pid()) - before;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let resident: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    // The kernel's clock tick is 10 ms on every Linux that Debian ships.
    let cpu = used / 100.0 / IDLE_WINDOW.as_secs_f64() * 100.0;
    Row { name: format!("{name}: MiB resident, % of a core"), unit: "", values: vec![resident / 1024.0, cpu] }
}

fn report(rows: &[Row]) {
    println!("{:<60} {:>10} {:>10} {:>10} {:>5}", "what", "median", "min", "p99", "n");
    for row in rows {
        if row.unit.is_empty() {
            println!("{:<60} {:>10.1} {:>9.2}%", row.name, row.values[0], row.values[1]);
        } else {
            let least = percentile(&row.values, 0.0);
            println!(
                "{:<60} {:>8.2}{:2} {:>10.2} {:>10.2} {:>5}",
                row.name,
                median(&row.values),
                row.unit,
                least,
                percentile(&row.values, 0.99),
                row.values.len()
            );
        }
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let document = json!({
        "load": load.trim(),
        "cores": std::thread::available_parallelism().unwrap().get(),
        "rows": rows.iter().map(|row| json!({"name": row.name, "unit": row.unit, "values": row.values})).collect::<Vec<_>>(),
    });
    let directory = fixture::repository().join("target/bench");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("spine.json"), serde_json::to_string_pretty(&document).unwrap()).unwrap();
    println!("written: target/bench/spine.json");
}
