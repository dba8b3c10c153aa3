//! The logs of a run: one stream per container run, all into one queue of lines.
//!
//! In: Pods as they change. Out: lines in the order in which they came, and the last ones of each container. Never: one run's log twice.

use super::outcome::containers;
use crate::{
    failure::Failure,
    limits::{FAILED_POD_LINES, LOG_ATTEMPTS, LOG_QUEUE_LINES, LOG_RETRY_PAUSE, MAX_LOG_STREAMS},
    options::LogsOptions,
    server::Server,
    verbs::logs::{Lines, log_path},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// What the readers send.
#[derive(Debug)]
pub enum Item {
    Line {
        pod: String,
        container: String,
        text: Vec<u8>,
    },
    /// A log that could not be read to its end.
    Broken(String),
    Ended,
}

pub struct Logs {
    server: Server,
    begun: BTreeSet<(String, String, i64)>,
    readers: JoinSet<()>,
    running: usize,
    permits: Arc<Semaphore>,
    sender: mpsc::Sender<Item>,
    receiver: mpsc::Receiver<Item>,
    last_lines: BTreeMap<(String, String), VecDeque<Vec<u8>>>,
}

impl Logs {
    pub fn new(server: &Server) -> Self {
        let (sender, receiver) = mpsc::channel(LOG_QUEUE_LINES);
        Self {
            server: server.clone(),
            begun: BTreeSet::new(),
            readers: JoinSet::new(),
            running: 0,
            permits: Arc::new(Semaphore::new(MAX_LOG_STREAMS)),
            sender,
            receiver,
            last_lines: BTreeMap::new(),
        }
    }

    /// Begins to read what has begun to run.
    pub fn see(&mut self, pod: &Value) {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_string();
        let (uid, name, namespace) = (text("uid"), text("name"), text("namespace"));
        for container in containers(pod) {
            if container.has_previous && container.attempt > 0 {
                // A run so short that only its end was seen.
                self.begin(&uid, &namespace, &name, &container.name, container.attempt - 1, true);
            }
            if container.started {
                self.begin(&uid, &namespace, &name, &container.name, container.attempt, false);
            }
        }
    }

    fn begin(&mut self, uid: &str, namespace: &str, pod: &str, container: &str, attempt: i64, previous: bool) {
        if !self.begun.insert((uid.to_string(), container.to_string(), attempt)) {
            return;
        }
        self.running += 1;
        let options = LogsOptions { follow: !previous, previous, ..LogsOptions::default() };
        let path = log_path(namespace, pod, container, &options);
        let (server, sender, permits) = (self.server.clone(), self.sender.clone(), self.permits.clone());
        let (pod, container) = (pod.to_string(), container.to_string());
        self.readers.spawn(async move {
            let _permit = permits.acquire_owned().await;
            if let Err(failure) = read(&server, &path, &pod, &container, &sender).await {
                let _ = sender.send(Item::Broken(format!("the log of pod/{pod}, container {container}, cannot be read: {failure}"))).await;
            }
            let _ = sender.send(Item::Ended).await;
        });
    }

    /// The next item; pends while there is none.
    pub async fn next(&mut self) -> Item {
        // We hold a sender ourselves, so the queue never ends.
        let Some(item) = self.receiver.recv().await else { return std::future::pending().await };
        match &item {
            Item::Ended => self.running = self.running.saturating_sub(1),
            Item::Line { pod, container, text } => {
                let lines = self.last_lines.entry((pod.clone(), container.clone())).or_default();
                if lines.len() == FAILED_POD_LINES {
                    lines.pop_front();
                }
                lines.push_back(text.clone());
            }
            Item::Broken(_) => {}
        }
        item
    }

    /// Whether every log that was begun has ended.
    pub fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// The last lines that a container printed.
    pub fn last_lines(&self, pod: &str, container: &str) -> impl Iterator<Item = &[u8]> {
        self.last_lines.get(&(pod.to_string(), container.to_string())).into_iter().flatten().map(Vec::as_slice)
    }
}

/// Reads one log to its end. What cannot be opened, or breaks off, is opened again a few times; lines that were sent are skipped.
async fn read(server: &Server, path: &str, pod: &str, container: &str, sender: &mpsc::Sender<Item>) -> Result<(), Failure> {
    let mut sent = 0u64;
    let mut attempt = 1;
    loop {
        let before = sent;
        let failure = match read_from(server, path, pod, container, sender, &mut sent).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        // New lines since the last failure: the log is alive.
        attempt = if sent > before { 1 } else { attempt + 1 };
        if failure.is_not_found() || attempt > LOG_ATTEMPTS {
            return Err(failure);
        }
        tokio::time::sleep(LOG_RETRY_PAUSE).await;
    }
}

async fn read_from(
    server: &Server,
    path: &str,
    pod: &str,
    container: &str,
    sender: &mpsc::Sender<Item>,
    sent: &mut u64,
) -> Result<(), Failure> {
    let mut lines = Lines::open(server, path).await?;
    let mut number = 0;
    while let Some(text) = lines.next().await? {
        number += 1;
        if number <= *sent {
            continue;
        }
        let line = Item::Line { pod: pod.to_string(), container: container.to_string(), text };
        if sender.send(line).await.is_err() {
            return Ok(());
        }
        *sent = number;
    }
    Ok(())
}
