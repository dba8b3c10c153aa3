//! PUT, and the part that PUT and PATCH share (spec/api.md 6.2, 6.6, 6.11).
//!
//! In: a function from the stored object to the wanted one. Out: the object as stored. Never: a write that changes nothing; a write over a
//! state that was not looked at.

use std::sync::Arc;

use axum::body::Body;
use piecework_api::{
    decode, defaults,
    kinds::Kind,
    meta,
    status::{FieldError, Status},
    strategy, validation,
};
use piecework_store::{Error as StoreError, Expect, Op, Transaction};
use serde_json::Value;

use crate::{
    body, create, deletion,
    failure::Outcome,
    keys,
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    respond::Answer,
    state::{Exchange, State},
    write_options,
};

/// How often a write is tried again after somebody else changed the object in between (spec/api.md 6.2).
pub const MAX_WRITE_RETRIES: usize = 5;

/// Which part of the object the path addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
    /// `spec.finalizers` of a namespace.
    Finalize,
}

impl Part {
    pub(crate) fn of(subresource: Option<&str>) -> Option<Self> {
        match subresource {
            None => Some(Part::Main),
            Some("status") => Some(Part::Status),
            Some("finalize") => Some(Part::Finalize),
            Some(_) => None,
        }
    }
}

/// What is being written.
pub(crate) struct Write<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) part: Part,
    pub(crate) dry_run: bool,
}

pub(crate) async fn put(exchange: &Exchange, path: &ResourcePath, name: &str, part: Part, content: Body) -> Outcome<Answer> {
    let kind = path.kind;
    let options = write_options::read(&exchange.query, "UpdateOptions")?;
    let representation = negotiation::representation(&exchange.headers, Shape::One)?;
    let bytes = body::read(content).await?;
    let (value, duplicates) = body::parse(&exchange.headers, &bytes)?;
    let decoded = decode::object(kind, value, duplicates, options.validation)?;
    let write = Write { kind, namespace: path.namespace.as_deref(), name, part, dry_run: options.dry_run };
    let wanted = decoded.object;
    let (object, warnings) = apply(&exchange.state, &write, |_| Ok((wanted.clone(), Vec::new()))).await?;
    let body = render::one(&exchange.state, kind, object, representation, &exchange.query)?;
    Ok(Answer::ok(body).warned(decoded.warnings).warned(warnings))
}

