//! GET of a collection (spec/api.md 6.3).
//!
//! In: checked options. Out: objects of one revision, a token for the next page. Never: pages of different revisions under one token.

use piecework_api::{kinds::Kind, status::Status};
use piecework_store::{Entry, Error as StoreError, Page, Revision};
use serde_json::{Value, json};

use crate::{
    continue_token::ContinueToken,
    failure::{Failure, Outcome},
    keys,
    list_options::{self, ListOptions, Purpose, VersionMatch},
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    respond::Answer,
    revisions,
    state::{Exchange, State},
};

/// How many entries a limited list with selectors looks at in one read of the store.
pub const SELECTOR_CHUNK: usize = 500;

/// Part of a collection at one revision.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) revision: Revision,
    pub(crate) token: Option<ContinueToken>,
    /// Objects after this page; only known without selectors.
    pub(crate) remaining: Option<usize>,
}

pub(crate) async fn list(exchange: &Exchange, path: &ResourcePath) -> Outcome<Answer> {
    let representation = negotiation::representation(&exchange.headers, Shape::List)?;
    let options = list_options::read(&exchange.query, path.kind, Purpose::List)?;
    let listed = collect(&exchange.state, path.kind, path.namespace.as_deref(), &options).await?;
    Ok(Answer::ok(render::list(&exchange.state, path.kind, listed, representation, &exchange.query)?))
}

pub(crate) async fn collect(state: &State, kind: &Kind, namespace: Option<&str>, options: &ListOptions) -> Outcome<Listed> {
    let at = snapshot(state, options).await?;
    let single = options.fields.name().filter(|_| at.is_none() && (namespace.is_some() || !kind.namespaced()));
    if let Some(name) = single {
        return by_name(state, kind, namespace, name, options).await;
    }
    let prefix = keys::collection(kind, namespace);
    let mut start = options.token.as_ref().map(|token| format!("{prefix}{}", token.start));
    let mut at = at;
    let mut items = Vec::new();
    loop {
        let chunk = match (options.limit, options.selects_all()) {
            (0, _) => 0,
            (limit, true) => limit,
            (limit, false) => limit.max(SELECTOR_CHUNK),
        };
        let page = state.store.list(&prefix, start.as_deref(), chunk, at).await.map_err(|error| expired(error, options))?;
        at = Some(page.revision);
        let full_at = take(kind, &page, options, &mut items)?;
        let next = match full_at {
            Some(index) => page.entries.get(index).map(|entry| entry.key.clone()).or_else(|| page.next.clone()),
            None => page.next.clone(),
        };
        let Some(next) = next else {
            return Ok(Listed { items, revision: page.revision, token: None, remaining: None });
        };
        if full_at.is_some() {
            let relative = next.strip_prefix(prefix.as_str()).unwrap_or(&next);
            let token = Some(ContinueToken::new(page.revision, relative));
            let remaining = options.selects_all().then_some(page.remaining);
            return Ok(Listed { items, revision: page.revision, token, remaining });
        }
        start = Some(next.to_string());
    }
}

/// The revision that the list must be a snapshot of; None is the latest.
async fn snapshot(state: &State, options: &ListOptions) -> Outcome<Option<Revision>> {
    if let Some(token) = &options.token {
        return Ok(Some(token.rv).filter(|revision| *revision > 0));
    }
    let Some(wanted) = options.revision.filter(|revision| *revision > 0) else { return Ok(None) };
    revisions::reached(state, wanted).await?;
    let exact = match options.version_match {
        Some(VersionMatch::Exact) => true,
        Some(VersionMatch::NotOlderThan) => false,
        None => options.limit > 0,
    };
    Ok(exact.then_some(wanted))
}

async fn by_name(state: &State, kind: &Kind, namespace: Option<&str>, name: &str, options: &ListOptions) -> Outcome<Listed> {
    // The value comes from a query: only something that can be one key segment is looked up.
    let possible = !name.is_empty() && !name.contains('/');
    let (entry, revision): (Option<Entry>, Revision) =
        if possible { state.store.get(&keys::object(kind, namespace, name)).await? } else { (None, state.store.revision().await?) };
    let mut items = Vec::new();
    if let Some(entry) = entry {
        let object = keys::decode(kind, &entry)?;
        if options.matches(kind, &object) {
            items.push(object);
        }
    }
    Ok(Listed { items, revision, token: None, remaining: None })
}

/// Adds the matching objects of a page. Out: where the limit was reached, as the index of the first entry not looked at.
fn take(kind: &Kind, page: &Page, options: &ListOptions, items: &mut Vec<Value>) -> Outcome<Option<usize>> {
    let everything = options.selects_all();
    for (index, entry) in page.entries.iter().enumerate() {
        let object = keys::decode(kind, entry)?;
        if everything || options.matches(kind, &object) {
            items.push(object);
        }
        if options.limit > 0 && items.len() >= options.limit {
            return Ok(Some(index + 1));
        }
    }
    Ok(None)
}

/// 410 for a snapshot that is gone; a paged list gets a token that carries on at the latest state (spec/api.md 6.3).
fn expired(error: StoreError, options: &ListOptions) -> Failure {
    let StoreError::Compacted { .. } = error else { return error.into() };
    let Some(token) = &options.token else {
        return Status::expired("The resourceVersion for the provided list is too old.").into();
    };
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter, or use the continue token in this response to retrieve the remainder of the results.",
    );
    status.metadata = json!({"continue": ContinueToken::new(0, &token.start).encode()});
    status.into()
}
