//! Waits for the end of one attempt.
//!
//! In: a running container, also one that an earlier agent started. Out: its exit, with the termination message that the Pod asked for.
//! Never: polls; an exit that the runtime did not report, except for a container of which it knows nothing any more.

use std::path::Path;

use k8s_openapi::api::core::v1::Container;
use piecework_client::backoff::{Backoff, RetryLimits};
use piecework_runtime::{Error, Exit};

use super::context::Context;
use crate::limits::{FALLBACK_LOG_BYTES, FALLBACK_LOG_LINES, WRITE_RETRY_BASE, WRITE_RETRY_CAP};
use crate::logs::last_bytes;

/// Resolves when the container has ended.
pub async fn exit_of(context: &Context, id: &str, container: Option<&Container>, log: &Path) -> Exit {
    let mut backoff = Backoff::new(RetryLimits { base: WRITE_RETRY_BASE, cap: WRITE_RETRY_CAP });
    let exit = loop {
        match context.runtime.wait_container(id).await {
            Ok(exit) => break exit,
            Err(Error::NotFound(_)) => break lost(context),
            Err(error) => {
                tracing::warn!(id, %error, "cannot wait for a container; trying again");
                tokio::time::sleep(backoff.fail()).await;
            }
        }
    };
    with_message(exit, container, log).await
}

/// The end of the log as termination message, where the Pod asks for that and the container left none (spec/jobs.md 9.2).
pub async fn with_message(mut exit: Exit, container: Option<&Container>, log: &Path) -> Exit {
    let fallback = container.and_then(|container| container.termination_message_policy.as_deref()) == Some("FallbackToLogsOnError");
    if fallback && exit.exit_code != 0 && exit.termination_message.is_empty() && exit.start_error.is_none() {
        match last_bytes(log, FALLBACK_LOG_LINES, FALLBACK_LOG_BYTES).await {
            Ok(text) => exit.termination_message = text,
            Err(error) => tracing::warn!(log = %log.display(), %error, "cannot read the log for the termination message"),
        }
    }
    exit
}

fn lost(context: &Context) -> Exit {
    Exit {
        exit_code: 137,
        signal: None,
        oom_killed: false,
        start_error: None,
        lost: true,
        started_at: None,
        finished_at: context.clock.now(),
        termination_message: String::new(),
    }
}
