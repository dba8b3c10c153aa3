//! TLS listeners (spec/api.md 1).
//!
//! In: a bound listener. Out: requests with the identity of the connection's certificate. Never: one connection that holds up another; an
//! open watch after shutdown.

use std::{io, sync::Arc, time::Duration};

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    authentication::{self, Caller},
    request,
    state::{State, Stop},
};

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the head of a request may take to arrive.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Most requests at once on one HTTP/2 connection.
pub const MAX_CONCURRENT_STREAMS: u32 = 250;
/// Most connections at once; more wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Pause after a failed accept (out of file descriptors).
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// How long running requests may take to end after shutdown began.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn serve(
    state: Arc<State>,
    listener: TcpListener,
    mut tls: rustls::ServerConfig,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    // Upgrade requests arrive as HTTP/1.1, so h2 is never offered alone.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let full = connections.len() >= MAX_CONNECTIONS;
        tokio::select! {
            biased;
            () = turned_true(&mut shutdown) => break,
            _ = connections.join_next(), if full => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(state.clone(), acceptor.clone(), stream, stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, ended).await.is_err() {
        tracing::warn!("connections were still open after {} s", SHUTDOWN_GRACE.as_secs());
    }
    Ok(())
}

async fn connection(state: Arc<State>, acceptor: TlsAcceptor, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
    // Events of a watch are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::select! {
        biased;
        () = turned_true(&mut stopping) => return,
        handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => handshake,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake");
            return;
        }
        Err(_) => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let caller = certificate.and_then(|certificate| authentication::from_certificate(certificate)).map(Caller);
    let stop = Stop(stopping.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, caller, stop) = (state.clone(), caller.clone(), stop.clone());
        async move {
            let mut request = request.map(Body::new);
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            request.extensions_mut().insert(stop);
            Ok::<_, std::convert::Infallible>(request::handle(state, request).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .keep_alive_interval(HTTP2_PING_INTERVAL);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            result = served.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = %error, "connection");
                }
                return;
            }
            () = turned_true(&mut stopping), if !asked => {
                asked = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// How often an idle HTTP/2 connection is probed, so that a vanished client's watches end.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// Returns when the value is true, or can never become so because its sender is gone.
async fn turned_true(receiver: &mut watch::Receiver<bool>) {
    let _ = receiver.wait_for(|value| *value).await;
}
