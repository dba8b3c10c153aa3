//! Requests to the API server as JSON values: paths, queries, Statuses, warnings, watches, log streams.
//!
//! In: a `kube::Client`. Out: values and streams. Never: types of single resources; retries.

use crate::{failure::Failure, terminal::Terminal};
use futures::{AsyncBufRead, Stream, StreamExt};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Ordinary JSON.
pub const JSON: &str = "application/json";
/// A Table, or JSON from servers that know none.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// RFC 7396.
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// One change of a watch.
#[derive(Debug, Clone)]
pub enum Event {
    Added(Value),
    Modified(Value),
    Deleted(Value),
    /// Only a newer resource version.
    Bookmark(Value),
}

/// The API server behind a client. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    client: kube::Client,
    terminal: Terminal,
    warned: Arc<Mutex<BTreeSet<String>>>,
}

impl Server {
    pub fn new(client: kube::Client, terminal: Terminal) -> Self {
        Self { client, terminal, warned: Arc::default() }
    }

    /// The namespace of the kubeconfig's context.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, JSON, None).await
    }

    /// GET with an own Accept header.
    pub async fn get_as(&self, path: &str, accept: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, accept, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, JSON, Some((JSON, body))).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, JSON, Some((JSON, options))).await
    }

    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Value, Failure> {
        self.send(Method::PATCH, path, JSON, Some((MERGE_PATCH, patch))).await
    }

    async fn send(&self, method: Method, path: &str, accept: &str, body: Option<(&str, &Value)>) -> Result<Value, Failure> {
        let request = request(method, path, accept, body)?;
        let response = self.client.send(request).await?;
        for warning in response.headers().get_all("warning") {
            self.warn(warning.to_str().unwrap_or_default());
        }
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
        match parsed {
            Ok(value) if status.is_success() => Ok(value),
            Ok(value) if value["kind"] == "Status" => Err(Failure::Status(value)),
            _ => {
                let text = String::from_utf8_lossy(&bytes);
                let first = text.lines().next().unwrap_or_default();
                Err(Failure::Connection(format!("{path} was answered with {status}, not with an object: {first}")))
            }
        }
    }

    /// `299 - "text"`: each distinct text is shown once.
    fn warn(&self, header: &str) {
        let Some(text) = header.splitn(3, ' ').nth(2) else { return };
        let text = text.trim().trim_start_matches('"').trim_end_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            self.terminal.error(&format!("Warning: {text}"));
        }
    }

    /// Opens a watch; `path` has its query already. An ERROR event ends the stream with its Status.
    pub async fn watch(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<impl Stream<Item = Result<Event, Failure>> + Send + Unpin + use<>, Failure> {
        let request = http_request(Method::GET, path, accept, None)?;
        let events = self.client.request_events::<Value>(request).await?;
        Ok(Box::pin(events.map(|event: kube::Result<kube::core::WatchEvent<Value>>| match event.map_err(Failure::from)? {
            kube::core::WatchEvent::Added(object) => Ok(Event::Added(object)),
            kube::core::WatchEvent::Modified(object) => Ok(Event::Modified(object)),
            kube::core::WatchEvent::Deleted(object) => Ok(Event::Deleted(object)),
            kube::core::WatchEvent::Bookmark(bookmark) => {
                Ok(Event::Bookmark(serde_json::json!({"metadata": {"resourceVersion": bookmark.metadata.resource_version}})))
            }
            kube::core::WatchEvent::Error(status) => Err(Failure::Status(serde_json::to_value(status).unwrap_or_default())),
        })))
    }

    /// A raw text stream (Pod logs).
    pub async fn stream(&self, path: &str) -> Result<impl AsyncBufRead + Send + Unpin + use<>, Failure> {
        let request = http_request(Method::GET, path, "*/*", None)?;
        Ok(Box::pin(self.client.request_stream(request).await?))
    }
}

fn http_request(method: Method, path: &str, accept: &str, body: Option<(&str, &Value)>) -> Result<Request<Vec<u8>>, Failure> {
    let mut request = Request::builder().method(method).uri(path).header(http::header::ACCEPT, accept);
    let bytes = match body {
        Some((media_type, value)) => {
            request = request.header(http::header::CONTENT_TYPE, media_type);
            serde_json::to_vec(value).map_err(|e| Failure::usage(format!("the object cannot be written as JSON: {e}")))?
        }
        None => Vec::new(),
    };
    request.body(bytes).map_err(|e| Failure::usage(format!("{path:?} is not a request path: {e}")))
}

fn request(method: Method, path: &str, accept: &str, body: Option<(&str, &Value)>) -> Result<Request<Body>, Failure> {
    Ok(http_request(method, path, accept, body)?.map(Body::from))
}

/// Everything but the unreserved characters is escaped in a path segment or a query value.
const ESCAPED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One path segment or query value.
pub fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, ESCAPED).to_string()
}

/// `path?a=b&c=d`; pairs with an empty value are left out.
pub fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut out = path.to_string();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(name);
        out.push('=');
        out.push_str(&escape(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        for (path, query, expected) in [
            ("/a", vec![], "/a"),
            ("/a", vec![("x", ""), ("y", "1")], "/a?y=1"),
            ("/a?b=c", vec![("labelSelector", "a in (b,c)")], "/a?b=c&labelSelector=a%20in%20%28b%2Cc%29"),
            ("/a", vec![("f", "metadata.name=pi"), ("w", "true")], "/a?f=metadata.name%3Dpi&w=true"),
        ] {
            assert_eq!(with_query(path, &query), expected);
        }
        assert_eq!(escape("a/../b"), "a%2F..%2Fb");
    }
}
