//! Informer: list + watch of one kind into an ordered cache, with deltas to handlers and indexes.
//!
//! In: a `kube::Api` and selectors. Out: a cache that follows the server, and every change exactly once, in order, to synchronous handlers.
//! Never: polls; gives up (it retries for ever, with bounded delays and without jitter, so that a run can be replayed).

mod cache;
#[cfg(test)]
mod faults_test;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep, timeout};

pub use cache::{Cache, Delta, object_key};

use crate::backoff::{Backoff, RetryLimits};
use crate::patch::is_expired;

/// Objects per page of a list.
pub const LIST_PAGE: u32 = 500;
/// A page that takes longer counts as lost.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the server may take to answer that a watch has begun.
pub const WATCH_START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server is asked to keep one watch open.
pub const WATCH_SECONDS: u32 = 290;
/// A watch that is silent for longer than it may last is a dead connection.
pub const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// A watch that ended sooner, without any event, counts as a failure.
pub const WATCH_MINIMUM: Duration = Duration::from_secs(1);
/// Delays between failed lists and watches.
pub const RECONNECT: RetryLimits = RetryLimits { base: Duration::from_millis(50), cap: Duration::from_secs(30) };

type Handler<K> = Box<dyn FnMut(&Delta<K>) + Send>;

/// Follows one kind. Add handlers and indexes, then `run` it.
pub struct Informer<K> {
    api: Api<K>,
    selectors: ListParams,
    cache: Cache<K>,
    synced: Arc<SetOnce<()>>,
    handlers: Vec<Handler<K>>,
    backoff: Backoff,
}

/// Why a watch is over.
enum Ended {
    /// Closed by the server in good order, or after events had come.
    Closed,
    /// The resource version is no longer known: list again.
    Expired,
    /// Lost or refused: try again from the last resource version, later.
    Failed(String),
    /// An event could not be read. Watching from before it would meet it again, so list.
    Unreadable(String),
}

