//! What all requests of one server share, and what one request knows about itself.
//!
//! In: options. Out: shared references. Never: request data in the shared part.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use jiff::Timestamp;
use piecework_store::Store;
use tokio::sync::watch;

use crate::{
    authentication::Identity, clock::Clock, decoded::DecodedObjects, discovery::Documents, identifiers::Identifiers, metrics::Metrics,
    node_logs::NodeLogs, query::Query,
};

/// Writes metrics of other parts of this process in the Prometheus text format; called for every request of `/metrics`.
pub(crate) type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// One server.
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) identifiers: Identifiers,
    pub(crate) decoded: DecodedObjects,
    pub(crate) documents: Documents,
    pub(crate) metrics: Metrics,
    /// What else `/metrics` shows; set once, by whoever puts this process together.
    pub(crate) more_metrics: OnceLock<MetricsText>,
    pub(crate) node_logs: NodeLogs,
    /// Content of ConfigMap `kube-root-ca.crt`; nothing is published before it is known.
    pub(crate) root_ca: OnceLock<String>,
}

impl State {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Set on requests that came over a socket: turns true when the listener shuts down, so that watches end cleanly.
#[derive(Debug, Clone)]
pub(crate) struct Stop(pub(crate) watch::Receiver<bool>);

/// One request, without its body.
pub(crate) struct Exchange {
    pub(crate) state: Arc<State>,
    pub(crate) caller: Option<Identity>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) stop: Option<Stop>,
}

impl Stop {
    /// Returns when the listener shuts down; a dropped sender is a server that went away.
    pub(crate) async fn stopped(&mut self) {
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}
