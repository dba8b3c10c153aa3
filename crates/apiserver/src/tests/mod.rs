//! The server driven through its router, with a real embedded store and no sockets.

#![allow(clippy::unwrap_used)]

mod delete;
mod discovery;
mod errors;
mod listing;
mod objects;
mod pods;
mod tls;
mod watching;

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use piecework_store::{EmbeddedOptions, EmbeddedStore, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{ApiServer, Identity, Options, pki::Pki};

pub(super) const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(super) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(super) const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

pub(super) struct Server {
    pub(super) api: ApiServer,
    pub(super) admin: Router,
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) pki: Pki,
    pub(super) now: Arc<Mutex<Timestamp>>,
    _dir: TempDir,
}

pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The object, if the code is the expected one.
    #[track_caller]
    pub(super) fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.json()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }
}

pub(super) async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&dir.path().join("store"), EmbeddedOptions::default()).unwrap();
    let pki = Pki::open(dir.path()).unwrap();
    let now = Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap()));
    let reader = now.clone();
    let options = Options {
        store: store.clone() as Arc<dyn Store>,
        advertise: "127.0.0.1:6443".into(),
        kubelet_client: pki.client_config("system:apiserver", &["system:masters"]).unwrap(),
    };
    let api = ApiServer::with_clock(options, Arc::new(move || *reader.lock().unwrap())).await.unwrap();
    let admin = api.in_process(Identity { user: "admin".into(), groups: vec!["system:masters".into()] });
    Server { api, admin, store, pki, now, _dir: dir }
}

pub(super) async fn call(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Reply { code: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

impl Server {
    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        call(&self.admin, request(method, path, headers, body)).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], Body::empty()).await
    }

    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.send("GET", path, &[("accept", accept)], Body::empty()).await
    }

    pub(super) async fn post(&self, path: &str, object: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], object.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, object: &Value) -> Reply {
        self.send("PUT", path, &[("content-type", "application/json")], object.to_string()).await
    }

    pub(super) async fn merge(&self, path: &str, patch: &Value) -> Reply {
        self.send("PATCH", path, &[("content-type", "application/merge-patch+json")], patch.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str, options: Option<Value>) -> Reply {
        self.send("DELETE", path, &[], options.map(|options| options.to_string()).unwrap_or_default()).await
    }

    /// Starts a watch and returns its events as they come.
    pub(super) async fn watch(&self, path: &str) -> Events {
        self.watch_as(path, "application/json").await
    }

    pub(super) async fn watch_as(&self, path: &str, accept: &str) -> Events {
        let response = self.admin.clone().oneshot(request("GET", path, &[("accept", accept)], Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Events { body: response.into_body().into_data_stream(), buffer: Vec::new() }
    }
}

pub(super) struct Events {
    body: axum::body::BodyDataStream,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event; None at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.buffer.extend_from_slice(&self.body.next().await?.unwrap());
        }
    }

    /// `TYPE NAME`, or `TYPE` for events without a name.
    pub(super) async fn brief(&mut self) -> String {
        let Some(event) = self.next().await else { return "end".into() };
        format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or("-"))
    }
}

pub(super) fn configmap(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "1"}})
}

pub(super) fn job(name: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 4, "template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "pi", "image": "perl", "command": ["true"]}]}}}})
}

pub(super) fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "perl"}]}})
}

pub(super) fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
