//! What the Jobs page promises, seen from outside: real containers, real kubectl, one server. Every trial has a namespace of its own.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, OnceLock},
};

use fixture::{Kubectl, Server, job, newest_kubectl, text};
use k8s_openapi::jiff::Timestamp;
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

type Check = fn(&Kubectl);

const CHECKS: &[(&str, Check)] = &[
    ("fixed completion count", fixed_completion_count),
    ("work queue", work_queue),
    ("parallelism zero and changed", parallelism_changes),
    ("on failure restarts in place", on_failure),
    ("on failure has a restart budget", restart_budget),
    ("backoff limit with its delay", backoff_limit),
    ("job deadline", job_deadline),
    ("pod deadline", pod_deadline),
    ("a deleted pod is replaced", deleted_pod),
    ("out of memory", out_of_memory),
    ("isolation seen from inside", isolation),
    ("environment, command and files", environment),
    ("an image that is nowhere", missing_image),
    ("a command that is nowhere", missing_command),
    ("graceful end", graceful_end),
    ("suspend and resume", suspend_and_resume),
    ("indexed with limits per index", indexed_with_limits),
    ("indexed with a fail index rule", fail_index),
    ("success policy", success_policy),
    ("failure policy", failure_policy),
    ("elastic indexed", elastic_indexed),
    ("ttl after finished", ttl_after_finished),
    ("a backoff curve of its own", own_backoff_curve),
    ("a service account that comes late", late_service_account),
];

fn main() {
    let arguments = Arguments::from_args();
    if !fixture::is_root() {
        eprintln!("skipped: tests/jobs.rs needs root, because containers do");
    }
    let server = Arc::new(OnceLock::<Server>::new());
    let trials = CHECKS
        .iter()
        .map(|(name, check)| {
            let server = server.clone();
            let namespace = name.replace([' ', ','], "-").replace("--", "-");
            let trial = Trial::test(*name, move || {
                check(&Kubectl::new(&newest_kubectl(), server.get_or_init(Server::start), &namespace));
                Ok(())
            });
            trial.with_ignored_flag(!fixture::is_root())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(mut server) = Arc::into_inner(server).and_then(OnceLock::into_inner) {
        server.stop();
    }
    conclusion.exit();
}

fn object(k: &Kubectl, what: &[&str]) -> Value {
    let mut arguments = vec!["get"];
    arguments.extend_from_slice(what);
    arguments.extend_from_slice(&["-o", "json"]);
    serde_json::from_str(&k.ok(&arguments)).unwrap()
}

fn pods(k: &Kubectl, job: &str) -> Vec<Value> {
    let mut pods = object(k, &["pods", "-l", &format!("job-name={job}")])["items"].as_array().unwrap().clone();
    pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap().to_owned());
    pods
}

fn terminated(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("not a time: {value}")).parse().unwrap()
}

