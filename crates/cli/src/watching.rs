//! List, then watch for ever: the present state first, then every change, through lost connections and expired versions.
//!
//! In: a collection's path with selectors. Out: a stream of changes. Never: polls; gives up before its named number of failures in a row.

use crate::{
    failure::Failure,
    limits::{LIST_PAGE, RECONNECT_ATTEMPTS, RECONNECT_PAUSE},
    server::{Event, JSON, Server, with_query},
};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use std::{collections::VecDeque, pin::Pin};

/// What a follower learns.
#[derive(Debug, Clone)]
pub enum Change {
    /// Everything there is at this moment; comes first and after every gap.
    Listed(Vec<Value>),
    Changed(Value),
    Deleted(Value),
}

/// All pages of a list. Items get the apiVersion and kind that the server leaves to the list.
pub async fn list(server: &Server, path: &str) -> Result<(Vec<Value>, String), Failure> {
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let page = server.get(&with_query(path, &[("limit", &LIST_PAGE.to_string()), ("continue", &next)])).await?;
        let kind = page["kind"].as_str().unwrap_or_default();
        let kind = kind.strip_suffix("List").unwrap_or(kind).to_string();
        let api_version = page["apiVersion"].as_str().unwrap_or_default().to_string();
        let version = page["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_string();
        for item in page["items"].as_array().into_iter().flatten() {
            items.push(typed(item.clone(), &api_version, &kind));
        }
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_string();
        if next.is_empty() {
            return Ok((items, version));
        }
    }
}

/// apiVersion and kind first, as every printed object starts.
pub fn typed(item: Value, api_version: &str, kind: &str) -> Value {
    if item["kind"].is_string() {
        return item;
    }
    let mut object = serde_json::Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    if let Value::Object(fields) = item {
        object.extend(fields);
    }
    Value::Object(object)
}

type Watch = Pin<Box<dyn Stream<Item = Result<Event, Failure>> + Send>>;

struct State {
    server: Server,
    path: String,
    /// None: list first.
    version: Option<String>,
    watch: Option<Watch>,
    ready: VecDeque<Change>,
    failures: u32,
    /// The open watch has brought an event.
    fruitful: bool,
}

/// Follows a collection (`path` may carry selectors).
pub fn follow(server: &Server, path: &str) -> impl Stream<Item = Result<Change, Failure>> + Send + use<> {
    let state = State {
        server: server.clone(),
        path: path.to_string(),
        version: None,
        watch: None,
        ready: VecDeque::new(),
        failures: 0,
        fruitful: true,
    };
    stream::try_unfold(state, |mut state| async move {
        loop {
            if let Some(change) = state.ready.pop_front() {
                return Ok(Some((change, state)));
            }
            state.step().await?;
        }
    })
    .boxed()
}

impl State {
    async fn step(&mut self) -> Result<(), Failure> {
        let Some(version) = self.version.clone() else {
            match list(&self.server, &self.path).await {
                Ok((items, version)) => {
                    self.version = Some(version);
                    self.ready.push_back(Change::Listed(items));
                }
                Err(failure) => self.failed(failure).await?,
            }
            return Ok(());
        };
        let Some(watch) = &mut self.watch else {
            let path = with_query(&self.path, &[("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", &version)]);
            match self.server.watch(&path, JSON).await {
                Ok(watch) => {
                    self.watch = Some(Box::pin(watch));
                    self.fruitful = false;
                }
                Err(failure) => self.failed(failure).await?,
            }
            return Ok(());
        };
        match watch.next().await {
            Some(Ok(event)) => {
                self.failures = 0;
                self.fruitful = true;
                let (object, change) = match event {
                    Event::Bookmark(object) => (object, None),
                    Event::Added(object) | Event::Modified(object) => (object.clone(), Some(Change::Changed(object))),
                    Event::Deleted(object) => (object.clone(), Some(Change::Deleted(object))),
                };
                if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
                    self.version = Some(version.to_string());
                }
                self.ready.extend(change);
            }
            Some(Err(failure)) => {
                self.watch = None;
                self.failed(failure).await?;
            }
            // Servers end watches now and then; go on where it stopped.
            None => {
                self.watch = None;
                if !self.fruitful {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
        Ok(())
    }

    /// 410: list again. Lost connections and overload: again after a pause. Everything else is final.
    async fn failed(&mut self, failure: Failure) -> Result<(), Failure> {
        self.failures += 1;
        let passing = matches!(&failure, Failure::Connection(_)) || matches!(failure.code(), 410 | 429 | 500..);
        if !passing || self.failures > RECONNECT_ATTEMPTS {
            return Err(failure);
        }
        if failure.code() == 410 {
            self.version = None;
            if self.failures == 1 {
                return Ok(());
            }
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
        Ok(())
    }
}
