//! Conditional writes that several shells make: finalizers, owner references, deletions.
//!
//! In: an `Api`, the object a decision was made on. Out: what the server said; "it is gone already" counts as done. Never: a write without a UID precondition.

use kube::{
    Api, Error, Resource,
    api::{DeleteParams, Preconditions, PropagationPolicy},
};
use piecework_client::patch::{Patch, is_conflict, is_not_found, patch};
use piecework_reconcile::ownership::ObjectRef;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Field manager of the Job controller's writes.
pub const FIELD_MANAGER: &str = "piecework-controllers";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Now,
    /// The object, or the object of that UID, does not exist any more.
    WasGone,
}

/// Removes one finalizer; with `unchanged` only if the object is still as the decision saw it. Out: the object as stored, or None when it was gone.
pub async fn remove_finalizer<K>(api: &Api<K>, object: &ObjectRef, finalizer: &str, unchanged: bool) -> Result<Option<K>, Error>
where
    K: Resource + DeserializeOwned + Clone,
{
    let mut metadata = json!({"uid": object.uid, "$deleteFromPrimitiveList/finalizers": [finalizer]});
    if unchanged {
        metadata["resourceVersion"] = Value::from(object.resource_version.clone());
    }
    match patch::<K>(api, &object.name, FIELD_MANAGER, &Patch::Strategic(json!({"metadata": metadata}))).await {
        Ok(stored) => Ok(Some(stored)),
        Err(error) => finish(Err(error), unchanged).map(|_| None),
    }
}

/// Removes owner references by UID, if the object is still as the decision saw it.
pub async fn drop_owners<K>(api: &Api<K>, object: &ObjectRef, owner_uids: &[String], finalizers: &[&str]) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone,
{
    let references: Vec<Value> = owner_uids.iter().map(|uid| json!({"$patch": "delete", "uid": uid})).collect();
    let mut metadata = json!({"uid": object.uid, "resourceVersion": object.resource_version, "ownerReferences": references});
    if !finalizers.is_empty() {
        metadata["$deleteFromPrimitiveList/finalizers"] = json!(finalizers);
    }
    let outcome = patch::<K>(api, &object.name, FIELD_MANAGER, &Patch::Strategic(json!({"metadata": metadata}))).await;
    finish(outcome.map(drop), true)
}

/// DELETE of exactly that object. `grace` None: its own grace period.
pub async fn delete<K>(api: &Api<K>, object: &ObjectRef, propagation: PropagationPolicy, grace: Option<u32>) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let parameters = DeleteParams {
        grace_period_seconds: grace,
        propagation_policy: Some(propagation),
        preconditions: Some(Preconditions { uid: Some(object.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    finish(api.delete(&object.name, &parameters).await.map(drop), false)
}

/// With only the UID as precondition a conflict means that another object has taken the name.
fn finish(outcome: Result<(), Error>, versioned: bool) -> Result<Done, Error> {
    match outcome {
        Ok(()) => Ok(Done::Now),
        Err(error) if is_not_found(&error) || (!versioned && is_conflict(&error)) => Ok(Done::WasGone),
        Err(error) => Err(error),
    }
}
