//! Starts one attempt of one container.
//!
//! In: the Pod, container and attempt that `step` chose. Out: one observation. Never: retries (the machine decides when).

use k8s_openapi::api::core::v1::{Container, Pod};
use piecework_runtime::{ContainerState, ContainerStatus};

use super::context::Context;
use super::{disk, events, follow, sources, volume};
use crate::pod::observed::{AttemptState, Observation};
use crate::resolve::container::{Ingredients, container_spec};
use crate::resolve::downward::NodeFacts;
use crate::resolve::sources::wanted;

const CONFIG: &str = "CreateContainerConfigError";
const CREATE: &str = "CreateContainerError";

/// Resolves everything, prepares volumes, starts.
pub async fn start(context: &Context, pod: &Pod, container: &Container, attempt: u32, pod_ip: Option<String>) -> Observation {
    match try_start(context, pod, container, attempt, pod_ip).await {
        Ok(status) => {
            let name = container.name.as_str();
            // One that has ended already is not waited for any more.
            let state = match status.state {
                ContainerState::Exited(exit) => {
                    let log = context.paths.log(pod, name, attempt);
                    ContainerState::Exited(follow::with_message(exit, Some(container), &log).await)
                }
                running => running,
            };
            match &state {
                ContainerState::Exited(exit) if exit.start_error.is_some() => {
                    let why = exit.start_error.clone().unwrap_or_default();
                    events::normal(context, pod, name, "Created", format!("Created container: {name}"));
                    events::warning(context, pod, Some(name), "Failed", format!("Error: {why}"));
                }
                _ => {
                    events::normal(context, pod, name, "Created", format!("Created container: {name}"));
                    events::normal(context, pod, name, "Started", format!("Started container {name}"));
                }
            }
            Observation::State {
                container: container.name.clone(),
                attempt,
                id: status.id,
                image: status.image,
                image_id: status.image_id,
                state: AttemptState::from(state),
            }
        }
        Err((reason, message)) => {
            events::warning(context, pod, Some(&container.name), "Failed", format!("Error: {message}"));
            Observation::StartRefused { container: container.name.clone(), attempt, reason, message, at: context.clock.now() }
        }
    }
}

async fn try_start(
    context: &Context,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    pod_ip: Option<String>,
) -> Result<ContainerStatus, (&'static str, String)> {
    let config = |message: String| (CONFIG, message);
    let create = |message: String| (CREATE, message);
    let reference = container.image.clone().unwrap_or_default();
    let image = context
        .images
        .get(&reference)
        .await
        .map_err(|error| create(error.to_string()))?
        .ok_or_else(|| create(format!("image {reference:?} was removed before the container started")))?;
    let pod_spec = pod.spec.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let sources = sources::fetch(context, namespace, &wanted(&pod_spec, container)).await.map_err(|error| config(error.to_string()))?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let ingredients = Ingredients {
        pod,
        container,
        attempt,
        image: &image,
        sources: &sources,
        facts: &NodeFacts { pod_ip, ..context.facts.clone() },
        volumes: context.paths.volumes(uid),
        log_path: context.paths.log(pod, &container.name, attempt),
    };
    let (specification, plan) = container_spec(&ingredients).map_err(|error| config(error.0))?;
    let logs = context.paths.container_logs(pod, &container.name);
    disk::work(move || {
        for preparation in &plan.preparations {
            volume::prepare(preparation)?;
        }
        std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))
    })
    .await
    .map_err(create)?
    .map_err(create)?;
    // The semaphore is never closed; without a permit the start would only be less orderly.
    let _permit = context.starts.acquire().await.ok();
    context.runtime.start_container(&specification).await.map_err(|error| create(error.to_string()))
}
