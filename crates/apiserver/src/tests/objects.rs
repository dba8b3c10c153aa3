//! Create, read, update, patch.

use super::*;

#[tokio::test]
async fn the_objects_of_the_start_are_there() {
    let server = server().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = server.get(&format!("/api/v1/namespaces/{name}")).await.expect(200);
        assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], name);
        assert_eq!(namespace["status"]["phase"], "Active");
        assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
        server.get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default")).await.expect(200);
        assert_eq!(server.get(&format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt")).await.code, 404);
    }
    server.api.publish_root_ca("PEM").await.unwrap();
    assert_eq!(server.get(&format!("{CONFIGMAPS}/kube-root-ca.crt")).await.expect(200)["data"]["ca.crt"], "PEM");
    server.post("/api/v1/namespaces", &json!({"metadata": {"name": "later"}})).await.expect(201);
    server.get("/api/v1/namespaces/later/serviceaccounts/default").await.expect(200);
    server.get("/api/v1/namespaces/later/configmaps/kube-root-ca.crt").await.expect(200);
}

#[tokio::test]
async fn a_second_start_changes_nothing() {
    let server = server().await;
    let before = server.store.revision().await.unwrap();
    let options =
        Options { store: server.store.clone(), advertise: String::new(), kubelet_client: server.pki.client_config("x", &[]).unwrap() };
    ApiServer::new(options).await.unwrap();
    assert_eq!(server.store.revision().await.unwrap(), before);
}

#[tokio::test]
async fn created_read_and_read_back() {
    let server = server().await;
    let mut sent = job("pi");
    sent["metadata"]["uid"] = json!("mine");
    sent["metadata"]["creationTimestamp"] = Value::Null;
    sent["status"] = json!({});
    let created = server.post(JOBS, &sent).await.expect(201);
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_ne!(created["metadata"]["uid"], "mine");
    assert_eq!(created["spec"]["parallelism"], 1);
    assert_eq!(created["spec"]["template"]["metadata"]["labels"]["job-name"], "pi");
    assert_eq!(server.get(&format!("{JOBS}/pi")).await.expect(200), created);
    assert_eq!(version_of(&created), server.store.revision().await.unwrap());
    let again = server.post(JOBS, &job("pi")).await.expect(409);
    assert_eq!((again["reason"].as_str(), again["details"]["kind"].as_str()), (Some("AlreadyExists"), Some("jobs")));
}

