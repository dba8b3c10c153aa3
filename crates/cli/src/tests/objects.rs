//! apply, get, describe, delete: what they print and what they leave on the server.

use super::House;
use serde_json::{Value, json};

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let house = House::new().await;
    let pi = house.pi();
    assert_eq!(house.ok(&format!("apply -f {pi}")).await, "job.batch/pi created\n");
    assert_eq!(house.ok(&format!("apply -f {pi}")).await, "job.batch/pi unchanged\n");
    let changed = house.manifest(
        "changed.yaml",
        &include_str!("../../../../examples/pi.yaml").replace("backoffLimit: 4", "backoffLimit: 5\n  parallelism: 0"),
    );
    assert_eq!(house.ok(&format!("apply -f {changed} --dry-run=server")).await, "job.batch/pi configured (server dry run)\n");
    assert_eq!(house.ok("get job pi -o jsonpath={.spec.backoffLimit}").await, "4");
    assert_eq!(house.ok(&format!("apply -f {changed}")).await, "job.batch/pi configured\n");
    assert_eq!(house.ok("get job pi -o jsonpath={.spec.backoffLimit}/{.spec.parallelism}").await, "5/0");
    // A field that left the manifest gets the server's default again.
    assert_eq!(house.ok(&format!("apply -f {pi}")).await, "job.batch/pi configured\n");
    assert_eq!(house.ok("get job pi -o jsonpath={.spec.backoffLimit}/{.spec.parallelism}").await, "4/1");
    let annotation = house.ok("get job pi -o jsonpath={.metadata.annotations}").await;
    assert!(annotation.contains("last-applied-configuration") && annotation.contains("print bpi(2000)"), "{annotation}");
}

#[tokio::test]
async fn apply_keeps_what_others_added() {
    let house = House::new().await;
    let map = |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n{data}");
    let path = house.manifest("c.yaml", &map("  a: '1'\n  b: '2'\n"));
    house.ok(&format!("apply -f {path}")).await;
    house.server.merge_patch("/api/v1/namespaces/default/configmaps/c", &json!({"data": {"theirs": "x", "a": "9"}})).await.unwrap();
    house.manifest("c.yaml", &map("  a: '1'\n"));
    assert_eq!(house.ok(&format!("apply -f {path}")).await, "configmap/c configured\n");
    let data: Value = serde_json::from_str(&house.ok("get configmap c -o jsonpath={.data}").await).unwrap();
    assert_eq!(data, json!({"a": "1", "theirs": "x"}));
}

