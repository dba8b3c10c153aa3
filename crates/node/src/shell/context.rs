//! What all Pod workers share.
//!
//! In: made once by `run`. Out: handles, cheap to clone behind one `Arc`. Never: state of a Pod.

use std::sync::Arc;

use piecework_client::clock::Clock;
use piecework_client::recorder::Recorder;
use piecework_images::ImageStore;
use piecework_runtime::Runtime;
use tokio::sync::Semaphore;

use super::paths::Paths;
use crate::limits::{CONCURRENT_PULLS, CONCURRENT_STARTS};
use crate::resolve::downward::NodeFacts;

/// Name under which the agent writes: field manager and source of Events.
pub const COMPONENT: &str = "piecework-node";

pub struct Context {
    pub client: kube::Client,
    pub runtime: Arc<dyn Runtime>,
    pub images: ImageStore,
    pub clock: Arc<dyn Clock>,
    pub recorder: Recorder,
    pub paths: Paths,
    /// The Pod's address is filled in per Pod.
    pub facts: NodeFacts,
    pub starts: Semaphore,
    pub pulls: Semaphore,
}

impl Context {
    pub fn new(
        client: kube::Client,
        runtime: Arc<dyn Runtime>,
        images: ImageStore,
        clock: Arc<dyn Clock>,
        paths: Paths,
        facts: NodeFacts,
    ) -> Self {
        let recorder = Recorder::on_host(client.clone(), COMPONENT, &facts.node_name, Arc::clone(&clock));
        Context {
            client,
            runtime,
            images,
            clock,
            recorder,
            paths,
            facts,
            starts: Semaphore::new(CONCURRENT_STARTS),
            pulls: Semaphore::new(CONCURRENT_PULLS),
        }
    }
}
