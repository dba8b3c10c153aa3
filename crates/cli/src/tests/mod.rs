//! The verbs against a real API server in this process: its router, an embedded store, no sockets.
//!
//! In: command lines. Out: what a user would see. Never: a container; the tests play controller and node agent themselves.
#![allow(clippy::unwrap_used)]

mod objects;
mod running;
mod waiting;

use crate::{Context, Verb, server::Server, terminal::Terminal};
use axum::{Router, extract::Path, routing::get};
use clap::Parser;
use piecework_apiserver::{ApiServer, Identity, Options, pki::Pki};
use piecework_client::clock::SystemClock;
use piecework_store::{EmbeddedOptions, EmbeddedStore, Store};
use serde_json::{Value, json};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};

/// Bytes that a test can read back.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>, Arc<tokio::sync::Notify>);

impl Buffer {
    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Buffer {
    /// Resolves when something was written since the last time.
    pub async fn written(&self) {
        self.1.notified().await;
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        self.1.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

pub struct House {
    pub context: Context,
    pub out: Buffer,
    pub err: Buffer,
    /// The same server for the parts that a test plays itself.
    pub server: Server,
    directory: tempfile::TempDir,
    /// How many watches were opened so far.
    watches: tokio::sync::watch::Sender<usize>,
}

/// What a verb did.
#[derive(Debug)]
pub struct Done {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// The log of a container in these tests: two lines that say whose it is.
async fn log(Path((_, pod)): Path<(String, String)>, axum::extract::RawQuery(query): axum::extract::RawQuery) -> String {
    format!("first line of {pod}\nquery {}\n", query.unwrap_or_default())
}

impl House {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("store"), EmbeddedOptions::default()).unwrap();
        let pki = Pki::open(directory.path()).unwrap();
        let options = Options {
            store: store as Arc<dyn Store>,
            advertise: "127.0.0.1:6443".into(),
            kubelet_client: pki.client_config("system:apiserver", &["system:masters"]).unwrap(),
        };
        let api = ApiServer::new(options).await.unwrap();
        let admin = api.in_process(Identity { user: "admin".into(), groups: vec!["system:masters".into()] });
        // No node is there: its logs are played here.
        let router: Router = Router::new().route("/api/v1/namespaces/{namespace}/pods/{pod}/log", get(log)).fallback_service(admin);
        let watches = tokio::sync::watch::Sender::new(0);
        let opened = watches.clone();
        let router = router.layer(axum::middleware::from_fn(move |request: axum::extract::Request, next: axum::middleware::Next| {
            let opened = opened.clone();
            async move {
                let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
                let response = next.run(request).await;
                if is_watch {
                    opened.send_modify(|count| *count += 1);
                }
                response
            }
        }));
        let (out, err) = (Buffer::default(), Buffer::default());
        let terminal = Terminal::new(out.clone(), err.clone());
        let client = kube::Client::new(router, "default");
        let server = Server::new(client, terminal.clone());
        let context = Context { server: server.clone(), terminal, clock: Arc::new(SystemClock) };
        Self { context, out, err, server, directory, watches }
    }

    /// Runs a command line split at spaces.
    pub async fn run(&self, line: &str) -> Done {
        let command = Command::try_parse_from(std::iter::once("piecework").chain(line.split(' '))).unwrap();
        let code = crate::run_in(&self.context, command.verb).await;
        Done { code, out: self.out.take(), err: self.err.take() }
    }

    /// Runs it, expects success, returns what was printed.
    pub async fn ok(&self, line: &str) -> String {
        let done = self.run(line).await;
        assert_eq!(done.code, 0, "{line}: {done:?}");
        done.out
    }

    /// Runs a verb; once it has opened a watch, does what it waits for.
    pub async fn run_while(&self, line: &str, then: impl Future<Output = ()>) -> Done {
        let mut watches = self.watches.subscribe();
        let before = *watches.borrow();
        let act = async {
            watches.wait_for(|count| *count > before).await.unwrap();
            then.await;
        };
        tokio::join!(self.run(line), act).0
    }

    /// Writes a manifest; its path.
    pub fn manifest(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn pi(&self) -> String {
        self.manifest("pi.yaml", include_str!("../../../../examples/pi.yaml"))
    }

    /// Plays the Job controller: one Pod for a Job, with the template's labels.
    pub async fn make_pod(&self, job: &Value, name: &str) -> Value {
        let template = &job["spec"]["template"];
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}, "spec": template["spec"]});
        self.server.post("/api/v1/namespaces/default/pods", &pod).await.unwrap()
    }

    /// Plays the node agent: the Pod's phase and its one container's state.
    pub async fn set_pod(&self, name: &str, phase: &str, state: Value) {
        let status = json!({"status": {"phase": phase, "containerStatuses": [
            {"name": "pi", "image": "perl", "imageID": "sha256:0", "ready": false, "restartCount": 0, "state": state}]}});
        self.server.merge_patch(&format!("/api/v1/namespaces/default/pods/{name}/status"), &status).await.unwrap();
    }

    /// Plays the Job controller: the Job's status.
    pub async fn set_job(&self, name: &str, status: Value) {
        self.server
            .merge_patch(&format!("/apis/batch/v1/namespaces/default/jobs/{name}/status"), &json!({"status": status}))
            .await
            .unwrap();
    }

    /// Status of a Job that completed with one Pod.
    pub fn completed() -> Value {
        let at = "2026-01-01T00:00:00Z";
        json!({"startTime": at, "completionTime": at, "succeeded": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}, "conditions": [
            {"type": "SuccessCriteriaMet", "status": "True", "reason": "CompletionsReached", "lastProbeTime": at, "lastTransitionTime": at},
            {"type": "Complete", "status": "True", "reason": "CompletionsReached", "lastProbeTime": at, "lastTransitionTime": at}]})
    }

    /// Status of a Job that failed.
    pub fn failed() -> Value {
        let at = "2026-01-01T00:00:00Z";
        let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit", "lastProbeTime": at, "lastTransitionTime": at});
        json!({"startTime": at, "failed": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}, "conditions": [condition("FailureTarget"), condition("Failed")]})
    }
}
