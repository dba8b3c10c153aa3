//! POST of an object (spec/api.md 6.1).
//!
//! In: a decoded object. Out: the object as stored. Never: more than one store transaction; a name that somebody else holds.

use std::sync::Arc;

use axum::body::Body;
use piecework_api::{decode, defaults, kinds::Kind, meta, names, status::Status, strategy, validation};
use piecework_store::{Error as StoreError, Expect, Op, Transaction};
use serde_json::Value;

use crate::{
    body, bootstrap,
    failure::{Failure, Outcome},
    keys, namespaces,
    negotiation::{self, Shape},
    render,
    respond::Answer,
    service_accounts,
    state::{Exchange, State},
    write_options,
};

/// Tries to find a free generated name (spec/api.md 6.1).
pub const MAX_GENERATED_NAME_TRIES: usize = 8;

pub(crate) async fn create(exchange: &Exchange, kind: &'static Kind, namespace: Option<&str>, content: Body) -> Outcome<Answer> {
    if kind.namespaced() && namespace.is_none() {
        return Err(Status::method_not_allowed("create", kind).into());
    }
    let options = write_options::read(&exchange.query, "CreateOptions")?;
    let representation = negotiation::representation(&exchange.headers, Shape::One)?;
    let bytes = body::read(content).await?;
    let (value, duplicates) = body::parse(&exchange.headers, &bytes)?;
    let decoded = decode::object(kind, value, duplicates, options.validation)?;
    let (object, warnings) = insert(&exchange.state, kind, namespace, decoded.object, options.dry_run).await?;
    if kind.kind == "Namespace" && kind.group.is_empty() && !options.dry_run {
        bootstrap::furnish(&exchange.state, meta::name(&object)).await?;
    }
    let body = render::one(&exchange.state, kind, object, representation, &exchange.query)?;
    Ok(Answer::created(body).warned(decoded.warnings).warned(warnings))
}

/// Everything after decoding: names, defaults, strategy, validation, one transaction. Out: the object with its resourceVersion, and warnings.
pub(crate) async fn insert(
    state: &Arc<State>,
    kind: &'static Kind,
    namespace: Option<&str>,
    mut object: Value,
    dry_run: bool,
) -> Outcome<(Value, Vec<String>)> {
    if !meta::resource_version(&object).is_empty() {
        return Err(Status::internal("resourceVersion should not be set on objects to be created").into());
    }
    reset_metadata(state, kind, namespace, &mut object)?;
    if let Some(namespace) = namespace.filter(|_| kind.namespaced()) {
        namespaces::accepts_new(state, kind, meta::name(&object), namespace).await?;
    }
    let base = object["metadata"]["generateName"].as_str().unwrap_or("").to_owned();
    let generate = meta::name(&object).is_empty() && !base.is_empty();
    let tries = if generate { MAX_GENERATED_NAME_TRIES } else { 1 };
    let mut name = meta::name(&object).to_owned();
    for _ in 0..tries {
        let mut candidate = object.clone();
        if generate {
            name = names::generate(&base, state.identifiers.suffix());
            candidate["metadata"]["name"] = Value::String(name.clone());
        }
        let warnings = prepare(state, kind, &mut candidate)?;
        service_accounts::admit(state, kind, namespace, if generate { &base } else { &name }, &candidate, dry_run).await?;
        match store(state, kind, namespace, &mut candidate, dry_run).await {
            Ok(()) => return Ok((candidate, warnings)),
            Err(Some(failure)) => return Err(failure),
            Err(None) => {}
        }
    }
    Err(Status::already_exists(kind, &name).into())
}

/// Fields that only the server sets are dropped; uid and namespace are set.
fn reset_metadata(state: &State, kind: &Kind, namespace: Option<&str>, object: &mut Value) -> Outcome<()> {
    check_namespace(kind, namespace, object)?;
    let Some(fields) = object.as_object_mut() else { return Err(Status::bad_request("the body is not an object").into()) };
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Default::default()));
    let Some(metadata) = metadata.as_object_mut() else { return Err(Status::bad_request("metadata is not an object").into()) };
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "resourceVersion",
        "generation",
    ] {
        metadata.shift_remove(field);
    }
    metadata.insert("uid".to_owned(), Value::String(state.identifiers.uid()));
    match namespace.filter(|_| kind.namespaced()) {
        Some(namespace) => metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned())),
        None => metadata.shift_remove("namespace"),
    };
    Ok(())
}

/// The namespace of the body, if any, must be that of the URL.
pub(crate) fn check_namespace(kind: &Kind, namespace: Option<&str>, object: &Value) -> Outcome<()> {
    let written = meta::namespace(object);
    let matches = written.is_empty() || (kind.namespaced() && Some(written) == namespace);
    if matches {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request").into())
}

fn prepare(state: &State, kind: &Kind, object: &mut Value) -> Outcome<Vec<String>> {
    defaults::apply(kind, object);
    let warnings = strategy::prepare_create(kind, object, state.now());
    // Again, because labels that the strategy generates take part in defaults (spec/api.md 4.3).
    defaults::apply(kind, object);
    let errors = validation::create(kind, object);
    if errors.is_empty() { Ok(warnings) } else { Err(Status::invalid(kind, meta::name(object), errors).into()) }
}

/// `Err(None)`: the name is taken.
async fn store(state: &State, kind: &Kind, namespace: Option<&str>, object: &mut Value, dry_run: bool) -> Result<(), Option<Failure>> {
    let key = keys::object(kind, namespace, meta::name(object));
    if dry_run {
        let (existing, _) = state.store.get(&key).await.map_err(|error| Some(error.into()))?;
        return if existing.is_some() { Err(None) } else { Ok(()) };
    }
    let op = Op::Put { key: key.into(), expect: Expect::Absent, value: keys::encode(object).map_err(Some)? };
    match state.store.commit(Transaction { ops: vec![op], relaxed: keys::relaxed(kind) }).await {
        Ok(committed) => {
            keys::set_revision(object, committed.revision);
            Ok(())
        }
        Err(StoreError::Conflict { .. }) => Err(None),
        Err(error) => Err(Some(error.into())),
    }
}
