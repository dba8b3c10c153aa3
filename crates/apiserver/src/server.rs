//! The API server as a value.
//!
//! In: options. Out: a service for this process and a TLS service for others. Never: an in-process identity for a request from a socket.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use axum::{Router, extract::Request};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    authentication::{Caller, Identity},
    bootstrap,
    clock::{self, Clock},
    decoded::DecodedObjects,
    discovery::Documents,
    event_expiry,
    identifiers::Identifiers,
    metrics::Metrics,
    node_logs::NodeLogs,
    options::Options,
    request, serve,
    state::{State, Stop},
};

/// The API server: cheap to clone, all clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    state: Arc<State>,
}

impl ApiServer {
    /// Creates the objects that exist at start (spec/api.md 10) and builds the routes. Reads the machine's clock.
    ///
    /// # Errors
    /// One line when the store refuses.
    pub async fn new(options: Options) -> Result<Self, String> {
        Self::with_clock(options, clock::system_clock()).await
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// One line when the store refuses.
    pub async fn with_clock(options: Options, clock: Clock) -> Result<Self, String> {
        Self::build(options, clock, Identifiers::default()).await
    }

    /// The same with uids and generated names that follow from `seed`: for simulations, whose runs must replay.
    ///
    /// # Errors
    /// One line when the store refuses.
    pub async fn replayable(options: Options, clock: Clock, seed: u64) -> Result<Self, String> {
        Self::build(options, clock, Identifiers::of_seed(seed)).await
    }

    async fn build(options: Options, clock: Clock, identifiers: Identifiers) -> Result<Self, String> {
        let state = Arc::new(State {
            store: options.store,
            clock,
            identifiers,
            decoded: DecodedObjects::default(),
            documents: Documents::new(&options.advertise),
            metrics: Metrics::default(),
            more_metrics: OnceLock::new(),
            node_logs: NodeLogs::new(options.kubelet_client),
            root_ca: OnceLock::new(),
        });
        bootstrap::at_start(&state).await.map_err(|failure| format!("creating the initial objects: {failure}"))?;
        event_expiry::spawn(&state);
        Ok(ApiServer { state })
    }

    /// Publishes the CA certificate (PEM) as ConfigMap `kube-root-ca.crt` in every namespace, present and future (spec/api.md 10).
    ///
    /// # Errors
    /// One line when the store refuses.
    pub async fn publish_root_ca(&self, ca_pem: &str) -> Result<(), String> {
        let _ = self.state.root_ca.set(ca_pem.to_owned());
        bootstrap::furnish_all(&self.state).await.map_err(|failure| format!("publishing the CA certificate: {failure}"))
    }

    /// Shows `text` on `/metrics` after the server's own counters: those of the controllers in this process. The first one given stays.
    pub fn show_metrics(&self, text: impl Fn() -> String + Send + Sync + 'static) {
        let _ = self.state.more_metrics.set(Arc::new(text));
    }

    /// The routes as a service whose requests are trusted to come from `identity` (for clients in this process): pass it to
    /// `kube::Client::new(svc, "default")`.
    pub fn in_process(&self, identity: Identity) -> Router {
        self.router(Some(Caller(identity)))
    }

    /// The routes for callers nobody vouches for.
    #[cfg(test)]
    pub(crate) fn anonymous(&self) -> Router {
        self.router(None)
    }

    fn router(&self, caller: Option<Caller>) -> Router {
        let state = self.state.clone();
        Router::new().fallback(move |mut request: Request| {
            let (state, caller) = (state.clone(), caller.clone());
            request.extensions_mut().remove::<Caller>();
            request.extensions_mut().remove::<Stop>();
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            request::handle(state, request)
        })
    }

    /// Serves TLS on a bound listener until `shutdown` holds true; ends watches cleanly then.
    ///
    /// # Errors
    /// When the listener cannot be used any more.
    pub async fn serve(&self, listener: TcpListener, tls: rustls::ServerConfig, shutdown: watch::Receiver<bool>) -> io::Result<()> {
        serve::serve(self.state.clone(), listener, tls, shutdown).await
    }

    /// Deletes Events older than their time to live as of `now`. Out: how many. For tests; the server does this by itself.
    #[cfg(test)]
    pub(crate) async fn expire_events(&self, now: jiff::Timestamp) -> usize {
        event_expiry::expire(&self.state, now).await.unwrap_or(0)
    }
}
