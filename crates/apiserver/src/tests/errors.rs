//! What bad input gets: the right Status, never a hang, a 500 or a panic.

use super::*;

/// Method, path, headers, body, expected code and reason.
type Refusal<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn table_of_refusals() {
    let server = server().await;
    let json_type = [("content-type", "application/json")];
    let big = format!("{{\"data\": \"{}\"}}", "x".repeat(3 * 1024 * 1024));
    let wrong_kind = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}).to_string();
    let wrong_version = json!({"apiVersion": "batch/v1beta1", "kind": "Job", "metadata": {"name": "x"}}).to_string();
    let versioned = json!({"metadata": {"name": "x", "resourceVersion": "5"}}).to_string();
    let label = json!({"metadata": {"name": "x", "labels": {"a": true}}}).to_string();
    let other_namespace = json!({"metadata": {"name": "x", "namespace": "kube-system"}}).to_string();
    let typed = json!({"metadata": {"name": "x"}, "spec": {"parallelism": "two"}}).to_string();
    let ok = configmap("x", json!({})).to_string();
    let cases: Vec<Refusal<'_>> = vec![
        ("POST", CONFIGMAPS.into(), &json_type, "{", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, "", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, "[]", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, "null", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &[("content-type", "application/yaml")], "a: [", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &[("content-type", "application/vnd.kubernetes.protobuf")], "junk", 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &[("content-type", "application/cbor")], &ok, 415, "UnsupportedMediaType"),
        ("POST", CONFIGMAPS.into(), &json_type, &big, 413, "RequestEntityTooLarge"),
        ("POST", CONFIGMAPS.into(), &json_type, &wrong_kind, 400, "BadRequest"),
        ("POST", JOBS.into(), &json_type, &wrong_version, 400, "BadRequest"),
        ("POST", JOBS.into(), &json_type, &typed, 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, &versioned, 500, "InternalError"),
        ("POST", CONFIGMAPS.into(), &json_type, &label, 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, &other_namespace, 400, "BadRequest"),
        ("POST", CONFIGMAPS.into(), &json_type, "{\"metadata\": {}}", 422, "Invalid"),
        ("POST", CONFIGMAPS.into(), &json_type, "{\"metadata\": {\"name\": \"No Such Name\"}}", 422, "Invalid"),
        ("POST", "/api/v1/namespaces/none/configmaps".into(), &json_type, &ok, 404, "NotFound"),
        ("POST", "/api/v1/configmaps".into(), &json_type, &ok, 405, "MethodNotAllowed"),
        ("POST", format!("{CONFIGMAPS}?fieldValidation=Loud"), &json_type, &ok, 422, "Invalid"),
        ("GET", format!("{CONFIGMAPS}/none"), &[], "", 404, "NotFound"),
        ("GET", CONFIGMAPS.into(), &[("accept", "application/vnd.kubernetes.protobuf")], "", 406, "NotAcceptable"),
        ("GET", format!("{CONFIGMAPS}?labelSelector=a+b+c"), &[], "", 400, "BadRequest"),
        ("GET", format!("{CONFIGMAPS}?fieldSelector=data.a%3D1"), &[], "", 400, "BadRequest"),
        ("GET", format!("{CONFIGMAPS}?limit=x"), &[], "", 400, "BadRequest"),
        ("GET", format!("{CONFIGMAPS}?resourceVersion=x"), &[], "", 400, "BadRequest"),
        ("GET", format!("{CONFIGMAPS}?continue=x"), &[], "", 400, "BadRequest"),
        ("GET", format!("{CONFIGMAPS}?resourceVersionMatch=Exact"), &[], "", 422, "Invalid"),
        ("GET", format!("{CONFIGMAPS}?resourceVersionMatch=Exact&resourceVersion=0"), &[], "", 422, "Invalid"),
        ("GET", format!("{CONFIGMAPS}?resourceVersionMatch=Near&resourceVersion=1"), &[], "", 422, "Invalid"),
        ("GET", format!("{CONFIGMAPS}?sendInitialEvents=true"), &[], "", 422, "Invalid"),
        ("GET", format!("{CONFIGMAPS}?watch=1&sendInitialEvents=true"), &[], "", 422, "Invalid"),
        ("PATCH", CONFIGMAPS.into(), &[("content-type", "application/merge-patch+json")], "{}", 405, "MethodNotAllowed"),
        ("PUT", CONFIGMAPS.into(), &json_type, &ok, 405, "MethodNotAllowed"),
        ("POST", format!("{CONFIGMAPS}/x"), &json_type, &ok, 405, "MethodNotAllowed"),
        ("TRACE", CONFIGMAPS.into(), &[], "", 405, "MethodNotAllowed"),
        ("DELETE", "/version".into(), &[], "", 405, "MethodNotAllowed"),
        ("DELETE", format!("{CONFIGMAPS}/x"), &json_type, "{\"propagationPolicy\": \"Sideways\"}", 422, "Invalid"),
        (
            "DELETE",
            format!("{CONFIGMAPS}/x"),
            &json_type,
            "{\"propagationPolicy\": \"Orphan\", \"orphanDependents\": true}",
            422,
            "Invalid",
        ),
        ("DELETE", format!("{CONFIGMAPS}/x"), &json_type, "{\"gracePeriodSeconds\": \"soon\"}", 400, "BadRequest"),
        ("DELETE", format!("{CONFIGMAPS}/x?propagationPolicy=Sideways"), &[], "", 422, "Invalid"),
        ("DELETE", format!("{CONFIGMAPS}/none"), &[], "", 404, "NotFound"),
        ("DELETE", "/api/v1/namespaces/default".into(), &[], "", 403, "Forbidden"),
        ("DELETE", "/api/v1/namespaces/kube-system".into(), &[], "", 403, "Forbidden"),
        ("GET", format!("{PODS}/none/log"), &[], "", 404, "NotFound"),
    ];
    for (method, path, headers, body, code, reason) in cases {
        let reply = server.send(method, &path, headers, body.to_owned()).await;
        let brief: String = body.chars().take(60).collect();
        assert_eq!(reply.code, code, "{method} {path} {brief}: {}", reply.text);
        let status = reply.json();
        assert_eq!(status["kind"], "Status", "{method} {path}");
        assert_eq!(status["reason"], reason, "{method} {path} {brief}: {status}");
        assert_eq!(status["code"], code);
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn unknown_paths_are_plain_text() {
    let server = server().await;
    for path in [
        "/",
        "/nothing",
        "/apis/none",
        "/apis/none/v1",
        "/api/v2",
        "/apis/apps/v1/deployments",
        "/api/v1/namespaces/default/pods/p/exec",
        "/readyz/none",
    ] {
        let reply = server.get(path).await;
        assert_eq!((reply.code, reply.text.as_str()), (404, "404 page not found\n"), "{path}");
        assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    }
}

#[tokio::test]
async fn unknown_fields_by_mode() {
    let server = server().await;
    let body = |name: &str| {
        let mut object = configmap(name, json!({}));
        object["zz"] = json!({"deep": 1});
        object
    };
    let strict = server.post(&format!("{CONFIGMAPS}?fieldValidation=Strict"), &body("a")).await.expect(400);
    assert_eq!(
        strict["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"zz\""
    );
    let warned = server.post(CONFIGMAPS, &body("b")).await;
    assert!(warned.expect(201).get("zz").is_none());
    assert_eq!(warned.warnings(), [r#"299 - "unknown field \"zz\"""#]);
    let ignored = server.post(&format!("{CONFIGMAPS}?fieldValidation=Ignore"), &body("c")).await;
    assert!(ignored.expect(201).get("zz").is_none() && ignored.warnings().is_empty());
}

#[tokio::test]
async fn invalid_objects_list_every_cause() {
    let server = server().await;
    let mut bad = job("pi");
    bad["spec"]["parallelism"] = json!(-1);
    bad["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let status = server.post(JOBS, &bad).await.expect(422);
    assert_eq!((status["reason"].as_str(), status["details"]["kind"].as_str()), (Some("Invalid"), Some("Job")));
    let fields: Vec<&str> = status["details"]["causes"].as_array().unwrap().iter().filter_map(|c| c["field"].as_str()).collect();
    assert!(fields.contains(&"spec.parallelism") && fields.contains(&"spec.template.spec.restartPolicy"), "{status}");
}

#[tokio::test]
async fn callers_without_rights_are_refused() {
    let server = server().await;
    let anonymous = server.api.anonymous();
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(call(&anonymous, request("GET", path, &[], "")).await.code, 200, "{path}");
    }
    for path in ["/api", "/apis", "/metrics", JOBS, "/openapi/v2", "/nothing"] {
        let status = call(&anonymous, request("GET", path, &[], "")).await.expect(401);
        assert_eq!((status["reason"].as_str(), status["message"].as_str()), (Some("Unauthorized"), Some("Unauthorized")), "{path}");
    }
    let forged = [("x-remote-user", "admin"), ("impersonate-user", "admin"), ("authorization", "Bearer x")];
    assert_eq!(call(&anonymous, request("GET", JOBS, &forged, "")).await.code, 401);
    let nobody = server.api.in_process(Identity { user: "eve".into(), groups: vec!["x".into()] });
    let status = call(&nobody, request("GET", &format!("{JOBS}/pi"), &[], "")).await.expect(403);
    assert_eq!(
        status["message"],
        "jobs.batch \"pi\" is forbidden: User \"eve\" cannot get resource \"jobs\" in API group \"batch\" in the namespace \"default\""
    );
    assert_eq!(call(&nobody, request("GET", "/metrics", &[], "")).await.code, 403);
    assert_eq!(server.send("GET", JOBS, &[("impersonate-user", "eve")], "").await.code, 403, "an administrator as somebody else");
    assert_eq!(
        call(&nobody, request("GET", JOBS, &[("impersonate-user", "admin"), ("impersonate-group", "system:masters")], "")).await.code,
        403
    );
    let review = call(&nobody, request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &[], "{}")).await.expect(201);
    assert_eq!(review["status"]["userInfo"]["username"], "eve");
    assert_eq!(call(&nobody, request("POST", "/api/v1/namespaces/default/bindings", &[], "{}")).await.code, 403);
}

#[tokio::test]
async fn every_response_carries_the_headers() {
    let server = server().await;
    let reply = server.get(JOBS).await;
    assert_eq!(reply.headers["cache-control"], "no-cache, private");
    assert_eq!(reply.headers["audit-id"].len(), 36);
    let echoed = server.send("GET", JOBS, &[("audit-id", "abc")], "").await;
    assert_eq!(echoed.headers["audit-id"], "abc");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = server().await;
    let get = server.get("/version").await;
    let head = server.send("HEAD", "/version", &[], "").await;
    assert_eq!((head.code, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"].to_str().unwrap(), get.text.len().to_string());
    assert_eq!(server.send("HEAD", "/nothing", &[], "").await.code, 404);
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored() {
    let server = server().await;
    server.get(&format!("{JOBS}?timeout=32s&pretty=true&zz=1")).await.expect(200);
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = server().await;
    let now = server.now.clone();
    let poisoned = std::thread::spawn(move || {
        let _guard = now.lock().unwrap();
        panic!("the clock is broken on purpose");
    });
    assert!(poisoned.join().is_err());
    let status = server.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect(500);
    assert_eq!(status["reason"], "InternalError");
    server.get(CONFIGMAPS).await.expect(200);
}

#[tokio::test]
async fn hostile_bodies_are_refused_quickly() {
    let server = server().await;
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let above = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{above}"); 10].join(", ")));
    }
    let half_a_megabyte = 500_000;
    let json = "application/json";
    let yaml = "application/yaml";
    let protobuf = "application/vnd.kubernetes.protobuf";
    let mut nested_protobuf = b"k8s\0".to_vec();
    nested_protobuf.extend(std::iter::repeat_n([0x0a, 0x7f], 100_000).flatten());
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        (json, "[".repeat(half_a_megabyte).into_bytes()),
        (json, "{\"a\":".repeat(half_a_megabyte).into_bytes()),
        (json, b"\xff\xfe{}".to_vec()),
        (json, b"{\"metadata\":{\"name\":\"\\ud800\"}}".to_vec()),
        (yaml, bomb.into_bytes()),
        (yaml, "[".repeat(half_a_megabyte).into_bytes()),
        (yaml, "- ".repeat(half_a_megabyte).into_bytes()),
        (yaml, "a:\n b: &x [*x]".into()),
        (yaml, b"--- a\n--- b\n".to_vec()),
        (yaml, b"\xff\xfe\x00".to_vec()),
        (protobuf, nested_protobuf),
        (protobuf, vec![0xff; half_a_megabyte]),
    ];
    for (content_type, body) in bodies {
        let brief = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        for path in [CONFIGMAPS.to_owned(), format!("{JOBS}?dryRun=All")] {
            let reply = server.send("POST", &path, &[("content-type", content_type)], body.clone()).await;
            assert_eq!(reply.code, 400, "{content_type} {brief}: {}", reply.text);
        }
        let reply = server.send("DELETE", &format!("{CONFIGMAPS}/none"), &[("content-type", content_type)], body).await;
        assert!([400, 404].contains(&reply.code), "{content_type} {brief}: {}", reply.text);
    }
    let patch = "[".repeat(half_a_megabyte);
    for kind in ["json-patch", "merge-patch", "strategic-merge-patch"] {
        let content_type = format!("application/{kind}+json");
        let reply = server.send("PATCH", &format!("{JOBS}/pi"), &[("content-type", &content_type)], patch.clone()).await;
        assert_eq!(reply.code, 400, "{kind}: {}", reply.text);
    }
}
