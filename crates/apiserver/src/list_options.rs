//! ListOptions of lists and watches (spec/api.md 6.3, 6.4, 6.5).
//!
//! In: the query. Out: checked options with parsed selectors. Never: an invalid combination let through.

use piecework_api::{
    kinds::Kind,
    selector::{FieldSelector, LabelSelector},
    status::{FieldError, Status},
};
use piecework_store::Revision;
use serde_json::Value;

use crate::{continue_token::ContinueToken, failure::Outcome, query::Query};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    List,
    Watch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    NotOlderThan,
    Exact,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    /// None: not given (or empty).
    pub(crate) revision: Option<Revision>,
    pub(crate) version_match: Option<VersionMatch>,
    /// 0: no limit.
    pub(crate) limit: usize,
    pub(crate) token: Option<ContinueToken>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
}

impl ListOptions {
    pub(crate) fn selects_all(&self) -> bool {
        self.labels.requirements.is_empty() && self.fields.terms.is_empty()
    }

    pub(crate) fn matches(&self, kind: &Kind, object: &Value) -> bool {
        self.labels.matches(object["metadata"]["labels"].as_object()) && self.fields.matches(kind, object)
    }
}

pub(crate) fn read(query: &Query, kind: &Kind, purpose: Purpose) -> Outcome<ListOptions> {
    let mut options = ListOptions { bookmarks: query.flag("allowWatchBookmarks"), ..ListOptions::default() };
    if let Some(text) = query.text("labelSelector") {
        options.labels = LabelSelector::parse(text)?;
    }
    if let Some(text) = query.text("fieldSelector") {
        options.fields = FieldSelector::parse(kind, text)?;
    }
    if let Some(text) = query.text("resourceVersion") {
        options.revision = Some(text.parse().map_err(|_| Status::bad_request(format!("invalid resourceVersion {text:?}")))?);
    }
    options.limit = query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    options.timeout_seconds =
        query.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    options.send_initial_events = query.boolean("sendInitialEvents");
    let mut errors = Vec::new();
    let version_match = query.text("resourceVersionMatch");
    options.version_match = match version_match {
        None => None,
        Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
        Some("Exact") => Some(VersionMatch::Exact),
        Some(other) => {
            errors.push(FieldError::not_supported("resourceVersionMatch", other, &["Exact", "NotOlderThan"]));
            None
        }
    };
    let token = query.text("continue");
    match purpose {
        Purpose::List => check_list(&options, version_match.is_some(), token.is_some(), &mut errors),
        Purpose::Watch => check_watch(&options, version_match.is_some(), token.is_some(), &mut errors),
    }
    if !errors.is_empty() {
        return Err(Status::invalid_options("ListOptions", errors).into());
    }
    if let Some(token) = token.filter(|_| purpose == Purpose::List) {
        if options.revision.is_some_and(|revision| revision > 0) {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue").into());
        }
        options.token = Some(ContinueToken::decode(token)?);
    }
    Ok(options)
}

fn check_list(options: &ListOptions, matched: bool, continued: bool, errors: &mut Vec<FieldError>) {
    if options.send_initial_events.is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !matched {
        return;
    }
    if continued {
        errors.push(FieldError::forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    }
    if options.revision.is_none() {
        errors.push(FieldError::forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    } else if options.version_match == Some(VersionMatch::Exact) && options.revision == Some(0) {
        let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        errors.push(FieldError::forbidden("resourceVersionMatch", detail));
    }
}

fn check_watch(options: &ListOptions, matched: bool, continued: bool, errors: &mut Vec<FieldError>) {
    match options.send_initial_events {
        Some(_) if options.version_match != Some(VersionMatch::NotOlderThan) => {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden("resourceVersionMatch", detail));
        }
        None if matched => {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden("resourceVersionMatch", detail));
        }
        _ => {}
    }
    if continued {
        errors.push(FieldError::forbidden("continue", "continue is forbidden for watch"));
    }
}
