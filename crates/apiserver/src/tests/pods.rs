//! Binding and logs.

use super::*;

#[tokio::test]
async fn binding_happens_once() {
    let server = server().await;
    let created = server.post(PODS, &pod("p")).await.expect(201);
    let path = format!("{PODS}/p/binding");
    let binding = |uid: Value| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p", "uid": uid}, "target": {"kind": "Node", "name": "n1"}});
    server.post(&path, &json!({"metadata": {"name": "p"}, "target": {"kind": "Pod"}})).await.expect(422);
    server.post(&path, &binding(json!("other"))).await.expect(409);
    let status = server.post(&path, &binding(created["metadata"]["uid"].clone())).await.expect(201);
    assert_eq!((status["kind"].as_str(), status["status"].as_str(), status["code"].as_u64()), (Some("Status"), Some("Success"), Some(201)));
    let bound = server.get(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(bound["spec"]["nodeName"], "n1");
    let scheduled = bound["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "PodScheduled").unwrap().clone();
    assert_eq!((scheduled["status"].as_str(), scheduled["lastTransitionTime"].as_str()), (Some("True"), Some("2026-01-01T00:00:00Z")));
    let again = server.post(&path, &binding(Value::Null)).await.expect(409);
    assert!(again["message"].as_str().unwrap().contains("already assigned to node \"n1\""), "{again}");
    server.post(PODS, &pod("q")).await.expect(201);
    let other = json!({"metadata": {"name": "q"}, "target": {"name": "n1"}});
    server.post("/api/v1/namespaces/default/bindings", &other).await.expect(201);
    server.post(&format!("{PODS}/none/binding"), &json!({"metadata": {"name": "none"}, "target": {"name": "n1"}})).await.expect(404);
    let on_node = server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1,status.phase!%3DFailed").await.expect(200);
    assert_eq!(on_node["items"].as_array().unwrap().len(), 2);
}

/// A node whose agent listens on `port`, with a bound pod `p` that runs there.
async fn running_pod(server: &Server, port: u16) {
    let node = json!({"metadata": {"name": "n1"}});
    server.post("/api/v1/nodes", &node).await.expect(201);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    server.merge("/api/v1/nodes/n1/status", &status).await.expect(200);
    server.post(PODS, &pod("p")).await.expect(201);
    let unscheduled = server.get(&format!("{PODS}/p/log")).await;
    assert_eq!((unscheduled.code, unscheduled.text.as_str()), (200, ""));
    server.post(&format!("{PODS}/p/binding"), &json!({"metadata": {"name": "p"}, "target": {"name": "n1"}})).await.expect(201);
    let waiting = server.get(&format!("{PODS}/p/log")).await.expect(400);
    assert_eq!(waiting["message"], "container \"c\" in pod \"p\" is waiting to start: ContainerCreating");
    let status = json!({"status": {"phase": "Running", "containerStatuses": [{"name": "c", "image": "perl", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    server.merge(&format!("{PODS}/p/status"), &status).await.expect(200);
}

#[tokio::test]
async fn logs_come_from_the_node_agent() {
    let server = server().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = server.pki.server_config(&[]).unwrap();
    let agent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tokio_rustls::TlsAcceptor::from(Arc::new(tls)).accept(stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let who = crate::authentication::from_certificate(&shown).unwrap().user;
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let text = format!("{who} asked for {}\n", request.uri());
            async move { Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(text))) }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    });
    running_pod(&server, port).await;
    let reply = server.get_as(&format!("{PODS}/p/log?container=c&tailLines=2&follow=true"), "application/json").await;
    assert_eq!(reply.code, 200, "{}", reply.text);
    assert_eq!(reply.text, "system:apiserver asked for /containerLogs/default/p/c?follow=true&tailLines=2\n");
    assert_eq!(reply.headers["content-type"], "text/plain");
    agent.abort();
}

#[tokio::test]
async fn an_unreachable_node_agent_is_an_internal_error() {
    let server = server().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    running_pod(&server, port).await;
    let status = server.get(&format!("{PODS}/p/log")).await.expect(500);
    assert_eq!(status["reason"], "InternalError");
    let expected = format!("Internal error occurred: Get \"https://127.0.0.1:{port}/containerLogs/default/p/c\": ");
    assert!(status["message"].as_str().unwrap().starts_with(&expected), "{status}");
    let previous = server.get(&format!("{PODS}/p/log?previous=true")).await.expect(400);
    assert_eq!(previous["message"], "previous terminated container \"c\" in pod \"p\" not found");
    server.get(&format!("{PODS}/p/log?container=none")).await.expect(400);
    server.get(&format!("{PODS}/p/log?tailLines=-1")).await.expect(422);
}

/// spec/api.md 6.12: the account a Pod names must exist; the account `default` always does.
#[tokio::test]
async fn a_pod_needs_its_service_account() {
    let server = server().await;
    let of = |name: &str, account: Value| {
        let mut pod = pod(name);
        pod["spec"]["serviceAccountName"] = account;
        pod
    };
    let refused = |name: &str| {
        format!("pods \"{name}\" is forbidden: error looking up service account default/builder: serviceaccount \"builder\" not found")
    };
    let status = server.post(PODS, &of("p", json!("builder"))).await.expect(403);
    assert_eq!((status["message"].as_str(), status["reason"].as_str()), (Some(refused("p").as_str()), Some("Forbidden")));
    server.post(&format!("{PODS}?dryRun=All"), &of("p", json!("builder"))).await.expect(403);
    let mut old_name = pod("p");
    old_name["spec"]["serviceAccount"] = json!("builder");
    server.post(PODS, &old_name).await.expect(403);
    let mut generated = of("", json!("builder"));
    generated["metadata"] = json!({"generateName": "q-"});
    assert_eq!(server.post(PODS, &generated).await.expect(403)["message"], refused("q-"));
    assert_eq!(server.get(&format!("{PODS}/p")).await.code, 404);

    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    server.post(accounts, &json!({"metadata": {"name": "builder"}})).await.expect(201);
    server.post(PODS, &of("p", json!("builder"))).await.expect(201);
    // The account of another namespace is none of this one.
    server.post("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.expect(201);
    server.post("/api/v1/namespaces/other/pods", &of("p", json!("builder"))).await.expect(403);
    // The account may go while its Pod lives on.
    server.delete(&format!("{accounts}/builder"), None).await.expect(200);
    server.merge(&format!("{PODS}/p"), &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);

    server.delete(&format!("{accounts}/default"), None).await.expect(200);
    server.post(&format!("{PODS}?dryRun=All"), &pod("q")).await.expect(201);
    assert_eq!(server.get(&format!("{accounts}/default")).await.code, 404);
    server.post(PODS, &pod("q")).await.expect(201);
    server.get(&format!("{accounts}/default")).await.expect(200);
}

/// Whoever sees a new namespace on a watch may create a Pod at once.
#[tokio::test]
async fn no_pod_is_too_early_for_a_new_namespace() {
    let server = server().await;
    let mut namespaces = server.watch("/api/v1/namespaces?watch=true&resourceVersion=1").await;
    let create = async {
        for number in 0..20 {
            server.post("/api/v1/namespaces", &json!({"metadata": {"name": format!("n{number}")}})).await.expect(201);
        }
    };
    let follow = async {
        for _ in 0..20 {
            let name = loop {
                let event = namespaces.next().await.unwrap();
                let name = event["object"]["metadata"]["name"].as_str().unwrap().to_owned();
                if event["type"] == "ADDED" && name.starts_with('n') {
                    break name;
                }
            };
            server.post(&format!("/api/v1/namespaces/{name}/pods"), &pod("early")).await.expect(201);
        }
    };
    tokio::join!(follow, create);
}
