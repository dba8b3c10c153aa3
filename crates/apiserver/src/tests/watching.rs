//! Watches.

use super::*;

#[tokio::test]
async fn changes_in_order() {
    let server = server().await;
    let list = server.get(CONFIGMAPS).await.expect(200);
    let mut events = server.watch(&format!("{CONFIGMAPS}?watch=1&resourceVersion={}", version_of(&list))).await;
    let created = server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let changed = server.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"a": "2"}})).await.expect(200);
    server.delete(&format!("{CONFIGMAPS}/a"), None).await.expect(200);
    server.post("/api/v1/namespaces/kube-system/configmaps", &configmap("elsewhere", json!({}))).await.expect(201);
    server.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect(201);
    assert_eq!(events.next().await.unwrap(), json!({"type": "ADDED", "object": created}));
    assert_eq!(events.next().await.unwrap(), json!({"type": "MODIFIED", "object": changed}));
    let gone = events.next().await.unwrap();
    assert_eq!((gone["type"].as_str(), gone["object"]["data"]["a"].as_str()), (Some("DELETED"), Some("2")));
    assert_eq!(version_of(&gone["object"]), version_of(&changed) + 1, "a deletion carries its own revision");
    assert_eq!(events.brief().await, "ADDED b");
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_is_there() {
    let server = server().await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    server.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect(201);
    for query in ["watch=true", "watch=true&resourceVersion=0", "watch=true&resourceVersion=0&limit=500"] {
        let mut events = server.watch(&format!("{CONFIGMAPS}?{query}")).await;
        assert_eq!((events.brief().await, events.brief().await), ("ADDED a".into(), "ADDED b".into()), "{query}");
    }
    let mut one = server.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Db")).await;
    assert_eq!(one.brief().await, "ADDED b");
    server.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"a": "2"}})).await.expect(200);
    server.delete(&format!("{CONFIGMAPS}/b"), None).await.expect(200);
    assert_eq!(one.brief().await, "DELETED b");
}

#[tokio::test]
async fn selectors_look_at_the_state_before() {
    let server = server().await;
    let mut events = server.watch(&format!("{CONFIGMAPS}?watch=true&labelSelector=x%3D1")).await;
    let path = format!("{CONFIGMAPS}/a");
    let label = |value: Value| json!({"metadata": {"labels": {"x": value}}});
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let matching = server.merge(&path, &label(json!("1"))).await.expect(200);
    server.merge(&path, &json!({"data": {"a": "2"}})).await.expect(200);
    let left = server.merge(&path, &label(json!("2"))).await.expect(200);
    server.merge(&path, &json!({"data": {"a": "3"}})).await.expect(200);
    server.merge(&path, &label(json!("1"))).await.expect(200);
    server.delete(&path, None).await.expect(200);
    assert_eq!(events.next().await.unwrap(), json!({"type": "ADDED", "object": matching}));
    assert_eq!(events.brief().await, "MODIFIED a");
    let gone = events.next().await.unwrap();
    assert_eq!((gone["type"].as_str(), version_of(&gone["object"])), (Some("DELETED"), version_of(&left)));
    assert_eq!(events.brief().await, "ADDED a");
    assert_eq!(events.brief().await, "DELETED a");
}

#[tokio::test]
async fn watch_lists_mark_the_end_of_the_beginning() {
    let server = server().await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = server.watch(&format!("{CONFIGMAPS}?{query}")).await;
    assert_eq!(events.brief().await, "ADDED a");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(version_of(&bookmark["object"]), server.store.revision().await.unwrap());
    server.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect(201);
    assert_eq!(events.brief().await, "ADDED b");
    let mut silent = server.watch(&format!("{CONFIGMAPS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")).await;
    server.post(CONFIGMAPS, &configmap("c", json!({}))).await.expect(201);
    assert_eq!(silent.brief().await, "ADDED c");
}

