//! Admission of a Pod's ServiceAccount (spec/api.md 6.12).
//!
//! In: a new Pod, defaulted and valid. Out: nothing, or 403 when its ServiceAccount does not exist. Never: a token (there are none yet), a look at a Pod that is
//! only updated: the account may go while its Pods run on.

use std::sync::Arc;

use piecework_api::{
    kinds::{self, Kind},
    status::Status,
};
use serde_json::Value;

use crate::{bootstrap, failure::Outcome, keys, state::State};

/// The account of Pods that name none. It belongs to its namespace, and one that was deleted comes back.
pub(crate) const DEFAULT: &str = "default";

/// Refuses a Pod whose account is missing, under the name that was asked for (`job-` for a generated one, so that the Events of many tries are one). The namespace's own account is made on the spot: between the answer to a namespace's creation and its furnishing,
/// or after somebody deleted the account, no Pod is refused for it.
pub(crate) async fn admit(
    state: &Arc<State>,
    kind: &Kind,
    namespace: Option<&str>,
    asked: &str,
    object: &Value,
    dry_run: bool,
) -> Outcome<()> {
    let (Some(namespace), true) = (namespace, kind.kind == "Pod" && kind.group.is_empty()) else { return Ok(()) };
    let Some(accounts) = kinds::by_kind("v1", "ServiceAccount") else { return Ok(()) };
    let name = object["spec"]["serviceAccountName"].as_str().unwrap_or(DEFAULT);
    let (found, _) = state.store.get(&keys::object(accounts, Some(namespace), name)).await?;
    if found.is_some() {
        return Ok(());
    }
    if name == DEFAULT {
        return if dry_run { Ok(()) } else { Box::pin(bootstrap::furnish(state, namespace)).await };
    }
    let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
    Err(Status::forbidden(kind, asked, &why).into())
}
