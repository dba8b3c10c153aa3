//! Writes that end a Pod's life in the API: its status and the final DELETE.
//!
//! In: the Pod and what to write. Out: the server's answer. Never: without the uid as precondition (a new Pod may have the old name).

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use piecework_client::patch::{Patch, is_conflict, is_not_found, patch_status};

use super::context::{COMPONENT, Context};
use crate::pod::patch::status_patch;

fn api(context: &Context, pod: &Pod) -> Api<Pod> {
    Api::namespaced(context.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default())
}

/// Writes the difference; None when there is none.
pub async fn write_status(context: &Context, pod: &Pod, status: &PodStatus) -> Result<Option<Pod>, kube::Error> {
    let Some(document) = status_patch(pod, status) else { return Ok(None) };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    patch_status(&api(context, pod), name, COMPONENT, &Patch::Strategic(document)).await.map(Some)
}

/// DELETE with grace 0. Ok also when the object, or this Pod of its name, is gone.
pub async fn final_delete(context: &Context, pod: &Pod) -> Result<(), kube::Error> {
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api(context, pod).delete(pod.metadata.name.as_deref().unwrap_or_default(), &parameters).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
