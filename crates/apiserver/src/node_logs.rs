//! Calls to node agents for container logs (spec/api.md 9).
//!
//! In: a node object and a log request. Out: the agent's byte stream, unbuffered. Never: a call without the client certificate or to an
//! agent whose certificate the own CA did not sign.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use piecework_api::status::Status;
use serde_json::Value;

use crate::failure::Outcome;

/// How long a connection to a node agent may take.
pub const NODE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node agent may take to begin its answer.
pub const NODE_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a node agent's error text that are passed on.
const MAX_ERROR_BYTES: usize = 8 * 1024;
/// Port of a node agent that publishes none (API reference, NodeDaemonEndpoints).
const DEFAULT_AGENT_PORT: i64 = 10250;
/// Which of a node's addresses is called, best first (spec/api.md 9).
const ADDRESS_ORDER: &[&str] = &["InternalIP", "Hostname", "ExternalIP"];

/// Client of all node agents.
pub(crate) struct NodeLogs {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl NodeLogs {
    pub(crate) fn new(tls: rustls::ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(NODE_CONNECT_TIMEOUT));
        // The connector adds its own protocol list and refuses one that is there.
        let mut tls = tls;
        tls.alpn_protocols.clear();
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(connector);
        NodeLogs { client: Client::builder(TokioExecutor::new()).build(https) }
    }

    /// Streams `path` (with query) of the node's agent.
    pub(crate) async fn fetch(&self, node: &Value, path: &str) -> Outcome<Response<Body>> {
        let Some(authority) = authority(node) else {
            return Err(Status::internal(format!("node {:?} has no address", node["metadata"]["name"].as_str().unwrap_or(""))).into());
        };
        let url = format!("https://{authority}{path}");
        let uri: Uri = url.parse().map_err(|error| Status::internal(format!("Get {url:?}: {error}")))?;
        let request = Request::get(uri).body(Empty::new()).map_err(|error| Status::internal(error.to_string()))?;
        let response = match tokio::time::timeout(NODE_ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Status::internal(format!("Get {url:?}: {}", chain(&error))).into()),
            Err(_) => return Err(Status::internal(format!("Get {url:?}: no answer after {} s", NODE_ANSWER_TIMEOUT.as_secs())).into()),
        };
        if response.status().is_success() {
            return Ok(response.map(Body::new));
        }
        let code = response.status();
        let text = match Limited::new(response.into_body(), MAX_ERROR_BYTES).collect().await {
            Ok(collected) => String::from_utf8_lossy(&collected.to_bytes()).trim().to_owned(),
            Err(_) => String::new(),
        };
        let text = if text.is_empty() { format!("the node agent answered {code}") } else { text };
        Err(match code {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Status::bad_request(text).into(),
            _ => Status::internal(text).into(),
        })
    }
}

/// `address:port` of a node's agent.
fn authority(node: &Value) -> Option<String> {
    let addresses = node["status"]["addresses"].as_array()?;
    let address = ADDRESS_ORDER
        .iter()
        .find_map(|wanted| addresses.iter().find(|address| address["type"] == *wanted))
        .and_then(|address| address["address"].as_str())?;
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_i64().filter(|port| *port > 0).unwrap_or(DEFAULT_AGENT_PORT);
    Some(if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
}

/// An error with its causes: the outer text alone says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses() {
        let node = |addresses: Value, port: Value| json!({"status": {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
        let cases = [
            (
                node(json!([{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "127.0.0.1"}]), json!(4)),
                Some("127.0.0.1:4"),
            ),
            (node(json!([{"type": "Hostname", "address": "h"}]), Value::Null), Some("h:10250")),
            (node(json!([{"type": "InternalIP", "address": "::1"}]), json!(4)), Some("[::1]:4")),
            (node(json!([]), json!(4)), None),
            (json!({}), None),
        ];
        for (node, expected) in cases {
            assert_eq!(authority(&node).as_deref(), expected, "{node}");
        }
    }
}