impl<K> Informer<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// `selectors`: the label and field selector are used, paging and versions are the informer's business.
    pub fn new(api: Api<K>, selectors: ListParams) -> (Informer<K>, Cache<K>) {
        let synced = Arc::new(SetOnce::new());
        let cache = Cache::new(Arc::clone(&synced));
        let informer = Informer { api, selectors, cache: cache.clone(), synced, handlers: Vec::new(), backoff: Backoff::new(RECONNECT) };
        (informer, cache)
    }

    /// Handlers are called in the order they were added, after the cache shows the change; they must not block.
    pub fn add_handler(&mut self, handler: impl FnMut(&Delta<K>) + Send + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// Makes `Cache::by_index(name, …)` answer; an object is found under every value the function gives for it.
    pub fn add_index(&mut self, name: impl Into<String>, function: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        self.cache.add_index(name.into(), Box::new(function));
    }

    /// Follows the server until the future is dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            match self.list().await {
                Ok((objects, version)) => {
                    let deltas = self.cache.replace(objects);
                    self.tell(&deltas);
                    // Set before by an earlier list.
                    let _ = self.synced.set(());
                    self.follow(version).await;
                }
                Err(reason) => {
                    let delay = self.backoff.fail();
                    tracing::warn!(resource = self.api.resource_url(), reason, ?delay, "list failed");
                    sleep(delay).await;
                }
            }
        }
    }

    fn tell(&mut self, deltas: &[Delta<K>]) {
        for delta in deltas {
            for handler in &mut self.handlers {
                handler(delta);
            }
        }
    }

    /// All objects as of one resource version. When a later page has expired, everything is asked for at once.
    async fn list(&mut self) -> Result<(Vec<K>, String), String> {
        match self.list_pages(Some(LIST_PAGE)).await {
            Err(PageError::Expired) => self.list_pages(None).await,
            outcome => outcome,
        }
        .map_err(|error| match error {
            PageError::Expired => "the list expired".to_owned(),
            PageError::Failed(reason) => reason,
        })
    }

    // `&mut self` although nothing changes: handlers are Send but not Sync, so a shared borrow could not be held over an await.
    async fn list_pages(&mut self, limit: Option<u32>) -> Result<(Vec<K>, String), PageError> {
        let mut parameters = ListParams {
            label_selector: self.selectors.label_selector.clone(),
            field_selector: self.selectors.field_selector.clone(),
            limit,
            ..ListParams::default()
        };
        let mut objects = Vec::new();
        loop {
            let page = match timeout(LIST_TIMEOUT, self.api.list(&parameters)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) if is_expired(&error) => return Err(PageError::Expired),
                Ok(Err(error)) => return Err(PageError::Failed(error.to_string())),
                Err(_) => return Err(PageError::Failed("no answer in time".to_owned())),
            };
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    return Ok((objects, version));
                }
            }
        }
    }

    /// Watches from `version` on, again and again, until a new list is needed.
    async fn follow(&mut self, mut version: String) {
        loop {
            let resource = self.api.resource_url().to_owned();
            let begun = Instant::now();
            let ended = self.watch_once(&mut version).await;
            if begun.elapsed() >= WATCH_MINIMUM {
                self.backoff.reset();
            }
            match ended {
                Ended::Closed => {}
                Ended::Expired => {
                    let delay = self.backoff.fail();
                    tracing::info!(resource, version, "history is gone, listing again");
                    return sleep(delay).await;
                }
                Ended::Failed(reason) => {
                    let delay = self.backoff.fail();
                    tracing::warn!(resource, version, reason, ?delay, "watch lost");
                    sleep(delay).await;
                }
                Ended::Unreadable(reason) => {
                    let delay = self.backoff.fail();
                    tracing::error!(resource, version, reason, ?delay, "unreadable watch event, listing again");
                    return sleep(delay).await;
                }
            }
        }
    }

    async fn watch_once(&mut self, version: &mut String) -> Ended {
        let parameters = WatchParams {
            label_selector: self.selectors.label_selector.clone(),
            field_selector: self.selectors.field_selector.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let begun = Instant::now();
        let stream = match timeout(WATCH_START_TIMEOUT, self.api.watch(&parameters, version)).await {
            Ok(Ok(stream)) => stream.into_stream(),
            Ok(Err(error)) => return ended_by(&error),
            Err(_) => return Ended::Failed("the watch did not begin in time".to_owned()),
        };
        let mut stream = std::pin::pin!(stream);
        let mut has_events = false;
        loop {
            let event = match timeout(WATCH_SILENCE, stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return ended_by(&error),
                Ok(None) if has_events || begun.elapsed() >= WATCH_MINIMUM => return Ended::Closed,
                Ok(None) => return Ended::Failed("closed at once".to_owned()),
                Err(_) => return Ended::Failed("silent for too long".to_owned()),
            };
            if let WatchEvent::Error(status) = event {
                return ended_by(&Error::Api(status));
            }
            has_events = true;
            self.backoff.reset();
            self.handle(event, version);
        }
    }

    fn handle(&mut self, event: WatchEvent<K>, version: &mut String) {
        let advance = |version: &mut String, object: &K| {
            if let Some(newer) = &object.meta().resource_version {
                version.clone_from(newer);
            }
        };
        let deltas = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                advance(version, &object);
                self.cache.put(object)
            }
            WatchEvent::Deleted(object) => {
                advance(version, &object);
                self.cache.delete(object)
            }
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                Vec::new()
            }
            // Ends the watch, so it is dealt with before.
            WatchEvent::Error(_) => Vec::new(),
        };
        self.tell(&deltas);
    }
}

enum PageError {
    Expired,
    Failed(String),
}

fn ended_by(error: &Error) -> Ended {
    if is_expired(error) {
        return Ended::Expired;
    }
    match error {
        Error::SerdeError(_) => Ended::Unreadable(error.to_string()),
        _ => Ended::Failed(error.to_string()),
    }
}
