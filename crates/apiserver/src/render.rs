//! Objects and lists in the representation that was negotiated (spec/api.md 5).
//!
//! In: objects. Out: the object, a Table, or metadata only. Never: a Status turned into a Table.

use piecework_api::{kinds::Kind, meta, status::Status, table};
use serde_json::{Map, Value, json};

use crate::{failure::Outcome, list::Listed, negotiation::Representation, query::Query, state::State};

/// Which object a Table row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    None,
}

pub(crate) fn include(query: &Query) -> Outcome<Include> {
    match query.text("includeObject") {
        None | Some("Metadata") => Ok(Include::Metadata),
        Some("Object") => Ok(Include::Object),
        Some("None") => Ok(Include::None),
        Some(other) => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}")).into()),
    }
}

pub(crate) fn one(state: &State, kind: &Kind, object: Value, representation: Representation, query: &Query) -> Outcome<Value> {
    match representation {
        Representation::Object => Ok(object),
        Representation::Metadata { version } => Ok(metadata_only(&object, version)),
        Representation::Table { version } => {
            let include = include(query)?;
            let mut metadata = Map::new();
            metadata.insert("resourceVersion".to_owned(), meta::resource_version(&object).into());
            Ok(table_of(state, kind, &[object], metadata, version, include, true))
        }
    }
}

pub(crate) fn list(state: &State, kind: &Kind, listed: Listed, representation: Representation, query: &Query) -> Outcome<Value> {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), listed.revision.to_string().into());
    if let Some(token) = &listed.token {
        metadata.insert("continue".to_owned(), token.encode().into());
        if let Some(remaining) = listed.remaining.filter(|remaining| *remaining > 0) {
            metadata.insert("remainingItemCount".to_owned(), remaining.into());
        }
    }
    match representation {
        Representation::Object => Ok(json!({
            "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": listed.items,
        })),
        Representation::Metadata { version } => {
            let items: Vec<Value> = listed.items.iter().map(|object| metadata_only(object, version)).collect();
            Ok(json!({
                "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata, "items": items,
            }))
        }
        Representation::Table { version } => {
            let include = include(query)?;
            Ok(table_of(state, kind, &listed.items, metadata, version, include, true))
        }
    }
}

pub(crate) fn metadata_only(object: &Value, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": object["metadata"]})
}

/// A Table; `columns` is false for all but the first event of a watch.
pub(crate) fn table_of(
    state: &State,
    kind: &Kind,
    objects: &[Value],
    metadata: Map<String, Value>,
    version: &str,
    include: Include,
    columns: bool,
) -> Value {
    let now = state.now();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let (cells, conditions) = table::row(kind, object, now);
            let mut row = json!({"cells": cells});
            if let Some(conditions) = conditions {
                row["conditions"] = conditions;
            }
            match include {
                Include::Metadata => row["object"] = metadata_only(object, version),
                Include::Object => row["object"] = object.clone(),
                Include::None => {}
            }
            row
        })
        .collect();
    let definitions = if columns { table::columns(kind) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}
