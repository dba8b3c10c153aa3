//! The seed's commands with real kubectl, once per version found, against one real server with real containers.
//! Every trial has a namespace and a HOME of its own; rows are (name, what it does).
#![allow(clippy::unwrap_used)]

mod fixture;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::Arc,
};

use fixture::{Kubectl, Server, job, text};
use libtest_mimic::{Arguments, Trial};

type Check = fn(&Kubectl);

const CHECKS: &[(&str, Check)] = &[
    ("apply", apply),
    ("create", create),
    ("get", get),
    ("watch", watch),
    ("describe", describe),
    ("logs", logs),
    ("logs_follow", logs_follow),
    ("wait", wait),
    ("delete", delete),
    ("delete_cascade", delete_cascade),
    ("create_job", create_job),
    ("cron_jobs", cron_jobs),
    ("edit_like_patches", patches),
    ("bad_input", bad_input),
];

fn main() {
    let arguments = Arguments::from_args();
    if !fixture::is_root() {
        eprintln!("skipped: tests/kubectl.rs needs root, because containers do");
    }
    let server = Arc::new(std::sync::OnceLock::<Server>::new());
    let mut trials = Vec::new();
    for (version, program) in fixture::kubectls() {
        for (name, check) in CHECKS {
            let (server, program) = (server.clone(), program.clone());
            let namespace = format!("{}-{}", name.replace('_', "-"), version.replace('.', "-"));
            let trial = Trial::test(format!("kubectl {version} {name}"), move || {
                check(&Kubectl::new(&program, server.get_or_init(Server::start), &namespace));
                Ok(())
            });
            trials.push(trial.with_ignored_flag(!fixture::is_root()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(mut server) = Arc::into_inner(server).and_then(std::sync::OnceLock::into_inner) {
        server.stop();
    }
    conclusion.exit();
}

fn pi(parallelism: u32) -> String {
    job("pi", &format!("  completions: 1\n  parallelism: {parallelism}\n  backoffLimit: 4\n"), "Never", "echo 3.14159")
}

fn apply(k: &Kubectl) {
    assert_eq!(k.apply(&pi(1)), "job.batch/pi created\n");
    assert_eq!(k.apply(&pi(1)), "job.batch/pi unchanged\n");
    assert_eq!(k.apply(&pi(2)), "job.batch/pi configured\n");
    assert_eq!(k.jsonpath(&["job", "pi"], "{.spec.parallelism}"), "2");
    let output = k.with_manifest(&["apply", "-f", "-"], &pi(1).replace("echo", "echo -n"));
    let error = text(&output);
    assert!(!output.status.success() && error.contains("spec.template") && error.contains("field is immutable"), "{error}");
    // Clients before field validation ask a full OpenAPI v2 document whether the kind knows dry runs.
    if k.minor() < 25 {
        return;
    }
    let dry = k.with_manifest(&["apply", "--dry-run=server", "-f", "-"], &pi(1).replace("name: pi", "name: dry"));
    assert_eq!(String::from_utf8_lossy(&dry.stdout), "job.batch/dry created (server dry run)\n", "{}", text(&dry));
    assert!(k.fails(&["get", "job", "dry"]).contains("jobs.batch \"dry\" not found"));
}

fn create(k: &Kubectl) {
    let output = k.with_manifest(&["create", "-f", "-"], &pi(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "job.batch/pi created\n", "{}", text(&output));
    let again = text(&k.with_manifest(&["create", "-f", "-"], &pi(1)));
    assert!(again.contains("AlreadyExists") && again.contains("jobs.batch \"pi\" already exists"), "{again}");
}

fn get(k: &Kubectl) {
    k.apply(&pi(1));
    k.wait("condition=complete", "job/pi");
    let table = k.ok(&["get", "jobs"]);
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"], "{table}");
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["pi", "Complete", "1/1"], "{table}");
    let wide = k.ok(&["get", "jobs", "-o", "wide"]);
    for word in ["CONTAINERS", "IMAGES", "SELECTOR", "main", "busybox", "batch.kubernetes.io/controller-uid="] {
        assert!(wide.contains(word), "{wide}");
    }
    let pods = k.ok(&["get", "pods", "--selector=job-name=pi"]);
    let header: Vec<&str> = pods.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "READY", "STATUS", "RESTARTS", "AGE"], "{pods}");
    let row: Vec<&str> = pods.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(row[0].starts_with("pi-") && row[1..4] == ["0/1", "Completed", "0"], "{pods}");
    let name = k.jsonpath(&["pods", "--selector=job-name=pi"], "{.items[*].metadata.name}");
    assert_eq!(name, row[0]);
    assert_eq!(k.ok(&["get", "pods", "-l", "batch.kubernetes.io/job-name in (pi, other)", "-o", "name"]), format!("pod/{name}\n"));
    assert_eq!(k.ok(&["get", "pods", "--field-selector=status.phase=Succeeded", "-o", "name"]), format!("pod/{name}\n"));
    assert_eq!(k.ok(&["get", "pods", "--field-selector=status.phase!=Succeeded", "-o", "name"]), "");
    let all = k.ok(&["get", "pods", "-A"]);
    assert!(all.starts_with("NAMESPACE") && all.contains(&k.namespace) && all.contains(&name), "{all}");
    let chunks = k.ok(&["get", "pods", "-A", "--chunk-size=1"]);
    assert!(chunks.contains(&name), "{chunks}");
    let yaml = k.ok(&["get", "job", "pi", "-o", "yaml"]);
    for line in ["kind: Job", "  completionMode: NonIndexed", "  suspend: false", "  succeeded: 1", "    type: Complete"] {
        assert!(yaml.contains(line), "{line} is missing in {yaml}");
    }
    let json: serde_json::Value = serde_json::from_str(&k.ok(&["get", "job", "pi", "-o", "json"])).unwrap();
    assert_eq!(json["status"]["conditions"][0]["type"], "SuccessCriteriaMet");
    assert_eq!(json["status"]["conditions"][1]["type"], "Complete");
    assert_eq!(json["status"]["uncountedTerminatedPods"], serde_json::json!({}));
    assert!(k.ok(&["get", "all"]).contains("job.batch/pi"));
}

fn watch(k: &Kubectl) {
    let mut child =
        k.command(&["get", "jobs", "-w", "-o", "jsonpath={.status.succeeded}{\"\\n\"}"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    k.apply(&pi(1));
    let seen = lines.map(Result::unwrap).find(|line| line == "1");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.as_deref(), Some("1"));
    let mut child = k.command(&["get", "job", "pi", "-w"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("NAME"));
    assert!(lines.next().unwrap().unwrap().starts_with("pi "));
    k.ok(&["delete", "job", "pi"]);
    assert!(lines.next().unwrap().unwrap().starts_with("pi "));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn describe(k: &Kubectl) {
    k.apply(&pi(1));
    k.wait("condition=complete", "job/pi");
    // Events are written beside the status: wait for the last one.
    k.wait("jsonpath={.reason}=Completed", &event_named(k, "Completed"));
    let described = k.ok(&["describe", "jobs/pi"]);
    // (the first minor version that prints it, the line)
    for (since, line) in [
        (0, "Name: pi"),
        (0, "batch.kubernetes.io/job-name=pi"),
        (0, "Parallelism: 1"),
        (0, "Completions: 1"),
        (21, "Completion Mode: NonIndexed"),
        (30, "Suspend: false"),
        (30, "Backoff Limit: 4"),
        (0, "Start Time:"),
        (0, "Completed At:"),
        (0, "Duration:"),
        (27, "Pods Statuses: 0 Active (0 Ready) / 1 Succeeded / 0 Failed"),
        (0, "1 Succeeded / 0 Failed"),
        (0, "Image: busybox"),
        (0, "Normal SuccessfulCreate"),
        (0, "job-controller Created pod: pi-"),
        (0, "job-controller Job completed"),
    ] {
        // Versions differ in how many blanks follow a label.
        let squeezed = described.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(k.minor() < since || squeezed.contains(line), "{line} is missing in\n{described}");
    }
    assert!(k.ok(&["describe", "pods"]).contains("Completed"));
}

/// The name of the namespace's event with a reason, once it is there.
fn event_named(k: &Kubectl, reason: &str) -> String {
    let line = k.watch_until(&["events"], "{.reason} {.metadata.name}", |line| line.starts_with(reason)).unwrap();
    format!("event/{}", line.split(' ').nth(1).unwrap())
}

fn logs(k: &Kubectl) {
    k.apply(&job("lines", "", "Never", "echo one; echo two >&2; echo three"));
    k.wait("condition=complete", "job/lines");
    let pod = k.jsonpath(&["pods", "--selector=job-name=lines"], "{.items[*].metadata.name}");
    let mut sorted: Vec<String> = k.ok(&["logs", &pod]).lines().map(str::to_owned).collect();
    sorted.sort();
    assert_eq!(sorted, ["one", "three", "two"]);
    assert_eq!(k.ok(&["logs", "job/lines"]).lines().count(), 3);
    assert_eq!(k.ok(&["logs", &pod, "--tail=1"]).lines().count(), 1);
    assert_eq!(k.ok(&["logs", &pod, "--tail=0"]), "");
    assert_eq!(k.ok(&["logs", &pod, "--limit-bytes=4"]).len(), 4);
    let stamped = k.ok(&["logs", &pod, "--timestamps"]);
    assert!(stamped.lines().all(|line| line.as_bytes()[4] == b'-' && line.contains("Z ")), "{stamped}");
    assert!(k.ok(&["logs", "-l", "job-name=lines", "--prefix"]).contains(&format!("[pod/{pod}/main] one")));
    let error = k.fails(&["logs", &pod, "--previous"]);
    assert!(error.contains("previous terminated container \"main\" in pod"), "{error}");
    let error = k.fails(&["logs", &pod, "-c", "other"]);
    assert!(error.contains("container other is not valid for pod") || error.contains("not found"), "{error}");
    assert!(k.fails(&["logs", "nobody"]).contains("pods \"nobody\" not found"));

    k.apply(&job("again", "", "OnFailure", "if [ -e /state/ran ]; then echo second; else touch /state/ran; echo first; exit 1; fi").replace(
        "      containers:\n      - name: main\n",
        "      volumes: [{name: state, emptyDir: {}}]\n      containers:\n      - name: main\n        volumeMounts: [{name: state, mountPath: /state}]\n",
    ));
    k.wait("condition=complete", "job/again");
    assert_eq!(k.ok(&["logs", "job/again"]), "second\n");
    let pod = k.jsonpath(&["pods", "--selector=job-name=again"], "{.items[*].metadata.name}");
    assert_eq!(k.ok(&["logs", &pod, "--previous"]), "first\n");
}

fn logs_follow(k: &Kubectl) {
    k.apply(&job("slow", "", "Never", "for i in 1 2 3; do echo line $i; sleep 1; done"));
    k.wait("jsonpath={.status.phase}=Running", &first_pod(k, "slow"));
    let followed = k.ok(&["logs", "-f", "job/slow"]);
    assert_eq!(followed, "line 1\nline 2\nline 3\n");
    k.wait("condition=complete", "job/slow");
}

/// The Job's first Pod, once it exists.
fn first_pod(k: &Kubectl, job: &str) -> String {
    let selector = format!("job-name={job}");
    let name = k.watch_until(&["pods", "-l", &selector], "{.metadata.name}", |_| true).unwrap();
    format!("pod/{name}")
}

fn wait(k: &Kubectl) {
    k.apply(&pi(1));
    assert_eq!(k.ok(&["wait", "--for=condition=complete", "--timeout=60s", "job/pi"]), "job.batch/pi condition met\n");
    if k.minor() >= 23 {
        assert_eq!(k.ok(&["wait", "--for=jsonpath={.status.succeeded}=1", "--timeout=60s", "job/pi"]), "job.batch/pi condition met\n");
    }
    k.ok(&["delete", "job", "pi", "--wait=false"]);
    if k.minor() >= 25 {
        k.ok(&["wait", "--for=delete", "--timeout=60s", "job/pi"]);
    }
    k.apply(&job("nope", "  backoffLimit: 0\n", "Never", "exit 3"));
    assert_eq!(k.ok(&["wait", "--for=condition=failed", "--timeout=60s", "job/nope"]), "job.batch/nope condition met\n");
    assert_eq!(k.jsonpath(&["job", "nope"], "{.status.conditions[?(@.type=='Failed')].reason}"), "BackoffLimitExceeded");
    let error = k.fails(&["wait", "--for=condition=complete", "--timeout=1s", "job/nope"]);
    assert!(error.contains("timed out waiting for the condition"), "{error}");
}

fn delete(k: &Kubectl) {
    k.apply(&pi(1));
    k.wait("condition=complete", "job/pi");
    let said = k.ok(&["delete", "jobs/pi"]);
    assert!(said.starts_with("job.batch \"pi\" deleted"), "{said}");
    pods_go(k, "pi");
    k.apply(&pi(1));
    let output = k.with_manifest(&["delete", "-f", "-"], &pi(1));
    assert!(output.status.success(), "{}", text(&output));
    pods_go(k, "pi");
    assert!(k.fails(&["delete", "job", "pi"]).contains("jobs.batch \"pi\" not found"));
    k.ok(&["delete", "job", "pi", "--ignore-not-found"]);
}

fn pods_go(k: &Kubectl, job: &str) {
    let selector = format!("--selector=job-name={job}");
    let output = k.output(&["wait", "--for=delete", "pods", &selector, "--timeout=60s"]);
    let said = text(&output);
    assert!(output.status.success() || said.contains("no matching resources found"), "{said}");
    assert_eq!(k.ok(&["get", "pods", &selector, "-o", "name"]), "");
}

fn delete_cascade(k: &Kubectl) {
    let sleeper = |name: &str| job(name, "", "Never", "exec sleep 1000");
    for (name, flag, pods_stay) in [
        ("background", "--cascade=background", false),
        ("foreground", "--cascade=foreground", false),
        ("orphan", "--cascade=orphan", true),
        ("old", "--cascade=false", true),
    ] {
        k.apply(&sleeper(name));
        let pod = first_pod(k, name);
        k.wait("condition=Ready", &pod);
        k.ok(&["delete", "job", name, flag]);
        let selector = format!("--selector=job-name={name}");
        if !pods_stay {
            pods_go(k, name);
            continue;
        }
        assert_eq!(k.ok(&["get", "pods", &selector, "-o", "name"]).trim(), pod);
        assert_eq!(k.jsonpath(&[&pod], "{.metadata.ownerReferences}{.status.phase}"), "Running");
    }
    // The seed's adoption example: `new` takes over the Pod of `old` by its selector.
    let uid = k.jsonpath(&["pods", "--selector=job-name=old"], "{.items[0].metadata.labels.controller-uid}");
    let new = job("new", "  manualSelector: true\n  selector:\n    matchLabels:\n      controller-uid: UID\n", "Never", "exec sleep 1000")
        .replace("  template:\n    spec:", "  template:\n    metadata:\n      labels:\n        controller-uid: UID\n    spec:")
        .replace("UID", &uid);
    k.apply(&new);
    let pod = k.jsonpath(&["pods", "--selector=job-name=old"], "{.items[0].metadata.name}");
    k.wait("jsonpath={.metadata.ownerReferences[*].name}=new", &format!("pod/{pod}"));
    k.wait("jsonpath={.status.active}=1", "job/new");
    assert_eq!(k.ok(&["get", "pods", "-o", "name", "-l", &format!("controller-uid={uid}")]), format!("pod/{pod}\n"));
    k.ok(&["delete", "job", "new"]);
    k.ok(&["delete", "pods", "--all", "--wait=false"]);
}

fn create_job(k: &Kubectl) {
    assert_eq!(k.ok(&["create", "job", "hello", "--image=busybox", "--", "echo", "hello", "world"]), "job.batch/hello created\n");
    k.wait("condition=complete", "job/hello");
    assert_eq!(k.ok(&["logs", "job/hello"]), "hello world\n");
    assert_eq!(k.jsonpath(&["job", "hello"], "{.spec.template.spec.restartPolicy}"), "Never");
    k.ok(&["create", "configmap", "settings", "--from-literal=a=b"]);
    assert_eq!(k.jsonpath(&["configmap", "settings"], "{.data.a}"), "b");
    k.ok(&["create", "secret", "generic", "hidden", "--from-literal=a=b"]);
    assert_eq!(k.jsonpath(&["secret", "hidden"], "{.data.a}"), "Yg==");
}

fn cron_jobs(k: &Kubectl) {
    // kubectl before 1.21 knows only the beta of this kind.
    if k.minor() < 25 {
        return;
    }
    assert_eq!(
        k.ok(&["create", "cronjob", "tick", "--image=busybox", "--schedule=0 3 * * *", "--", "echo", "tick"]),
        "cronjob.batch/tick created\n"
    );
    let table = k.ok(&["get", "cronjobs"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..9], ["tick", "0", "3", "*", "*", "*", "<none>", "False", "0"], "{table}");
    k.ok(&["create", "job", "now", "--from=cronjob/tick"]);
    k.wait("condition=complete", "job/now");
    assert_eq!(
        k.jsonpath(&["job", "now"], "{.metadata.annotations.cronjob\\.kubernetes\\.io/instantiate} {.metadata.ownerReferences[0].name}"),
        "manual tick"
    );
    assert_eq!(k.ok(&["logs", "job/now"]), "tick\n");
    k.ok(&["patch", "cronjob", "tick", "-p", r#"{"spec":{"suspend":true}}"#]);
    assert!(k.ok(&["describe", "cronjob", "tick"]).contains("0 3 * * *"));
    let refused = k.fails(&["create", "cronjob", "never", "--image=busybox", "--schedule=61 * * * *"]);
    assert!(refused.contains("spec.schedule"), "{refused}");
    k.ok(&["delete", "cronjob", "tick"]);
    pods_go(k, "now");
}

fn patches(k: &Kubectl) {
    k.apply(&job("p", "  parallelism: 0\n", "Never", "true"));
    k.ok(&["label", "job", "p", "team=blue"]);
    assert_eq!(k.jsonpath(&["job", "p"], "{.metadata.labels.team}"), "blue");
    k.ok(&["label", "job", "p", "team-"]);
    assert_eq!(k.jsonpath(&["job", "p"], "{.metadata.labels.team}"), "");
    k.ok(&["annotate", "job", "p", "why=because"]);
    k.ok(&["patch", "job", "p", "-p", r#"{"spec":{"activeDeadlineSeconds":100}}"#]);
    k.ok(&["patch", "job", "p", "--type=merge", "-p", r#"{"spec":{"backoffLimit":2}}"#]);
    k.ok(&["patch", "job", "p", "--type=json", "-p", r#"[{"op":"replace","path":"/spec/parallelism","value":1}]"#]);
    k.wait("condition=complete", "job/p");
    assert_eq!(
        k.jsonpath(&["job", "p"], "{.spec.activeDeadlineSeconds} {.spec.backoffLimit} {.metadata.annotations.why}"),
        "100 2 because"
    );
}

fn bad_input(k: &Kubectl) {
    let refused = |manifest: &str, words: &[&str]| {
        let output = k.with_manifest(&["create", "-f", "-"], manifest);
        let said = text(&output);
        assert!(!output.status.success() && words.iter().all(|word| said.contains(word)), "{words:?} expected in {said}");
    };
    // Older clients ask for no field validation and get warnings.
    if k.minor() >= 25 {
        refused(&pi(1).replace("backoffLimit: 4", "backoffLimits: 4"), &["unknown field \"spec.backoffLimits\""]);
        let output = k.with_manifest(&["create", "--validate=warn", "-f", "-"], &pi(1).replace("name: pi", "name: warned\n  nonsense: 1"));
        assert!(output.status.success() && text(&output).contains("unknown field"), "{}", text(&output));
    }
    refused(
        &pi(1).replace("restartPolicy: Never", "restartPolicy: Always"),
        &["spec.template.spec.restartPolicy", "\"OnFailure\", \"Never\""],
    );
    refused(
        &pi(1).replace("backoffLimit: 4", "backoffLimit: -4").replace("completions: 1", "completions: -1"),
        &["spec.backoffLimit", "spec.completions", "must be greater than or equal to 0"],
    );
    refused(&pi(1).replace("name: pi", "name: Pi_1"), &["metadata.name"]);
    refused(&pi(1).replace("restartPolicy: Never", "restartPolicy: Never\n      hostPID: true"), &["spec.template.spec.hostPID"]);
    assert!(k.fails(&["get", "frobs"]).contains("the server doesn't have a resource type \"frobs\""));
    let output = k.with_manifest(&["create", "--validate=false", "-f", "-"], &pi(1).replace("backoffLimit: 4", "backoffLimits: 4"));
    assert!(output.status.success(), "{}", text(&output));
}
