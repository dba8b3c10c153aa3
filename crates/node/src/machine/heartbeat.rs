//! Announces this node, and keeps saying that it lives.
//!
//! In: the announcement, a timer. Out: writes of Node and Lease, tried again until they succeed. Never: gives up; a write of the Node more often
//! than the period while nothing changes.

use std::convert::Infallible;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use piecework_client::backoff::{Backoff, RetryLimits};
use piecework_client::clock::Clock;
use piecework_client::patch::{Patch, is_already_exists, is_not_found, patch, patch_status};
use tokio::time::Instant;

use super::lease;
use super::node::Announcement;
use crate::limits::{LEASE_RENEW, NODE_RETRY_BASE, NODE_RETRY_CAP, NODE_STATUS_PERIOD};
use crate::shell::context::COMPONENT;

pub struct Heartbeat {
    pub client: kube::Client,
    pub clock: Arc<dyn Clock>,
    pub announcement: Announcement,
}

impl Heartbeat {
    /// Creates the Node or brings it up to date, until that works; answers with it.
    pub async fn announce(&self) -> Node {
        let mut backoff = Backoff::new(RetryLimits { base: NODE_RETRY_BASE, cap: NODE_RETRY_CAP });
        loop {
            match self.write_node().await {
                Ok(node) => return node,
                Err(error) => {
                    tracing::warn!(%error, "the Node was not written; trying again");
                    tokio::time::sleep(backoff.fail()).await;
                }
            }
        }
    }

    /// Renews the Lease and, rarely, the Node's conditions. Ends only when dropped.
    pub async fn run(&self, mut node: Node) -> Infallible {
        let mut backoff = Backoff::new(RetryLimits { base: NODE_RETRY_BASE, cap: NODE_RETRY_CAP });
        let mut written = Instant::now();
        loop {
            match lease::renew(&self.client, &node, self.clock.now()).await {
                Ok(()) => {
                    backoff.reset();
                    tokio::time::sleep(LEASE_RENEW).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the Lease was not renewed; trying again");
                    tokio::time::sleep(backoff.fail()).await;
                }
            }
            if written.elapsed() >= NODE_STATUS_PERIOD {
                node = self.announce().await;
                written = Instant::now();
            }
        }
    }

    /// Tells the scheduler not to send more Pods; the containers may go on running. Tried once: the server may be going away too.
    pub async fn farewell(&self, node: &Node) {
        let document = self.announcement.status_patch(node, false, self.clock.now());
        if let Err(error) = patch_status(&self.nodes(), &self.announcement.name, COMPONENT, &Patch::Strategic(document)).await {
            tracing::debug!(%error, "the Node was not marked as not ready");
        }
    }

    async fn write_node(&self) -> Result<Node, kube::Error> {
        let nodes = self.nodes();
        let name = &self.announcement.name;
        let labels = Patch::Merge(self.announcement.metadata_patch());
        let node = match patch(&nodes, name, COMPONENT, &labels).await {
            Err(error) if is_not_found(&error) => {
                let new = serde_json::from_value(self.announcement.node()).map_err(kube::Error::SerdeError)?;
                match nodes.create(&PostParams::default(), &new).await {
                    Err(error) if is_already_exists(&error) => nodes.get(name).await?,
                    created => created?,
                }
            }
            patched => patched?,
        };
        let status = self.announcement.status_patch(&node, true, self.clock.now());
        patch_status(&nodes, name, COMPONENT, &Patch::Strategic(status)).await
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }
}