/// Reads, asks `make` for the wanted object, stores it; again when the object changed in between.
pub(crate) async fn apply(
    state: &Arc<State>,
    write: &Write<'_>,
    mut make: impl FnMut(&Value) -> Outcome<(Value, Vec<String>)>,
) -> Outcome<(Value, Vec<String>)> {
    let key = keys::object(write.kind, write.namespace, write.name);
    let mut entry = state.store.get(&key).await?.0;
    for _ in 0..=MAX_WRITE_RETRIES {
        let Some(current) = entry else { return Err(Status::not_found(write.kind, write.name).into()) };
        let decoded = state.decoded.get(write.kind, &current)?;
        let old = &decoded.object;
        let (wanted, mut warnings) = make(old)?;
        let (mut new, more) = admit(write, old, wanted)?;
        warnings.extend(more);
        if keys::same(old, &new) {
            return Ok((old.clone(), warnings));
        }
        if write.dry_run {
            keys::set_revision(&mut new, current.mod_revision);
            return Ok((new, warnings));
        }
        let expect = Expect::Revision(current.mod_revision);
        let op = if deletion::complete(write.kind, &new) {
            Op::Delete { key: key.as_str().into(), expect }
        } else {
            Op::Put { key: key.as_str().into(), expect, value: keys::encode(&new)? }
        };
        match state.store.commit(Transaction { ops: vec![op], relaxed: keys::relaxed(write.kind) }).await {
            Ok(committed) => {
                keys::set_revision(&mut new, committed.revision);
                return Ok((new, warnings));
            }
            Err(StoreError::Conflict { actual, .. }) => entry = actual,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Status::object_modified(write.kind, write.name).into())
}

/// Checks the wanted object against the stored one and completes it.
fn admit(write: &Write<'_>, old: &Value, mut new: Value) -> Outcome<(Value, Vec<String>)> {
    let kind = write.kind;
    check_identity(write, old, &new)?;
    keep_system_metadata(kind, &mut new, old);
    let (warnings, mut errors) = match write.part {
        Part::Main => {
            defaults::apply(kind, &mut new);
            let warnings = strategy::prepare_update(kind, &mut new, old);
            (warnings, validation::update(kind, &new, old))
        }
        Part::Status => {
            strategy::prepare_status_update(kind, &mut new, old);
            defaults::apply(kind, &mut new);
            (Vec::new(), validation::status_update(kind, &new, old))
        }
        Part::Finalize => {
            let finalizers = new["spec"]["finalizers"].take();
            new = old.clone();
            set_spec_finalizers(&mut new, finalizers);
            (Vec::new(), Vec::new())
        }
    };
    if meta::deleting(old) && !errors.iter().any(|error| error.path == "metadata.finalizers") {
        errors.extend(added_finalizers(old, &new));
    }
    if errors.is_empty() { Ok((new, warnings)) } else { Err(Status::invalid(kind, write.name, errors).into()) }
}

fn set_spec_finalizers(object: &mut Value, finalizers: Value) {
    let Some(spec) =
        object.as_object_mut().and_then(|fields| fields.entry("spec").or_insert_with(|| Value::Object(Default::default())).as_object_mut())
    else {
        return;
    };
    match finalizers {
        Value::Array(list) if !list.is_empty() => spec.insert("finalizers".to_owned(), Value::Array(list)),
        _ => spec.shift_remove("finalizers"),
    };
}

/// While an object is being deleted, finalizers can only be removed (spec/api.md 6.6, point 6).
fn added_finalizers(old: &Value, new: &Value) -> Option<FieldError> {
    let before = meta::finalizers(old);
    let added: Vec<String> = meta::finalizers(new).into_iter().filter(|f| !before.contains(f)).map(|f| format!("{f:?}")).collect();
    if added.is_empty() {
        return None;
    }
    let list = added.join(", ");
    let detail = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}");
    Some(FieldError::forbidden("metadata.finalizers", detail))
}

fn check_identity(write: &Write<'_>, old: &Value, new: &Value) -> Outcome<()> {
    let (kind, name) = (write.kind, write.name);
    let written = meta::name(new);
    if written.is_empty() {
        return Err(Status::bad_request("name must be provided").into());
    }
    if written != name {
        let why = format!("the name of the object ({written}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(why).into());
    }
    create::check_namespace(kind, write.namespace, new)?;
    check_uid(kind, name, meta::uid(new), meta::uid(old))?;
    match meta::resource_version(new) {
        "" if kind.unconditional_update || write.part == Part::Finalize => Ok(()),
        "" => {
            let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            Err(Status::invalid(kind, name, vec![error]).into())
        }
        version if version == meta::resource_version(old) => Ok(()),
        _ => Err(Status::object_modified(kind, name).into()),
    }
}

/// 409 when a uid was given and is not the object's.
pub(crate) fn check_uid(kind: &Kind, name: &str, wanted: &str, actual: &str) -> Outcome<()> {
    if wanted.is_empty() || wanted == actual {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}");
    Err(Status::conflict(kind, name, &why).into())
}

/// Fields that no client can change, whatever it sends.
fn keep_system_metadata(kind: &Kind, new: &mut Value, old: &Value) {
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in ["uid", "namespace", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.shift_remove(field),
        };
    }
    if !kind.has_generation {
        metadata.shift_remove("generation");
    }
    metadata.shift_remove("selfLink");
    metadata.shift_remove("managedFields");
}
