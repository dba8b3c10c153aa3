//! Garbage collection of one object: dependents of owners that are gone, foreground deletion, orphaning (spec/jobs.md 8, spec/api.md 6.6).
//!
//! In: the object, what is known of each of its owners, the objects that depend on it. Out: actions in order. Never: a look-up, a clock.
//! Each object answers for itself: an owner that goes away only means that its dependents are looked at again.

use crate::ownership::{self, ObjectRef, has_finalizer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
pub const ORPHAN_FINALIZER: &str = "orphan";

/// What became of the owner that a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// It exists with that UID and stays.
    Solid,
    /// It exists and waits for its dependents to go (`foregroundDeletion`).
    Waiting,
    /// Verified with a live read: no object of that name, or one with another UID, or one in another namespace.
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Every action is conditional on the UID and the resourceVersion that the decision saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    DropOwners { object: ObjectRef, owner_uids: Vec<String> },
    Delete { object: ObjectRef, propagation: Propagation },
    RemoveFinalizer { object: ObjectRef, finalizer: &'static str },
}

/// Index into `dependents` tells the applier which one an action is about; None is the object itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub dependent: Option<usize>,
    pub action: Action,
}

/// `owners`: one state per entry of the object's ownerReferences, in order. `dependents`: metadata of the objects that refer to it.
pub fn collect(object: &ObjectMeta, owners: &[OwnerState], dependents: &[&ObjectMeta]) -> Vec<Step> {
    if object.deletion_timestamp.is_some() {
        return if has_finalizer(object, ORPHAN_FINALIZER) {
            orphan(object, dependents)
        } else if has_finalizer(object, FOREGROUND_FINALIZER) {
            finish_foreground(object, dependents)
        } else {
            Vec::new()
        };
    }
    let references = object.owner_references.as_deref().unwrap_or_default();
    let uids = |wanted: &[OwnerState]| -> Vec<String> {
        references.iter().zip(owners).filter(|(_, state)| wanted.contains(state)).map(|(reference, _)| reference.uid.clone()).collect()
    };
    let solid = owners.contains(&OwnerState::Solid);
    let loose = uids(&[OwnerState::Absent, OwnerState::Waiting]);
    if loose.is_empty() {
        return Vec::new();
    }
    let action = if solid {
        Action::DropOwners { object: ObjectRef::of(object), owner_uids: loose }
    } else {
        Action::Delete { object: ObjectRef::of(object), propagation: propagation(object, owners, dependents) }
    };
    vec![Step { dependent: None, action }]
}

fn propagation(object: &ObjectMeta, owners: &[OwnerState], dependents: &[&ObjectMeta]) -> Propagation {
    if has_finalizer(object, ORPHAN_FINALIZER) {
        Propagation::Orphan
    } else if has_finalizer(object, FOREGROUND_FINALIZER) || (owners.contains(&OwnerState::Waiting) && !dependents.is_empty()) {
        Propagation::Foreground
    } else {
        Propagation::Background
    }
}

fn orphan(object: &ObjectMeta, dependents: &[&ObjectMeta]) -> Vec<Step> {
    let uid = ownership::uid(object).to_owned();
    let mut steps: Vec<Step> = dependents
        .iter()
        .enumerate()
        .map(|(index, dependent)| Step {
            dependent: Some(index),
            action: Action::DropOwners { object: ObjectRef::of(dependent), owner_uids: vec![uid.clone()] },
        })
        .collect();
    steps.push(Step { dependent: None, action: Action::RemoveFinalizer { object: ObjectRef::of(object), finalizer: ORPHAN_FINALIZER } });
    steps
}

