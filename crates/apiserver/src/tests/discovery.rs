//! Discovery, OpenAPI, version, health, metrics, reviews.

use super::*;

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[tokio::test]
async fn legacy_documents() {
    let server = server().await;
    assert_eq!(server.get("/api").await.expect(200)["versions"], json!(["v1"]));
    assert_eq!(server.get("/api").await.json()["serverAddressByClientCIDRs"][0]["serverAddress"], "127.0.0.1:6443");
    let groups = server.get("/apis").await.expect(200);
    assert_eq!(groups["groups"][0]["name"], "batch");
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "batch/v1");
    assert_eq!(server.get("/apis/batch").await.expect(200)["kind"], "APIGroup");
    let resources = server.get("/apis/batch/v1/").await.expect(200);
    let names: Vec<&str> = resources["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"jobs") && names.contains(&"jobs/status"), "{names:?}");
    let core = server.get("/api/v1").await.expect(200);
    assert_eq!(core["groupVersion"], "v1");
    let pods = core["resources"].as_array().unwrap().iter().find(|r| r["name"] == "pods").unwrap().clone();
    assert_eq!((&pods["shortNames"], &pods["namespaced"]), (&json!(["po"]), &json!(true)));
}

#[tokio::test]
async fn every_published_resource_lists() {
    let server = server().await;
    let groups = server.get_as("/apis", V2).await.expect(200);
    let core = server.get_as("/api", V2).await.expect(200);
    let mut checked = 0;
    for group in core["items"].as_array().unwrap().iter().chain(groups["items"].as_array().unwrap()) {
        let prefix = group["metadata"]["name"].as_str().map_or("/api".to_owned(), |name| format!("/apis/{name}"));
        for version in group["versions"].as_array().unwrap() {
            for resource in version["resources"].as_array().unwrap() {
                if resource["verbs"].as_array().unwrap().contains(&json!("list")) {
                    let path = format!("{prefix}/{}/{}", version["version"].as_str().unwrap(), resource["resource"].as_str().unwrap());
                    server.get(&path).await.expect(200);
                    server.watch(&format!("{path}?watch=1")).await;
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(checked, piecework_api::kinds::kinds().len());
}

#[tokio::test]
async fn aggregated_documents() {
    let server = server().await;
    let both = format!("{V2},{V2BETA1},application/json");
    for (accept, content_type, version) in [(both.as_str(), V2, "v2"), (&format!("{V2BETA1},application/json"), V2BETA1, "v2beta1")] {
        for path in ["/api?timeout=32s", "/apis?timeout=32s"] {
            let reply = server.get_as(path, accept).await;
            let document = reply.expect(200);
            assert_eq!(document["apiVersion"], format!("apidiscovery.k8s.io/{version}"));
            assert_eq!(reply.headers["content-type"], content_type);
            assert_eq!(reply.headers["vary"], "Accept");
            let etag = reply.headers["etag"].to_str().unwrap();
            let again = server.send("GET", path, &[("accept", accept), ("if-none-match", etag)], "").await;
            assert_eq!((again.code, again.text.as_str()), (304, ""));
        }
    }
    let plain = server.get_as("/apis", &format!("{V2};profile=nopeer,application/json")).await;
    assert_eq!(
        (plain.expect(200)["kind"].as_str(), plain.headers["content-type"].to_str().unwrap()),
        (Some("APIGroupList"), "application/json")
    );
    server.get_as("/apis", "application/vnd.kubernetes.protobuf").await.expect(406);
}

#[tokio::test]
async fn openapi_documents() {
    let server = server().await;
    for accept in
        ["application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", "*/*"]
    {
        let reply = server.get_as("/openapi/v2", accept).await;
        let content_type = reply.headers["content-type"].to_str().unwrap();
        assert_eq!((reply.code, content_type), (200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"), "{accept}");
    }
    let index = server.get("/openapi/v3").await.expect(200);
    let link = index["paths"]["apis/batch/v1"]["serverRelativeURL"].as_str().unwrap();
    let reply = server.get(link).await;
    assert!(reply.expect(200)["components"]["schemas"].is_object());
    assert!(reply.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let etag = reply.headers["etag"].to_str().unwrap();
    let again = server.send("GET", link, &[("if-none-match", etag)], "").await;
    assert_eq!(again.code, 304);
    assert_eq!(server.get("/openapi/v3/apis/none/v1").await.code, 404);
}

#[tokio::test]
async fn version_health_and_metrics() {
    let server = server().await;
    assert!(server.get("/version/").await.expect(200)["gitVersion"].as_str().unwrap().starts_with("v1.33.0+piecework"));
    assert_eq!(server.get("/readyz").await.text, "ok");
    assert_eq!(server.get("/livez?verbose").await.text, "[+]ping ok\n[+]store ok\nlivez check passed\n");
    assert_eq!(server.get("/readyz?verbose&exclude=store").await.text, "[+]ping ok\nreadyz check passed\n");
    assert_eq!(server.get("/readyz/store").await.text, "ok");
    server.get(JOBS).await.expect(200);
    let metrics = server.get("/metrics").await;
    assert!(
        metrics.text.contains("apiserver_request_total{verb=\"LIST\",group=\"batch\",version=\"v1\",resource=\"jobs\""),
        "{}",
        metrics.text
    );
    assert!(metrics.text.contains("piecework_store_revision "));
    assert!(!metrics.text.contains("other_total"));
    server.api.show_metrics(|| "other_total 1\n".to_owned());
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("piecework_store_revision ") && metrics.ends_with("\nother_total 1\n"), "{metrics}");
    server.store.close().await.unwrap();
    let failing = server.get("/readyz").await;
    assert_eq!(failing.code, 500);
    assert!(failing.text.contains("[-]store failed"), "{}", failing.text);
}

#[tokio::test]
async fn questions_about_oneself() {
    let server = server().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let question =
        json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "jobs", "group": "batch", "namespace": "default"}}});
    assert_eq!(server.post(path, &question).await.expect(201)["status"]["allowed"], true);
    let nobody = server.api.in_process(Identity { user: "eve".into(), groups: vec![] });
    assert_eq!(call(&nobody, request("POST", path, &[], question.to_string())).await.expect(201)["status"]["allowed"], false);
    server.post(path, &json!({"spec": {}})).await.expect(400);
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let all = server.post(rules, &json!({"spec": {"namespace": "default"}})).await.expect(201);
    assert_eq!(all["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    let few = call(&nobody, request("POST", rules, &[], r#"{"spec": {"namespace": "default"}}"#)).await.expect(201);
    assert_eq!(few["status"]["resourceRules"].as_array().unwrap().len(), 4);
    server.post(rules, &json!({"spec": {}})).await.expect(400);
    server.get(path).await.expect(405);
    for version in ["v1", "v1beta1"] {
        let review = server.post(&format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews"), &json!({})).await.expect(201);
        assert_eq!(review["status"]["userInfo"]["groups"], json!(["system:masters", "system:authenticated"]));
        assert_eq!(review["apiVersion"], format!("authentication.k8s.io/{version}"));
    }
}
