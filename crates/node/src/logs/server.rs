//! The agent's HTTPS server: `GET /containerLogs/NAMESPACE/POD/CONTAINER` (spec/api.md 9) and `/healthz`.
//!
//! In: requests of the API server, which presents a certificate of the cluster's CA (the TLS configuration demands it).
//! Out: logs as plain text. Never: a listener beyond loopback; a request without a client certificate.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use k8s_openapi::api::core::v1::Pod;
use piecework_client::informer::Cache;
use tokio::io;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::options::Query;
use super::stream::send_log;
use super::which::{self, NoLog};
use crate::limits::{LOG_CHUNKS_QUEUED, TLS_HANDSHAKE};
use crate::resolve::container::container_id;
use crate::shell::context::Context;

/// What the handlers need.
#[derive(Clone)]
pub struct Logs {
    pub context: Arc<Context>,
    pub pods: Cache<Pod>,
}

/// A free port on loopback.
pub async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

pub fn router(logs: Logs) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs))
        .with_state(logs)
}

/// Serves until dropped. Connections end with it.
pub async fn serve(listener: TcpListener, tls: rustls::ServerConfig, router: Router) -> Infallible {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let (acceptor, router) = (acceptor.clone(), router.clone());
                    connections.spawn(async move {
                        let socket = match tokio::time::timeout(TLS_HANDSHAKE, acceptor.accept(socket)).await {
                            Ok(Ok(socket)) => socket,
                            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake refused"),
                            Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
                        };
                        let service = TowerToHyperService::new(router);
                        let builder = auto::Builder::new(TokioExecutor::new());
                        if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
                            tracing::debug!(%peer, error, "connection of a log reader ended");
                        }
                    });
                }
                // Out of file descriptors, or a connection that ended before it was taken: wait for one of ours to end, or go on.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    if connections.join_next().await.is_none() {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }
}

async fn container_logs(
    State(logs): State<Logs>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    UrlQuery(query): UrlQuery<Query>,
) -> Response {
    match open(&logs, &namespace, &pod, &container, &query).await {
        Ok(body) => ([(header::CONTENT_TYPE, "text/plain")], body).into_response(),
        Err(refused) => {
            let code = StatusCode::from_u16(refused.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (code, refused.message).into_response()
        }
    }
}

async fn open(logs: &Logs, namespace: &str, name: &str, container: &str, query: &Query) -> Result<Body, NoLog> {
    let pod =
        logs.pods.get(&format!("{namespace}/{name}")).ok_or_else(|| NoLog { code: 404, message: format!("pods {name:?} not found") })?;
    let options = query.options(logs.context.clock.now()).map_err(|message| NoLog { code: 422, message })?;
    let directory = logs.context.paths.container_logs(&pod, container);
    let attempt = which::attempt(&pod, container, query.wants_previous(), &attempts(&directory).await)?;
    let path = logs.context.paths.log(&pod, container, attempt);
    let id = container_id(pod.metadata.uid.as_deref().unwrap_or_default(), container, attempt);
    let context = Arc::clone(&logs.context);
    let (sender, receiver) = mpsc::channel(LOG_CHUNKS_QUEUED);
    tokio::spawn(async move {
        let ended = has_ended(&context, &id);
        if let Err(error) = send_log(&path, &options, ended, &sender).await {
            // The reader may have gone.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(Body::from_stream(ReceiverStream::new(receiver)))
}

/// A container that the runtime does not know (any more) writes nothing (any more).
async fn has_ended(context: &Context, id: &str) {
    if let Err(error) = context.runtime.wait_container(id).await {
        tracing::debug!(id, %error, "following a log without its container");
    }
}

/// Attempts with a log file, ascending.
async fn attempts(directory: &FilePath) -> Vec<u32> {
    let mut found = BTreeSet::new();
    if let Ok(mut entries) = tokio::fs::read_dir(directory).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let number: Option<u32> = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|number| number.parse().ok());
            found.extend(number);
        }
    }
    found.into_iter().collect()
}
