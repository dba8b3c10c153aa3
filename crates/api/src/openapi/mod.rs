//! OpenAPI v3 documents of the served kinds, from the schema and the registry (spec/api.md 3.4). In: `kinds::kinds()` and the embedded schema.
//! Out: one document per group-version, built once at the first request, and the index with a hash of each.
//! Never: a path or a type that is not in the registry or reachable from it.

mod descriptions;
mod paths;
mod schemas;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::kinds::{self, Kind};

/// The Kubernetes version whose schema is embedded.
pub const SCHEMA_VERSION: &str = "v1.37.0";

/// A finished document.
struct Document {
    text: String,
    hash: String,
}

/// `/openapi/v3`: `{paths: {"api/v1": {serverRelativeURL: "/openapi/v3/api/v1?hash=H"}, ...}}`.
pub fn v3_index() -> Value {
    let paths: Map<String, Value> = documents()
        .iter()
        .map(|(path, document)| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash)})))
        .collect();
    json!({"paths": paths})
}

/// One group-version ("api/v1", "apis/batch/v1"): (document, hash). None when it is not served.
pub fn v3_document(group_version_path: &str) -> Option<(Value, String)> {
    let (text, hash) = v3_text(group_version_path)?;
    let document = serde_json::from_str(text).expect("the document was printed by the same library");
    Some((document, hash.to_owned()))
}

/// The same as finished JSON text: what a server should send, because documents are hundreds of kilobytes.
pub fn v3_text(group_version_path: &str) -> Option<(&'static str, &'static str)> {
    documents().get(group_version_path).map(|document| (document.text.as_str(), document.hash.as_str()))
}

/// `/openapi/v2` in protobuf: the empty document. Zero bytes are a valid message, and enough for kubectl 1.27 and 1.28 to validate
/// (spec/api.md 0, item 2); `kubectl explain --output=plaintext-openapiv2` finds no types in it.
pub fn v2_protobuf() -> Vec<u8> {
    Vec::new()
}

/// `api/v1` or `apis/batch/v1`.
fn group_version_path(kind: &Kind) -> String {
    if kind.group.is_empty() { format!("api/{}", kind.version) } else { format!("apis/{}/{}", kind.group, kind.version) }
}

fn documents() -> &'static BTreeMap<String, Document> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let mut groups: BTreeMap<String, Vec<&'static Kind>> = BTreeMap::new();
        for kind in kinds::kinds() {
            groups.entry(group_version_path(kind)).or_default().push(kind);
        }
        groups.into_iter().map(|(path, kinds)| (path.clone(), build(&path, &kinds))).collect()
    })
}

fn build(path: &str, kinds: &[&'static Kind]) -> Document {
    let mut used = schemas::Components::default();
    let mut all_paths = Map::new();
    for kind in kinds {
        paths::of_kind(&format!("/{path}"), kind, &mut used, &mut all_paths);
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": SCHEMA_VERSION},
        "paths": all_paths,
        "components": {"schemas": used.finish()},
    });
    let text = document.to_string();
    let hash = hash(text.as_bytes());
    Document { text, hash }
}

/// FNV-1a, 64 bits: names a version of a document; not a protection against forgery.
fn hash(bytes: &[u8]) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016X}")
}
