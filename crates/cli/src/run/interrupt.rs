//! Ctrl-C: the Jobs of the run are deleted, and we stay until their Pods are gone.
//!
//! In: the created Jobs. Out: exit code 130. Never: returns while a Pod is there, unless the named timeout passes.

use super::{
    INTERRUPTED,
    follow::Follower,
    progress::Progress,
    submit::{Created, delete},
};
use crate::{
    Context,
    failure::Failure,
    limits::INTERRUPT_TIMEOUT,
    verbs::delete::gone,
    watching::{Change, follow},
};
use futures::StreamExt;
use std::{collections::BTreeSet, pin::pin};

pub async fn stop(context: &Context, jobs: &[Created], follower: Option<Follower>, progress: &mut Progress) -> u8 {
    if !jobs.is_empty() {
        progress.state("interrupted: deleting the Job and waiting until its Pods are gone".into());
        let mut follower = follower;
        let mut removal = pin!(tokio::time::timeout(INTERRUPT_TIMEOUT, remove(context, jobs)));
        // Containers say their last words while they end.
        let result = loop {
            match &mut follower {
                None => break removal.as_mut().await,
                Some(logs) => tokio::select! {
                    biased;
                    result = removal.as_mut() => break result,
                    item = logs.next_item() => {
                        if logs.item(item, progress).is_err() {
                            // Nobody reads them; the removal goes on.
                            follower = None;
                        }
                    }
                },
            }
        };
        match result {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => progress.note(&format!("the Job could not be removed: {failure}")),
            Err(_) => progress.note(&format!("the Job's Pods are still there after {} s", INTERRUPT_TIMEOUT.as_secs())),
        }
    }
    progress.finish();
    progress.note("interrupted");
    INTERRUPTED
}

async fn remove(context: &Context, jobs: &[Created]) -> Result<(), Failure> {
    for job in jobs {
        match delete(context, job).await {
            Ok(()) => {}
            Err(failure) if failure.is_not_found() || failure.code() == 409 => {}
            Err(failure) => return Err(failure),
        }
    }
    for job in jobs {
        gone(context, &job.object, &job.uid, None).await?;
        pods_gone(context, job).await?;
    }
    Ok(())
}

async fn pods_gone(context: &Context, job: &Created) -> Result<(), Failure> {
    let mut changes = pin!(follow(&context.server, &job.pods));
    let mut left: BTreeSet<String> = BTreeSet::new();
    while let Some(change) = changes.next().await {
        let uid = |pod: &serde_json::Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_string();
        match change? {
            Change::Listed(pods) => left = pods.iter().map(uid).collect(),
            Change::Changed(pod) => {
                left.insert(uid(&pod));
            }
            Change::Deleted(pod) => {
                left.remove(&uid(&pod));
            }
        }
        if left.is_empty() {
            break;
        }
    }
    Ok(())
}
