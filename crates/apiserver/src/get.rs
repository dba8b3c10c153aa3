//! GET of one object (spec/api.md 6.3).
//!
//! In: a name. Out: the object, its row, or its metadata. Never: a state older than the revision asked for.

use piecework_api::{kinds::Kind, status::Status};
use serde_json::Value;

use crate::{
    failure::Outcome,
    keys,
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    respond::Answer,
    revisions,
    state::{Exchange, State},
};

pub(crate) async fn get(exchange: &Exchange, path: &ResourcePath, name: &str) -> Outcome<Answer> {
    let representation = negotiation::representation(&exchange.headers, Shape::One)?;
    if let Some(text) = exchange.query.text("resourceVersion") {
        let wanted = text.parse().map_err(|_| Status::bad_request(format!("invalid resourceVersion {text:?}")))?;
        revisions::reached(&exchange.state, wanted).await?;
    }
    let object = stored(&exchange.state, path.kind, path.namespace.as_deref(), name).await?;
    Ok(Answer::ok(render::one(&exchange.state, path.kind, object, representation, &exchange.query)?))
}

/// The object now; 404 when there is none.
pub(crate) async fn stored(state: &State, kind: &Kind, namespace: Option<&str>, name: &str) -> Outcome<Value> {
    match state.store.get(&keys::object(kind, namespace, name)).await?.0 {
        Some(entry) => Ok(state.decoded.get(kind, &entry)?.object.clone()),
        None => Err(Status::not_found(kind, name).into()),
    }
}