/// The finalizer goes when no dependent that blocks is left; the dependents delete themselves (their owner is `Waiting`).
fn finish_foreground(object: &ObjectMeta, dependents: &[&ObjectMeta]) -> Vec<Step> {
    let uid = ownership::uid(object);
    let blocks = |dependent: &&ObjectMeta| {
        dependent.owner_references.iter().flatten().any(|reference| reference.uid == uid && reference.block_owner_deletion == Some(true))
    };
    if dependents.iter().any(blocks) {
        return Vec::new();
    }
    vec![Step { dependent: None, action: Action::RemoveFinalizer { object: ObjectRef::of(object), finalizer: FOREGROUND_FINALIZER } }]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use OwnerState::{Absent, Solid, Waiting};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

    fn object(uid: &str, owners: &[(&str, bool)], finalizers: &[&str], deleting: bool) -> ObjectMeta {
        let reference = |(uid, block): &(&str, bool)| OwnerReference {
            uid: (*uid).into(),
            block_owner_deletion: Some(*block),
            ..OwnerReference::default()
        };
        ObjectMeta {
            uid: Some(uid.into()),
            owner_references: Some(owners.iter().map(reference).collect()),
            finalizers: Some(finalizers.iter().map(|f| (*f).to_owned()).collect()),
            deletion_timestamp: deleting.then_some(Time(jiff::Timestamp::UNIX_EPOCH)),
            ..ObjectMeta::default()
        }
    }

    fn told(steps: Vec<Step>) -> Vec<String> {
        steps
            .into_iter()
            .map(|step| {
                let (object, what) = match step.action {
                    Action::DropOwners { object, owner_uids } => (object, format!("drop {}", owner_uids.join("+"))),
                    Action::Delete { object, propagation } => (object, format!("delete {propagation:?}")),
                    Action::RemoveFinalizer { object, finalizer } => (object, format!("strip {finalizer}")),
                };
                format!("{}: {what}", object.uid)
            })
            .collect()
    }

    #[test]
    fn dependents_follow_their_owners() {
        let child = object("c", &[("x", true)], &[], false);
        // (owners' states, finalizers, has dependents, deleting, expected)
        type Row<'a> = (&'a [OwnerState], &'a [&'a str], bool, bool, &'a [&'a str]);
        let rows: [Row<'_>; 12] = [
            (&[], &[], true, false, &[]),
            (&[Solid], &[], false, false, &[]),
            (&[Absent], &[], false, false, &["x: delete Background"]),
            (&[Absent, Absent], &[], false, false, &["x: delete Background"]),
            (&[Absent], &[], true, false, &["x: delete Background"]),
            (&[Absent], &[ORPHAN_FINALIZER], false, false, &["x: delete Orphan"]),
            (&[Absent], &[FOREGROUND_FINALIZER], false, false, &["x: delete Foreground"]),
            (&[Absent, Solid], &[], false, false, &["x: drop o0"]),
            (&[Waiting, Absent, Solid], &[], false, false, &["x: drop o0+o1"]),
            (&[Waiting], &[], false, false, &["x: delete Background"]),
            (&[Waiting], &[], true, false, &["x: delete Foreground"]),
            (&[Absent], &[], false, true, &[]),
        ];
        for (owners, finalizers, has_dependents, deleting, expected) in rows {
            let names: Vec<String> = (0..owners.len()).map(|i| format!("o{i}")).collect();
            let references: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
            let object = object("x", &references, finalizers, deleting);
            let dependents: &[&ObjectMeta] = if has_dependents { &[&child] } else { &[] };
            assert_eq!(told(collect(&object, owners, dependents)), expected, "{owners:?} {finalizers:?} {has_dependents} {deleting}");
        }
    }

    #[test]
    fn foreground_waits_for_blocking_dependents() {
        let owner = object("x", &[], &[FOREGROUND_FINALIZER], true);
        let blocking = object("b", &[("x", true)], &[], true);
        let loose = object("l", &[("x", false)], &[], false);
        assert!(collect(&owner, &[], &[&blocking, &loose]).is_empty());
        assert_eq!(told(collect(&owner, &[], &[&loose])), ["x: strip foregroundDeletion"]);
    }

    #[test]
    fn orphaning_drops_the_references_first() {
        let owner = object("x", &[], &[ORPHAN_FINALIZER], true);
        let child = object("c", &[("x", true), ("y", true)], &[], false);
        assert_eq!(told(collect(&owner, &[], &[&child])), ["c: drop x", "x: strip orphan"]);
    }
}
