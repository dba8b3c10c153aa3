//! What a caller gives to build an API server.
//!
//! In: a store and addresses. Out: plain values read by the other modules. Never: I/O.

use std::sync::Arc;

use piecework_store::Store;

/// Parts that the API server is built from.
pub struct Options {
    /// Where objects live.
    pub store: Arc<dyn Store>,
    /// `host:port` that clients use, for `/api`.
    pub advertise: String,
    /// Client certificate (PEM chain + key) and CA with which the API server calls node agents' log servers.
    pub kubelet_client: rustls::ClientConfig,
}
