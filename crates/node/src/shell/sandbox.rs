//! Makes and removes the sandbox of a Pod, with what belongs to it on disk.
//!
//! In: the Pod or its uid. Out: one observation. Never: removes logs with the sandbox (they stay until the Pod object is gone).

use k8s_openapi::api::core::v1::Pod;
use piecework_runtime::Error;

use super::context::Context;
use super::paths::uid_of_log_directory;
use super::{disk, events};
use crate::pod::observed::Observation;
use crate::resolve::sandbox::sandbox_spec;

/// Namespaces, network, cgroup.
pub async fn create(context: &Context, pod: &Pod) -> Observation {
    // The semaphore is never closed; without a permit the start would only be less orderly.
    let _permit = context.starts.acquire().await.ok();
    match context.runtime.create_sandbox(&sandbox_spec(pod)).await {
        Ok(status) => Observation::SandboxReady { ip: status.ip },
        Err(error) => {
            let message = error.to_string();
            events::warning(context, pod, None, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"));
            Observation::SandboxFailed { message, at: context.clock.now() }
        }
    }
}

/// The sandbox, what still runs in it, and the Pod's volumes.
pub async fn remove(context: &Context, uid: &str) -> Observation {
    match context.runtime.remove_sandbox(uid).await {
        Ok(()) | Err(Error::NotFound(_)) => {}
        Err(error) => {
            tracing::warn!(uid, %error, "cannot remove a sandbox yet");
            return Observation::SandboxRemoveFailed { at: context.clock.now() };
        }
    }
    let volumes = context.paths.volumes(uid);
    if let Err(error) = disk::remove_directory(&volumes).await {
        tracing::warn!(uid, %error, path = %volumes.display(), "cannot remove volumes yet");
        return Observation::SandboxRemoveFailed { at: context.clock.now() };
    }
    Observation::SandboxRemoved
}

/// The last traces of a Pod that is gone: volumes and logs, found by uid because its name may be unknown by now.
pub async fn discard(context: &Context, uid: &str) -> Observation {
    let mut leftovers = vec![context.paths.volumes(uid)];
    let logs = context.paths.logs();
    let names = disk::names(logs.clone()).await;
    leftovers.extend(names.iter().filter(|name| uid_of_log_directory(name) == Some(uid)).map(|name| logs.join(name)));
    for path in leftovers {
        if let Err(error) = disk::remove_directory(&path).await {
            tracing::warn!(uid, %error, path = %path.display(), "cannot remove the files of a Pod; the next start of the agent tries again");
        }
    }
    Observation::Discarded
}
