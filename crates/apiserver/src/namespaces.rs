//! Rules about namespaces that concern objects inside them (spec/api.md 6.1, 10).
//!
//! In: a namespace's name. Out: whether new objects may be made there, whether it may be deleted. Never: a change.

use piecework_api::{
    kinds::{self, Kind},
    meta,
    status::Status,
};

use crate::{failure::Outcome, keys, state::State};

/// Namespaces that cannot be deleted (spec/api.md 10).
const PROTECTED: &[&str] = &["default", "kube-system", "kube-public"];

pub(crate) fn kind() -> Option<&'static Kind> {
    kinds::by_kind("v1", "Namespace")
}

/// 404 when the namespace is missing, 403 when it is being deleted.
pub(crate) async fn accepts_new(state: &State, kind: &Kind, name: &str, namespace: &str) -> Outcome<()> {
    let Some(namespaces) = self::kind() else { return Ok(()) };
    let (entry, _) = state.store.get(&keys::object(namespaces, None, namespace)).await?;
    let Some(entry) = entry else { return Err(Status::not_found(namespaces, namespace).into()) };
    let object = keys::decode(namespaces, &entry)?;
    if meta::deleting(&object) || object["status"]["phase"] == "Terminating" {
        return Err(Status::namespace_terminating(kind, name, namespace).into());
    }
    Ok(())
}

/// 403 for a namespace that must stay.
pub(crate) fn may_be_deleted(kind: &Kind, name: &str) -> Outcome<()> {
    if kind.group.is_empty() && kind.kind == "Namespace" && PROTECTED.contains(&name) {
        return Err(Status::forbidden(kind, name, "this namespace may not be deleted").into());
    }
    Ok(())
}
