//! Lists, selectors, pages, tables.

use super::*;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

async fn filled() -> Server {
    let server = server().await;
    for (name, labels) in
        [("a", json!({"x": "1"})), ("b", json!({"x": "2"})), ("c", json!({"x": "1"})), ("d", json!({})), ("e", json!({"x": "1"}))]
    {
        server.post(CONFIGMAPS, &configmap(name, labels)).await.expect(201);
    }
    server
}

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn selectors() {
    let server = filled().await;
    let cases = [
        ("", "a b c d e"),
        ("?labelSelector=x%3D1", "a c e"),
        ("?labelSelector=x+in+(1,2)", "a b c e"),
        ("?labelSelector=!x", "d"),
        ("?labelSelector=x!%3D1", "b d"),
        ("?fieldSelector=metadata.name%3Db", "b"),
        ("?fieldSelector=metadata.name%3Db&labelSelector=x%3D1", ""),
        ("?fieldSelector=metadata.name!%3Db", "a c d e"),
        ("?fieldSelector=metadata.name%3Dnone", ""),
        ("?fieldSelector=metadata.name%3Da%2Fb", ""),
        ("?fieldSelector=metadata.namespace%3Ddefault,metadata.name%3Da", "a"),
    ];
    for (query, expected) in cases {
        let list = server.get(&format!("{CONFIGMAPS}{query}")).await.expect(200);
        assert_eq!(names(&list).join(" "), expected, "{query}");
        assert_eq!((list["kind"].as_str(), list["apiVersion"].as_str()), (Some("ConfigMapList"), Some("v1")));
        assert_eq!(version_of(&list), server.store.revision().await.unwrap(), "{query}");
    }
    let all = server.get("/api/v1/configmaps?fieldSelector=metadata.name%3Db").await.expect(200);
    assert_eq!(names(&all), ["b"]);
    assert_eq!(server.get("/api/v1/namespaces/none/pods").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn pages_show_one_revision() {
    let server = filled().await;
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    let mut revisions = Vec::new();
    let mut remaining = Vec::new();
    loop {
        let page = server.get(&format!("{CONFIGMAPS}{query}")).await.expect(200);
        seen.extend(names(&page));
        revisions.push(version_of(&page));
        remaining.push(page["metadata"]["remainingItemCount"].as_u64());
        if seen.len() == 2 {
            server.post(CONFIGMAPS, &configmap("aa", json!({}))).await.expect(201);
            server.post(CONFIGMAPS, &configmap("cc", json!({}))).await.expect(201);
            server.delete(&format!("{CONFIGMAPS}/e"), None).await.expect(200);
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) => query = format!("?limit=2&continue={token}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    assert!(revisions.iter().all(|revision| *revision == revisions[0]));
    assert_eq!(remaining, [Some(3), Some(1), None]);
}

#[tokio::test]
async fn pages_with_selectors_skip_what_does_not_match() {
    let server = filled().await;
    let first = server.get(&format!("{CONFIGMAPS}?limit=2&labelSelector=x%3D1")).await.expect(200);
    assert_eq!(names(&first), ["a", "c"]);
    assert!(first["metadata"].get("remainingItemCount").is_none());
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{CONFIGMAPS}?limit=2&labelSelector=x%3D1&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["e"]);
    assert!(second["metadata"].get("continue").is_none());
}

#[tokio::test]
async fn versions_of_lists() {
    let server = filled().await;
    let now = server.store.revision().await.unwrap();
    let exact = server.get(&format!("{CONFIGMAPS}?resourceVersion={}&resourceVersionMatch=Exact", now - 1)).await.expect(200);
    assert_eq!((names(&exact).join(" ").as_str(), version_of(&exact)), ("a b c d", now - 1));
    let legacy = server.get(&format!("{CONFIGMAPS}?resourceVersion={}&limit=9", now - 1)).await.expect(200);
    assert_eq!(names(&legacy).len(), 4);
    for query in [
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={}", now - 1),
        format!("resourceVersion={now}&resourceVersionMatch=NotOlderThan"),
    ] {
        assert_eq!(names(&server.get(&format!("{CONFIGMAPS}?{query}")).await.expect(200)).len(), 5, "{query}");
    }
    let page = server.get(&format!("{CONFIGMAPS}?limit=2")).await.expect(200);
    let token = page["metadata"]["continue"].as_str().unwrap();
    server.post(CONFIGMAPS, &configmap("f", json!({}))).await.expect(201);
    server.store.compact(server.store.revision().await.unwrap()).await.unwrap();
    let expired = server.get(&format!("{CONFIGMAPS}?limit=2&continue={token}")).await.expect(410);
    assert_eq!(expired["reason"], "Expired");
    let onward = expired["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&server.get(&format!("{CONFIGMAPS}?continue={onward}")).await.expect(200)), ["c", "d", "e", "f"]);
    server.get(&format!("{CONFIGMAPS}?resourceVersion=1&resourceVersionMatch=Exact")).await.expect(410);
}

#[tokio::test]
async fn a_version_of_the_future_is_waited_for() {
    let server = filled().await;
    let future = server.store.revision().await.unwrap() + 1;
    let path = format!("{CONFIGMAPS}?resourceVersion={future}");
    let late = server.get(&path).await;
    assert_eq!(late.expect(504)["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(late.headers["retry-after"], "1");
    let (list, _) = futures::join!(server.get(&path), async { server.post(CONFIGMAPS, &configmap("f", json!({}))).await.expect(201) });
    assert_eq!(names(&list.expect(200)).len(), 6);
}

#[tokio::test]
async fn tables_and_metadata() {
    let server = filled().await;
    let table = server.get_as(&format!("{CONFIGMAPS}?limit=2"), TABLE).await.expect(200);
    assert_eq!((table["kind"].as_str(), table["apiVersion"].as_str()), (Some("Table"), Some("meta.k8s.io/v1")));
    assert_eq!(table["columnDefinitions"][0]["format"], "name");
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert!(table["rows"][0]["object"].get("data").is_none() && table["metadata"]["continue"].is_string());
    let full = server.get_as(&format!("{CONFIGMAPS}/a?includeObject=Object"), TABLE).await.expect(200);
    assert_eq!(full["rows"][0]["object"]["data"]["a"], "1");
    let none = server.get_as(&format!("{CONFIGMAPS}/a?includeObject=None"), TABLE).await.expect(200);
    assert!(none["rows"][0].get("object").is_none());
    server.get_as(&format!("{CONFIGMAPS}/a?includeObject=Some"), TABLE).await.expect(400);
    assert_eq!(server.get_as(&format!("{CONFIGMAPS}/none"), TABLE).await.expect(404)["kind"], "Status");
    let beta = server.get_as(CONFIGMAPS, "application/json;as=Table;v=v1beta1;g=meta.k8s.io").await.expect(200);
    assert_eq!(beta["apiVersion"], "meta.k8s.io/v1beta1");
    let metadata = server.get_as(CONFIGMAPS, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").await.expect(200);
    assert_eq!(metadata["kind"], "PartialObjectMetadataList");
    assert!(metadata["items"][0].get("data").is_none() && metadata["items"][0]["metadata"]["name"] == "a");
    let one = server.get_as(&format!("{CONFIGMAPS}/a"), "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").await.expect(200);
    assert_eq!(one["kind"], "PartialObjectMetadata");
    server.get_as(CONFIGMAPS, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").await.expect(406);
}
