//! The node agent: Pod workers, container status, logs server, Node object and lease.
//!
//! In: Pods bound to this node (watch). Out: container actions on `Runtime`, status patches, Events, the final DELETE of a terminated Pod.
//! Never: the store; a decision outside `step`.

pub mod limits;
pub mod logs;
pub mod machine;
pub mod pod;
pub mod resolve;
pub mod shell;

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use piecework_client::clock::Clock;
use piecework_client::informer::Informer;
use piecework_runtime::Runtime;

use logs::server;
use machine::facts::Facts;
use machine::heartbeat::Heartbeat;
use machine::node::Announcement;
use resolve::downward::NodeFacts;
use shell::context::Context;
use shell::paths::Paths;

/// What one agent needs to know.
pub struct Options {
    pub node_name: String,
    /// Pod logs, volumes and runtime state live below it.
    pub data_dir: PathBuf,
    /// TLS for the logs server: (server certificate and key PEM, client CA PEM). Only clients with a certificate of that CA are served.
    pub tls: rustls::ServerConfig,
}

/// What may differ between nodes but has a default everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Pods that the node announces as its capacity.
    pub max_pods: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { max_pods: limits::DEFAULT_MAX_PODS }
    }
}

/// Runs until `shutdown` resolves. On shutdown it leaves containers running and only stops following them.
pub async fn run(
    options: Options,
    client: kube::Client,
    runtime: Arc<dyn Runtime>,
    images: piecework_images::ImageStore,
    clock: Arc<dyn Clock>,
    shutdown: tokio::sync::watch::Receiver<bool>,
) -> Result<(), String> {
    run_with(options, Tuning::default(), client, runtime, images, clock, shutdown).await
}

/// As `run`, with other than default values.
pub async fn run_with(
    options: Options,
    tuning: Tuning,
    client: kube::Client,
    runtime: Arc<dyn Runtime>,
    images: piecework_images::ImageStore,
    clock: Arc<dyn Clock>,
    mut shutdown: tokio::sync::watch::Receiver<bool>,
) -> Result<(), String> {
    let paths = Paths::new(options.data_dir.clone());
    for directory in [paths.logs(), paths.all_volumes()] {
        std::fs::create_dir_all(&directory).map_err(|error| format!("create {}: {error}", directory.display()))?;
    }
    let (listener, address) = server::bind().await.map_err(|error| format!("listen on a free port of 127.0.0.1: {error}"))?;
    let facts = Facts::read(&options.data_dir);
    let node_facts = NodeFacts {
        node_name: options.node_name.clone(),
        pod_ip: None,
        cpu_millis: facts.cpus.saturating_mul(1000),
        memory_bytes: facts.memory_bytes,
        ephemeral_storage_bytes: facts.storage_bytes,
    };
    let heartbeat = Heartbeat {
        client: client.clone(),
        clock: Arc::clone(&clock),
        announcement: Announcement {
            name: options.node_name.clone(),
            facts,
            max_pods: tuning.max_pods,
            port: address.port(),
            runtime: runtime.version(),
        },
    };
    let context = Arc::new(Context::new(client.clone(), runtime, images, clock, paths, node_facts));
    let pods: Api<Pod> = Api::all(client);
    let (informer, cache) = Informer::new(pods, ListParams::default().fields(&format!("spec.nodeName={}", options.node_name)));
    let router = server::router(server::Logs { context: Arc::clone(&context), pods: cache.clone() });

    let node = tokio::select! {
        biased;
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
        node = heartbeat.announce() => node,
    };
    let agent = shell::agent::run(context, informer, cache, shutdown);
    let result = tokio::select! {
        biased;
        result = agent => result,
        never = heartbeat.run(node.clone()) => match never {},
        never = server::serve(listener, options.tls, router) => match never {},
    };
    heartbeat.farewell(&node).await;
    result
}

/// Removes every sandbox with all that runs in it, for a process that leaves nothing behind (`piecework run`). Call it after `run` has returned.
/// The first error is reported after all others were tried.
pub async fn drain(runtime: &dyn Runtime) -> Result<(), piecework_runtime::Error> {
    let mut first_error = None;
    for sandbox in runtime.list().await? {
        if let Err(error) = runtime.remove_sandbox(&sandbox.id).await {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}
