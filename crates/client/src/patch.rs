//! Patches of the three kinds, and the questions that writers ask of an error.
//!
//! In: a typed `kube::Api`, a name and a JSON document. Out: the object as stored, or the server's error unchanged. Never: retries; whoever decides to write decides that too.
//!
//! kube's own JSON patch needs a feature that this tree leaves out; all three kinds go one way here.

use http::{Method, Request, header};
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is sent as a PATCH.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// JSON merge patch, RFC 7396: null removes, lists are replaced.
    Merge(Value),
    /// JSON patch, RFC 6902: a list of operations; `test` makes it conditional.
    Json(Value),
    /// Strategic merge patch: lists merge by their patch keys.
    Strategic(Value),
}

impl Patch {
    fn parts(&self) -> (&'static str, &Value) {
        match self {
            Patch::Merge(document) => ("application/merge-patch+json", document),
            Patch::Json(document) => ("application/json-patch+json", document),
            Patch::Strategic(document) => ("application/strategic-merge-patch+json", document),
        }
    }
}

/// Patches the object `name`.
pub async fn patch<K>(api: &Api<K>, name: &str, field_manager: &str, patch: &Patch) -> Result<K, Error>
where
    K: Resource + DeserializeOwned + Clone,
{
    send(api, name, None, field_manager, patch).await
}

/// Patches the status subresource of the object `name`.
pub async fn patch_status<K>(api: &Api<K>, name: &str, field_manager: &str, patch: &Patch) -> Result<K, Error>
where
    K: Resource + DeserializeOwned + Clone,
{
    send(api, name, Some("status"), field_manager, patch).await
}

async fn send<K>(api: &Api<K>, name: &str, subresource: Option<&str>, field_manager: &str, patch: &Patch) -> Result<K, Error>
where
    K: Resource + DeserializeOwned + Clone,
{
    let (content_type, document) = patch.parts();
    let body = serde_json::to_vec(document).map_err(Error::SerdeError)?;
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(target(api.resource_url(), name, subresource, field_manager))
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .map_err(Error::HttpError)?;
    api.clone().into_client().request(request).await
}

fn target(collection: &str, name: &str, subresource: Option<&str>, field_manager: &str) -> String {
    let mut target = format!("{collection}/{}", escape(name));
    if let Some(subresource) = subresource {
        target.push('/');
        target.push_str(subresource);
    }
    if !field_manager.is_empty() {
        target.push_str("?fieldManager=");
        target.push_str(&escape(field_manager));
    }
    target
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The object (or its namespace) is not there.
pub fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_not_found())
}

/// The object changed since it was read (an optimistic lock failed). Not true for a name that is taken.
pub fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_conflict() && !status.is_already_exists())
}

/// A create found the name taken.
pub fn is_already_exists(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_already_exists())
}

/// The resource version is no longer in the server's history: list again.
pub fn is_expired(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 410 || matches!(&*status.reason, "Expired" | "Gone"))
}

/// Trying the same again later may help: no answer, an overloaded or a failing server.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code == 429 || status.code >= 500,
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::Status;
    use serde_json::json;

    use super::*;
    use crate::fake_server::FakeServer;

    fn api_error(code: u16, reason: &str) -> Error {
        Error::Api(Status::failure("m", reason).with_code(code).boxed())
    }

    #[test]
    fn errors_answer_questions() {
        // (error, not found, conflict, already exists, expired, transient)
        let rows = [
            (api_error(404, "NotFound"), true, false, false, false, false),
            (api_error(409, "Conflict"), false, true, false, false, false),
            (api_error(409, "AlreadyExists"), false, false, true, false, false),
            (api_error(410, "Expired"), false, false, false, true, false),
            (api_error(410, ""), false, false, false, true, false),
            (api_error(429, "TooManyRequests"), false, false, false, false, true),
            (api_error(500, "InternalError"), false, false, false, false, true),
            (api_error(422, "Invalid"), false, false, false, false, false),
            (Error::Service("connection lost".into()), false, false, false, false, true),
        ];
        for (error, not_found, conflict, exists, expired, transient) in rows {
            assert_eq!(is_not_found(&error), not_found, "{error}");
            assert_eq!(is_conflict(&error), conflict, "{error}");
            assert_eq!(is_already_exists(&error), exists, "{error}");
            assert_eq!(is_expired(&error), expired, "{error}");
            assert_eq!(is_transient(&error), transient, "{error}");
        }
    }

    #[test]
    fn targets_are_escaped() {
        assert_eq!(target("/api/v1/nodes", "n1", None, ""), "/api/v1/nodes/n1");
        assert_eq!(
            target("/api/v1/pods", "a/../b?", Some("status"), "me & you"),
            "/api/v1/pods/a%2F..%2Fb%3F/status?fieldManager=me%20%26%20you"
        );
    }

    #[tokio::test]
    async fn every_kind_is_sent_as_what_it_is() {
        // (patch, status?, content type, path)
        let rows = [
            (
                Patch::Merge(json!({"metadata": {"labels": {"a": null}}})),
                false,
                "application/merge-patch+json",
                "/api/v1/namespaces/ns/pods/p",
            ),
            (
                Patch::Json(json!([{"op": "remove", "path": "/metadata/finalizers"}])),
                false,
                "application/json-patch+json",
                "/api/v1/namespaces/ns/pods/p",
            ),
            (
                Patch::Strategic(json!({"status": {"phase": "Running"}})),
                true,
                "application/strategic-merge-patch+json",
                "/api/v1/namespaces/ns/pods/p/status",
            ),
        ];
        for (document, status, content_type, path) in rows {
            let server = FakeServer::default();
            let api: Api<Pod> = Api::namespaced(server.client(), "ns");
            let answer =
                if status { patch_status(&api, "p", "tester", &document).await } else { patch(&api, "p", "tester", &document).await };
            // The fake server has no such Pod; what matters is what it was asked.
            assert!(is_not_found(&answer.unwrap_err()));
            let asked = server.requests();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].method, Method::PATCH);
            assert_eq!(asked[0].path, path);
            assert_eq!(asked[0].query, "fieldManager=tester");
            assert_eq!(asked[0].content_type, content_type);
            assert_eq!(&asked[0].body, document.parts().1);
        }
    }
}
