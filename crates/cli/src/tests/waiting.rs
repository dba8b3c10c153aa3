//! wait, delete and get -w: they see what happens while they wait.

use super::House;
use serde_json::json;

#[tokio::test]
async fn wait_sees_the_condition() {
    let house = House::new().await;
    house.ok(&format!("apply -f {}", house.pi())).await;
    let done = house.run_while("wait --for=condition=complete job/pi --timeout=60s", house.set_job("pi", House::completed())).await;
    assert_eq!((done.code, done.out.as_str()), (0, "job.batch/pi condition met\n"), "{done:?}");
    assert_eq!(house.ok("wait --for=condition=complete jobs --all --timeout=0").await, "job.batch/pi condition met\n");
    assert_eq!(house.ok("wait --for=jsonpath={.status.succeeded}=1 job/pi").await, "job.batch/pi condition met\n");
    for (line, expected) in [
        ("wait --for=condition=failed job/pi --timeout=0", "error: condition not met for jobs/pi\n"),
        ("wait --for=condition=failed job/pi --timeout=50ms", "error: timed out waiting for the condition on jobs/pi\n"),
        ("wait --for=condition=complete job/none", "Error from server (NotFound): jobs.batch \"none\" not found\n"),
        ("wait --for=condition=complete jobs -l a=b", "error: no matching resources found\n"),
    ] {
        let done = house.run(line).await;
        assert_eq!((done.code, done.err.as_str()), (1, expected), "{line}");
    }
}

#[tokio::test]
async fn wait_for_deletion_and_creation() {
    let house = House::new().await;
    house.ok(&format!("apply -f {}", house.pi())).await;
    assert_eq!(house.ok("wait --for=delete job/none").await, "");
    let path = "/apis/batch/v1/namespaces/default/jobs/pi";
    let options = json!({"propagationPolicy": "Background"});
    let delete = async {
        house.server.delete(path, &options).await.unwrap();
    };
    let done = house.run_while("wait --for=delete job/pi --timeout=60s", delete).await;
    assert_eq!((done.code, done.out.as_str()), (0, "job.batch/pi condition met\n"), "{done:?}");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let make = async {
        house.server.post("/api/v1/namespaces/default/configmaps", &map).await.unwrap();
    };
    let done = house.run_while("wait --for=create configmap/c --timeout=60s", make).await;
    assert_eq!(done.code, 0, "{done:?}");
}

#[tokio::test]
async fn delete_returns_when_the_object_is_gone() {
    let house = House::new().await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x.example/held"]}});
    house.server.post("/api/v1/namespaces/default/configmaps", &map).await.unwrap();
    let done = house.run("delete configmap c --timeout=50ms").await;
    assert_eq!((done.code, done.err.as_str()), (1, "error: timed out waiting for the deletion of configmap/c\n"));
    let release = json!({"metadata": {"finalizers": null}});
    let release = async {
        house.server.merge_patch("/api/v1/namespaces/default/configmaps/c", &release).await.unwrap();
    };
    let done = house.run_while("delete configmap c --timeout=60s", release).await;
    assert_eq!(done.code, 0, "{done:?}");
}

#[tokio::test]
async fn get_watches() {
    let house = House::new().await;
    house.ok(&format!("apply -f {}", house.pi())).await;
    let watching = house.run("get jobs -w");
    tokio::pin!(watching);
    let mut seen = String::new();
    let mut changed = false;
    let finished = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while !seen.contains("Complete") {
            tokio::select! {
                biased;
                _ = &mut watching => panic!("the watch ended"),
                () = house.out.written() => {
                    seen.push_str(&house.out.take());
                    if seen.contains("Running") && !changed {
                        changed = true;
                        house.set_job("pi", House::completed()).await;
                    }
                }
            }
        }
    })
    .await;
    assert!(finished.is_ok(), "{seen}");
    assert_eq!(seen.matches("NAME").count(), 1, "{seen}");
}

#[tokio::test]
async fn logs_of_a_pod_and_of_a_job() {
    let house = House::new().await;
    house.ok(&format!("apply -f {}", house.pi())).await;
    let job = house.server.get("/apis/batch/v1/namespaces/default/jobs/pi").await.unwrap();
    house.make_pod(&job, "pi-1").await;
    assert_eq!(house.ok("logs pi-1").await, "first line of pi-1\nquery container=pi\n");
    assert_eq!(house.ok("logs job/pi --tail=5 --timestamps").await, "first line of pi-1\nquery container=pi&tailLines=5&timestamps=true\n");
    assert_eq!(
        house.ok("logs -l job-name=pi --prefix").await,
        "[pod/pi-1/pi] first line of pi-1\n[pod/pi-1/pi] query container=pi&tailLines=10\n"
    );
    house.make_pod(&job, "pi-2").await;
    house.set_pod("pi-2", "Running", json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})).await;
    let done = house.run("logs job/pi").await;
    assert_eq!((done.out.lines().next(), done.err.as_str()), (Some("first line of pi-2"), "Found 2 pods, using pod/pi-2\n"));
    let done = house.run("logs none").await;
    assert_eq!((done.code, done.err.as_str()), (1, "Error from server (NotFound): pods \"none\" not found\n"));
}
