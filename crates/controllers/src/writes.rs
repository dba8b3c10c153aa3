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
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let mut metadata = json!({"uid": object.uid, "$deleteFromPrimitiveList/finalizers": [finalizer]});
    if unchanged {
        metadata["resourceVersion"] = Value::from(object.resource_version.clone());
    }
    match patch::<K>(api, &object.name, FIELD_MANAGER, &Patch::Strategic(json!({"metadata": metadata}))).await {
        Ok(stored) => Ok(Some(stored)),
        Err(error) => finish(api, object, error, unchanged).await.map(|_| None),
    }
}

/// Removes owner references by UID, if the object is still as the decision saw it.
pub async fn drop_owners<K>(api: &Api<K>, object: &ObjectRef, owner_uids: &[String], finalizers: &[&str]) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let references: Vec<Value> = owner_uids.iter().map(|uid| json!({"$patch": "delete", "uid": uid})).collect();
    let mut metadata = json!({"uid": object.uid, "resourceVersion": object.resource_version, "ownerReferences": references});
    if !finalizers.is_empty() {
        metadata["$deleteFromPrimitiveList/finalizers"] = json!(finalizers);
    }
    match patch::<K>(api, &object.name, FIELD_MANAGER, &Patch::Strategic(json!({"metadata": metadata}))).await {
        Ok(_) => Ok(Done::Now),
        Err(error) => finish(api, object, error, true).await,
    }
}

/// DELETE of exactly that object. `grace` None: its own grace period.
pub async fn delete<K>(api: &Api<K>, object: &ObjectRef, propagation: PropagationPolicy, grace: Option<u32>) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let preconditions = Preconditions { uid: Some(object.uid.clone()), resource_version: None };
    delete_if(api, object, propagation, grace, preconditions, false).await
}

/// DELETE of that object if it is still as the decision saw it. For decisions about its owners: one whose reference was dropped in the meantime
/// (orphaned, or adopted by another owner) must live.
pub async fn delete_as_seen<K>(api: &Api<K>, object: &ObjectRef, propagation: PropagationPolicy) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let preconditions = Preconditions { uid: Some(object.uid.clone()), resource_version: Some(object.resource_version.clone()) };
    delete_if(api, object, propagation, None, preconditions, true).await
}

async fn delete_if<K>(
    api: &Api<K>,
    object: &ObjectRef,
    propagation: PropagationPolicy,
    grace: Option<u32>,
    preconditions: Preconditions,
    versioned: bool,
) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    let parameters = DeleteParams {
        grace_period_seconds: grace,
        propagation_policy: Some(propagation),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match api.delete(&object.name, &parameters).await {
        Ok(_) => Ok(Done::Now),
        Err(error) => finish(api, object, error, versioned).await,
    }
}

/// With only the UID as precondition a conflict may mean that another object has taken the name, or (under contention) nothing but "try again". Taking
/// the second for the first would count a Pod that still has its finalizer, so the server is asked which it is.
async fn finish<K>(api: &Api<K>, object: &ObjectRef, error: Error, versioned: bool) -> Result<Done, Error>
where
    K: Resource + DeserializeOwned + Clone + Debug,
{
    if is_not_found(&error) {
        return Ok(Done::WasGone);
    }
    if versioned || !is_conflict(&error) {
        return Err(error);
    }
    match api.get_opt(&object.name).await? {
        Some(present) if present.meta().uid.as_deref() == Some(object.uid.as_str()) => Err(error),
        _ => Ok(Done::WasGone),
    }
}