/// The condition types of a Job in their order, with their common reason.
fn conditions(k: &Kubectl, job: &str) -> Vec<(String, String)> {
    let job = object(k, &["job", job]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    job["status"]["conditions"].as_array().unwrap().iter().map(|condition| (text(&condition["type"]), text(&condition["reason"]))).collect()
}

fn fixed_completion_count(k: &Kubectl) {
    let mut watch = k
        .command(&["get", "jobs", "-w", "-o", "jsonpath={.status.active} {.status.succeeded} {.status.completionTime}{\"\\n\"}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    k.apply(&job("seven", "  completions: 7\n  parallelism: 3\n", "Never", "true"));
    let mut most = 0;
    for line in lines {
        let mut words = line.split(' ');
        let active: u32 = words.next().unwrap().parse().unwrap_or(0);
        let succeeded: u32 = words.next().unwrap().parse().unwrap_or(0);
        most = most.max(active);
        assert!(active <= 3 && active + succeeded <= 7, "{line}");
        if !words.next().unwrap().is_empty() {
            break;
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(most, 3);
    let status = object(k, &["job", "seven"])["status"].clone();
    assert_eq!((&status["succeeded"], status["active"].as_i64().unwrap_or(0)), (&Value::from(7), 0));
    assert_eq!(
        conditions(k, "seven"),
        [("SuccessCriteriaMet".into(), "CompletionsReached".into()), ("Complete".into(), "CompletionsReached".into())]
    );
    assert_eq!(status["completionTime"], status["conditions"][1]["lastTransitionTime"]);
    let pods = pods(k, "seven");
    assert_eq!(pods.len(), 7);
    assert!(pods.iter().all(|pod| pod["metadata"]["finalizers"].is_null() && pod["status"]["phase"] == "Succeeded"));
}

/// Waits until the Job is deleted, which may have happened already.
fn deleted(k: &Kubectl, job: &str) {
    let output = k.output(&["wait", "--for=delete", &format!("job/{job}"), "--timeout=60s"]);
    // Clients before 1.21 fail for what is gone already.
    assert!(output.status.success() || text(&output).contains("no matching resources found"), "{}", text(&output));
}

fn ttl_after_finished(k: &Kubectl) {
    // The Job of the page, with an image that is here and a TTL that passes while the test looks.
    let page = fs::read_to_string(fixture::repository().join("examples/pi-with-ttl.yaml")).unwrap();
    let here =
        page.replace("image: perl", "image: busybox").replace(r#"["perl",  "-Mbignum=bpi", "-wle", "print bpi(2000)"]"#, "[\"true\"]");
    k.apply(&here);
    k.wait("condition=complete", "job/pi-with-ttl");
    assert_eq!(object(k, &["job", "pi-with-ttl"])["spec"]["ttlSecondsAfterFinished"], 100);
    // Changed after the end, it counts from the end.
    k.ok(&["patch", "job", "pi-with-ttl", "-p", r#"{"spec":{"ttlSecondsAfterFinished":1}}"#]);
    deleted(k, "pi-with-ttl");
    assert_eq!(pods(k, "pi-with-ttl").len(), 0, "in the foreground the Pods go first");
    // Zero, and a Job that failed.
    k.apply(&job("zero", "  backoffLimit: 0\n  ttlSecondsAfterFinished: 0\n", "Never", "exit 3"));
    deleted(k, "zero");
    assert_eq!(pods(k, "zero").len(), 0);
}

fn own_backoff_curve(k: &Kubectl) {
    let annotated = |value: &str| {
        let manifest = job("quick", "  backoffLimit: 3\n", "Never", "exit 1");
        let annotations = format!("  annotations: {{piecework.dev/backoff-base: {value}, piecework.dev/backoff-cap: 3s}}\nspec:\n");
        manifest.replacen("spec:\n", &annotations, 1)
    };
    let refused = k.with_manifest(&["create", "-f", "-"], &annotated("soon"));
    assert!(text(&refused).contains("metadata.annotations[piecework.dev/backoff-base]: Invalid value: \"soon\""), "{}", text(&refused));
    k.apply(&annotated("2s"));
    k.wait("condition=failed", "job/quick");
    let pods = pods(k, "quick");
    let gaps: Vec<i64> = pods
        .windows(2)
        .map(|pair| time(&pair[1]["metadata"]["creationTimestamp"]).duration_since(time(&terminated(&pair[0])["finishedAt"])).as_secs())
        .collect();
    assert_eq!(gaps.len(), 3);
    // 2 s, then 4 s and 8 s cut to 3 s; a busy machine may be late, but the usual 10 s, 20 s and 40 s are far away.
    assert!(gaps.iter().zip([2, 3, 3]).all(|(gap, least)| (least..10).contains(gap)), "{gaps:?}");
}

fn late_service_account(k: &Kubectl) {
    let manifest = job("late", "", "Never", "true").replace("restartPolicy:", "serviceAccountName: builder\n      restartPolicy:");
    let mut events =
        k.command(&["get", "events", "-w", "-o", "jsonpath={.reason}: {.message}{\"\\n\"}"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines().map(Result::unwrap);
    k.apply(&manifest);
    let account = format!("{}/builder", k.namespace);
    let expected = format!(
        "FailedCreate: Error creating: pods \"late-\" is forbidden: error looking up service account {account}: serviceaccount \"builder\" not found"
    );
    assert_eq!(lines.find(|line| line.starts_with("FailedCreate")).unwrap(), expected);
    events.kill().unwrap();
    events.wait().unwrap();
    assert_eq!(pods(k, "late").len(), 0);
    k.ok(&["create", "serviceaccount", "builder"]);
    k.wait("condition=complete", "job/late");
}

fn work_queue(k: &Kubectl) {
    // Three workers share a queue; the first to succeed says that the work is done, the others are let finish.
    k.apply(&job("queue", "  parallelism: 3\n", "Never", "sleep $((RANDOM % 2))"));
    k.wait("condition=complete", "job/queue");
    let job = object(k, &["job", "queue"]);
    assert!(job["spec"]["completions"].is_null());
    assert_eq!(job["status"]["succeeded"], 3);
    assert_eq!(pods(k, "queue").len(), 3);
}

fn parallelism_changes(k: &Kubectl) {
    k.apply(&job("paused", "  parallelism: 0\n  completions: 4\n", "Never", "exec sleep 1000"));
    k.wait("jsonpath={.status.startTime}", "job/paused");
    assert_eq!(pods(k, "paused").len(), 0);
    k.ok(&["patch", "job", "paused", "-p", r#"{"spec":{"parallelism":3}}"#]);
    k.wait("jsonpath={.status.active}=3", "job/paused");
    k.ok(&["patch", "job", "paused", "-p", r#"{"spec":{"parallelism":1}}"#]);
    k.wait("jsonpath={.status.active}=1", "job/paused");
    k.wait("jsonpath={.status.terminating}=0", "job/paused");
    // Pods removed because fewer are wanted are no failures.
    assert_eq!(object(k, &["job", "paused"])["status"]["failed"], Value::Null);
    // One that has ended may still be on its way out of the store.
    assert_eq!(pods(k, "paused").iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count(), 1);
    k.ok(&["delete", "job", "paused"]);
}

fn suspend_and_resume(k: &Kubectl) {
    k.apply(&job("held", "  suspend: true\n  parallelism: 2\n  completions: 2\n  activeDeadlineSeconds: 60\n", "Never", "sleep 1"));
    k.wait("jsonpath={.status.conditions[?(@.type==\"Suspended\")].status}=True", "job/held");
    let status = object(k, &["job", "held"])["status"].clone();
    assert!(pods(k, "held").is_empty() && status["startTime"].is_null(), "{status}");
    k.ok(&["patch", "job", "held", "-p", r#"{"spec":{"suspend":false}}"#]);
    k.wait("condition=complete", "job/held");
    assert_eq!(conditions(k, "held")[0], ("Suspended".into(), "JobResumed".into()));
}

/// Worked case 5, with a limit of 0 so that it needs no delays.
fn indexed_with_limits(k: &Kubectl) {
    let spec = "  completions: 6\n  parallelism: 6\n  completionMode: Indexed\n  backoffLimitPerIndex: 0\n";
    k.apply(&job("indexed", spec, "Never", "echo $JOB_COMPLETION_INDEX $(hostname); case $JOB_COMPLETION_INDEX in 0|3) exit 1;; esac"));
    k.wait("condition=failed", "job/indexed");
    let status = object(k, &["job", "indexed"])["status"].clone();
    assert_eq!((&status["completedIndexes"], &status["failedIndexes"]), (&Value::from("1,2,4,5"), &Value::from("0,3")));
    assert_eq!((&status["succeeded"], &status["failed"]), (&Value::from(4), &Value::from(2)));
    assert_eq!(conditions(k, "indexed")[1], ("Failed".into(), "FailedIndexes".into()));
    let five = k.ok(&["logs", "-l", "job-name=indexed,batch.kubernetes.io/job-completion-index=5"]);
    assert_eq!(five, "5 indexed-5\n");
}

/// Worked case 7.
fn fail_index(k: &Kubectl) {
    let spec = "  completions: 3\n  parallelism: 3\n  completionMode: Indexed\n  backoffLimitPerIndex: 4\n  podFailurePolicy:\n    rules:\n    - action: FailIndex\n      onExitCodes: {operator: In, values: [42]}\n";
    k.apply(&job("picky", spec, "Never", "test $JOB_COMPLETION_INDEX != 1 || exit 42"));
    k.wait("condition=failed", "job/picky");
    let status = object(k, &["job", "picky"])["status"].clone();
    assert_eq!(
        (&status["completedIndexes"], &status["failedIndexes"], &status["failed"]),
        (&Value::from("0,2"), &Value::from("1"), &Value::from(1))
    );
    assert_eq!(pods(k, "picky").len(), 3);
}

/// Worked case 8.
fn success_policy(k: &Kubectl) {
    let spec = "  completions: 6\n  parallelism: 6\n  completionMode: Indexed\n  successPolicy:\n    rules:\n    - {succeededIndexes: \"2-4\", succeededCount: 2}\n";
    k.apply(&job("enough", spec, "Never", "case $JOB_COMPLETION_INDEX in 0|2|4) exit 0;; *) exec sleep 1000;; esac"));
    k.wait("condition=complete", "job/enough");
    assert_eq!(
        conditions(k, "enough"),
        [("SuccessCriteriaMet".into(), "SuccessPolicy".into()), ("Complete".into(), "SuccessPolicy".into())]
    );
    assert_eq!(object(k, &["job", "enough"])["status"]["failed"].as_i64().unwrap_or(0), 0);
}

fn failure_policy(k: &Kubectl) {
    let rules =
        "  podFailurePolicy:\n    rules:\n    - action: FailJob\n      onExitCodes: {containerName: main, operator: In, values: [42]}\n";
    k.apply(&job("fatal", &format!("  backoffLimit: 6\n{rules}"), "Never", "exit 42"));
    k.wait("condition=failed", "job/fatal");
    let pods = pods(k, "fatal");
    let message = k.jsonpath(&["job", "fatal"], "{.status.conditions[?(@.type==\"Failed\")].message}");
    let pod = format!("{}/{}", k.namespace, pods[0]["metadata"]["name"].as_str().unwrap());
    assert_eq!(message, format!("Container main for pod {pod} failed with exit code 42 matching FailJob rule at index 0"));
    assert_eq!((pods.len(), conditions(k, "fatal")[1].1.as_str()), (1, "PodFailurePolicy"));
}

/// Worked case 15, its first half.
fn elastic_indexed(k: &Kubectl) {
    let script = "case $JOB_COMPLETION_INDEX in 0|4) exit 0;; *) exec sleep 1000;; esac";
    k.apply(&job("elastic", "  completions: 5\n  parallelism: 5\n  completionMode: Indexed\n", "Never", script));
    k.wait("jsonpath={.status.completedIndexes}=0,4", "job/elastic");
    assert!(k.fails(&["patch", "job", "elastic", "-p", r#"{"spec":{"completions":3}}"#]).contains("spec.completions"));
    k.ok(&["patch", "job", "elastic", "-p", r#"{"spec":{"completions":3,"parallelism":3}}"#]);
    k.wait("jsonpath={.status.completedIndexes}=0", "job/elastic");
    let status = object(k, &["job", "elastic"])["status"].clone();
    assert_eq!((&status["succeeded"], status["failed"].as_i64().unwrap_or(0)), (&Value::from(1), 0));
    k.ok(&["delete", "job", "elastic"]);
}

const STATE: &str = "      volumes: [{name: state, emptyDir: {}}]\n      containers:\n      - name: main\n        volumeMounts: [{name: state, mountPath: /state}]\n";

fn with_state(manifest: &str) -> String {
    manifest.replace("      containers:\n      - name: main\n", STATE)
}

fn on_failure(k: &Kubectl) {
    k.apply(&with_state(&job("again", "", "OnFailure", "test -e /state/ran && exit 0; touch /state/ran; exit 5")));
    k.wait("condition=complete", "job/again");
    let pods = pods(k, "again");
    assert_eq!(pods.len(), 1);
    let status = &pods[0]["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 5);
    assert_eq!(terminated(&pods[0])["reason"], "Completed");
}

fn restart_budget(k: &Kubectl) {
    k.apply(&job("hopeless", "  backoffLimit: 1\n", "OnFailure", "exit 5"));
    k.wait("condition=failed", "job/hopeless");
    assert_eq!(
        conditions(k, "hopeless"),
        [("FailureTarget".into(), "BackoffLimitExceeded".into()), ("Failed".into(), "BackoffLimitExceeded".into())]
    );
    assert_eq!(object(k, &["job", "hopeless"])["status"]["active"].as_i64().unwrap_or(0), 0);
}

fn backoff_limit(k: &Kubectl) {
    k.apply(&job("bad", "  backoffLimit: 1\n", "Never", "exit 3"));
    k.wait("condition=failed", "job/bad");
    let pods = pods(k, "bad");
    assert_eq!(pods.len(), 2);
    let (first_end, second_start) = (time(&terminated(&pods[0])["finishedAt"]), time(&pods[1]["metadata"]["creationTimestamp"]));
    let waited = second_start.duration_since(first_end).as_secs();
    // The next step would be twenty seconds.
    assert!((9..20).contains(&waited), "the second Pod came {waited} s after the first had failed");
    assert!(
        pods.iter()
            .all(|pod| pod["status"]["phase"] == "Failed" && pod["metadata"]["finalizers"].is_null() && terminated(pod)["exitCode"] == 3)
    );
    let status = object(k, &["job", "bad"])["status"].clone();
    assert_eq!(status["failed"], 2);
    assert!(status["completionTime"].is_null());
}

fn job_deadline(k: &Kubectl) {
    k.apply(&job("late", "  parallelism: 3\n  completions: 6\n  activeDeadlineSeconds: 3\n", "Never", "exec sleep 1000"));
    k.wait("condition=failed", "job/late");
    assert_eq!(conditions(k, "late"), [("FailureTarget".into(), "DeadlineExceeded".into()), ("Failed".into(), "DeadlineExceeded".into())]);
    assert_eq!(object(k, &["job", "late"])["status"]["failed"], 3);
}

fn pod_deadline(k: &Kubectl) {
    let manifest = job("short", "  backoffLimit: 0\n", "Never", "exec sleep 1000")
        .replace("    spec:\n", "    spec:\n      activeDeadlineSeconds: 1\n");
    k.apply(&manifest);
    k.wait("condition=failed", "job/short");
    let pods = pods(k, "short");
    assert_eq!((&pods[0]["status"]["phase"], &pods[0]["status"]["reason"]), (&Value::from("Failed"), &Value::from("DeadlineExceeded")));
    assert_eq!(conditions(k, "short")[1], ("Failed".into(), "BackoffLimitExceeded".into()));
}

fn deleted_pod(k: &Kubectl) {
    k.apply(&job("kept", "", "Never", "exec sleep 1000"));
    k.wait("jsonpath={.status.ready}=1", "job/kept");
    let first = pods(k, "kept")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    k.ok(&["delete", "pod", &first]);
    // The page: the back-off count is reset when a Job's Pod is deleted, so the replacement does not wait ten seconds.
    k.wait("jsonpath={.status.ready}=1", "job/kept");
    let now = pods(k, "kept");
    assert!(now.len() == 1 && now[0]["metadata"]["name"] != first.as_str());
    k.ok(&["delete", "job", "kept"]);
}

fn out_of_memory(k: &Kubectl) {
    let manifest = job("greedy", "  backoffLimit: 0\n", "Never", "echo start; exec tail /dev/zero")
        .replace("        image: busybox\n", "        image: busybox\n        resources: {limits: {memory: 32Mi, cpu: 500m}}\n");
    k.apply(&manifest);
    k.wait("condition=failed", "job/greedy");
    let pods = pods(k, "greedy");
    assert_eq!((&terminated(&pods[0])["reason"], &terminated(&pods[0])["exitCode"]), (&Value::from("OOMKilled"), &Value::from(137)));
    assert_eq!(pods[0]["spec"]["containers"][0]["resources"]["requests"]["memory"], "32Mi");
}

fn isolation(k: &Kubectl) {
    let script = "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status; for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done; \
                  cat /proc/kcore | head -c 1 | wc -c; (echo x > /proc/sys/kernel/hostname) 2>&1 | tail -n 1; ls /proc | grep -c '^[0-9]'; hostname; ip addr show lo | grep -c 127.0.0.1; \
                  mount -t tmpfs none /mnt 2>&1; unshare -U true 2>&1 || true";
    k.apply(&job("inside", "", "Never", script));
    k.wait("condition=complete", "job/inside");
    let log = k.ok(&["logs", "job/inside"]);
    let line = |start: &str| log.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {log}"));
    assert_eq!(line("Seccomp:").split_whitespace().last(), Some("2"), "{log}");
    assert_eq!(line("NoNewPrivs:").split_whitespace().last(), Some("1"), "{log}");
    // The usual default set: 14 capabilities, none of them CAP_SYS_ADMIN.
    assert_eq!(line("CapEff:").split_whitespace().last(), Some("00000000a80425fb"), "{log}");
    for namespace in ["mnt", "pid", "net", "ipc", "uts"] {
        let ours = fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap().to_string_lossy().into_owned();
        assert_ne!(line(&format!("{namespace}:")), ours);
    }
    assert!(log.contains("Read-only file system") || log.contains("Permission denied"), "{log}");
    assert!(log.contains(&pods(k, "inside")[0]["metadata"]["name"].as_str().unwrap().to_owned()), "the host name is the Pod's: {log}");
    assert!(log.contains("mount: permission denied") || log.contains("Operation not permitted") || log.contains("denied"), "{log}");
}

fn environment(k: &Kubectl) {
    k.ok(&["create", "configmap", "settings", "--from-literal=colour=green"]);
    k.ok(&["create", "secret", "generic", "hidden", "--from-literal=word=sesame"]);
    k.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: env}
spec:
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsUser: 1234, runAsGroup: 2345}
      volumes:
      - {name: files, configMap: {name: settings}}
      - {name: keys, secret: {secretName: hidden}}
      containers:
      - name: main
        image: busybox
        workingDir: /tmp
        command: [sh, -c]
        args: ['echo "$GREETING|$COLOUR|$WORD|$POD|$0|$1"; pwd; id -u; id -g; cat /files/colour; echo; cat /keys/word; echo; echo bye > /dev/termination-log', "$(WORD)", "$$(WORD)"]
        env:
        - {name: NAME, value: world}
        - {name: GREETING, value: "hello $(NAME) $$(NAME)"}
        - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
        - {name: WORD, valueFrom: {secretKeyRef: {name: hidden, key: word}}}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        volumeMounts:
        - {name: files, mountPath: /files}
        - {name: keys, mountPath: /keys, readOnly: true}
"#,
    );
    k.wait("condition=complete", "job/env");
    let pods = pods(k, "env");
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    let log = k.ok(&["logs", "job/env"]);
    assert_eq!(log.lines().skip(1).collect::<Vec<_>>(), ["/tmp", "1234", "2345", "green", "sesame"], "{log}");
    assert!(log.starts_with(&format!("hello world $(NAME)|green|sesame|{name}|sesame|$(WORD)\n")), "{log}");
    assert_eq!(terminated(&pods[0])["message"], "bye\n");
}

fn missing_image(k: &Kubectl) {
    // Port 1 on loopback: refused at once.
    k.apply(&job("nowhere", "", "Never", "true").replace("image: busybox", "image: 127.0.0.1:1/nothing:v1"));
    let path = "{.status.containerStatuses[0].state.waiting.reason}";
    let reason = k.watch_until(&["pods", "-l", "job-name=nowhere"], path, |line| line.contains("Image"));
    assert!(matches!(reason.as_deref(), Some("ErrImagePull" | "ImagePullBackOff")), "{reason:?}");
    assert_eq!(object(k, &["job", "nowhere"])["status"]["active"], 1);
    k.ok(&["delete", "job", "nowhere"]);
}

fn missing_command(k: &Kubectl) {
    k.apply(&job("typo", "  backoffLimit: 0\n", "Never", "true").replace("command: [sh, -c, \"true\"]", "command: [no-such-program]"));
    k.wait("condition=failed", "job/typo");
    let pods = pods(k, "typo");
    assert_eq!((&terminated(&pods[0])["exitCode"], &terminated(&pods[0])["reason"]), (&Value::from(128), &Value::from("StartError")));
    assert!(terminated(&pods[0])["message"].as_str().unwrap().contains("no-such-program"), "{}", pods[0]["status"]);
}

fn graceful_end(k: &Kubectl) {
    let manifest = job("polite", "", "Never", "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 1; done")
        .replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 30");
    k.apply(&manifest);
    k.wait("jsonpath={.status.ready}=1", "job/polite");
    let pod = pods(k, "polite")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    // The log is followed while the Job is deleted: the container says that it was asked to stop.
    let mut follow = k.command(&["logs", "-f", &pod]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let deleted = k.output(&["delete", "job", "polite", "--cascade=foreground"]);
    assert!(deleted.status.success(), "{}", text(&deleted));
    assert_eq!(lines.next().as_deref(), Some("asked"));
    follow.wait().unwrap();
    assert_eq!(pods(k, "polite").len(), 0);
}