#[tokio::test]
async fn refusals_name_the_reason_and_the_rest_goes_on() {
    let house = House::new().await;
    let path = house.manifest(
        "mixed.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {parallelism: -1, template: {spec: {restartPolicy: Always, containers: [{name: c, image: i}]}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
    );
    let done = house.run(&format!("apply -f {path}")).await;
    assert_eq!((done.code, done.out.as_str()), (1, "configmap/a created\nconfigmap/b created\n"));
    assert!(done.err.contains("error: no matches for kind \"Nonsense\" in version \"v1\""), "{}", done.err);
    assert!(
        done.err.contains("Error from server (Invalid): Job.batch \"j\" is invalid") && done.err.contains("spec.parallelism"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn get_in_every_form() {
    let house = House::new().await;
    let done = house.run("get jobs").await;
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", "No resources found in default namespace.\n"));
    house.ok(&format!("apply -f {}", house.pi())).await;
    let table = house.ok("get jobs").await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]);
    assert_eq!(lines[1][..3], ["pi", "Running", "0/1"]);
    assert!(house.ok("get job/pi -o wide").await.contains("SELECTOR"));
    assert!(house.ok("get jobs -A").await.starts_with("NAMESPACE"));
    assert!(!house.ok("get jobs --no-headers").await.contains("NAME"));
    assert_eq!(house.ok("get jobs -o name").await, "job.batch/pi\n");
    assert_eq!(house.ok("get jobs,pods -o jsonpath={.items[*].metadata.name}").await, "pi");
    assert!(house.ok("get jobs,serviceaccounts").await.contains("\njob.batch/pi"));
    let yaml = house.ok("get job pi -o yaml").await;
    assert!(yaml.starts_with("apiVersion: batch/v1\nkind: Job\nmetadata:\n") && yaml.contains("\n        - print bpi(2000)\n"), "{yaml}");
    let read: Value = serde_saphyr::from_str(&yaml).unwrap();
    let json: Value = serde_json::from_str(&house.ok("get job pi -o json").await).unwrap();
    assert_eq!(read, json);
    let list: Value = serde_json::from_str(&house.ok("get jobs -o json").await).unwrap();
    assert_eq!(
        (&list["kind"], &list["items"][0]["kind"], &list["items"][0]["apiVersion"]),
        (&json!("List"), &json!("Job"), &json!("batch/v1"))
    );
    assert_eq!(house.ok("get jobs -l job-name=other -o name").await, "");
    assert_eq!(house.ok("get jobs -l job-name=pi -o name").await, "job.batch/pi\n");
    for (line, expected) in [
        ("get job none", "Error from server (NotFound): jobs.batch \"none\" not found\n"),
        ("get nonsense", "error: the server doesn't have a resource type \"nonsense\"\n"),
        ("get job pi -A", "error: a resource cannot be retrieved by name across all namespaces\n"),
        ("get jobs -o jsonpath={.a", "error: jsonpath \"{.a\": an action is not closed at character 4\n"),
        ("get jobs -o fancy", "error: unknown output format \"fancy\": use json, yaml, name, wide or jsonpath=TEMPLATE\n"),
    ] {
        let done = house.run(line).await;
        assert_eq!((done.code, done.err.as_str()), (1, expected), "{line}");
    }
    assert_eq!(house.ok("get job none --ignore-not-found").await, "");
}

#[tokio::test]
async fn describe_shows_the_job_and_its_events_only() {
    let house = House::new().await;
    house.ok(&format!("apply -f {}", house.pi())).await;
    let job = house.server.get("/apis/batch/v1/namespaces/default/jobs/pi").await.unwrap();
    for (name, uid) in [("e1", job["metadata"]["uid"].clone()), ("e2", json!("another-uid"))] {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"}, "type": "Normal", "reason": "SuccessfulCreate",
            "message": format!("Created pod: {name}"), "source": {"component": "job-controller"}, "count": 1,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
            "involvedObject": {"kind": "Job", "apiVersion": "batch/v1", "name": "pi", "namespace": "default", "uid": uid}});
        house.server.post("/api/v1/namespaces/default/events", &event).await.unwrap();
    }
    let text = house.ok("describe jobs/pi").await;
    for part in [
        "Name:             pi\n",
        "Backoff Limit:    4\n",
        "    Image:      perl\n",
        "      print bpi(2000)\n",
        "Pods Statuses:    0 Active",
        "Created pod: e1",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Created pod: e2"), "{text}");
    // No exact name: those that begin so.
    assert!(house.ok("describe job p").await.contains("Name:             pi\n"));
    let done = house.run("describe job q").await;
    assert_eq!((done.code, done.err.as_str()), (1, "Error from server (NotFound): jobs.batch \"q\" not found\n"));
    assert!(house.ok("describe namespace default").await.contains("Kind:         Namespace"));
}

#[tokio::test]
async fn delete_by_name_file_and_label() {
    let house = House::new().await;
    let pi = house.pi();
    for (line, expected) in [
        ("delete job pi".to_string(), "job.batch \"pi\" deleted\n"),
        ("delete job/pi --cascade=false".to_string(), "job.batch \"pi\" deleted\n"),
        (format!("delete -f {pi}"), "job.batch \"pi\" deleted\n"),
        ("delete jobs -l job-name=pi".to_string(), "job.batch \"pi\" deleted\n"),
        ("delete jobs --all -o name --wait=false".to_string(), "job.batch/pi\n"),
    ] {
        house.ok(&format!("apply -f {pi}")).await;
        // No garbage collector runs here: orphaning would wait for it.
        let line = if line.contains("cascade=false") { format!("{line} --wait=false") } else { line };
        assert_eq!(house.ok(&line).await, expected, "{line}");
        if line.contains("cascade=false") {
            house
                .server
                .merge_patch("/apis/batch/v1/namespaces/default/jobs/pi", &json!({"metadata": {"finalizers": null}}))
                .await
                .unwrap();
        }
        assert_eq!(house.ok("get jobs -o name").await, "", "{line}");
    }
    let done = house.run("delete job pi").await;
    assert_eq!((done.code, done.err.as_str()), (1, "Error from server (NotFound): jobs.batch \"pi\" not found\n"));
    house.ok("delete job pi --ignore-not-found").await;
    let done = house.run("delete jobs").await;
    assert!(done.code == 1 && done.err.contains("no name was specified"), "{done:?}");
}
