//! `run`: outcomes, logs, refusals, interrupts. The test plays controller and node agent.

use super::{Done, House};
use crate::{
    run::{Request, run_in},
    watching::{Change, follow},
};
use futures::StreamExt;
use serde_json::{Value, json};
use std::{future::pending, pin::pin};

async fn run(house: &House, file: String, interrupted: impl Future<Output = ()>) -> Done {
    let request = Request { file, namespace: "default".into() };
    let code = run_in(&house.context, request, interrupted).await;
    Done { code, out: house.out.take(), err: house.err.take() }
}

/// The first Job that appears.
async fn job(house: &House) -> Value {
    let mut changes = pin!(follow(&house.server, "/apis/batch/v1/namespaces/default/jobs"));
    loop {
        match changes.next().await.unwrap().unwrap() {
            Change::Listed(jobs) if !jobs.is_empty() => return jobs[0].clone(),
            Change::Changed(job) => return job,
            _ => {}
        }
    }
}

fn ended(code: i64) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "startedAt": at, "finishedAt": at}})
}

#[tokio::test]
async fn a_job_that_completes() {
    let house = House::new().await;
    let controller = async {
        let job = job(&house).await;
        house.make_pod(&job, "pi-1").await;
        house.set_pod("pi-1", "Running", json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})).await;
        house.set_pod("pi-1", "Succeeded", ended(0)).await;
        house.set_job("pi", House::completed()).await;
    };
    let (done, ()) = tokio::join!(run(&house, house.pi(), pending()), controller);
    assert_eq!(done.code, 0, "{done:?}");
    // One Pod: its lines as they are, once.
    assert_eq!(done.out, "first line of pi-1\nquery container=pi&follow=true\n");
    assert!(
        done.err.contains("job.batch/pi created\n")
            && done.err.contains("1/1 succeeded")
            && done.err.contains("job.batch/pi complete after"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let house = House::new().await;
    let controller = async {
        let job = job(&house).await;
        house.make_pod(&job, "pi-1").await;
        house.set_pod("pi-1", "Failed", ended(3)).await;
        house.set_job("pi", House::failed()).await;
    };
    let (done, ()) = tokio::join!(run(&house, house.pi(), pending()), controller);
    assert_eq!(done.code, 1, "{done:?}");
    for part in [
        "job.batch/pi failed: BackoffLimitExceeded: Job has reached the specified backoff limit\n",
        "pod/pi-1, container pi: exit code 3 (Error); its last lines:\n  first line of pi-1\n",
    ] {
        assert!(done.err.contains(part), "{part}\n{}", done.err);
    }
}

#[tokio::test]
async fn retries_have_names_before_their_lines() {
    let house = House::new().await;
    let controller = async {
        let job = job(&house).await;
        for (name, code) in [("pi-1", 1), ("pi-2", 0)] {
            house.make_pod(&job, name).await;
            house.set_pod(name, if code == 0 { "Succeeded" } else { "Failed" }, ended(code)).await;
        }
        house.set_job("pi", House::completed()).await;
    };
    let (done, ()) = tokio::join!(run(&house, house.pi(), pending()), controller);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("[pi-2/pi] first line of pi-2\n"), "{}", done.out);
    assert_eq!(done.out.lines().count(), 4, "{}", done.out);
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_told_once() {
    let house = House::new().await;
    let controller = async {
        let job = job(&house).await;
        house.make_pod(&job, "pi-1").await;
        for reason in ["ErrImagePull", "ImagePullBackOff", "ErrImagePull"] {
            house.set_pod("pi-1", "Pending", json!({"waiting": {"reason": reason, "message": "the registry cannot be reached"}})).await;
        }
        house.server.delete("/apis/batch/v1/namespaces/default/jobs/pi", &json!({"propagationPolicy": "Background"})).await.unwrap();
    };
    let (done, ()) = tokio::join!(run(&house, house.pi(), pending()), controller);
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(done.err.matches("cannot start").count(), 1, "{}", done.err);
    assert!(
        done.err.contains(": the registry cannot be reached\n") && done.err.contains("job.batch/pi was deleted before it ended\n"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn refusals_exit_with_2_and_leave_no_job() {
    let house = House::new().await;
    let bad = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: bad}\nspec: {parallelism: -1, template: {spec: {restartPolicy: Always, containers: [{name: c, image: i}]}}}\n";
    let good = include_str!("../../../../examples/pi.yaml");
    for (name, text, expected) in [
        (
            "invalid",
            bad.to_string(),
            vec!["Error from server (Invalid)", "\n  spec.parallelism: Invalid value", "\n  spec.template.spec.restartPolicy"],
        ),
        ("the second is invalid", format!("{good}\n---\n{bad}"), vec!["job.batch/pi created", "spec.parallelism"]),
        ("unknown field", good.replace("backoffLimit", "backOffLimit"), vec!["backOffLimit"]),
        ("no Job", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n".into(), vec!["there is no Job in the manifest"]),
        ("not YAML", "a: [".into(), vec!["not valid YAML"]),
        ("no such namespace", good.replacen("name: pi\n", "name: pi\n  namespace: none\n", 1), vec!["namespaces \"none\" not found"]),
    ] {
        let path = house.manifest("m.yaml", &text);
        let done = run(&house, path, pending()).await;
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{name}: {done:?}");
        for part in expected {
            assert!(done.err.contains(part), "{name}: {part}\n{}", done.err);
        }
        // No garbage collector runs here, so a withdrawn Job waits for one: release it.
        for job in house.ok("get jobs -o name").await.lines() {
            let deleting = house.ok(&format!("get {} -o jsonpath={{.metadata.deletionTimestamp}}", job.replace(".batch", ""))).await;
            assert!(!deleting.is_empty(), "{name}: {job} was left");
            house
                .server
                .merge_patch("/apis/batch/v1/namespaces/default/jobs/pi", &json!({"metadata": {"finalizers": null}}))
                .await
                .unwrap();
        }
    }
    house.ok(&format!("apply -f {}", house.pi())).await;
    let done = run(&house, house.pi(), pending()).await;
    assert!(done.code == 2 && done.err.contains("already exists; delete it first"), "{done:?}");
    assert_eq!(house.ok("get jobs -o name").await, "job.batch/pi\n", "the Job that was there before stays");
    let done = run(&house, "/nonexistent/pi.yaml".into(), pending()).await;
    assert!(done.code == 2 && done.err.contains("/nonexistent/pi.yaml cannot be read"), "{done:?}");
}

#[tokio::test]
async fn an_interrupt_deletes_the_job_and_waits_for_its_pods() {
    let house = House::new().await;
    let (interrupt, interrupted) = tokio::sync::oneshot::channel::<()>();
    let controller = async {
        let job = job(&house).await;
        house.make_pod(&job, "pi-1").await;
        house.set_pod("pi-1", "Running", json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})).await;
        interrupt.send(()).unwrap();
        // The deletion arrives; then the garbage collector's and the agent's part.
        let path = "/apis/batch/v1/namespaces/default/jobs";
        let mut changes = pin!(follow(&house.server, path));
        loop {
            let jobs = match changes.next().await.unwrap().unwrap() {
                Change::Listed(jobs) => jobs,
                Change::Changed(job) => vec![job],
                Change::Deleted(_) => panic!("the Job went before its Pod"),
            };
            if jobs.iter().any(|job| job["metadata"]["deletionTimestamp"].is_string()) {
                break;
            }
        }
        house.server.delete("/api/v1/namespaces/default/pods/pi-1", &json!({"gracePeriodSeconds": 0})).await.unwrap();
        house.server.merge_patch(&format!("{path}/pi"), &json!({"metadata": {"finalizers": null}})).await.unwrap();
    };
    let stop = async {
        let _ = interrupted.await;
    };
    let (done, ()) = tokio::join!(run(&house, house.pi(), stop), controller);
    assert_eq!(done.code, 130, "{done:?}");
    assert_eq!(house.ok("get jobs,pods -o name").await, "");
    assert!(done.err.ends_with("interrupted\n"), "{}", done.err);
}
