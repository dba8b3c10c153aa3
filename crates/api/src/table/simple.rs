//! The kinds with few columns, and the default for any other (spec/api.md 5).
//!
//! In: the kind's name, an object, the time. Out: columns and cells. Never: a value of a Secret, only their number.

use super::{AGE, Column, NAME, created, text};
use crate::meta;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const DATA: Column = ("Data", "string", false, "Number of entries.");

pub(super) fn columns(kind: &str) -> &'static [Column] {
    match kind {
        "Namespace" => &[NAME, ("Status", "string", false, "Active or Terminating."), AGE],
        "ConfigMap" => &[NAME, DATA, AGE],
        "Secret" => &[NAME, ("Type", "string", false, "What the entries are for."), DATA, AGE],
        "ServiceAccount" => &[NAME, ("Secrets", "string", false, "Number of secrets."), AGE],
        "Lease" => &[NAME, ("Holder", "string", false, "Who holds the lease."), AGE],
        _ => &[NAME, ("Created At", "date", false, "Time at which the object was created.")],
    }
}

pub(super) fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(meta::name(object));
    let size = |fields: &[&str]| -> Value {
        let count: usize = fields.iter().map(|f| object[*f].as_object().map_or(0, Map::len)).sum();
        json!(count.to_string())
    };
    let age = created(object, now);
    match kind {
        "Namespace" => vec![name, object["status"]["phase"].clone(), age],
        "ConfigMap" => vec![name, size(&["data", "binaryData"]), age],
        "Secret" => vec![name, object["type"].clone(), size(&["data"]), age],
        "ServiceAccount" => vec![name, json!(object["secrets"].as_array().map_or(0, Vec::len).to_string()), age],
        "Lease" => vec![name, json!(text(&object["spec"]["holderIdentity"], "")), age],
        _ => vec![name, object["metadata"]["creationTimestamp"].clone()],
    }
}
