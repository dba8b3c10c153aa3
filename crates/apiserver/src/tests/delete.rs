//! Deletion, finalizers, namespaces, expiry of events.

use super::*;

#[tokio::test]
async fn a_removed_object_is_a_status_with_its_uid() {
    let server = server().await;
    let created = server.post(JOBS, &job("pi")).await.expect(201);
    let status = server.delete(&format!("{JOBS}/pi"), Some(json!({"propagationPolicy": "Background"}))).await.expect(200);
    assert_eq!(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "pi", "group": "batch", "kind": "jobs", "uid": created["metadata"]["uid"]}})
    );
    server.get(&format!("{JOBS}/pi")).await.expect(404);
}

#[tokio::test]
async fn a_job_without_policy_is_orphaned_and_goes_with_its_last_finalizer() {
    let server = server().await;
    server.post(JOBS, &job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi");
    let reply = server.delete(&path, None).await;
    let object = reply.expect(200);
    assert_eq!(object["metadata"]["finalizers"], json!(["orphan"]));
    assert_eq!(object["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    assert!(reply.warnings()[0].contains("child pods are preserved by default"), "{:?}", reply.warnings());
    let refused = server.merge(&path, &json!({"metadata": {"finalizers": ["orphan", "x/y"]}})).await.expect(422);
    assert!(refused["message"].as_str().unwrap().contains("metadata.finalizers: Forbidden: no new finalizers"), "{refused}");
    let kept = server.merge(&path, &json!({"metadata": {"deletionTimestamp": null, "labels": {"a": "b"}}})).await.expect(200);
    assert_eq!(kept["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z", "cannot be cleared");
    let mut events = server.watch(&format!("{JOBS}?watch=1&resourceVersion={}", version_of(&kept))).await;
    server.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    assert_eq!(events.brief().await, "DELETED pi");
    server.get(&path).await.expect(404);
}

#[tokio::test]
async fn preconditions_name_both_values() {
    let server = server().await;
    let created = server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let path = format!("{CONFIGMAPS}/a");
    let uid = created["metadata"]["uid"].as_str().unwrap();
    let status = server.delete(&path, Some(json!({"preconditions": {"uid": "other"}}))).await.expect(409);
    assert!(status["message"].as_str().unwrap().contains(&format!("UID in precondition: other, UID in object meta: {uid}")), "{status}");
    server.delete(&path, Some(json!({"preconditions": {"resourceVersion": "1"}}))).await.expect(409);
    let both = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid, "resourceVersion": created["metadata"]["resourceVersion"]}});
    server.delete(&path, Some(both)).await.expect(200);
}

#[tokio::test]
async fn pods_are_deleted_in_two_steps() {
    let server = server().await;
    server.post(PODS, &pod("p")).await.expect(201);
    let path = format!("{PODS}/p");
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    server.post(&format!("{path}/binding"), &binding).await.expect(201);
    let marked = server.delete(&path, None).await.expect(200);
    assert_eq!(marked["kind"], "Pod");
    assert_eq!(
        (&marked["metadata"]["deletionGracePeriodSeconds"], &marked["metadata"]["deletionTimestamp"]),
        (&json!(30), &json!("2026-01-01T00:00:30Z"))
    );
    assert_eq!(server.delete(&path, None).await.expect(200), marked);
    assert_eq!(server.get(&path).await.expect(200), marked);
    let gone = server.delete(&format!("{path}?gracePeriodSeconds=0"), None).await.expect(200);
    assert_eq!(gone["kind"], "Pod");
    server.get(&path).await.expect(404);
    server.post(PODS, &pod("q")).await.expect(201);
    server.delete(&format!("{PODS}/q"), None).await.expect(200);
    server.get(&format!("{PODS}/q")).await.expect(404);
}

#[tokio::test]
async fn collections() {
    let server = server().await;
    for (name, x) in [("a", "1"), ("b", "2"), ("c", "1")] {
        server.post(CONFIGMAPS, &configmap(name, json!({"x": x}))).await.expect(201);
    }
    let deleted = server.delete(&format!("{CONFIGMAPS}?labelSelector=x%3D1"), None).await.expect(200);
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.get(CONFIGMAPS).await.expect(200)["items"].as_array().unwrap().len(), 1);
    server.delete("/api/v1/configmaps", None).await.expect(405);
}

#[tokio::test]
async fn a_namespace_is_emptied_before_it_goes() {
    let server = server().await;
    let path = "/api/v1/namespaces/work";
    server.post("/api/v1/namespaces", &json!({"metadata": {"name": "work"}})).await.expect(201);
    let terminating = server.delete(path, None).await.expect(200);
    assert_eq!((terminating["kind"].as_str(), terminating["status"]["phase"].as_str()), (Some("Namespace"), Some("Terminating")));
    let refused = server.post(&format!("{path}/configmaps"), &configmap("a", json!({}))).await.expect(403);
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let mut finalized = terminating.clone();
    finalized["spec"]["finalizers"] = json!([]);
    server.put(&format!("{path}/finalize"), &finalized).await.expect(200);
    server.get(path).await.expect(404);
}

#[tokio::test]
async fn old_events_expire() {
    let server = server().await;
    let event = |name: &str, at: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"}, "type": "Normal", "reason": "r", "message": "m",
            "involvedObject": {"kind": "Job", "namespace": "default", "name": "pi"}, "lastTimestamp": at, "firstTimestamp": at, "count": 1})
    };
    let events = "/api/v1/namespaces/default/events";
    server.post(events, &event("old", "2026-01-01T00:00:00Z")).await.expect(201);
    server.post(events, &event("young", "2026-01-01T00:59:00Z")).await.expect(201);
    *server.now.lock().unwrap() = "2026-01-01T01:00:01Z".parse().unwrap();
    let now = *server.now.lock().unwrap();
    assert_eq!(server.api.expire_events(now).await, 1);
    server.get(&format!("{events}/old")).await.expect(404);
    server.get(&format!("{events}/young")).await.expect(200);
}

#[tokio::test]
async fn an_option_that_cannot_be_read_stops_the_deletion() {
    let server = server().await;
    server.post(JOBS, &job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi");
    for (options, field) in [
        (json!({"dryRun": [1]}), "dryRun"),
        (json!({"dryRun": ["All", null]}), "dryRun"),
        (json!({"dryRun": "All"}), "dryRun"),
        (json!({"preconditions": 5}), "preconditions"),
        (json!({"preconditions": {"uid": 5}}), "preconditions.uid"),
        (json!({"preconditions": {"resourceVersion": 7}}), "preconditions.resourceVersion"),
    ] {
        let refused = server.delete(&path, Some(options)).await.expect(400);
        let message = refused["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("DeleteOptions.{field} must be ")), "{message}");
        let kept = server.get(&path).await.expect(200);
        assert_eq!(kept["metadata"]["deletionTimestamp"], json!(null), "{field}");
    }
}