#[tokio::test]
async fn names_are_generated() {
    let server = server().await;
    let mut object = configmap("x", json!({}));
    object["metadata"] = json!({"generateName": "part-"});
    let first = server.post(CONFIGMAPS, &object).await.expect(201);
    let second = server.post(CONFIGMAPS, &object).await.expect(201);
    let name = first["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("part-") && name.len() == 10, "{name}");
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
}

#[tokio::test]
async fn bodies_in_yaml_and_without_a_type() {
    let server = server().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  a: '1'\n";
    server.send("POST", CONFIGMAPS, &[("content-type", "application/yaml")], yaml).await.expect(201);
    server.send("POST", CONFIGMAPS, &[], configmap("none", json!({})).to_string()).await.expect(201);
    let charset = [("content-type", "application/json; charset=utf-8")];
    server.send("POST", CONFIGMAPS, &charset, configmap("charset", json!({})).to_string()).await.expect(201);
}

#[tokio::test]
async fn dry_runs_store_nothing() {
    let server = server().await;
    let before = server.store.revision().await.unwrap();
    let dry = server.post(&format!("{CONFIGMAPS}?dryRun=All"), &configmap("a", json!({}))).await.expect(201);
    assert!(dry["metadata"].get("resourceVersion").is_none());
    assert_eq!(server.store.revision().await.unwrap(), before);
    let stored = server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    server.post(&format!("{CONFIGMAPS}?dryRun=All"), &configmap("a", json!({}))).await.expect(409);
    let patched = server.merge(&format!("{CONFIGMAPS}/a?dryRun=All"), &json!({"data": {"a": "2"}})).await.expect(200);
    assert_eq!(patched["data"]["a"], "2");
    server.send("DELETE", &format!("{CONFIGMAPS}/a?dryRun=All"), &[], "").await.expect(200);
    assert_eq!(server.get(&format!("{CONFIGMAPS}/a")).await.expect(200), stored);
    server.post(&format!("{CONFIGMAPS}?dryRun=Some"), &configmap("b", json!({}))).await.expect(422);
}

#[tokio::test]
async fn updates_respect_versions_and_identity() {
    let server = server().await;
    let path = format!("{CONFIGMAPS}/a");
    let first = server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let mut changed = first.clone();
    changed["data"]["a"] = json!("2");
    let second = server.put(&path, &changed).await.expect(200);
    assert!(version_of(&second) > version_of(&first));
    let stale = server.put(&path, &changed).await.expect(409);
    assert_eq!(stale["reason"], "Conflict");
    assert_eq!(
        stale["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let mut unconditional = configmap("a", json!({"x": "y"}));
    assert_eq!(server.put(&path, &unconditional).await.expect(200)["metadata"]["uid"], first["metadata"]["uid"]);
    unconditional["metadata"]["uid"] = json!("other");
    let wrong = server.put(&path, &unconditional).await.expect(409);
    assert!(wrong["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: other"), "{wrong}");
    server.put(&path, &configmap("b", json!({}))).await.expect(400);
    server.put(&format!("{CONFIGMAPS}/missing"), &configmap("missing", json!({}))).await.expect(404);
    let mut elsewhere = configmap("a", json!({}));
    elsewhere["metadata"]["namespace"] = json!("kube-system");
    server.put(&path, &elsewhere).await.expect(400);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    server.post(leases, &lease).await.expect(201);
    server.put(&format!("{leases}/l"), &lease).await.expect(422);
}

#[tokio::test]
async fn writes_that_change_nothing_are_not_written() {
    let server = server().await;
    let created = server.post(JOBS, &job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi");
    let before = server.store.revision().await.unwrap();
    assert_eq!(server.put(&path, &created).await.expect(200), created);
    assert_eq!(server.merge(&path, &json!({"spec": {"backoffLimit": 4}})).await.expect(200), created);
    assert_eq!(server.merge(&path, &json!({})).await.expect(200), created);
    assert_eq!(server.put(&format!("{path}/status"), &created).await.expect(200), created);
    assert_eq!(server.store.revision().await.unwrap(), before);
}

#[tokio::test]
async fn patches_of_every_type() {
    let server = server().await;
    let path = format!("{JOBS}/pi");
    let created = server.post(JOBS, &job("pi")).await.expect(201);
    let labelled = server.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    assert_eq!(labelled["metadata"]["labels"]["a"], "b");
    assert_eq!(labelled["metadata"]["generation"], 1, "labels are no spec change");
    let json_patch = json!([{"op": "replace", "path": "/spec/parallelism", "value": 2}]);
    let patched = server.send("PATCH", &path, &[("content-type", "application/json-patch+json")], json_patch.to_string()).await.expect(200);
    assert_eq!((&patched["spec"]["parallelism"], &patched["metadata"]["generation"]), (&json!(2), &json!(2)));
    let strategic = json!({"metadata": {"annotations": {"x": "y"}}, "spec": {"backoffLimit": 2}});
    let patched =
        server.send("PATCH", &path, &[("content-type", "application/strategic-merge-patch+json")], strategic.to_string()).await.expect(200);
    assert_eq!(patched["spec"]["backoffLimit"], 2);
    let stale = json!({"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "spec": {"backoffLimit": 3}});
    server.merge(&path, &stale).await.expect(409);
    let failing = json!([{"op": "test", "path": "/spec/parallelism", "value": 9}]);
    let refused = server.send("PATCH", &path, &[("content-type", "application/json-patch+json")], failing.to_string()).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["reason"], "UnexpectedServerResponse");
    for content_type in ["application/json", "application/apply-patch+yaml", "text/plain"] {
        let refused = server.send("PATCH", &path, &[("content-type", content_type)], "{}").await.expect(415);
        assert_eq!(refused["reason"], "UnsupportedMediaType");
    }
    server.merge(&format!("{JOBS}/missing"), &json!({})).await.expect(404);
    server.merge(&path, &json!({"metadata": {"name": "other"}})).await.expect(400);
    let unknown = server.merge(&format!("{path}?fieldValidation=Strict"), &json!({"spec": {"zz": 1}})).await.expect(400);
    assert!(unknown["message"].as_str().unwrap().contains("unknown field \"spec.zz\""), "{unknown}");
}

#[tokio::test]
async fn concurrent_patches_are_all_applied() {
    let server = server().await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let path = format!("{CONFIGMAPS}/a");
    let patches: Vec<Value> = (0..5).map(|i| json!({"data": {format!("k{i}"): "v"}})).collect();
    let replies = futures::future::join_all(patches.iter().map(|patch| server.merge(&path, patch))).await;
    for reply in &replies {
        reply.expect(200);
    }
    let stored = server.get(&path).await.expect(200);
    assert_eq!(stored["data"].as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn status_and_main_path_do_not_mix() {
    let server = server().await;
    server.post(JOBS, &job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi");
    let status = server.merge(&format!("{path}/status"), &json!({"status": {"active": 1}, "spec": {"parallelism": 9}})).await.expect(200);
    assert_eq!((&status["status"]["active"], &status["spec"]["parallelism"]), (&json!(1), &json!(1)));
    assert_eq!(status["metadata"]["generation"], 1);
    let main = server.merge(&path, &json!({"status": {"active": 7}, "spec": {"parallelism": 3}})).await.expect(200);
    assert_eq!((&main["status"]["active"], &main["spec"]["parallelism"]), (&json!(1), &json!(3)));
    server.get(&format!("{path}/status")).await.expect(200);
    server.delete(&format!("{path}/status"), None).await.expect(405);
}
