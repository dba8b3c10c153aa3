//! DELETE of an object and of a collection (spec/api.md 4.5, 6.6).
//!
//! In: options. Out: the object, or a Status with the uid of what is gone. Never: a decision of its own; `deletion::plan` decides.

use std::sync::Arc;

use axum::body::Body;
use http::StatusCode;
use piecework_api::{kinds::Kind, meta, status::Status};
use piecework_store::{Error as StoreError, Expect, Op, Transaction};
use serde_json::Value;

use crate::{
    body,
    delete_options::{self, DeleteOptions},
    deletion::{self, Plan},
    failure::{Failure, Outcome},
    keys, list,
    list_options::{self, Purpose},
    namespaces,
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    respond::Answer,
    state::{Exchange, State},
    update::{self, MAX_WRITE_RETRIES},
};

/// What became of the object.
struct Deleted {
    object: Value,
    removed: bool,
    warnings: Vec<String>,
}

pub(crate) async fn delete(exchange: &Exchange, path: &ResourcePath, name: &str, content: Body) -> Outcome<Answer> {
    let kind = path.kind;
    let representation = negotiation::representation(&exchange.headers, Shape::One)?;
    let bytes = body::read(content).await?;
    let options = delete_options::read(&exchange.headers, &exchange.query, &bytes)?;
    let deleted = remove(&exchange.state, kind, path.namespace.as_deref(), name, &options).await?;
    let answer = if deleted.removed && !kind.delete_returns_object {
        let status = Status::success(kind, name, meta::uid(&deleted.object));
        Answer::ok(serde_json::to_value(status).map_err(|error| Status::internal(error.to_string()))?)
    } else {
        Answer::ok(render::one(&exchange.state, kind, deleted.object, representation, &exchange.query)?)
    };
    let pending = !deleted.removed && options.orphan_dependents == Some(false);
    let code = if pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(Answer { code, ..answer }.warned(deleted.warnings))
}

/// Deletes everything that the selectors match; answers with what was there.
pub(crate) async fn delete_collection(exchange: &Exchange, path: &ResourcePath, content: Body) -> Outcome<Answer> {
    let kind = path.kind;
    if kind.namespaced() && path.namespace.is_none() {
        return Err(Status::method_not_allowed("deletecollection", kind).into());
    }
    let representation = negotiation::representation(&exchange.headers, Shape::List)?;
    let bytes = body::read(content).await?;
    let options = delete_options::read(&exchange.headers, &exchange.query, &bytes)?;
    let list_options = list_options::read(&exchange.query, kind, Purpose::List)?;
    let mut listed = list::collect(&exchange.state, kind, path.namespace.as_deref(), &list_options).await?;
    let mut warnings = Vec::new();
    let mut deleted = Vec::new();
    for object in std::mem::take(&mut listed.items) {
        let namespace = Some(meta::namespace(&object)).filter(|namespace| !namespace.is_empty());
        match remove(&exchange.state, kind, namespace, meta::name(&object), &options).await {
            Ok(done) => {
                warnings.extend(done.warnings.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
                deleted.push(done.object);
            }
            Err(Failure::Status(status)) if status.code == 404 => {}
            Err(failure) => return Err(failure),
        }
    }
    listed.items = deleted;
    let body = render::list(&exchange.state, kind, listed, representation, &exchange.query)?;
    Ok(Answer::ok(body).warned(warnings))
}

/// Removes or marks one object, trying again when it changes in between.
async fn remove(state: &Arc<State>, kind: &'static Kind, namespace: Option<&str>, name: &str, options: &DeleteOptions) -> Outcome<Deleted> {
    namespaces::may_be_deleted(kind, name)?;
    let key = keys::object(kind, namespace, name);
    let mut entry = state.store.get(&key).await?.0;
    for _ in 0..=MAX_WRITE_RETRIES {
        let Some(current) = entry else { return Err(Status::not_found(kind, name).into()) };
        let object = keys::decode(kind, &current)?;
        check_preconditions(kind, name, options, &object)?;
        let (plan, warnings) = deletion::plan(kind, &object, options, state.now());
        let (mut after, removed) = match plan {
            Plan::Keep => return Ok(Deleted { object, removed: false, warnings }),
            Plan::Remove => (object, true),
            Plan::Store(marked) => (marked, false),
        };
        if options.dry_run {
            return Ok(Deleted { object: after, removed, warnings });
        }
        let expect = Expect::Revision(current.mod_revision);
        let op = if removed {
            Op::Delete { key: key.as_str().into(), expect }
        } else {
            Op::Put { key: key.as_str().into(), expect, value: keys::encode(&after)? }
        };
        match state.store.commit(Transaction { ops: vec![op], relaxed: keys::relaxed(kind) }).await {
            Ok(committed) => {
                keys::set_revision(&mut after, committed.revision);
                return Ok(Deleted { object: after, removed, warnings });
            }
            Err(StoreError::Conflict { actual, .. }) => entry = actual,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Status::object_modified(kind, name).into())
}

fn check_preconditions(kind: &Kind, name: &str, options: &DeleteOptions, object: &Value) -> Outcome<()> {
    update::check_uid(kind, name, options.uid.as_deref().unwrap_or(""), meta::uid(object))?;
    let actual = meta::resource_version(object);
    match options.resource_version.as_deref() {
        None | Some("") => Ok(()),
        Some(wanted) if wanted == actual => Ok(()),
        Some(wanted) => {
            let why = format!("Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {actual}");
            Err(Status::conflict(kind, name, &why).into())
        }
    }
}