#[tokio::test]
async fn bookmarks_and_timeouts() {
    let server = server().await;
    let mut plain = server.watch(&format!("{PODS}?watch=true&timeoutSeconds=1&resourceVersion=0")).await;
    assert_eq!(plain.brief().await, "end", "nobody asked for bookmarks");
    let mut events = server.watch(&format!("{PODS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=0")).await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    let now = server.store.revision().await.unwrap();
    let bookmark = events.next().await.unwrap();
    assert_eq!((bookmark["type"].as_str(), bookmark["object"]["kind"].as_str()), (Some("BOOKMARK"), Some("Pod")));
    assert_eq!(version_of(&bookmark["object"]), now, "moves on although no pod changed");
    assert!(bookmark["object"]["metadata"].get("annotations").is_none());
    assert_eq!(events.brief().await, "end");
}

#[tokio::test]
async fn an_old_version_is_expired() {
    let server = server().await;
    for name in ["a", "b"] {
        server.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect(201);
    }
    server.store.compact(server.store.revision().await.unwrap()).await.unwrap();
    let mut events = server.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion=1")).await;
    let event = events.next().await.unwrap();
    assert_eq!((event["type"].as_str(), event["object"]["code"].as_u64()), (Some("ERROR"), Some(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(event["object"]["message"].as_str().unwrap().starts_with("too old resource version: 1 ("), "{event}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_version_of_the_future_is_silent() {
    let server = server().await;
    let now = server.store.revision().await.unwrap();
    let mut events = server.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion={}", now + 1)).await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    server.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect(201);
    assert_eq!(events.brief().await, "ADDED b");
}

#[tokio::test]
async fn tables_and_metadata_as_events() {
    let server = server().await;
    server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(201);
    server.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect(201);
    let path = format!("{CONFIGMAPS}?watch=true");
    let mut tables = server.watch_as(&path, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await;
    let first = tables.next().await.unwrap();
    assert_eq!((first["type"].as_str(), first["object"]["kind"].as_str()), (Some("ADDED"), Some("Table")));
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    assert!(first["object"]["columnDefinitions"].is_array());
    let second = tables.next().await.unwrap();
    assert_eq!(second["object"]["rows"][0]["object"]["metadata"]["name"], "b");
    assert!(second["object"]["columnDefinitions"].is_null());
    let mut metadata = server.watch_as(&path, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").await;
    let event = metadata.next().await.unwrap();
    assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
    assert!(event["object"].get("data").is_none());
}

#[tokio::test]
async fn every_watcher_sees_every_change_once_and_in_order() {
    const WRITERS: usize = 4;
    const WRITES: usize = 25;
    let server = server().await;
    let start = server.store.revision().await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(server.watch(&format!("{CONFIGMAPS}?watch=1&resourceVersion={start}")).await);
    }
    let server = &server;
    let writing = futures::future::join_all((0..WRITERS).map(|writer| async move {
        let name = format!("w{writer}");
        server.post(CONFIGMAPS, &configmap(&name, json!({}))).await.expect(201);
        for write in 0..WRITES {
            server.merge(&format!("{CONFIGMAPS}/{name}"), &json!({"data": {"n": write.to_string()}})).await.expect(200);
        }
        server.delete(&format!("{CONFIGMAPS}/{name}"), None).await.expect(200);
    }));
    writing.await;
    let expected: Vec<u64> = (start + 1..=server.store.revision().await.unwrap()).collect();
    assert_eq!(expected.len(), WRITERS * (WRITES + 2));
    for mut watcher in watchers {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.push(version_of(&watcher.next().await.unwrap()["object"]));
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_list_and_a_watch_leave_no_gap() {
    let server = &server().await;
    let writing = async {
        for number in 0..40 {
            server.post(CONFIGMAPS, &configmap(&format!("c{number}"), json!({}))).await.expect(201);
        }
    };
    let reading = async {
        let list = server.get(CONFIGMAPS).await.expect(200);
        let mut known = list["items"].as_array().unwrap().len();
        let mut events = server.watch(&format!("{CONFIGMAPS}?watch=1&resourceVersion={}", version_of(&list))).await;
        while known < 40 {
            assert_eq!(events.next().await.unwrap()["type"], "ADDED");
            known += 1;
        }
        known
    };
    assert_eq!(futures::join!(writing, reading).1, 40);
}
