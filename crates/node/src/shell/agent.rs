//! Gives every Pod of this node its worker, and cleans up after Pods that went away unseen.
//!
//! In: the runtime's record at start, the watch on Pods of this node. Out: workers, fed with versions of their Pod.
//! Never: two workers for one uid; a removal of something of a Pod before the first list is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use piecework_client::informer::{Cache, Delta, Informer};
use piecework_runtime::SandboxStatus;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::context::Context;
use super::disk;
use super::paths::uid_of_log_directory;
use super::worker::Worker;

/// Pods by uid, as the workers see them.
struct Agent {
    context: Arc<Context>,
    on_disk: BTreeMap<String, SandboxStatus>,
    workers: JoinSet<String>,
    updates: BTreeMap<String, watch::Sender<Option<Arc<Pod>>>>,
    shutdown: watch::Receiver<bool>,
}

/// Runs until shutdown. `informer` follows the Pods of this node.
pub async fn run(
    context: Arc<Context>,
    mut informer: Informer<Pod>,
    cache: Cache<Pod>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), String> {
    let on_disk = context.runtime.list().await.map_err(|error| format!("cannot read the record of containers: {error}"))?;
    let on_disk = on_disk.into_iter().map(|sandbox| (sandbox.id.clone(), sandbox)).collect();
    let mut agent = Agent { context, on_disk, workers: JoinSet::new(), updates: BTreeMap::new(), shutdown: shutdown.clone() };
    // Unbounded: bounded by the changes of this node's Pods, and the watch handler must not block.
    let (sender, mut deltas) = mpsc::unbounded_channel();
    informer.add_handler(move |delta: &Delta<Pod>| {
        // An error means that the agent has stopped.
        let _ = sender.send(delta.clone());
    });
    let following = informer.run();
    tokio::pin!(following);
    let mut swept = false;
    loop {
        tokio::select! {
            biased;
            _ = async { shutdown.wait_for(|stop| *stop).await.is_ok() } => break,
            Some(delta) = deltas.recv() => agent.take(delta),
            // The queue is empty here, so everything of the first list has its worker.
            () = cache.synced(), if !swept => {
                swept = true;
                agent.sweep().await;
            }
            Some(finished) = agent.workers.join_next() => agent.finished(finished),
            _ = &mut following => {}
        }
    }
    while let Some(finished) = agent.workers.join_next().await {
        agent.finished(finished);
    }
    agent.context.recorder.flush().await;
    Ok(())
}

impl Agent {
    fn take(&mut self, delta: Delta<Pod>) {
        match delta {
            Delta::Added(pod) => self.put(pod),
            Delta::Updated { old, new } => {
                // A new Pod of the same name: the end of the old one was not seen.
                if old.metadata.uid != new.metadata.uid {
                    self.gone(&old);
                }
                self.put(new);
            }
            Delta::Deleted(pod) => self.gone(&pod),
        }
    }

    fn put(&mut self, pod: Arc<Pod>) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        match self.updates.get(&uid) {
            Some(worker) => {
                worker.send_replace(Some(pod));
            }
            None => self.hire(uid, Some(pod)),
        }
    }

    fn gone(&mut self, pod: &Pod) {
        if let Some(worker) = pod.metadata.uid.as_ref().and_then(|uid| self.updates.get(uid)) {
            worker.send_replace(None);
        }
    }

    fn hire(&mut self, uid: String, pod: Option<Arc<Pod>>) {
        let (sender, updates) = watch::channel(pod);
        let on_disk = self.on_disk.remove(&uid);
        let worker = Worker::new(Arc::clone(&self.context), uid.clone(), updates, on_disk.as_ref());
        self.workers.spawn(worker.run(self.shutdown.clone()));
        self.updates.insert(uid, sender);
    }

    fn finished(&mut self, finished: Result<String, tokio::task::JoinError>) {
        match finished {
            Ok(uid) => {
                self.updates.remove(&uid);
            }
            Err(error) => tracing::error!(%error, "a Pod worker broke"),
        }
    }

    /// What is on this machine of Pods that the API does not know: a worker without a Pod removes it.
    async fn sweep(&mut self) {
        let mut leftovers: BTreeSet<String> = self.on_disk.keys().cloned().collect();
        leftovers.extend(disk::names(self.context.paths.all_volumes()).await);
        let logs = disk::names(self.context.paths.logs()).await;
        leftovers.extend(logs.iter().filter_map(|name| uid_of_log_directory(name)).map(str::to_owned));
        for uid in leftovers {
            if !self.updates.contains_key(&uid) {
                tracing::info!(uid, "removing what is left of a Pod that is gone");
                self.hire(uid, None);
            }
        }
    }
}
