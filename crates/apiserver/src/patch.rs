//! PATCH (spec/api.md 6.9).
//!
//! In: a patch and its type. Out: the patched object as stored. Never: a patch of a state other than the one it is stored over.

use axum::body::Body;
use piecework_api::{
    decode,
    patch::{self, PatchType},
    status::Status,
};

use crate::{
    body,
    failure::{Failure, Outcome},
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    respond::Answer,
    state::Exchange,
    update::{self, Part, Write},
    write_options,
};

const PATCH_TYPES: &[&str] = &["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// The type by Content-Type. Server-side apply is not built yet and is refused as an unsupported media type.
fn patch_type(media_type: &str) -> Option<PatchType> {
    match media_type {
        "application/json-patch+json" => Some(PatchType::Json),
        "application/merge-patch+json" => Some(PatchType::Merge),
        "application/strategic-merge-patch+json" => Some(PatchType::StrategicMerge),
        _ => None,
    }
}

pub(crate) async fn patch(exchange: &Exchange, path: &ResourcePath, name: &str, part: Part, content: Body) -> Outcome<Answer> {
    let kind = path.kind;
    let options = write_options::read(&exchange.query, "PatchOptions")?;
    let representation = negotiation::representation(&exchange.headers, Shape::One)?;
    let Some(patch_type) = patch_type(&body::media_type(&exchange.headers)) else {
        return Err(Status::unsupported_media_type(PATCH_TYPES).into());
    };
    let bytes = body::read(content).await?;
    let (value, duplicates) = decode::parse_json(&bytes)?;
    let write = Write { kind, namespace: path.namespace.as_deref(), name, part, dry_run: options.dry_run };
    let (object, warnings) = update::apply(&exchange.state, &write, |old| {
        let patched = patch::apply(kind.definition, old, patch_type, value.clone()).map_err(Failure::from)?;
        let decoded = decode::object(kind, patched, duplicates.clone(), options.validation)?;
        Ok((decoded.object, decoded.warnings))
    })
    .await?;
    let body = render::one(&exchange.state, kind, object, representation, &exchange.query)?;
    Ok(Answer::ok(body).warned(warnings))
}
