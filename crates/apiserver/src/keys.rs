//! Store keys and stored bytes of objects.
//!
//! In: kinds, names, objects, store entries. Out: keys `/GROUP/PLURAL[/NAMESPACE]/NAME` and JSON bytes without resourceVersion, and back.
//! Never: a resourceVersion inside a stored value: it is the entry's revision, spliced in on the way out.

use bytes::Bytes;
use piecework_api::{defaults, kinds::Kind, status::Status};
use piecework_store::{Entry, Revision};
use serde_json::Value;

use crate::failure::Outcome;

/// The prefix of all keys of a kind, in one namespace or in all. Ends with a slash.
pub(crate) fn collection(kind: &Kind, namespace: Option<&str>) -> String {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    match namespace {
        Some(namespace) if kind.namespaced() => format!("/{group}/{}/{namespace}/", kind.plural),
        _ => format!("/{group}/{}/", kind.plural),
    }
}

pub(crate) fn object(kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    format!("{}{name}", collection(kind, namespace))
}

/// The bytes to store.
pub(crate) fn encode(object: &Value) -> Outcome<Bytes> {
    let mut stored = object.clone();
    if let Some(metadata) = stored.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("resourceVersion");
    }
    serde_json::to_vec(&stored).map(Bytes::from).map_err(|error| Status::internal(error.to_string()).into())
}

/// The object of an entry, defaulted, with its resourceVersion.
pub(crate) fn decode(kind: &Kind, entry: &Entry) -> Outcome<Value> {
    decode_at(kind, entry, entry.mod_revision)
}

/// The object of an entry with another resourceVersion (a deletion carries the deleting revision).
pub(crate) fn decode_at(kind: &Kind, entry: &Entry, revision: Revision) -> Outcome<Value> {
    let mut object: Value = serde_json::from_slice(&entry.value)
        .map_err(|error| Status::internal(format!("stored object {} does not parse: {error}", entry.key)))?;
    defaults::apply(kind, &mut object);
    set_revision(&mut object, revision);
    Ok(object)
}

pub(crate) fn set_revision(object: &mut Value, revision: Revision) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), Value::String(revision.to_string()));
    }
}

/// Whether two objects differ in nothing but their resourceVersion.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    let strip = |object: &Value| {
        let mut copy = object.clone();
        if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("resourceVersion");
        }
        copy
    };
    strip(left) == strip(right)
}

/// Whether writes of this kind may be acknowledged before they are synced: what is rewritten all the time or only informs.
pub(crate) fn relaxed(kind: &Kind) -> bool {
    matches!((kind.group, kind.kind), ("", "Event") | ("events.k8s.io", "Event") | ("coordination.k8s.io", "Lease"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use piecework_api::kinds;
    use serde_json::json;

    #[test]
    fn keys_and_bytes() {
        let pods = kinds::by_resource("", "v1", "pods").unwrap();
        let nodes = kinds::by_resource("", "v1", "nodes").unwrap();
        assert_eq!(object(pods, Some("n"), "p"), "/core/pods/n/p");
        assert_eq!(collection(pods, None), "/core/pods/");
        assert_eq!(object(nodes, None, "x"), "/core/nodes/x");
        let bytes = encode(&json!({"metadata": {"name": "p", "resourceVersion": "5"}})).unwrap();
        assert_eq!(&bytes[..], br#"{"metadata":{"name":"p"}}"#);
        assert!(same(&json!({"metadata": {"resourceVersion": "1"}}), &json!({"metadata": {}})));
        assert!(!same(&json!({"metadata": {"name": "a"}}), &json!({"metadata": {}})));
    }
}
