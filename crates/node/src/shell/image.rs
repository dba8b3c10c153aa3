//! Makes the image of a container available, as its pull policy says.
//!
//! In: the container. Out: one observation. Never: an image for a name that does not parse.
//!
//! A reference is looked up in the local store first, also with policy Always: the store is the machine's registry (`piecework image
//! import`), and a machine without network must run what was imported. So Always differs from IfNotPresent only in name today.

use k8s_openapi::api::core::v1::{Container, Pod};
use piecework_images::{Error, Image};

use super::context::Context;
use super::events;
use crate::pod::observed::{ImageFailure, Observation};

/// Pulls or finds the image.
pub async fn ensure(context: &Context, pod: &Pod, container: &Container) -> Observation {
    let reference = container.image.clone().unwrap_or_default();
    let name = container.name.clone();
    let failed = |reason, message| Observation::ImageFailed { container: name.clone(), reason, message, at: context.clock.now() };
    match context.images.get(&reference).await {
        Ok(Some(_)) => {
            events::normal(context, pod, &container.name, "Pulled", format!("Container image {reference:?} already present on machine"));
            return Observation::ImageReady { container: container.name.clone() };
        }
        Ok(None) => {}
        Err(Error::InvalidReference(_, why)) => return invalid(context, pod, container, &reference, &why),
        Err(error) => return failed(ImageFailure::Pull, error.to_string()),
    }
    if container.image_pull_policy.as_deref() == Some("Never") {
        let message = format!("Container image {reference:?} is not present with pull policy of Never");
        events::warning(context, pod, Some(&container.name), "ErrImageNeverPull", message.clone());
        return failed(ImageFailure::NeverPull, message);
    }
    match pull(context, pod, container, &reference).await {
        Ok(image) => {
            let message = format!("Successfully pulled image {reference:?}. Image size: {} bytes.", image.size_bytes);
            events::normal(context, pod, &container.name, "Pulled", message);
            Observation::ImageReady { container: container.name.clone() }
        }
        Err(Error::InvalidReference(_, why)) => invalid(context, pod, container, &reference, &why),
        Err(error) => {
            let message = error.to_string();
            events::warning(context, pod, Some(&container.name), "Failed", format!("Failed to pull image {reference:?}: {message}"));
            events::warning(context, pod, Some(&container.name), "Failed", "Error: ErrImagePull".to_owned());
            events::normal(context, pod, &container.name, "BackOff", format!("Back-off pulling image {reference:?}"));
            failed(ImageFailure::Pull, message)
        }
    }
}

async fn pull(context: &Context, pod: &Pod, container: &Container, reference: &str) -> Result<Image, Error> {
    // The semaphore is never closed; without a permit the pull would only be less orderly.
    let _permit = context.pulls.acquire().await.ok();
    // Another Pod may have brought it while this one waited.
    if let Some(image) = context.images.get(reference).await? {
        return Ok(image);
    }
    events::normal(context, pod, &container.name, "Pulling", format!("Pulling image {reference:?}"));
    context.images.pull(reference).await
}

fn invalid(context: &Context, pod: &Pod, container: &Container, reference: &str, why: &str) -> Observation {
    let message = format!("Failed to apply default image tag {reference:?}: couldn't parse image name: {why}");
    events::warning(context, pod, Some(&container.name), "InspectFailed", message.clone());
    Observation::ImageFailed { container: container.name.clone(), reason: ImageFailure::InvalidName, message, at: context.clock.now() }
}
