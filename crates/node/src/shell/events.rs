//! Events of the agent about a Pod.
//!
//! In: what happened, in the words of upstream's reasons. Out: notes for the recorder. Never: waits for a write.

use k8s_openapi::api::core::v1::Pod;
use piecework_client::owner::object_reference;
use piecework_client::recorder::{EventNote, EventType};

use super::context::Context;
use crate::pod::spec;

/// Publishes one Event about a Pod, or about one of its containers.
pub fn publish(context: &Context, pod: &Pod, container: Option<&str>, event_type: EventType, reason: &str, message: String) {
    let mut object = object_reference(pod);
    if let Some(name) = container {
        let init = pod.spec.as_ref().is_some_and(|spec| spec::init_containers(spec).iter().any(|container| container.name == name));
        object.field_path = Some(format!("spec.{}{{{name}}}", if init { "initContainers" } else { "containers" }));
    }
    context.recorder.publish(EventNote { object, event_type, reason: reason.to_owned(), message });
}

pub fn normal(context: &Context, pod: &Pod, container: &str, reason: &str, message: String) {
    publish(context, pod, Some(container), EventType::Normal, reason, message);
}

pub fn warning(context: &Context, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
    publish(context, pod, container, EventType::Warning, reason, message);
}
